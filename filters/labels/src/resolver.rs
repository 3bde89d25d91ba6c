//! Finds the peer and the service of a stream, and caches what many streams have in common.

use std::rc::Rc;

use collections::bounded::BoundedCache;
use collections::bytes::Bytes;
use host::Host;

use crate::direction::Direction;
use crate::facts::{read, AlreadyRead, Facts};
use crate::label::Label;
use crate::peer::Peer;
use crate::service::{self, ClusterService};
use crate::side::Side;
use crate::stream::{Cluster, Stream};

/// Most peers, endpoints and clusters in the cache, each.
const MAX_REMEMBERED: usize = 1_000;

/// The data that the caller needs. Other data is not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Any label of the stream.
    pub labels: bool,
    /// Metadata of workloads.
    pub workloads: bool,
    /// Identities in certificates.
    pub principals: bool,
    /// The called service.
    pub service: bool,
}

impl Needs {
    /// Everything that labels need.
    pub const ALL: Self = Self { labels: true, workloads: true, principals: true, service: true };

    /// Adds what a label needs.
    pub fn add(&mut self, label: Label) {
        self.labels = true;
        match label {
            Label::SourcePrincipal | Label::DestinationPrincipal => self.principals = true,
            // The service's namespace may come from the destination workload, its host from the canonical service.
            Label::DestinationService | Label::DestinationServiceName | Label::DestinationServiceNamespace => {
                (self.service, self.workloads) = (true, true);
            }
            label => self.workloads |= label.workload_end().is_some(),
        }
    }

    /// Adds workload metadata that is not in labels.
    pub fn add_workloads(&mut self) {
        (self.labels, self.workloads) = (true, true);
    }
}

/// Finds the peer and the service of a stream.
pub struct Resolver {
    needs: Needs,
    /// Whether the client's name for the service may become a label.
    host_header_fallback: bool,
    /// From the root id, else read from each stream's listener.
    direction: Option<Direction>,
    local: Rc<Peer>,
    /// A peer without metadata.
    stranger: Rc<Peer>,
    peers: Cache,
    endpoints: Cache,
    clusters: Cache,
}

/// A cache of peers or clusters, by the bytes that describe them. One type for both: each type adds 3 KB of code.
type Cache = BoundedCache<Bytes, Remembered>;

#[derive(Clone)]
enum Remembered {
    Peer(Rc<Peer>),
    Cluster(Rc<Cluster>),
}

impl Resolver {
    /// A resolver for the proxy `local` and the plugin with this root id.
    pub fn new(local: Peer, root_id: &str, needs: Needs, host_header_fallback: bool) -> Self {
        Self {
            needs,
            host_header_fallback,
            direction: Direction::of_root_id(root_id),
            local: Rc::new(local),
            stranger: Rc::default(),
            peers: BoundedCache::new(MAX_REMEMBERED),
            endpoints: BoundedCache::new(MAX_REMEMBERED),
            clusters: BoundedCache::new(MAX_REMEMBERED),
        }
    }

    /// Clears what a configuration update may have changed: the services of clusters, and our certificates.
    pub fn refresh(&mut self) {
        self.clusters = BoundedCache::new(MAX_REMEMBERED);
    }

    /// The direction, if it is the same for all streams.
    pub fn known_direction(&self) -> Option<Direction> {
        self.direction
    }

    /// The direction of the current stream.
    pub fn direction(&self, host: &impl Host) -> Direction {
        self.direction.unwrap_or_else(|| Direction::of_listener(host))
    }

    /// The facts of the request that just ended.
    pub fn facts_of_request(&mut self, host: &impl Host, before: AlreadyRead) -> Facts {
        let facts = Facts::of_request(host, self.direction(host), before);
        self.named(host, facts)
    }

    /// The facts of the current TCP connection. Once the peer is known, only the flags change.
    pub fn facts_of_connection(&mut self, host: &impl Host) -> Facts {
        let facts = Facts::of_connection(host, self.direction(host));
        self.named(host, facts)
    }

    /// Whether only the Host header names the service of the current request, and may become a label.
    pub fn needs_host_header(&mut self, host: &impl Host) -> bool {
        self.host_header_fallback
            && service::cluster(host).is_none_or(|name| self.cluster(host, &Bytes::Read(name)).service.host.is_none())
    }

