//! Bookinfo with all events for dashboards and alerts, except a crash.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use labels::peer::Peer;
use local_mesh::{tools, Mesh, Options, PluginConfig, Request, Topology, Update};

/// A gRPC service, which bookinfo does not have.
const ADVICE: &str = "
name: bookinfo
workloads:
  - { name: advice-v1, app: advice, version: v1, address: 127.1.0.10 }
services:
  - { name: advice, port: 9080, protocol: grpc }
";

/// Delays with every limit, and aborts.
const FAULTS: &str = r#"{"maxActiveFaults": 1000, "http": [
  {"name": "impatient", "match": [{"headers": {"x-test": {"exact": "impatient"}}}],
   "fault": {"delay": {"fixedDelay": "20s", "percentage": {"value": 100}}}},
  {"name": "errors", "match": [{"authority": {"prefix": "details"}}],
   "fault": {"abort": {"httpStatus": 503, "percentage": {"value": 10}}}},
  {"name": "delays", "match": [{"authority": {"prefix": "ratings"}}], "startAfter": 1, "maxInjections": 1000000, "maxActiveFaults": 1,
   "fault": {"delay": {"fixedDelay": "200ms", "percentage": {"value": 50}}}}
]}"#;

/// A candidate, a control, and mirrors that do not receive all copies.
const MIRRORS: &str = r#"{"http": [{"name": "reviews", "match": [{"authority": {"prefix": "reviews"}}], "mirrors": [
  {"name": "v3", "cluster": "outbound|9080|v3|reviews.default.svc.cluster.local",
   "compare": {"body": true, "maxBodyBytes": 1}},
  {"name": "v2", "cluster": "outbound|9080|v2|reviews.default.svc.cluster.local", "compare": {"size": true}},
  {"name": "v1", "cluster": "outbound|9080|v1|reviews.default.svc.cluster.local", "role": "control"},
  {"name": "seldom", "cluster": "outbound|9080|v1|reviews.default.svc.cluster.local", "maxRequestsPerSecond": 1},
  {"name": "nowhere", "cluster": "no_such_cluster"}
]}]}"#;

/// Replaces the caller's metadata by other metadata or removes it, depending on `x-test`; lets trailers pass.
const LIAR: &str = "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: liar, namespace: istio-system }
spec:
  priority: 1 # INSERT_FIRST is before what was first before
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: SIDECAR_INBOUND
      listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager } } }
    patch:
      operation: INSERT_FIRST
      value:
        name: liar
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
          default_source_code:
            inline_string: |
              function envoy_on_request(handle)
                local headers, name = handle:headers(), 'x-envoy-peer-metadata'
                local test = headers:get('x-test')
                if test == 'forged' then headers:replace(name, 'FORGED') end
                if test == 'malformed' then headers:replace(name, '!') end
                if test == 'large' then headers:replace(name, string.rep('A', 9000)) end
                if test == 'silent' then headers:remove(name) headers:remove(name .. '-id') end
              end
  - applyTo: NETWORK_FILTER
    match:
      context: SIDECAR_OUTBOUND
      listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager } } }
    patch:
      operation: MERGE
      value:
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          http_protocol_options: { enable_trailers: true }
";

/// Bytes with the magic number of a frame, but not a valid frame.
const NO_FRAME: &[u8] = b"\x3d\x23\x04\x67\0\0\0\x04\xff\xff\xff\xff";

/// A gRPC message of three bytes.
const MESSAGE: &[u8] = b"\0\0\0\0\x03abc";

/// Whether the EnvoyFilters contain shadow.
pub fn has_shadow() -> bool {
    std::fs::read_dir(tools::filters())
        .unwrap()
        .any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with("shadow"))
}

