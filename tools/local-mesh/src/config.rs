//! The Envoy configuration of a workload's proxy as Istio would generate it, before any EnvoyFilter.
//!
//! Names, metadata, filter chains and the order of filters are Istio's, because EnvoyFilters match them and telemetry reads
//! them. Three things differ, because nothing redirects connections on loopback. The outbound HTTP listener is bound to
//! port 15001, and the application connects to it. Outbound TCP listeners are bound to the pod's own address. The inbound
//! listener does not select filter chains by port.

mod bootstrap;
mod clusters;
mod files;
mod listeners;
mod names;
mod routes;
mod sidecar;
mod tls;
mod tracing;

use crate::topology::{Topology, Workload};

pub use bootstrap::node_id;
pub use files::{discovery, Files, RESOURCES};
pub use names::{inbound_cluster, outbound_cluster, port, ISTIO_VERSION};
pub use sidecar::SidecarConfig;
pub use tracing::Tracing;

impl SidecarConfig {
    /// The proxy of `workload` without any telemetry.
    pub fn plain(topology: &Topology, workload: &Workload, files: &Files) -> Self {
        Self {
            bootstrap: bootstrap::bootstrap(topology, workload, &files.directory),
            listeners: listeners::all(topology, workload, files),
            clusters: clusters::all(topology, workload, files),
        }
    }
}

#[cfg(test)]
mod tests;
