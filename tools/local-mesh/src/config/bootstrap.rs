//! The static part: node, admin, the listener for Prometheus, and the sources of listeners and clusters.

use std::path::Path;

use serde_json::{json, Value};

use super::files::RESOURCES;
use super::names::{port, ISTIO_VERSION};
use crate::topology::{Topology, Workload};

/// `node.id`. Istio derives all facts about a proxy from it.
pub fn node_id(workload: &Workload) -> String {
    let kind = if workload.gateway.is_some() { "router" } else { "sidecar" };
    let (ip, pod, namespace) = (workload.address, workload.pod(), &workload.namespace);
    format!("{kind}~{ip}~{pod}.{namespace}~{namespace}.svc.cluster.local")
}

pub(super) fn bootstrap(topology: &Topology, workload: &Workload, directory: &Path) -> Value {
    let ip = workload.address.to_string();
    json!({
        "node": {
            "id": node_id(workload),
            "cluster": format!("{}.{}", workload.app, workload.namespace),
            "metadata": metadata(topology, workload),
        },
        "admin": {"address": address(&ip, port::ADMIN)},
        // Histograms reach /stats/prometheus only at a flush. With Envoy's 5 s, the mesh would look idle at first.
        "stats_flush_interval": "1s",
        "dynamic_resources": {
            "lds_config": from_file(&directory.join("lds")),
            "cds_config": from_file(&directory.join("cds")),
        },
        "static_resources": {
            "listeners": [stats_listener(&ip)],
            "clusters": [{
                "name": "prometheus_stats",
                "type": "STATIC",
                "connect_timeout": "0.250s",
                "lb_policy": "ROUND_ROBIN",
                "load_assignment": {
                    "cluster_name": "prometheus_stats",
                    "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(&ip, port::ADMIN)}}]}],
                },
            }],
        },
    })
}

pub(super) fn address(ip: &str, port: u16) -> Value {
    json!({"socket_address": {"address": ip, "port_value": port}})
}

fn metadata(topology: &Topology, workload: &Workload) -> Value {
    let (name, namespace) = (&workload.name, &workload.namespace);
    json!({
        "NAME": workload.pod(),
        "NAMESPACE": namespace,
        "WORKLOAD_NAME": name,
        "OWNER": format!("kubernetes://apis/apps/v1/namespaces/{namespace}/deployments/{name}"),
        "MESH_ID": topology.trust_domain,
        "CLUSTER_ID": "Kubernetes",
        "LABELS": workload.all_labels(),
        "ISTIO_VERSION": ISTIO_VERSION,
        "PLATFORM_METADATA": {},
        "SERVICE_ACCOUNT": workload.service_account,
        "INTERCEPTION_MODE": "REDIRECT",
        "INSTANCE_IPS": workload.address.to_string(),
        "APP_CONTAINERS": workload.app,
        // Proxies of Istio 1.5 to 1.7 send the fields that are listed here.
        "EXCHANGE_KEYS": "NAME,NAMESPACE,INSTANCE_IPS,LABELS,OWNER,PLATFORM_METADATA,WORKLOAD_NAME,MESH_ID,SERVICE_ACCOUNT,CLUSTER_ID",
    })
}

/// Each file has its own directory, because Envoy reads it again when any file is moved into the directory.
fn from_file(directory: &Path) -> Value {
    json!({
        "resource_api_version": "V3",
        "path_config_source": {
            "path": directory.join(RESOURCES),
            "watched_directory": {"path": directory},
        },
    })
}

/// As in Istio's bootstrap: static, and without a traffic direction.
fn stats_listener(ip: &str) -> Value {
    json!({
        "address": address(ip, port::STATS),
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "codec_type": "AUTO",
                "stat_prefix": "stats",
                "route_config": {"virtual_hosts": [{
                    "name": "backend",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/stats/prometheus"}, "route": {"cluster": "prometheus_stats"}}],
                }]},
                "http_filters": [{
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
                }],
            },
        }]}],
    })
}
