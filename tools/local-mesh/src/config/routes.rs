//! Route configurations: a virtual host for each service, one for all other hosts, and the routes of gateways and inbound
//! listeners.

use std::time::Duration;

use serde_json::{json, Value};

use super::names::{inbound_cluster, outbound_cluster};
use crate::topology::{Gateway, Route, Service, Topology, Workload};

/// Routes for an application's own requests. Istio names them after the port.
pub fn outbound(topology: &Topology, workload: &Workload) -> Value {
    let mut hosts: Vec<Value> =
        topology.services.iter().filter(|s| s.is_http()).map(|s| virtual_host(workload, s)).collect();
    hosts.push(json!({
        "name": "allow_any",
        "domains": ["*"],
        "routes": [{
            "name": "allow_any",
            "match": {"prefix": "/"},
            "route": {"cluster": "PassthroughCluster", "timeout": "0s"},
        }],
        "include_request_attempt_count": true,
    }));
    json!({"name": "9080", "virtual_hosts": hosts, "validate_clusters": false})
}

/// Routes for requests from outside.
pub fn gateway(topology: &Topology, gateway: &Gateway) -> Value {
    let routes: Vec<Value> = gateway
        .routes
        .iter()
        .filter_map(|route| Some((route, topology.service(&route.to)?)))
        .flat_map(|(route, service)| routes_to(service, &json!({"prefix": route.prefix})))
        .collect();
    json!({
        "name": format!("http.{}", gateway.port),
        "virtual_hosts": [{
            "name": format!("*:{}", gateway.port),
            "domains": ["*"],
            "routes": routes,
            "include_request_attempt_count": true,
        }],
        "validate_clusters": false,
    })
}

/// Routes everything to the workload's own application.
pub fn inbound(service: &Service) -> Value {
    let cluster = inbound_cluster(service);
    json!({
        "name": cluster,
        "virtual_hosts": [{
            "name": format!("inbound|http|{}", service.port),
            "domains": ["*"],
            "routes": [{
                "name": "default",
                "match": {"prefix": "/"},
                "decorator": decorator(service),
                "route": {"cluster": cluster, "timeout": "0s", "max_stream_duration": {"max_stream_duration": "0s", "grpc_timeout_header_max": "0s"}},
            }],
        }],
        "validate_clusters": false,
    })
}

fn virtual_host(workload: &Workload, service: &Service) -> Value {
    json!({
        "name": format!("{}:{}", service.host(), service.port),
        "domains": domains(workload, service),
        "routes": routes_to(service, &json!({"prefix": "/"})),
        "include_request_attempt_count": true,
    })
}

/// The host names under which Kubernetes lets a client in the workload's namespace reach the service.
fn domains(workload: &Workload, service: &Service) -> Vec<String> {
    let (name, namespace) = (&service.name, &service.namespace);
    let mut names = vec![service.host(), format!("{name}.{namespace}.svc"), format!("{name}.{namespace}")];
    if workload.namespace == *namespace {
        names.push(name.clone());
    }
    names.into_iter().flat_map(|name| [format!("{name}:{}", service.port), name]).collect()
}

fn routes_to(service: &Service, base: &Value) -> Vec<Value> {
    if service.routes.is_empty() {
        let mut action = action(service);
        set(&mut action, "cluster", json!(outbound_cluster(service, "")));
        return vec![json!({"name": "default", "match": base, "decorator": decorator(service), "route": action})];
    }
    service.routes.iter().map(|route| split(service, route, base)).collect()
}

fn split(service: &Service, route: &Route, base: &Value) -> Value {
    let mut action = action(service);
    let mut targets = route.to.iter().filter(|(_, weight)| **weight > 0);
    match (targets.next(), targets.next()) {
        (Some((subset, _)), None) => set(&mut action, "cluster", json!(outbound_cluster(service, subset))),
        _ => {
            let clusters: Vec<Value> = route
                .to
                .iter()
                .map(|(subset, weight)| json!({"name": outbound_cluster(service, subset), "weight": weight}))
                .collect();
            set(&mut action, "weighted_clusters", json!({"clusters": clusters}));
        }
    }
    let mut matcher = base.clone();
    if !route.headers.is_empty() {
        let headers: Vec<Value> =
            route.headers.iter().map(|(name, value)| json!({"name": name, "string_match": {"exact": value}})).collect();
        set(&mut matcher, "headers", json!(headers));
    }
    json!({"name": "default", "match": matcher, "decorator": decorator(service), "route": action})
}

/// The operation name of spans.
fn decorator(service: &Service) -> Value {
    json!({"operation": format!("{}:{}/*", service.host(), service.port)})
}

fn action(service: &Service) -> Value {
    let mut action = json!({"timeout": seconds(service.timeout.unwrap_or(Duration::ZERO))});
    let (attempts, on) = match &service.retries {
        Some(retries) => (retries.attempts, retries.on.as_str()),
        None => (2, "connect-failure,refused-stream,unavailable,cancelled"), // Istio's default
    };
    if attempts > 0 {
        let policy = json!({
            "retry_on": on,
            "num_retries": attempts,
            "retry_host_predicate": [{
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
            }],
            "host_selection_retry_max_attempts": "5",
        });
        set(&mut action, "retry_policy", policy);
    }
    action
}

fn seconds(duration: Duration) -> String {
    format!("{}.{:09}s", duration.as_secs(), duration.subsec_nanos())
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}
