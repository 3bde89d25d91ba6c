//! Who called whom, and what for: the texts of a line that come from more than one attribute.
//!
//! They follow from the stream's [`Facts`], from which the labels of its metrics follow, too.

use core::cell::OnceCell;
use std::rc::Rc;

use collections::bounded::BoundedCache;
use collections::bytes::{Bytes, Key};
use host::Host;
use labels::direction::Direction;
use labels::facts::Facts;
use labels::peer::{Peer, APP, VERSION};
use labels::service::ClusterService;

/// Peers, endpoints and clusters remembered, each.
const MAX_REMEMBERED: usize = 1_000;
/// The reporter of the way in.
pub const DESTINATION: &[u8] = b"destination";

/// A text that names a side of a request, or what is between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// `source` or `destination`: whose proxy writes the line.
    Reporter,
    /// `mutual_tls` or `none`; empty on the way out, as only the server knows what it demanded.
    SecurityPolicy,
    /// Something of the caller.
    Source(Fact),
    /// Something of the called workload.
    Destination(Fact),
    /// Full name of the service that was called.
    ServiceHost,
    /// Its short name.
    ServiceName,
    /// Its namespace.
    ServiceNamespace,
}

/// Something of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Name of the workload.
    Workload,
    /// Namespace.
    Namespace,
    /// Identity by its certificate.
    Principal,
    /// Label `app`.
    App,
    /// Label `version`.
    Version,
    /// Canonical service.
    CanonicalService,
    /// Canonical revision.
    CanonicalRevision,
    /// Cluster.
    Cluster,
    /// Name of the pod.
    Name,
    /// URI of what owns the pod.
    Owner,
}

/// What is known of the sides of a request.
pub trait Sides {
    /// A text, in UTF-8 or not; empty if it is not known.
    fn text(&self, who: Who) -> &[u8];
}

/// What the reader shall find out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Which side it is.
    pub reporter: bool,
    /// Anything about a workload, but its principal.
    pub workloads: bool,
    /// Principals.
    pub principals: bool,
    /// Anything about the service.
    pub service: bool,
    /// The security policy.
    pub security_policy: bool,
}

/// Finds out the sides of streams, and remembers what does not change.
pub struct Reader {
    host_header_fallback: bool,
    local: Rc<Peer>,
    stranger: Rc<Peer>,
    peers: Cache,
    endpoints: Cache,
    clusters: Cache,
}

/// What was said of a peer or of a cluster, by the bytes that said it. One type for both: each takes 3 KB of code.
type Cache = BoundedCache<Bytes, Known>;

#[derive(Clone)]
enum Known {
    Peer(Rc<Peer>),
    Called(Rc<Called>),
}

/// What is remembered of a cluster.
#[derive(Default)]
struct Called {
    service: ClusterService,
    /// The certificate that this proxy shows to those who show theirs.
    own_certificate: OnceCell<Option<Bytes>>,
}

/// What the reader found.
pub struct Found<'a> {
    facts: &'a Facts,
    peer: Rc<Peer>,
    local: Rc<Peer>,
    called: Rc<Called>,
}

impl Needs {
    /// Whether there is anything to find out.
    pub fn is_any(self) -> bool {
        self != Self::default()
    }

    /// Adds what `who` takes.
    pub fn add(&mut self, who: Who) {
        match who {
            Who::Reporter => self.reporter = true,
            Who::SecurityPolicy => self.security_policy = true,
            Who::Source(Fact::Principal) | Who::Destination(Fact::Principal) => self.principals = true,
            Who::Source(_) | Who::Destination(_) => self.workloads = true,
            // The namespace may be that of the destination, the host its canonical service.
            Who::ServiceHost | Who::ServiceName | Who::ServiceNamespace => {
                (self.service, self.workloads) = (true, true)
            }
        }
    }
}

impl Reader {
    /// A reader for the proxy `local`.
    pub fn new(local: Peer, host_header_fallback: bool) -> Self {
        Self {
            host_header_fallback,
            local: Rc::new(local),
            stranger: Rc::default(),
            peers: BoundedCache::new(MAX_REMEMBERED),
            endpoints: BoundedCache::new(MAX_REMEMBERED),
            clusters: BoundedCache::new(MAX_REMEMBERED),
        }
    }

    /// Forgets what a configuration update may have changed.
    pub fn refresh(&mut self) {
        self.clusters = BoundedCache::new(MAX_REMEMBERED);
    }

    /// Whether the service of the current stream's `cluster` is known without what the client calls it, or that is not to be
    /// believed.
    pub fn names_service(&mut self, host: &impl Host, cluster: Option<&[u8]>) -> bool {
        !self.host_header_fallback || cluster.is_some_and(|name| self.called(host, name).service.host.is_some())
    }

