//! Mixer's own configuration in Istio 1.4.

use e2e::pair::connect;
use local_mesh::application::ask;

use crate::{get, labels, only_series, series, start, status, SIDES};

const ISTIO_1_4: &str = include_str!("../../../tools/mixer-migrate/defaults/1.4.yaml");

/// The labels of a request's two workloads, as known on each side.
fn request_labels(side: &str) -> std::collections::BTreeMap<String, String> {
    let inbound = side == "reviews-v2";
    let identity = |app| match inbound {
        true => format!("cluster.local/ns/default/sa/bookinfo-{app}"),
        // Mixer's proxies knew only the certificates of the downstream connection.
        false => "unknown".to_owned(),
    };
    labels([
        ("reporter", if inbound { "destination" } else { "source" }),
        ("source_workload", "productpage-v1"),
        ("source_workload_namespace", "default"),
        ("source_principal", &identity("productpage")),
        ("source_app", "productpage"),
        ("source_version", "v1"),
        ("destination_workload", "reviews-v2"),
        ("destination_workload_namespace", "default"),
        ("destination_principal", &identity("reviews")),
        ("destination_app", "reviews"),
        ("destination_version", "v2"),
        ("destination_service", "reviews.default.svc.cluster.local"),
        ("destination_service_name", "reviews"),
        ("destination_service_namespace", "default"),
        ("request_protocol", "http"),
        ("response_code", "200"),
        ("response_flags", "-"),
        ("permissive_response_code", "none"),
        ("permissive_response_policyid", "none"),
        ("connection_security_policy", if inbound { "mutual_tls" } else { "unknown" }),
    ])
}

pub fn requests_have_mixer_s_metrics(envoy: &str) {
    let mesh = start(envoy, ISTIO_1_4);
    for _ in 0..3 {
        assert_eq!(status(&mesh, get(&mesh, "/status/200")), 200);
    }
    for workload in SIDES {
        let expected = request_labels(workload);
        let requests = only_series(&mesh, workload, "istio_requests_total", 3.0);
        assert_eq!((&requests.labels, requests.value), (&expected, 3.0));
        for metric in ["istio_request_duration_seconds", "istio_request_bytes", "istio_response_bytes"] {
            let count = only_series(&mesh, workload, &format!("{metric}_count"), 3.0);
            assert_eq!((&count.labels, count.value), (&expected, 3.0), "{metric}");
        }
        for (metric, bounds) in [
            ("istio_request_duration_seconds", "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 +Inf"),
            ("istio_request_bytes", "1 10 100 1000 10000 100000 1000000 10000000 100000000 +Inf"),
        ] {
            let buckets = series(&mesh, workload, &format!("{metric}_bucket"), 3.0);
            let mut seen: Vec<(f64, f64)> =
                buckets.iter().map(|bucket| (bucket.label("le").parse().unwrap(), bucket.value)).collect();
            seen.sort_by(|one, other| one.0.total_cmp(&other.0));
            let expected: Vec<f64> = bounds.split(' ').map(|bound| bound.parse().unwrap()).collect();
            assert_eq!(seen.iter().map(|(bound, _)| *bound).collect::<Vec<_>>(), expected, "{metric}");
            assert!(seen.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{metric}: {seen:?}");
            assert_eq!(seen.last().unwrap().1, 3.0, "{metric}");
        }
        // Only whole seconds are added, but the answers take milliseconds.
        assert_eq!(only_series(&mesh, workload, "istio_request_duration_seconds_sum", 0.0).value, 0.0);
    }
}

pub fn probes_are_left_out(envoy: &str) {
    let mesh = start(envoy, ISTIO_1_4);
    for agent in ["kube-probe/1.14", "Prometheus/2.12", "browser/7"] {
        assert_eq!(status(&mesh, get(&mesh, "/status/200").header("user-agent", agent)), 200);
    }
    for workload in SIDES {
        assert_eq!(only_series(&mesh, workload, "istio_requests_total", 1.0).value, 1.0, "{workload}");
    }
}

pub fn connections_have_mixer_s_metrics(envoy: &str) {
    let mesh = start(envoy, ISTIO_1_4);
    let mut stream = connect(&mesh, "productpage-v1", 27017);
    for _ in 0..3 {
        ask(&mut stream).unwrap();
    }
    drop(stream);
    for (workload, reporter) in [("productpage-v1", "source"), ("mongodb-v1", "destination")] {
        for (metric, value) in [
            ("istio_tcp_connections_closed_total", 1.0),
            ("istio_tcp_connections_opened_total", 1.0),
            ("istio_tcp_received_bytes_total", 33.0),
            ("istio_tcp_sent_bytes_total", 27.0),
        ] {
            let sample = only_series(&mesh, workload, metric, value);
            assert_eq!(sample.value, value, "{metric} of {workload}");
            assert_eq!(sample.labels.len(), 16, "{metric}: {:?}", sample.labels);
            assert!(
                sample.has(&[
                    ("reporter", reporter),
                    ("source_workload", "productpage-v1"),
                    ("destination_workload", "mongodb-v1"),
                    ("destination_service", "mongodb.default.svc.cluster.local"),
                    ("destination_service_name", "mongodb"),
                    ("response_flags", "-"),
                ]),
                "{metric}: {:?}",
                sample.labels
            );
        }
    }
}
