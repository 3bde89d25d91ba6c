//! A test of each diagnostic.

use super::{codes, counter, metric, migrate, migrate_with, told};
use crate::{diagnostic::Severity, Options, Unit};

pub(super) const HTTP: &str = r#"context.protocol == "http""#;

/// Checks that `text` has exactly the diagnostics `expected`, except notes, and that nothing is written if one is an error.
#[track_caller]
pub(super) fn check(text: &str, expected: &[&str]) {
    let migration = migrate(text);
    let all = migration.diagnostics.sorted();
    let lines: Vec<String> = all
        .iter()
        .filter(|diagnostic| diagnostic.code.severity() != Severity::Note)
        .map(|diagnostic| diagnostic.to_string())
        .collect();
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(expected) {
        // Another test checks the positions.
        let line =
            line.split_once(' ').filter(|(place, _)| place.matches(':').count() == 2).map_or(&**line, |(_, line)| line);
        assert!(line.starts_with(expected), "{line}\n{expected}");
    }
    let has_errors = migration.diagnostics.count(Severity::Error) > 0;
    assert_eq!(migration.resources(false).is_none(), has_errors);
}

/// A valid counter with one line replaced.
pub(super) fn with(from: &str, to: &str) -> String {
    let text = counter("1", "request.method", HTTP);
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}

pub(super) fn object(kind: &str, spec: &str) -> String {
    format!("apiVersion: config.istio.io/v1alpha2\nkind: {kind}\nmetadata: {{name: x, namespace: istio-system}}\nspec: {spec}\n")
}

/// A log entry, sent to a handler of an adapter.
pub(super) fn log(adapter: &str, params: &str, entry: &str) -> String {
    let handler = object("handler", &format!("{{compiledAdapter: {adapter}, params: {params}}}"));
    let instance = object("instance", &format!("{{compiledTemplate: logentry, params: {entry}}}"));
    let rule = object("rule", &format!("{{match: '{HTTP}', actions: [{{handler: x, instances: [x]}}]}}"));
    [handler, instance, rule].join("---\n")
}

pub(super) const ENTRY: &str = "{severity: '\"info\"', timestamp: request.time, variables: {method: request.method}}";

#[test]
fn a_diagnostic_stands_where_the_mistake_is() {
    let text = "# A comment.
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: {name: i}
spec:
  compiledTemplate: metric
  params:
    value: 1
    dimensions:
      a: \"request.path +\"
      b: >-
        request.nothing
---
apiVersion: v1
kind: List
items:
- apiVersion: config.istio.io/v1alpha2
  kind: rule
  metadata: {name: r, namespace: other}
  spec:
    actions:
    - handler: nowhere
";
    let told = told(text);
    let starts = [
        "a.yaml:8:12 instance/default/i spec.params.value: W-BARE-LITERAL: ",
        "a.yaml:10:10 instance/default/i spec.params.dimensions.a: E-PARSE: cannot parse expression at column 15: ",
        "a.yaml:12:9 instance/default/i spec.params.dimensions.b: E-UNKNOWN-ATTR: ",
        "a.yaml:22:16 rule/other/r spec.actions[0].handler: E-DANGLING: ",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (line, start) in told.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}\n{start}");
    }
}

#[test]
fn a_good_configuration_is_told_nothing() {
    check(&counter("1", "request.method", HTTP), &[]);
    check(&log("stdio", "{}", ENTRY), &[]);
}

#[test]
fn broken_yaml() {
    check("a: [1\nb: 2\n", &["a.yaml:2:2: E-YAML: not valid YAML: "]);
    check("spec: {}\n", &["a.yaml:1:1: E-YAML: an object without kind or apiVersion"]);
    check(
        "apiVersion: config.istio.io/v1alpha2\nkind: rule\n",
        &["a.yaml:1:1: E-FIELD: this rule has no metadata.name"],
    );
}

#[test]
fn names_that_kubernetes_does_not_take() {
    let text = object("rule", "{}").replace("namespace: istio-system", "namespace: 'a: b'");
    check(&text, &["a.yaml:1:1: E-FIELD: \"a: b\" is no name"]);
}

