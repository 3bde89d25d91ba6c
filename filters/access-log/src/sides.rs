//! Who called whom, and what for: the texts of a line that come from more than one attribute.
//!
//! The line is given them by way of [`Sides`]. This module's [`Reader`] finds them out by itself; a filter that knows them
//! already hands in its own.

use std::rc::Rc;

use mesh_common::batch::{Batch, Values};
use mesh_common::bounded::BoundedCache;
use mesh_common::expression::Kind;
use mesh_common::host::Host;
use mesh_common::peer::{Peer, APP, VERSION};
use mesh_common::property::{self, Property};
use mesh_common::service::ClusterService;

/// Peers, endpoints and clusters remembered, each.
const MAX_REMEMBERED: usize = 1_000;
/// The listener direction of the way in.
const INBOUND: i64 = 1;

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
    needs: Needs,
    host_header_fallback: bool,
    local: Rc<Peer>,
    stranger: Rc<Peer>,
    peers: Cache,
    endpoints: Cache,
    clusters: Cache,
    slots: Slots,
}

/// Where the reader's attributes are in the batch.
struct Slots {
    direction: usize,
    mutual_tls: usize,
    downstream_principals: [usize; 2],
    upstream_principals: [usize; 2],
    cluster: usize,
    route: usize,
    host: usize,
    server_name: usize,
}

/// What was said of a peer or of a cluster, by the bytes that said it. One type for both: each takes 3 KB of code.
type Cache = BoundedCache<Vec<u8>, Known>;

#[derive(Clone)]
enum Known {
    Peer(Rc<Peer>),
    Service(Rc<ClusterService>),
}

/// What the reader found.
pub struct Found<'a> {
    inbound: bool,
    mutual_tls: bool,
    source: Rc<Peer>,
    destination: Rc<Peer>,
    source_principal: &'a [u8],
    destination_principal: &'a [u8],
    service: Rc<ClusterService>,
    /// What the client called the service, where the cluster does not tell.
    named: &'a [u8],
}

impl Needs {
    /// Adds what `who` takes.
    pub fn add(&mut self, who: Who) {
        match who {
            Who::Reporter => {}
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
    /// A reader for the proxy `local`. What it reads of each stream is added to `batch`.
    pub fn new(local: Peer, needs: Needs, host_header_fallback: bool, batch: &mut Batch) -> Self {
        let mut slot = |needed: bool, path: Property, kind| match needed {
            true => batch.slot(path.0, kind),
            false => usize::MAX,
        };
        let slots = Slots {
            direction: slot(true, property::LISTENER_DIRECTION, Kind::Integer),
            mutual_tls: slot(needs.principals || needs.security_policy, property::CONNECTION_MTLS, Kind::Boolean),
            downstream_principals: [property::CONNECTION_PEER_SAN, property::CONNECTION_LOCAL_SAN]
                .map(|path| slot(needs.principals, path, Kind::Text)),
            upstream_principals: [property::UPSTREAM_LOCAL_SAN, property::UPSTREAM_PEER_SAN]
                .map(|path| slot(needs.principals, path, Kind::Text)),
            cluster: slot(needs.service, property::CLUSTER_NAME, Kind::Text),
            route: slot(needs.service, property::ROUTE_NAME, Kind::Text),
            host: slot(needs.service && host_header_fallback, property::REQUEST_HOST, Kind::Text),
            server_name: slot(needs.service && host_header_fallback, property::CONNECTION_SERVER_NAME, Kind::Text),
        };
        Self {
            needs,
            host_header_fallback,
            local: Rc::new(local),
            stranger: Rc::default(),
            peers: BoundedCache::new(MAX_REMEMBERED),
            endpoints: BoundedCache::new(MAX_REMEMBERED),
            clusters: BoundedCache::new(MAX_REMEMBERED),
            slots,
        }
    }

    /// Finds out the sides of the current stream, of which `values` are what the batch read.
    pub fn read<'a>(&mut self, host: &impl Host, values: &'a Values) -> Found<'a> {
        let inbound = values.int(self.slots.direction) == Some(INBOUND);
        let mutual_tls = values.boolean(self.slots.mutual_tls) == Some(true);
        let peer = match (self.needs.workloads, inbound) {
            (false, _) => Rc::clone(&self.stranger),
            (true, true) => self.peer(host, property::DOWNSTREAM_PEER).unwrap_or_else(|| Rc::clone(&self.stranger)),
            (true, false) => self
                .peer(host, property::UPSTREAM_PEER)
                .or_else(|| self.endpoint(host))
                .unwrap_or_else(|| Rc::clone(&self.stranger)),
        };
        let principals = match (inbound, mutual_tls) {
            (true, true) => self.slots.downstream_principals.map(|slot| values.bytes(slot)),
            (true, false) => [None; 2],
            (false, _) => self.slots.upstream_principals.map(|slot| values.bytes(slot)),
        };
        let [source_principal, destination_principal] = principals.map(Option::unwrap_or_default);
        let (source, destination) = match inbound {
            true => (peer, Rc::clone(&self.local)),
            false => (Rc::clone(&self.local), peer),
        };
        let service = match (self.needs.service, values.bytes(self.slots.cluster)) {
            (false, _) => Rc::default(),
            (true, Some(name)) => {
                let find_out = &mut |name: &[u8]| Known::Service(Rc::new(ClusterService::of_cluster(host, name)));
                match remember(&mut self.clusters, name, find_out) {
                    Known::Service(service) => service,
                    Known::Peer(_) => Rc::default(),
                }
            }
            (true, None) => Rc::new(ClusterService::of_route(values.bytes(self.slots.route))),
        };
        // Within the mesh, the server name is not the client's but Istio's name of the cluster.
        let named = values.bytes(self.slots.host).or_else(|| values.bytes(self.slots.server_name).filter(|_| !inbound));
        let named = named.filter(|_| self.host_header_fallback).unwrap_or_default();
        Found { inbound, mutual_tls, source, destination, source_principal, destination_principal, service, named }
    }

