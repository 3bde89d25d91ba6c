//! Which clusters are inside the mesh: only their endpoints get our metadata.

use collections::bytes::{Bytes, Key};
use host::property::{self, Property};
use host::Host;
use labels::service;

use crate::learned::{Learned, LearnedCache};

/// Most clusters in the cache.
const MAX_CLUSTERS: usize = 1000;

/// Whether each cluster is inside the mesh, cached by its name.
pub struct MeshClusters {
    known: LearnedCache,
}

impl Default for MeshClusters {
    fn default() -> Self {
        Self { known: LearnedCache::new(MAX_CLUSTERS) }
    }
}

impl MeshClusters {
    /// Whether the current stream goes to a cluster inside the mesh. Without a cluster, Envoy answers itself.
    pub fn contain_current(&mut self, host: &impl Host) -> bool {
        let Some(cluster) = service::cluster(host) else {
            return false;
        };
        if let Some(Learned::IsInside(inside)) = self.known.get(&Key(&cluster)) {
            return inside;
        }
        // Behind an inbound cluster is the application.
        let inside = !service::is_outside(&cluster)
            && !service::is_inbound(&cluster)
            && !is_set(host, property::CLUSTER_EXTERNAL)
            && !is_set(host, property::CLUSTER_DISABLE_MX);
        self.known.insert(Bytes::Read(cluster), Learned::IsInside(inside));
        inside
    }
}

/// Istio writes these marks as booleans or as text.
fn is_set(host: &impl Host, mark: Property) -> bool {
    matches!(host.property(mark).as_deref(), Some([1] | b"true"))
}
