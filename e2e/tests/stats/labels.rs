//! Every label of every metric, and the metrics' names.

use std::collections::BTreeMap;

use local_mesh::{Mesh, Request, Sample};

use crate::{expect_requests, get, outside, pair, start, status, PAIR, SERVER, WAIT};

/// All labels of a successful request from the client to the server of [`PAIR`], as the client reports it.
const REPORTED: [(&str, &str); 25] = [
    ("reporter", "source"),
    ("source_workload", "client-v1"),
    ("source_workload_namespace", "front"),
    ("source_principal", "spiffe://cluster.local/ns/front/sa/shop-client"),
    ("source_app", "client"),
    ("source_version", "v1"),
    ("source_canonical_service", "client"),
    ("source_canonical_revision", "v1"),
    ("source_cluster", "Kubernetes"),
    ("destination_workload", "server-v2"),
    ("destination_workload_namespace", "back"),
    ("destination_principal", "spiffe://cluster.local/ns/back/sa/shop-server"),
    ("destination_app", "server"),
    ("destination_version", "v2"),
    ("destination_service", "server.back.svc.cluster.local"),
    ("destination_service_name", "server"),
    ("destination_service_namespace", "back"),
    ("destination_canonical_service", "server"),
    ("destination_canonical_revision", "v2"),
    ("destination_cluster", "Kubernetes"),
    ("request_protocol", "http"),
    ("response_flags", "-"),
    ("connection_security_policy", "unknown"),
    ("response_code", "200"),
    ("grpc_response_status", ""),
];

