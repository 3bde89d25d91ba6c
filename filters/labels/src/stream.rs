//! What the labels of a stream say.
//!
//! | label | outbound, gateway | inbound |
//! |---|---|---|
//! | `source_…` | this node | the downstream peer |
//! | `destination_…` | the upstream peer, or else what is known of the endpoint | this node |
//! | `…_principal` | certificates of the upstream connection | certificates of the downstream connection |
//! | `destination_service…` | the cluster's service, or else the Host header, for TCP the TLS server name | the same, but no server name |
//!
//! Here it is decided what each label says, and what stands for it where the best source says nothing. How that is
//! written, also where nobody knows it, is for whoever writes.

use core::cell::OnceCell;
use std::rc::Rc;

use collections::bytes::Bytes;

use crate::direction::Direction;
use crate::facts::{Facts, Protocol};
use crate::label::Label;
use crate::peer::{Peer, APP, VERSION};
use crate::service::ClusterService;

/// One of the two workloads between which a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The workload that calls.
    Source,
    /// The workload that is called.
    Destination,
}

/// A stream of which is known what its labels are made of.
#[derive(Debug)]
pub struct Stream<'a> {
    facts: &'a Facts,
    local: Rc<Peer>,
    peer: Rc<Peer>,
    cluster: Rc<Cluster>,
}

/// What is known of the cluster that a stream goes to.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    pub service: ClusterService,
    /// The certificate that this proxy shows to those who show theirs.
    pub own_certificate: OnceCell<Option<Bytes>>,
}

/// What a label says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelValue<'a> {
    /// A text, in UTF-8 or not; empty if nobody knows it.
    Text(&'a [u8]),
    /// A number.
    Number(i64),
    /// Response flags, as bits.
    Flags(u64),
    /// Nothing: it is not about such a stream.
    None,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(facts: &'a Facts, local: Rc<Peer>, peer: Rc<Peer>, cluster: Rc<Cluster>) -> Self {
        Self { facts, local, peer, cluster }
    }

    /// What the stream's labels follow from.
    pub fn facts(&self) -> &Facts {
        self.facts
    }

    /// The workload at one of its ends, as far as it says itself who it is.
    pub fn workload(&self, end: End) -> &Peer {
        if self.is_peer(end) {
            &self.peer
        } else {
            &self.local
        }
    }

    /// What a label says.
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

    /// What a label says that is a text.
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
            Label::DestinationServiceName => match &self.cluster.service.name {
                Some(name) => name,
                None => return self.service(),
            },
            Label::DestinationServiceNamespace => match (&*destination.namespace, self.facts.direction) {
                ("", Direction::Outbound) => self.cluster.service.namespace.as_deref().unwrap_or_default(),
                (namespace, _) => namespace,
            },
            Label::DestinationCanonicalService => destination.canonical_service(),
            Label::DestinationCanonicalRevision => destination.canonical_revision(),
            Label::DestinationCluster => &destination.cluster_id,
            Label::RequestProtocol => self.facts.protocol.name(),
            Label::ConnectionSecurityPolicy => match (self.facts.direction, self.facts.mutual_tls) {
                (Direction::Inbound, true) => "mutual_tls",
                (Direction::Inbound, false) => "none",
                // Only the server knows what it demanded of us.
                (Direction::Outbound, _) => "",
            },
            Label::ResponseFlags | Label::ResponseCode | Label::GrpcResponseStatus => "",
        };
        text.as_bytes()
    }

    /// Whether an end is that of the other proxy.
    fn is_peer(&self, end: End) -> bool {
        match self.facts.direction {
            Direction::Inbound => end == End::Source,
            Direction::Outbound => end == End::Destination,
        }
    }

    /// The identity that the certificate of an end has.
    fn principal(&self, end: End) -> &[u8] {
        let certificate = match (&self.facts.certificate, self.is_peer(end)) {
            (certificate, true) => certificate.as_ref(),
            (None, false) => self.facts.own_certificate.as_ref(),
            (Some(_), false) => self.cluster.own_certificate.get().and_then(Option::as_ref),
        };
        certificate.map_or(&[], |certificate| certificate)
    }

    /// What the service is called: by its cluster, by the client, or on the way in by the workload's own name.
    fn service(&self) -> &[u8] {
        match (&self.cluster.service.host, &self.facts.named, self.facts.direction) {
            (Some(host), ..) => host.as_bytes(),
            (None, Some(name), _) => name,
            (None, None, Direction::Inbound) => self.local.canonical_service().as_bytes(),
            (None, None, Direction::Outbound) => b"",
        }
    }
}
