//! Access log, faults and mirrors, each from its own file of `kubernetes/filters`.

use std::fs;

use local_mesh::{wait_for, wait_until};
use serde_json::Value;

use crate::expected::{both, call, http, request, NOBODY, WEB};
use crate::scene::{kubernetes, pod, reported, with, Applied, Report, WAIT};

/// A file of `kubernetes/filters` with other rules.
pub fn with_rules(name: &str, rules: &str) -> Applied {
    let text = fs::read_to_string(kubernetes(&format!("filters/{name}.yaml"))).unwrap();
    let yaml = text.replace(r#"'{"http": []}'"#, &format!("'{rules}'"));
    assert_ne!(yaml, text, "{name} has no rules to replace");
    Applied::yaml(name, &yaml)
}

#[test]
fn a_line_for_each_request_names_both_workloads() {
    let (client, web) = (pod("shop", "client"), pod("shop", "web"));
    let _applied = Applied::file(&kubernetes("filters/access-log.yaml"));
    for (pod, reporter) in [(&client, "source"), (&web, "destination")] {
        let line = wait_for(WAIT, || {
            call(&client, &["http", "http://web/logged", "1"]);
            let log = pod.log("istio-proxy").unwrap();
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| line["path"] == "/logged")
        })
        .unwrap();
        for (field, expected) in [
            ("reporter", reporter),
            ("method", "GET"),
            ("source_workload", "client"),
            ("source_workload_namespace", "shop"),
            ("destination_workload", "web-v1"),
            ("destination_service", "web.shop.svc.cluster.local"),
        ] {
            assert_eq!(line[field], expected, "{field}: {line}");
        }
    }
}

#[test]
fn faults_are_injected_at_the_caller_and_seen_in_its_flags() {
    let rules = r#"{"http": [{"name": "teapot", "match": [{"headers": {"end-user": {"exact": "jason"}}}],
        "fault": {"abort": {"percentage": {"value": 100}, "httpStatus": 418}}}]}"#;
    let client = pod("shop", "client");
    let ask = |user: &str| call(&client, &["http", "http://web/", "1", &format!("end-user={user}")]);
    let applied = with_rules("fault-outbound", rules);
    wait_until(WAIT, || ask("jason") == "418\n").unwrap();
    assert_eq!(ask("mary"), "200\n");
    // Nobody was called: what is known of the destination is its service.
    let service = request(&NOBODY, "web", "shop");
    let nobody = [("source_principal", "unknown"), ("response_code", "418"), ("response_flags", "FI")];
    let report = Report { pod: &client, labels: with(&service, &nobody), more: &http(1.0) };
    reported(&[report], || ask("jason"));
    drop(applied);
    wait_until(WAIT, || ask("jason") == "200\n").unwrap();
}

#[test]
fn requests_are_mirrored_to_another_service() {
    let rules = r#"{"http": [{"name": "copy", "match": [{"uri": {"prefix": "/mirrored"}}],
        "mirrors": [{"name": "stock", "destination": {"host": "stock.depot.svc.cluster.local", "port": {"number": 80}}, "percentage": {"value": 100}}]}]}"#;
    let (client, stock) = (pod("shop", "client"), pod("depot", "stock"));
    let ask = || call(&client, &["http", "http://web/mirrored", "1"]);
    let _applied = with_rules("shadow", rules);
    let copies = |samples: &[local_mesh::Sample]| {
        let of_client = samples.iter().filter(|sample| sample.label("source_workload") == "client");
        of_client.map(|sample| sample.value).sum::<f64>()
    };
    let before = copies(&stock.samples("istio_requests_total").unwrap());
    wait_until(WAIT, || {
        assert_eq!(ask(), "200\n");
        copies(&stock.samples("istio_requests_total").unwrap()) > before
    })
    .unwrap();
}

#[test]
fn a_telemetry_resource_of_istio_stands_beside_ours() {
    let telemetry = "
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: log, namespace: shop }
spec: { accessLogging: [{ providers: [{ name: envoy }] }] }
";
    let _applied = Applied::yaml("telemetry", telemetry);
    let (client, web) = (pod("shop", "client"), pod("shop", "web"));
    wait_until(WAIT, || {
        call(&client, &["http", "http://web/istios-own", "1"]);
        client.log("istio-proxy").unwrap().contains("GET /istios-own HTTP/1.1")
    })
    .unwrap();
    both(&web, &request(&WEB, "web", "shop"), &http(1.0), &["http", "http://web/", "1"], "200\n");
}
