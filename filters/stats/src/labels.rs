//! What the labels of a request are.
//!
//! | label | outbound, gateway | inbound |
//! |---|---|---|
//! | `source_…` | this node | the downstream peer |
//! | `destination_…` | the upstream peer, or else what is known of the endpoint | this node |
//! | `…_principal` | certificates of the upstream connection | certificates of the downstream connection |
//! | `destination_service…` | the cluster's service, or else the Host header, for TCP the TLS server name | the same, but no server name |
//!
//! The peer comes from metadata exchange by way of filter state.

use collections::bounded::BoundedCache;
use host::property;
use host::Host;
use labels::direction::Direction;
use labels::peer::{Peer, APP, VERSION};
use labels::response_flags;
use labels::service;
use labels::{Labels, Service, Workload};

use crate::facts::{Facts, Known, Protocol};
use crate::symbols::{Symbol, Symbols};

/// Clusters remembered.
const MAX_CLUSTERS: usize = 1_000;

/// Finds the labels of streams by their facts.
pub struct Labeler {
    /// This node.
    local: Workload<Symbol>,
    /// A peer of which nothing is known.
    stranger: Workload<Symbol>,
    host_header_fallback: bool,
    clusters: BoundedCache<Vec<u8>, ClusterService>,
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
}

/// What a cluster says of its service; `None` is what it does not say.
#[derive(Clone, Copy, Debug, Default)]
struct ClusterService {
    host: Option<Symbol>,
    name: Option<Symbol>,
    namespace: Option<Symbol>,
}

impl ClusterService {
    fn of(symbols: &mut Symbols, said: service::ClusterService) -> Self {
        let mut symbol = |text: Option<String>| text.map(|text| symbols.of(&text));
        Self { host: symbol(said.host), name: symbol(said.name), namespace: symbol(said.namespace) }
    }
}

impl Labeler {
    /// `local` is who this proxy is.
    #[inline(never)]
    pub fn new(local: &Peer, symbols: &mut Symbols, host_header_fallback: bool) -> Self {
        let words = Words {
            source: symbols.of("source"),
            destination: symbols.of("destination"),
            http: symbols.of("http"),
            grpc: symbols.of("grpc"),
            tcp: symbols.of("tcp"),
            mutual_tls: symbols.of("mutual_tls"),
            none: symbols.of("none"),
        };
        Self {
            local: workload(symbols, local),
            stranger: workload(symbols, &Peer::default()),
            host_header_fallback,
            clusters: BoundedCache::new(MAX_CLUSTERS),
            words,
        }
    }

    /// Forgets what clusters say of themselves, which a configuration update may have changed.
    pub fn refresh(&mut self) {
        self.clusters = BoundedCache::new(MAX_CLUSTERS);
    }

    /// The facts of the request that just ended.
    pub fn request(&mut self, host: &impl Host, symbols: &mut Symbols, direction: Direction, known: Known) -> Facts {
        Facts::of_request(host, direction, known, |cluster| self.names_service(host, symbols, cluster))
    }

    /// The facts of the current TCP connection. All but the flags stay as they are once the peer is known.
    pub fn connection(&mut self, host: &impl Host, symbols: &mut Symbols, direction: Direction) -> Facts {
        Facts::of_connection(host, direction, |cluster| self.names_service(host, symbols, cluster))
    }

    /// Whether the current request's service is made of its Host header.
    pub fn needs_host_header(&mut self, host: &impl Host, symbols: &mut Symbols) -> bool {
        let cluster = host.property(property::CLUSTER_NAME);
        !self.names_service(host, symbols, cluster.as_deref())
    }

    /// Whether the service of `cluster` is known without what the client calls it, or that is not to be believed.
    fn names_service(&mut self, host: &impl Host, symbols: &mut Symbols, cluster: Option<&[u8]>) -> bool {
        !self.host_header_fallback || cluster.is_some_and(|name| self.cluster(host, symbols, name).host.is_some())
    }

