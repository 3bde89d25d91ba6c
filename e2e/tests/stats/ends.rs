//! However a request ends, each side that saw it counts it once.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use local_mesh::Mesh;

use crate::{expect_requests, get, pair, patched, start, status, PAIR, SERVER, WAIT};

/// The labels that describe how a request ended.
const END: [&str; 5] = ["reporter", "source_workload", "destination_workload", "response_code", "response_flags"];

/// Filters that answer if a header asks for it: the first is before all others, the second after metadata exchange.
const TEAPOT: &str = "{ applyTo: HTTP_FILTER,
    match: { context: SIDECAR_OUTBOUND,
      listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager } } } },
    patch: { operation: INSERT_FIRST, value: { name: teapot, typed_config: {
      '@type': type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua,
      default_source_code: { inline_string: 'function envoy_on_request(h)
        if h:headers():get(\"teapot\") then h:respond({[\":status\"] = \"418\"}, \"\") end end' } } } } }";
const DENIAL: &str = "{ applyTo: HTTP_FILTER,
    match: { context: SIDECAR_INBOUND, listener: { filterChain: { filter: {
      name: envoy.filters.network.http_connection_manager, subFilter: { name: remixer.telemetry } } } } },
    patch: { operation: INSERT_AFTER, value: { name: envoy.filters.http.rbac, typed_config: {
      '@type': type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC,
      rules: { action: DENY, policies: { all: { principals: [ { any: true } ],
        permissions: [ { header: { name: denied, present_match: true } } ] } } } } } } }";

/// Istio's own fault filter, controlled by headers.
const FAULT: &str = "{ applyTo: HTTP_FILTER,
    match: { context: SIDECAR_OUTBOUND, listener: { filterChain: { filter: {
      name: envoy.filters.network.http_connection_manager, subFilter: { name: envoy.filters.http.fault } } } } },
    patch: { operation: MERGE, value: { typed_config: {
      '@type': type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault,
      abort: { header_abort: {}, percentage: { numerator: 100 } },
      delay: { header_delay: {}, percentage: { numerator: 100 } } } } } }";

/// Services that cannot be reached, each for another reason: the sidecar is dead, there is no application, the circuit
/// breaker is open, no endpoint is healthy (by [`ILL`]), the cluster does not exist (by [`GONE`]).
const UNREACHABLE: &str = "
name: shop
workloads:
  - { name: client-v1, app: client, version: v1, address: 127.1.0.1, calls: [dead, idle, full, ill, gone] }
  - { name: dead-v2, app: dead, version: v2, namespace: back, address: 127.1.0.2 }
  - { name: idle-v1, app: idle, version: v1, address: 127.1.0.3, serve: false }
  - { name: full-v1, app: full, version: v1, address: 127.1.0.4, sidecar: false }
  - { name: ill-v1, app: ill, version: v1, address: 127.1.0.5, sidecar: false, serve: false }
  - { name: gone-v1, app: gone, version: v1, address: 127.1.0.6, sidecar: false, serve: false }
services:
  - { name: dead, namespace: back, port: 9080, protocol: http }
  - { name: idle, port: 9080, protocol: http }
  - { name: full, port: 9080, protocol: http, connectionPool: { maxRequests: 0 } }
  - { name: ill, port: 9080, protocol: http }
  - { name: gone, port: 9080, protocol: http }
";
const ILL: &str = "{ applyTo: CLUSTER,
    match: { context: SIDECAR_OUTBOUND, cluster: { service: ill.default.svc.cluster.local } },
    patch: { operation: MERGE_AND_REPLACE_LIST, value: {
      common_lb_config: { healthy_panic_threshold: { value: 0 } },
      load_assignment: { endpoints: [ { lb_endpoints: [ { health_status: UNHEALTHY,
        endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 1 } } } } ] } ] } } } }";
const GONE: &str = "{ applyTo: CLUSTER,
    match: { context: SIDECAR_OUTBOUND, cluster: { service: gone.default.svc.cluster.local } },
    patch: { operation: REMOVE } }";

/// A connection with a request in progress. Dropping it closes it.
fn begin(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {SERVER}\r\n\r\n").unwrap();
    stream
}

fn served(mesh: &Mesh) -> u64 {
    mesh.application("server-v2").unwrap().served()
}

#[test]
fn another_filter_answers() {
    let mesh = pair(&[TEAPOT, DENIAL, FAULT]);
    let with = |name: &str, value: &str| get(&mesh, "/status/200").header(name, value);
    let abort = "x-envoy-fault-abort-request";
    let delay = "x-envoy-fault-delay-request";
    for (request, expected) in [
        (with("teapot", "1"), 418),
        (with("denied", "1"), 403),
        (with(abort, "429"), 429),
        (with(delay, "20"), 200),
        (with(delay, "20").header(abort, "500"), 500),
    ] {
        assert_eq!(status(&mesh, request), expected);
    }
    let expected = [
        ("source client-v1 unknown 418 -", 1),
        ("source client-v1 server-v2 403 -", 1),
        ("source client-v1 unknown 429 FI", 1),
        ("source client-v1 server-v2 200 DI", 1),
        ("source client-v1 unknown 500 DI,FI", 1),
    ];
    expect_requests(&mesh, "client-v1", &END, &expected);
    let expected = [("destination client-v1 server-v2 403 -", 1), ("destination client-v1 server-v2 200 -", 1)];
    expect_requests(&mesh, "server-v2", &END, &expected);
}

