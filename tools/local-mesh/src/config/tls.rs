//! Mutual TLS with SPIFFE identities.

use serde_json::{json, Value};

use super::files::Files;
use crate::topology::{Service, Topology, Workload};

/// The ALPN that Istio's sidecars send to each other. The inbound listener selects its filter chain by it.
pub const MESH_ALPN: [&str; 5] = ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// The server side. It requires a client certificate.
pub fn downstream(workload: &Workload, files: &Files) -> Value {
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": true,
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificates": [certificate(workload, files)],
                "validation_context": {"trusted_ca": {"filename": files.pki.join("ca.pem")}},
            },
        },
    })
}

/// The client side. The server must be one of the service's workloads.
pub fn upstream(topology: &Topology, workload: &Workload, service: &Service, subset: &str, files: &Files) -> Value {
    let identities: Vec<Value> = topology
        .members(service)
        .map(|member| json!({"san_type": "URI", "matcher": {"exact": member.spiffe(&topology.trust_domain)}}))
        .collect();
    // As istiod makes them for stock Envoy, without its own filters for ALPN and for metadata exchange.
    let alpn: &[&str] = match service.protocol {
        crate::topology::Protocol::Grpc => &["istio", "h2"],
        crate::topology::Protocol::Http | crate::topology::Protocol::Tcp => &["istio"],
    };
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": format!("outbound_.{}_.{subset}_.{}", service.port, service.host()),
            "common_tls_context": {
                "alpn_protocols": alpn,
                "tls_certificates": [certificate(workload, files)],
                "validation_context": {
                    "trusted_ca": {"filename": files.pki.join("ca.pem")},
                    "match_typed_subject_alt_names": identities,
                },
            },
        },
    })
}

fn certificate(workload: &Workload, files: &Files) -> Value {
    let name = crate::pki::file_name(workload);
    json!({
        "certificate_chain": {"filename": files.pki.join(format!("{name}.pem"))},
        "private_key": {"filename": files.pki.join(format!("{name}.key"))},
    })
}
