//! Labels in other meshes: names of services from clusters, and workloads with little metadata.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use local_mesh::RawServer;

use crate::scene::{get_from, status, Setting};

/// A service with two versions, one with several names, one without a name, and one with HTTP/2.
const SERVICES: &str = "
name: shop
workloads:
  - { name: client-v1, app: client, version: v1, address: 127.1.0.1, calls: [books, many, bare, two] }
  - { name: books-v1, app: books, version: v1, address: 127.1.0.2 }
  - { name: many-v1, app: many, version: v1, address: 127.1.0.3, sidecar: false }
  - { name: bare-v1, app: bare, version: v1, address: 127.1.0.4, sidecar: false }
  - { name: two-v1, app: two, version: v1, address: 127.1.0.5 }
  - { name: books-v2, app: books, version: v2, address: 127.1.0.6 }
services:
  - name: books
    port: 9080
    protocol: http
    subsets: { old: { version: v1 }, new: { version: v2 } }
    routes: [ { headers: { end-user: jason }, to: { new: 100 } }, { to: { old: 100 } } ]
  - { name: many, port: 9080, protocol: http }
  - { name: bare, port: 9080, protocol: http }
  - { name: two, port: 9080, protocol: grpc }
";
const MANY: &str = "configPatches: [ { applyTo: CLUSTER,
    match: { context: SIDECAR_OUTBOUND, cluster: { service: many.default.svc.cluster.local } },
    patch: { operation: MERGE, value: { metadata: { filter_metadata: { istio: { services: [
      { host: first.example, name: first, namespace: one },
      { host: second.example, name: second, namespace: two } ] } } } } } } ]";
const BARE: &str = "configPatches: [ { applyTo: CLUSTER,
    match: { context: SIDECAR_OUTBOUND, cluster: { service: bare.default.svc.cluster.local } },
    patch: { operation: MERGE, value: { metadata: { filter_metadata: { istio: { other: 1 } } } } } } ]";
/// A cluster without metadata, as istiod generates it for a ServiceEntry.
const ENTRY: &str = "configPatches: [
    { applyTo: VIRTUAL_HOST, match: { context: SIDECAR_OUTBOUND }, patch: { operation: ADD, value: {
      name: api, domains: [api.example], routes: [
        { match: { prefix: / }, route: { cluster: 'outbound|443|v1|api.example.com' } } ] } } },
    { applyTo: CLUSTER, match: { context: SIDECAR_OUTBOUND },
      patch: { operation: ADD, value: { name: 'outbound|443|v1|api.example.com', type: STATIC } } } ]";

pub fn services_are_named_by_their_clusters(envoy: &str) {
    let setting = Setting { topology: SERVICES, patches: &[MANY, BARE, ENTRY], ..Setting::default() };
    let mut scene = setting.start(envoy);
    scene.row(
        "a subset is the service, and its workload is told by the labels of the workload",
        |mesh| {
            assert_eq!(status(mesh, get_from(mesh, "books:9080", "/status/200")), 200);
            assert_eq!(status(mesh, get_from(mesh, "books:9080", "/status/200").header("end-user", "jason")), 200);
        },
        r#"client-v1 istio_requests_total{destination_service="books.default.svc.cluster.local",destination_service_name="books",destination_workload="books-v1",destination_version="v1"} 1
           client-v1 istio_requests_total{destination_service="books.default.svc.cluster.local",destination_service_name="books",destination_workload="books-v2",destination_version="v2"} 1"#,
    );
    scene.row(
        "of several services of a cluster, the first counts",
        |mesh| assert_eq!(status(mesh, get_from(mesh, "many:9080", "/status/200")), 200),
        r#"client-v1 istio_requests_total{destination_service="first.example",destination_service_name="first",destination_service_namespace="one"} 1"#,
    );
    scene.row(
        "without metadata, Istio's name of the cluster tells the service: in Kubernetes with name and namespace",
        |mesh| assert_eq!(status(mesh, get_from(mesh, "bare:9080", "/status/200")), 200),
        r#"client-v1 istio_requests_total{destination_service="bare.default.svc.cluster.local",destination_service_name="bare",destination_service_namespace="default"} 1"#,
    );
    scene.row(
        "and elsewhere by its host alone, whatever the Host header says",
        |mesh| assert_eq!(status(mesh, get_from(mesh, "api.example", "/status/200")), 503),
        r#"client-v1 istio_requests_total{destination_service="api.example.com",destination_service_name="api.example.com",destination_service_namespace="unknown"} 1"#,
    );
    scene.row(
        "HTTP/1.1 that becomes HTTP/2 on its way is http, and its client and server are known",
        |mesh| assert_eq!(status(mesh, get_from(mesh, "two:9080", "/status/200")), 200),
        r#"client-v1 istio_requests_total{destination_workload="two-v1",request_protocol="http",grpc_response_status="",connection_security_policy="unknown"} 1
           two-v1 istio_requests_total{source_workload="client-v1",request_protocol="http",grpc_response_status="",connection_security_policy="mutual_tls"} 1"#,
    );
    scene.row(
        "and so is HTTP/2 that becomes HTTP/1.1",
        |mesh| {
            let request = local_mesh::Request::get(mesh.sidecar("client-v1").unwrap().outbound(), "/status/200");
            assert_eq!(status(mesh, request.http2().host("books:9080")), 200);
        },
        r#"client-v1 istio_requests_total{destination_workload="books-v1",request_protocol="http",response_flags="-"} 1
           books-v1 istio_requests_total{source_workload="client-v1",request_protocol="http",response_flags="-"} 1"#,
    );
}

