//! The stats module's own metrics and labels.

use crate::{
    cexl,
    scene::{Protocol, Scene},
    simplify::{simplify, Rest},
    sources::Sources,
    translate::{self, Made},
    vocabulary::Attributes,
};

/// Its metrics without the prefix.
pub(super) const METRICS: [&str; 10] = [
    "requests_total",
    "request_duration_milliseconds",
    "request_bytes",
    "response_bytes",
    "request_messages_total",
    "response_messages_total",
    "tcp_connections_opened_total",
    "tcp_received_bytes_total",
    "tcp_sent_bytes_total",
    "tcp_connections_closed_total",
];

/// Its labels in order.
pub(super) const LABELS: [&str; labels::COUNT] = [
    "reporter",
    "source_workload",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_canonical_service",
    "source_canonical_revision",
    "source_cluster",
    "destination_workload",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_service",
    "destination_service_name",
    "destination_service_namespace",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_cluster",
    "request_protocol",
    "response_flags",
    "connection_security_policy",
    "response_code",
    "grpc_response_status",
];

/// Whether the module has a label with this name, or an identity in Mixer's form.
pub(super) fn is_label(name: &str) -> bool {
    LABELS.contains(&name) || matches!(name, "sourcePrincipal" | "destinationPrincipal")
}

/// The labels of its metrics in a scene.
pub(super) fn labels(scene: Scene) -> &'static [&'static str] {
    let count = if scene.protocol == Protocol::Http { LABELS.len() } else { labels::TCP_COUNT };
    LABELS.get(..count).unwrap_or(&LABELS)
}

/// Mixer's expressions for which the module's own label has the same value.
fn references(label: &str, protocol: Protocol) -> &'static [&'static str] {
    match label {
        "reporter" => &[r#"conditional((context.reporter.kind | "inbound") == "outbound", "source", "destination")"#],
        "source_workload" => &[r#"source.workload.name | "unknown""#],
        "source_workload_namespace" => &[r#"source.workload.namespace | "unknown""#],
        "source_app" => &[r#"source.labels["app"] | "unknown""#],
        "source_version" => &[r#"source.labels["version"] | "unknown""#],
        "destination_workload" => &[r#"destination.workload.name | "unknown""#],
        "destination_workload_namespace" => &[r#"destination.workload.namespace | "unknown""#],
        "destination_app" => &[r#"destination.labels["app"] | "unknown""#],
        "destination_version" => &[r#"destination.labels["version"] | "unknown""#],
        "destination_service" => &[
            r#"destination.service.host | conditional((destination.service.name | "unknown") == "unknown", "unknown", request.host)"#,
            r#"destination.service.host | "unknown""#,
        ],
        "destination_service_name" => &[r#"destination.service.name | "unknown""#],
        "destination_service_namespace" => &[r#"destination.service.namespace | "unknown""#],
        "request_protocol" => &[r#"context.protocol | "unknown""#],
        // For TCP, Mixer's proxies never sent it, so the fallback was always used.
        "response_flags" if protocol == Protocol::Http => &[r#"context.proxy_error_code | "-""#],
        "connection_security_policy" => &[
            r#"conditional((context.reporter.kind | "inbound") == "outbound", "unknown", conditional(connection.mtls | false, "mutual_tls", "none"))"#,
        ],
        _ => &[],
    }
}

/// Whether the module's own label with this name has the same value.
pub(in crate::output) fn makes(label: &str, made: &Made, sources: &Sources<'_>) -> bool {
    references(label, sources.scene().protocol).iter().any(|text| {
        let Ok(expression) = cexl::compile(text, &Attributes::default()) else {
            return false;
        };
        match simplify(&expression, sources) {
            Rest::Some(rest) => translate::value(&rest, sources).as_ref() == Ok(made),
            Rest::Nothing => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_has_these_metrics_and_labels() {
        assert_eq!(stats::metrics::standard_names().collect::<Vec<_>>(), METRICS);
        assert_eq!(labels::names(), LABELS);
    }
}
