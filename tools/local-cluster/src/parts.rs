//! The programs that `scripts/setup.sh istio` builds, and their versions.

use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use local_mesh::tools;

/// The version of etcd.
pub const ETCD_VERSION: &str = "3.7.3";

/// The version of Kubernetes.
pub const KUBERNETES_VERSION: &str = "1.37.2";

/// The version of Istio.
pub const ISTIO_VERSION: &str = "1.31";

/// The version of Prometheus, as a Go module.
pub const PROMETHEUS_VERSION: &str = "0.316.0";

/// Prometheus with Kubernetes discovery.
pub fn prometheus() -> Result<PathBuf> {
    part("prometheus", PROMETHEUS_VERSION, "prometheus")
}

/// The version of Kiali.
pub const KIALI_VERSION: &str = "1.89.8";

/// Kiali's server, without its pages.
pub fn kiali() -> Result<PathBuf> {
    part("kiali", KIALI_VERSION, "kiali")
}

/// The version of Helm.
pub const HELM_VERSION: &str = "4.2.4";

/// Helm.
pub fn helm() -> Result<PathBuf> {
    part("helm", HELM_VERSION, "helm")
}

/// The directory of a chart of Istio: `base`, `istiod`.
pub fn chart(name: &str) -> Result<PathBuf> {
    istio(&format!("charts/{name}/Chart.yaml"))?.parent().map(Path::to_owned).context("no directory")
}

/// The registry of images.
pub fn registry() -> Result<PathBuf> {
    present("registry/usr/bin/docker-registry", "docker-registry")
}

/// etcd.
pub fn etcd() -> Result<PathBuf> {
    part("etcd", ETCD_VERSION, "etcd")
}

/// A program of Kubernetes: `kube-apiserver`, `kubectl`.
pub fn kubernetes(name: &str) -> Result<PathBuf> {
    part("kubernetes", KUBERNETES_VERSION, name)
}

/// A program of Istio, or another file that its images have: `pilot-agent`, `envoy_bootstrap_tmpl.json`.
pub fn istio(name: &str) -> Result<PathBuf> {
    part("istio", ISTIO_VERSION, name)
}

fn part(of: &str, version: &str, name: &str) -> Result<PathBuf> {
    present(&format!("{of}-{version}/{name}"), &format!("{name} {version}"))
}

/// The file at a path below those of the cluster; `what` it is.
fn present(path: &str, what: &str) -> Result<PathBuf> {
    let path = tools::tools().join("cluster").join(path);
    if !path.is_file() {
        bail!("{what} is missing ({}): run \"scripts/setup.sh istio\"", path.display());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setup_builds_these_versions() {
        let script = include_str!("../../../scripts/istio.sh");
        for (name, version) in [
            ("ETCD", ETCD_VERSION),
            ("KUBERNETES", KUBERNETES_VERSION),
            ("ISTIO", ISTIO_VERSION),
            ("PROMETHEUS", PROMETHEUS_VERSION),
            ("KIALI", KIALI_VERSION),
            ("HELM", HELM_VERSION),
        ] {
            assert!(script.lines().any(|line| line == format!("{name}_VERSION={version}")), "{name} is not {version}");
        }
    }
}
