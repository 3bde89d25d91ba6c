//! Clusters: one for each service and subset, one for the workload's own port, and Istio's three special clusters.

use serde_json::{json, Value};

use super::bootstrap::address;
use super::files::Files;
use super::names::{inbound_cluster, outbound_cluster, port};
use super::tls;
use crate::topology::{ConnectionPool, Protocol, Service, Topology, Workload};

/// Istio's "unlimited" in circuit breakers.
const UNLIMITED: u32 = u32::MAX;

pub fn all(topology: &Topology, workload: &Workload, files: &Files) -> Vec<Value> {
    let mut clusters = Vec::new();
    for service in &topology.services {
        clusters.push(outbound(topology, workload, service, "", files));
        for subset in service.subsets.keys() {
            clusters.push(outbound(topology, workload, service, subset, files));
        }
    }
    clusters.push(json!({"name": "BlackHoleCluster", "type": "STATIC", "connect_timeout": "10s"}));
    clusters.push(passthrough("PassthroughCluster"));
    if workload.gateway.is_none() {
        clusters.push(passthrough("InboundPassthroughCluster"));
        let mut own: Vec<&Service> = topology.services_of(workload).collect();
        own.dedup_by_key(|service| service.port);
        clusters.extend(own.into_iter().map(|service| inbound(workload, service)));
    }
    clusters
}

fn outbound(topology: &Topology, workload: &Workload, service: &Service, subset: &str, files: &Files) -> Value {
    let name = outbound_cluster(service, subset);
    let members =
        if subset.is_empty() { topology.members(service).collect() } else { topology.subset(service, subset) };
    let endpoints: Vec<Value> = members.into_iter().map(|member| endpoint(member, service)).collect();
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": breakers(service.connection_pool.as_ref()),
        "metadata": {"filter_metadata": {"istio": services_metadata(service)}},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        "transport_socket_matches": [
            {
                "name": "tlsMode-istio",
                "match": {"tlsMode": "istio"},
                "transport_socket": tls::upstream(topology, workload, service, subset, files),
            },
            {
                "name": "tlsMode-disabled",
                "match": {},
                "transport_socket": {
                    "name": "envoy.transport_sockets.raw_buffer",
                    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"},
                },
            },
        ],
    });
    set_protocol(&mut cluster, service.protocol);
    cluster
}

fn inbound(workload: &Workload, service: &Service) -> Value {
    let name = inbound_cluster(service);
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "circuit_breakers": breakers(None),
        "metadata": {"filter_metadata": {"istio": services_metadata(service)}},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(&workload.address.to_string(), service.port)}}]}],
        },
    });
    set_protocol(&mut cluster, service.protocol);
    cluster
}

/// Forwards to the original destination. Nothing is redirected here, so the original destination is unknown, unless a test
/// sets it in `x-envoy-original-dst-host`.
fn passthrough(name: &str) -> Value {
    json!({
        "name": name,
        "type": "ORIGINAL_DST",
        "connect_timeout": "10s",
        "lb_policy": "CLUSTER_PROVIDED",
        "original_dst_lb_config": {"use_http_header": true},
        "circuit_breakers": breakers(None),
    })
}

fn endpoint(member: &Workload, service: &Service) -> Value {
    let ip = member.address.to_string();
    if !member.sidecar {
        return json!({"endpoint": {"address": address(&ip, service.port)}});
    }
    let labels = member.all_labels();
    let label = |key: &str| labels.get(key).map_or("", String::as_str);
    // As istiod writes it: workload;namespace;canonical name;revision;cluster. The revision `latest` is omitted.
    let revision = label("service.istio.io/canonical-revision");
    let revision = if revision == "latest" { "" } else { revision };
    let name = label("service.istio.io/canonical-name");
    let identity = format!("{};{};{name};{revision};Kubernetes", member.name, member.namespace);
    json!({
        "endpoint": {"address": address(&ip, port::INBOUND)},
        "metadata": {"filter_metadata": {
            "istio": {"workload": identity},
            "envoy.transport_socket_match": {"tlsMode": "istio"},
        }},
        "load_balancing_weight": 1,
    })
}

fn services_metadata(service: &Service) -> Value {
    let services = json!([{"host": service.host(), "name": service.name, "namespace": service.namespace}]);
    if service.external {
        return json!({"services": services, "external": true});
    }
    json!({"services": services})
}

fn breakers(pool: Option<&ConnectionPool>) -> Value {
    let limit = |of: fn(&ConnectionPool) -> Option<u32>| pool.and_then(of).unwrap_or(UNLIMITED);
    json!({"thresholds": [{
        "max_connections": limit(|p| p.max_connections),
        "max_pending_requests": limit(|p| p.max_pending_requests),
        "max_requests": limit(|p| p.max_requests),
        "max_retries": UNLIMITED,
        "track_remaining": true,
    }]})
}

fn set_protocol(cluster: &mut Value, protocol: Protocol) {
    let options = match protocol {
        Protocol::Http => json!({"http_protocol_options": {}}),
        Protocol::Grpc => json!({"http2_protocol_options": {}}),
        Protocol::Tcp => return,
    };
    if let Some(object) = cluster.as_object_mut() {
        let options = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": options,
        }});
        object.insert("typed_extension_protocol_options".to_owned(), options);
    }
}
