//! A mistake of an operator harms nobody: a rule that is misspelt, and a module that cannot be had.

use local_mesh::{wait_for_value, wait_until};

use crate::expected::call;
use crate::filters::with_rules;
use crate::scene::{kubernetes, listeners, mesh, pod, restart, Applied, Instead, WAIT};

const REFUSED: &str = "remixer_configuration_refused";

/// How often the client's proxy says that the fault plugin refuses its configuration; `None` if it has never said it.
fn refused() -> Option<f64> {
    let samples = pod("shop", "client").samples(REFUSED).unwrap();
    samples.iter().find(|sample| sample.label("component") == "fault/remixer-fault-outbound").map(|sample| sample.value)
}

fn ask() -> String {
    call(&pod("shop", "client"), &["http", "http://web/", "1"])
}

#[test]
fn with_a_misspelt_rule_proxies_keep_the_last_or_start_without_any() {
    let teapot =
        r#"{"http": [{"name": "tea", "fault": {"abort": {"percentage": {"value": 100}, "httpStatus": 418}}}]}"#;
    let misspelt = teapot.replace("httpStatus", "httpStatsu");
    let _applied = with_rules("fault-outbound", teapot);
    wait_until(WAIT, || ask() == "418\n").unwrap();
    let _misspelt = with_rules("fault-outbound", &misspelt);
    wait_for_value(WAIT, &Some(1.0), refused).unwrap();
    assert_eq!(ask(), "418\n", "the last rules stay");
    // Istio's proxies log warnings and errors.
    let log = pod("shop", "client").log("istio-proxy").unwrap();
    for told in ["http[0].fault.abort.httpStatsu", "the last valid configuration stays until this one is corrected"] {
        assert!(log.contains(told), "{told}: {log}");
    }
    restart("client");
    assert_eq!(ask(), "200\n", "a proxy that starts has no other rules");
    wait_for_value(WAIT, &Some(1.0), refused).unwrap();
    let corrected = with_rules("fault-outbound", &teapot.replace("418", "451"));
    wait_until(WAIT, || ask() == "451\n").unwrap();
    wait_for_value(WAIT, &Some(0.0), refused).unwrap();
    drop(corrected);
    wait_until(WAIT, || ask() == "200\n").unwrap();
}

#[test]
fn a_pod_with_the_label_and_without_the_mount_takes_requests() {
    let workload = "
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
    let _applied = Applied::yaml("unmounted", workload);
    let unmounted = pod("shop", "unmounted");
    let client = pod("shop", "client");
    wait_until(WAIT, || call(&client, &["http", "http://unmounted/", "1"]) == "200\n").unwrap();
    assert_eq!(call(&unmounted, &["http", "http://web/", "1"]), "200\n");
    // Nothing of metadata exchange reaches its application: with mutual TLS, connections are refused.
    let tcp = |pod: &local_cluster::Pod| pod.exec("app", &["pod-app", "tcp", "unmounted.shop:9090", "1"]);
    assert!(tcp(&client).is_err());
    assert_eq!(tcp(&pod("street", "kiosk")).unwrap(), "rating 5\n");
}

#[test]
fn without_the_server_of_modules_requests_pass_also_at_proxies_that_start() {
    mesh().kubectl(&["delete", "--ignore-not-found", "-k", &kubernetes("remote/server")]).unwrap();
    mesh().wait_ready("istio-system", "app.kubernetes.io/name=remixer", 0).unwrap();
    let _attached = Instead::attach("remote");
    wait_until(WAIT, || listeners(&pod("shop", "client")).contains("remixer.telemetry.sidecar_outbound")).unwrap();
    for _ in 0..5 {
        assert_eq!(ask(), "200\n");
    }
    restart("client");
    restart("web-v1");
    for _ in 0..5 {
        assert_eq!(ask(), "200\n");
    }
    for app in ["client", "web"] {
        let pod = pod("shop", app);
        assert!(listeners(&pod).contains("remixer.telemetry.sidecar_inbound"), "{app}");
        assert_eq!(pod.samples("istio_requests_total").unwrap(), [], "{app}");
    }
}
