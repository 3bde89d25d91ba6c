//! The translation of expressions, by side and protocol.

use super::{counter, label, migrate, HTTP_IN, HTTP_OUT, TCP_IN};
use crate::output::Plugin;

const HTTP: &str = r#"context.protocol == "http" || context.protocol == "grpc""#;

#[track_caller]
fn check(expression: &str, inbound: &str, outbound: &str) {
    let migration = migrate(&counter("1", expression, HTTP));
    assert_eq!([label(&migration, HTTP_IN), label(&migration, HTTP_OUT)], [inbound, outbound], "{expression}");
}

#[test]
fn what_the_scene_tells_is_no_expression_any_more() {
    check(
        r#"conditional((context.reporter.kind | "inbound") == "outbound", "source", "destination")"#,
        "'destination'",
        "'source'",
    );
    check(
        r#"conditional((context.reporter.kind | "inbound") == "outbound", "unknown", conditional(connection.mtls | false, "mutual_tls", "none"))"#,
        "connection.mtls ? 'mutual_tls' : 'none'",
        "'unknown'",
    );
    check(r#"source.service | api.service | "nobody""#, "'nobody'", "'nobody'");
    check(r#"match(context.protocol, "*") | true"#, "'true'", "'true'");
    check(r#"connection.event | "none""#, "'none'", "'none'");
}

#[test]
fn an_attribute_alone_is_read_without_the_engine() {
    check(r#"request.method | "unknown""#, "request.method", "request.method");
    check(r#"request.useragent | "unknown""#, "request.useragent", "request.useragent");
    check(r#"source.labels["app"] | "unknown""#, "downstream_peer.labels['app']", "xds.node.metadata.LABELS['app']");
    check(r#"request.headers["x-a"] | "unknown""#, "request.headers['x-a']", "request.headers['x-a']");
}

#[test]
fn fallbacks_are_alternatives() {
    let same = |expression: &str, label: &str| check(expression, label, label);
    same(r#"request.headers["x-a"] | request.referer | "none""#, "request.headers['x-a'] | request.referer | 'none'");
    same("response.code | 200", "response.code | '500'");
    same(r#"request.headers["x"]"#, "request.headers['x'] | ''");
    same(r#"request.referer | """#, "request.referer | ''");
    same(r#""""#, "''");
    check(
        r#"destination.labels["team"] | "none""#,
        "xds.node.metadata.LABELS['team'] | 'none'",
        "upstream_peer.labels['team'] | 'none'",
    );
    let within = "has(request.referer) ? request.referer : 'none'";
    same(r#"conditional(true, request.referer | "none", "x") == "none""#, &format!("({within}) == 'none'"));
}

#[test]
fn kubernetesenv_s_defaults_are_what_unknown_workloads_are() {
    check(r#"source.owner | """#, "downstream_peer.owner", "xds.node.metadata.OWNER");
    check(
        r#"source.namespace | "x""#,
        "source_workload_namespace | 'default'",
        "source_workload_namespace | 'default'",
    );
    check(r#"destination.container.name | "x""#, "'unknown'", "'unknown'");
}

#[test]
fn functions_and_operators_are_cel_s() {
    let same = |expression: &str, cel: &str| check(expression, cel, cel);
    same(r#"match(request.path, "/a*")"#, "request.path.startsWith('/a')");
    same(r#"match(request.path, "*b")"#, "request.path.endsWith('b')");
    same(r#"match(request.path, "it's")"#, r"request.path == 'it\'s'");
    same(r#""^/(a|b)".matches(request.path)"#, "request.path.matches('^/(a|b)')");
    same(r#"request.path.startsWith(request.method)"#, "request.path.startsWith(request.method)");
    same("size(request.path) > 10", "size(bytes(request.path)) > 10");
    same(r#"request.method + "-" + request.path"#, "(request.method + '-') + request.path");
    same("response.code >= 500", "(has(response.code) ? response.code : 500) >= 500");
    same("response.duration", "request.duration");
    same(
        r#"request.time > timestamp("2020-01-01T00:00:00Z")"#,
        "request.time > timestamp('2020-01-01T00:00:00.000000Z')",
    );
}

#[test]
fn cel_s_operators_do_not_hide_what_failed_in_mixer() {
    // CEL's own `||` would be true even if its left side fails.
    let migration = migrate(&counter("1", r#"request.referer == "a" || request.method == "GET""#, HTTP));
    assert_eq!(label(&migration, HTTP_IN), "(request.referer == 'a') ? true : (request.method == 'GET')");
    let definition = &super::plugin(&migration, Plugin::Stats, HTTP_IN)["definitions"][0];
    assert_eq!(definition["match"], "has(request.referer)");
}

#[test]
fn a_value_that_may_be_absent_is_a_condition() {
    let migration = migrate(&counter("1", "request.referer", HTTP));
    let definition = &super::plugin(&migration, Plugin::Stats, HTTP_IN)["definitions"][0];
    assert_eq!(definition["match"], "has(request.referer)");
}

#[test]
fn what_only_modules_know_has_their_name() {
    check(r#"source.principal | "unknown""#, "sourcePrincipal", "'unknown'");
    check(r#"source.principal | "nobody""#, "sourcePrincipal | 'nobody'", "'nobody'");
    check(r#"context.proxy_error_code | "x""#, "response_flags", "response_flags");
    check(r#"destination.service.name | "unknown""#, "destination_service_name", "destination_service_name");
}

#[test]
fn what_envoy_cannot_evaluate_is_told() {
    for (expression, reason) in [
        ("toLower(request.path)", "have no toLower()"),
        (r#"match(request.path, request.method)"#, "match() with a pattern that is not constant"),
        (r#"uri(request.path) == uri("a")"#, "cannot compare URI"),
        (r#"source.principal == "x""#, "only the modules themselves know source.principal"),
        (
            r#"conditional(request.method == "GET", check.error_message, "a")"#,
            "check.error_message never has a value here",
        ),
    ] {
        let migration =
            migrate(&counter("1", &format!("conditional({expression} == {expression}, \"a\", \"b\")"), HTTP));
        let _ = migration;
        let migration = migrate(&counter("1", expression, HTTP));
        let told: Vec<String> = migration.diagnostics.sorted().iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|line| line.contains("E-FILTER") && line.contains(reason)), "{expression}: {told:#?}");
    }
}

#[test]
fn a_rule_for_tcp_is_for_tcp_alone() {
    let migration =
        migrate(&counter("1", r#"connection.requested_server_name | "none""#, r#"context.protocol == "tcp""#));
    assert_eq!(migration.output.plugins.len(), 1);
    assert_eq!(label(&migration, TCP_IN), "connection.requested_server_name | 'none'");
}

#[test]
fn what_would_make_series_without_end_is_no_label() {
    for expression in [r#"source.ip | ip("0.0.0.0")"#, "destination.ip", "response.time"] {
        let migration = migrate(&counter("1", expression, HTTP));
        let told: Vec<String> = migration.diagnostics.sorted().iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|line| line.contains("E-FILTER") && line.contains("has no label of it")), "{told:#?}");
    }
}

#[test]
fn connections_are_counted_by_reports_and_bytes() {
    let tcp = r#"context.protocol == "tcp""#;
    let value = |expression: &str, condition: &str| {
        let migration = migrate(&counter(expression, "connection.mtls", condition));
        super::plugin(&migration, Plugin::TcpStats, TCP_IN)["definitions"][0]["value"].clone()
    };
    assert_eq!(value("2", tcp), "2");
    assert_eq!(value("connection.sent.bytes | 0", tcp), "sentBytes");
    let migration = migrate(&counter("connection.sent.bytes_total | 0", "connection.mtls", tcp));
    assert_eq!(super::codes(&migration), ["E-FILTER"]);
    let migration = migrate(&counter(
        "connection.sent.bytes | 0",
        "connection.mtls",
        &format!(r#"{tcp} && connection.event == "close""#),
    ));
    assert_eq!(super::codes(&migration), ["E-FILTER"]);
}

#[test]
fn the_event_of_a_connection_is_apart_from_the_condition() {
    let condition = r#"context.protocol == "tcp" && destination.port == 27017 && (connection.event | "na") == "close""#;
    let migration = migrate(&counter("1", "connection.mtls", condition));
    let definition = &super::plugin(&migration, Plugin::TcpStats, TCP_IN)["definitions"][0];
    assert_eq!(
        (definition["event"].as_str(), definition["match"].as_str()),
        (Some("CLOSE"), Some("destination.port == 27017"))
    );
}

#[test]
fn conditions_are_joined_in_brackets() {
    let condition = r#"request.referer == "a" || request.method == "GET""#;
    let migration =
        migrate(&counter("1", "request.useragent", &format!("({condition}) && context.protocol == \"http\"")));
    let definition = &super::plugin(&migration, Plugin::Stats, HTTP_IN)["definitions"][0];
    let parts: Vec<&str> = definition["match"].as_str().unwrap().split(" && (").collect();
    assert_eq!(parts[0], "((request.referer == 'a') ? true : (request.method == 'GET'))");
    assert_eq!(parts.last(), Some(&"has(request.useragent))"));
}
