//! Everything that is not written is reported with a reason.

use super::{
    codes, counter,
    diagnostics::{another, check, log, object, with, HTTP},
    label, migrate, plugin, told,
};
use crate::{output::Plugin, report::report};

const MANIFEST: &str = "{attributes: {my.attr: {valueType: STRING}}}";

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

#[test]
fn attributes_of_the_input_s_own_manifest() {
    for text in [r#"my.attr | "none""#, "my.attr"] {
        let text = [counter("1", text, HTTP), object("attributemanifest", MANIFEST)].join("---\n");
        check(
            &text,
            &["instance/istio-system/i spec.params.dimensions.l: W-NOT-OBTAINABLE: my.attr is an attribute of"],
        );
    }
}

#[test]
fn attributes_that_a_kubernetes_instance_makes() {
    let bound = |binding: &str| {
        let spec =
            format!("{{compiledTemplate: kubernetes, params: {{}}, attributeBindings: {{my.attr: '{binding}'}}}}");
        let own = object("instance", &spec).replace("name: x", "name: k");
        [counter("1", "my.attr", HTTP), object("attributemanifest", MANIFEST), own].join("---\n")
    };
    let text = bound(r#"$out.source_pod_name | "nobody""#);
    check(&text, &[]);
    assert_eq!(label(&migrate(&text), super::HTTP_OUT), "xds.node.metadata.NAME | 'nobody'");
    assert_eq!(label(&migrate(&text), super::HTTP_IN), "downstream_peer.name | 'nobody'");
    let text = bound("$out.destination_workload_name");
    assert_eq!(label(&migrate(&text), super::HTTP_OUT), "destination_workload");
    let text = bound(r#"$out.something_else | "x""#);
    check(&text, &["instance/istio-system/i spec.params.dimensions.l: W-NOT-OBTAINABLE: my.attr is an attribute of"]);
}

#[test]
fn a_metric_that_a_later_one_of_the_same_instance_replaces() {
    let again = "    - {name: m, instance_name: i.instance.istio-system, kind: COUNTER, label_names: [l]}\n";
    let text = with(again, &(again.replace("name: m,", "name: first,") + again));
    check(&text, &["handler/istio-system/h spec.params.metrics[0]: W-UNFED: a later metric of this handler has the same instance_name, and Mixer fed that one: istio_first never"]);
}

#[test]
fn instances_without_a_rule_are_in_the_report() {
    let lonely = object("instance", "{compiledTemplate: metric, params: {value: '1'}}");
    let migration = migrate(&[counter("1", "request.method", HTTP), lonely].join("---\n"));
    let text = report(&migration, true);
    assert!(text.contains("instance/istio-system/x -> no rule sends it where it can go: nothing is written"), "{text}");
    assert_eq!(text.matches("nothing is written").count(), 1, "{text}");
}

#[test]
fn reports_without_an_identity_are_not_counted() {
    let migration = migrate(&counter("1", "source.principal", HTTP));
    let condition = plugin(&migration, Plugin::Stats, super::HTTP_IN)["definitions"][0]["match"].clone();
    let asked = "has(connection.uri_san_peer_certificate) && connection.uri_san_peer_certificate != ''";
    assert!(condition.as_str().unwrap().contains(asked), "{condition}");
    let other = migrate(&counter("1", r#"source.principal | "none""#, HTTP));
    let condition = plugin(&other, Plugin::Stats, super::HTTP_IN)["definitions"][0]["match"].clone();
    assert!(!condition.as_str().unwrap().contains("uri_san"), "{condition}");
}

#[test]
fn destinations_that_are_no_services_have_mixer_s_names() {
    let migration = migrate(&counter(
        "1",
        "request.method",
        &format!("{HTTP} && destination.service.name == \"PassthroughCluster\""),
    ));
    let condition = plugin(&migration, Plugin::Stats, super::HTTP_OUT)["definitions"][0]["match"].clone();
    let name = "xds.cluster_name in ['PassthroughCluster', 'BlackHoleCluster'] ? xds.cluster_name : ";
    assert!(condition.as_str().unwrap().contains(name), "{condition}");
    // As the whole expression, it is the module's value.
    assert_eq!(
        label(&migrate(&counter("1", "destination.service.name", HTTP)), super::HTTP_OUT),
        "destination_service_name"
    );
}

#[test]
fn metrics_that_take_the_host_with_others() {
    let host = r#"destination.service.host | conditional((destination.service.name | "unknown") == "unknown", "unknown", request.host)"#;
    let takes = counter("1", host, HTTP);
    let other =
        another(&counter("1", r#"destination.service.host | "unknown""#, HTTP), 1).replace("{name: m,", "{name: n,");
    let text = [takes, other].join("---\n");
    let lines = told(&text);
    assert!(
        lines.iter().any(|line| line.contains("instance/istio-system/i1: W-DIFFERS: another metric takes the Host")),
        "{lines:#?}"
    );
    assert!(!codes(&migrate(&text.replace("destination.service.host | \\\"unknown\\\"", "request.method")))
        .contains(&"W-DIFFERS"));
}

#[test]
fn many_documents() {
    let rule = "apiVersion: config.istio.io/v1alpha2\nkind: rule\nmetadata: {name: r0, namespace: a}\nspec: {actions: []}\n---\n";
    let text: String = (0..1500).map(|index| rule.replace("r0", &format!("r{index}"))).collect();
    assert_eq!(migrate(&text).objects, 1500);
    check(
        &"a: 1\n---\n".repeat(10_001),
        &["a.yaml:20000:1: E-YAML: not valid YAML: more than 10000 documents in one file"],
    );
}
