//! Metadata exchange over TCP: a frame before the first byte in each direction.
//!
//! Istio's own filter lets TLS negotiate it (ALPN `istio-peer-exchange`). A wasm filter cannot see what was negotiated,
//! so it takes care instead:
//!
//! * **Inbound** it reads: a frame is recognised by its first bytes and only looked for under mutual TLS. It answers only
//!   who has sent a frame, and only while nothing else has been sent. A client that does not take part sees nothing.
//! * **Outbound** it must write first, so it does that only if its configuration names the protocol, and only to a peer
//!   that has proved a SPIFFE identity.
//!
//! Bytes that are no frame pass untouched and at once; a frame that cannot be read is taken off and costs only the label.

use host::property;
use host::{Buffer, Host};
use labels::direction::Direction;
use labels::peer::{self, Peer};

use crate::clusters::MeshClusters;
use crate::counters::{Counters, Event, Rejection};
use crate::exchange::{contradicts, store, Side, CALLEE, CALLER};
use crate::frame::{self, Beginning, PREFIX_BYTES};
use crate::wire::MAX_METADATA_BYTES;

/// Bytes that may be held back while a frame is not complete.
const MAX_FRAME_BYTES: usize = MAX_METADATA_BYTES + PREFIX_BYTES;

/// How long bytes that might become a frame are held back at least: from this tick to the next but one.
const TICKS_TO_WAIT: u32 = 2;

/// Metadata exchange over TCP on one worker.
pub struct TcpExchange {
    /// Our frame; nothing where the node does not say who we are.
    own_frame: Option<Vec<u8>>,
    /// Whether to begin the exchange with those we call.
    introduce: bool,
    clusters: MeshClusters,
    counters: Counters,
}

/// What is remembered of one connection.
#[derive(Debug)]
pub struct Connection {
    direction: Option<Direction>,
    peer: PeerFrame,
    own: OwnFrame,
    /// Bytes that are held back because they might become a frame.
    held: usize,
    /// Ticks for which they have been.
    ticks: u32,
}

/// The peer's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PeerFrame {
    /// It is not known yet whether to look for it.
    Undecided,
    Awaited,
    /// This many bytes of it are still to be dropped.
    Dropping(usize),
    Settled,
}

/// Our frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwnFrame {
    /// It is not sent, unless the peer sends its own.
    Withheld,
    /// It goes before the next byte.
    Due,
    /// It was sent, or can be no more.
    Settled,
}

/// Whether the bytes at hand pass on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// They pass.
    Pass,
    /// They wait for more.
    Wait,
}

impl Default for Connection {
    fn default() -> Self {
        Self { direction: None, peer: PeerFrame::Undecided, own: OwnFrame::Withheld, held: 0, ticks: 0 }
    }
}

impl Connection {
    fn direction(&mut self, host: &impl Host) -> Direction {
        *self.direction.get_or_insert_with(|| Direction::of_listener(host))
    }
}

impl TcpExchange {
    /// `local` is who this proxy is.
    #[inline(never)]
    pub fn new(local: &Peer, introduce: bool, host: &impl Host) -> Self {
        let id = host.text(property::NODE_ID);
        let own_frame = frame::encode(id.as_deref(), local);
        if own_frame.is_err() {
            log::warn!("metadata_exchange: this node's metadata is too large for TCP and is not sent");
        }
        Self {
            own_frame: own_frame.ok().filter(|_| *local != Peer::default()),
            introduce,
            clusters: MeshClusters::default(),
            counters: Counters::default(),
        }
    }

    /// `size` bytes came from the downstream, the last ones if `end`.
    pub fn on_downstream_data(
        &mut self,
        host: &impl Host,
        connection: &mut Connection,
        size: usize,
        end: bool,
    ) -> Flow {
        let direction = connection.direction(host);
        self.decide(host, connection, direction);
        match direction {
            Direction::Inbound => self.receive(host, connection, &CALLER, Buffer::Downstream, size, end),
            Direction::Outbound => self.send(host, connection, Buffer::Downstream),
        }
    }

    /// `size` bytes came from the upstream, the last ones if `end`.
    pub fn on_upstream_data(&mut self, host: &impl Host, connection: &mut Connection, size: usize, end: bool) -> Flow {
        match connection.direction(host) {
            // Nothing is decided yet: the application may speak before the TLS handshake has told who the client is.
            Direction::Inbound => self.send(host, connection, Buffer::Upstream),
            Direction::Outbound => {
                self.decide(host, connection, Direction::Outbound);
                self.receive(host, connection, &CALLEE, Buffer::Upstream, size, end)
            }
        }
    }

