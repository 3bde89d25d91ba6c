use std::collections::BTreeMap;

use serde_json::{json, Map};

use super::*;
use crate::parse::parse;
use crate::proxy::ProxyKind;

mod filters;
mod objects;
mod order;

const HCM: &str = "envoy.filters.network.http_connection_manager";
const ROUTER: &str = "envoy.filters.http.router";
const TCP_PROXY: &str = "envoy.filters.network.tcp_proxy";

/// A resource in the root namespace with these patches, given as YAML flow mappings.
fn resource(name: &str, patches: &[&str]) -> EnvoyFilter {
    resource_in("istio-system", name, "priority: 0", patches)
}

fn resource_in(namespace: &str, name: &str, spec: &str, patches: &[&str]) -> EnvoyFilter {
    let mut text = format!(
        "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec:\n  {spec}\n  configPatches:\n"
    );
    for patch in patches {
        text.push_str(&format!("  - {patch}\n"));
    }
    let mut filters = parse(&[("a.yaml".into(), text)]).unwrap();
    filters.remove(0)
}

/// A sidecar of `reviews` in the namespace `default`.
fn patched_with(kind: ProxyKind, filters: &[EnvoyFilter], config: &ProxyConfig) -> (ProxyConfig, Vec<usize>) {
    let mut config = config.clone();
    let applied = apply_to(kind, filters, &mut config).unwrap();
    (config, applied.iter().map(|entry| entry.matched).collect())
}

fn apply_to(kind: ProxyKind, filters: &[EnvoyFilter], config: &mut ProxyConfig) -> Result<Vec<Applied>, Vec<Problem>> {
    let labels = BTreeMap::from([("app".to_owned(), "reviews".to_owned())]);
    let metadata = Map::new();
    let proxy = Proxy { kind, namespace: "default", labels: &labels, version: "1.30.1", metadata: &metadata };
    apply(filters, &proxy, config)
}

fn patched(filters: &[EnvoyFilter], config: &ProxyConfig) -> (ProxyConfig, Vec<usize>) {
    patched_with(ProxyKind::Sidecar, filters, config)
}

/// A filter named `name` with a configuration of type `t/<name>`.
fn filter(name: &str) -> Value {
    json!({"name": name, "typed_config": {"@type": format!("t/{name}")}})
}

fn http_filter_chain(name: &str, filters: &[&str]) -> Value {
    let filters: Vec<Value> = filters.iter().map(|name| filter(name)).collect();
    json!({
        "name": name,
        "filters": [{
            "name": HCM,
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "http_filters": filters,
                "route_config": {
                    "name": "9080",
                    "virtual_hosts": [
                        {"name": "reviews", "domains": ["reviews"], "routes": [
                            {"name": "a", "route": {"cluster": "x"}},
                            {"name": "b", "redirect": {"path_redirect": "/"}},
                        ]},
                        {"name": "any", "domains": ["*"], "routes": []},
                    ],
                },
            },
        }],
    })
}

fn tcp_filter_chain(name: &str) -> Value {
    json!({"name": name, "filters": [filter("mx"), filter(TCP_PROXY)]})
}

fn listener(name: &str, direction: &str, port: u32, chains: &[Value]) -> Value {
    json!({
        "name": name,
        "traffic_direction": direction,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": chains,
    })
}

/// An inbound HTTP listener, an outbound TCP listener, and one without direction.
fn sidecar() -> ProxyConfig {
    ProxyConfig {
        bootstrap: json!({"node": {"id": "sidecar"}, "stats_config": {"stats_tags": [{"tag_name": "a", "regex": "x"}]}}),
        listeners: vec![
            listener("in", "INBOUND", 9080, &[http_filter_chain("http", &["cors", ROUTER])]),
            listener("out", "OUTBOUND", 27017, &[tcp_filter_chain("tcp")]),
            json!({"name": "stats", "filter_chains": [http_filter_chain("stats", &[ROUTER])]}),
        ],
        clusters: vec![
            json!({"name": "inbound|9080||", "type": "STATIC"}),
            json!({"name": "outbound|9080|v1|reviews.default.svc.cluster.local", "type": "EDS"}),
            json!({"name": "BlackHoleCluster", "type": "STATIC"}),
        ],
    }
}

fn names(values: &[Value]) -> Vec<&str> {
    values.iter().map(|value| fields::text(value, "name")).collect()
}

use crate::fields;

/// The names of the HTTP filters of a listener's first filter chain.
fn http_filters(config: &ProxyConfig, listener: usize) -> Vec<&str> {
    let manager = &config.listeners[listener]["filter_chains"][0]["filters"][0]["typed_config"];
    names(fields::list(manager, "http_filters"))
}

/// The names of the network filters of a listener's first filter chain.
fn network_filters(config: &ProxyConfig, listener: usize) -> Vec<&str> {
    names(fields::list(&config.listeners[listener]["filter_chains"][0], "filters"))
}

/// The route configuration of the inbound listener.
fn routes(config: &ProxyConfig) -> &Value {
    &config.listeners[0]["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]
}