    /// The peer that metadata exchange found.
    fn peer(&mut self, host: &impl Host, state: Property) -> Option<Rc<Peer>> {
        peer_of(&mut self.peers, &host.property(state)?, Peer::from_state)
    }

    /// A peer that did not answer, as the control plane describes its endpoint.
    fn endpoint(&mut self, host: &impl Host) -> Option<Rc<Peer>> {
        let bytes = host.property(property::ENDPOINT_WORKLOAD)?;
        peer_of(&mut self.endpoints, &bytes, |bytes| Peer::from_endpoint(core::str::from_utf8(bytes).ok()?))
    }
}

impl Found<'_> {
    /// What the service is called: by its cluster, by the client, or on the way in by the workload's own name.
    fn service_host(&self) -> &[u8] {
        match &self.service.host {
            Some(host) => host.as_bytes(),
            None if !self.named.is_empty() => self.named,
            None if self.inbound => self.destination.canonical_service().as_bytes(),
            None => b"",
        }
    }

    /// The reader's half of a workload; the principal is not its own to say.
    fn fact<'a>(peer: &'a Peer, principal: &'a [u8], fact: Fact) -> &'a [u8] {
        let text = match fact {
            Fact::Principal => return principal,
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
            Who::Reporter if self.inbound => b"destination",
            Who::Reporter => b"source",
            Who::SecurityPolicy => match (self.inbound, self.mutual_tls) {
                (true, true) => b"mutual_tls",
                (true, false) => b"none",
                (false, _) => b"",
            },
            Who::Source(fact) => Self::fact(&self.source, self.source_principal, fact),
            Who::Destination(fact) => Self::fact(&self.destination, self.destination_principal, fact),
            Who::ServiceHost => self.service_host(),
            Who::ServiceName => self.service.name.as_ref().map_or_else(|| self.service_host(), |name| name.as_bytes()),
            Who::ServiceNamespace => match (self.inbound, self.destination.namespace.as_str()) {
                (false, "") => self.service.namespace.as_deref().unwrap_or_default().as_bytes(),
                (_, namespace) => namespace.as_bytes(),
            },
        }
    }
}

fn peer_of(cache: &mut Cache, said: &[u8], read: fn(&[u8]) -> Option<Peer>) -> Option<Rc<Peer>> {
    match remember(cache, said, &mut |said| Known::Peer(Rc::new(read(said).unwrap_or_default()))) {
        Known::Peer(peer) => Some(peer),
        Known::Service(_) => None,
    }
}

/// What `cache` holds for `key`, found out now if it holds nothing.
fn remember(cache: &mut Cache, key: &[u8], find_out: &mut dyn FnMut(&[u8]) -> Known) -> Known {
    if let Some(value) = cache.get(key) {
        return value;
    }
    let value = find_out(key);
    cache.insert(key.into(), value.clone());
    value
}
