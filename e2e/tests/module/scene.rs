//! A proxy with mutual TLS on both sides: what its Envoy knows, and the modules that it has.

use std::sync::OnceLock;

use anyhow::Result;
use catalog::{Place, FILTERS};
use e2e::abi::{Map, Plugin, Stream, Vm};
use labels::peer::Peer;
use metadata_exchange::wire::{self, ID_HEADER, METADATA_HEADER};

/// A root id, and the module that has a filter for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    pub module: &'static str,
    pub root_id: &'static str,
    pub configuration: &'static str,
}

const fn case(module: &'static str, root_id: &'static str, configuration: &'static str) -> Case {
    Case { module, root_id, configuration }
}

/// Rules of faults that each request meets.
pub const DELAY: &str = r#"{"match": [], "fault": {"delay": {"fixedDelay": "0.5s", "percentage": {"value": 100}}}}"#;
pub const ABORT: &str = r#"{"fault": {"abort": {"httpStatus": 503, "percentage": {"value": 100}}}}"#;
/// A mirror of each request, whose answers are compared.
pub const MIRROR: &str = r#"{"http": [{"name": "all", "mirrors": [{"name": "v2", "cluster": "mirror",
    "compare": {"size": true, "logMismatches": 1}}]}]}"#;

/// Filters of modules, over HTTP.
const HTTP: [Case; 16] = [
    case("stats", "stats_inbound", "{}"),
    case("stats", "stats_outbound", "{}"),
    case("access_log", "access_log_inbound", "{}"),
    case("access_log", "access_log_outbound", "{}"),
    case("metadata_exchange", "metadata_exchange_inbound", "{}"),
    case("metadata_exchange", "metadata_exchange_outbound", "{}"),
    case("fault", "fault", DELAY),
    case("fault", "fault", ABORT),
    case("shadow", "shadow", MIRROR),
    case("remixer", "telemetry_inbound", r#"{"access_log": {}}"#),
    case("remixer", "telemetry_outbound", "{}"),
    case("remixer", "stats_inbound", "{}"),
    case("remixer", "access_log_outbound", "{}"),
    case("remixer", "metadata_exchange_inbound", "{}"),
    case("remixer", "fault", DELAY),
    case("remixer", "fault_outbound", ABORT),
];

const TCP_LINES: &str = r#"{"tcp_open_line": true, "tcp_reporting_duration": "1s"}"#;

/// Filters as network filters. Those that are for HTTP only let connections pass.
const TCP: [Case; 13] = [
    case("stats", "tcp_stats_inbound", "{}"),
    case("stats", "stats_outbound", "{}"),
    case("access_log", "tcp_access_log_inbound", TCP_LINES),
    case("access_log", "tcp_access_log_outbound", "{}"),
    case("metadata_exchange", "tcp_metadata_exchange", "{}"),
    case("metadata_exchange", "metadata_exchange", r#"{"protocol": "istio-peer-exchange"}"#),
    case("remixer", "tcp_stats", "{}"),
    case("remixer", "tcp_access_log", TCP_LINES),
    case("remixer", "tcp_metadata_exchange", r#"{"protocol": "istio-peer-exchange"}"#),
    case("remixer", "telemetry_inbound", "{}"),
    case("fault", "fault", ABORT),
    case("shadow", "shadow", MIRROR),
    case("remixer", "fault_outbound", ABORT),
];

/// Every filter of every module, over HTTP.
pub fn http() -> Vec<Case> {
    with_others(&HTTP, Place::HttpFilter)
}

/// Every filter of every module that takes TCP connections, or that may be attached to them by mistake.
pub fn tcp() -> Vec<Case> {
    with_others(&TCP, Place::NetworkFilter)
}

/// The cases, and each filter of the table that none of them has, by a root id of its own and without a configuration.
fn with_others(written: &[Case], place: Place) -> Vec<Case> {
    let mut cases = written.to_vec();
    for filter in FILTERS.iter().filter(|filter| filter.places.contains(&place)) {
        for package in filter.modules {
            let module: &'static str = package.replace('-', "_").leak();
            let is_of = |case: &Case| filter.roots.iter().any(|root| case.root_id.starts_with(root.id));
            if !cases.iter().any(|case| case.module == module && is_of(case)) {
                cases.extend(filter.roots.first().map(|root| case(module, root.id, "{}")));
            }
        }
    }
    cases
}

impl Case {
    /// The module in a VM of a proxy.
    pub fn vm(self) -> Result<Vm> {
        vm(self.module)
    }

    /// The plugin.
    pub fn plugin(self) -> Plugin {
        Plugin::new(self.root_id).configured(self.configuration)
    }

    /// The module with this one plugin, and its context.
    pub fn start(self) -> Result<(Vm, u32)> {
        let mut vm = self.vm()?;
        let root = vm.start(self.plugin())?;
        Ok((vm, root))
    }
}

/// A module in a VM of the proxy of reviews.
pub fn vm(module: &str) -> Result<Vm> {
    let mut vm = Vm::new(module)?;
    let envoy = vm.envoy_mut();
    envoy
        .node("id", "sidecar~10.0.0.1~reviews-v1-1.default~default.svc.cluster.local")
        .node("metadata.NAME", "reviews-v1-1")
        .node("metadata.NAMESPACE", "default")
        .node("metadata.WORKLOAD_NAME", "reviews-v1")
        .node("metadata.ISTIO_VERSION", "1.24.0")
        .node("metadata.LABELS.app", "reviews");
    envoy.clusters.insert("mirror".into(), true);
    Ok(vm)
}

/// The workload on the other side.
pub fn peer() -> Peer {
    Peer { workload_name: "ratings-v1".into(), namespace: "default".into(), ..Peer::default() }
}

/// A request with its response, from or to a peer that takes part in metadata exchange.
pub fn request() -> Stream {
    static REQUEST: OnceLock<Stream> = OnceLock::new();
    REQUEST.get_or_init(new_request).clone()
}

fn new_request() -> Stream {
    let metadata = wire::encode(&peer()).unwrap();
    let mut stream = any()
        .text("request.protocol", "HTTP/1.1")
        .text("request.path", "/ratings/0")
        .text("request.method", "GET")
        .text("request.host", "ratings:9080")
        .int("request.duration", 12_900_000)
        .int("response.code", 200)
        .int("response.flags", 0)
        .text("response.code_details", "via_upstream")
        .header(Map::RequestHeaders, ":method", "GET")
        .header(Map::RequestHeaders, ":path", "/ratings/0")
        .header(Map::RequestHeaders, ":authority", "ratings:9080")
        .header(Map::RequestHeaders, "x-request-id", "3f0c")
        .header(Map::ResponseHeaders, ":status", "200")
        .header(Map::ResponseHeaders, "x-envoy-upstream-service-time", "12");
    for map in [Map::RequestHeaders, Map::ResponseHeaders] {
        stream = stream.header(map, METADATA_HEADER, &metadata).header(map, ID_HEADER, "ratings");
    }
    stream
}

/// A connection.
pub fn connection() -> Stream {
    static CONNECTION: OnceLock<Stream> = OnceLock::new();
    CONNECTION.get_or_init(|| any().int("response.flags", 0)).clone()
}

/// What requests and connections have in common. The listener is an inbound one, unless the root id says otherwise.
fn any() -> Stream {
    Stream::default()
        .int("xds.listener_direction", 1)
        .int("request.time", 1_795_000_000_000_000_000)
        .int("request.total_size", 120)
        .int("response.total_size", 3400)
        .boolean("connection.mtls", true)
        .text("connection.tls_version", "TLSv1.3")
        .text("connection.uri_san_peer_certificate", "spiffe://cluster.local/ns/default/sa/any")
        .text("upstream.uri_san_peer_certificate", "spiffe://cluster.local/ns/default/sa/any")
        .text("xds.cluster_name", "outbound|9080||ratings.default.svc.cluster.local")
        .text("xds.route_name", "default")
        .int("destination.port", 9080)
}