#[test]
fn kinds_that_are_not_telemetry() {
    check(&object("denier", "{}"), &[
        "denier/istio-system/x: E-KIND: kind \"denier\" (Mixer policy) has no telemetry equivalent: use an AuthorizationPolicy.",
    ]);
    check(&object("metrics", "{}"), &["metrics/istio-system/x: E-KIND: kind \"metrics\" is not known to Mixer"]);
    check(
        &object("handler", "{compiledAdapter: listchecker}"),
        &["handler/istio-system/x spec.params: E-KIND: adapter \"listchecker\""],
    );
    check(
        &object("instance", "{compiledTemplate: quota}"),
        &["instance/istio-system/x spec.params: E-KIND: template \"quota\""],
    );
    check(
        &object("handler", "{adapter: mine, connection: {address: 'mine:1'}}"),
        &["handler/istio-system/x spec: E-OOP: handler uses an out-of-process adapter (\"mine\" at mine:1): only"],
    );
    check(&object("instance", "{template: mine}"), &["instance/istio-system/x: E-OOP: "]);
    check(&object("adapter", "{}"), &["adapter/istio-system/x: E-OOP: "]);
    check(&object("handler", "{}"), &["handler/istio-system/x spec: E-FIELD: has no compiledAdapter"]);
}

#[test]
fn fields_that_mixer_did_not_know() {
    check(&with("value: \"1\"", "value: \"1\"\n    dimension: {}"), &[
        "instance/istio-system/i spec.params.dimension: E-UNKNOWN-FIELD: unknown field \"dimension\" (did you mean \"dimensions\"?); Mixer would have ignored",
    ]);
    check(
        &with("match:", "matches:"),
        &["instance/istio-system/i: W-TCP-DROPPED", "rule/istio-system/r spec.matches: E-UNKNOWN-FIELD: "],
    );
    check(
        &with("value: \"1\"", "monitored_resource_type: '1'"),
        &["instance/istio-system/i spec.params: E-FIELD: has no value"],
    );
}

#[test]
fn both_spellings_of_fields_and_enums_by_number() {
    check(
        &with(
            "instance_name: i.instance.istio-system, kind: COUNTER, label_names",
            "instanceName: i.instance.istio-system, kind: 2, labelNames",
        ),
        &[],
    );
    check(&with("kind: COUNTER", "kind: counter"), &["handler/istio-system/h spec.params.metrics[0].kind: E-FIELD: is \"counter\"; one of UNSPECIFIED, GAUGE, COUNTER, DISTRIBUTION is needed"]);
    check(&with("kind: COUNTER", "kind: '2'"), &["handler/istio-system/h spec.params.metrics[0].kind: E-FIELD: "]);
}

#[test]
fn dangling_references() {
    check(&with("instances: [i]", "instances: [j, i]"), &[
        "rule/istio-system/r spec.actions[0].instances[0]: E-DANGLING: rule refers to instance \"j\", tried j.instance.istio-system: not in the input. Export it (kubectl get instance -n istio-system j -o yaml) or pass --with-defaults.",
    ]);
    check(&with("handler: h,", "handler: h.prometheus,"), &[
        "handler/istio-system/h: W-UNFED: no rule sends anything here",
        "rule/istio-system/r spec.actions[0].handler: E-DANGLING: rule refers to handler \"h.prometheus\", tried h.prometheus.istio-system and h.handler.prometheus: not",
    ]);
    // A short name refers only to the newer kinds.
    check(
        &log("stdio", "{}", ENTRY)
            .replace("kind: handler\n", "kind: stdio\n")
            .replace("spec: {compiledAdapter: stdio, params: {}}", "spec: {}"),
        &[
            "stdio/istio-system/x: W-UNFED: ",
            "rule/istio-system/x spec.actions[0].handler: E-DANGLING: rule refers to handler \"x\", tried x.handler.istio-system: not in the input. Mixer looked for kinds such as that of \"x.stdio\" under their own names only: write \"x.stdio\".",
        ],
    );
    // An existing policy is reported once.
    check(
        &[with("handler: h,", "handler: x.denier,"), object("denier", "{}")].join("---\n"),
        &["handler/istio-system/h: W-UNFED", "denier/istio-system/x: E-KIND"],
    );
}

#[test]
fn references_by_namespace_and_qualified_name() {
    for name in ["i.istio-system", "i.instance.istio-system"] {
        check(&with("instances: [i]", &format!("instances: [{name}]")), &[]);
    }
}

