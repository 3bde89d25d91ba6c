//! What the labels of a request are.
//!
//! | label | outbound, gateway | inbound |
//! |---|---|---|
//! | `source_…` | this node | the downstream peer |
//! | `destination_…` | the upstream peer, or else what is known of the endpoint | this node |
//! | `…_principal` | certificates of the upstream connection | certificates of the downstream connection |
//! | `destination_service…` | the cluster's service, or else the Host header, for TCP the TLS server name | the same, but no server name |
//!
//! The peer comes from metadata exchange by way of filter state. What a peer, a cluster or an endpoint says is turned
//! into labels once and remembered by the bytes that said it.

use core::hash::Hash;

use mesh_common::bounded::BoundedCache;
use mesh_common::direction::Direction;
use mesh_common::host::{HeaderMap, Host};
use mesh_common::labels::{Labels, Service, Workload};
use mesh_common::peer::{Peer, APP, VERSION};
use mesh_common::property::{self, Property};
use mesh_common::response_flags;

use crate::symbols::{Symbol, Symbols};

/// Peers, endpoints and clusters remembered, each.
const MAX_REMEMBERED: usize = 1_000;
/// Response codes and flags remembered, each; there are not many more.
const MAX_CODES: usize = 256;

/// The route names and the clusters that Istio gives to traffic for no known service.
const BLOCK_ALL_ROUTE: &str = "block_all";
const ALLOW_ANY_ROUTE: &str = "allow_any";
const BLACK_HOLE: &str = "BlackHoleCluster";
const PASSTHROUGH: &str = "PassthroughCluster";
const CLUSTERS_WITHOUT_SERVICE: [&str; 5] = [
    BLACK_HOLE,
    PASSTHROUGH,
    "InboundPassthroughCluster",
    "InboundPassthroughClusterIpv4",
    "InboundPassthroughClusterIpv6",
];

/// What Istio reports when a gRPC call ended without a status.
const GRPC_STATUS_UNKNOWN: i64 = 2;

/// Finds the labels of requests, and remembers what does not change.
pub struct Labeler {
    /// This node.
    local: Workload<Symbol>,
    /// A peer of which nothing is known.
    stranger: Workload<Symbol>,
    host_header_fallback: bool,
    peers: BoundedCache<Vec<u8>, Workload<Symbol>>,
    endpoints: BoundedCache<Vec<u8>, Workload<Symbol>>,
    clusters: BoundedCache<Vec<u8>, ClusterService>,
    codes: BoundedCache<i64, Symbol>,
    flags: BoundedCache<i64, Symbol>,
    words: Words,
}

/// The values that labels are chosen from.
struct Words {
    source: Symbol,
    destination: Symbol,
    http: Symbol,
    grpc: Symbol,
    tcp: Symbol,
    mutual_tls: Symbol,
    none: Symbol,
    black_hole: Symbol,
    passthrough: Symbol,
}

/// What a cluster says of its service; `None` is what it does not say.
#[derive(Clone, Copy, Debug, Default)]
struct ClusterService {
    host: Option<Symbol>,
    name: Option<Symbol>,
    namespace: Option<Symbol>,
}

impl Labeler {
    /// `local` is who this proxy is.
    pub fn new(local: &Peer, symbols: &mut Symbols, host_header_fallback: bool) -> Self {
        let words = Words {
            source: symbols.of("source"),
            destination: symbols.of("destination"),
            http: symbols.of("http"),
            grpc: symbols.of("grpc"),
            tcp: symbols.of("tcp"),
            mutual_tls: symbols.of("mutual_tls"),
            none: symbols.of("none"),
            black_hole: symbols.of(BLACK_HOLE),
            passthrough: symbols.of(PASSTHROUGH),
        };
        Self {
            local: workload(symbols, local),
            stranger: workload(symbols, &Peer::default()),
            host_header_fallback,
            peers: BoundedCache::new(MAX_REMEMBERED),
            endpoints: BoundedCache::new(MAX_REMEMBERED),
            clusters: BoundedCache::new(MAX_REMEMBERED),
            codes: BoundedCache::new(MAX_CODES),
            flags: BoundedCache::new(MAX_CODES),
            words,
        }
    }

    /// The labels of the request that just ended.
    pub fn request(&mut self, host: &impl Host, symbols: &mut Symbols, direction: Direction) -> Labels<Symbol> {
        let grpc = is_grpc(host);
        Labels {
            request_protocol: if grpc { self.words.grpc } else { self.words.http },
            response_flags: self.response_flags(host, symbols),
            response_code: self.code(symbols, host.int(property::RESPONSE_CODE).unwrap_or(0)),
            grpc_response_status: if grpc {
                self.code(symbols, host.int(property::RESPONSE_GRPC_STATUS).unwrap_or(GRPC_STATUS_UNKNOWN))
            } else {
                Symbol::EMPTY
            },
            ..self.sides(host, symbols, direction, Some(property::REQUEST_HOST))
        }
    }

