//! The peer's side of a stream, and where to read about the peer.

use host::property::{self, Property};
use host::{HeaderMap, Host};

use crate::direction::Direction;

/// Where to read about the peer.
#[derive(Debug)]
pub struct Side {
    /// The headers that the peer sends.
    pub headers: HeaderMap,
    /// Filter state with the peer's metadata, from metadata exchange.
    pub peer: Property<'static>,
    /// Filter state with the peer's node id, from metadata exchange.
    pub peer_id: Property<'static>,
    /// First URI SAN of the peer's certificate.
    pub certificate: Property<'static>,
    /// First URI SAN of the certificate presented to the peer.
    pub own_certificate: Property<'static>,
}

/// The proxy or client that called this proxy.
pub const DOWNSTREAM: Side = Side {
    headers: HeaderMap::Request,
    peer: property::DOWNSTREAM_PEER,
    peer_id: property::DOWNSTREAM_PEER_ID,
    certificate: property::CONNECTION_PEER_SAN,
    own_certificate: property::CONNECTION_LOCAL_SAN,
};

/// The proxy or server that this proxy calls.
pub const UPSTREAM: Side = Side {
    headers: HeaderMap::Response,
    peer: property::UPSTREAM_PEER,
    peer_id: property::UPSTREAM_PEER_ID,
    certificate: property::UPSTREAM_PEER_SAN,
    own_certificate: property::UPSTREAM_LOCAL_SAN,
};

impl Side {
    /// The peer's side for this direction.
    pub fn of(direction: Direction) -> &'static Self {
        match direction {
            Direction::Inbound => &DOWNSTREAM,
            Direction::Outbound => &UPSTREAM,
        }
    }

    /// The identity in the peer's certificate.
    pub fn principal(&self, host: &impl Host) -> Option<Vec<u8>> {
        host.property(self.certificate)
    }
}
