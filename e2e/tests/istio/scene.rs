//! The cluster that all tests share.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use local_cluster::Cluster;
use local_mesh::tools;

/// The longest that something may take to appear.
pub const WAIT: Duration = Duration::from_secs(30);

/// The cluster, without Istio as long as no test has asked for it.
pub fn bare_cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
    let start = || Cluster::start(&directory().join("cluster"));
    let started = CLUSTER.get_or_init(|| start().map_err(|error| format!("{error:#}")));
    started.as_ref().unwrap_or_else(|error| panic!("there is no cluster: {error}"))
}

/// Where everything of these tests is.
pub fn directory() -> PathBuf {
    tools::root().join("target/istio")
}