/// Bookinfo with the additional services, and all EnvoyFilters in `envoy/`.
pub fn start() -> Mesh {
    let mut topology = Topology::bookinfo().unwrap();
    let advice = Topology::parse(ADVICE).unwrap();
    topology.services.extend(advice.services);
    topology.workloads.extend(advice.workloads);
    // A database client without metadata exchange.
    topology.workloads.iter_mut().filter(|workload| workload.name == "reviews-v1").for_each(|workload| {
        workload.calls.push("mongodb".to_owned());
    });
    let stranger = Peer { namespace: "kube-system".to_owned(), ..Peer::default() };
    let forged = metadata_exchange::wire::encode(&stranger).unwrap();
    let plugin = |workload: Option<&str>, plugin: &str, configuration: &str| PluginConfig {
        workload: workload.map(str::to_owned),
        plugin: plugin.to_owned(),
        configuration: configuration.to_owned(),
    };
    let mut options = Options {
        filters: vec![tools::filters()],
        patches: vec![LIAR.replace("FORGED", &forged)],
        plugins: vec![
            plugin(None, "remixer-fault-outbound", FAULTS),
            plugin(Some("reviews-v1"), "tcp_metadata_exchange_outbound", "{}"),
            plugin(Some("reviews-v3"), "telemetry_outbound", r#"{"stats": {"max_series": 100}}"#),
        ],
        prometheus: true,
        ..Options::default()
    };
    if has_shadow() {
        options.plugins.push(plugin(Some("productpage-v1"), "remixer-shadow", MIRRORS));
    }
    Mesh::start(topology, options).unwrap()
}

/// One request of each kind that bookinfo's own traffic does not contain.
pub fn send_besides(mesh: &Mesh) {
    let outbound = |workload: &str| mesh.sidecar(workload).unwrap().outbound();
    let advice = |test: &str| {
        let call = Request::post(outbound("productpage-v1"), "/echo", MESSAGE).host("advice:9080").http2();
        call.header("content-type", "application/grpc").header("x-test", test)
    };
    for test in ["", "forged", "malformed", "large", "silent"] {
        assert_eq!(mesh.client().send(&advice(test)).unwrap().status, 200, "{test}");
    }
    let impatient = advice("impatient").timeout(Duration::from_millis(100));
    assert!(mesh.client().send(&impatient).is_err());

    let mut stranger = TcpStream::connect(mesh.sidecar("reviews-v1").unwrap().address(27017)).unwrap();
    stranger.write_all(NO_FRAME).unwrap();

    let trailers = b"POST /echo HTTP/1.1\r\nhost: reviews:9080\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\
                     connection: close\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n";
    mesh.client().raw(outbound("productpage-v1"), trailers, Duration::from_millis(50)).unwrap();
}

/// More hosts than the proxy's limit for series.
pub fn overflow(mesh: &Mesh) {
    let proxy = mesh.sidecar("reviews-v3").unwrap().outbound();
    for number in 0..30 {
        mesh.client().send(&Request::get(proxy, "/").host(&format!("host-{number}.example"))).unwrap();
    }
}

/// A filter whose module is not there.
const NO_MODULE: &str = "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: none, namespace: istio-system }
spec:
  configPatches:
  - applyTo: NETWORK_FILTER
    match:
      context: SIDECAR_INBOUND
      listener: { filterChain: { filter: { name: envoy.filters.network.tcp_proxy } } }
    patch:
      operation: INSERT_BEFORE
      value:
        name: none
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm
          config:
            vm_config: { runtime: envoy.wasm.runtime.v8, code: { local: { filename: /none.wasm } } }
";

/// A configuration that a plugin refuses, and one that Envoy rejects.
pub fn refuse(mesh: &Mesh) {
    let update = mesh.push("mongodb-v1", |options| {
        options.plugins.push(PluginConfig {
            workload: None,
            plugin: "tcp_stats_inbound".to_owned(),
            configuration: "{".to_owned(),
        });
    });
    assert!(matches!(update, Ok(Update::Refused(_))), "{update:?}");
    // The old listeners stay, with the plugin that is refused.
    let update = mesh.push("mongodb-v1", |options| options.patches.push(NO_MODULE.to_owned()));
    assert!(matches!(update, Ok(Update::Rejected(_))), "{update:?}");
}

/// Removes our filters from a proxy. It then reports as little as a proxy with crashed modules.
pub fn silence(mesh: &Mesh, workload: &str) {
    let update = mesh.push(workload, |options| options.filters.clear());
    assert_eq!(update.unwrap(), Update::Accepted);
}