#[test]
fn instance_names_that_do_not_agree() {
    check(&with("i.instance.istio-system", "i.metric.istio-system"), &[
        "handler/istio-system/h spec.params.metrics[0].instance_name: E-INSTANCE-NAME: metrics[0].instance_name \"i.metric.istio-system\" names no instance; \"i.instance.istio-system\" exists: Mixer would never have fed this metric.",
    ]);
    check(&with("i.instance.istio-system", "j.instance.istio-system"), &[
        "handler/istio-system/h spec.params.metrics[0]: W-UNFED: instance j.instance.istio-system is not in the input",
        "rule/istio-system/r spec.actions[0].instances[0]: E-INSTANCE-NAME: handler h.handler.istio-system has no metric with instance_name \"i.instance.istio-system\"",
    ]);
}

#[test]
fn templates_that_an_adapter_does_not_take() {
    let text = log("fluentd", "{}", "{value: '1'}").replace("logentry", "metric");
    check(&text, &["handler/istio-system/x spec.params: W-FLUENTD: ", "rule/istio-system/x spec.actions[0].instances[0]: E-TEMPLATE: adapter fluentd does not accept metric instances."]);
    check(
        &log("prometheus", "{}", ENTRY),
        &["rule/istio-system/x spec.actions[0].instances[0]: E-TEMPLATE: adapter prometheus does not accept logentry"],
    );
}

#[test]
fn expressions_that_do_not_compile() {
    for (label, expected) in [
        ("request.method |", "E-PARSE: cannot parse expression at column 17: an operand is missing at the end\n    request.method |\n                    ^"),
        ("request.headers[\"n\"] | \"0\"", "E-TYPE: operator \"|\": left is STRING, right is DURATION"),
        ("request.pathh", "E-UNKNOWN-ATTR: attribute \"request.pathh\" is in no attributemanifest; nearest: \"request.path\". Mixer rejected this instance.\n    request.pathh\n    ^"),
        ("reverse(request.path)", "E-UNKNOWN-FUNC: function \"reverse\" does not exist in CEXL (CEL runtime only)"),
        ("conditional((request.method == \"GET\") | false, \"a\", \"b\")", "E-OR-OPERAND: left of | stands =="),
    ] {
        check(&counter("1", label, HTTP), &[&format!("instance/istio-system/i spec.params.dimensions.l: {expected}")]);
    }
    check(
        &counter("1", "request.method", "request.method"),
        &["rule/istio-system/r spec.match: E-MATCH-TYPE: rule match has type STRING, must be BOOL."],
    );
    check(
        &log("stdio", "{}", "{severity: '1', timestamp: request.method}"),
        &[
            "instance/istio-system/x spec.params.severity: E-TYPE: severity is INT64, must be STRING",
            "instance/istio-system/x spec.params.timestamp: E-TYPE: timestamp is STRING, must be TIMESTAMP",
        ],
    );
}

#[test]
fn another_language() {
    let text = with(
        "metadata: {name: i, namespace: istio-system}",
        "metadata: {name: i, namespace: istio-system, annotations: {policy.istio.io/lang: CEL}}",
    );
    check(&text, &["instance/istio-system/i: E-LANG: annotation policy.istio.io/lang=CEL: only CEXL expressions can be migrated"]);
    check(&text.replace("lang: CEL", "lang: CEXL"), &[]);
}

#[test]
fn values_that_are_no_numbers_or_fractions() {
    check(
        &counter("connection.mtls", "request.method", HTTP),
        &["instance/istio-system/i spec.params.value: E-VALUE-TYPE: metric value is BOOL: not a number."],
    );
    check(&counter("response.duration", "request.method", HTTP), &["instance/istio-system/i spec.params.value: E-FRACTION: counter value response.duration in seconds is fractional"]);
    check(
        &counter("1.5", "request.method", HTTP),
        &["instance/istio-system/i spec.params.value: E-FRACTION: counter value 1.5 is fractional"],
    );
    check(
        &counter("\"-1\"", "request.method", HTTP),
        &["instance/istio-system/i spec.params.value: E-FRACTION: \"-1\" is out of range"],
    );
    for whole in ["2000000000000000", "2", "2.0", "\"2\"", "\"2s\""] {
        check(&counter(whole, "request.method", HTTP), &[]);
    }
}

