//! Metadata exchange over HTTP: which headers to read, to set and to remove, and which metadata to reject.
//!
//! Istio's contract:
//!
//! | headers | inbound listener | outbound listener, gateway |
//! |---|---|---|
//! | request | remove and store the caller's | replace the application's by our own |
//! | response | add our own, if the caller sent any | remove and store the callee's |
//!
//! A listener without a direction may have callers and callees in the mesh: there, both are done.
//!
//! A request that leaves the mesh carries no metadata.

use std::rc::Rc;

use collections::bytes::{Bytes, Key};
use host::pairs::Pairs;
use host::property::{self, Property};
use host::{HeaderMap, Host, StateKind, WarmCalls};
use labels::content_type::is_grpc;
use labels::direction::Direction;
use labels::peer::Peer;
use labels::side::{Side, DOWNSTREAM, UPSTREAM};

use crate::clusters::MeshClusters;
use crate::counters::{ExchangeCounters, ExchangeEvent, Rejection};
use crate::learned::{Learned, LearnedCache, UnderstoodPeer};
use crate::wire::{self, ID_HEADER, MAX_ID_BYTES, METADATA_HEADER};

/// Host calls of a warm request, if the peer supports the exchange, under mutual TLS.
pub const WARM_CALLS: WarmCalls = WarmCalls { inbound: 8, outbound: 9 };

/// Metadata exchange on one worker.
pub struct Exchange {
    /// Our own headers; `None` if the node has no id, or too much metadata.
    own_id: Option<String>,
    own_metadata: Option<String>,
    /// From the root id, else read from each stream's listener.
    direction: Option<Direction>,
    /// What metadata headers say, by the header itself: a peer cannot speak for another by sending its id.
    peers: LearnedCache,
    shares: Shares,
    clusters: MeshClusters,
    counters: ExchangeCounters,
}

/// What to write to filter state for other filters and access loggers. Writing a value costs as much as reading two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shares {
    /// Peers and their ids.
    All,
    /// Peers.
    Peers,
    /// Nothing: callers use [`Found`].
    Nothing,
}

/// State of one HTTP stream.
#[derive(Debug)]
pub struct ExchangeStream {
    /// `None`: both.
    direction: Option<Direction>,
    caller_sent_id: bool,
    caller_sent_metadata: bool,
    /// Whether the request stays inside the mesh.
    inside: bool,
    /// What the exchange found out about the peer.
    pub found: Found,
}

/// What the exchange found out about a stream's peer. A filter in the same pass need not read it again.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The peer's metadata, in the form of the filter state; `None` if absent or rejected.
    pub peer: Option<Bytes>,
    /// First URI SAN of the peer's certificate; `None` if it was not read, `Some(None)` if there is none.
    pub certificate: Option<Option<Bytes>>,
    /// Whether the request's content type is gRPC. False if its headers were not read.
    pub came_as_grpc: bool,
}

/// Whether a peer's certificate is of another namespace than its metadata. Without mutual TLS there is nothing to compare,
/// and the metadata is accepted, as in Istio.
pub(crate) fn contradicts(certificate: Option<&[u8]>, namespace: &str) -> bool {
    let proved = certificate.and_then(spiffe_namespace);
    !namespace.is_empty() && proved.is_some_and(|proved| proved != namespace.as_bytes())
}

/// Which of the peer's headers were present.
struct Taken {
    id: bool,
    metadata: bool,
}

impl Exchange {
    /// `local` is the metadata of this proxy.
    #[inline(never)]
    pub fn new(local: &Peer, max_peer_cache_size: usize, host: &impl Host) -> Self {
        let own_metadata = match wire::encode(local) {
            // Also of a node without metadata: who says nothing gets no answer.
            Ok(header) => Some(header),
            Err(_) => {
                log::warn!(
                    "metadata_exchange: this node's metadata exceeds {} bytes and is not sent",
                    wire::MAX_METADATA_BYTES
                );
                None
            }
        };
        Self {
            own_id: host.text(property::NODE_ID),
            own_metadata,
            direction: Direction::of_root_id(&host.text(property::PLUGIN_ROOT_ID).unwrap_or_default()),
            peers: LearnedCache::new(max_peer_cache_size),
            shares: Shares::All,
            clusters: MeshClusters::default(),
            counters: ExchangeCounters::default(),
        }
    }

