//! The proxy to patch, and its configuration.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The namespace whose resources apply to every proxy.
pub const ROOT_NAMESPACE: &str = "istio-system";

/// The kind of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// A workload's sidecar.
    Sidecar,
    /// A gateway.
    Gateway,
}

/// The proxy to patch.
#[derive(Debug, Clone, Copy)]
pub struct Proxy<'a> {
    /// Its kind.
    pub kind: ProxyKind,
    /// Its namespace.
    pub namespace: &'a str,
    /// The labels of its workload.
    pub labels: &'a BTreeMap<String, String>,
    /// Its Istio version, for `match.proxy.proxyVersion`; an empty version matches nothing.
    pub version: &'a str,
    /// The metadata of its node, for `match.proxy.metadata`.
    pub metadata: &'a Map<String, Value>,
}

/// The configuration of one proxy, as Istio generates it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProxyConfig {
    /// The bootstrap.
    pub bootstrap: Value,
    /// The listeners from LDS, with inline route configurations.
    pub listeners: Vec<Value>,
    /// The clusters from CDS.
    pub clusters: Vec<Value>,
}
