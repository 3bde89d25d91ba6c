//! A workload's metadata: this proxy's own, or the peer's.
//!
//! Metadata exchange receives it from the peer, and shares it with the other filters of the stream as a
//! `google.protobuf.Struct` in filter state. The fields have the names of Istio's node info, so expressions such as
//! `upstream_peer.workload_name` or `downstream_peer.labels['app']` work.

use prost::Message;

use crate::metadata::node_text;
use crate::protobuf::{Struct, ValueKind};
use collections::text_map::TextMap;
use host::property;
use host::Host;

/// Filter state key of the downstream peer; Envoy adds the prefix `wasm.`.
pub const DOWNSTREAM_PEER: &str = property::DOWNSTREAM_PEER.0;
/// Filter state key of the upstream peer.
pub const UPSTREAM_PEER: &str = property::UPSTREAM_PEER.0;
/// Filter state key of the downstream peer's node id.
pub const DOWNSTREAM_PEER_ID: &str = property::DOWNSTREAM_PEER_ID.0;
/// Filter state key of the upstream peer's node id.
pub const UPSTREAM_PEER_ID: &str = property::UPSTREAM_PEER_ID.0;

/// Node id of a peer that does not support metadata exchange.
pub const PEER_NOT_FOUND_ID: &str = "envoy.wasm.metadata_exchange.peer_unknown";

/// Label that names the workload's application.
pub const APP: &str = "app";
/// Label that names the workload's version.
pub const VERSION: &str = "version";
/// Label that names the canonical service.
pub const CANONICAL_NAME: &str = "service.istio.io/canonical-name";
/// Label that names the canonical service's revision.
pub const CANONICAL_REVISION: &str = "service.istio.io/canonical-revision";

/// Pod labels that metrics need. Others are exchanged only if configured.
pub const METRIC_LABELS: [&str; 4] = [APP, VERSION, CANONICAL_NAME, CANONICAL_REVISION];

/// Most labels kept of one peer.
pub const MAX_LABELS: usize = 64;

/// The revision of a workload without a revision.
const DEFAULT_REVISION: &str = "latest";

/// A workload's metadata. A text is empty if it is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Pod name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Name of the pod's owner, usually a deployment.
    pub workload_name: String,
    /// URI of the pod's owner.
    pub owner: String,
    /// Mesh.
    pub mesh_id: String,
    /// Cluster.
    pub cluster_id: String,
    /// Version of the proxy.
    pub istio_version: String,
    /// Labels of the pod.
    pub labels: TextMap,
}

/// A text of [`Peer`], with its name in node metadata (and on the wire) and in filter state.
struct PeerField {
    metadata: &'static str,
    state: &'static str,
    get: fn(&Peer) -> &String,
    get_mut: fn(&mut Peer) -> &mut String,
}

macro_rules! field {
    ($metadata:literal, $field:ident) => {
        PeerField {
            metadata: $metadata,
            state: stringify!($field),
            get: |peer| &peer.$field,
            get_mut: |peer| &mut peer.$field,
        }
    };
}

const NAMESPACE: PeerField = field!("NAMESPACE", namespace);

const FIELDS: [PeerField; 7] = [
    field!("NAME", name),
    NAMESPACE,
    field!("WORKLOAD_NAME", workload_name),
    field!("OWNER", owner),
    field!("MESH_ID", mesh_id),
    field!("CLUSTER_ID", cluster_id),
    field!("ISTIO_VERSION", istio_version),
];

/// Name of the labels in node metadata and on the wire, and in filter state.
const LABELS_METADATA: &str = "LABELS";
const LABELS_STATE: &str = "labels";

/// Where to read one text of a workload without reading all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextPaths {
    /// Of the downstream peer, in filter state. Metadata exchange writes it.
    pub of_caller: String,
    /// Of this proxy's own workload, in its node metadata.
    pub of_node: String,
}

