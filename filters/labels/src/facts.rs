//! What is read of a stream to find its labels.
//!
//! Every read of bytes makes Envoy call back into the module for memory, and costs as much as recording two metrics. So
//! a stream's labels are a function of as few reads as possible, its facts, and whoever has seen the same facts before
//! knows the labels. Nothing is read that follows from something else:
//!
//! * whoever shows a SPIFFE name uses mutual TLS, and our own name is then known by the cluster;
//! * what another filter of the stream has read already comes with [`Known`].

use crate::content_type;
use crate::direction::Direction;
use collections::bytes::Bytes;
use host::property::{self, Property};
use host::{HeaderMap, Host};

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

/// All that the labels of a stream follow from, but for what its cluster says of itself and, where the other side shows a
/// name, the name of this proxy's own certificate: they are taken to be the same for all streams to the cluster, or to none.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Which side this proxy is.
    pub direction: Direction,
    /// What is spoken.
    pub protocol: Protocol,
    /// Envoy's response flags and those of injected faults, as bits.
    pub response_flags: i64,
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

/// What another filter of the stream has read already; Envoy is asked for what is `None`.
#[derive(Clone, Debug, Default)]
pub struct Known {
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

    /// Those of the request that just ended. `names_service` tells whether a cluster says which service it is; where it
    /// does not, the Host header is read.
    pub fn of_request(
        host: &impl Host,
        direction: Direction,
        known: Known,
        names_service: impl FnOnce(Option<&[u8]>) -> bool,
    ) -> Self {
        let grpc = known.grpc.unwrap_or_else(|| is_grpc(host));
        Self {
            protocol: if grpc { Protocol::Grpc } else { Protocol::Http },
            response_code: host.int(property::RESPONSE_CODE).unwrap_or(0),
            grpc_status: grpc.then(|| host.int(property::RESPONSE_GRPC_STATUS).unwrap_or(GRPC_STATUS_UNKNOWN)),
            ..Self::of_sides(host, direction, known, Some(property::REQUEST_HOST), names_service)
        }
    }

    /// Those of the current TCP connection; `names_service` as for requests.
    pub fn of_connection(
        host: &impl Host,
        direction: Direction,
        names_service: impl FnOnce(Option<&[u8]>) -> bool,
    ) -> Self {
        // Within the mesh, the server name is not the client's but Istio's name of the cluster.
        let named = match direction {
            Direction::Inbound => None,
            Direction::Outbound => Some(property::CONNECTION_SERVER_NAME),
        };
        Self::of_sides(host, direction, Known::default(), named, names_service)
    }

    fn of_sides(
        host: &impl Host,
        direction: Direction,
        known: Known,
        named: Option<Property>,
        names_service: impl FnOnce(Option<&[u8]>) -> bool,
    ) -> Self {
        let side = match direction {
            Direction::Inbound => &DOWNSTREAM,
            Direction::Outbound => &UPSTREAM,
        };
        let peer = known.peer.unwrap_or_else(|| read(host, side.peer));
        let certificate = known.certificate.unwrap_or_else(|| read(host, side.certificate));
        let cluster = read(host, property::CLUSTER_NAME);
        // A plaintext connection has no TLS version, and to be told that is cheaper than to be told `false`.
        let mutual_tls = direction == Direction::Inbound
            && (certificate.is_some()
                || (host.property(property::CONNECTION_TLS_VERSION).is_some()
                    && host.boolean(property::CONNECTION_MTLS) == Some(true)));
        let shows_unnamed = certificate.is_none() && (mutual_tls || direction == Direction::Outbound);
        Self {
            direction,
            protocol: Protocol::Tcp,
            response_flags: response_flags(host),
            response_code: 0,
            grpc_status: None,
            endpoint: match (direction, &peer) {
                (Direction::Outbound, None) => read(host, property::ENDPOINT_WORKLOAD),
                _ => None,
            },
            own_certificate: shows_unnamed.then(|| read(host, side.own_certificate)).flatten(),
            mutual_tls,
            route: if cluster.is_none() { read(host, property::ROUTE_NAME) } else { None },
            named: match named {
                Some(named) if !names_service(cluster.as_deref()) => read(host, named),
                _ => None,
            },
            peer,
            certificate,
            cluster,
        }
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

    /// The certificate of this proxy that the other side of the stream saw, for facts that were not seen before.
    pub fn own_certificate(&self, host: &impl Host) -> Option<Bytes> {
        match (self.direction, &self.certificate) {
            (Direction::Inbound, Some(_)) => read(host, DOWNSTREAM.own_certificate),
            (Direction::Outbound, Some(_)) => read(host, UPSTREAM.own_certificate),
            (_, None) => self.own_certificate.clone(),
        }
    }
}

/// Where to read about the other side.
struct Side {
    peer: Property<'static>,
    certificate: Property<'static>,
    own_certificate: Property<'static>,
}

const DOWNSTREAM: Side = Side {
    peer: property::DOWNSTREAM_PEER,
    certificate: property::CONNECTION_PEER_SAN,
    own_certificate: property::CONNECTION_LOCAL_SAN,
};

const UPSTREAM: Side = Side {
    peer: property::UPSTREAM_PEER,
    certificate: property::UPSTREAM_PEER_SAN,
    own_certificate: property::UPSTREAM_LOCAL_SAN,
};

/// The response flags of the stream by now, with those of injected faults.
pub fn response_flags(host: &impl Host) -> i64 {
    crate::response_flags::of_stream(host).cast_signed()
}

fn read(host: &impl Host, path: Property) -> Option<Bytes> {
    host.property(path).map(Bytes::Read)
}

/// Whether the request is gRPC, by its headers.
pub fn is_grpc(host: &impl Host) -> bool {
    host.header(HeaderMap::Request, "content-type").is_some_and(|content_type| content_type::is_grpc(&content_type))
}
