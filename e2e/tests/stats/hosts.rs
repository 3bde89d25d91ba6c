//! The sources of `destination_service`, and where the Host header is not used.

use std::collections::BTreeSet;

use local_mesh::{envoy_filter, Request};

use crate::{expect_requests, get, outside, patched, start, stats_outbound, status, SERVER};

const SERVICE: [&str; 4] =
    ["destination_service", "destination_service_name", "destination_service_namespace", "response_code"];

/// Hosts that routes know but that are not services of the mesh: one is blocked as in Istio with `REGISTRY_ONLY`, one goes
/// to Istio's cluster for this, and one to a cluster without metadata.
const BLOCKED: &str = "{ applyTo: VIRTUAL_HOST, match: { context: SIDECAR_OUTBOUND }, patch: { operation: ADD, value: {
    name: block_all, domains: [blocked.example], routes: [
      { name: block_all, match: { prefix: / }, direct_response: { status: 502 } } ] } } }";
const BLACK_HOLE: &str = "{ applyTo: VIRTUAL_HOST, match: { context: SIDECAR_OUTBOUND }, patch: { operation: ADD, value: {
    name: hole, domains: [hole.example], routes: [ { match: { prefix: / }, route: { cluster: BlackHoleCluster } } ] } } }";
const NAMELESS: [&str; 2] = [
    "{ applyTo: VIRTUAL_HOST, match: { context: SIDECAR_OUTBOUND }, patch: { operation: ADD, value: {
        name: nameless, domains: ['api.example:8443'], routes: [ { match: { prefix: / }, route: { cluster: nameless } } ] } } }",
    "{ applyTo: CLUSTER, match: { context: SIDECAR_OUTBOUND },
        patch: { operation: ADD, value: { name: nameless, type: STATIC } } }",
];

/// A request that was not for this proxy's service.
const INBOUND_PASSTHROUGH: &str = "{ applyTo: HTTP_ROUTE,
    match: { context: SIDECAR_INBOUND, routeConfiguration: { vhost: { route: { name: default } } } },
    patch: { operation: MERGE, value: { route: { cluster: InboundPassthroughCluster } } } }";

#[test]
fn a_gateway_reports_as_source_and_takes_no_label_from_the_host() {
    let gate = "{ name: gate-v1, app: gate, version: v1, namespace: edge, address: 127.1.0.9,
        gateway: { port: 8080, routes: [ { prefix: /status, to: server } ] } }";
    let topology = outside("client-v1").replace("workloads:", &format!("workloads:\n  - {gate}"));
    let mesh = start(&topology, |_| {});
    for path in ["/status/200", "/elsewhere"] {
        for host in ["shop.example", "evil.example"] {
            let request = Request::get(mesh.gateway("gate-v1").unwrap(), path).host(host);
            mesh.client().send(&request).unwrap();
        }
    }
    let labels = [
        "reporter",
        "source_workload",
        "source_workload_namespace",
        "source_app",
        "source_principal",
        "destination_workload",
        "destination_service",
        "destination_service_name",
        "destination_service_namespace",
        "response_code",
        "response_flags",
    ];
    let identity = "spiffe://cluster.local/ns/edge/sa/shop-gate";
    let known =
        format!("source gate-v1 edge gate {identity} server-v2 server.back.svc.cluster.local server back 200 -");
    let nowhere = "source gate-v1 edge gate unknown unknown unknown unknown unknown 404 NR";
    expect_requests(&mesh, "gate-v1", &labels, &[(&known, 2), (nowhere, 2)]);
    let labels = ["source_workload", "source_principal", "destination_service", "connection_security_policy"];
    let seen = format!("gate-v1 {identity} server.back.svc.cluster.local mutual_tls");
    expect_requests(&mesh, "server-v2", &labels, &[(&seen, 2)]);
}

