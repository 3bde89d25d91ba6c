//! Log lines with other fields than the default ones.

use serde_json::{json, Value as Json};

use super::{
    diagnostics::{check, log, object, HTTP},
    migrate, plugin,
};
use crate::{output::Plugin, scene::Scene};

const TCP: &str = r#"context.protocol == "tcp""#;

fn tcp(variables: &str, condition: &str) -> String {
    let entry = format!("{{severity: '\"info\"', timestamp: context.time, variables: {variables}}}");
    log("stdio", "{}", &entry).replace(HTTP, condition)
}

fn names(configuration: &Json) -> &Json {
    &configuration["only_fields"]
}

fn configuration(text: &str, kind: Plugin, scene: Scene) -> Json {
    plugin(&migrate(text), kind, scene).clone()
}

#[test]
fn a_line_without_variables_has_mixer_s_three_fields() {
    let text = log("stdio", "{}", "{severity: '\"warning\"', timestamp: request.time}");
    check(&text, &[]);
    let line = configuration(&text, Plugin::AccessLog, super::HTTP_IN);
    assert_eq!((line.get("preset"), names(&line)), (None, &json!(["level", "time", "instance"])));
    assert_eq!(line["fields"][0], json!({"name": "level", "value": "'warn'"}));
}

#[test]
fn metrics_in_logs_have_the_value_first_and_the_time_of_the_report() {
    let metric = object(
        "instance",
        "{compiledTemplate: metric, params: {value: response.size, dimensions: {b: request.path, a: request.method}}}",
    );
    let text = log("stdio", "{}", "{}");
    let instance = object("instance", "{compiledTemplate: logentry, params: {}}");
    assert!(text.contains(&instance));
    let line = configuration(&text.replace(&instance, &metric), Plugin::AccessLog, super::HTTP_IN);
    assert_eq!(names(&line), &json!(["level", "time", "instance", "value", "a", "b"]));
    assert_eq!(line["fields"][1], json!({"name": "time", "field": "end_time", "as": "MICROSECOND_TIME"}));
}

#[test]
fn what_the_module_knows_is_on_lines_of_live_connections() {
    let security = r#"'conditional((context.reporter.kind | "inbound") == "outbound", "unknown", conditional(connection.mtls | false, "mutual_tls", "none"))'"#;
    let text = tcp(&format!("{{s: {security}}}"), TCP);
    check(&text, &[]);
    let line = configuration(&text, Plugin::TcpAccessLog, super::TCP_IN);
    assert_eq!(line["fields"][0], json!({"name": "s", "field": "connection_security_policy"}));
    // Everything else needs an expression.
    let text = tcp(r#"{s: 'conditional(connection.mtls, "a", "b")'}"#, TCP);
    check(
        &text,
        &["instance/istio-system/x spec.params.variables.s: W-DIFFERS: it is evaluated when a connection begins"],
    );
    check(&text.replace(TCP, &format!(r#"{TCP} && connection.event == "close""#)), &[]);
}

#[test]
fn matches_on_what_is_not_known_in_the_beginning() {
    let text = tcp("{a: source.name}", &format!("{TCP} && source.name == \"x\""));
    check(
        &text,
        &["rule/istio-system/x spec.match: W-DIFFERS: whether a connection has lines is decided when it begins"],
    );
    check(&text.replace("source.name == \"x\"", "connection.event == \"close\""), &[]);
}

#[test]
fn a_bare_duration_is_for_the_end() {
    let text = tcp("{d: connection.duration}", TCP);
    check(&text, &[]);
    let line = configuration(&text, Plugin::TcpAccessLog, super::TCP_IN);
    assert_eq!((line.get("tcp_open_line"), line.get("tcp_reporting_duration")), (None, None));
    let text = tcp("{d: 'connection.duration | \"0ms\"'}", TCP);
    assert_eq!(configuration(&text, Plugin::TcpAccessLog, super::TCP_IN)["tcp_open_line"], true);
}
