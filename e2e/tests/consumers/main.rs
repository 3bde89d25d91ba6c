//! Queries of other tools: Kiali, Istio's Grafana dashboards and canary tools. A real Prometheus that scrapes bookinfo runs
//! them.
//!
//! The queries are unchanged, including their time windows: `rate` uses the available part of its window. Only Grafana's
//! `$__rate_interval` and `$interval` are replaced. Metrics that are not the proxy's are not queried: `container_*`
//! (cAdvisor), `galley_*`, and metrics in seconds, which Istio had before 1.5.

// clippy.toml does not exempt helpers outside of test functions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects, clippy::panic)]

mod canary;
mod eviction;
mod grafana;
mod kiali;
mod panel;

use std::time::{Duration, Instant};

use local_mesh::interrupt::Interrupt;
use local_mesh::topology::GatewayRoute;
use local_mesh::traffic::Sending;
use local_mesh::{envoy_filter, tools, Mesh, Options, PluginConfig, Request, Topology};
use serde_json::json;
use series::metric_name::{tag_regex, Separators};

use self::panel::{Panel, Returns, Table};

/// Services that some queries need and bookinfo does not have: a gRPC service, and a service without endpoints.
const BESIDES: &str = "
name: bookinfo
workloads:
  - { name: advice-v1, app: advice, version: v1, address: 127.1.0.10 }
  - { name: retired-v1, app: retired, address: 127.1.0.11 }
services:
  - { name: advice, port: 9080, protocol: grpc }
  - { name: retired, port: 9080, protocol: http }
";

/// An additional label that Kiali can aggregate by: `request_operation`, Istio's name for it.
const OPERATION: &str = r#"{
  "disable_host_header_fallback": true,
  "attributes": [{"output_attribute": "operation", "match": [
    {"condition": "request.url_path == '/productpage'", "value": "Page"},
    {"value": "Other"}
  ]}],
  "metrics": [{"name": "requests_total", "dimensions": {"request_operation": "operation"}}]
}"#;

/// Its bootstrap settings.
fn operation_tag() -> String {
    let regex = tag_regex("request_operation", &Separators::default());
    let tags = json!([{"tag_name": "request_operation", "regex": regex}]);
    let patch = json!({"operation": "MERGE", "value": {"stats_config": {"stats_tags": tags}}});
    envoy_filter(&json!({"applyTo": "BOOTSTRAP", "patch": patch}).to_string())
}

/// A gRPC message of three bytes.
const MESSAGE: &[u8] = b"\0\0\0\0\x03abc";

/// Time limit for all queries to have a result; usually ten seconds.
const WAIT: Duration = Duration::from_secs(60);

/// Checks that the traffic contains every reason for a missing answer, and a retry that failed.
const TRAFFIC: Table = Table {
    consumer: "traffic",
    returns: Returns::More,
    rows: &[
        ("overflow", r#"istio_requests_total{response_flags="UO"}"#, "source_workload"),
        ("no route", r#"istio_requests_total{response_flags="NR"}"#, "source_workload"),
        ("no endpoint", r#"istio_requests_total{response_flags="UH"}"#, "source_workload"),
        ("timeout", r#"istio_requests_total{response_flags="UT"}"#, "source_workload destination_workload"),
        ("retries", r#"istio_requests_total{response_flags="URX"}"#, "source_workload destination_workload"),
        ("outsider", r#"istio_requests_total{source_workload="unknown"}"#, "destination_workload"),
    ],
};

#[test]
fn every_query_of_a_consumer_returns_what_it_needs() {
    let mesh = start();
    let sending = Sending::start(&mesh, WAIT * 2).unwrap();
    let prometheus = mesh.prometheus().unwrap();
    let tables = [&[TRAFFIC][..], kiali::TABLES, grafana::TABLES, canary::TABLES].concat();
    let panels: Vec<Panel> = tables.iter().flat_map(Panel::of).collect();

    let end = Instant::now() + WAIT;
    let mut waiting: Vec<&Panel> = panels.iter().collect();
    while !waiting.is_empty() && Instant::now() < end {
        send_besides(&mesh);
        waiting.retain(|panel| !panel.has_data(&prometheus.query(&panel.query).unwrap()));
        std::thread::sleep(Duration::from_millis(300));
    }
    let mut problems: Vec<String> =
        waiting.iter().map(|panel| format!("{}\n    returns nothing: {}", panel.name, panel.query)).collect();
    // Again, all queries at once: more series exist now than when each query had its first result.
    prometheus.settle(&Interrupt::default());
    for panel in &panels {
        let samples = prometheus.query(&panel.query).unwrap();
        problems.extend(panel.problems(&samples).iter().map(|what| format!("{}\n    {what}", panel.name)));
    }
    let requests = prometheus.query("istio_requests_total").unwrap();
    let connections = prometheus.query("istio_tcp_sent_bytes_total").unwrap();
    for sample in requests.iter().chain(&connections) {
        // Kiali ignores samples of a source without its cluster, or with an address instead of a service. There must be
        // none here: neither for clients outside the mesh, nor for unanswered requests.
        let why = kiali::dropped(sample);
        problems.extend(why.map(|why| format!("Kiali drops a sample: {why}: {:?}", sample.labels)));
    }
    mesh.check().unwrap();
    assert_eq!(sending.failed(), 0, "requests without an answer");
    assert!(problems.is_empty(), "of {} queries:\n{}", panels.len(), problems.join("\n"));
}

/// Bookinfo with the additional services, and all EnvoyFilters in `envoy/`.
fn start() -> Mesh {
    let mut topology = Topology::bookinfo().unwrap();
    let besides = Topology::parse(BESIDES).unwrap();
    topology.services.extend(besides.services);
    // A service without a workload is not valid in a topology, so the workload is removed here.
    topology.workloads.extend(besides.workloads.into_iter().filter(|workload| workload.app != "retired"));
    let gateways = topology.workloads.iter_mut().filter_map(|workload| workload.gateway.as_mut());
    for gateway in gateways {
        gateway.routes.push(GatewayRoute { prefix: "/retired".to_owned(), to: "retired".to_owned() });
    }
    let operation = PluginConfig {
        workload: None,
        plugin: "telemetry_inbound".to_owned(),
        configuration: format!("{{\"stats\": {OPERATION}}}"),
    };
    let options = Options {
        filters: vec![tools::filters()],
        patches: vec![operation_tag()],
        plugins: vec![operation],
        prometheus: true,
        ..Options::default()
    };
    Mesh::start(topology, options).unwrap()
}

/// One request of each kind that bookinfo's own traffic does not contain.
fn send_besides(mesh: &Mesh) {
    let productpage = mesh.sidecar("productpage-v1").unwrap();
    let send = |request: &Request| mesh.client().send(request).unwrap().status;
    let call = Request::post(productpage.outbound(), "/echo", MESSAGE).host("advice:9080").http2();
    assert_eq!(send(&call.header("content-type", "application/grpc")), 200);
    let gateway = mesh.gateway("istio-ingressgateway").unwrap();
    assert_eq!(send(&Request::get(gateway, "/retired").host("bookinfo.example.com")), 503);
    assert_eq!(send(&Request::get(productpage.inbound(), "/status/200").host("productpage:9080")), 200);
}
