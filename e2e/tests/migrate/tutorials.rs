//! Metrics of users' configurations.

use crate::{get, labels, only_series, series, start, status, SIDES};

const DOUBLE: &str = include_str!("../../../tools/mixer-migrate/testdata/tutorials/double-request-count.yaml");
const CUSTOMER: &str = include_str!("../../../tools/mixer-migrate/testdata/tutorials/customer-request-count.yaml");

/// Mixer's proxies reported a request on both sides, and no label tells the side.
pub fn requests_are_counted_twice(envoy: &str) {
    let mesh = start(envoy, DOUBLE);
    for sent in 1..=3 {
        assert_eq!(status(&mesh, get(&mesh, "/status/200")), 200);
        for workload in SIDES {
            let sample = only_series(&mesh, workload, "istio_double_request_count", f64::from(2 * sent));
            let expected = [
                ("source", "unknown"),
                ("destination", "reviews.default.svc.cluster.local"),
                ("message", "twice the fun!"),
            ];
            assert_eq!((sample.labels, sample.value), (labels(expected), f64::from(2 * sent)), "{workload}");
        }
    }
    // Nothing else is counted, because the configuration has no other metric.
    let others = mesh.sidecar("reviews-v2").unwrap().metric("istio_requests_total").unwrap();
    assert_eq!(others, []);
}

pub fn requests_have_the_customer_s_labels(envoy: &str) {
    let mesh = start(envoy, CUSTOMER);
    for (path, code) in [("/status/200?q=1", 200), ("/status/418", 418)] {
        assert_eq!(status(&mesh, get(&mesh, path).header("user-agent", "browser/7")), code);
    }
    for workload in SIDES {
        let samples = series(&mesh, workload, "istio_customer_request_count", 2.0);
        let mut seen: Vec<_> = samples.into_iter().map(|sample| (sample.labels, sample.value)).collect();
        seen.sort_by_key(|(labels, _)| labels["code"].clone());
        let expected = |path, code| {
            let labels = labels([
                ("method", "GET"),
                ("path", path),
                ("useragent", "browser/7"),
                ("destination", "reviews"),
                ("code", code),
            ]);
            (labels, 1.0)
        };
        assert_eq!(seen, [expected("/status/200?q=1", "200"), expected("/status/418", "418")], "{workload}");
    }
}

/// Mixer dropped reports without a label that has no fallback: here, those of the caller's side.
pub fn services_and_callers_are_in_conditions(envoy: &str) {
    let named = DOUBLE.replace("source.service | \"unknown\"", "source.principal").replace(
        "  actions:",
        "  match: context.protocol == \"http\" && destination.service.name == \"reviews\"\n  actions:",
    );
    assert!(named.contains("source: source.principal\n") && named.contains("match:"), "{named}");
    let mesh = start(envoy, &named);
    assert_eq!(status(&mesh, get(&mesh, "/status/200")), 200);
    let sample = only_series(&mesh, "reviews-v2", "istio_double_request_count", 2.0);
    let expected = [
        ("source", "cluster.local/ns/default/sa/bookinfo-productpage"),
        ("destination", "reviews.default.svc.cluster.local"),
        ("message", "twice the fun!"),
    ];
    assert_eq!(sample.labels, labels(expected));
    let of_caller = mesh.sidecar("productpage-v1").unwrap().metric("istio_double_request_count").unwrap();
    assert_eq!(of_caller, []);
}

/// A destination that is not a service has the name of Istio's cluster for it, also in an expression.
pub fn strangers_have_the_cluster_s_name(envoy: &str) {
    let named = DOUBLE.replace(
        "source.service | \"unknown\"",
        "conditional((destination.service.name | \"none\") == \"PassthroughCluster\", \"outside\", \"mesh\")",
    );
    let mesh = start(envoy, &named);
    status(&mesh, get(&mesh, "/status/200"));
    status(&mesh, get(&mesh, "/status/200").host("api.example.com"));
    let mut sources: Vec<String> = series(&mesh, "productpage-v1", "istio_double_request_count", 4.0)
        .into_iter()
        .map(|sample| sample.labels["source"].clone())
        .collect();
    sources.sort();
    assert_eq!(sources, ["mesh", "outside"]);
}
