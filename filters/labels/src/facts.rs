//! What is read of a stream to find its labels.
//!
//! Every read of bytes makes Envoy call back into the module for memory, and costs as much as recording two metrics. So
//! a stream's labels are a function of as few reads as possible, its facts, and whoever has seen the same facts before
//! knows the labels. Nothing is read that follows from something else:
//!
//! * whoever shows a SPIFFE name uses mutual TLS, and our own name is then known by the cluster;
//! * what another filter of the stream has read before comes as [`AlreadyRead`].

use collections::bytes::Bytes;
use host::property::{self, Property};
use host::{HeaderMap, Host};

use crate::content_type;
use crate::direction::Direction;
use crate::response_flags;
use crate::service;
use crate::side::Side;

/// What Istio reports when a gRPC call ended without a status.
const GRPC_STATUS_UNKNOWN: i64 = 2;

/// The protocol of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP that is not gRPC.
    Http,
    /// gRPC, by its content type.
    Grpc,
    /// A TCP connection.
    Tcp,
}

impl Protocol {
    /// What labels and lines call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
        }
    }
}

/// All that the labels of a stream follow from, but for what its cluster says of itself and, where the other side shows a
/// name, the name of this proxy's own certificate: they are taken to be the same for all streams to the cluster, or to none.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Which side this proxy is.
    pub direction: Direction,
    /// What is spoken.
    pub protocol: Protocol,
    /// Envoy's response flags and those of injected faults, as bits.
    pub response_flags: u64,
    /// HTTP status; 0 when there was no response.
    pub response_code: i64,
    /// Status of a gRPC request.
    pub grpc_status: Option<i64>,
    /// The other side, as metadata exchange puts it into filter state.
    pub peer: Option<Bytes>,
    /// What the control plane says of the endpoint, where the peer said nothing.
    pub endpoint: Option<Bytes>,
    /// First URI SAN of the other side's certificate.
    pub certificate: Option<Bytes>,
    /// First URI SAN of our own certificate, where the other side shows none.
    pub own_certificate: Option<Bytes>,
    /// Inbound: whether the client showed a certificate.
    pub mutual_tls: bool,
    /// The cluster.
    pub cluster: Option<Bytes>,
    /// The route, where there is no cluster.
    pub route: Option<Bytes>,
    /// What the client called the service, where the cluster does not say.
    pub named: Option<Bytes>,
}

/// What another filter of the stream has read before; Envoy is asked for what is `None`.
#[derive(Clone, Debug, Default)]
pub struct AlreadyRead {
    /// The peer, as metadata exchange puts it into filter state; `Some(None)` if none is known.
    pub peer: Option<Option<Bytes>>,
    /// First URI SAN of the peer's certificate; `Some(None)` if there is none.
    pub certificate: Option<Option<Bytes>>,
    /// Whether it is gRPC.
    pub grpc: Option<bool>,
}

impl Facts {
    /// Those of a stream of which nothing was asked.
    pub fn unknown(direction: Direction) -> Self {
        Self {
            direction,
            protocol: Protocol::Tcp,
            response_flags: 0,
            response_code: 0,
            grpc_status: None,
            peer: None,
            endpoint: None,
            certificate: None,
            own_certificate: None,
            mutual_tls: false,
            cluster: None,
            route: None,
            named: None,
        }
    }

    /// Those of the request that just ended, but for what its client called the service.
    pub fn of_request(host: &impl Host, direction: Direction, before: AlreadyRead) -> Self {
        let grpc = before.grpc.unwrap_or_else(|| is_grpc(host));
        Self {
            protocol: if grpc { Protocol::Grpc } else { Protocol::Http },
            response_code: host.int(property::RESPONSE_CODE).unwrap_or(0),
            grpc_status: grpc.then(|| grpc_status(host.int(property::RESPONSE_GRPC_STATUS))),
            ..Self::of_sides(host, direction, before)
        }
    }

    /// Those of the current TCP connection, but for what its client called the service.
    pub fn of_connection(host: &impl Host, direction: Direction) -> Self {
        Self::of_sides(host, direction, AlreadyRead::default())
    }

    fn of_sides(host: &impl Host, direction: Direction, before: AlreadyRead) -> Self {
        let side = Side::of(direction);
        let peer = before.peer.unwrap_or_else(|| read(host, side.peer));
        let certificate = before.certificate.unwrap_or_else(|| side.principal(host).map(Bytes::Read));
        let cluster = service::cluster(host).map(Bytes::Read);
        // A plaintext connection has no TLS version, and to be told that is cheaper than to be told `false`.
        let mutual_tls = direction == Direction::Inbound
            && (certificate.is_some()
                || (host.property(property::CONNECTION_TLS_VERSION).is_some()
                    && host.boolean(property::CONNECTION_MTLS) == Some(true)));
        let shows_unnamed = certificate.is_none() && (mutual_tls || direction == Direction::Outbound);
        Self {
            response_flags: response_flags::of_stream(host),
            endpoint: match (direction, &peer) {
                (Direction::Outbound, None) => read(host, property::ENDPOINT_WORKLOAD),
                _ => None,
            },
            own_certificate: shows_unnamed.then(|| read(host, side.own_certificate)).flatten(),
            mutual_tls,
            route: if cluster.is_none() { service::route(host).map(Bytes::Read) } else { None },
            peer,
            certificate,
            cluster,
            ..Self::unknown(direction)
        }
    }

    /// Adds what the client called the service.
    pub(crate) fn read_name(&mut self, host: &impl Host) {
        let name = match (self.protocol, self.direction) {
            (Protocol::Http | Protocol::Grpc, _) => property::REQUEST_HOST,
            (Protocol::Tcp, Direction::Outbound) => property::CONNECTION_SERVER_NAME,
            // Within the mesh, the server name is not the client's but Istio's name of the cluster.
            (Protocol::Tcp, Direction::Inbound) => return,
        };
        self.named = read(host, name);
    }

    /// How many bytes they hold that nobody else keeps.
    pub fn own_len(&self) -> usize {
        let parts = [
            &self.peer,
            &self.endpoint,
            &self.certificate,
            &self.own_certificate,
            &self.cluster,
            &self.route,
            &self.named,
        ];
        parts.into_iter().flatten().map(Bytes::own_len).fold(0, usize::saturating_add)
    }
}

/// The status of a gRPC request, of which Envoy says this.
pub fn grpc_status(said: Option<i64>) -> i64 {
    said.unwrap_or(GRPC_STATUS_UNKNOWN)
}

pub(crate) fn read(host: &impl Host, path: Property) -> Option<Bytes> {
    host.property(path).map(Bytes::Read)
}

/// Whether the request is gRPC, by its headers.
fn is_grpc(host: &impl Host) -> bool {
    host.header(HeaderMap::Request, "content-type").is_some_and(|content_type| content_type::is_grpc(&content_type))
}
