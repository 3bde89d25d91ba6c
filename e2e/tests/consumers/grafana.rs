//! Istio's Grafana dashboards: the current ones, and those of release 1.5 where they differ.

use crate::panel::{Returns, Table};

/// Their queries. `$tls`, `$quantile`, `$size` and `$bytes` each stand for several queries.
pub const TABLES: &[Table] = &[
    Table { consumer: "Grafana, mesh", returns: Returns::More, rows: MESH },
    Table { consumer: "Grafana, service", returns: Returns::More, rows: SERVICE },
    Table { consumer: "Grafana, workload", returns: Returns::More, rows: WORKLOAD },
    Table { consumer: "Grafana, performance", returns: Returns::More, rows: PERFORMANCE },
    Table { consumer: "Grafana, extension", returns: Returns::More, rows: EXTENSION },
    Table { consumer: "Grafana, extension", returns: Returns::Any, rows: REMOTE_LOAD },
    Table { consumer: "Grafana 1.5", returns: Returns::More, rows: RELEASE_1_5 },
    Table { consumer: "Grafana", returns: Returns::Nothing, rows: EMPTY },
];

type Rows = &'static [(&'static str, &'static str, &'static str)];

const MESH: Rows = &[
    ("volume", r#"round(sum(rate(istio_requests_total{reporter=~"source|waypoint"}[$__rate_interval])), 0.01)"#, ""),
    (
        "success",
        r#"sum(rate(istio_requests_total{reporter=~"source|waypoint",response_code!~"5.."}[$__rate_interval])) / sum(rate(istio_requests_total{reporter=~"source|waypoint"}[$__rate_interval]))"#,
        "",
    ),
    (
        "4xx",
        r#"round(sum(rate(istio_requests_total{reporter=~"source|waypoint",response_code=~"4.."}[$__rate_interval])), 0.01) or vector(0)"#,
        "",
    ),
    (
        "5xx",
        r#"round(sum(rate(istio_requests_total{reporter=~"source|waypoint",response_code=~"5.."}[$__rate_interval])), 0.01) or vector(0)"#,
        "",
    ),
    (
        "workloads: requests",
        r#"label_join(sum by ($D, destination_service)(rate(istio_requests_total{reporter=~"source|waypoint"}[$__rate_interval])), "destination_workload_var", ".", "destination_workload", "destination_workload_namespace")"#,
        "$D, destination_service, destination_workload_var",
    ),
    (
        "workloads: latency",
        r#"label_join(histogram_quantile($quantile, sum by (le, $D)(rate(istio_request_duration_milliseconds_bucket{reporter=~"source|waypoint"}[$__rate_interval]))), "destination_workload_var", ".", "destination_workload", "destination_workload_namespace")"#,
        "$D, destination_workload_var",
    ),
    (
        "workloads: success",
        r#"label_join(sum by ($D)(rate(istio_requests_total{reporter=~"source|waypoint",response_code!~"5.."}[$__rate_interval])) / sum by ($D)(rate(istio_requests_total{reporter=~"source|waypoint"}[$__rate_interval])), "destination_workload_var", ".", "destination_workload", "destination_workload_namespace")"#,
        "$D, destination_workload_var",
    ),
    (
        "TCP workloads",
        r#"label_join(sum by ($D, destination_service)(rate($bytes{reporter=~"source|waypoint"}[$__rate_interval])), "destination_workload_var", ".", "destination_workload", "destination_workload_namespace")"#,
        "$D, destination_service, destination_workload_var",
    ),
    ("versions", "sum by (component, tag)(istio_build)", "component, tag"),
];

const SERVICE: Rows = &[
    (
        "client requests",
        r#"round(sum(irate(istio_requests_total{reporter=~"$qrep",destination_service=~"$service"}[5m])), 0.001)"#,
        "",
    ),
    (
        "client success",
        r#"sum(irate(istio_requests_total{reporter=~"$qrep",destination_service=~"$service",response_code!~"5.*"}[5m])) / sum(irate(istio_requests_total{reporter=~"$qrep",destination_service=~"$service"}[5m]))"#,
        "",
    ),
    (
        "client duration, with the fallback to seconds",
        r#"(histogram_quantile($quantile, sum(irate(istio_request_duration_milliseconds_bucket{reporter=~"$qrep",destination_service=~"$service"}[1m])) by (le)) / 1000) or histogram_quantile($quantile, sum(irate(istio_request_duration_seconds_bucket{reporter=~"$qrep",destination_service=~"$service"}[1m])) by (le))"#,
        "",
    ),
    ("TCP bytes", r#"sum(irate($bytes{reporter=~"$qrep",destination_service=~"$database"}[1m]))"#, ""),
    (
        "server requests",
        r#"round(sum(irate(istio_requests_total{reporter="destination",destination_service=~"$service"}[5m])), 0.001)"#,
        "",
    ),
    (
        "server success",
        r#"sum(irate(istio_requests_total{reporter="destination",destination_service=~"$service",response_code!~"5.*"}[5m])) / sum(irate(istio_requests_total{reporter="destination",destination_service=~"$service"}[5m]))"#,
        "",
    ),
    (
        "server duration",
        r#"histogram_quantile($quantile, sum(irate(istio_request_duration_milliseconds_bucket{reporter="destination",destination_service=~"$service"}[1m])) by (le)) / 1000"#,
        "",
    ),
    (
        "by source: requests",
        r#"round(sum(irate(istio_requests_total{$tls,destination_service=~"$service",reporter=~"$qrep",source_workload=~"$srcwl",source_workload_namespace=~"$srcns"}[5m])) by ($S, response_code), 0.001)"#,
        "$S, response_code",
    ),
    (
        "by source: success",
        r#"sum(irate(istio_requests_total{reporter=~"$qrep",$tls,destination_service=~"$service",response_code!~"5.*",source_workload=~"$srcwl",source_workload_namespace=~"$srcns"}[5m])) by ($S) / sum(irate(istio_requests_total{reporter=~"$qrep",$tls,destination_service=~"$service",source_workload=~"$srcwl",source_workload_namespace=~"$srcns"}[5m])) by ($S)"#,
        "$S",
    ),
    (
        "by source: duration",
        r#"histogram_quantile($quantile, sum(irate(istio_request_duration_milliseconds_bucket{reporter=~"$qrep",$tls,destination_service=~"$service",source_workload=~"$srcwl",source_workload_namespace=~"$srcns"}[1m])) by ($S, le)) / 1000"#,
        "$S",
    ),
    (
        "by source: size",
        r#"histogram_quantile($quantile, sum(irate($size_bucket{reporter=~"$qrep",$tls,destination_service=~"$service",source_workload=~"$srcwl",source_workload_namespace=~"$srcns"}[1m])) by ($S, le))"#,
        "$S",
    ),
    (
        "by source: TCP bytes",
        r#"round(sum(irate($bytes{reporter=~"$qrep",$tls,destination_service=~"$database",source_workload=~"$srcwl",source_workload_namespace=~"$srcns"}[1m])) by ($S), 0.001)"#,
        "$S",
    ),
    (
        "by destination: requests",
        r#"round(sum(irate(istio_requests_total{$tls,destination_service=~"$service",reporter=~"$qrep"}[5m])) by ($D, response_code), 0.001)"#,
        "$D, response_code",
    ),
    (
        "by destination: success",
        r#"sum(irate(istio_requests_total{reporter="destination",destination_service=~"$service",response_code!~"5.*"}[5m])) by ($D) / sum(irate(istio_requests_total{reporter="destination",destination_service=~"$service"}[5m])) by ($D)"#,
        "$D",
    ),
    (
        "by destination: duration",
        r#"histogram_quantile($quantile, sum(irate(istio_request_duration_milliseconds_bucket{reporter="destination",connection_security_policy="mutual_tls",destination_service=~"$service"}[1m])) by ($D, le)) / 1000"#,
        "$D",
    ),
    (
        "by destination: size",
        r#"histogram_quantile($quantile, sum(irate($size_bucket{reporter="destination",connection_security_policy="mutual_tls",destination_service=~"$service"}[1m])) by ($D, le))"#,
        "$D",
    ),
    (
        "by destination: TCP bytes",
        r#"round(sum(irate($bytes{reporter="destination",connection_security_policy="mutual_tls",destination_service=~"$database"}[1m])) by ($D), 0.001)"#,
        "$D",
    ),
    (
        "by destination: from outside the mesh",
        r#"round(sum(irate(istio_requests_total{connection_security_policy!="mutual_tls",destination_service=~"productpage.default.svc.cluster.local",reporter="destination"}[5m])) by ($D, response_code), 0.001)"#,
        "$D, response_code",
    ),
    (
        "variable: service",
        r"sum(istio_requests_total{}) by (destination_service) or sum(istio_tcp_sent_bytes_total{}) by (destination_service)",
        "destination_service",
    ),
    (
        "variable: source cluster",
        r#"sum(istio_requests_total{reporter=~"$qrep",destination_service="$service"}) by (source_cluster) or sum(istio_tcp_sent_bytes_total{reporter=~"$qrep",destination_service=~"$service"}) by (source_cluster)"#,
        "source_cluster",
    ),
    (
        "variable: destination cluster",
        r#"sum(istio_requests_total{reporter=~"$qrep",destination_service="$service"}) by (destination_cluster) or sum(istio_tcp_sent_bytes_total{reporter=~"$qrep",destination_service=~"$service"}) by (destination_cluster)"#,
        "destination_cluster",
    ),
    (
        "variable: source workload",
        r#"sum(istio_requests_total{reporter=~"$qrep",destination_service="$service"}) by ($S) or sum(istio_tcp_sent_bytes_total{reporter=~"$qrep",destination_service=~"$service"}) by ($S)"#,
        "$S",
    ),
    (
        "variable: destination workload",
        r#"sum(istio_requests_total{reporter=~"$qrep",destination_service="$service"}) by ($D) or sum(istio_tcp_sent_bytes_total{reporter=~"$qrep",destination_service=~"$service"}) by ($D)"#,
        "$D",
    ),
    (
        "variable: source workload of a database",
        r#"sum(istio_requests_total{reporter=~"$qrep",destination_service="$database"}) by ($S) or sum(istio_tcp_sent_bytes_total{reporter=~"$qrep",destination_service=~"$database"}) by ($S)"#,
        "$S",
    ),
];

const WORKLOAD: Rows = &[
    (
        "requests",
        r#"round(sum(irate(istio_requests_total{reporter=~"$qrep",destination_workload_namespace=~"$ns",destination_workload=~"$workload"}[5m])), 0.001)"#,
        "",
    ),
    (
        "success",
        r#"sum(irate(istio_requests_total{reporter=~"$qrep",destination_workload_namespace=~"$ns",destination_workload=~"$workload",response_code!~"5.*"}[5m])) / sum(irate(istio_requests_total{reporter=~"$qrep",destination_workload_namespace=~"$ns",destination_workload=~"$workload"}[5m]))"#,
        "",
    ),
    (
        "duration",
        r#"histogram_quantile($quantile, sum(irate(istio_request_duration_milliseconds_bucket{reporter=~"$qrep",destination_workload_namespace=~"$ns",destination_workload=~"$workload"}[1m])) by (le)) / 1000"#,
        "",
    ),
    (
        "TCP traffic",
        r#"sum(irate($bytes{reporter=~"$qrep",destination_workload_namespace=~"$ns",destination_workload=~"mongodb-v1"}[1m]))"#,
        "",
    ),
    (
        "incoming: requests",
        r#"round(sum(irate(istio_requests_total{$tls,destination_workload_namespace=~"$ns",destination_workload=~"$workload",reporter=~"$qrep",source_workload=~"$srcwl",source_workload_namespace=~"$srcns"}[5m])) by ($S, response_code), 0.001)"#,
        "$S, response_code",
    ),
    (
        "incoming: success",
        r#"sum(irate(istio_requests_total{reporter=~"$qrep",$tls,destination_workload_namespace=~"$ns",destination_workload=~"$workload",response_code!~"5.*"}[5m])) by ($S) / sum(irate(istio_requests_total{reporter=~"$qrep",$tls,destination_workload_namespace=~"$ns",destination_workload=~"$workload"}[5m])) by ($S)"#,
        "$S",
    ),
    (
        "incoming: duration",
        r#"histogram_quantile($quantile, sum(irate(istio_request_duration_milliseconds_bucket{reporter=~"$qrep",$tls,destination_workload=~"$workload",destination_workload_namespace=~"$ns"}[1m])) by ($S, le)) / 1000"#,
        "$S",
    ),
    (
        "incoming: size",
        r#"histogram_quantile($quantile, sum(irate($size_bucket{reporter=~"$qrep",$tls,destination_workload=~"$workload",destination_workload_namespace=~"$ns"}[1m])) by ($S, le))"#,
        "$S",
    ),
    (
        "incoming: TCP bytes",
        r#"round(sum(irate($bytes{reporter=~"$qrep",$tls,destination_workload_namespace=~"$ns",destination_workload=~"mongodb-v1"}[1m])) by ($S), 0.001)"#,
        "$S",
    ),
    (
        "outgoing: requests",
        r#"round(sum(irate(istio_requests_total{destination_principal=~"spiffe.*",source_workload_namespace=~"$ns",source_workload=~"$workload",reporter="source",destination_service=~"$dstsvc"}[5m])) by (destination_service, response_code), 0.001)"#,
        "destination_service, response_code",
    ),
    (
        // The principal is not known for requests that reached no endpoint.
        "outgoing: requests without a principal",
        r#"round(sum(irate(istio_requests_total{destination_principal!~"spiffe.*",source_workload_namespace=~"$ns",source_workload=~"productpage-v1",reporter="source",destination_service=~"$dstsvc"}[5m])) by (destination_service, response_code), 0.001)"#,
        "destination_service, response_code",
    ),
    (
        "outgoing: success",
        r#"sum(irate(istio_requests_total{reporter="source",connection_security_policy!="mutual_tls",source_workload_namespace=~"$ns",source_workload=~"$workload",response_code!~"5.*",destination_service=~"$dstsvc"}[5m])) by (destination_service) / sum(irate(istio_requests_total{reporter="source",connection_security_policy!="mutual_tls",source_workload_namespace=~"$ns",source_workload=~"$workload",destination_service=~"$dstsvc"}[5m])) by (destination_service)"#,
        "destination_service",
    ),
    (
        "outgoing: duration",
        r#"histogram_quantile($quantile, sum(irate(istio_request_duration_milliseconds_bucket{reporter="source",connection_security_policy!="mutual_tls",source_workload=~"$workload",source_workload_namespace=~"$ns",destination_service=~"$dstsvc"}[1m])) by (destination_service, le)) / 1000"#,
        "destination_service",
    ),
    (
        "outgoing: size",
        r#"histogram_quantile($quantile, sum(irate($size_bucket{reporter="source",connection_security_policy!="mutual_tls",source_workload=~"$workload",source_workload_namespace=~"$ns",destination_service=~"$dstsvc"}[1m])) by (destination_service, le))"#,
        "destination_service",
    ),
    (
        // The current dashboard shows received bytes, that of 1.5 sent ones. Both exist.
        "outgoing: TCP bytes",
        r#"round(sum(irate($bytes{reporter="source",connection_security_policy!="mutual_tls",source_workload_namespace=~"$ns",source_workload=~"ratings-v1",destination_service=~"$dstsvc"}[1m])) by (destination_service), 0.001)"#,
        "destination_service",
    ),
];

const PERFORMANCE: Rows = &[
    (
        "requests at the gateway",
        r#"round(sum(irate(istio_requests_total{source_workload="istio-ingressgateway",reporter="source"}[1m])), 0.001)"#,
        "",
    ),
    (
        "requests of sidecars",
        r#"round(sum(irate(istio_requests_total{source_workload_namespace!="istio-system",reporter="source"}[1m])), 0.001)"#,
        "",
    ),
    (
        "bytes at the gateway",
        r#"sum(irate(istio_response_bytes_sum{source_workload="istio-ingressgateway",reporter="source"}[1m]))"#,
        "",
    ),
    (
        "bytes of sidecars",
        r#"sum(irate(istio_response_bytes_sum{source_workload_namespace!="istio-system",reporter="source"}[1m])) + sum(irate(istio_request_bytes_sum{source_workload_namespace!="istio-system",reporter="source"}[1m]))"#,
        "",
    ),
];

/// Envoy's own metrics. `envoy_wasm_envoy_wasm_runtime_null_*` exist only with a native plugin.
const EXTENSION: Rows = &[
    ("active VMs", r"sum(envoy_wasm_envoy_wasm_runtime_v8_active)", ""),
    ("created VMs", r"sum(envoy_wasm_envoy_wasm_runtime_v8_created)", ""),
];

/// The same. They are 0, because the modules are local files.
const REMOTE_LOAD: Rows = &[
    ("cached modules", "sum(envoy_wasm_remote_load_cache_entries)", ""),
    ("cache hits", "sum(envoy_wasm_remote_load_cache_hits)", ""),
    ("cache misses", "sum(envoy_wasm_remote_load_cache_misses)", ""),
    ("cached failures", "sum(envoy_wasm_remote_load_cache_negative_hits)", ""),
    ("failed fetches", "sum(envoy_wasm_remote_load_fetch_failures)", ""),
    ("fetches", "sum(envoy_wasm_remote_load_fetch_successes)", ""),
];

const RELEASE_1_5: Rows = &[
    ("mesh: volume", r#"round(sum(irate(istio_requests_total{reporter="destination"}[1m])), 0.001)"#, ""),
    (
        "mesh: success",
        r#"sum(rate(istio_requests_total{reporter="destination",response_code!~"5.*"}[1m])) / sum(rate(istio_requests_total{reporter="destination"}[1m]))"#,
        "",
    ),
    // All 4xx of bookinfo come from the gateway, so servers see none: the result is 0, not empty.
    (
        "mesh: 4xx",
        r#"(sum(irate(istio_requests_total{reporter="destination",response_code=~"4.*"}[1m])) or vector(0)) + 1"#,
        "",
    ),
    ("mesh: 5xx", r#"sum(irate(istio_requests_total{reporter="destination",response_code=~"5.*"}[1m]))"#, ""),
    (
        "mesh: workloads, requests",
        r#"label_join(sum(rate(istio_requests_total{reporter="destination",response_code="200"}[1m])) by ($D, destination_service), "destination_workload_var", ".", "destination_workload", "destination_workload_namespace")"#,
        "$D, destination_service, destination_workload_var",
    ),
    (
        "mesh: workloads, latency",
        r#"label_join((histogram_quantile($quantile, sum(rate(istio_request_duration_milliseconds_bucket{reporter="destination"}[1m])) by (le, $D)) / 1000) or histogram_quantile($quantile, sum(rate(istio_request_duration_seconds_bucket{reporter="destination"}[1m])) by (le, $D)), "destination_workload_var", ".", "destination_workload", "destination_workload_namespace")"#,
        "$D, destination_workload_var",
    ),
    (
        "mesh: workloads, success",
        r#"label_join(sum(rate(istio_requests_total{reporter="destination",response_code!~"5.*"}[1m])) by ($D) / sum(rate(istio_requests_total{reporter="destination"}[1m])) by ($D), "destination_workload_var", ".", "destination_workload", "destination_workload_namespace")"#,
        "$D, destination_workload_var",
    ),
    (
        "mesh: TCP workloads",
        r#"label_join(sum(rate($bytes{reporter="source"}[1m])) by ($D, destination_service), "destination_workload_var", ".", "destination_workload", "destination_workload_namespace")"#,
        "$D, destination_service, destination_workload_var",
    ),
    (
        "workload: TCP bytes on outgoing connections",
        r#"round(sum(irate(istio_tcp_sent_bytes_total{reporter="source",source_workload_namespace=~"$ns",source_workload=~"ratings-v1"}[1m])) by (destination_service), 0.001)"#,
        "destination_service",
    ),
    (
        "performance: bytes, both reporters",
        r#"sum(irate(istio_response_bytes_sum{destination_workload="$workload"}[1m])) + sum(irate(istio_request_bytes_sum{destination_workload="$workload"}[1m]))"#,
        "",
    ),
];

const EMPTY: Rows = &[
    // Only the server knows whether a connection uses mutual TLS.
    (
        "workload: outgoing with mutual TLS",
        r#"{__name__=~"istio_request_duration_milliseconds_count|istio_request_bytes_count|istio_tcp_sent_bytes_total",reporter="source",connection_security_policy="mutual_tls"}"#,
        "",
    ),
    // Metrics of Mixer, which does not run.
    (
        "performance of 1.5: telemetry and policy",
        r#"istio_request_bytes_sum{destination_workload=~"istio-telemetry|istio-policy"}"#,
        "",
    ),
];
