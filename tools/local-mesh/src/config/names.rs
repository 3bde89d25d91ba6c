//! Istio's ports, version and names of clusters.

use crate::topology::Service;

/// Istio's ports in a pod.
pub mod port {
    /// Envoy's admin page.
    pub const ADMIN: u16 = 15000;
    /// Outbound HTTP.
    pub const OUTBOUND: u16 = 15001;
    /// Inbound.
    pub const INBOUND: u16 = 15006;
    /// `/stats/prometheus`.
    pub const STATS: u16 = 15090;
}

/// The Istio version in the nodes' metadata, which `proxyVersion` of an EnvoyFilter matches.
pub const ISTIO_VERSION: &str = "1.31.0";

/// Istio's name of an outbound cluster.
pub fn outbound_cluster(service: &Service, subset: &str) -> String {
    format!("outbound|{}|{subset}|{}", service.port, service.host())
}

/// Istio's name of an inbound cluster.
pub fn inbound_cluster(service: &Service) -> String {
    format!("inbound|{}||", service.port)
}