/// A client with little metadata from the control plane, and servers with little metadata.
const STRANGERS: &str = "
name: shop
workloads:
  - { name: client-v1, app: client, address: 127.1.0.1, calls: [named, silent, plain],
      labels: { app: '', service.istio.io/canonical-name: '', service.istio.io/canonical-revision: '', role: any } }
  - { name: named-v3, app: named, version: v3, address: 127.1.0.2,
      labels: { service.istio.io/canonical-name: catalogue, service.istio.io/canonical-revision: stable } }
  - { name: silent-v1, app: silent, address: 127.1.0.3, sidecar: false, serve: false }
  - { name: plain-v1, app: plain, version: v1, namespace: back, address: 127.1.0.4 }
services:
  - { name: named, port: 9080, protocol: http }
  - { name: silent, port: 9080, protocol: http }
  - { name: plain, namespace: back, port: 9080, protocol: http }
";
/// The mesh without TLS between its workloads.
const PLAINTEXT: &str = "configPatches: [ { applyTo: CLUSTER,
    match: { context: SIDECAR_OUTBOUND, cluster: { service: plain.back.svc.cluster.local } },
    patch: { operation: MERGE_AND_REPLACE_LIST, value: { transport_socket_matches: [ { name: plain, match: {},
      transport_socket: { name: envoy.transport_sockets.raw_buffer, typed_config: {
        '@type': type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer } } } ] } } } ]";

pub fn workloads_are_named_by_what_is_known_of_them(envoy: &str) {
    // A pod without a sidecar. istiod describes its endpoint like any other.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let _pod = RawServer::start(free, |mut stream| {
        let mut request = [0; 4096];
        if stream.read(&mut request).is_ok() {
            // The server ignores clients that have left.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    })
    .unwrap();
    let described = described_endpoint(free);
    let setting = Setting { topology: STRANGERS, patches: &[&described, PLAINTEXT], ..Setting::default() };
    let mut scene = setting.start(envoy);
    scene.row(
        "canonical names are labels of their own; without them the workload's name and `latest`, on both sides",
        |mesh| assert_eq!(status(mesh, get_from(mesh, "named:9080", "/status/200")), 200),
        r#"client-v1 istio_requests_total{source_app="unknown",source_version="unknown",source_canonical_service="client-v1",source_canonical_revision="latest",destination_app="named",destination_version="v3",destination_canonical_service="catalogue",destination_canonical_revision="stable"} 1
           named-v3 istio_requests_total{source_app="unknown",source_version="unknown",source_canonical_service="client-v1",source_canonical_revision="latest",destination_app="named",destination_version="v3",destination_canonical_service="catalogue",destination_canonical_revision="stable"} 1"#,
    );
    scene.row(
        "a pod without a sidecar that answers is known by its endpoint, all but app, version and principal",
        |mesh| assert_eq!(status(mesh, get_from(mesh, "silent:9080", "/status/200")), 200),
        r#"client-v1 istio_requests_total{destination_workload="pod-v4",destination_workload_namespace="far",destination_canonical_service="pod",destination_canonical_revision="latest",destination_cluster="east",destination_app="unknown",destination_version="unknown",destination_principal="unknown",destination_service="silent.default.svc.cluster.local",destination_service_namespace="far"} 1"#,
    );
    scene.row(
        "in plaintext both sides know each other's workload, but no principal",
        |mesh| assert_eq!(status(mesh, get_from(mesh, "plain.back:9080", "/status/200")), 200),
        r#"client-v1 istio_requests_total{destination_workload="plain-v1",source_principal="unknown",destination_principal="unknown",connection_security_policy="unknown"} 1
           plain-v1 istio_requests_total{source_workload="client-v1",source_principal="unknown",destination_principal="unknown",connection_security_policy="none"} 1"#,
    );
}

fn described_endpoint(address: SocketAddr) -> String {
    format!(
        "configPatches: [ {{ applyTo: CLUSTER,
           match: {{ context: SIDECAR_OUTBOUND, cluster: {{ service: silent.default.svc.cluster.local }} }},
           patch: {{ operation: MERGE_AND_REPLACE_LIST, value: {{ load_assignment: {{ endpoints: [ {{ lb_endpoints: [ {{
             endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }},
             metadata: {{ filter_metadata: {{ istio: {{ workload: 'pod-v4;far;pod;;east' }} }} }}
           }} ] }} ] }} }} }} }} ]",
        address.ip(),
        address.port()
    )
}