#[test]
fn the_service_cannot_be_reached() {
    let mesh = patched(UNREACHABLE, &[ILL, GONE]);
    mesh.sidecar("dead-v2").unwrap().kill();
    for host in ["dead.back:9080", "idle:9080", "full:9080", "ill:9080", "gone:9080"] {
        assert_eq!(status(&mesh, get(&mesh, "/status/200").host(host)), 503);
    }
    let labels = [
        "destination_service",
        "destination_workload",
        "destination_workload_namespace",
        "destination_app",
        "destination_version",
        "destination_canonical_service",
        "destination_canonical_revision",
        "destination_cluster",
        "destination_service_namespace",
        "response_flags",
    ];
    // A sidecar that never answered is known from its endpoint, except app and version. Two retries are one request.
    let expected = [
        ("dead.back.svc.cluster.local dead-v2 back unknown unknown dead v2 Kubernetes back UF,URX", 1),
        ("idle.default.svc.cluster.local idle-v1 default idle v1 idle v1 Kubernetes default -", 1),
        ("full.default.svc.cluster.local unknown unknown unknown unknown unknown latest unknown default UO", 1),
        ("ill.default.svc.cluster.local unknown unknown unknown unknown unknown latest unknown default UH", 1),
        ("gone:9080 unknown unknown unknown unknown unknown latest unknown unknown NC", 1),
    ];
    expect_requests(&mesh, "client-v1", &labels, &expected);
    expect_requests(&mesh, "idle-v1", &END, &[("destination client-v1 idle-v1 503 UF", 1)]);
}

#[test]
fn the_application_breaks_off() {
    let mesh = pair(&[]);
    assert_eq!(status(&mesh, get(&mesh, "/reset")), 503);
    mesh.client().send(&get(&mesh, "/truncate")).unwrap_err();
    let expected = [("source client-v1 server-v2 503 -", 1), ("source client-v1 server-v2 200 UPE", 1)];
    expect_requests(&mesh, "client-v1", &END, &expected);
    let expected = [("destination client-v1 server-v2 503 UC", 1), ("destination client-v1 server-v2 200 UPE", 1)];
    expect_requests(&mesh, "server-v2", &END, &expected);
}

#[test]
fn the_client_leaves_or_does_not_speak_http() {
    let mesh = pair(&[]);
    let before_headers = begin(mesh.sidecar("client-v1").unwrap().outbound(), "/delay/5000");
    local_mesh::wait_until(WAIT, || served(&mesh) == 1).unwrap();
    drop(before_headers);
    let mut in_the_body = begin(mesh.sidecar("client-v1").unwrap().outbound(), "/bytes/30000000");
    in_the_body.read_exact(&mut [0; 1000]).unwrap();
    drop(in_the_body);
    for address in [mesh.sidecar("client-v1").unwrap().outbound(), mesh.sidecar("server-v2").unwrap().inbound()] {
        let answer = mesh.client().raw(address, b"what is this?\r\n\r\n", WAIT).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    }
    let expected = [
        ("source client-v1 server-v2 0 DC", 1),
        ("source client-v1 server-v2 200 DC", 1),
        ("source client-v1 unknown 400 DPE", 1),
    ];
    expect_requests(&mesh, "client-v1", &END, &expected);
    let expected = [
        ("destination client-v1 server-v2 0 DC", 1),
        ("destination client-v1 server-v2 200 DC", 1),
        ("destination unknown server-v2 400 DPE", 1),
    ];
    expect_requests(&mesh, "server-v2", &END, &expected);
}

#[test]
fn the_client_resets_its_http2_stream() {
    let mesh = start(&PAIR.replace("protocol: http", "protocol: grpc"), |_| {});
    let hasty = get(&mesh, "/delay/5000").http2().timeout(Duration::from_secs(1));
    mesh.client().send(&hasty).unwrap_err();
    expect_requests(&mesh, "client-v1", &END, &[("source client-v1 server-v2 0 DR", 1)]);
    expect_requests(&mesh, "server-v2", &END, &[("destination client-v1 server-v2 0 DR", 1)]);
}

#[test]
fn time_or_retries_run_out() {
    let limits = "protocol: http, timeout: 1s, retries: { attempts: 2, on: 5xx }";
    let mesh = start(&PAIR.replace("protocol: http", limits), |_| {});
    assert_eq!(status(&mesh, get(&mesh, "/status/503")), 503);
    assert_eq!(status(&mesh, get(&mesh, "/delay/5000")), 504);
    let expected = [("source client-v1 server-v2 503 URX", 1), ("source client-v1 server-v2 504 UT", 1)];
    expect_requests(&mesh, "client-v1", &END, &expected);
    // The server saw each try, and that the client's proxy left.
    let expected = [("destination client-v1 server-v2 503 -", 3), ("destination client-v1 server-v2 0 DC", 1)];
    expect_requests(&mesh, "server-v2", &END, &expected);
}
