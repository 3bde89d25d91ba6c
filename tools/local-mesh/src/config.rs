//! Envoy configuration of a workload's proxy, as Istio would write it, before any EnvoyFilter.
//!
//! The shape (names, metadata, filter chains, order of filters) is Istio's, since EnvoyFilters match on it and telemetry
//! reads it. Three things differ, because nothing redirects connections on loopback: the outbound HTTP listener is bound
//! to port 15001 and the application sends there by itself; outbound TCP listeners are bound to the pod's own address;
//! filter chains of the inbound listener are not chosen by port.

mod bootstrap;
mod clusters;
mod listeners;
mod routes;
mod tls;
mod tracing;

use std::path::{Path, PathBuf};

use envoy_filter::MODULES;
use serde_json::{json, Map, Value};

use crate::topology::{Service, Topology, Workload};

pub use bootstrap::node_id;
pub use tracing::Tracing;

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

/// The version that nodes claim to be of, which `proxyVersion` of an EnvoyFilter matches.
pub const ISTIO_VERSION: &str = "1.24.0";

/// Name of the file of resources, in a directory for each kind.
pub const RESOURCES: &str = "resources.json";

/// Everything that one Envoy is told.
#[derive(Debug, Clone, PartialEq)]
pub struct SidecarConfig {
    /// The static part, with the node.
    pub bootstrap: Value,
    /// LDS resources.
    pub listeners: Vec<Value>,
    /// CDS resources.
    pub clusters: Vec<Value>,
}

/// Directories that a sidecar's configuration refers to.
#[derive(Debug, Clone)]
pub struct Files {
    /// Holds the sidecar's own files: bootstrap.json, lds/ and cds/.
    pub directory: PathBuf,
    /// Holds certificates and keys.
    pub pki: PathBuf,
}

impl SidecarConfig {
    /// The proxy of `workload` without any telemetry.
    pub fn plain(topology: &Topology, workload: &Workload, files: &Files) -> Self {
        Self {
            bootstrap: bootstrap::bootstrap(topology, workload, &files.directory),
            listeners: listeners::all(topology, workload, files),
            clusters: clusters::all(topology, workload, files),
        }
    }

    /// Makes paths of modules in a pod paths below `dist`; gives the modules that are referred to.
    pub fn map_modules(&mut self, dist: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let lists = self.listeners.iter_mut().chain(self.clusters.iter_mut());
        for value in lists.chain(std::iter::once(&mut self.bootstrap)) {
            visit(value, &mut |object| {
                let Some(Value::String(name)) = object.get_mut("filename") else { return };
                if let Some(module) = name.strip_prefix(MODULES) {
                    let path = dist.join(module);
                    *name = path.display().to_string();
                    found.push(path);
                }
            });
        }
        found.sort();
        found.dedup();
        found
    }

    /// True when a wasm filter sits on connections, not only on requests.
    pub fn has_network_wasm(&self) -> bool {
        let chains = self.listeners.iter().filter_map(|listener| listener.get("filter_chains")?.as_array()).flatten();
        let mut filters = chains.filter_map(|chain| chain.get("filters")?.as_array()).flatten();
        filters.any(|filter| {
            filter.pointer("/typed_config/@type").and_then(Value::as_str).is_some_and(|t| t.contains("network.wasm"))
        })
    }

    /// Replaces the plugin configuration of the wasm filters whose root id or plugin name is `plugin`; gives how many.
    pub fn replace_plugin_config(&mut self, plugin: &str, configuration: &str) -> usize {
        let mut count = 0;
        for value in &mut self.listeners {
            visit(value, &mut |object| {
                let is_it = object.contains_key("vm_config")
                    && ["root_id", "name"].iter().any(|key| object.get(*key).and_then(Value::as_str) == Some(plugin));
                if is_it {
                    let new =
                        json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration});
                    object.insert("configuration".to_owned(), new);
                    count += 1;
                }
            });
        }
        count
    }
}

/// A file's content for `path_config_source`.
pub fn discovery(type_name: &str, resources: &[Value], version: u64) -> Value {
    let type_url = format!("type.googleapis.com/{type_name}");
    let typed: Vec<Value> = resources
        .iter()
        .map(|resource| {
            let mut resource = resource.clone();
            if let Some(object) = resource.as_object_mut() {
                object.insert("@type".to_owned(), json!(type_url));
            }
            resource
        })
        .collect();
    json!({"version_info": version.to_string(), "resources": typed})
}

/// Istio's name of an outbound cluster.
pub fn outbound_cluster(service: &Service, subset: &str) -> String {
    format!("outbound|{}|{subset}|{}", service.port, service.host())
}

/// Istio's name of an inbound cluster.
pub fn inbound_cluster(service: &Service) -> String {
    format!("inbound|{}||", service.port)
}

fn visit(value: &mut Value, found: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            found(object);
            object.values_mut().for_each(|child| visit(child, found));
        }
        Value::Array(list) => list.iter_mut().for_each(|child| visit(child, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
