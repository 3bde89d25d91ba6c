//! Which clusters are inside the mesh: only their endpoints get our metadata.

use collections::bounded::BoundedCache;
use host::property::{self, Property};
use host::Host;

/// Most clusters in the cache.
const MAX_CLUSTERS: usize = 1000;
/// Istio's clusters for destinations outside the mesh.
const OUTSIDE: [&str; 2] = ["PassthroughCluster", "BlackHoleCluster"];

/// Whether each cluster is inside the mesh, cached by its name.
pub struct MeshClusters {
    inside: BoundedCache<Vec<u8>, bool>,
}

impl Default for MeshClusters {
    fn default() -> Self {
        Self { inside: BoundedCache::new(MAX_CLUSTERS) }
    }
}

impl MeshClusters {
    /// Whether the current stream goes to a cluster inside the mesh. Without a cluster, Envoy answers itself.
    pub fn contain_current(&mut self, host: &impl Host) -> bool {
        let Some(cluster) = host.property(property::CLUSTER_NAME) else {
            return false;
        };
        if let Some(inside) = self.inside.get(cluster.as_slice()) {
            return inside;
        }
        let inside = !OUTSIDE.iter().any(|name| name.as_bytes() == cluster)
            && !is_set(host, property::CLUSTER_EXTERNAL)
            && !is_set(host, property::CLUSTER_DISABLE_MX);
        self.inside.insert(cluster, inside);
        inside
    }
}

/// Istio writes these marks as booleans or as text.
fn is_set(host: &impl Host, mark: Property) -> bool {
    matches!(host.property(mark).as_deref(), Some([1] | b"true"))
}
