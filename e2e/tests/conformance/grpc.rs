//! gRPC: the status in headers or trailers, and messages while a stream is open.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use local_mesh::Update;
use tokio::runtime::Runtime;

use crate::calls::Caller;
use crate::grpc_server::{GrpcServer, DENIED};
use crate::scene::{Scene, Setting};

/// A server whose application is part of the test, and a service without a healthy endpoint (by [`ILL`]).
const CALLS: &str = "
name: shop
workloads:
  - { name: client-v1, app: client, version: v1, namespace: front, address: 127.1.0.1, calls: [server, ill] }
  - { name: server-v2, app: server, version: v2, namespace: back, address: 127.1.0.2, serve: false }
  - { name: ill-v1, app: ill, version: v1, address: 127.1.0.3, sidecar: false, serve: false }
services:
  - { name: server, namespace: back, port: 9080, protocol: grpc }
  - { name: ill, port: 9080, protocol: grpc }
";
const ILL: &str = "configPatches: [ { applyTo: CLUSTER,
    match: { context: SIDECAR_OUTBOUND, cluster: { service: ill.default.svc.cluster.local } },
    patch: { operation: MERGE_AND_REPLACE_LIST, value: {
      common_lb_config: { healthy_panic_threshold: { value: 0 } },
      load_assignment: { endpoints: [ { lb_endpoints: [ { health_status: UNHEALTHY,
        endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 1 } } } } ] } ] } } } } ]";

/// Longer than the reporting period of open streams in this test.
const TICK: Duration = Duration::from_millis(500);

/// A service that only the Host header names.
fn nameless(address: SocketAddr) -> String {
    format!(
        "configPatches: [
           {{ applyTo: VIRTUAL_HOST, match: {{ context: SIDECAR_OUTBOUND }}, patch: {{ operation: ADD, value: {{
             name: chat, domains: [chat.example], routes: [ {{ match: {{ prefix: / }}, route: {{ cluster: nameless }} }} ] }} }} }},
           {{ applyTo: CLUSTER, match: {{ context: SIDECAR_OUTBOUND }}, patch: {{ operation: ADD, value: {{
             name: nameless, type: STATIC, typed_extension_protocol_options: {{
               envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {{
                 '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions,
                 explicit_http_config: {{ http2_protocol_options: {{}} }} }} }},
             load_assignment: {{ cluster_name: nameless, endpoints: [ {{ lb_endpoints: [ {{
               endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }} }} ] }} ] }} }} }} }} ]",
        address.ip(),
        address.port()
    )
}

/// A mesh with a gRPC server and its clients.
struct Stage {
    scene: Scene,
    caller: Caller,
    _server: GrpcServer,
    _runtime: Runtime,
}

fn start(envoy: &str, setting: &Setting) -> Stage {
    let patches = [setting.patches, &[ILL]].concat();
    let scene = Setting { topology: CALLS, patches: &patches, ..*setting }.start(envoy);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let address = scene.mesh.topology().workload("server-v2").unwrap().address;
    let server = GrpcServer::start((address, 9080).into(), runtime.handle());
    let proxy = scene.mesh.sidecar("client-v1").unwrap().outbound();
    let caller = Caller { runtime: runtime.handle().clone(), proxy, host: "server.back:9080" };
    Stage { scene, caller, _server: server, _runtime: runtime }
}

pub fn calls_are_counted_with_their_status_and_messages(envoy: &str) {
    let mut stage = start(envoy, &Setting::default());
    let caller = stage.caller.clone();
    let scene = &mut stage.scene;
    scene.row(
        "a unary call: its status from the trailers, and one message each way between known peers",
        |_| assert_eq!(caller.unary("Unary"), "0"),
        r#"client-v1 istio_requests_total{request_protocol="grpc",response_code="200",grpc_response_status="0",response_flags="-"} 1
           client-v1 istio_request_messages_total{reporter="source",source_workload="client-v1",destination_workload="server-v2",destination_service="server.back.svc.cluster.local",labels="20"} 1
           client-v1 istio_response_messages_total{reporter="source",source_workload="client-v1",destination_workload="server-v2",destination_service="server.back.svc.cluster.local",labels="20"} 1
           server-v2 istio_requests_total{request_protocol="grpc",response_code="200",grpc_response_status="0",response_flags="-"} 1
           server-v2 istio_request_messages_total{reporter="destination",source_workload="client-v1",destination_workload="server-v2",labels="20"} 1
           server-v2 istio_response_messages_total{reporter="destination",source_workload="client-v1",destination_workload="server-v2",labels="20"} 1"#,
    );
    scene.row(
        "an error without a message has its status in the headers",
        |_| assert_eq!(caller.unary("Deny"), DENIED),
        r#"client-v1 istio_requests_total{request_protocol="grpc",response_code="200",grpc_response_status="7",response_flags="-"} 1
           client-v1 istio_response_messages_total 0
           server-v2 istio_requests_total{request_protocol="grpc",response_code="200",grpc_response_status="7",response_flags="-"} 1
           server-v2 istio_request_messages_total{source_workload="client-v1"} 1
           server-v2 istio_response_messages_total 0"#,
    );
    scene.row(
        "Envoy's own answer where no endpoint is healthy: 503 has become status 14",
        |_| assert_eq!(Caller { host: "ill.default:9080", ..caller.clone() }.unary("Unary"), "14"),
        r#"client-v1 istio_requests_total{request_protocol="grpc",response_code="200",grpc_response_status="14",response_flags="UH",destination_service_name="ill"} 1
           client-v1 istio_response_messages_total 0"#,
    );
    let reset = "DR";
    let cancelled = format!(
        r#"client-v1 istio_requests_total{{request_protocol="grpc",response_code="0",grpc_response_status="2",response_flags="{reset}"}} 1
           client-v1 istio_request_messages_total{{destination_workload="server-v2"}} 1
           client-v1 istio_response_messages_total 0
           server-v2 istio_requests_total{{request_protocol="grpc",response_code="0",grpc_response_status="2",response_flags="{reset}"}} 1
           server-v2 istio_request_messages_total{{source_workload="client-v1"}} 1"#
    );
    scene.row(
        "a call that the client's deadline ends has no status, but what it sent is counted",
        |_| caller.cancelled("Wait", Duration::from_millis(500)),
        &cancelled,
    );
}