    /// The labels that follow from `facts`; they are those of the current stream.
    pub fn labels(&mut self, host: &impl Host, symbols: &mut Symbols, facts: &Facts) -> Labels<Symbol> {
        let own_principal = symbols.of_bytes(facts.own_certificate(host).as_deref().unwrap_or_default());
        let peer_principal = symbols.of_bytes(facts.certificate.as_deref().unwrap_or_default());
        let local = Workload { principal: own_principal, ..self.local };
        let peer = Workload { principal: peer_principal, ..self.peer(symbols, facts) };
        let sides = match facts.direction {
            Direction::Inbound => Labels {
                reporter: self.words.destination,
                source: peer,
                destination: local,
                service: Service {
                    namespace: self.local.namespace,
                    ..self.service(host, symbols, facts, self.local.canonical_service)
                },
                connection_security_policy: if facts.mutual_tls { self.words.mutual_tls } else { self.words.none },
                ..Labels::all(Symbol::UNKNOWN)
            },
            // The security policy stays unknown: only the server knows what it demanded of us.
            Direction::Outbound => {
                let mut service = self.service(host, symbols, facts, Symbol::UNKNOWN);
                if peer.namespace != Symbol::UNKNOWN {
                    service.namespace = peer.namespace;
                }
                let reporter = self.words.source;
                Labels { reporter, source: local, destination: peer, service, ..Labels::all(Symbol::UNKNOWN) }
            }
        };
        let sides = Labels { response_flags: flags(symbols, facts.response_flags), ..sides };
        let request_protocol = match facts.protocol {
            Protocol::Tcp => return Labels { request_protocol: self.words.tcp, ..sides },
            Protocol::Http => self.words.http,
            Protocol::Grpc => self.words.grpc,
        };
        Labels {
            request_protocol,
            response_code: symbols.of(&facts.response_code.to_string()),
            grpc_response_status: match facts.grpc_status {
                Some(status) => symbols.of(&status.to_string()),
                None => Symbol::EMPTY,
            },
            ..sides
        }
    }

    /// The other side: what it says of itself, or else what the control plane says of the endpoint.
    fn peer(&self, symbols: &mut Symbols, facts: &Facts) -> Workload<Symbol> {
        if let Some(bytes) = &facts.peer {
            return workload(symbols, &Peer::from_state(bytes).unwrap_or_default());
        }
        match &facts.endpoint {
            Some(bytes) => {
                let text = core::str::from_utf8(bytes).unwrap_or_default();
                workload(symbols, &Peer::from_endpoint(text).unwrap_or_default())
            }
            None => self.stranger,
        }
    }

    /// The service that was called; its namespace is the one that the cluster names.
    fn service(&mut self, host: &impl Host, symbols: &mut Symbols, facts: &Facts, fallback: Symbol) -> Service<Symbol> {
        let cluster = match (&facts.cluster, &facts.route) {
            (Some(name), _) => self.cluster(host, symbols, name),
            (None, Some(route)) => ClusterService::of(symbols, service::ClusterService::of_route(Some(route))),
            (None, None) => ClusterService::default(),
        };
        let service_host = cluster.host.unwrap_or_else(|| match &facts.named {
            Some(name) => symbols.of_bytes(name),
            None => fallback,
        });
        Service {
            host: service_host,
            name: cluster.name.unwrap_or(service_host),
            namespace: cluster.namespace.unwrap_or_default(),
        }
    }

    /// What the current stream's cluster says of its service.
    fn cluster(&mut self, host: &impl Host, symbols: &mut Symbols, name: &[u8]) -> ClusterService {
        if let Some(known) = self.clusters.get(name) {
            return known;
        }
        let service = ClusterService::of(symbols, service::ClusterService::of_cluster(host, name));
        self.clusters.insert(name.into(), service);
        service
    }
}

/// The label of response flags.
pub fn flags(symbols: &mut Symbols, flags: i64) -> Symbol {
    symbols.of(&response_flags::text(flags.cast_unsigned()))
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

#[cfg(test)]
mod tests;