    /// Sets what to write to filter state.
    pub fn sharing(self, shares: Shares) -> Self {
        Self { shares, ..self }
    }

    /// Writes peers to filter state, if nothing was written so far.
    pub fn share_peers(&mut self) {
        if self.shares == Shares::Nothing {
            self.shares = Shares::Peers;
        }
    }

    /// Clears the cached properties of clusters. A configuration update may have changed them.
    pub fn refresh(&mut self) {
        self.clusters = MeshClusters::default();
    }

    /// The request passes on its way to the application or upstream.
    pub fn on_request_headers(&mut self, host: &impl Host) -> ExchangeStream {
        let mut stream = ExchangeStream {
            direction: self.direction.or_else(|| Direction::told_by_listener(host)),
            caller_sent_id: false,
            caller_sent_metadata: false,
            inside: true,
            found: Found::default(),
        };
        if stream.direction != Some(Direction::Outbound) {
            let taken = self.take(host, &DOWNSTREAM, true, &mut stream.found);
            stream.caller_sent_id = taken.id;
            stream.caller_sent_metadata = taken.metadata;
        }
        if stream.direction != Some(Direction::Inbound) {
            let inside = self.clusters.contain_current(host);
            stream.inside = inside;
            put(host, HeaderMap::Request, METADATA_HEADER, self.own_metadata.as_deref().filter(|_| inside));
            put(host, HeaderMap::Request, ID_HEADER, self.own_id.as_deref().filter(|_| inside));
            // The peer of such a stream is the callee.
            stream.found = Found { came_as_grpc: stream.found.came_as_grpc, ..Found::default() };
        }
        stream
    }

    /// The response passes on its way back; for a local reply, this may be all that passes.
    pub fn on_response_headers(&mut self, host: &impl Host, stream: &mut ExchangeStream) {
        if stream.direction != Some(Direction::Inbound) {
            self.take(host, &UPSTREAM, stream.inside, &mut stream.found);
        }
        if stream.direction != Some(Direction::Outbound) {
            let metadata = self.own_metadata.as_deref().filter(|_| stream.caller_sent_metadata);
            let id = self.own_id.as_deref().filter(|_| stream.caller_sent_id);
            put(host, HeaderMap::Response, METADATA_HEADER, metadata);
            put(host, HeaderMap::Response, ID_HEADER, id);
        }
    }

    /// Removes the peer's headers. Stores their content if the peer is inside the mesh and its metadata is accepted.
    fn take(&mut self, host: &impl Host, side: &Side, inside: bool, found: &mut Found) -> Taken {
        // Reading all headers at once costs as much as reading one.
        let pairs = host.header_pairs(side.headers).unwrap_or_default();
        let PeerHeaders { id, metadata, grpc } = PeerHeaders::of(&pairs);
        for (name, value) in [(ID_HEADER, id), (METADATA_HEADER, metadata)] {
            if value.is_some() {
                put(host, side.headers, name, None);
            }
        }
        if side.headers == HeaderMap::Request {
            found.came_as_grpc = grpc;
        }
        let (id, metadata) = (id.unwrap_or_default(), metadata.unwrap_or_default());
        let taken = Taken { id: !id.is_empty(), metadata: !metadata.is_empty() };
        if !inside {
            return taken;
        }
        if taken.metadata {
            match self.believe(host, side, metadata, found) {
                Ok(peer) => {
                    if self.shares != Shares::Nothing {
                        store(host, side.peer, &peer.state);
                    }
                    found.peer = Some(Bytes::Kept(Rc::clone(&peer.state)));
                }
                Err(rejection) => {
                    self.counters.count(host, ExchangeEvent::Rejected(rejection));
                    return taken;
                }
            }
        }
        if id.len() > MAX_ID_BYTES {
            self.counters.count(host, ExchangeEvent::Rejected(Rejection::TooLarge));
        } else if taken.id && self.shares == Shares::All {
            store(host, side.peer_id, id);
        }
        taken
    }

