use std::path::Path;

use serde_json::{json, Value};

use super::*;

fn config(workload: &str) -> SidecarConfig {
    let topology = Topology::bookinfo().unwrap();
    let files = Files { directory: "/run/x".into(), pki: "/run/pki".into() };
    SidecarConfig::plain(&topology, topology.workload(workload).unwrap(), &files)
}

fn names(resources: &[Value]) -> Vec<&str> {
    resources.iter().filter_map(|r| r.get("name")?.as_str()).collect()
}

#[test]
fn a_sidecar_has_istios_listeners_and_clusters() {
    let config = config("ratings-v1");
    assert_eq!(names(&config.listeners), ["0.0.0.0_9080", "127.1.0.7_27017", "virtualInbound"]);
    let clusters = names(&config.clusters);
    for name in [
        "outbound|9080||ratings.default.svc.cluster.local",
        "outbound|9080|v1|reviews.default.svc.cluster.local",
        "outbound|27017||mongodb.default.svc.cluster.local",
        "inbound|9080||",
        "BlackHoleCluster",
        "PassthroughCluster",
        "InboundPassthroughCluster",
    ] {
        assert!(clusters.contains(&name), "{name} is not in {clusters:?}");
    }
}

#[test]
fn a_gateway_is_a_router_with_one_outbound_listener() {
    let config = config("istio-ingressgateway");
    assert_eq!(names(&config.listeners), ["0.0.0.0_8080"]);
    let id = config.bootstrap.pointer("/node/id").unwrap().as_str().unwrap();
    assert!(id.starts_with("router~127.1.0.1~istio-ingressgateway-"), "{id}");
}

#[test]
fn an_endpoint_says_who_it_is() {
    let config = config("productpage-v1");
    let cluster =
        config.clusters.iter().find(|c| c["name"] == "outbound|9080|v2|reviews.default.svc.cluster.local").unwrap();
    let endpoint = cluster.pointer("/load_assignment/endpoints/0/lb_endpoints/0").unwrap();
    assert_eq!(
        endpoint.pointer("/metadata/filter_metadata/istio/workload").unwrap(),
        "reviews-v2;default;reviews;v2;Kubernetes"
    );
    assert_eq!(endpoint.pointer("/endpoint/address/socket_address/port_value").unwrap(), 15006);
}

#[test]
fn no_telemetry_is_there_before_envoyfilters() {
    for workload in ["istio-ingressgateway", "productpage-v1", "mongodb-v1"] {
        let config = config(workload);
        let text = format!("{:?}{:?}", config.listeners, config.bootstrap);
        assert!(!text.contains("wasm") && !text.contains("stats_tags"), "{workload}");
    }
}

#[test]
fn modules_are_found_in_dist_and_plugins_by_root_id() {
    let mut config = config("details-v1");
    config.listeners = vec![json!({"config": {
        "name": "istio.stats",
        "root_id": "stats_outbound",
        "vm_config": {"code": {"local": {"filename": "/var/local/remixer/stats.wasm"}}},
    }})];
    assert_eq!(config.map_modules(Path::new("/x/dist")), [Path::new("/x/dist/stats.wasm")]);
    assert_eq!(config.replace_plugin_config("stats_outbound", "{}"), 1);
    assert_eq!(config.replace_plugin_config("istio.stats", "{\"a\":1}"), 1);
    assert_eq!(config.replace_plugin_config("nobody", "{}"), 0);
    assert_eq!(config.listeners[0].pointer("/config/configuration/value").unwrap(), "{\"a\":1}");
}