/// [`REPORTED`] with some values changed.
fn reported(changes: &[(&str, &str)]) -> BTreeMap<String, String> {
    let all = REPORTED.iter().chain(changes);
    all.map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn every_metric_of_a_request_has_all_labels_and_its_value_on_both_sides() {
    let mesh = pair(&[]);
    // A large and fast request, and a small and slow one.
    let large = Request::post(mesh.sidecar("client-v1").unwrap().outbound(), "/echo", vec![b'x'; 20_000]);
    assert_eq!(status(&mesh, large.host(SERVER)), 200);
    assert_eq!(status(&mesh, get(&mesh, "/delay/300")), 200);
    let as_destination = [("reporter", "destination"), ("connection_security_policy", "mutual_tls")];
    for (workload, expected) in [("client-v1", reported(&[])), ("server-v2", reported(&as_destination))] {
        let series = |name: &str| series(&mesh, workload, name, 2.0);
        assert_eq!(series("istio_requests_total"), [(expected.clone(), 2.0)], "{workload}");
        for (metric, below, above) in [
            ("istio_request_bytes", "10000", "30000"),
            ("istio_response_bytes", "10000", "30000"),
            ("istio_request_duration_milliseconds", "250", "5000"),
        ] {
            assert_eq!(series(&format!("{metric}_count")), [(expected.clone(), 2.0)], "{workload} {metric}");
            let buckets = series(&format!("{metric}_bucket"));
            for (limit, count) in [(below, 1.0), (above, 2.0)] {
                let mut labels = expected.clone();
                labels.insert("le".to_owned(), limit.to_owned());
                assert!(
                    buckets.contains(&(labels, count)),
                    "{workload} {metric}: not {count} below {limit}: {buckets:?}"
                );
            }
        }
    }
}

/// The series of a metric, after one of them has reached `value`. Histograms do at the next flush.
fn series(mesh: &Mesh, workload: &str, name: &str, value: f64) -> Vec<(BTreeMap<String, String>, f64)> {
    let found = |samples: &[Sample]| {
        let found: Vec<_> = samples.iter().filter(|s| s.name == name).map(|s| (s.labels.clone(), s.value)).collect();
        found.iter().any(|(_, seen)| *seen >= value).then_some(found)
    };
    mesh.sidecar(workload).unwrap().wait_for_stats("istio_", WAIT, found).unwrap()
}

#[test]
fn names_on_the_stats_page_are_exactly_istio_s() {
    let mesh = pair(&[]);
    assert_eq!(status(&mesh, get(&mesh, "/status/200")), 200);
    for workload in ["client-v1", "server-v2"] {
        expect_requests(&mesh, workload, &["response_code"], &[("200", 1)]);
        let text = mesh.sidecar(workload).unwrap().stats_text().unwrap();
        let types: Vec<&str> = text.lines().filter(|l| l.starts_with("# TYPE ") && !l.contains(" envoy_")).collect();
        let expected = [
            "# TYPE istio_requests_total counter",
            "# TYPE istio_build gauge",
            "# TYPE istio_request_bytes histogram",
            "# TYPE istio_request_duration_milliseconds histogram",
            "# TYPE istio_response_bytes histogram",
        ];
        assert_eq!(types, expected, "{workload}");
        for line in text.lines() {
            let name = line.split(['{', ' ']).next().unwrap();
            let stray = ["=.=", "___", "istio_request", "istio_response", "istio_build", "wasmcustom"];
            assert!(!name.starts_with("envoy_") || !stray.iter().any(|part| name.contains(part)), "{workload}: {line}");
        }
        let build = mesh.sidecar(workload).unwrap().metric("istio_build").unwrap();
        assert_eq!(build.len(), 1, "{build:?}");
        let expected = [("component", "proxy"), ("tag", local_mesh::config::ISTIO_VERSION)];
        assert!(build[0].has(&expected) && build[0].labels.len() == 2 && build[0].value == 1.0, "{build:?}");
    }
}

#[test]
fn a_stranger_in_plaintext_is_unknown() {
    let mesh = start(&outside("client-v1"), |_| {});
    assert_eq!(status(&mesh, Request::get(mesh.sidecar("server-v2").unwrap().inbound(), "/status/200")), 200);
    expect_requests(&mesh, "server-v2", &["response_code"], &[("200", 1)]);
    let unknown = [
        "source_workload",
        "source_workload_namespace",
        "source_principal",
        "source_app",
        "source_version",
        "source_canonical_service",
        "source_cluster",
        "destination_principal",
    ];
    let mut changes: Vec<(&str, &str)> = unknown.map(|label| (label, "unknown")).to_vec();
    changes.extend([
        ("reporter", "destination"),
        ("source_canonical_revision", "latest"),
        ("connection_security_policy", "none"),
    ]);
    let samples = mesh.sidecar("server-v2").unwrap().metric("istio_requests_total").unwrap();
    assert_eq!(samples[0].labels, reported(&changes));
}

#[test]
fn a_grpc_call_has_its_protocol_and_status() {
    let mesh = start(&PAIR.replace("protocol: http", "protocol: grpc"), |_| {});
    for path in ["/status/200", "/status/503", "/status/403"] {
        let request = get(&mesh, path).method("POST".parse().unwrap()).http2();
        mesh.client().send(&request.header("content-type", "application/grpc")).unwrap();
    }
    assert_eq!(status(&mesh, get(&mesh, "/status/200").http2().header("content-type", "application/grpc-web")), 200);
    let labels = ["request_protocol", "response_code", "grpc_response_status"];
    // Without a grpc-status, the status follows from the code: unknown, unavailable, permission denied.
    let expected = [("grpc 200 2", 1), ("grpc 503 14", 1), ("grpc 403 7", 1), ("http 200 ", 1)];
    for workload in ["client-v1", "server-v2"] {
        expect_requests(&mesh, workload, &labels, &expected);
    }
}

#[test]
fn every_status_is_counted_exactly_on_both_sides() {
    let sent = [(200, 40), (204, 11), (301, 7), (404, 5), (500, 3), (503, 2)];
    for concurrency in [1, 2] {
        let mesh = start(PAIR, |options| options.concurrency = concurrency);
        let requests: Vec<Request> = sent
            .iter()
            .flat_map(|(code, count)| vec![get(&mesh, &format!("/status/{code}")); *count as usize])
            .collect();
        for answer in mesh.client().send_together(&requests) {
            answer.unwrap();
        }
        let expected = sent.map(|(code, count)| (format!("{code} -"), count));
        let expected: Vec<(&str, u64)> = expected.iter().map(|(key, count)| (key.as_str(), *count)).collect();
        for workload in ["client-v1", "server-v2"] {
            expect_requests(&mesh, workload, &["response_code", "response_flags"], &expected);
        }
    }
}

/// A bootstrap of an operator's own, in which values without quotes are numbers and booleans. Envoy itself makes texts of fractions in
/// YAML.
const NUMBERS: &str = r#"{"node": {"metadata": {"WORKLOAD_NAME": 7, "CLUSTER_ID": 9, "LABELS": {"app": true, "version": 2,
    "service.istio.io/canonical-revision": 1.10}}}}"#;

#[test]
fn numbers_and_booleans_in_the_metadata_of_a_node_are_text_on_both_sides() {
    let mesh = start(PAIR, |options| options.bootstrap_override = Some(NUMBERS.to_owned()));
    assert_eq!(status(&mesh, get(&mesh, "/status/200")), 200);
    let labels = ["workload", "canonical_service", "cluster", "app", "version", "canonical_revision"];
    let labels = ["source", "destination"].map(|end| labels.map(|label| format!("{end}_{label}"))).concat();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    for workload in ["client-v1", "server-v2"] {
        expect_requests(&mesh, workload, &labels, &[("7 7 9 true 2 1.10 7 7 9 true 2 1.10", 1)]);
    }
}
