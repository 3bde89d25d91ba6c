//! The edges between workloads: telemetry must report all of them.

use super::model::{Service, Topology, Workload};

/// A pair of workloads: the first sends to the second.
#[derive(Debug, Clone, Copy)]
pub struct Edge<'a> {
    /// The sender.
    pub source: &'a Workload,
    /// The receiver.
    pub destination: &'a Workload,
    /// The service between them.
    pub service: &'a Service,
}

impl Topology {
    /// All edges between workloads in the mesh that the calls and routes allow.
    pub fn edges(&self) -> Vec<Edge<'_>> {
        let mut edges = Vec::new();
        for source in self.workloads.iter().filter(|w| w.sidecar) {
            for service in self.callees(source) {
                for destination in self.targets(service) {
                    edges.push(Edge { source, destination, service });
                }
            }
        }
        edges
    }

    fn targets<'a>(&'a self, service: &'a Service) -> Vec<&'a Workload> {
        if service.routes.is_empty() {
            return self.members(service).filter(|w| w.sidecar).collect();
        }
        let mut targets: Vec<&Workload> = Vec::new();
        let subsets = service.routes.iter().flat_map(|r| r.to.iter()).filter(|(_, weight)| **weight > 0);
        for (subset, _) in subsets {
            for workload in self.subset(service, subset) {
                if workload.sidecar && !targets.iter().any(|t| t.name == workload.name) {
                    targets.push(workload);
                }
            }
        }
        targets.sort_by(|a, b| a.name.cmp(&b.name));
        targets
    }
}