pub fn open_streams_are_seen(envoy: &str) {
    let period = r#"{"tcp_reporting_duration": "200ms"}"#;
    let mut stage = start(envoy, &Setting { outbound: period, inbound: period, ..Setting::default() });
    let caller = stage.caller.clone();
    let scene = &mut stage.scene;
    let mut call = scene.row(
        "the messages of an open stream are seen while it is open, between known peers; the request is not",
        |_| {
            let mut call = caller.begin("Chat");
            call.send();
            call.send();
            call.receive(3);
            call
        },
        r#"client-v1 istio_request_messages_total{source_workload="client-v1",destination_workload="server-v2",destination_app="server",destination_principal="spiffe://cluster.local/ns/back/sa/shop-server"} 3
           client-v1 istio_response_messages_total{source_workload="client-v1",destination_workload="server-v2",destination_app="server",destination_principal="spiffe://cluster.local/ns/back/sa/shop-server"} 3
           client-v1 istio_requests_total 0
           server-v2 istio_request_messages_total{source_workload="client-v1",source_app="client",source_principal="spiffe://cluster.local/ns/front/sa/shop-client",destination_workload="server-v2"} 3
           server-v2 istio_response_messages_total{source_workload="client-v1",source_app="client",source_principal="spiffe://cluster.local/ns/front/sa/shop-client",destination_workload="server-v2"} 3
           server-v2 istio_requests_total 0"#,
    );
    scene.row(
        "and then those that came since",
        |_| {
            call.send();
            call.send();
            call.receive(2);
        },
        r#"client-v1 istio_request_messages_total{destination_workload="server-v2"} 2
           client-v1 istio_response_messages_total{destination_workload="server-v2"} 2
           server-v2 istio_request_messages_total{source_workload="client-v1"} 2
           server-v2 istio_response_messages_total{source_workload="client-v1"} 2"#,
    );
    scene.row(
        "at the end the rest is added, and the request counted once",
        |_| {
            call.send();
            assert_eq!(call.end(), "0");
        },
        r#"client-v1 istio_request_messages_total{destination_workload="server-v2"} 1
           client-v1 istio_requests_total{request_protocol="grpc",grpc_response_status="0",destination_workload="server-v2"} 1
           server-v2 istio_response_messages_total{source_workload="client-v1"} 1
           server-v2 istio_requests_total{request_protocol="grpc",grpc_response_status="0",source_workload="client-v1"} 1"#,
    );
    // A standard label, because one without an expression in the bootstrap would stay in the metric's name.
    let engine = r#"{"tcp_reporting_duration": "200ms",
        "metrics": [{"dimensions": {"source_version": "'<' + request.method + '>'"}}]}"#;
    assert_eq!(scene.push("client-v1", "stats_outbound", engine), Update::Accepted);
    let mut call = scene.row(
        "with a label of the engine, which cannot be asked on a timer, an open stream is not seen",
        |_| {
            let mut call = caller.begin("Chat");
            call.receive(1);
            std::thread::sleep(TICK);
            call
        },
        r#"client-v1 istio_request_messages_total 0
           server-v2 istio_request_messages_total{source_workload="client-v1"} 1"#,
    );
    scene.row(
        "but at its end whole",
        |_| {
            call.send();
            assert_eq!(call.end(), "0");
        },
        r#"client-v1 istio_request_messages_total{source_version="<POST>"} 2
           client-v1 istio_response_messages_total{source_version="<POST>"} 2
           server-v2 istio_request_messages_total{source_workload="client-v1"} 1"#,
    );
}

pub fn open_streams_have_the_labels_of_their_request(envoy: &str) {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let nameless = nameless(free);
    let setting = Setting {
        outbound: r#"{"tcp_reporting_duration": "200ms",
            "metrics": [{"dimensions": {"asked_path": "request.url_path"}}]}"#,
        patches: &[&nameless],
        ..Setting::default()
    };
    let mut stage = start(envoy, &setting);
    let caller = stage.caller.clone();
    let _pod = GrpcServer::start(free, &caller.runtime);
    let scene = &mut stage.scene;
    scene.row(
        "the Host header names a service that has no other name, while the stream is open and at its end",
        |_| {
            let mut call = Caller { host: "chat.example", ..caller.clone() }.begin("Chat");
            call.receive(1);
            std::thread::sleep(TICK);
            call.send();
            assert_eq!(call.end(), "0");
        },
        r#"client-v1 istio_requests_total{destination_service="chat.example"} 1
           client-v1 istio_request_messages_total{destination_service="chat.example"} 2"#,
    );
    scene.row(
        "an attribute of the request is the label of its messages, while the stream is open and at its end",
        |_| {
            let mut call = caller.begin("Chat");
            call.receive(1);
            std::thread::sleep(TICK);
            call.send();
            assert_eq!(call.end(), "0");
        },
        r#"client-v1 istio_requests_total{asked_path="/test.Echo/Chat"} 1
           client-v1 istio_request_messages_total{asked_path="/test.Echo/Chat"} 2"#,
    );
}