#[test]
fn metrics_that_prometheus_refused() {
    check(&with("kind: COUNTER, ", ""), &["handler/istio-system/h spec.params.metrics[0]: E-METRIC-KIND: kind missing: Mixer refused the whole handler h (1 metrics)."]);
    for (buckets, problem) in [
        ("explicit_buckets: {bounds: [1, 0.5]}", "bounds must increase (0.5 after 1)"),
        ("explicit_buckets: {bounds: []}", "there are no bounds"),
        ("linear_buckets: {num_finite_buckets: 2, width: 0, offset: 1}", "bounds must increase (1 after 1)"),
        (
            "exponentialBuckets: {numFiniteBuckets: 1000, growthFactor: 2, scale: 1}",
            "num_finite_buckets is 1000; 1 to 200 are possible",
        ),
    ] {
        let text = with("kind: COUNTER", &format!("kind: DISTRIBUTION, buckets: {{{buckets}}}"));
        let told = told(&text);
        assert!(told.iter().any(|line| line.contains("E-BUCKETS: ") && line.contains(problem)), "{told:#?}");
    }
    check(&with("label_names: [l]", "label_names: [l, m]"), &["handler/istio-system/h spec.params.metrics[0].label_names: E-LABEL-MISMATCH: label_names and dimensions differ: only in label_names [m], only in dimensions []; Mixer dropped every sample."]);
    let text = with("label_names: [l]", "label_names: [la-bel]").replace("{l: ", "{la-bel: ");
    assert!(told(&text)
        .iter()
        .any(|line| line.ends_with("E-LABEL-MISMATCH: label \"la-bel\" became \"label\" and never matched.")));
}

#[test]
fn rules_that_do_more_than_report() {
    check(
        &with("spec:\n  match", "spec:\n  sampling: {}\n  requestHeaderOperations: [{name: x}]\n  match"),
        &[
            "rule/istio-system/r spec.sampling: W-SAMPLING: ",
            "rule/istio-system/r spec.requestHeaderOperations: E-HEADER-OPS: requestHeaderOperations are policy",
        ],
    );
}

#[test]
fn the_same_object_twice() {
    let text = [
        counter("1", "request.method", HTTP),
        object("handler", "{compiledAdapter: stdio}").replace("name: x", "name: h"),
    ]
    .join("---\n");
    check(&text, &["handler/istio-system/h: E-DUPLICATE: same kind, namespace and name as a.yaml:10; kubectl apply would keep the later one"]);
    let last = migrate_with(&text, &Options { last_wins: true, ..Options::default() });
    assert!(codes(&last).is_empty());
}

#[test]
fn what_counts_twice() {
    let second = "---\napiVersion: config.istio.io/v1alpha2\nkind: rule\nmetadata: {name: r2, namespace: istio-system}\nspec:\n  match: 'context.protocol == \"http\"'\n  actions: [{handler: h, instances: [i]}]\n";
    let text = counter("1", "request.method", HTTP) + second;
    check(&text, &["rule/istio-system/r2 spec.actions[0].instances[0]: W-DOUBLE: also rule/istio-system/r sends i.instance.istio-system to h.handler.istio-system"]);
    let migration = migrate(&text);
    let configuration = super::plugin(&migration, crate::output::Plugin::Stats, super::HTTP_IN);
    assert_eq!(configuration["definitions"][0]["value"], "2");
    let other = text
        .replace("spec:\n  match: 'context.protocol == \"http\"'\n", "spec:\n  match: 'request.method == \"GET\"'\n");
    assert_eq!(codes(&migrate(&other)), ["W-TCP-DROPPED", "W-DOUBLE"]);
    let migration = migrate(&other);
    let definitions = super::plugin(&migration, crate::output::Plugin::Stats, super::HTTP_IN)["definitions"].clone();
    let conditions: Vec<&serde_json::Value> =
        definitions.as_array().unwrap().iter().map(|definition| &definition["match"]).collect();
    assert_eq!(conditions.len(), 2, "each rule counts by itself: {conditions:?}");
}

#[test]
fn values_without_quotes() {
    check(&with("value: \"1\"", "value: 1"), &["instance/istio-system/i spec.params.value: W-BARE-LITERAL: 1 is no text: Mixer refused the object; it is taken as the expression '1'"]);
}

