//! Graph tools before Kiali, and canary tools, which release depending on metrics.

use crate::panel::{Returns, Table};

/// Their queries.
pub const TABLES: &[Table] = &[
    Table {
        consumer: "Vistio",
        returns: Returns::More,
        rows: &[
            (
                "traffic",
                "sum(rate(istio_requests_total[1m])) by (source_app, destination_service, response_code)",
                "source_app, destination_service, response_code",
            ),
            (
                "ingress",
                r#"sum(rate(istio_requests_total{reporter="source",source_workload="istio-ingressgateway"}[1m])) by (response_code)"#,
                "response_code",
            ),
        ],
    },
    Table {
        consumer: "servicegraph",
        returns: Returns::More,
        rows: &[
            (
                "HTTP",
                r#"sum(rate(istio_requests_total{reporter="destination"}[5m])) by (source_workload, destination_workload, source_app, destination_app)"#,
                "source_workload, destination_workload, source_app, destination_app",
            ),
            (
                "TCP",
                r#"sum(rate(istio_tcp_received_bytes_total{reporter="destination"}[5m])) by (source_workload, destination_workload, source_app, destination_app)"#,
                "source_workload, destination_workload, source_app, destination_app",
            ),
        ],
    },
    Table {
        consumer: "Flagger",
        returns: Returns::More,
        rows: &[
            (
                "success",
                r#"sum(rate(istio_requests_total{reporter="destination",destination_workload_namespace="$ns",destination_workload=~"$workload",response_code!~"5.*"}[$interval])) / sum(rate(istio_requests_total{reporter="destination",destination_workload_namespace="$ns",destination_workload=~"$workload"}[$interval])) * 100"#,
                "",
            ),
            (
                "latency",
                r#"histogram_quantile(0.99, sum(rate(istio_request_duration_milliseconds_bucket{reporter="destination",destination_workload_namespace="$ns",destination_workload=~"$workload"}[$interval])) by (le))"#,
                "",
            ),
            (
                // There is none; the comparison makes the result 1.
                "documentation: share of 404, as the client sees it",
                r#"100 - sum(rate(istio_requests_total{reporter="source",destination_workload_namespace="$ns",destination_workload="$workload",response_code!="404"}[30s])) / sum(rate(istio_requests_total{reporter="source",destination_workload_namespace="$ns",destination_workload="$workload"}[30s])) * 100 < bool 5"#,
                "",
            ),
            (
                "board: incoming by source",
                r#"round(sum(irate(istio_requests_total{$tls,destination_workload_namespace=~"$ns",destination_workload=~"$workload",reporter=~"source|destination"}[30s])) by ($S, response_code), 0.001)"#,
                "$S, response_code",
            ),
        ],
    },
    Table {
        consumer: "Argo Rollouts",
        returns: Returns::More,
        rows: &[
            (
                "success",
                r#"sum(irate(istio_requests_total{reporter="source",destination_service=~"$service",response_code!~"5.*"}[5m])) / sum(irate(istio_requests_total{reporter="source",destination_service=~"$service"}[5m]))"#,
                "",
            ),
            (
                // Reviews has no errors in most seconds, so this uses the service that always fails.
                "errors",
                r#"sum(irate(istio_requests_total{reporter="source",destination_service=~"retired.default.svc.cluster.local",response_code=~"5.*"}[5m])) / sum(irate(istio_requests_total{reporter="source",destination_service=~"retired.default.svc.cluster.local"}[5m]))"#,
                "",
            ),
        ],
    },
];
