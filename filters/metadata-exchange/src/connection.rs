//! Metadata exchange over TCP: a frame before the first byte in each direction.
//!
//! Istio's own filter negotiates it by ALPN (`istio-peer-exchange`). A wasm filter cannot see the result, so it follows
//! these rules:
//!
//! * **Inbound** it reads first. It looks for a frame only under mutual TLS, and recognises it by its first bytes. It
//!   answers only
//!   after a frame, and only if no other byte has been sent. A client without the exchange notices nothing.
//! * On a listener **without direction**, it does the same, unless its configuration names the protocol.
//! * **Outbound** it must write first. It does so only if its configuration names the protocol, and only to a peer with a
//!   SPIFFE
//!   identity in its certificate.
//!
//! Bytes that are not a frame pass unchanged and at once. A frame that cannot be decoded is dropped; only the labels are
//! lost.

use host::property;
use host::{Buffer, Host};
use labels::direction::Direction;
use labels::peer::{self, Peer};
use labels::side::{Side, DOWNSTREAM, UPSTREAM};

use crate::clusters::MeshClusters;
use crate::counters::{ExchangeCounters, ExchangeEvent, Rejection};
use crate::exchange::{contradicts, store};
use crate::frame::{self, Beginning, PREFIX_BYTES};
use crate::wire::MAX_METADATA_BYTES;

/// Most bytes held back while a frame is incomplete.
const MAX_FRAME_BYTES: usize = MAX_METADATA_BYTES + PREFIX_BYTES;

/// Bytes that might become a frame are held back at least until the second tick.
const TICKS_TO_WAIT: u32 = 2;

/// Metadata exchange over TCP on one worker.
pub struct TcpExchange {
    /// Our frame; `None` if the node has too much metadata.
    own_frame: Option<Vec<u8>>,
    /// Whether to send our frame first on outbound connections.
    introduce: bool,
    clusters: MeshClusters,
    counters: ExchangeCounters,
}

/// State of one connection.
#[derive(Debug)]
pub struct ExchangeConnection {
    direction: Option<Direction>,
    peer: PeerFrame,
    own: OwnFrame,
    /// Bytes held back because they might become a frame.
    held: usize,
    /// Ticks since bytes are held back.
    ticks: u32,
}

/// The peer's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PeerFrame {
    /// Not known yet whether to look for it.
    Undecided,
    Awaited,
    /// This many bytes of it must still be dropped.
    Dropping(usize),
    Settled,
}

/// Our frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwnFrame {
    /// Not sent unless the peer sends its frame.
    Withheld,
    /// To be sent before the next byte.
    Due,
    /// Sent, or it can no longer be sent.
    Settled,
}

/// Whether the received bytes pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum BytesFlow {
    /// They pass.
    Pass,
    /// They wait for more bytes.
    Wait,
}

impl Default for ExchangeConnection {
    fn default() -> Self {
        Self { direction: None, peer: PeerFrame::Undecided, own: OwnFrame::Withheld, held: 0, ticks: 0 }
    }
}

impl TcpExchange {
    /// `local` is the metadata of this proxy.
    #[inline(never)]
    pub fn new(local: &Peer, introduce: bool, host: &impl Host) -> Self {
        let id = host.text(property::NODE_ID);
        let own_frame = frame::encode(id.as_deref(), local);
        if own_frame.is_err() {
            log::warn!("metadata_exchange: this node's metadata is too large for TCP and is not sent");
        }
        Self {
            own_frame: own_frame.ok(),
            introduce,
            clusters: MeshClusters::default(),
            counters: ExchangeCounters::default(),
        }
    }

    /// `size` bytes arrived from the downstream; with `end`, the last ones.
    pub fn on_downstream_data(
        &mut self,
        host: &impl Host,
        connection: &mut ExchangeConnection,
        size: usize,
        end: bool,
    ) -> BytesFlow {
        let direction = self.direction(host, connection);
        self.decide(host, connection, direction);
        match direction {
            Direction::Inbound => self.receive(host, connection, &DOWNSTREAM, Buffer::Downstream, size, end),
            Direction::Outbound => self.send(host, connection, Buffer::Downstream),
        }
    }