#[test]
fn doubtful_expressions() {
    let expect =
        |label: &str, expected: &[&str]| assert_eq!(codes(&migrate(&counter("1", label, HTTP))), expected, "{label}");
    expect(r#"conditional(request.path.matches("^/a"), "a", "b")"#, &["W-MATCHES", "W-CARDINALITY"]);
    expect(r#"request.headers["X-Foo"] | "none""#, &["W-HEADER-CASE"]);
    expect(r#"source.service | "unknown""#, &["W-SOURCE-SERVICE"]);
    expect(r#"source.services | "unknown""#, &["W-NEVER-SET"]);
    expect(r#"destination.container.name | "unknown""#, &["W-NOT-OBTAINABLE"]);
    expect(r#"source.serviceAccount | "unknown""#, &["W-NOT-OBTAINABLE"]);
    expect(r#"request.auth.raw_claims | "none""#, &["W-RAW-CLAIMS"]);
    expect(r#"request.path | "none""#, &["W-CARDINALITY"]);
    let told = told(&counter("1", "destination.container.name", HTTP));
    assert!(told.iter().any(|line| line.ends_with("destination.container.name needs the pod's spec; it will always be \"unknown\" (the kubernetesenv default)")), "{told:#?}");
}

#[test]
fn notes() {
    let noted = |text: &str, code: &str| {
        let told = told(text);
        assert!(told.iter().any(|line| line.contains(&format!(": {code}: "))), "{code} in {told:#?}");
    };
    for (label, code) in [
        (r#"destination.service | "x""#, "N-ALIAS"),
        (r#"request.scheme | "x""#, "N-SCHEME"),
        (r#"request.id | "x""#, "N-NEVER-SET"),
        (r#"connection.id | "x""#, "N-APPROX"),
        (r#"source.name | "x""#, "N-K8S-ASSUMED"),
        (r#"source.labels["team"] | "x""#, "N-MX-LABELS"),
    ] {
        noted(&counter("1", label, HTTP), code);
    }
    noted(&counter("1", "response.duration", HTTP), "N-APPROX");
    noted(&log("stdio", "{output_level: INFO}", ENTRY), "N-OUTPUT-LEVEL");
    noted(include_str!("../../testdata/tutorials/newlog-stdio.yaml"), "N-LEGACY-KIND");
    noted(
        &include_str!("../../testdata/tutorials/newlog-stdio.yaml").replace("response.size | 0", "source.ip"),
        "N-IP-10",
    );
    noted(include_str!("../../testdata/tutorials/customer-request-count.yaml"), "N-DEFAULT-OVERWRITE");
    noted(&counter("1", "source.name", r#"context.protocol == "tcp""#), "N-TCP-PEER");
    noted("scrape_configs: [{job_name: istio-mesh}]\n", "N-PROMETHEUS");
}

#[test]
fn metrics_that_are_not_quite_what_they_were() {
    check(&metric("GAUGE", "1", "request.method", HTTP), &["handler/istio-system/h spec.params.metrics[0]: W-GAUGE: "]);
    check(
        &metric("DISTRIBUTION", "request.size", "request.method", HTTP),
        &["instance/istio-system/i: W-BUCKETS: the buckets of istio_m are in the bootstrap"],
    );
    check(&metric("DISTRIBUTION", "response.duration", "request.method", HTTP), &[]);
    let options = Options { duration_unit: Unit::Milliseconds, ..Options::default() };
    let renamed = migrate_with(&metric("DISTRIBUTION", "response.duration", "request.method", HTTP), &options);
    assert_eq!(codes(&renamed), ["W-RENAMED"]);
    check(
        &with("    metrics:", "    metricsExpirationPolicy: {metricsExpiryDuration: 10m}\n    metrics:"),
        &["handler/istio-system/h spec.params.metricsExpirationPolicy: W-EXPIRY: "],
    );
    check(&counter("1", "request.method", "true"), &["instance/istio-system/i: W-TCP-DROPPED: "]);
}

#[test]
fn logs_that_go_elsewhere() {
    check(
        &log("stdio", "{log_stream: FILE, output_path: /tmp/x}", ENTRY),
        &["handler/istio-system/x spec.params: W-FILE-SINK: Mixer wrote /tmp/x on its own disk"],
    );
    check(
        &log("stdio", "{log_stream: FILE}", ENTRY),
        &["handler/istio-system/x spec.params: E-FIELD: a file needs output_path"],
    );
    check(
        &log("stdio", "{output_path: /tmp/x}", ENTRY),
        &["handler/istio-system/x spec.params: E-FIELD: output_path is only for FILE and ROTATED_FILE"],
    );
    check(
        &log("fluentd", "{address: 'nowhere'}", ENTRY),
        &[
            "handler/istio-system/x spec.params.address: E-FIELD: \"nowhere\" is not host:port",
            "handler/istio-system/x spec.params: W-FLUENTD: ",
        ],
    );
    check(&log("stdio", "{outputAsJson: false}", ENTRY), &["instance/istio-system/x: E-FILTER: lines are JSON"]);
    check(
        &log("stdio", "{}", "{severity: request.method, timestamp: request.time, variables: {a: request.method}}"),
        &["instance/istio-system/x spec.params.severity: E-FILTER: the severity depends on the request"],
    );
}

#[test]
fn objects_of_others_are_counted() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n---\napiVersion: networking.istio.io/v1alpha3\nkind: DestinationRule\nmetadata: {name: y}\n";
    let migration = migrate(text);
    assert_eq!((migration.objects, migration.others), (0, 2));
    check(text, &["a.yaml: W-NOTHING: nothing of Mixer's is in the input"]);
    check("", &["a.yaml: W-NOTHING: "]);
}

#[test]
fn every_code_is_used() {
    // These need more than one line of input.
    let sources = concat!(
        include_str!("../spec.rs"),
        include_str!("../spec/metric.rs"),
        include_str!("../model.rs"),
        include_str!("../model/compiled.rs"),
        include_str!("../model/handler.rs"),
        include_str!("../model/prometheus.rs"),
        include_str!("../model/rule.rs"),
        include_str!("../model/buckets.rs"),
        include_str!("../model/instance.rs"),
        include_str!("../model/unsupported.rs"),
        include_str!("../fields.rs"),
        include_str!("../input.rs"),
        include_str!("../remarks.rs"),
        include_str!("../resolve.rs"),
        include_str!("../migration.rs"),
        include_str!("../output/when.rs"),
        include_str!("../output/stats.rs"),
        include_str!("../output/stats/metric.rs"),
        include_str!("../output/stats/value.rs"),
        include_str!("../output/access_log.rs"),
    );
    for (code, name, _) in crate::diagnostic::Code::ALL {
        assert!(sources.contains(&format!("Code::{code:?}")), "{name}");
    }
}

/// Objects of another metric and rule in the same input.
pub(super) fn another(text: &str, index: usize) -> String {
    text.replace("{name: i,", &format!("{{name: i{index},"))
        .replace("{name: h,", &format!("{{name: h{index},"))
        .replace("{name: r,", &format!("{{name: r{index},"))
        .replace("instance_name: i.", &format!("instance_name: i{index}."))
        .replace("handler: h, instances: [i]", &format!("handler: h{index}, instances: [i{index}]"))
}

#[test]
fn a_counter_is_no_part_of_a_histogram() {
    let histogram = metric("DISTRIBUTION", "response.duration", "request.method", HTTP);
    let counter = another(&counter("1", "request.method", HTTP), 1).replace("{name: m,", "{name: m_count,");
    for text in [[&*histogram, &counter].join("---\n"), [&*counter, &histogram].join("---\n")] {
        let migration = migrate(&text);
        let told: Vec<String> = migration.diagnostics.sorted().iter().map(ToString::to_string).collect();
        assert!(
            told.iter().any(|line| line.contains("would be one histogram to Prometheus: name them apart")),
            "{told:#?}"
        );
    }
}

#[test]
fn conditions_are_as_many_as_the_module_has() {
    let texts = |count: usize| {
        let text = |index| {
            let condition = format!(r#"context.protocol == "http" && request.size > {index}"#);
            another(&counter("1", "request.method", &condition), index)
                .replace("{name: m,", &format!("{{name: m{index},"))
        };
        (0..count).map(text).collect::<Vec<_>>().join("---\n")
    };
    check(&texts(64), &[]);
    let migration = migrate(&texts(65));
    let told: Vec<String> = migration.diagnostics.sorted().iter().map(ToString::to_string).collect();
    assert!(
        told.iter().any(|line| line.contains("E-FILTER: the stats module has at most 64 different conditions")),
        "{told:#?}"
    );
}
