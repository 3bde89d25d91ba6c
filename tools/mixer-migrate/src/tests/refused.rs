//! Configurations that Envoy or a module would reject are never written.

use super::{
    codes, counter,
    diagnostics::{another, check, log, with, ENTRY, HTTP},
    metric, migrate, migrate_with,
};
use crate::{output::Plugin, Options, Unit};

fn buckets(value: &str, buckets: &str) -> String {
    metric("DISTRIBUTION", value, "request.method", HTTP)
        .replace("kind: DISTRIBUTION", &format!("kind: DISTRIBUTION, buckets: {{{buckets}}}"))
}

#[test]
fn bounds_of_envoy_s_histograms_are_above_0() {
    let text = buckets("request.size", "linear_buckets: {num_finite_buckets: 2, width: 100, offset: 0}");
    let lines = ["instance/istio-system/i: W-BUCKETS: "; 2];
    check(&text, &lines);
    assert_eq!(migrate(&text).output.buckets["istio_m"], [100.0, 200.0]);
    check(
        &buckets("request.size", "explicit_buckets: {bounds: [-1, 0]}"),
        &[lines[0], "instance/istio-system/i: E-FILTER: istio_m has no bucket above 0"],
    );
    let milliseconds = Options { duration_unit: Unit::Milliseconds, ..Options::default() };
    let text = buckets("response.duration", "explicit_buckets: {bounds: [0, 0.5]}");
    assert_eq!(migrate_with(&text, &milliseconds).output.buckets["istio_m_milliseconds"], [500.0]);
    // The module's own histograms accept it.
    check(&text, &[]);
}

#[test]
fn one_metric_has_one_kind_of_buckets() {
    let first = buckets("request.size", "explicit_buckets: {bounds: [1, 2]}");
    let other = another(&buckets("request.size", "explicit_buckets: {bounds: [1, 3]}"), 1);
    let migration = migrate(&[&*first, &other].join("---\n"));
    assert!(codes(&migration).contains(&"E-FILTER"));
    assert_eq!(migration.output.buckets["istio_m"], [1.0, 2.0]);
    // Also if their namespaces differ.
    let other = other.replace("{name: r1, namespace: istio-system}", "{name: r1, namespace: shop}");
    let other = other.replace("handler: h1, instances: [i1]", "handler: h1.istio-system, instances: [i1.istio-system]");
    assert!(codes(&migrate(&[&*first, &other].join("---\n"))).contains(&"E-FILTER"));
}

#[test]
fn labels_that_the_module_does_not_have() {
    for label in ["tag", "component", "le"] {
        let text =
            with("label_names: [l]", &format!("label_names: [{label}]")).replace("{l: ", &format!("{{{label}: "));
        let expected = format!("instance/istio-system/i spec.params.dimensions.{label}: E-FILTER: the stats module would refuse definitions[0].dimensions.{label}: ");
        check(&text, &[&expected]);
        assert!(migrate(&text).output.plugins.is_empty());
    }
}

#[test]
fn events_that_no_connection_has() {
    let text = counter("1", "source.name", r#"context.protocol == "tcp" && connection.event == "foo""#);
    check(&text, &["rule/istio-system/r spec.match: W-NEVER-SET: connection.event is never \"foo\" but one of open, "]);
}

#[test]
fn names_of_the_record_for_fluentd_stand_once() {
    let entry = "{severity: '\"info\"', timestamp: request.time, variables: {time: request.method, tag: request.method, name: request.path, a: request.scheme}}";
    let text = log("fluentd", "{}", entry);
    let left_out =
        |name| format!("instance/istio-system/x spec.params.variables.{name}: W-FLUENTD: variable {name} is");
    check(&text, &["handler/istio-system/x spec.params: W-FLUENTD: ", &left_out("time"), &left_out("name")]);
    let migration = migrate(&text);
    let fields = super::plugin(&migration, Plugin::AccessLog, super::HTTP_IN)["fields"].as_array().unwrap();
    let names: Vec<&str> = fields.iter().map(|field| field["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["time", "name", "severity", "a", "tag"]);
    assert_eq!(fields[1]["value"], "'x.instance.istio-system'");
}

#[test]
fn a_connection_s_record_has_the_time() {
    let entry = "{severity: '\"info\"', timestamp: context.time, variables: {a: source.name}}";
    let text = log("fluentd", "{}", entry).replace(HTTP, r#"context.protocol == "tcp""#);
    check(&text, &["handler/istio-system/x spec.params: W-FLUENTD: "]);
    let migration = migrate(&text);
    let fields = &super::plugin(&migration, Plugin::TcpAccessLog, super::TCP_IN)["fields"];
    assert_eq!(fields[0], serde_json::json!({"name": "time", "field": "end_time", "as": "MICROSECOND_TIME"}));
}

#[test]
fn signs_that_end_lines_are_escaped() {
    let entry = ENTRY.replace("method: request.method", r#""a\u2028b": '"\u2029\u0085\u007f"'"#);
    let yaml = migrate(&log("stdio", "{}", &entry)).resources(false).unwrap();
    assert!(yaml.contains("a\\u2028b"), "{yaml}");
    assert!(!yaml.contains(['\u{2028}', '\u{2029}', '\u{85}', '\u{7f}']));
    assert!(envoy_filter::parse(&[("out.yaml".into(), yaml)]).is_ok());
}

#[test]
fn a_namespace_has_what_the_mesh_has() {
    let mesh = counter("1", "request.method", HTTP);
    let shop = |kind: &str| {
        another(&metric(kind, "1", "request.path", HTTP), 1)
            .replace("{name: r1, namespace: istio-system}", "{name: r1, namespace: a-shop}")
            .replace("handler: h1, instances: [i1]", "handler: h1.istio-system, instances: [i1.istio-system]")
    };
    assert!(!codes(&migrate(&[&*mesh, &shop("COUNTER")].join("---\n"))).contains(&"E-FILTER"));
    assert!(codes(&migrate(&[&*mesh, &shop("GAUGE")].join("---\n"))).contains(&"E-FILTER"));
}