    /// The current stream with these facts.
    pub fn resolve<'a>(&mut self, host: &impl Host, facts: &'a Facts) -> Stream<'a> {
        let peer = match (&facts.peer, &facts.endpoint) {
            _ if !self.needs.workloads => None,
            (Some(state), _) => Some(remembered(&mut self.peers, state, Peer::from_state)),
            (None, Some(endpoint)) => Some(remembered(&mut self.endpoints, endpoint, |text| {
                Peer::from_endpoint(core::str::from_utf8(text).ok()?)
            })),
            (None, None) => None,
        };
        let cluster = match &facts.cluster {
            Some(name) => self.cluster(host, name),
            None => {
                let service = ClusterService::of_route(facts.route.as_deref());
                Rc::new(Cluster { service, ..Cluster::default() })
            }
        };
        if self.needs.principals && facts.certificate.is_some() {
            cluster.own_certificate.get_or_init(|| read(host, Side::of(facts.direction).own_certificate));
        }
        let peer = peer.unwrap_or_else(|| Rc::clone(&self.stranger));
        Stream::new(facts, Rc::clone(&self.local), peer, cluster)
    }

    /// Adds the client's name for the service, if it may become a label.
    fn named(&mut self, host: &impl Host, mut facts: Facts) -> Facts {
        // Only with mutual TLS, the server name is Istio's. It is told of inbound streams alone.
        if !self.needs.service || !(facts.mutual_tls || self.host_header_fallback) {
            return facts;
        }
        let cluster = facts.cluster.as_ref().map(|name| self.cluster(host, name));
        match cluster {
            Some(cluster) if !cluster.further.is_empty() && facts.mutual_tls => {
                facts.read_called(host, &cluster.further);
            }
            Some(cluster) if cluster.service.host.is_some() => {}
            _ if self.host_header_fallback => facts.read_name(host),
            _ => {}
        }
        facts
    }

    /// The data of the current stream's cluster.
    fn cluster(&mut self, host: &impl Host, name: &Bytes) -> Rc<Cluster> {
        if let Some(Remembered::Cluster(cluster)) = self.clusters.get(name) {
            return cluster;
        }
        let service = ClusterService::of_cluster(host, name);
        // A service that is called from here has a cluster of its own.
        let further = match self.direction(host) {
            Direction::Inbound if service.host.is_some() => ClusterService::further(host),
            _ => Vec::new(),
        };
        let cluster = Rc::new(Cluster { service, further, ..Cluster::default() });
        self.clusters.insert(name.clone(), Remembered::Cluster(Rc::clone(&cluster)));
        cluster
    }
}