    /// Whether these are the labels of a gRPC request.
    pub fn is_grpc(&self, labels: &Labels<Symbol>) -> bool {
        labels.request_protocol == self.words.grpc
    }

    /// The labels of the current TCP connection. All but the flags stay as they are once the peer is known.
    pub fn connection(&mut self, host: &impl Host, symbols: &mut Symbols, direction: Direction) -> Labels<Symbol> {
        // Within the mesh, the server name is not the client's but Istio's name of the cluster.
        let named = match direction {
            Direction::Inbound => None,
            Direction::Outbound => Some(property::CONNECTION_SERVER_NAME),
        };
        Labels {
            request_protocol: self.words.tcp,
            response_flags: self.response_flags(host, symbols),
            ..self.sides(host, symbols, direction, named)
        }
    }

    /// The response flags of the stream by now.
    pub fn response_flags(&mut self, host: &impl Host, symbols: &mut Symbols) -> Symbol {
        let flags = host.int(property::RESPONSE_FLAGS).unwrap_or(0);
        remember(&mut self.flags, flags, |flags| symbols.of(&response_flags::text(flags.cast_unsigned())))
    }

    /// Who called whom, and what for. `named` is what the client called the service.
    fn sides(
        &mut self,
        host: &impl Host,
        symbols: &mut Symbols,
        direction: Direction,
        named: Option<Property>,
    ) -> Labels<Symbol> {
        match direction {
            Direction::Inbound => self.inbound(host, symbols, named),
            Direction::Outbound => self.outbound(host, symbols, named),
        }
    }

    fn inbound(&mut self, host: &impl Host, symbols: &mut Symbols, named: Option<Property>) -> Labels<Symbol> {
        let mutual_tls = host.boolean(property::CONNECTION_MTLS) == Some(true);
        let mut source = self.peer(host, symbols, property::DOWNSTREAM_PEER).unwrap_or(self.stranger);
        let mut destination = self.local;
        if mutual_tls {
            source.principal = symbols.of_bytes(host.property(property::CONNECTION_PEER_SAN));
            destination.principal = symbols.of_bytes(host.property(property::CONNECTION_LOCAL_SAN));
        }
        let service = self.service(host, symbols, named, self.local.canonical_service);
        Labels {
            reporter: self.words.destination,
            source,
            destination,
            service: Service { namespace: self.local.namespace, ..service },
            connection_security_policy: if mutual_tls { self.words.mutual_tls } else { self.words.none },
            ..Labels::all(Symbol::UNKNOWN)
        }
    }

    /// The security policy stays unknown: only the server knows what it demanded of us.
    fn outbound(&mut self, host: &impl Host, symbols: &mut Symbols, named: Option<Property>) -> Labels<Symbol> {
        let mut source = self.local;
        let mut destination = self
            .peer(host, symbols, property::UPSTREAM_PEER)
            .or_else(|| self.endpoint(host, symbols))
            .unwrap_or(self.stranger);
        source.principal = symbols.of_bytes(host.property(property::UPSTREAM_LOCAL_SAN));
        destination.principal = symbols.of_bytes(host.property(property::UPSTREAM_PEER_SAN));
        let mut service = self.service(host, symbols, named, Symbol::UNKNOWN);
        if destination.namespace != Symbol::UNKNOWN {
            service.namespace = destination.namespace;
        }
        Labels { reporter: self.words.source, source, destination, service, ..Labels::all(Symbol::UNKNOWN) }
    }

    /// The peer that metadata exchange found.
    fn peer(&mut self, host: &impl Host, symbols: &mut Symbols, state: Property) -> Option<Workload<Symbol>> {
        let bytes = host.property(state)?;
        Some(remember(&mut self.peers, bytes, |bytes| workload(symbols, &Peer::from_state(bytes).unwrap_or_default())))
    }

    /// A peer that did not answer, as the control plane describes its endpoint.
    fn endpoint(&mut self, host: &impl Host, symbols: &mut Symbols) -> Option<Workload<Symbol>> {
        let bytes = host.property(property::ENDPOINT_WORKLOAD)?;
        Some(remember(&mut self.endpoints, bytes, |bytes| {
            let text = core::str::from_utf8(bytes).unwrap_or_default();
            workload(symbols, &Peer::from_endpoint(text).unwrap_or_default())
        }))
    }

