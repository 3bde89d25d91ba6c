//! The proxy that is patched, and its configuration.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The namespace whose resources apply to every proxy.
pub const ROOT_NAMESPACE: &str = "istio-system";

/// What kind of proxy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// Beside a workload.
    Sidecar,
    /// On its own.
    Gateway,
}

/// The proxy whose configuration is patched.
#[derive(Debug, Clone, Copy)]
pub struct Proxy<'a> {
    /// Its kind.
    pub kind: ProxyKind,
    /// Its namespace.
    pub namespace: &'a str,
    /// The labels of its workload.
    pub labels: &'a BTreeMap<String, String>,
    /// Its Istio version, for `match.proxy.proxyVersion`; empty matches none.
    pub version: &'a str,
    /// The metadata of its node, for `match.proxy.metadata`.
    pub metadata: &'a Map<String, Value>,
}

/// The configuration of one proxy, as Istio would generate it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProxyConfig {
    /// The bootstrap.
    pub bootstrap: Value,
    /// What LDS serves, with route configurations inline.
    pub listeners: Vec<Value>,
    /// What CDS serves.
    pub clusters: Vec<Value>,
}
