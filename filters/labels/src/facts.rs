//! Reads a stream's facts: the values that determine its labels.
//!
//! Each read of bytes makes Envoy call back into the module for memory, and costs as much as recording two metrics. So
//! labels depend on as few reads as possible, the facts. A request with known facts has known labels. Values that follow
//! from other values are not read:
//!
//! * A peer with a SPIFFE name uses mutual TLS. Our own name is then the same for the whole cluster.
//! * [`AlreadyRead`] holds the values that another filter of the stream has read.

use collections::bytes::Bytes;
use host::property::{self, Property};
use host::{HeaderMap, Host};

use crate::content_type;
use crate::direction::Direction;
use crate::response_flags;
use crate::service::{self, ClusterService};
use crate::side::Side;

/// What Istio reports for a gRPC call that ended without a status.
const GRPC_STATUS_UNKNOWN: i64 = 2;

/// The protocol of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP, but not gRPC.
    Http,
    /// gRPC, recognized by its content type.
    Grpc,
    /// A TCP connection.
    Tcp,
}

impl Protocol {
    /// Its name in labels and log lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
        }
    }
}

/// Everything that determines the labels of a stream, except two values that are the same for all streams to a cluster: the
/// service in the cluster's metadata and, if the peer has a SPIFFE name, our own certificate.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Direction of the stream.
    pub direction: Direction,
    /// Protocol.
    pub protocol: Protocol,
    /// Envoy's response flags and the flags of injected faults, as bits.
    pub response_flags: u64,
    /// HTTP status; 0 if there was no response.
    pub response_code: i64,
    /// Status of a gRPC request.
    pub grpc_status: Option<i64>,
    /// The peer's metadata, in the form of the filter state.
    pub peer: Option<Bytes>,
    /// Istio's metadata of the endpoint, if the peer sent none.
    pub endpoint: Option<Bytes>,
    /// First URI SAN of the peer's certificate.
    pub certificate: Option<Bytes>,
    /// First URI SAN of our own certificate, if the peer has none.
    pub own_certificate: Option<Bytes>,
    /// Inbound: whether the client presented a certificate.
    pub mutual_tls: bool,
    /// The cluster.
    pub cluster: Option<Bytes>,
    /// The route, if there is no cluster.
    pub route: Option<Bytes>,
    /// The client's name for the service, if the cluster does not name it, or names several.
    pub named: Option<Bytes>,
}

/// Values that another filter of the stream has read. `None` is read from Envoy.
#[derive(Clone, Debug, Default)]
pub struct AlreadyRead {
    /// The peer's metadata, in the form of the filter state; `Some(None)` if there is none.
    pub peer: Option<Option<Bytes>>,
    /// First URI SAN of the peer's certificate; `Some(None)` if there is none.
    pub certificate: Option<Option<Bytes>>,
    /// Whether the request is gRPC.
    pub grpc: Option<bool>,
}

impl Facts {
    /// The facts before anything is read.
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

    /// The facts of the request that just ended, without the client's name for the service.
    pub fn of_request(host: &impl Host, direction: Direction, before: AlreadyRead) -> Self {
        let grpc = before.grpc.unwrap_or_else(|| is_grpc(host));
        Self {
            protocol: if grpc { Protocol::Grpc } else { Protocol::Http },
            response_code: host.int(property::RESPONSE_CODE).unwrap_or(0),
            grpc_status: grpc.then(|| grpc_status(host.int(property::RESPONSE_GRPC_STATUS))),
            ..Self::of_sides(host, direction, before)
        }
    }

    /// The facts of the current TCP connection, without the client's name for the service.
    pub fn of_connection(host: &impl Host, direction: Direction) -> Self {
        Self::of_sides(host, direction, AlreadyRead::default())
    }

    fn of_sides(host: &impl Host, direction: Direction, before: AlreadyRead) -> Self {
        let side = Side::of(direction);
        let peer = before.peer.unwrap_or_else(|| read(host, side.peer));
        let certificate = before.certificate.unwrap_or_else(|| side.principal(host).map(Bytes::Read));
        let cluster = service::cluster(host).map(Bytes::Read);
        // A plaintext connection has no TLS version. Reading that is cheaper than reading `false`.
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

    /// Adds the client's name for the service.
    pub(crate) fn read_name(&mut self, host: &impl Host) {
        let name = match (self.protocol, self.direction) {
            (Protocol::Http | Protocol::Grpc, _) => property::REQUEST_HOST,
            (Protocol::Tcp, Direction::Outbound) => property::CONNECTION_SERVER_NAME,
            // Inside the mesh, the server name is Istio's name of the cluster, not the client's.
            (Protocol::Tcp, Direction::Inbound) => return,
        };
        let name = host.property(name).map(service::compared);
        self.named = name.filter(|name| !name.is_empty()).map(Bytes::Read);
    }

    /// Adds which of the cluster's further services the client called. Other names are left out: clients choose them.
    pub(crate) fn read_called(&mut self, host: &impl Host, further: &[ClusterService]) {
        let server_name = host.property(property::CONNECTION_SERVER_NAME).unwrap_or_default();
        let called = service::called(&server_name);
        let known = called.filter(|name| further.iter().any(|service| service.host.as_deref() == Some(name)));
        self.named = known.map(|name| Bytes::Read(name.as_bytes().into()));
    }

    /// Bytes that only these facts hold.
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

/// The reported status of a gRPC request, from Envoy's attribute.
pub fn grpc_status(said: Option<i64>) -> i64 {
    said.unwrap_or(GRPC_STATUS_UNKNOWN)
}

pub(crate) fn read(host: &impl Host, path: Property) -> Option<Bytes> {
    host.property(path).map(Bytes::Read)
}

/// Whether the request is gRPC, from its headers.
fn is_grpc(host: &impl Host) -> bool {
    host.header(HeaderMap::Request, "content-type").is_some_and(|content_type| content_type::is_grpc(&content_type))
}
