//! The side that the other proxy of a stream is on, and where it can be read who that is.

use host::property::{self, Property};
use host::{HeaderMap, Host};

use crate::direction::Direction;

/// Where to read about the other proxy.
#[derive(Debug)]
pub struct Side {
    /// The headers that it sends.
    pub headers: HeaderMap,
    /// What it says of itself, which metadata exchange puts there.
    pub peer: Property<'static>,
    /// The id of its node, from there, too.
    pub peer_id: Property<'static>,
    /// First URI SAN of its certificate.
    pub certificate: Property<'static>,
    /// First URI SAN of the certificate that it was shown.
    pub own_certificate: Property<'static>,
}

/// The proxy that called this one.
pub const DOWNSTREAM: Side = Side {
    headers: HeaderMap::Request,
    peer: property::DOWNSTREAM_PEER,
    peer_id: property::DOWNSTREAM_PEER_ID,
    certificate: property::CONNECTION_PEER_SAN,
    own_certificate: property::CONNECTION_LOCAL_SAN,
};

/// The proxy that this one calls.
pub const UPSTREAM: Side = Side {
    headers: HeaderMap::Response,
    peer: property::UPSTREAM_PEER,
    peer_id: property::UPSTREAM_PEER_ID,
    certificate: property::UPSTREAM_PEER_SAN,
    own_certificate: property::UPSTREAM_LOCAL_SAN,
};

impl Side {
    /// The side that the other proxy of a stream is on.
    pub fn of(direction: Direction) -> &'static Self {
        match direction {
            Direction::Inbound => &DOWNSTREAM,
            Direction::Outbound => &UPSTREAM,
        }
    }

    /// The identity that the other proxy has proved.
    pub fn principal(&self, host: &impl Host) -> Option<Vec<u8>> {
        host.property(self.certificate)
    }
}