    /// `size` bytes came from the upstream, the last ones if `end`.
    pub fn on_upstream_data(
        &mut self,
        host: &impl Host,
        connection: &mut ExchangeConnection,
        size: usize,
        end: bool,
    ) -> BytesFlow {
        match self.direction(host, connection) {
            // Do not decide yet: the application may send first, before the TLS handshake has identified the client.
            Direction::Inbound => self.send(host, connection, Buffer::Upstream),
            Direction::Outbound => {
                self.decide(host, connection, Direction::Outbound);
                self.receive(host, connection, &UPSTREAM, Buffer::Upstream, size, end)
            }
        }
    }

    /// Called on each tick while bytes are held back. At the second tick, bytes shorter than the magic number pass: frames
    /// do not arrive byte by byte, and the application may be waiting for an answer to these bytes. Returns whether any are
    /// still held.
    pub fn on_tick(&mut self, host: &impl Host, connection: &mut ExchangeConnection) -> bool {
        let (Some(direction), PeerFrame::Awaited) = (connection.direction, connection.peer) else {
            return false;
        };
        connection.ticks = connection.ticks.saturating_add(1);
        if connection.ticks < TICKS_TO_WAIT || connection.held >= frame::MAGIC.len() {
            return true;
        }
        self.give_up(host, connection, direction);
        let buffer = match direction {
            Direction::Inbound => Buffer::Downstream,
            Direction::Outbound => Buffer::Upstream,
        };
        if let Err(error) = host.resume(buffer) {
            log::warn!("metadata_exchange: held bytes do not pass: {error}");
        }
        false
    }

    /// Bytes are to be held back, and there is no timer that would let them go. Those that are less than the beginning of a
    /// frame pass; of a frame, the rest is sure to come.
    pub fn on_no_timer(&mut self, host: &impl Host, connection: &mut ExchangeConnection) -> BytesFlow {
        match connection.direction {
            Some(direction) if connection.held < frame::MAGIC.len() => {
                self.give_up(host, connection, direction);
                BytesFlow::Pass
            }
            _ => BytesFlow::Wait,
        }
    }

    /// No frame is looked for any longer.
    fn give_up(&mut self, host: &impl Host, connection: &mut ExchangeConnection, direction: Direction) {
        let side = match direction {
            Direction::Inbound => &DOWNSTREAM,
            Direction::Outbound => &UPSTREAM,
        };
        self.not_a_frame(host, connection, side);
    }

    fn not_a_frame(&mut self, host: &impl Host, connection: &mut ExchangeConnection, side: &Side) {
        self.counters.count(host, ExchangeEvent::InitialHeaderNotFound);
        store_unknown(host, side);
        connection.peer = PeerFrame::Settled;
        // A peer that sends no frame does not understand ours.
        connection.own = OwnFrame::Settled;
    }

    /// The direction of a connection. Where its listener has none, it answers, unless it is to speak first.
    fn direction(&self, host: &impl Host, connection: &mut ExchangeConnection) -> Direction {
        if let Some(direction) = connection.direction {
            return direction;
        }
        let direction = Direction::told_by_listener(host).unwrap_or_else(|| match self.introduce {
            true => Direction::Outbound,
            false => {
                // For labels, it is outbound.
                store_unknown(host, &UPSTREAM);
                Direction::Inbound
            }
        });
        connection.direction = Some(direction);
        direction
    }

    /// Decides, once, whether there is any exchange on the connection.
    fn decide(&mut self, host: &impl Host, connection: &mut ExchangeConnection, direction: Direction) {
        if connection.peer != PeerFrame::Undecided {
            return;
        }
        let (side, takes_part) = match direction {
            Direction::Inbound => (&DOWNSTREAM, host.boolean(property::CONNECTION_MTLS) == Some(true)),
            Direction::Outbound => (
                &UPSTREAM,
                self.introduce && has_spiffe_identity(host, &UPSTREAM) && self.clusters.contain_current(host),
            ),
        };
        if takes_part {
            self.counters.count(host, ExchangeEvent::ExchangeTried);
            connection.peer = PeerFrame::Awaited;
            if direction == Direction::Outbound {
                connection.own = OwnFrame::Due;
            }
        } else {
            self.counters.count(host, ExchangeEvent::ExchangeNotTried);
            connection.peer = PeerFrame::Settled;
            connection.own = OwnFrame::Settled;
            store_unknown(host, side);
        }
    }

