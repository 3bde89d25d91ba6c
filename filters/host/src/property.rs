//! Paths of the Envoy attributes that the filters read, as stock Envoy has them.
//!
//! Envoy expects the parts of a path joined by NUL. The constants are joined at compile time, so the hot path allocates
//! nothing for them.

/// The path of an attribute, its parts joined by NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Property<'a>(pub &'a str);

macro_rules! path {
    ($first:literal $(, $part:literal)*) => {
        Property(concat!($first $(, "\0", $part)*))
    };
}

/// Where the keys of the node's metadata are.
pub const NODE_METADATA: &str = "xds\0node\0metadata";

/// All of the node, as `envoy.config.core.v3.Node`. It takes 60 KB.
pub const NODE: Property = path!("xds", "node");
/// `node.id`.
pub const NODE_ID: Property = path!("xds", "node", "id");
/// The direction of the plugin's listener, also where there is no stream.
pub const PLUGIN_DIRECTION: Property = path!("listener_direction");
/// The plugin's name.
pub const PLUGIN_NAME: Property = path!("plugin_name");
/// The plugin's root id.
pub const PLUGIN_ROOT_ID: Property = path!("plugin_root_id");
/// The id of the VM that the plugin runs in.
pub const PLUGIN_VM_ID: Property = path!("plugin_vm_id");
/// 1 inbound, 2 outbound, 0 unspecified.
pub const LISTENER_DIRECTION: Property = path!("xds", "listener_direction");

/// Authority of the request.
pub const REQUEST_HOST: Property = path!("request", "host");
/// HTTP version of the request; absent on a TCP connection.
pub const REQUEST_PROTOCOL: Property = path!("request", "protocol");
/// From first byte received to last byte sent, in nanoseconds; available only when the stream ends.
pub const REQUEST_DURATION: Property = path!("request", "duration");
/// Headers, body and trailers received, in bytes.
pub const REQUEST_TOTAL_SIZE: Property = path!("request", "total_size");
/// Headers, body and trailers sent, in bytes.
pub const RESPONSE_TOTAL_SIZE: Property = path!("response", "total_size");
/// HTTP status; absent if there was no response.
pub const RESPONSE_CODE: Property = path!("response", "code");
/// Envoy's response flags, as bits.
pub const RESPONSE_FLAGS: Property = path!("response", "flags");
/// `via_upstream`, or the reason why Envoy answered itself.
pub const RESPONSE_CODE_DETAILS: Property = path!("response", "code_details");
/// gRPC status; Envoy derives one for plain HTTP, too.
pub const RESPONSE_GRPC_STATUS: Property = path!("response", "grpc_status");

/// `requests,responses`: the messages of a gRPC request so far. Needs Envoy's filter `grpc_stats`.
pub const GRPC_MESSAGES: Property = path!("filter_state", "envoy.filters.http.grpc_stats");

/// Destination port of the downstream's connection, before any redirection.
pub const DESTINATION_PORT: Property = path!("destination", "port");
/// Envoy's number of the downstream's connection. A later connection has a higher one, but for HTTP/3.
pub const CONNECTION_ID: Property = path!("connection", "id");
/// Whether the downstream presented a certificate.
pub const CONNECTION_MTLS: Property = path!("connection", "mtls");
/// TLS version of the downstream connection; absent in plaintext.
pub const CONNECTION_TLS_VERSION: Property = path!("connection", "tls_version");
/// The server name of the downstream's TLS handshake (SNI).
pub const CONNECTION_SERVER_NAME: Property = path!("connection", "requested_server_name");
/// First URI SAN of the downstream's certificate.
pub const CONNECTION_PEER_SAN: Property = path!("connection", "uri_san_peer_certificate");
/// First URI SAN of the certificate presented to the downstream.
pub const CONNECTION_LOCAL_SAN: Property = path!("connection", "uri_san_local_certificate");
/// First URI SAN of the upstream's certificate.
pub const UPSTREAM_PEER_SAN: Property = path!("upstream", "uri_san_peer_certificate");
/// First URI SAN of the certificate presented to the upstream.
pub const UPSTREAM_LOCAL_SAN: Property = path!("upstream", "uri_san_local_certificate");

/// Name of the cluster to which the request is routed.
pub const CLUSTER_NAME: Property = path!("xds", "cluster_name");
/// Name of the route; empty if it has no name.
pub const ROUTE_NAME: Property = path!("xds", "route_name");
/// Whether Istio marks the cluster as outside the mesh.
pub const CLUSTER_EXTERNAL: Property = path!("xds", "cluster_metadata", "filter_metadata", "istio", "external");
/// Whether Istio disables metadata exchange for the cluster.
pub const CLUSTER_DISABLE_MX: Property = path!("xds", "cluster_metadata", "filter_metadata", "istio", "disable_mx");
/// Short name of the cluster's service.
pub const CLUSTER_SERVICE_NAME: Property =
    path!("xds", "cluster_metadata", "filter_metadata", "istio", "services", "0", "name");
/// Host name of the cluster's service.
pub const CLUSTER_SERVICE_HOST: Property =
    path!("xds", "cluster_metadata", "filter_metadata", "istio", "services", "0", "host");
/// Host names of further services of the cluster, such as those of a workload that several services select.
pub const CLUSTER_FURTHER_HOSTS: [Property; 7] = [
    path!("xds", "cluster_metadata", "filter_metadata", "istio", "services", "1", "host"),
    path!("xds", "cluster_metadata", "filter_metadata", "istio", "services", "2", "host"),
    path!("xds", "cluster_metadata", "filter_metadata", "istio", "services", "3", "host"),
    path!("xds", "cluster_metadata", "filter_metadata", "istio", "services", "4", "host"),
    path!("xds", "cluster_metadata", "filter_metadata", "istio", "services", "5", "host"),
    path!("xds", "cluster_metadata", "filter_metadata", "istio", "services", "6", "host"),
    path!("xds", "cluster_metadata", "filter_metadata", "istio", "services", "7", "host"),
];
/// Namespace of the cluster's service.
pub const CLUSTER_SERVICE_NAMESPACE: Property =
    path!("xds", "cluster_metadata", "filter_metadata", "istio", "services", "0", "namespace");
/// `workload;namespace;canonical-service;revision;cluster` of the chosen endpoint.
pub const ENDPOINT_WORKLOAD: Property = path!("xds", "upstream_host_metadata", "filter_metadata", "istio", "workload");

/// Filter state `wasm.downstream_peer_id`.
pub const DOWNSTREAM_PEER_ID: Property = path!("downstream_peer_id");
/// Filter state `wasm.upstream_peer_id`.
pub const UPSTREAM_PEER_ID: Property = path!("upstream_peer_id");
/// Filter state `wasm.downstream_peer`.
pub const DOWNSTREAM_PEER: Property = path!("downstream_peer");
/// Filter state `wasm.upstream_peer`.
pub const UPSTREAM_PEER: Property = path!("upstream_peer");

/// Filter state `wasm.fault_flags`, which fault injection writes.
pub const FAULT_FLAGS: Property = path!("fault_flags");

/// The path of a key of the node's metadata.
pub fn node_metadata(key: &str) -> String {
    path(&[NODE_METADATA, key])
}

/// The path of a label in the node's metadata.
pub fn node_label(label: &str) -> String {
    path(&[NODE_METADATA, "LABELS", label])
}

/// Joins the parts of a path. The library's `join` would add 1 KB to each module.
pub fn path(parts: &[&str]) -> String {
    let mut path = String::new();
    for part in parts {
        if !path.is_empty() {
            path.push('\0');
        }
        path.push_str(part);
    }
    path
}