    /// Finds out the sides of the current stream.
    pub fn read<'a>(&mut self, host: &impl Host, needs: Needs, facts: &'a Facts) -> Found<'a> {
        let peer = match (&facts.peer, &facts.endpoint) {
            _ if !needs.workloads => None,
            (Some(state), _) => peer_of(&mut self.peers, state, Peer::from_state),
            (None, Some(endpoint)) => {
                peer_of(&mut self.endpoints, endpoint, |text| Peer::from_endpoint(core::str::from_utf8(text).ok()?))
            }
            (None, None) => None,
        };
        let called = match &facts.cluster {
            Some(name) => self.called(host, name),
            None => {
                let service = ClusterService::of_route(facts.route.as_deref());
                Rc::new(Called { service, ..Called::default() })
            }
        };
        if needs.principals && facts.certificate.is_some() {
            called.own_certificate.get_or_init(|| facts.own_certificate(host));
        }
        let peer = peer.unwrap_or_else(|| Rc::clone(&self.stranger));
        Found { facts, peer, local: Rc::clone(&self.local), called }
    }

    /// What is known of the current stream's cluster.
    fn called(&mut self, host: &impl Host, name: &[u8]) -> Rc<Called> {
        if let Some(Known::Called(called)) = self.clusters.get(&Key(name)) {
            return called;
        }
        let service = ClusterService::of_cluster(host, name);
        let called = Rc::new(Called { service, ..Called::default() });
        self.clusters.insert(Bytes::Read(name.into()), Known::Called(Rc::clone(&called)));
        called
    }
}

impl Found<'_> {
    fn is_inbound(&self) -> bool {
        self.facts.direction == Direction::Inbound
    }

    /// What the service is called: by its cluster, by the client, or on the way in by the workload's own name.
    fn service_host(&self) -> &[u8] {
        match (&self.called.service.host, &self.facts.named) {
            (Some(host), _) => host.as_bytes(),
            (None, Some(name)) => name,
            (None, None) if self.is_inbound() => self.local.canonical_service().as_bytes(),
            (None, None) => b"",
        }
    }

    fn own_principal(&self) -> &[u8] {
        let own = match self.facts.certificate {
            Some(_) => self.called.own_certificate.get().and_then(Option::as_ref),
            None => self.facts.own_certificate.as_ref(),
        };
        own.map_or(&[], |own| own)
    }

    fn fact(&self, of_peer: bool, fact: Fact) -> &[u8] {
        let peer = if of_peer { &self.peer } else { &self.local };
        let text = match fact {
            Fact::Principal if of_peer => return self.facts.certificate.as_deref().unwrap_or_default(),
            Fact::Principal => return self.own_principal(),
            Fact::Workload => peer.workload_name.as_str(),
            Fact::Namespace => &peer.namespace,
            Fact::App => peer.label(APP),
            Fact::Version => peer.label(VERSION),
            Fact::CanonicalService => peer.canonical_service(),
            Fact::CanonicalRevision => peer.canonical_revision(),
            Fact::Cluster => &peer.cluster_id,
            Fact::Name => &peer.name,
            Fact::Owner => &peer.owner,
        };
        text.as_bytes()
    }
}

impl Sides for Found<'_> {
    fn text(&self, who: Who) -> &[u8] {
        match who {
            Who::Reporter if self.is_inbound() => DESTINATION,
            Who::Reporter => b"source",
            Who::SecurityPolicy => match (self.is_inbound(), self.facts.mutual_tls) {
                (true, true) => b"mutual_tls",
                (true, false) => b"none",
                (false, _) => b"",
            },
            Who::Source(fact) => self.fact(self.is_inbound(), fact),
            Who::Destination(fact) => self.fact(!self.is_inbound(), fact),
            Who::ServiceHost => self.service_host(),
            Who::ServiceName => match &self.called.service.name {
                Some(name) => name.as_bytes(),
                None => self.service_host(),
            },
            Who::ServiceNamespace => match (self.fact(!self.is_inbound(), Fact::Namespace), self.is_inbound()) {
                ([], false) => self.called.service.namespace.as_deref().unwrap_or_default().as_bytes(),
                (namespace, _) => namespace,
            },
        }
    }
}

fn peer_of(cache: &mut Cache, said: &Bytes, read: fn(&[u8]) -> Option<Peer>) -> Option<Rc<Peer>> {
    if let Some(Known::Peer(peer)) = cache.get(said) {
        return Some(peer);
    }
    let peer = Rc::new(read(said).unwrap_or_default());
    cache.insert(said.clone(), Known::Peer(Rc::clone(&peer)));
    Some(peer)
}