    /// A tick passes while bytes are held back. Those that are less than the beginning of a frame are let go at the second:
    /// frames do not come byte by byte, and an application may be waiting for the answer to them. Returns whether any are
    /// still held.
    pub fn on_tick(&mut self, host: &impl Host, connection: &mut Connection) -> bool {
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
    pub fn on_no_timer(&mut self, host: &impl Host, connection: &mut Connection) -> Flow {
        match connection.direction {
            Some(direction) if connection.held < frame::MAGIC.len() => {
                self.give_up(host, connection, direction);
                Flow::Pass
            }
            _ => Flow::Wait,
        }
    }

    /// No frame is looked for any longer.
    fn give_up(&mut self, host: &impl Host, connection: &mut Connection, direction: Direction) {
        let side = match direction {
            Direction::Inbound => &CALLER,
            Direction::Outbound => &CALLEE,
        };
        self.not_a_frame(host, connection, side);
    }

    fn not_a_frame(&mut self, host: &impl Host, connection: &mut Connection, side: &Side) {
        self.counters.count(host, Event::InitialHeaderNotFound);
        store_unknown(host, side);
        connection.peer = PeerFrame::Settled;
        // Who does not introduce himself would not understand our frame.
        connection.own = OwnFrame::Settled;
    }

    /// Decides, once, whether there is any exchange on the connection.
    fn decide(&mut self, host: &impl Host, connection: &mut Connection, direction: Direction) {
        if connection.peer != PeerFrame::Undecided {
            return;
        }
        let (side, takes_part) = match direction {
            Direction::Inbound => (&CALLER, host.boolean(property::CONNECTION_MTLS) == Some(true)),
            Direction::Outbound => {
                (&CALLEE, self.introduce && has_spiffe_identity(host, &CALLEE) && self.clusters.contain_current(host))
            }
        };
        if takes_part {
            self.counters.count(host, Event::ExchangeTried);
            connection.peer = PeerFrame::Awaited;
            if direction == Direction::Outbound {
                connection.own = OwnFrame::Due;
            }
        } else {
            self.counters.count(host, Event::ExchangeNotTried);
            connection.peer = PeerFrame::Settled;
            connection.own = OwnFrame::Settled;
            store_unknown(host, side);
        }
    }

    /// Bytes pass towards the peer.
    fn send(&mut self, host: &impl Host, connection: &mut Connection, buffer: Buffer) -> Flow {
        if connection.own == OwnFrame::Due {
            if let Some(frame) = &self.own_frame {
                match host.replace_front(buffer, 0, frame) {
                    Ok(()) => self.counters.count(host, Event::MetadataAdded),
                    Err(error) => log::debug!("metadata_exchange: metadata not added: {error}"),
                }
            }
        }
        // Whatever goes out now: a frame later would be in the middle of the application's bytes.
        connection.own = OwnFrame::Settled;
        Flow::Pass
    }

    /// Bytes come from the peer.
    fn receive(
        &mut self,
        host: &impl Host,
        connection: &mut Connection,
        side: &Side,
        buffer: Buffer,
        size: usize,
        end: bool,
    ) -> Flow {
        match connection.peer {
            PeerFrame::Settled | PeerFrame::Undecided => return Flow::Pass,
            PeerFrame::Dropping(left) => {
                connection.peer = drop_front(host, buffer, size, left);
                return Flow::Pass;
            }
            PeerFrame::Awaited => {}
        }
        let bytes = host.buffer(buffer, size.min(MAX_FRAME_BYTES)).unwrap_or_default();
        match frame::decode(&bytes) {
            Beginning::Incomplete if !end => {
                // Nothing may wait that is empty: it would not come again.
                connection.held = bytes.len();
                return if bytes.is_empty() { Flow::Pass } else { Flow::Wait };
            }
            Beginning::Incomplete if bytes.len() >= PREFIX_BYTES => {
                // A frame whose end never comes is still no data of the application's.
                self.counters.count(host, Event::HeaderNotFound);
                self.reject(host, side, Rejection::Malformed);
                connection.peer = drop_front(host, buffer, size, size);
            }
            Beginning::Incomplete | Beginning::Application => {
                self.not_a_frame(host, connection, side);
                return Flow::Pass;
            }
            Beginning::Unreadable(length, rejection) => {
                self.counters.count(host, Event::HeaderNotFound);
                self.reject(host, side, rejection);
                connection.peer = drop_front(host, buffer, size, length);
            }
            Beginning::Frame(length, introduction) => {
                connection.peer = drop_front(host, buffer, size, length);
                if contradicts(side.certificate(host).as_deref(), &introduction.peer.namespace) {
                    self.reject(host, side, Rejection::Forged);
                } else {
                    store(host, side.peer_key, &introduction.peer.to_state());
                    store(host, side.id_key, introduction.id.as_bytes());
                }
            }
        }
        // It speaks the protocol, so it awaits our frame.
        if connection.own == OwnFrame::Withheld {
            connection.own = OwnFrame::Due;
        }
        Flow::Pass
    }

    fn reject(&mut self, host: &impl Host, side: &Side, rejection: Rejection) {
        self.counters.count(host, Event::Rejected(rejection));
        store_unknown(host, side);
    }
}

/// Tells the filters behind not to wait: there is no peer to be known on this connection.
fn store_unknown(host: &impl Host, side: &Side) {
    store(host, side.id_key, peer::PEER_NOT_FOUND_ID.as_bytes());
}

fn has_spiffe_identity(host: &impl Host, side: &Side) -> bool {
    host.property(side.certificate).is_some_and(|san| san.starts_with(b"spiffe://"))
}

/// Drops what is there of `left` bytes.
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
