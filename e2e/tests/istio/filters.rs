//! Access log, faults and mirrors, each from its own file of `kubernetes/filters`.

use std::fs;
use std::time::{Duration, Instant};

use local_cluster::Pod;
use local_mesh::{wait_for, wait_for_value, wait_until};
use serde_json::Value;

use crate::expected::{both, call, http, received, request, NOBODY, WEB};
use crate::scene::{kubernetes, listeners, pod, reported, with, Applied, Report, WAIT};

/// A file of `kubernetes/filters` with other rules.
pub fn with_rules(name: &str, rules: &str) -> Applied {
    let text = fs::read_to_string(kubernetes(&format!("filters/{name}.yaml"))).unwrap();
    let yaml = text.replace(r#"'{"http": []}'"#, &format!("'{rules}'"));
    assert_ne!(yaml, text, "{name} has no rules to replace");
    Applied::yaml(name, &yaml)
}

/// The lines of JSON that a proxy wrote.
fn lines(pod: &Pod) -> Vec<Value> {
    pod.log("istio-proxy").unwrap().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn a_line_for_each_request_names_both_workloads() {
    let (client, web) = (pod("shop", "client"), pod("shop", "web"));
    let _applied = Applied::file(&kubernetes("filters/access-log.yaml"));
    for (pod, reporter) in [(&client, "source"), (&web, "destination")] {
        let line = wait_for(WAIT, || {
            call(&client, &["http", "http://web/logged", "1"]);
            lines(pod).into_iter().find(|line| line["path"] == "/logged")
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
    let injected = client.samples("fault_aborts_injected_total").unwrap();
    assert!(injected.iter().any(|sample| sample.has(&[("rule", "teapot"), ("result", "418")])), "{injected:?}");
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

/// Rules that fit the scene: a fault for one user, one for all, and a mirror.
pub const FAULTS: &str = r#"{"http": [
    {"name": "teapot", "match": [{"uri": {"exact": "/teapot"}, "headers": {"end-user": {"exact": "jason"}}}],
     "fault": {"abort": {"percentage": {"value": 100}, "httpStatus": 418}}},
    {"name": "late", "match": [{"uri": {"exact": "/late"}}],
     "fault": {"delay": {"percentage": {"value": 100}, "fixedDelay": "0.4s"}}}]}"#;
pub const MIRROR: &str = r#"{"http": [{"name": "copy", "match": [{"uri": {"exact": "/copied"}}],
    "mirrors": [{"name": "stock", "destination": {"host": "stock.depot.svc.cluster.local", "port": {"number": 80}}, "percentage": {"value": 100}}]}]}"#;

/// What a proxy's shadow plugin has counted: copies, and answers to them.
pub fn copies(pod: &Pod) -> [f64; 2] {
    ["shadow_requests_total", "shadow_responses_total"].map(|metric| {
        let samples = pod.samples(metric).unwrap();
        samples.iter().filter(|sample| sample.label("mirror") == "stock").map(|sample| sample.value).sum()
    })
}

#[test]
fn faults_mirrors_and_lines_of_connections_are_made_at_the_called_workload() {
    let (client, web) = (pod("shop", "client"), pod("shop", "web"));
    let ask = |path: &str| call(&client, &["http", &format!("http://web{path}"), "1", "end-user=jason"]);
    let attached = [
        with_rules("fault-inbound", FAULTS),
        with_rules("shadow-inbound", MIRROR),
        Applied::file(&kubernetes("filters/tcp-access-log.yaml")),
    ];
    let names = ["remixer-fault-inbound", "remixer-shadow-inbound", "remixer.tcp_access_log"];
    wait_until(WAIT, || names.iter().all(|name| listeners(&web).contains(name))).unwrap();
    let teapots = || (0..8).map(|_| ask("/teapot")).collect::<String>();
    wait_for_value(WAIT, &"418\n".repeat(8), teapots).unwrap();
    assert_eq!(call(&client, &["http", "http://web/teapot", "1"]), "200\n", "the rule is for one user");

    let labels = request(&WEB, "web", "shop");
    let more = http(1.0);
    let aborted = with(&labels, &[("response_code", "418")]);
    let at_web = with(&received(&aborted), &[("response_flags", "FI")]);
    let reports =
        [Report { pod: &client, labels: aborted, more: &more }, Report { pod: &web, labels: at_web, more: &more }];
    reported(&reports, || ask("/teapot"));
    let delayed = with(&received(&labels), &[("response_flags", "DI")]);
    let late = || {
        let begin = Instant::now();
        (ask("/late"), begin.elapsed() >= Duration::from_millis(400))
    };
    let reports = [Report { pod: &client, labels, more: &more }, Report { pod: &web, labels: delayed, more: &more }];
    assert_eq!(reported(&reports, late), ("200\n".to_owned(), true));

    let before = copies(&web);
    assert_eq!(ask("/copied"), "200\n");
    wait_until(WAIT, || copies(&web) == before.map(|count| count + 1.0)).unwrap();

    assert_eq!(call(&client, &["tcp", "web:9090", "3"]), "rating 5\n".repeat(3));
    for (pod, reporter) in [(&client, "source"), (&web, "destination")] {
        let line = wait_for(WAIT, || lines(pod).into_iter().find(|line| line["connection_event"] == "close")).unwrap();
        for (field, expected) in [
            ("reporter", reporter),
            ("source_workload", "client"),
            ("destination_workload", "web-v1"),
            ("destination_service", "web.shop.svc.cluster.local"),
        ] {
            assert_eq!(line[field], expected, "{field}: {line}");
        }
        // Those of metadata exchange are among them.
        for (field, least) in [("bytes_received", 33), ("bytes_sent", 27)] {
            assert!(line[field].as_u64() >= Some(least), "{field}: {line}");
        }
    }
    drop(attached);
    wait_until(WAIT, || !names.iter().any(|name| listeners(&web).contains(name))).unwrap();
    wait_for_value(WAIT, &"200\n".repeat(8), teapots).unwrap();
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
