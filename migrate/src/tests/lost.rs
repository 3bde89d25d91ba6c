//! What is not written has a reason that is told.

use super::{
    codes, counter,
    diagnostics::{check, log, HTTP},
    migrate, plugin,
};
use crate::output::Plugin;

#[test]
fn attributes_that_cannot_be_had_are_told_where_nothing_is_written() {
    for (label, condition, expected) in [
        (r#"request.query_params["a"]"#, HTTP, "instance/istio-system/i spec.params.dimensions.l: W-NOT-OBTAINABLE: "),
        ("request.auth.audiences", HTTP, "instance/istio-system/i spec.params.dimensions.l: W-NOT-OBTAINABLE: "),
        ("request.method", r#"request.api_key == "a""#, "rule/istio-system/r spec.match: W-NOT-OBTAINABLE: "),
        ("request.method", r#"request.auth.raw_claims == "a""#, "rule/istio-system/r spec.match: W-RAW-CLAIMS: "),
        (
            "request.method",
            r#"context.protocol == "tcp""#,
            "instance/istio-system/i: W-NEVER-SET: nothing is written: where the rule matches, request.method has no value",
        ),
        ("request.method", r#""a" == "b""#, "instance/istio-system/i: W-UNFED: the rule's match never holds"),
    ] {
        let text = counter("1", label, condition);
        let migration = migrate(&text);
        assert!(migration.output.plugins.is_empty(), "{label} {condition}");
        let told: Vec<String> = migration.diagnostics.sorted().iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|line| line.contains(expected)), "{told:#?}\n{expected}");
    }
    let entry = "{severity: '\"info\"', timestamp: request.time, variables: {a: 'request.query_params[\"a\"]'}}";
    check(&log("stdio", "{}", entry), &["instance/istio-system/x spec.params.variables.a: W-NOT-OBTAINABLE: "]);
}

#[test]
fn what_only_connections_have_counts_connections() {
    let migration = migrate(&counter("connection.sent.bytes", "source.name", "true"));
    assert!(codes(&migration).is_empty());
    assert_eq!(plugin(&migration, Plugin::TcpStats, super::TCP_IN)["definitions"][0]["value"], "sentBytes");
}

#[test]
fn two_logs_of_one_proxy() {
    let entry = "{severity: '\"info\"', timestamp: request.time, variables: {a: request.method}}";
    let mesh = log("stdio", "{}", entry);
    let shop = mesh.replace("namespace: istio-system", "namespace: foo");
    for text in [[&*mesh, &shop].join("---\n"), [&*shop, &mesh].join("---\n")] {
        check(&text, &["instance/foo/x: E-FILTER: the access log writes one line of each request or connection, and x.instance.istio-system by rule/istio-system/x has it already"]);
    }
    let other = mesh.replace("namespace: istio-system", "namespace: bar");
    check(&[&*shop, &other].join("---\n"), &[]);
}
