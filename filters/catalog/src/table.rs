//! The table. CONTRIBUTING.md says what else a filter needs; `cargo test --test catalog` says what is missing.

use crate::filter::{ConfigMap, Context, Dashboards, EnvoyFilter, Filter, Metric, Module, Place, Reference, Root};

use Context::{Gateway, Inbound, Outbound};
use Place::{AccessLogger, HttpFilter, NetworkFilter};

/// Both directions of sidecars, and gateways.
const EVERYWHERE: &[Context] = &[Inbound, Outbound, Gateway];

const fn module(package: &'static str, budget: usize, config_map: ConfigMap) -> Module {
    Module { package, budget, config_map }
}

const fn metric(name: &'static str, labels: &'static [&'static str]) -> Metric {
    Metric { name, labels }
}

/// All modules.
pub const MODULES: &[Module] = &[
    module("remixer", 514_000, ConfigMap::Default),
    module("metadata-exchange", 126_000, ConfigMap::Single),
    module("stats", 234_000, ConfigMap::Single),
    module("access-log", 220_000, ConfigMap::Single),
    module("fault", 203_000, ConfigMap::Single),
    module("shadow", 246_000, ConfigMap::Default),
];

/// All filters.
pub const FILTERS: &[Filter] = &[
    Filter {
        name: "telemetry",
        about: "metadata exchange and stats of HTTP in one pass, and the access log if it is wanted",
        page: "filters/remixer/README.md",
        reference: Reference::Docs,
        places: &[HttpFilter],
        contexts: EVERYWHERE,
        roots: &[Root::with_direction("telemetry")],
        modules: &["remixer"],
        envoy_filters: &[
            EnvoyFilter::file("telemetry.yaml"),
            EnvoyFilter::file("envoy-counts/telemetry.yaml"),
            EnvoyFilter::file("one-pass/telemetry-access-log.yaml"),
        ],
        bootstrap: None,
        metrics: &[], // those of metadata exchange and stats
        dashboards: Dashboards::Shown,
        tests: &["conformance", "stats", "access_log"],
    },
    Filter {
        name: "metadata exchange",
        about: "tells each proxy which workload is on the other side, over HTTP and TCP",
        page: "filters/metadata-exchange/README.md",
        reference: Reference::Docs,
        places: &[HttpFilter, NetworkFilter],
        contexts: EVERYWHERE,
        roots: &[Root::with_direction("metadata_exchange"), Root::named("tcp_metadata_exchange")],
        modules: &["remixer", "metadata-exchange"],
        envoy_filters: &[
            // Without the module, inbound connections with mutual TLS must not reach the application.
            EnvoyFilter::mounted_only("tcp-metadata-exchange-inbound.yaml"),
            EnvoyFilter::mounted_only("tcp-metadata-exchange-outbound.yaml"),
            EnvoyFilter::file("separate/metadata-exchange.yaml"),
        ],
        bootstrap: None,
        metrics: &[
            metric("metadata_exchange_peer_too_large_total", &[]),
            metric("metadata_exchange_peer_malformed_total", &[]),
            metric("metadata_exchange_peer_forged_total", &[]),
            metric("metadata_exchange_alpn_protocol_found", &[]),
            metric("metadata_exchange_alpn_protocol_not_found", &[]),
            metric("metadata_exchange_metadata_added", &[]),
            metric("metadata_exchange_initial_header_not_found", &[]),
            metric("metadata_exchange_header_not_found", &[]),
        ],
        dashboards: Dashboards::Shown,
        tests: &["exchange_http", "exchange_tcp"],
    },
    Filter {
        name: "stats",
        about: "Istio's standard metrics, by both sides of each request and TCP connection",
        page: "filters/stats/README.md",
        reference: Reference::Docs,
        places: &[HttpFilter, NetworkFilter, AccessLogger],
        contexts: EVERYWHERE,
        roots: &[Root::with_direction("stats"), Root::with_direction("tcp_stats")],
        modules: &["remixer", "stats"],
        envoy_filters: &[
            EnvoyFilter::file("tcp-stats.yaml"),
            EnvoyFilter::file("envoy-counts/tcp-stats.yaml"),
            EnvoyFilter::file("separate/stats.yaml"),
            EnvoyFilter::file("separate/stats-logger.yaml"),
        ],
        bootstrap: Some("stats-bootstrap.yaml"),
        metrics: &[
            metric("istio_requests_total", &[]),
            metric("istio_request_duration_milliseconds", &[]),
            metric("istio_request_bytes", &[]),
            metric("istio_response_bytes", &[]),
            metric("istio_request_messages_total", &[]),
            metric("istio_response_messages_total", &[]),
            metric("istio_tcp_connections_opened_total", &[]),
            metric("istio_tcp_connections_closed_total", &[]),
            metric("istio_tcp_received_bytes_total", &[]),
            metric("istio_tcp_sent_bytes_total", &[]),
            metric("istio_build", &["component", "tag"]),
            metric("remixer_configuration_refused", &["component"]), // of all filters, with a label of this one's
            metric("stats_overflow_total", &[]),
        ],
        dashboards: Dashboards::Shown,
        tests: &["stats", "conformance"],
    },
    Filter {
        name: "access log",
        about: "a line of JSON for each request and TCP connection that names both workloads",
        page: "filters/access-log/README.md",
        reference: Reference::Docs,
        places: &[HttpFilter, NetworkFilter],
        contexts: EVERYWHERE,
        roots: &[Root::with_direction("access_log"), Root::with_direction("tcp_access_log")],
        modules: &["remixer", "access-log"],
        envoy_filters: &[
            EnvoyFilter::file("access-log.yaml"),
            EnvoyFilter::file("tcp-access-log.yaml"),
            EnvoyFilter::file("fluentd/access-log.yaml"),
            EnvoyFilter::file("separate/access-log.yaml"),
        ],
        bootstrap: None,
        metrics: &[],
        dashboards: Dashboards::Shown,
        tests: &["access_log"],
    },
    Filter {
        name: "fault",
        about: "delays requests, or answers them with errors, by rules",
        page: "filters/fault/README.md",
        reference: Reference::Docs,
        places: &[HttpFilter],
        contexts: EVERYWHERE,
        roots: &[Root::plain("fault")],
        modules: &["remixer", "fault"],
        envoy_filters: &[
            EnvoyFilter::file("fault-outbound.yaml"),
            EnvoyFilter::file("fault-inbound.yaml"),
            EnvoyFilter::file("fault-gateway.yaml"),
            EnvoyFilter::file("separate/fault.yaml"),
        ],
        bootstrap: Some("fault-bootstrap.yaml"),
        metrics: &[
            metric("fault_delays_injected_total", &["rule"]),
            metric("fault_aborts_injected_total", &["rule", "result"]),
            metric("fault_overflow_total", &["rule"]),
            metric("fault_delay_cancelled_total", &["rule"]),
            metric("fault_matched_total", &["rule", "plugin"]),
            metric("fault_injected_total", &["rule", "plugin"]),
            metric("fault_active", &[]),
            metric("fault_plugin_active", &["plugin"]),
            metric("fault_rule_active", &["rule", "plugin"]),
        ],
        dashboards: Dashboards::Shown,
        tests: &["fault"],
    },
    Filter {
        name: "shadow",
        about: "mirrors requests to other clusters, and compares the answers",
        page: "filters/shadow/README.md",
        reference: Reference::Docs,
        places: &[HttpFilter],
        contexts: EVERYWHERE,
        roots: &[Root::plain("shadow")],
        modules: &["shadow"],
        envoy_filters: &[
            EnvoyFilter::file("shadow.yaml"),
            EnvoyFilter::file("shadow-inbound.yaml"),
            EnvoyFilter::file("shadow-gateway.yaml"),
        ],
        bootstrap: Some("shadow-bootstrap.yaml"),
        metrics: &[
            metric("shadow_requests_total", &["mirror"]),
            metric("shadow_skipped_total", &["mirror", "result"]),
            metric("shadow_dispatch_failed_total", &["mirror", "result"]),
            metric("shadow_responses_total", &["mirror", "result"]),
            metric("shadow_compare_total", &["mirror", "role", "result"]),
            metric("shadow_uncompared_total", &["mirror", "result"]),
            metric("shadow_status_pairs_total", &["mirror", "result"]),
            metric("shadow_latency_total", &["mirror", "result"]),
            metric("shadow_latency_ms", &["mirror"]),
            metric("shadow_primary_latency_ms", &["mirror"]),
            metric("shadow_trailers_dropped_total", &["mirror"]),
            metric("shadow_in_flight", &[]),
            metric("shadow_buffered_bytes", &[]),
        ],
        dashboards: Dashboards::Shown,
        tests: &["shadow"],
    },
];