/// The peer that `said` describes, from the cache or decoded by `understand`.
fn remembered(cache: &mut Cache, said: &Bytes, understand: fn(&[u8]) -> Option<Peer>) -> Rc<Peer> {
    if let Some(Remembered::Peer(peer)) = cache.get(said) {
        return peer;
    }
    let peer = Rc::new(understand(said).unwrap_or_default());
    cache.insert(said.clone(), Remembered::Peer(Rc::clone(&peer)));
    peer
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::label::End;
    use crate::stream::LabelValue;
    use host::fake::FakeHost;
    use host::property;

    /// Where a request with mutual TLS was called from productpage.
    fn host() -> FakeHost {
        let peer = Peer { workload_name: "productpage-v1".into(), ..Peer::default() };
        let mut host = FakeHost::new();
        host.with_text(property::CLUSTER_NAME, "inbound|9080||")
            .with_text(property::REQUEST_HOST, "reviews:9080")
            .with_text(property::CONNECTION_PEER_SAN, "spiffe://cluster.local/ns/default/sa/productpage")
            .with_text(property::CONNECTION_LOCAL_SAN, "spiffe://cluster.local/ns/default/sa/reviews")
            .with_state("downstream_peer", &peer.to_state());
        host
    }

    fn resolver(needs: Needs) -> Resolver {
        Resolver::new(Peer::default(), "stats_inbound", needs, true)
    }

    /// The text of a label of the request.
    fn text(resolver: &mut Resolver, host: &FakeHost, label: Label) -> String {
        let facts = resolver.facts_of_request(host, AlreadyRead::default());
        match resolver.resolve(host, &facts).value(label) {
            LabelValue::Text(text) => String::from_utf8_lossy(text).into_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn what_nobody_needs_is_not_looked_for() {
        for (label, service, principal, workload) in [
            (Label::Reporter, "", "", ""),
            (Label::DestinationService, "reviews:9080", "", "productpage-v1"),
            (Label::SourcePrincipal, "", "spiffe://cluster.local/ns/default/sa/reviews", ""),
            (Label::SourceApp, "", "", "productpage-v1"),
        ] {
            let (host, mut needs) = (host(), Needs::default());
            needs.add(label);
            let mut resolver = resolver(needs);
            assert_eq!(text(&mut resolver, &host, Label::DestinationService), service, "{label:?}");
            assert_eq!(text(&mut resolver, &host, Label::DestinationPrincipal), principal, "{label:?}");
            assert_eq!(text(&mut resolver, &host, Label::SourceWorkload), workload, "{label:?}");
        }
    }

    #[test]
    fn our_own_certificate_is_read_once_for_each_cluster_until_it_may_have_changed() {
        let (mut host, mut resolver) = (host(), resolver(Needs::ALL));
        let facts = resolver.facts_of_request(&host, AlreadyRead::default());
        // What the cluster says of its service takes three calls.
        for (certificate, is_refreshed, expected, calls) in
            [("old", false, "old", 1), ("new", false, "old", 0), ("new", true, "new", 4)]
        {
            host.with_text(property::CONNECTION_LOCAL_SAN, certificate);
            if is_refreshed {
                resolver.refresh();
            }
            host.take_calls();
            let stream = resolver.resolve(&host, &facts);
            assert_eq!(stream.value(Label::DestinationPrincipal), LabelValue::Text(expected.as_bytes()));
            assert_eq!(host.take_calls(), calls, "{certificate} {is_refreshed}");
        }
    }

    #[test]
    fn of_several_services_of_a_workload_the_called_one_is_the_destination() {
        let further = "component.shop.svc.cluster.local";
        let name = |service: &str| format!("outbound_.80_._.{service}");
        for (server_name, is_mutual_tls, expected) in [
            (name(further), true, ["component", further]),
            (name("web.shop.svc.cluster.local"), true, ["web", "web.shop.svc.cluster.local"]),
            (name("other.shop.svc.cluster.local"), true, ["web", "web.shop.svc.cluster.local"]),
            (further.to_owned(), true, ["web", "web.shop.svc.cluster.local"]),
            (name(further), false, ["web", "web.shop.svc.cluster.local"]),
        ] {
            let (mut host, mut resolver) = (host(), resolver(Needs::ALL));
            host.with_text(property::CLUSTER_SERVICE_HOST, "web.shop.svc.cluster.local")
                .with_text(property::CLUSTER_SERVICE_NAME, "web")
                .with_text(property::CLUSTER_FURTHER_HOSTS[0], further)
                .with_text(property::CONNECTION_SERVER_NAME, &server_name);
            if !is_mutual_tls {
                host.with_text(property::CONNECTION_PEER_SAN, "");
            }
            let labels = [Label::DestinationServiceName, Label::DestinationService];
            let values = labels.map(|label| text(&mut resolver, &host, label));
            assert_eq!(values, expected, "{server_name} {is_mutual_tls}");
        }
    }

    #[test]
    fn the_server_name_is_read_only_where_there_are_several_services() {
        let calls = |further: &str| {
            let (mut host, mut resolver) = (host(), resolver(Needs::ALL));
            host.with_text(property::CLUSTER_SERVICE_HOST, "web.shop.svc.cluster.local")
                .with_text(property::CLUSTER_FURTHER_HOSTS[0], further);
            resolver.facts_of_request(&host, AlreadyRead::default());
            host.take_calls();
            resolver.facts_of_request(&host, AlreadyRead::default());
            host.take_calls()
        };
        assert_eq!(calls("component.shop.svc.cluster.local"), calls("") + 1);
    }

    #[test]
    fn a_peer_is_remembered_with_all_that_it_says_of_itself() {
        let (mut host, mut resolver) = (host(), resolver(Needs::ALL));
        let peer = Peer { name: "productpage-v1-1".into(), owner: "kubernetes://x".into(), ..Peer::default() };
        host.with_state("downstream_peer", &peer.to_state());
        for _ in 0..2 {
            let facts = resolver.facts_of_request(&host, AlreadyRead::default());
            assert_eq!(resolver.resolve(&host, &facts).workload(End::Source), &peer);
        }
        assert_eq!(resolver.peers.len(), 1);
    }

    #[test]
    fn all_forms_of_a_host_are_one_service() {
        let (mut host, mut resolver) = (host(), resolver(Needs::ALL));
        let mut of = |name: &str| {
            host.with_text(property::REQUEST_HOST, name);
            (
                resolver.facts_of_request(&host, AlreadyRead::default()),
                text(&mut resolver, &host, Label::DestinationService),
            )
        };
        let first = of("api.partner.example");
        for name in ["API.Partner.example", "api.partner.example.", "api.partner.example.."] {
            assert_eq!(of(name), first, "{name}");
        }
        assert_eq!(first.1, "api.partner.example");
        assert_eq!(of(".").1, "", "no host at all");
    }

    #[test]
    fn the_host_header_is_needed_where_the_cluster_does_not_tell_and_clients_are_believed() {
        for (cluster, believed, expected) in [
            ("inbound|9080||", true, true),
            ("inbound|9080||", false, false),
            ("outbound|9080||reviews.default.svc.cluster.local", true, false),
        ] {
            let mut host = host();
            host.with_text(property::CLUSTER_NAME, cluster);
            let mut resolver = Resolver::new(Peer::default(), "", Needs::ALL, believed);
            assert_eq!(resolver.needs_host_header(&host), expected, "{cluster} {believed}");
        }
    }
}