    /// Bytes pass towards the peer.
    fn send(&mut self, host: &impl Host, connection: &mut ExchangeConnection, buffer: Buffer) -> BytesFlow {
        if connection.own == OwnFrame::Due {
            if let Some(frame) = &self.own_frame {
                match host.replace_front(buffer, 0, frame) {
                    Ok(()) => self.counters.count(host, ExchangeEvent::MetadataAdded),
                    Err(error) => log::debug!("metadata_exchange: metadata not added: {error}"),
                }
            }
        }
        // Only before the first byte: a later frame would be in the middle of the application's bytes.
        connection.own = OwnFrame::Settled;
        BytesFlow::Pass
    }

    /// Bytes arrive from the peer.
    fn receive(
        &mut self,
        host: &impl Host,
        connection: &mut ExchangeConnection,
        side: &Side,
        buffer: Buffer,
        size: usize,
        end: bool,
    ) -> BytesFlow {
        match connection.peer {
            PeerFrame::Settled | PeerFrame::Undecided => return BytesFlow::Pass,
            PeerFrame::Dropping(left) => {
                connection.peer = drop_front(host, buffer, size, left);
                return BytesFlow::Pass;
            }
            PeerFrame::Awaited => {}
        }
        let bytes = host.buffer(buffer, size.min(MAX_FRAME_BYTES)).unwrap_or_default();
        match frame::decode(&bytes) {
            Beginning::Incomplete if !end => {
                // Do not wait with an empty buffer: Envoy would not call again.
                connection.held = bytes.len();
                return if bytes.is_empty() { BytesFlow::Pass } else { BytesFlow::Wait };
            }
            Beginning::Incomplete if bytes.len() >= PREFIX_BYTES => {
                // A frame whose end never comes is still no data of the application's.
                self.counters.count(host, ExchangeEvent::HeaderNotFound);
                self.reject(host, side, Rejection::Malformed);
                connection.peer = drop_front(host, buffer, size, size);
            }
            Beginning::Incomplete | Beginning::Application => {
                self.not_a_frame(host, connection, side);
                return BytesFlow::Pass;
            }
            Beginning::Unreadable(length, rejection) => {
                self.counters.count(host, ExchangeEvent::HeaderNotFound);
                self.reject(host, side, rejection);
                connection.peer = drop_front(host, buffer, size, length);
            }
            Beginning::Frame(length, introduction) => {
                connection.peer = drop_front(host, buffer, size, length);
                if contradicts(side.principal(host).as_deref(), &introduction.peer.namespace) {
                    self.reject(host, side, Rejection::Forged);
                } else {
                    store(host, side.peer, &introduction.peer.to_state());
                    // Who waits for the peer waits for an id.
                    match introduction.id.as_str() {
                        "" => store_unknown(host, side),
                        id => store(host, side.peer_id, id.as_bytes()),
                    }
                }
            }
        }
        // The peer supports the protocol, so it expects our frame.
        if connection.own == OwnFrame::Withheld {
            connection.own = OwnFrame::Due;
        }
        BytesFlow::Pass
    }

    fn reject(&mut self, host: &impl Host, side: &Side, rejection: Rejection) {
        self.counters.count(host, ExchangeEvent::Rejected(rejection));
        store_unknown(host, side);
    }
}

/// Tells later filters that this connection will have no peer, so that they do not wait for one.
fn store_unknown(host: &impl Host, side: &Side) {
    store(host, side.peer_id, peer::PEER_NOT_FOUND_ID.as_bytes());
}

fn has_spiffe_identity(host: &impl Host, side: &Side) -> bool {
    side.principal(host).is_some_and(|san| san.starts_with(b"spiffe://"))
}

/// Drops up to `left` bytes from the front of the buffer.
fn drop_front(host: &impl Host, buffer: Buffer, size: usize, left: usize) -> PeerFrame {
    let here = left.min(size);
    if let Err(error) = host.replace_front(buffer, here, b"") {
        log::debug!("metadata_exchange: a peer's metadata is not taken off: {error}");
        return PeerFrame::Settled;
    }
    match left.saturating_sub(here) {
        0 => PeerFrame::Settled,
        left => PeerFrame::Dropping(left),
    }
}

#[cfg(test)]
mod tests;
