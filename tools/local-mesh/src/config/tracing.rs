//! Tracing as Istio configures it: spans as JSON to a Zipkin collector, B3 headers, a sampling rate.

use std::net::IpAddr;

use serde_json::{json, Value};

use super::sidecar::{visit, SidecarConfig};
use crate::topology::{Topology, Workload};

/// Name of the collector's cluster, in the static part as in Istio's bootstrap.
const CLUSTER: &str = "zipkin";

/// Whether to create spans, and where to send them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Tracing {
    /// No spans and no trace headers.
    #[default]
    Off,
    /// Requests have trace headers, but spans are dropped.
    HeadersOnly,
    /// Spans go to a collector with Zipkin's API: host and port.
    Collector(String, u16),
}

impl Tracing {
    /// From `host:port`; an IPv6 address is in brackets.
    pub fn to(address: &str) -> Option<Self> {
        let (host, port) = address.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
        if host.is_empty() || !host.chars().all(allowed) {
            return None;
        }
        port.parse().ok().filter(|port| *port != 0).map(|port| Self::Collector(host.to_owned(), port))
    }
}

impl SidecarConfig {
    /// Makes every HTTP listener trace the topology's percentage of requests.
    pub fn trace(&mut self, topology: &Topology, workload: &Workload, tracing: &Tracing) {
        let endpoints = match tracing {
            Tracing::Off => return,
            Tracing::HeadersOnly => Vec::new(),
            Tracing::Collector(host, port) => {
                vec![json!({"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}})]
            }
        };
        let is_name = matches!(tracing, Tracing::Collector(host, _) if host.parse::<IpAddr>().is_err());
        let cluster = json!({
            "name": CLUSTER,
            "type": if is_name { "STRICT_DNS" } else { "STATIC" },
            "connect_timeout": "1s",
            "load_assignment": {"cluster_name": CLUSTER, "endpoints": [{"lb_endpoints": endpoints}]},
        });
        if let Some(Value::Array(clusters)) = self.bootstrap.pointer_mut("/static_resources/clusters") {
            clusters.push(cluster);
        }
        let settings = settings(topology, workload);
        for listener in &mut self.listeners {
            visit(listener, &mut |object| {
                if object.contains_key("http_filters") && object.contains_key("stat_prefix") {
                    object.insert("tracing".to_owned(), settings.clone());
                }
            });
        }
    }
}

fn settings(topology: &Topology, workload: &Workload) -> Value {
    let labels = workload.all_labels();
    let label = |key: &str| labels.get(key).map_or("unknown", String::as_str);
    // The tags that Kiali uses to find a workload's traces.
    let tags = [
        ("istio.canonical_revision", label("service.istio.io/canonical-revision")),
        ("istio.canonical_service", label("service.istio.io/canonical-name")),
        ("istio.mesh_id", &topology.trust_domain),
        ("istio.namespace", &workload.namespace),
    ];
    let tags: Vec<Value> = tags.iter().map(|(tag, value)| json!({"tag": tag, "literal": {"value": value}})).collect();
    json!({
        "client_sampling": {"value": 100},
        "random_sampling": {"value": topology.tracing.sampling},
        "overall_sampling": {"value": 100},
        "custom_tags": tags,
        "provider": {
            "name": "envoy.tracers.zipkin",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig",
                "collector_cluster": CLUSTER,
                "collector_endpoint": "/api/v2/spans",
                "collector_endpoint_version": "HTTP_JSON",
                "collector_hostname": "zipkin",
                "trace_id_128bit": true,
                // Each proxy's spans have their own ids, as Jaeger requires.
                "shared_span_context": false,
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_a_host_and_a_port() {
        let collector = |host: &str, port| Some(Tracing::Collector(host.to_owned(), port));
        assert_eq!(Tracing::to("127.0.0.1:9411"), collector("127.0.0.1", 9411));
        assert_eq!(Tracing::to("jaeger:9411"), collector("jaeger", 9411));
        assert_eq!(Tracing::to("[::1]:9411"), collector("::1", 9411));
        for wrong in ["", "jaeger", "jaeger:", ":9411", "jaeger:0", "jaeger:99999", "http://jaeger:9411"] {
            assert_eq!(Tracing::to(wrong), None, "{wrong}");
        }
    }
}
