use core::time::Duration;
use std::collections::BTreeSet;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

fn parse(json: &str) -> Result<FaultConfig, String> {
    FaultConfig::parse(json.as_bytes()).map_err(|error| error.to_string())
}

/// The one rule of a configuration.
fn rule(json: &str) -> FaultRule {
    let mut config = parse(json).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.rules.len(), 1, "{json}");
    config.rules.remove(0)
}

/// The error message for a fault.
fn told(fault: &str) -> String {
    let error = parse(&format!(r#"{{"http": [{{"fault": {fault}}}]}}"#)).expect_err(fault);
    let (_, problems) = error.split_once(": ").expect("problems");
    problems.to_owned()
}

#[test]
fn nothing_is_no_rule() {
    for json in ["", " \n", "{}", r#"{"http": []}"#] {
        let config = parse(json).expect(json);
        assert!(config.rules.is_empty() && config.is_idle() && config.warnings.is_empty(), "{json}");
    }
}

#[test]
fn a_rule_without_a_fault_is_one_that_lets_pass() {
    let abort = r#""fault": {"abort": {"httpStatus": 500, "percentage": {"value": 100}}}"#;
    let config =
        parse(&format!(r#"{{"http": [{{"match": [{{"headers": {{"x-exempt": {{"regex": "*"}}}}}}]}}, {{{abort}}}]}}"#))
            .expect("valid");
    let [first, second] = &config.rules[..] else { panic!("two rules") };
    assert!(first.delay.is_none() && first.abort.is_none() && first.is_idle() && !second.is_idle());
    assert!(!config.is_idle() && config.warnings.is_empty());
    // It may have no match, either, and is then for all.
    let config = parse(&format!(r#"{{"http": [{{}}, {{{abort}}}]}}"#)).expect("valid");
    assert_eq!(config.warnings, ["http[0] is for every request: no request gets to the rules after it"]);
    assert!(parse(r#"{"http": [{}]}"#).is_ok_and(|config| config.is_idle() && config.warnings.is_empty()));
}

#[test]
fn the_tutorials_of_istio_are_read() {
    let delayed = rule(
        r#"{"http": [{"match": [{"headers": {"end-user": {"exact": "jason"}}}],
            "fault": {"delay": {"percentage": {"value": 100.0}, "fixedDelay": "7s"}}}]}"#,
    );
    let delay = delayed.delay.expect("a delay");
    assert!(matches!(delay.delays, Delays::Always(length) if length == Duration::from_secs(7)));
    assert_eq!(delay.percentage, Percentage::ALWAYS);
    assert_eq!((delayed.name.as_str(), delayed.matches.len()), ("rule-0", 1));
    assert!(delayed.abort.is_none() && delayed.max_active.is_none() && delayed.max_injections.is_none());
    for (fault, kind) in [
        (r#"{"abort": {"httpStatus": 500, "percentage": {"value": 100}}}"#, AbortKind::Http(500)),
        (r#"{"abort": {"grpcStatus": "UNAVAILABLE", "percentage": {"value": 0.1}}}"#, AbortKind::Grpc(14)),
        (r#"{"abort": {"grpcStatus": 7, "percentage": {"value": "33.3333"}}}"#, AbortKind::Grpc(7)),
        (r#"{"abort": {"reset": true, "percentage": {"value": 100}}}"#, AbortKind::Reset),
    ] {
        let abort = rule(&format!(r#"{{"fault": {fault}}}"#)).abort.expect(fault);
        assert!(matches!(abort.aborts, Aborts::Always(this) if this == kind), "{fault}");
    }
}

#[test]
fn every_field_is_read() {
    let config = parse(
        r#"{"http": [{"name": "a.b-C_1",
              "match": [{"name": "istio-s", "uri": {"prefix": "/"}, "ignoreUriCase": true, "scheme": {"exact": "http"},
                         "method": {"regex": "GET|HEAD"}, "authority": {"exact": "a"}, "headers": {"X": {}, ":path": {"prefix": "/"}},
                         "withoutHeaders": {"y": {"exact": ""}}, "queryParams": {"q": {}}, "port": 9080,
                         "sourceLabels": {"app": "reviews"}, "sourceNamespace": "default",
                         "sourcePrincipals": [{"prefix": "spiffe://td/ns/a/"}], "upstreamCluster": {"exact": "c"},
                         "routeName": {"exact": "r"}, "downstreamNodes": ["n"]}, {}],
              "fault": {"delay": {"headerControlled": true, "percentage": {"value": 50}, "jitter": "1s", "max": "2m"},
                        "abort": {"httpStatus": 418, "percentage": {"value": 0.0001}, "body": "", "headers": {"k": "v"}}},
              "maxActiveFaults": 100, "startAfter": 2, "maxInjections": 3, "sampling": {"key": "header:X-User"}},
             {"fault": {"abort": {"headerControlled": true, "percentage": {"value": 0}}}, "maxActiveFaults": 0,
              "sampling": {"key": "requestId"}}],
            "maxActiveFaults": 1000, "engine": "wasm", "stripControlHeaders": true, "enabled": false,
            "expiresAt": "2026-12-31T23:59:59Z", "statPrefix": "mine"}"#,
    )
    .expect("valid");
    let [first, second] = &config.rules[..] else { panic!("two rules") };
    assert_eq!(first.name, "a.b-C_1");
    assert_eq!(first.matches.iter().map(Vec::len).collect::<Vec<_>>(), [14, 0]);
    let delay = first.delay.as_ref().expect("a delay");
    assert!(matches!(delay.delays, Delays::AsAsked { max, .. } if max == Duration::from_secs(120)));
    assert_eq!(delay.jitter, Duration::from_secs(1));
    let abort = first.abort.as_ref().expect("an abort");
    assert_eq!((abort.body.as_deref(), abort.headers.len()), (Some(""), 1));
    assert_eq!((first.max_active, first.start_after, first.max_injections), (Some(100), 2, Some(3)));
    assert!(matches!(first.sampling, Sampling::Header(_)));
    assert_eq!((second.name.as_str(), second.max_active), ("rule-1", Some(0)));
    assert!(matches!(second.sampling, Sampling::RequestId(_)));
    assert_eq!(config.max_active, Some(1000));
    assert!(config.strip_control_headers && !config.enabled && config.is_idle());
    assert_eq!(config.expires.at, Some(Duration::from_secs(1_798_761_599)));
    assert_eq!(config.stat_prefix, "mine_");
    let delay = rule(r#"{"fault": {"delay": {"headerControlled": true, "percentage": {"value": 1}}}}"#).delay;
    assert!(matches!(delay.map(|d| d.delays), Some(Delays::AsAsked { max, .. }) if max == Duration::from_secs(60)));
}

#[test]
fn conditions_that_cost_least_come_first() {
    let rule = rule(
        r#"{"match": [{"uri": {"exact": "/"}, "sourceNamespace": "a", "port": 1, "withoutHeaders": {"a": {}},
                       "method": {"exact": "GET"}, "headers": {"b": {}}}],
            "fault": {"abort": {"httpStatus": 500, "percentage": {"value": 1}}}}"#,
    );
    let costs: Vec<u8> = rule.matches.iter().flatten().map(Condition::cost).collect();
    assert_eq!(costs, [0, 1, 1, 2, 3, 4]);
}

#[test]
fn durations_are_those_of_istio() {
    let with = |text: &str| format!(r#"{{"delay": {{"fixedDelay": {text}, "percentage": {{"value": 100}}}}}}"#);
    for (text, milliseconds) in [("1ms", 1), ("100ms", 100), ("2.8s", 2_800), ("1m30s", 90_000), ("24h", 86_400_000)] {
        let delay = rule(&format!(r#"{{"fault": {}}}"#, with(&format!("{text:?}")))).delay.expect(text);
        assert!(matches!(delay.delays, Delays::Always(length) if length.as_millis() == milliseconds), "{text}");
    }
    let examples = "is not a duration (examples: 7s, 2.8s, 100ms)";
    for (text, message) in [
        (r#""0s""#, r#""0s" must be >= 1ms"#.to_string()),
        (r#""1.5ms""#, r#""1.5ms" must be a whole number of milliseconds"#.into()),
        (r#""100us""#, r#""100us" must be a whole number of milliseconds"#.into()),
        (r#""25h""#, r#""25h" must be <= 24h"#.into()),
        (r#""7""#, format!(r#""7" {examples}"#)),
        (r#""abc""#, format!(r#""abc" {examples}"#)),
        (r#""-1s""#, format!(r#""-1s" {examples}"#)),
        (r#""""#, format!(r#""" {examples}"#)),
        ("7", "expected string, got number 7, must be a duration (examples: 7s, 2.8s, 100ms)".into()),
        ("true", "expected string, got boolean true, must be a duration (examples: 7s, 2.8s, 100ms)".into()),
    ] {
        assert_eq!(told(&with(text)), format!("http[0].fault.delay.fixedDelay: {message}"), "{text}");
    }
}

#[test]
fn what_is_refused_is_named_with_its_value_and_what_is_allowed() {
    let all = r#""percentage": {"value": 100}"#;
    let delay = "http[0].fault.delay";
    let abort = "http[0].fault.abort";
    let kinds = "exactly one of httpStatus, grpcStatus, reset, headerControlled is required";
    let grpc = "is not a gRPC status name (upper case, e.g. UNAVAILABLE) or 0-16";
    for (fault, message) in [
        ("{}".to_string(), "http[0].fault: must have delay and/or abort".to_string()),
        (format!(r#"{{"delay": {{{all}}}}}"#), format!("{delay}: one of fixedDelay, headerControlled is required")),
        (
            format!(r#"{{"delay": {{"fixedDelay": "1s", "headerControlled": true, {all}}}}}"#),
            format!("{delay}: one of fixedDelay, headerControlled is required (got 2)"),
        ),
        (
            format!(r#"{{"delay": {{"fixedDelay": "1s", "max": "1s", {all}}}}}"#),
            format!("{delay}.max: only with headerControlled"),
        ),
        (
            format!(r#"{{"delay": {{"fixedDelay": "1s", "jitter": "0.5ms", {all}}}}}"#),
            format!("{delay}.jitter: \"0.5ms\" must be a whole number of milliseconds"),
        ),
        (
            r#"{"delay": {"fixdDelay": "7s", "headerControlled": true, "percentage": {"value": 1}}}"#.into(),
            format!(
                "{delay}.fixdDelay: unknown field (value \"7s\"), known are \
                 fixedDelay, headerControlled, jitter, max, percentage; did you mean `fixedDelay`?"
            ),
        ),
        (
            r#"{"abort": {"http_status": 500, "reset": true, "percent": 1}}"#.into(),
            format!(
                "{abort}.percent: deprecated, use percentage.value; {abort}.http_status: unknown field (value 500), known are \
                 body, grpcStatus, headerControlled, headers, httpStatus, percentage, reset; did you mean `httpStatus`?"
            ),
        ),
        (
            format!(r#"{{"abort": {{"httpStatus": 199, {all}}}}}"#),
            format!("{abort}.httpStatus: 199 is not in range 200-599"),
        ),
        (
            format!(r#"{{"abort": {{"httpStatus": 600, {all}}}}}"#),
            format!("{abort}.httpStatus: 600 is not in range 200-599"),
        ),
        (
            format!(r#"{{"abort": {{"httpStatus": 503.5, {all}}}}}"#),
            format!("{abort}.httpStatus: expected integer, got number 503.5, must be in range 200-599"),
        ),
        (
            format!(r#"{{"abort": {{"grpcStatus": "unavailable", {all}}}}}"#),
            format!("{abort}.grpcStatus: \"unavailable\" {grpc}"),
        ),
        (format!(r#"{{"abort": {{"grpcStatus": 17, {all}}}}}"#), format!("{abort}.grpcStatus: 17 {grpc}")),
        (format!(r#"{{"abort": {{{all}}}}}"#), format!("{abort}: {kinds} (got 0)")),
        (
            format!(r#"{{"abort": {{"httpStatus": 500, "grpcStatus": "OK", {all}}}}}"#),
            format!("{abort}: {kinds} (got 2)"),
        ),
        (
            format!(r#"{{"abort": {{"httpStatus": 500, "reset": true, "headerControlled": true, {all}}}}}"#),
            format!("{abort}: {kinds} (got 3)"),
        ),
        (
            r#"{"abort": {"httpStatus": 500, "percent": 50}}"#.into(),
            format!("{abort}.percent: deprecated, use percentage.value"),
        ),
        (
            format!(r#"{{"abort": {{"httpStatus": 500, {all}, "body": "{}"}}}}"#, "x".repeat(5000)),
            format!("{abort}.body: 5000 bytes, at most 4096"),
        ),
        (
            format!(r#"{{"abort": {{"reset": true, {all}, "body": ""}}}}"#),
            format!("{abort}.body: not available with reset, which gives no answer"),
        ),
        (
            format!(
                r#"{{"abort": {{"httpStatus": 500, {all}, "headers": {{"a b": "1", "Content-Length": "1", "x": "a\nb"}}}}}}"#
            ),
            format!(
                "{abort}.headers[\"Content-Length\"]: is set by Envoy; {abort}.headers[\"a b\"]: not a header name; \
                 {abort}.headers[\"x\"]: must be at most 4096 bytes without control characters"
            ),
        ),
    ] {
        assert_eq!(told(&fault), message, "{fault}");
    }
    for value in ["-1", "100.1", "0.00005", "\"NaN\""] {
        let percentage = format!(r#"{{"abort": {{"httpStatus": 500, "percentage": {{"value": {value}}}}}}}"#);
        let message = "is neither 0.0, nor in range [0.0001, 100.0]";
        assert_eq!(told(&percentage), format!("{abort}.percentage.value: {value} {message}"));
    }
}

#[test]
fn matches_that_make_no_sense_are_refused() {
    let kinds = "exactly one of exact, prefix, regex is required";
    let long = "a".repeat(1025);
    for (condition, message) in [
        (r#""uri": {}"#.to_string(), format!("uri: {kinds}")),
        (r#""uri": {"exact": "/", "prefix": "/"}"#.into(), format!("uri: {kinds}")),
        (r#""headers": {"x": {"exact": "", "regex": ""}}"#.into(), format!("headers[\"x\"]: {kinds}")),
        (
            r#""headers": {"x": "jason"}"#.into(),
            "headers: {\"x\":\"jason\"} is not allowed, must be an object of objects".into(),
        ),
        (format!(r#""uri": {{"regex": "{long}"}}"#), "uri.regex: longer than 1024 bytes".into()),
        (r#""headers": {"a b": {}}"#.into(), "headers[\"a b\"]: not a header name".into()),
        (r#""withoutHeaders": {"": {}}"#.into(), "withoutHeaders[\"\"]: not a header name".into()),
        (r#""port": 0"#.into(), "port: 0 is not in range 1-65535".into()),
        (r#""port": 70000"#.into(), "port: 70000 is not in range 1-65535".into()),
        (r#""port": "http""#.into(), "port: expected integer, got string \"http\", must be in range 1-65535".into()),
        (r#""port": 1, "port": 2"#.into(), "port: duplicate field".into()),
        (
            r#""sourceLabels": {"app": 1}"#.into(),
            "sourceLabels: {\"app\":1} is not allowed, must be an object of texts".into(),
        ),
    ] {
        let json = format!(
            r#"{{"http": [{{"match": [{{{condition}}}], "fault": {{"abort": {{"reset": true, "percentage": {{"value": 1}}}}}}}}]}}"#
        );
        let expected = format!("configuration refused, 1 problem: http[0].match[0].{message}");
        assert_eq!(parse(&json).map(drop), Err(expected), "{condition}");
    }
}

#[test]
fn the_whole_is_refused_where_it_contradicts_itself() {
    let rule = r#"{"fault": {"abort": {"httpStatus": 500, "percentage": {"value": 1}}}}"#;
    let inner = &rule[1..rule.len() - 1];
    let many = |count: usize, one: &str| vec![one; count].join(",");
    let envoy = "not available with engine envoy";
    for (json, message) in [
        (format!(r#"{{"http": [{rule}], {inner}}}"#), "http: cannot be combined with top-level match/fault".to_string()),
        (r#"{"match": []}"#.into(), "fault: missing".into()),
        (r#"{"http": [{"match": [], "falt": {}}]}"#.into(), "http[0].falt: unknown field (value {}), known are fault, \
             match, maxActiveFaults, maxInjections, name, sampling, startAfter; did you mean `fault`?".into()),
        (
            r#"{"http": [{"startAfter": 1, "maxInjections": 2, "sampling": {"key": "random"}, "maxActiveFaults": 3}]}"#.into(),
            [("maxActiveFaults", "3"), ("startAfter", "1"), ("maxInjections", "2"), ("sampling", r#"{"key":"random"}"#)]
                .map(|(field, value)| format!("http[0].{field}: {value} has no effect, must be left out or with fault"))
                .join("; "),
        ),
        (
            r#"{"http": [], "tcp": [{"fault": {}}], "tls": []}"#.into(),
            ["tcp", "tls"]
                .map(|field| format!("{field}: rules are for HTTP requests, which stand in http; connections have none"))
                .join("; "),
        ),
        (format!(r#"{{"http": [{}]}}"#, many(65, rule)), "http: 65 rules, at most 64".into()),
        (format!(r#"{{"match": [{}], {inner}}}"#, many(17, "{}")), "match: 17 matches, at most 16".into()),
        (
            format!(r#"{{"http": [{{"name": "a", {inner}}}, {{"name": "a", {inner}}}]}}"#),
            "http[1].name: \"a\" is the name of another rule".into(),
        ),
        (
            format!(r#"{{"http": [{{"name": "a b", {inner}}}]}}"#),
            "http[0].name: \"a b\" is not a name of 1 to 63 letters, digits, '_', '.' and '-'".into(),
        ),
        (r#"{"expiresAt": "x"}"#.into(), "expiresAt: \"x\" is not RFC 3339".into()),
        (r#"{"engine": "x"}"#.into(), "engine: \"x\" must be wasm or envoy".into()),
        (
            r#"{"statPrefix": "a.b"}"#.into(),
            "statPrefix: \"a.b\" is not a prefix of at most 63 letters, digits and '_', without a digit at the beginning"
                .into(),
        ),
        (
            format!(r#"{{"http": [{{"sampling": {{"key": "user"}}, {inner}}}]}}"#),
            "http[0].sampling.key: \"user\" must be requestId, random or header:<name>".into(),
        ),
        (
            r#"{"engine": "envoy", "fault": {"abort": {"reset": true, "percentage": {"value": 1}}}}"#.into(),
            format!("fault.abort.reset: {envoy}"),
        ),
        (
            r#"{"engine": "envoy", "maxActiveFaults": 1, "http": [{"maxActiveFaults": 1, "fault": {"abort":
                {"httpStatus": 500, "body": "x", "headers": {"a": "b"}, "percentage": {"value": 1}}}}]}"#
                .into(),
            ["http[0].fault.abort.body", "http[0].fault.abort.headers", "http[0].maxActiveFaults", "maxActiveFaults"]
                .map(|field| format!("{field}: {envoy}"))
                .join("; "),
        ),
    ] {
        let error = parse(&json).map(drop).expect_err(&json);
        // The number of problems comes first.
        assert_eq!(error.split_once(": ").map(|told| told.1), Some(message.as_str()), "{json}");
    }
}

#[test]
fn several_mistakes_are_told_at_once() {
    let json = r#"{"http": [{"match": [{"port": 0}], "fault": {"delay": {"fixedDelay": "7"}, "abort": {"httpStatus": 1}}}],
                   "engine": "x"}"#;
    let error = parse(json).map(drop).expect_err("refused");
    assert!(error.starts_with("configuration refused, 4 problems: http[0].match[0].port: 0 is"), "{error}");
}

#[test]
fn a_percentage_that_is_not_set_is_warned_of() {
    let config = parse(
        r#"{"http": [{"fault": {"delay": {"fixedDelay": "7s"}, "abort": {"httpStatus": 500, "percentage": {}}}}]}"#,
    )
    .expect("valid");
    let warning =
        |path| format!("{path}.percentage is not set: this fault is never injected (set value: 100 for all requests)");
    assert_eq!(config.warnings, [warning("http[0].fault.delay"), warning("http[0].fault.abort")]);
    assert!(config.is_idle());
}

#[test]
fn whatever_bytes_come_nothing_panics() {
    // Every prefix of a large configuration, and every change of one byte.
    let json = br#"{"http": [{"name": "a", "match": [{"uri": {"regex": "a(b|c)*"}, "headers": {"X": {"prefix": "\u00fc"}}}],
        "fault": {"delay": {"fixedDelay": "1m2.5s", "jitter": "1s", "percentage": {"value": 10.5}}}}], "expiresAt": "2026-01-01T00:00:00Z"}"#;
    assert!(FaultConfig::parse(json).is_ok());
    let mut told = BTreeSet::new();
    for index in 0..json.len() {
        told.insert(FaultConfig::parse(&json[..index]).is_ok());
        let mut changed = *json;
        for byte in [0, b'"', b'{', b'9', b'\\', 0xff] {
            changed[index] = byte;
            told.insert(FaultConfig::parse(&changed).is_ok());
        }
    }
    assert_eq!(told.len(), 2);
}
