//! Meshes and requests for these tests, and their results.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{channel, Receiver};

use e2e::metrics::expect_total;
use local_mesh::{Answer, Mesh, Options, RawServer, Request, Topology};

pub const METADATA: &str = "x-envoy-peer-metadata";
pub const ID: &str = "x-envoy-peer-metadata-id";

/// The id of a proxy in another mesh.
pub const STRANGER_ID: &str = "sidecar~10.44.1.7~productpage-v1-6987489c74-x7kzp.shop~shop.svc.cluster.local";

/// Where to insert a Lua filter.
pub struct Place {
    sub_filter: &'static str,
    operation: &'static str,
}

/// Sees a request after metadata exchange, and a response before metadata exchange.
pub const BEHIND_EXCHANGE: Place =
    Place { sub_filter: ", subFilter: { name: envoy.filters.http.router }", operation: "INSERT_BEFORE" };
/// The opposite.
pub const BEFORE_EXCHANGE: Place = Place { sub_filter: "", operation: "INSERT_FIRST" };

pub fn start(topology: &str, filters: &[&str], patches: Vec<String>) -> Mesh {
    let filters = filters.iter().map(|file| local_mesh::tools::filters().join(file)).collect();
    Mesh::start(Topology::parse(topology).unwrap(), Options { filters, patches, ..Options::default() }).unwrap()
}

pub fn lua(context: &str, Place { sub_filter, operation }: Place, code: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{ name: lua, namespace: istio-system }}
spec:
  priority: 1 # INSERT_FIRST is before what was first before
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: {context}
      listener: {{ filterChain: {{ filter: {{ name: envoy.filters.network.http_connection_manager{sub_filter} }} }} }}
    patch:
      operation: {operation}
      value:
        name: lua
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
          default_source_code: {{ inline_string: \"{code}\" }}
"
    )
}

/// A JSON line for each request in Envoy's log, with the peer as native extensions read it.
pub fn peer_log(context: &str, side: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{ name: peer-log, namespace: istio-system }}
spec:
  configPatches:
  - applyTo: NETWORK_FILTER
    match:
      context: {context}
      listener: {{ filterChain: {{ filter: {{ name: envoy.filters.network.http_connection_manager }} }} }}
    patch:
      operation: MERGE
      value:
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          access_log:
          - name: envoy.access_loggers.stdout
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
              log_format:
                json_format:
                  peer: '%FILTER_STATE(wasm.{side}_peer:TYPED)%'
                  id: '%FILTER_STATE(wasm.{side}_peer_id:PLAIN)%'
                  app: \"%CEL(filter_state['wasm.{side}_peer'].labels['app'])%\"
"
    )
}

pub fn outbound(mesh: &Mesh, host: &str, path: &str) -> Request {
    Request::get(mesh.sidecar("client").unwrap().outbound(), path).host(host)
}

/// A plaintext request, like one from a client outside the mesh.
pub fn inbound(mesh: &Mesh, path: &str) -> Request {
    Request::get(mesh.sidecar("server-v1").unwrap().inbound(), path).host("server:9080")
}

pub fn application(mesh: &Mesh, workload: &str) -> SocketAddr {
    SocketAddr::from((mesh.topology().workload(workload).unwrap().address, 9080))
}

/// The headers of metadata exchange that the application received, from its answer to `/headers`.
pub fn peer_headers(answer: &Answer) -> Vec<(String, String)> {
    let pairs: Vec<(String, String)> = serde_json::from_value(answer.json().unwrap()["headers"].clone()).unwrap();
    let mut ours: Vec<_> = pairs.into_iter().filter(|(name, _)| name.starts_with(METADATA)).collect();
    ours.sort();
    ours
}

pub fn no_metadata_in(answer: &Answer) {
    assert_eq!((answer.header(METADATA), answer.header(ID)), (None, None));
}

/// Replaces a workload's application: answers each connection's request with these bytes, then returns the bytes that it
/// receives. Returns the requests.
pub fn raw_application(mesh: &Mesh, workload: &str, answer: String) -> (RawServer, Receiver<String>) {
    let (sender, receiver) = channel();
    let server = RawServer::start(application(mesh, workload), move |mut stream| {
        let _ = sender.send(head(&stream)); // a test that is over listens no more
        stream.write_all(answer.as_bytes()).unwrap();
        let mut reader = stream.try_clone().unwrap();
        let _ = std::io::copy(&mut reader, &mut stream); // the other side may end as it likes
    });
    (server.unwrap(), receiver)
}

/// An answer from an application that itself sends the headers of metadata exchange.
pub fn with_metadata(metadata: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n{METADATA}: {metadata}\r\n{ID}: {STRANGER_ID}\r\n\r\n")
}

/// Everything up to the empty line.
pub fn head(stream: &TcpStream) -> String {
    let mut reader = BufReader::with_capacity(1, stream);
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") && reader.read_line(&mut text).unwrap() > 0 {}
    text
}

/// Waits until there are as many requests with these labels as expected.
pub fn requests(mesh: &Mesh, reporter: &str, labels: &[(&str, &str)], expected: f64) {
    expect_total(mesh, reporter, "istio_requests_total", labels, expected);
}

/// Number of rejected peers: too large, malformed, forged.
pub fn rejections(mesh: &Mesh, workload: &str) -> [f64; 3] {
    let samples = mesh.sidecar(workload).unwrap().stats().unwrap();
    ["too_large", "malformed", "forged"].map(|reason| {
        let name = format!("metadata_exchange_peer_{reason}_total");
        samples.iter().filter(|sample| sample.name == name).map(|sample| sample.value).sum()
    })
}

/// The same bytes with one text replaced by another of the same length, so that the Struct stays valid.
pub fn replace(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!places.is_empty(), "there is nothing to replace");
    for at in places {
        bytes[at..at + from.len()].copy_from_slice(to);
    }
    bytes
}
