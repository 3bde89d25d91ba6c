//! The values of a stream's labels.
//!
//! | label | outbound, gateway | inbound |
//! |---|---|---|
//! | `source_…` | this node | the downstream peer |
//! | `destination_…` | the upstream peer, else Istio's metadata of the endpoint | this node |
//! | `…_principal` | certificates of the upstream connection | certificates of the downstream connection |
//! | `destination_service…` | the cluster's service, else the Host header, for TCP the TLS server name | of several services of the cluster the called one, by Istio's TLS server name; else the first; else the Host header |
//!
//! This file decides the value of each label, with all fallbacks. The caller decides the form, also the form of an unknown
//! value.

use core::cell::OnceCell;
use std::rc::Rc;

use collections::bytes::Bytes;

use crate::direction::Direction;
use crate::facts::{Facts, Protocol};
use crate::label::{End, Label};
use crate::peer::{Peer, APP, VERSION};
use crate::service::ClusterService;

/// A stream with all data for its labels.
#[derive(Debug)]
pub struct Stream<'a> {
    facts: &'a Facts,
    local: Rc<Peer>,
    peer: Rc<Peer>,
    cluster: Rc<Cluster>,
}

/// The data of a stream's cluster.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    pub service: ClusterService,
    /// Inbound: its further services.
    pub further: Vec<ClusterService>,
    /// Our own certificate, as presented to peers that present one.
    pub own_certificate: OnceCell<Option<Bytes>>,
}

/// The value of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelValue<'a> {
    /// A text, not always valid UTF-8; empty if it is not known.
    Text(&'a [u8]),
    /// A number.
    Number(i64),
    /// Response flags, as bits.
    Flags(u64),
    /// None: the label does not apply to this stream.
    None,
}

impl Cluster {
    /// The service that a stream called: of several, that of the name.
    fn called(&self, name: Option<&[u8]>) -> &ClusterService {
        let is_called = |service: &&ClusterService| service.host.as_deref().map(str::as_bytes) == name;
        self.further.iter().find(is_called).unwrap_or(&self.service)
    }
}

impl<'a> Stream<'a> {
    pub(crate) fn new(facts: &'a Facts, local: Rc<Peer>, peer: Rc<Peer>, cluster: Rc<Cluster>) -> Self {
        Self { facts, local, peer, cluster }
    }

    /// The facts behind the labels.
    pub fn facts(&self) -> &Facts {
        self.facts
    }

    /// The metadata of the workload at this end.
    pub fn workload(&self, end: End) -> &Peer {
        if self.is_peer(end) {
            &self.peer
        } else {
            &self.local
        }
    }

    /// The value of a label.
    pub fn value(&self, label: Label) -> LabelValue<'_> {
        let text = match label {
            Label::ResponseFlags => return LabelValue::Flags(self.facts.response_flags),
            Label::ResponseCode if self.facts.protocol != Protocol::Tcp => {
                return LabelValue::Number(self.facts.response_code);
            }
            Label::GrpcResponseStatus if self.facts.protocol != Protocol::Tcp => {
                return self.facts.grpc_status.map_or(LabelValue::None, LabelValue::Number);
            }
            label => self.text(label),
        };
        LabelValue::Text(text)
    }

    /// Whether others choose the label's value at will: the peer in what it says of itself, or a client that names the service.
    #[inline(never)]
    pub fn is_chosen_outside(&self, label: Label) -> bool {
        if let Some(end) = label.workload_end() {
            return self.is_peer(end);
        }
        match label {
            Label::DestinationService | Label::DestinationServiceName => {
                self.called().host.is_none() && self.facts.named.is_some()
            }
            Label::DestinationServiceNamespace => self.is_peer(End::Destination) && !self.peer.namespace.is_empty(),
            _ => false,
        }
    }

    /// The value of a label that is a text.
    fn text(&self, label: Label) -> &[u8] {
        let (source, destination) = (self.workload(End::Source), self.workload(End::Destination));
        let text: &str = match label {
            Label::Reporter => self.facts.direction.reporter(),
            Label::SourceWorkload => &source.workload_name,
            Label::SourceWorkloadNamespace => &source.namespace,
            Label::SourcePrincipal => return self.principal(End::Source),
            Label::SourceApp => source.label(APP),
            Label::SourceVersion => source.label(VERSION),
            Label::SourceCanonicalService => source.canonical_service(),
            Label::SourceCanonicalRevision => source.canonical_revision(),
            Label::SourceCluster => &source.cluster_id,
            Label::DestinationWorkload => &destination.workload_name,
            Label::DestinationWorkloadNamespace => &destination.namespace,
            Label::DestinationPrincipal => return self.principal(End::Destination),
            Label::DestinationApp => destination.label(APP),
            Label::DestinationVersion => destination.label(VERSION),
            Label::DestinationService => return self.service(),
            Label::DestinationServiceName => match &self.called().name {
                Some(name) => name,
                None => return self.service(),
            },
            Label::DestinationServiceNamespace => match (&*destination.namespace, self.facts.direction) {
                ("", Direction::Outbound) => self.called().namespace.as_deref().unwrap_or_default(),
                (namespace, _) => namespace,
            },
            Label::DestinationCanonicalService => destination.canonical_service(),
            Label::DestinationCanonicalRevision => destination.canonical_revision(),
            Label::DestinationCluster => &destination.cluster_id,
            Label::RequestProtocol => self.facts.protocol.name(),
            Label::ConnectionSecurityPolicy => match (self.facts.direction, self.facts.mutual_tls) {
                (Direction::Inbound, true) => "mutual_tls",
                (Direction::Inbound, false) => "none",
                // Only the server knows whether it required mutual TLS.
                (Direction::Outbound, _) => "",
            },
            Label::ResponseFlags | Label::ResponseCode | Label::GrpcResponseStatus => "",
        };
        text.as_bytes()
    }

    /// Whether this end is the peer.
    fn is_peer(&self, end: End) -> bool {
        match self.facts.direction {
            Direction::Inbound => end == End::Source,
            Direction::Outbound => end == End::Destination,
        }
    }

    /// The identity in the certificate of this end.
    fn principal(&self, end: End) -> &[u8] {
        let certificate = match (&self.facts.certificate, self.is_peer(end)) {
            (certificate, true) => certificate.as_ref(),
            (None, false) => self.facts.own_certificate.as_ref(),
            (Some(_), false) => self.cluster.own_certificate.get().and_then(Option::as_ref),
        };
        certificate.map_or(&[], |certificate| certificate)
    }

    fn called(&self) -> &ClusterService {
        self.cluster.called(self.facts.named.as_deref())
    }

    /// The service's name: from the cluster, from the client, or inbound from the workload's own metadata.
    fn service(&self) -> &[u8] {
        match (&self.called().host, &self.facts.named, self.facts.direction) {
            (Some(host), ..) => host.as_bytes(),
            (None, Some(name), _) => name,
            (None, None, Direction::Inbound) => self.local.canonical_service().as_bytes(),
            (None, None, Direction::Outbound) => b"",
        }
    }
}
