//! Listeners: `virtualInbound`, outbound HTTP, outbound TCP per database, or a gateway's.

use serde_json::{json, Value};

use super::bootstrap::address;
use super::files::Files;
use super::names::{inbound_cluster, outbound_cluster, port};
use super::{routes, tls};
use crate::topology::{Gateway, Protocol, Service, Topology, Workload};

const HCM: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// The `server` of answers to others.
const SERVER_NAME: &str = "istio-envoy";

pub fn all(topology: &Topology, workload: &Workload, files: &Files) -> Vec<Value> {
    if let Some(gateway) = &workload.gateway {
        return vec![gateway_listener(topology, workload, gateway)];
    }
    let mut listeners = vec![outbound_http(topology, workload)];
    let databases = topology.callees(workload).filter(|s| s.protocol == Protocol::Tcp);
    listeners.extend(databases.map(|service| outbound_tcp(workload, service)));
    if let Some(service) = topology.services_of(workload).next() {
        listeners.push(virtual_inbound(workload, service, files));
    }
    listeners
}

fn gateway_listener(topology: &Topology, workload: &Workload, gateway: &Gateway) -> Value {
    let name = format!("0.0.0.0_{}", gateway.port);
    let mut manager = http_manager(&format!("outbound_{name}"), routes::gateway(topology, gateway));
    set(&mut manager, "server_name", json!(SERVER_NAME));
    set(&mut manager, "use_remote_address", json!(true));
    forward_client_certificate(&mut manager, "SANITIZE_SET");
    set(
        &mut manager,
        "set_current_client_cert_details",
        json!({"subject": true, "cert": true, "dns": true, "uri": true}),
    );
    json!({
        "name": name,
        "address": address(&workload.address.to_string(), gateway.port),
        "traffic_direction": "OUTBOUND", // Istio marks gateways so, and the reporter follows from it
        "filter_chains": [{"filters": [manager_filter(manager)]}],
    })
}

fn outbound_http(topology: &Topology, workload: &Workload) -> Value {
    let manager = http_manager("outbound_0.0.0.0_9080", routes::outbound(topology, workload));
    json!({
        "name": "0.0.0.0_9080",
        "address": address(&workload.address.to_string(), port::OUTBOUND),
        "traffic_direction": "OUTBOUND",
        "filter_chains": [{"filters": [manager_filter(manager)]}],
    })
}

fn outbound_tcp(workload: &Workload, service: &Service) -> Value {
    let ip = workload.address.to_string();
    json!({
        "name": format!("{ip}_{}", service.port),
        "address": address(&ip, service.port),
        "traffic_direction": "OUTBOUND",
        "filter_chains": [{"filters": [tcp_proxy(&outbound_cluster(service, ""))]}],
    })
}

/// Two filter chains for one port: mutual TLS from other sidecars, and plaintext from outside the mesh (permissive mode).
fn virtual_inbound(workload: &Workload, service: &Service, files: &Files) -> Value {
    let filter = if service.is_http() {
        let mut manager = http_manager(&format!("inbound_0.0.0.0_{}", service.port), routes::inbound(service));
        set(&mut manager, "server_name", json!(SERVER_NAME));
        set(&mut manager, "use_remote_address", json!(false));
        forward_client_certificate(&mut manager, "APPEND_FORWARD");
        manager_filter(manager)
    } else {
        tcp_proxy(&inbound_cluster(service))
    };
    let name = format!("0.0.0.0_{}", service.port);
    json!({
        "name": "virtualInbound",
        "address": address(&workload.address.to_string(), port::INBOUND),
        "traffic_direction": "INBOUND",
        "listener_filters": [{
            "name": "envoy.filters.listener.tls_inspector",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"},
        }],
        "listener_filters_timeout": "0s",
        "continue_on_listener_filters_timeout": true,
        "filter_chains": [
            {
                "name": name,
                "filter_chain_match": {"transport_protocol": "tls", "application_protocols": tls::MESH_ALPN},
                "filters": [filter],
                "transport_socket": tls::downstream(workload, files),
            },
            {
                "name": name,
                "filter_chain_match": {"transport_protocol": "raw_buffer"},
                "filters": [filter],
            },
        ],
    })
}

fn http_manager(stat_prefix: &str, route_config: Value) -> Value {
    json!({
        "@type": HCM,
        "stat_prefix": stat_prefix,
        "codec_type": "AUTO",
        "normalize_path": true,
        "stream_idle_timeout": "0s",
        "use_remote_address": false,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": route_config,
        "http_filters": [
            {
                "name": "envoy.filters.http.grpc_stats",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
                    "emit_filter_state": true,
                    "stats_for_all_methods": false,
                },
            },
            {
                "name": "envoy.filters.http.fault",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"},
            },
            {
                "name": "envoy.filters.http.cors",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"},
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            },
        ],
    })
}

fn manager_filter(manager: Value) -> Value {
    json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager})
}

fn forward_client_certificate(manager: &mut Value, mode: &str) {
    set(manager, "forward_client_cert_details", json!(mode));
    set(manager, "set_current_client_cert_details", json!({"subject": true, "dns": true, "uri": true}));
}

fn tcp_proxy(cluster: &str) -> Value {
    json!({
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": cluster,
            "cluster": cluster,
        },
    })
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}
