//! A mistake of an operator harms nobody: a rule that is misspelt, and a module that cannot be had.

use std::fs;

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

/// Requests of this user are answered with this status.
fn for_jason(status: u16) -> String {
    let abort = format!(r#"{{"abort": {{"percentage": {{"value": 100}}, "httpStatus": {status}}}}}"#);
    format!(r#"{{"http": [{{"match": [{{"headers": {{"end-user": {{"exact": "jason"}}}}}}], "fault": {abort}}}]}}"#)
}

const JASON: &[&str] = &["http", "http://web/", "1", "end-user=jason"];

#[test]
fn a_pod_with_the_label_and_without_the_mount_takes_requests_also_where_faults_and_mirrors_are_attached() {
    let rules = for_jason(418);
    let copy =
        r#"{"http": [{"mirrors": [{"name": "stock", "cluster": "outbound|80||stock.depot.svc.cluster.local"}]}]}"#;
    let _attached = ["fault-outbound", "fault-inbound"].map(|file| with_rules(file, &rules));
    let _mirrors = ["shadow", "shadow-inbound"].map(|file| with_rules(file, copy));
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
    for filter in ["remixer-fault-outbound", "remixer-fault-inbound", "remixer-shadow", "remixer-shadow-inbound"] {
        assert!(listeners(&unmounted).contains(&format!("\"{filter}\"")), "{filter}");
    }
    // Whose proxy has the module injects the fault: the caller's, or that of the called workload.
    wait_until(WAIT, || call(&client, JASON) == "418\n").unwrap();
    wait_until(WAIT, || call(&unmounted, JASON) == "418\n").unwrap();
    // Its own name without namespace is the pod's in its `/etc/hosts`, and not the service's.
    let of_unmounted = ["http", "http://unmounted.shop/", "1", "end-user=jason"];
    assert_eq!(call(&unmounted, &of_unmounted), "200\n");
    // Nothing of metadata exchange reaches its application: with mutual TLS, connections are refused.
    let tcp = |pod: &local_cluster::Pod| pod.exec("app", &["pod-app", "tcp", "unmounted.shop:9090", "1"]);
    assert!(tcp(&client).is_err());
    assert_eq!(tcp(&pod("street", "kiosk")).unwrap(), "rating 5\n");
}

#[test]
fn a_copy_of_a_file_with_rules_under_another_name_works_beside_it() {
    let ask = |user: &str| call(&pod("shop", "client"), &["http", "http://web/", "1", &format!("end-user={user}")]);
    let _original = with_rules("fault-outbound", &for_jason(418));
    wait_until(WAIT, || ask("jason") == "418\n").unwrap();
    let rules = for_jason(451).replace("jason", "mary");
    let text = fs::read_to_string(kubernetes("filters/fault-outbound.yaml")).unwrap();
    let copy = text.replace(r#"'{"http": []}'"#, &format!("'{rules}'"));
    let copy = copy.replace("namespace: istio-system", "namespace: shop");
    let another = Applied::yaml("my-faults", &copy.replace("&name remixer-fault-outbound", "&name my-faults"));
    wait_until(WAIT, || ask("mary") == "451\n").unwrap();
    assert_eq!(ask("jason"), "418\n");
    restart("client");
    assert_eq!([ask("jason"), ask("mary"), ask("alice")], ["418\n", "451\n", "200\n"]);
    drop(another);
    wait_until(WAIT, || ask("mary") == "200\n").unwrap();
    // With the name of the original, proxies keep what they have, or start without our filters; requests pass.
    let _same = Applied::yaml("my-faults", &copy);
    let refused = "duplicate";
    wait_until(WAIT, || pod("shop", "client").log("istio-proxy").unwrap().contains(refused)).unwrap();
    assert_eq!([ask("jason"), ask("mary")], ["418\n", "200\n"]);
    restart("client");
    assert_eq!([ask("jason"), ask("mary")], ["200\n", "200\n"]);
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