impl TextPaths {
    /// The paths of the namespace.
    pub fn of_namespace() -> Self {
        Self {
            of_caller: property::path(&[DOWNSTREAM_PEER, NAMESPACE.state]),
            of_node: property::node_metadata(NAMESPACE.metadata),
        }
    }

    /// The paths of a pod label.
    pub fn of_label(label: &str) -> Self {
        Self {
            of_caller: property::path(&[DOWNSTREAM_PEER, LABELS_STATE, label]),
            of_node: property::node_label(label),
        }
    }
}

impl Peer {
    /// This proxy's own workload, from its node metadata, with the labels that metrics need and `more_labels`.
    #[inline(never)]
    pub fn local(host: &impl Host, more_labels: &[String]) -> Self {
        let mut peer = Self::default();
        for field in &FIELDS {
            *(field.get_mut)(&mut peer) = node_text(host, &property::node_metadata(field.metadata));
        }
        for label in METRIC_LABELS.into_iter().chain(more_labels.iter().map(String::as_str)) {
            let value = node_text(host, &property::node_label(label));
            if !value.is_empty() {
                peer.labels.insert(label.into(), value);
            }
        }
        peer
    }

    /// A peer from the form that proxies exchange, with the names of node metadata.
    pub fn from_metadata(metadata: &Struct) -> Self {
        Self::read(metadata, |field| field.metadata, LABELS_METADATA)
    }

    /// The form that proxies exchange.
    pub fn to_metadata(&self) -> Struct {
        self.write(|field| field.metadata, LABELS_METADATA)
    }

    /// A peer from filter state.
    pub fn from_state(bytes: &[u8]) -> Option<Self> {
        let state = Struct::of_bytes(bytes)?;
        Some(Self::read(&state, |field| field.state, LABELS_STATE))
    }

    /// The form for filter state.
    pub fn to_state(&self) -> Vec<u8> {
        self.write(|field| field.state, LABELS_STATE).encode_to_vec()
    }

    /// A peer that never answered, from Istio's metadata of its endpoint:
    /// `workload;namespace;canonical-service;revision;cluster`. The cluster is optional.
    #[inline(never)]
    pub fn from_endpoint(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        let mut peer = Self { workload_name: parts.next()?.into(), namespace: parts.next()?.into(), ..Self::default() };
        for label in [CANONICAL_NAME, CANONICAL_REVISION] {
            let value = parts.next()?;
            if !value.is_empty() {
                peer.labels.insert(label.into(), value.into());
            }
        }
        peer.cluster_id = parts.next().unwrap_or_default().into();
        Some(peer)
    }