    /// The peer in `header`, if it is valid and its certificate agrees.
    fn believe(
        &mut self,
        host: &impl Host,
        side: &Side,
        header: &[u8],
        found: &mut Found,
    ) -> Result<Rc<UnderstoodPeer>, Rejection> {
        let peer = self.understand(header)?;
        let certificate = side.principal(host);
        let forged = contradicts(certificate.as_deref(), &peer.namespace);
        found.certificate = Some(certificate.map(Bytes::Read));
        if forged {
            return Err(Rejection::Forged);
        }
        Ok(peer)
    }

    fn understand(&mut self, header: &[u8]) -> Result<Rc<UnderstoodPeer>, Rejection> {
        if header.len() > wire::MAX_METADATA_BYTES {
            return Err(Rejection::TooLarge);
        }
        if let Some(Learned::Peer(peer)) = self.peers.get(&Key(header)) {
            return peer;
        }
        let peer = wire::decode(header)
            .map(|peer| Rc::new(UnderstoodPeer { state: peer.to_state().into(), namespace: peer.namespace }));
        self.peers.insert(Bytes::Read(header.into()), Learned::Peer(peer.clone()));
        peer
    }
}

/// The headers that the exchange reads. With several lines of one name, the first counts.
#[derive(Default)]
struct PeerHeaders<'a> {
    id: Option<&'a [u8]>,
    metadata: Option<&'a [u8]>,
    grpc: bool,
}

impl<'a> PeerHeaders<'a> {
    fn of(pairs: &'a [u8]) -> Self {
        let mut headers = Self::default();
        for (name, value) in Pairs::new(pairs) {
            if name == METADATA_HEADER.as_bytes() {
                headers.metadata = headers.metadata.or(Some(value));
            } else if name == ID_HEADER.as_bytes() {
                headers.id = headers.id.or(Some(value));
            } else if name == b"content-type" {
                headers.grpc = is_grpc(value);
            }
        }
        headers
    }
}

/// Sets or removes a header.
fn put(host: &impl Host, map: HeaderMap, name: &str, value: Option<&str>) {
    let result = match value {
        Some(value) => host.replace_header(map, name, value),
        None => host.remove_header(map, name),
    };
    if let Err(error) = result {
        log::debug!("header {name} not changed: {error}");
    }
}

/// Declares the types of the filter state to Envoy. Works only while the plugin is configured.
#[inline(never)]
pub fn declare_peers(host: &impl Host) {
    for (state, kind) in [
        (DOWNSTREAM.peer, StateKind::Struct),
        (UPSTREAM.peer, StateKind::Struct),
        (DOWNSTREAM.peer_id, StateKind::Text),
        (UPSTREAM.peer_id, StateKind::Text),
    ] {
        if let Err(error) = host.declare_filter_state(state.0, kind) {
            log::warn!("metadata_exchange: expressions cannot read wasm.{}: {error}", state.0);
        }
    }
}

/// Writes a value to filter state, where others read it.
pub(crate) fn store(host: &impl Host, state: Property, value: &[u8]) {
    if let Err(error) = host.set_filter_state(state.0, value) {
        log::debug!("filter state wasm.{} not set: {error}", state.0);
    }
}

/// The namespace in `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.
fn spiffe_namespace(san: &[u8]) -> Option<&[u8]> {
    let mut parts = san.strip_prefix(b"spiffe://")?.split(|byte| *byte == b'/');
    let _trust_domain = parts.next()?;
    parts.next().filter(|part| *part == b"ns")?;
    parts.next()
}

#[cfg(test)]
mod tests;
