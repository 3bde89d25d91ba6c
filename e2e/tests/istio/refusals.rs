//! A mistake of an operator harms nobody: a rule that is misspelt, and a module that cannot be had.

use local_mesh::{wait_for_value, wait_until};

use crate::expected::call;
use crate::filters::Applied;
use crate::scene::{mesh, pod, Instead, WAIT};

const REFUSED: &str = "remixer_configuration_refused";

/// How often the client's proxy says that the fault plugin refuses its configuration; `None` if it has never said it.
fn refused() -> Option<f64> {
    let samples = pod("shop", "client").samples(REFUSED).unwrap();
    samples.iter().find(|sample| sample.label("component") == "fault/fault_outbound").map(|sample| sample.value)
}

fn ask(arguments: &[&str]) -> String {
    call(&pod("shop", "client"), &[&["http", "http://web/", "1"], arguments].concat())
}

fn restart(app: &str) {
    mesh().kubectl(&["-n", "shop", "rollout", "restart", "deployment", app]).unwrap();
    mesh().kubectl(&["-n", "shop", "rollout", "status", "deployment", app, "--timeout=60s"]).unwrap();
}

#[test]
fn with_a_misspelt_rule_proxies_keep_the_last_or_start_without_any() {
    let file = "filters/fault-outbound.yaml";
    let teapot =
        r#"{"http": [{"name": "tea", "fault": {"abort": {"percentage": {"value": 100}, "httpStatus": 418}}}]}"#;
    let misspelt = teapot.replace("httpStatus", "httpStatsu");
    let _applied = Applied::with(file, teapot);
    wait_until(WAIT, || ask(&[]) == "418\n").unwrap();
    let _misspelt = Applied::with(file, &misspelt);
    wait_for_value(WAIT, &Some(1.0), refused).unwrap();
    assert_eq!(ask(&[]), "418\n", "the last rules stay");
    // Istio's proxies log warnings and errors.
    let log = pod("shop", "client").log("istio-proxy").unwrap();
    for told in ["http[0].fault.abort.httpStatsu", "the last valid configuration stays until this one is corrected"] {
        assert!(log.contains(told), "{told}: {log}");
    }
    restart("client");
    assert_eq!(ask(&[]), "200\n", "a proxy that starts has no other rules");
    wait_for_value(WAIT, &Some(1.0), refused).unwrap();
    let corrected = Applied::with(file, &teapot.replace("418", "451"));
    wait_until(WAIT, || ask(&[]) == "451\n").unwrap();
    wait_for_value(WAIT, &Some(0.0), refused).unwrap();
    drop(corrected);
    wait_until(WAIT, || ask(&[]) == "200\n").unwrap();
}

#[test]
fn a_pod_with_the_label_and_without_the_mount_takes_requests() {
    let pod = "
apiVersion: v1
kind: Service
metadata: { name: unmounted, namespace: shop }
spec: { selector: { app: unmounted }, ports: [{ name: http, port: 80, targetPort: 8080 }, { name: tcp, port: 9090 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: unmounted, namespace: shop, labels: { app: unmounted, remixer: enabled } }
spec: { containers: [{ name: app, image: pod-app, args: [serve, unmounted, http=8080, tcp=9090] }] }
";
    mesh().apply(pod).unwrap();
    let unmounted = crate::scene::pod("shop", "unmounted");
    let ask = || call(&crate::scene::pod("shop", "client"), &["http", "http://unmounted/", "1"]);
    wait_until(WAIT, || ask() == "200\n").unwrap();
    assert_eq!(call(&unmounted, &["http", "http://web/", "1"]), "200\n");
    // Nothing of metadata exchange reaches its application.
    let client = crate::scene::pod("shop", "client");
    assert!(client.exec("app", &["pod-app", "tcp", "unmounted:9090", "1"]).is_err());
    mesh().kubectl(&["-n", "shop", "delete", "service/unmounted", "pod/unmounted"]).unwrap();
}

#[test]
fn without_the_server_of_modules_requests_pass_also_at_proxies_that_start() {
    let _attached = Instead::attach("remote");
    for _ in 0..5 {
        assert_eq!(ask(&[]), "200\n");
    }
    restart("client");
    restart("web-v1");
    for _ in 0..5 {
        assert_eq!(ask(&[]), "200\n");
    }
}
