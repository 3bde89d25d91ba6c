//! Mixer's configuration, brought over as `tools/mixer-migrate/README.md` says.

use std::fs;
use std::process::Command;

use local_mesh::{tools, wait_for};
use serde_json::Value;

use crate::expected::{call, labels};
use crate::scene::{app, kubernetes, mesh, pod, Applied, WAIT};

#[test]
fn mixers_metric_and_log_are_reported_in_the_cluster() {
    let cluster = mesh();
    let remixer = |arguments: &[&str]| {
        let output = Command::new(tools::program("remixer").unwrap()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let tutorial = |name| tools::root().join("tools/mixer-migrate/testdata/tutorials").join(name).display().to_string();
    let filters = app("migrated/filters.yaml");
    fs::write(&filters, remixer(&["migrate", &tutorial("double-request-count.yaml"), &tutorial("newlog-stdio.yaml")]))
        .unwrap();
    let namespace =
        "{ apiVersion: v1, kind: Namespace, metadata: { name: attic, labels: { istio-injection: enabled } } }";
    let _namespace = Applied::yaml("attic", namespace);
    cluster.kubectl(&["apply", "--server-side", "-k", &kubernetes("modules"), "-n", "attic"]).unwrap();
    let bootstrap = remixer(&["bootstrap", &filters]).replacen("metadata: {", "metadata: { namespace: attic,", 1);
    cluster.apply(&bootstrap).unwrap();
    let _migrated = Applied::directory(&app("migrated"));
    cluster.kubectl(&["apply", "--server-side", "-k", &app("attic")]).unwrap();

    let (client, stock) = (pod("shop", "client"), pod("attic", "stock"));
    let destination = ("destination", "stock.attic.svc.cluster.local");
    let expected = labels(&[("source", "unknown"), destination, ("message", "twice the fun!")]);
    let ask = || call(&client, &["http", "http://stock.attic/", "1"]);
    local_mesh::wait_until(WAIT, || {
        ask();
        let samples = stock.samples("istio_double_request_count").unwrap();
        samples.iter().any(|sample| sample.labels == expected && sample.value % 2.0 == 0.0)
    })
    .unwrap();
    let line = wait_for(WAIT, || {
        let log = stock.log("istio-proxy").unwrap();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["instance"] == "newlog.logentry.istio-system")
    })
    .unwrap();
    assert_eq!(line["destination"], "stock", "{line}");
}
