//! A series that Envoy counts goes while it is idle, and begins at zero again. Prometheus takes that for a reset.

use std::time::{Duration, Instant};

use e2e::pair::{get, status, PAIR};
use local_mesh::{envoy_filter, tools, wait_until, Mesh, Options, Topology};

use crate::WAIT;

/// Much longer than Prometheus needs to see a request, also on a busy machine.
const EVICTION: &str = "{applyTo: BOOTSTRAP, patch: {operation: MERGE, value: {stats_eviction_interval: 10s}}}";

const REQUESTS: &str = r#"istio_requests_total{reporter="source"}"#;

#[test]
fn an_increase_over_evictions_counts_every_request_after_the_first_scrape() {
    let options = Options {
        filters: vec![tools::filters().join("envoy-counts/telemetry.yaml")],
        patches: vec![envoy_filter(EVICTION)],
        prometheus: true,
        ..Options::default()
    };
    let mesh = Mesh::start(Topology::parse(PAIR).unwrap(), options).unwrap();
    let prometheus = mesh.prometheus().unwrap();
    let value = |query: &str| prometheus.query(query).unwrap().first().map(|sample| sample.value);
    let begin = Instant::now();
    let send = |number: u32| {
        for _ in 0..number {
            assert_eq!(status(&mesh, get(&mesh, "/status/200")), 200);
        }
    };
    for _ in 0..2 {
        send(5);
        wait_until(WAIT, || value(REQUESTS) == Some(5.0)).unwrap();
        send(15);
        wait_until(WAIT, || value(REQUESTS) == Some(20.0)).unwrap();
        wait_until(WAIT, || value(REQUESTS).is_none()).unwrap();
    }
    let window = (begin.elapsed() + Duration::from_secs(5)).as_secs();
    assert_eq!(value(&format!("resets({REQUESTS}[{window}s])")), Some(1.0));
    // Nobody knows what a series had when it was seen first. Beside that, Prometheus adds up to one interval between two samples at
    // each end, of which there are more than ten.
    let increase = value(&format!("increase({REQUESTS}[{window}s])")).unwrap();
    assert!((35.0..=40.0).contains(&increase), "{increase}");
}