    /// Whether the current request's service is made of its Host header.
    pub fn needs_host_header(&mut self, host: &impl Host, symbols: &mut Symbols) -> bool {
        self.host_header_fallback && self.cluster(host, symbols).host.is_none()
    }

    /// What is known of the service by the cluster, or by the route where there is none.
    fn cluster(&mut self, host: &impl Host, symbols: &mut Symbols) -> ClusterService {
        match host.property(property::CLUSTER_NAME) {
            Some(name) => remember(&mut self.clusters, name, |name| cluster_service(host, symbols, name)),
            None => self.service_of_route(host),
        }
    }

    /// The service that was called; its namespace is the one that the cluster names.
    fn service(
        &mut self,
        host: &impl Host,
        symbols: &mut Symbols,
        named: Option<Property>,
        fallback: Symbol,
    ) -> Service<Symbol> {
        let cluster = self.cluster(host, symbols);
        let service_host = cluster.host.unwrap_or_else(|| {
            let named = named.filter(|_| self.host_header_fallback).and_then(|named| host.property(named));
            named.map_or(fallback, |name| symbols.of_bytes(Some(name)))
        });
        Service {
            host: service_host,
            name: cluster.name.unwrap_or(service_host),
            namespace: cluster.namespace.unwrap_or_default(),
        }
    }

    /// What the route says of the service where there is no cluster.
    fn service_of_route(&self, host: &impl Host) -> ClusterService {
        let name = match host.property(property::ROUTE_NAME).as_deref() {
            Some(name) if name == BLOCK_ALL_ROUTE.as_bytes() => Some(self.words.black_hole),
            Some(name) if name == ALLOW_ANY_ROUTE.as_bytes() => Some(self.words.passthrough),
            _ => None,
        };
        ClusterService { name, ..ClusterService::default() }
    }

    fn code(&mut self, symbols: &mut Symbols, code: i64) -> Symbol {
        remember(&mut self.codes, code, |code| symbols.of(&code.to_string()))
    }
}

/// What `cache` holds for `key`, found out now if it holds nothing.
fn remember<K: Eq + Hash, V: Copy>(cache: &mut BoundedCache<K, V>, key: K, find_out: impl FnOnce(&K) -> V) -> V {
    if let Some(value) = cache.get(&key) {
        return value;
    }
    let value = find_out(&key);
    cache.insert(key, value);
    value
}

/// What the metadata of the current stream's cluster says; Istio's control plane writes it. Without it, Istio's name
/// of the cluster, `direction|port|subset|host`, still tells the host.
fn cluster_service(host: &impl Host, symbols: &mut Symbols, name: &[u8]) -> ClusterService {
    let name = core::str::from_utf8(name).unwrap_or_default();
    if CLUSTERS_WITHOUT_SERVICE.contains(&name) {
        return ClusterService { name: Some(symbols.of(name)), ..ClusterService::default() };
    }
    let mut said = |path| host.property(path).map(|value| symbols.of_bytes(Some(value)));
    let service = ClusterService {
        host: said(property::CLUSTER_SERVICE_HOST),
        name: said(property::CLUSTER_SERVICE_NAME),
        namespace: said(property::CLUSTER_SERVICE_NAMESPACE),
    };
    let mut parts = name.split('|');
    match (service.host, parts.by_ref().take(3).count(), parts.next(), parts.next()) {
        (None, 3, Some(service_host), None) if !service_host.is_empty() => {
            let short = service_host.split_once(".svc.").and_then(|(service, _)| service.split_once('.'));
            ClusterService {
                host: Some(symbols.of(service_host)),
                name: service.name.or_else(|| short.map(|(name, _)| symbols.of(name))),
                namespace: service.namespace.or_else(|| short.map(|(_, namespace)| symbols.of(namespace))),
            }
        }
        _ => service,
    }
}

/// The labels of a workload, but for its principal, which is not its own to say.
fn workload(symbols: &mut Symbols, peer: &Peer) -> Workload<Symbol> {
    Workload {
        workload: symbols.of(&peer.workload_name),
        namespace: symbols.of(&peer.namespace),
        principal: Symbol::UNKNOWN,
        app: symbols.of(peer.label(APP)),
        version: symbols.of(peer.label(VERSION)),
        canonical_service: symbols.of(peer.canonical_service()),
        canonical_revision: symbols.of(peer.canonical_revision()),
        cluster: symbols.of(&peer.cluster_id),
    }
}

fn is_grpc(host: &impl Host) -> bool {
    match host.header(HeaderMap::Request, "content-type") {
        Some(content_type) => match content_type.strip_prefix(b"application/grpc") {
            Some(rest) => matches!(rest.first(), None | Some(b'+')),
            None => false,
        },
        None => false,
    }
}

#[cfg(test)]
mod tests;
