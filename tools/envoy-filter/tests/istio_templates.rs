//! Resources shaped like those Istio shipped for its own telemetry, through the public interface.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use envoy_filter::{apply, parse, unused, Proxy, ProxyConfig, ProxyKind};
use serde_json::{json, Map, Value};

const TELEMETRY: &str = r#"
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata:
  name: stats-filter-1.30
  namespace: istio-system
  labels:
    istio.io/rev: default
spec:
  priority: -1
  configPatches:
    - applyTo: HTTP_FILTER
      match:
        context: SIDECAR_INBOUND
        proxy:
          proxyVersion: '^1\.30.*'
        listener:
          filterChain:
            filter:
              name: envoy.filters.network.http_connection_manager
              subFilter:
                name: envoy.filters.http.router
      patch:
        operation: INSERT_BEFORE
        value:
          name: istio.stats
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
            config:
              root_id: stats_inbound
              configuration:
                "@type": type.googleapis.com/google.protobuf.StringValue
                value: |
                  {"disable_host_header_fallback": true}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata:
  name: metadata-exchange-1.30
  namespace: istio-system
spec:
  priority: -1
  configPatches:
    - applyTo: HTTP_FILTER
      match:
        context: SIDECAR_INBOUND
        listener:
          filterChain:
            filter:
              name: envoy.filters.network.http_connection_manager
      patch:
        operation: INSERT_BEFORE
        value:
          name: istio.metadata_exchange
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
    - applyTo: NETWORK_FILTER
      match:
        context: SIDECAR_INBOUND
        listener: {}
      patch:
        operation: INSERT_BEFORE
        value:
          name: istio.metadata_exchange
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm
    - applyTo: CLUSTER
      match:
        context: SIDECAR_OUTBOUND
        cluster: {}
      patch:
        operation: MERGE
        value:
          filters:
            - name: istio.metadata_exchange
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata:
  name: stats-bootstrap
  namespace: istio-system
spec:
  configPatches:
    - applyTo: BOOTSTRAP
      patch:
        operation: MERGE
        value:
          stats_config:
            stats_tags:
              - tag_name: reporter
                regex: '(reporter=\.=(.*?);\.;)'
"#;

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[test]
fn telemetry_resources_end_up_where_istio_puts_them() {
    let filters = parse(&[("telemetry.yaml".into(), TELEMETRY.to_owned())]).unwrap();
    let manager =
        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let mut config = ProxyConfig {
        bootstrap: json!({"stats_config": {"stats_tags": [{"tag_name": "own", "fixed_value": "x"}]}}),
        listeners: vec![json!({
            "name": "virtualInbound",
            "traffic_direction": "INBOUND",
            "address": {"socket_address": {"address": "127.0.0.2", "port_value": 15006}},
            "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": {"@type": manager, "http_filters": [
                    {"name": "envoy.filters.http.fault"},
                    {"name": "envoy.filters.http.router"},
                ]},
            }]}],
        })],
        clusters: vec![
            json!({"name": "outbound|9080||reviews.default.svc.cluster.local"}),
            json!({"name": "inbound|9080||"}),
        ],
    };
    let (labels, metadata) = (BTreeMap::new(), Map::new());
    let proxy = Proxy {
        kind: ProxyKind::Sidecar,
        namespace: "default",
        labels: &labels,
        version: "1.30.0",
        metadata: &metadata,
    };
    let applied = apply(&filters, &proxy, &mut config).unwrap();

    assert_eq!(unused(&applied), []);
    let network = &config.listeners[0]["filter_chains"][0]["filters"];
    assert_eq!(names(network), ["istio.metadata_exchange", "envoy.filters.network.http_connection_manager"]);
    assert_eq!(
        names(&network[1]["typed_config"]["http_filters"]),
        ["istio.metadata_exchange", "envoy.filters.http.fault", "istio.stats", "envoy.filters.http.router"]
    );
    assert_eq!(names(&config.clusters[0]["filters"]), ["istio.metadata_exchange"]);
    assert_eq!(config.clusters[1], json!({"name": "inbound|9080||"}));
    assert_eq!(config.bootstrap["stats_config"]["stats_tags"][1]["tag_name"], "reporter");
}
