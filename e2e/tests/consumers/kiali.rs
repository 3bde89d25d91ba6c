//! Kiali: the queries of its graph, health, overview and metrics pages, and the samples that it ignores.

use local_mesh::Sample;

use crate::panel::{Returns, Table};

/// Its queries for the namespace `default` in the cluster `Kubernetes`, over the last minute.
pub const TABLES: &[Table] = &[Table {
    consumer: "Kiali",
    returns: Returns::More,
    rows: &[
        (
            "graph: from unknown",
            r#"sum(rate(istio_requests_total{reporter="source",source_workload_namespace!="$ns",destination_workload_namespace="unknown",destination_workload="unknown",destination_service=~"^.+\\.$ns\\..+$"}[60s])) by ($G+) > 0"#,
            "$G+",
        ),
        (
            "graph: incoming",
            r#"sum(rate(istio_requests_total{reporter="destination",destination_workload_namespace="$ns"}[60s])) by ($G+) > 0"#,
            "$G+",
        ),
        (
            "graph: outgoing",
            r#"sum(rate(istio_requests_total{reporter="source",source_workload_namespace="$ns"}[60s])) by ($G+) > 0"#,
            "$G+",
        ),
        (
            "graph: outgoing of the gateway",
            r#"sum(rate(istio_requests_total{reporter="source",source_workload_namespace="istio-system"}[60s])) by ($G+) > 0"#,
            "$G+",
        ),
        (
            "node graph: of a workload, incoming",
            r#"sum(rate(istio_requests_total{reporter="destination",destination_workload_namespace="$ns",destination_workload="$workload"}[60s])) by ($G+) > 0"#,
            "$G+",
        ),
        (
            "node graph: of a workload, outgoing",
            r#"sum(rate(istio_requests_total{reporter="source",source_workload_namespace="$ns",source_workload="$workload"}[60s])) by ($G+) > 0"#,
            "$G+",
        ),
        (
            "node graph: of an app, incoming",
            r#"sum(rate(istio_requests_total{reporter="destination",destination_service_namespace="$ns",destination_canonical_service="reviews"}[60s])) by ($G+) > 0"#,
            "$G+",
        ),
        (
            "node graph: of an app's version, incoming",
            r#"sum(rate(istio_requests_total{reporter="destination",destination_service_namespace="$ns",destination_canonical_service="reviews",destination_canonical_revision="v3"}[60s])) by ($G+) > 0"#,
            "$G+",
        ),
        (
            "node graph: of an app's version, outgoing",
            r#"sum(rate(istio_requests_total{reporter="source",source_workload_namespace="$ns",source_canonical_service="reviews",source_canonical_revision="v3"}[60s])) by ($G+) > 0"#,
            "$G+",
        ),
        (
            "node graph: of a service, incoming",
            r#"sum(rate(istio_requests_total{reporter="destination",destination_service_namespace="$ns",destination_service="$service"}[60s])) by ($G+) > 0"#,
            "$G+",
        ),
        (
            "graph: gRPC messages, incoming",
            r#"sum(rate($messages{reporter="destination",destination_workload_namespace="$ns"}[60s])) by ($G) > 0"#,
            "$G",
        ),
        (
            "graph: gRPC messages, outgoing",
            r#"sum(rate($messages{reporter="source",source_workload_namespace="$ns"}[60s])) by ($G) > 0"#,
            "$G",
        ),
        (
            "graph: TCP, incoming",
            r#"sum(rate($bytes{app!="ztunnel",reporter="destination",destination_workload_namespace="$ns"}[60s])) by (app, $G, response_flags) > 0"#,
            "app, $G, response_flags",
        ),
        (
            "graph: TCP, outgoing",
            r#"sum(rate($bytes{app!="ztunnel",reporter="source",source_workload_namespace="$ns"}[60s])) by (app, $G, response_flags) > 0"#,
            "app, $G, response_flags",
        ),
        (
            "edges: mean response time",
            r#"sum(rate(istio_request_duration_milliseconds_sum{reporter="source",source_workload_namespace="$ns"}[60s])) by ($G, request_protocol) / sum(rate(istio_request_duration_milliseconds_count{reporter="source",source_workload_namespace="$ns"}[60s])) by ($G, request_protocol) > 0"#,
            "$G, request_protocol",
        ),
        (
            "edges: response time",
            r#"histogram_quantile($quantile, sum(rate(istio_request_duration_milliseconds_bucket{reporter="destination",destination_service_namespace="$ns"}[60s])) by (le, $G, request_protocol)) > 0"#,
            "$G, request_protocol",
        ),
        (
            "edges: request throughput",
            r#"sum(rate(istio_request_bytes_sum{reporter="source",source_workload_namespace="$ns"}[60s])) by ($G) > 0"#,
            "$G",
        ),
        (
            "edges: response throughput",
            r#"sum(rate(istio_response_bytes_sum{reporter="destination",destination_workload_namespace="$ns"}[60s])) by ($G) > 0"#,
            "$G",
        ),
        (
            "edges: security of requests",
            r#"sum(rate(istio_requests_total{reporter="destination",destination_service_namespace="$ns"}[60s])) by ($G, source_principal, destination_principal, connection_security_policy) > 0"#,
            // A client outside the mesh has no certificate. Then neither side's principal is known.
            "$G, connection_security_policy",
        ),
        (
            "edges: security of requests, mutual TLS",
            r#"sum(rate(istio_requests_total{reporter="destination",destination_service_namespace="$ns",connection_security_policy="mutual_tls"}[60s])) by ($G, source_principal, destination_principal, connection_security_policy) > 0"#,
            "$G, source_principal, destination_principal, connection_security_policy",
        ),
        (
            "edges: security of TCP",
            r#"sum(rate($bytes{reporter="destination",destination_service_namespace="$ns"}[60s])) by ($G, source_principal, destination_principal, connection_security_policy) > 0"#,
            "$G, source_principal, destination_principal, connection_security_policy",
        ),
        (
            "aggregate nodes",
            r#"sum(rate(istio_requests_total{reporter="destination",destination_service_namespace="$ns",request_operation!="unknown"}[60s])) by ($G+, request_operation) > 0"#,
            "$G+, request_operation",
        ),
        (
            "aggregate nodes: one operation",
            r#"sum(rate(istio_requests_total{reporter="destination",destination_service_namespace="$ns",request_operation="Page"}[60s])) by ($G+, request_operation) > 0"#,
            "$G+, request_operation",
        ),
        (
            "health: from other namespaces",
            r#"rate(istio_requests_total{destination_service_namespace="$ns",source_workload_namespace!="$ns",destination_cluster="Kubernetes"}[60s])"#,
            "$G+",
        ),
        (
            "health: of the namespace",
            r#"rate(istio_requests_total{source_workload_namespace="$ns",source_cluster="Kubernetes"}[60s])"#,
            "$G+",
        ),
        (
            "health: of a service",
            r#"rate(istio_requests_total{destination_service_name="reviews",destination_service_namespace="$ns",destination_cluster=~"Kubernetes|unknown"}[60s])"#,
            "$G+",
        ),
        (
            "health: of a service without endpoints",
            r#"rate(istio_requests_total{destination_service_name="retired",destination_service_namespace="$ns",destination_cluster=~"Kubernetes|unknown"}[60s])"#,
            "$G+",
        ),
        (
            "errors: HTTP",
            r#"sum(rate(istio_requests_total{reporter="source",response_code=~"^0$|^[4-5]\\d\\d$"}[60s])) by ($G+) > 0"#,
            "$G+",
        ),
        (
            // The echo sends no grpc-status, which counts as 2.
            "errors: gRPC",
            r#"sum(rate(istio_requests_total{grpc_response_status=~"^[1-9]$|^1[0-6]$"}[60s])) by ($G+) > 0"#,
            "$G+",
        ),
        (
            "overview: response time",
            r#"histogram_quantile(0.95, sum(rate(istio_request_duration_milliseconds_bucket{destination_workload!="unknown"}[60s])) by (le, destination_cluster, destination_service_namespace, destination_service_name)) > 0"#,
            "destination_cluster, destination_service_namespace, destination_service_name",
        ),
        ("metrics: requests", r#"sum(rate(istio_requests_total{destination_workload="$workload"}[60s]))"#, ""),
        (
            "metrics: duration",
            r#"histogram_quantile($quantile, sum(rate(istio_request_duration_milliseconds_bucket{destination_workload="$workload"}[60s])) by (le))"#,
            "",
        ),
        (
            "metrics: size",
            r#"histogram_quantile($quantile, sum(rate($size_bucket{destination_workload="$workload"}[60s])) by (le))"#,
            "",
        ),
        ("metrics: TCP bytes", r#"sum(rate($bytes{destination_workload="mongodb-v1"}[60s]))"#, ""),
        (
            "metrics: TCP connections opened",
            r#"sum(rate(istio_tcp_connections_opened_total{destination_workload="mongodb-v1"}[60s]))"#,
            "",
        ),
        (
            "metrics: TCP connections closed",
            r#"sum(rate(istio_tcp_connections_closed_total{destination_workload="mongodb-v1"}[60s]))"#,
            "",
        ),
        ("metrics: gRPC messages", r#"sum(rate($messages{destination_workload="advice-v1"}[60s]))"#, ""),
    ],
}];

/// Kiali ignores a sample without one of these labels. An empty label counts as absent.
const REQUIRED: [&str; 12] = [
    "source_workload_namespace",
    "source_workload",
    "source_canonical_service",
    "source_canonical_revision",
    "destination_service_namespace",
    "destination_service",
    "destination_service_name",
    "destination_workload_namespace",
    "destination_workload",
    "destination_canonical_service",
    "destination_canonical_revision",
    "response_flags",
];

/// Why Kiali ignores a sample of requests or TCP bytes; `None` if it does not.
pub fn dropped(sample: &Sample) -> Option<String> {
    let of_requests: &[&str] =
        if sample.name == "istio_requests_total" { &["request_protocol", "response_code"] } else { &[] };
    let absent = REQUIRED.iter().chain(of_requests).find(|label| sample.label(label).is_empty());
    if let Some(label) = absent {
        return Some(format!("{label} is absent"));
    }
    let is_known = |label: &str| !matches!(sample.label(label), "" | "unknown");
    let lacks_cluster = |label: &str| sample.labels.contains_key(label) && !is_known(label);
    let namespace = is_known("source_workload_namespace");
    if namespace && lacks_cluster("source_cluster") {
        return Some("the source's namespace is known, its cluster is not".to_owned());
    }
    if namespace && !is_known("source_workload") && !is_known("source_canonical_service") {
        return Some("the source's namespace is known, its workload is not".to_owned());
    }
    // The source's cluster is used if the destination's is not known.
    let stands_in = is_known("source_cluster") && is_known("destination_service_namespace");
    if is_known("destination_service_namespace") && lacks_cluster("destination_cluster") && !stands_in {
        return Some("the destination's namespace is known, its cluster is not".to_owned());
    }
    let service = sample.label("destination_service");
    let is_address = service.parse::<std::net::Ipv4Addr>().is_ok() || service.parse::<std::net::SocketAddrV4>().is_ok();
    let same = service == sample.label("destination_service_name");
    (is_address && same && !is_known("destination_workload")).then(|| "the service is an address".to_owned())
}