    /// The value of a pod label; empty if it is absent.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).unwrap_or_default()
    }

    /// The canonical service: its label, else the workload.
    pub fn canonical_service(&self) -> &str {
        match self.label(CANONICAL_NAME) {
            "" => &self.workload_name,
            name => name,
        }
    }

    /// The canonical revision: its label, else `latest`.
    pub fn canonical_revision(&self) -> &str {
        match self.label(CANONICAL_REVISION) {
            "" => DEFAULT_REVISION,
            revision => revision,
        }
    }

    #[inline(never)]
    fn read(from: &Struct, name: fn(&PeerField) -> &'static str, labels: &str) -> Self {
        let mut peer = Self::default();
        for field in &FIELDS {
            *(field.get_mut)(&mut peer) = from.written(name(field));
        }
        if let Some(labels) = from.structure(labels) {
            let is_for_metrics = |label: &&str| METRIC_LABELS.contains(label);
            let others = labels.names().filter(|label| !is_for_metrics(label));
            for label in labels.names().filter(is_for_metrics).chain(others) {
                if peer.labels.len() < MAX_LABELS {
                    peer.labels.insert(label.into(), labels.written(label));
                }
            }
        }
        peer
    }

    #[inline(never)]
    fn write(&self, name: fn(&PeerField) -> &'static str, labels_name: &str) -> Struct {
        let mut to = Struct::default();
        for field in &FIELDS {
            to.set_text(name(field), (field.get)(self));
        }
        let mut labels = Struct::default();
        for (label, value) in &self.labels {
            labels.set_text(label, value);
        }
        to.set(labels_name, ValueKind::Struct(labels));
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn reviews() -> Peer {
        Peer {
            name: "reviews-v1-1".into(),
            namespace: "default".into(),
            workload_name: "reviews-v1".into(),
            cluster_id: "Kubernetes".into(),
            labels: [("app".to_string(), "reviews".to_string())].into(),
            ..Peer::default()
        }
    }

    #[test]
    fn filter_state_gives_back_what_was_put_in() {
        assert_eq!(Peer::from_state(&reviews().to_state()), Some(reviews()));
    }

    #[test]
    fn metadata_gives_back_what_was_put_in() {
        assert_eq!(Peer::from_metadata(&reviews().to_metadata()), reviews());
    }

    #[test]
    fn filter_state_has_the_names_that_expressions_use() {
        let state = Struct::decode(reviews().to_state().as_slice()).expect("a struct");
        assert_eq!(state.text("workload_name"), "reviews-v1");
        assert_eq!(state.text("cluster_id"), "Kubernetes");
        assert_eq!(state.structure("labels").expect("labels").text("app"), "reviews");
    }

    #[test]
    fn numbers_and_booleans_are_text_and_other_values_absent() {
        let mut labels = Struct::default();
        for (label, value) in [
            (VERSION, ValueKind::Number(2.0)),
            (CANONICAL_REVISION, ValueKind::Number(1.1)),
            (APP, ValueKind::Bool(true)),
        ] {
            labels.set(label, value);
        }
        let mut metadata = reviews().to_metadata();
        metadata.set("WORKLOAD_NAME", ValueKind::Number(7.0));
        metadata.set("OWNER", ValueKind::Struct(labels.clone()));
        metadata.set("LABELS", ValueKind::Struct(labels));
        let peer = Peer::from_metadata(&metadata);
        assert_eq!([&*peer.workload_name, &*peer.owner], ["7", ""]);
        assert_eq!([VERSION, CANONICAL_REVISION, APP].map(|label| peer.label(label)), ["2", "1.1", "true"]);
        metadata.set("LABELS", ValueKind::Text("app=reviews".into()));
        let peer = Peer::from_metadata(&metadata);
        assert!(peer.labels.is_empty());
        assert_eq!(peer.namespace, "default");
    }

    #[test]
    fn of_many_labels_only_some_are_kept() {
        let mut labels = Struct::default();
        for index in 0..1000 {
            labels.set_text(&format!("label{index:04}"), "value");
        }
        labels.set_text(VERSION, "v1");
        let mut metadata = Struct::default();
        metadata.set("LABELS", ValueKind::Struct(labels));
        let peer = Peer::from_metadata(&metadata);
        assert_eq!(peer.labels.len(), MAX_LABELS);
        assert_eq!(peer.label(VERSION), "v1", "those that metrics are made of are kept");
    }

    #[test]
    fn endpoints_name_their_workload() {
        for (text, service, revision, cluster) in [
            ("reviews-v1;default;reviews;v1;Kubernetes", "reviews", "v1", "Kubernetes"),
            ("reviews-v1;default;reviews;v1", "reviews", "v1", ""),
            ("reviews-v1;default;;;", "reviews-v1", "latest", ""),
        ] {
            let peer = Peer::from_endpoint(text).expect(text);
            assert_eq!(peer.workload_name, "reviews-v1", "{text}");
            assert_eq!(peer.namespace, "default", "{text}");
            assert_eq!(peer.canonical_service(), service, "{text}");
            assert_eq!(peer.canonical_revision(), revision, "{text}");
            assert_eq!(peer.cluster_id, cluster, "{text}");
        }
        for text in ["", "reviews-v1", "reviews-v1;default;reviews"] {
            assert_eq!(Peer::from_endpoint(text), None, "{text}");
        }
    }
}