#[test]
fn a_host_makes_no_label_on_the_way_in() {
    let mesh = patched(&outside("client-v1"), &[INBOUND_PASSTHROUGH]);
    let to = format!("{}:9080", mesh.topology().workload("server-v2").unwrap().address);
    for host in ["server.back:9080", "evil.example", "other.example"] {
        let request = Request::get(mesh.sidecar("server-v2").unwrap().inbound(), "/status/200").host(host);
        assert_eq!(status(&mesh, request.header("x-envoy-original-dst-host", &to)), 200);
    }
    expect_requests(&mesh, "server-v2", &SERVICE, &[("server InboundPassthroughCluster back 200", 3)]);
}

#[test]
fn each_kind_of_destination_outside_the_mesh_has_its_name_on_the_way_out() {
    let topology = outside("server-v2").replace("protocol: http", "protocol: http, external: true");
    let mesh = patched(&topology, &[&[BLOCKED, BLACK_HOLE][..], &NAMELESS].concat());
    let application = format!("{}:9080", mesh.topology().workload("server-v2").unwrap().address);
    for (host, expected) in [
        (SERVER, 200),
        ("example.com:81", 200),
        ("blocked.example", 502),
        ("hole.example", 503),
        ("api.example:8443", 503),
    ] {
        // A redirected connection would have had this itself.
        let request = get(&mesh, "/status/200").host(host).header("x-envoy-original-dst-host", &application);
        assert_eq!(status(&mesh, request), expected, "{host}");
    }
    let mut labels = SERVICE.to_vec();
    labels.extend(["destination_workload", "destination_principal", "destination_canonical_revision"]);
    let expected = [
        ("server.back.svc.cluster.local server back 200 unknown unknown latest", 1),
        ("example.com:81 PassthroughCluster unknown 200 unknown unknown latest", 1),
        ("blocked.example BlackHoleCluster unknown 502 unknown unknown latest", 1),
        ("hole.example BlackHoleCluster unknown 503 unknown unknown latest", 1),
        ("api.example:8443 api.example:8443 unknown 503 unknown unknown latest", 1),
    ];
    expect_requests(&mesh, "client-v1", &labels, &expected);
}

#[test]
fn without_the_fallback_no_host_makes_a_label_on_the_way_out() {
    let mesh = start(&outside("server-v2"), |options| {
        options.patches = NAMELESS.map(envoy_filter).to_vec();
        options.plugins = vec![stats_outbound(r#"{"disable_host_header_fallback": true}"#)];
    });
    for host in ["api.example:8443", "example.com", SERVER] {
        mesh.client().send(&get(&mesh, "/status/200").host(host)).unwrap();
    }
    let expected = [
        ("unknown unknown unknown 503", 1),
        ("unknown PassthroughCluster unknown 503", 1),
        ("server.back.svc.cluster.local server back 200", 1),
    ];
    expect_requests(&mesh, "client-v1", &SERVICE, &expected);
}

#[test]
fn a_host_is_one_series_whichever_way_it_is_written() {
    let mesh = start(&outside("server-v2"), |options| {
        options.plugins = vec![stats_outbound(r#"{"disable_host_header_fallback": false}"#)];
    });
    let hosts = [
        "api.partner.example",
        "API.Partner.example",
        "api.partner.example.",
        "a.example",
        "a.example..",
        "a.example;",
    ];
    for host in hosts {
        assert_eq!(status(&mesh, get(&mesh, "/").host(host)), 503, "{host}");
    }
    let expected = [
        ("api.partner.example PassthroughCluster unknown 503", 3),
        ("a.example PassthroughCluster unknown 503", 2),
        ("a.example; PassthroughCluster unknown 503", 1),
    ];
    expect_requests(&mesh, "client-v1", &SERVICE, &expected);
    // Of two samples with the same labels, Prometheus drops one.
    let samples = mesh.sidecar("client-v1").unwrap().stats().unwrap();
    let mut seen = BTreeSet::new();
    for sample in samples.iter().filter(|sample| sample.name.starts_with("istio_")) {
        assert!(seen.insert((&sample.name, &sample.labels)), "twice: {sample:?}");
    }
}
