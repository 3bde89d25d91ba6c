use core::time::Duration;

use rules::sampling::Sampling;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

fn parse(json: &str) -> Result<ShadowConfig, String> {
    ShadowConfig::parse(json.as_bytes()).map_err(|error| error.to_string())
}

/// The only mirror of a configuration.
fn mirror(json: &str) -> Mirror {
    let mut config = parse(json).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((config.rules.len(), config.rules[0].mirrors.len()), (1, 1), "{json}");
    config.rules.remove(0).mirrors.remove(0)
}

#[test]
fn nothing_is_no_rule() {
    for json in ["", " \n", "{}", r#"{"http": []}"#] {
        let config = parse(json).expect(json);
        assert!(config.rules.is_empty() && config.is_idle() && config.remarks.is_empty(), "{json}");
    }
    assert!(parse(r#"{"http": [{"mirrors": [{"cluster": "c", "percentage": {"value": 0}}]}]}"#).expect("it").is_idle());
}

#[test]
fn the_short_form_is_istio_s() {
    let mirror = mirror(
        r#"{"http": [{"name": "r", "mirror": {"host": "b.ns.svc.cluster.local", "subset": "v2", "port": {"number": 80}},
            "mirrorPercentage": {"value": 10}}]}"#,
    );
    assert_eq!((mirror.name.as_str(), mirror.cluster.as_str()), ("r", "outbound|80|v2|b.ns.svc.cluster.local"));
    assert_eq!(mirror.percentage, Percentage::parse("10").expect("10"));
    assert_eq!(mirror.authority, Authority::WithSuffix);
    assert_eq!((mirror.timeout, mirror.max_request_bytes), (Duration::from_secs(5), 1 << 20));
    assert!(matches!(mirror.sampling, Sampling::RequestId(_)));
    assert!(mirror.append_x_forwarded_for && mirror.role == Role::Candidate);
    assert_eq!(mirror.compare.expect("it is compared").tolerance, 5);
}

#[test]
fn every_field_is_read() {
    let config = parse(
        r#"{"http": [{"match": [{"method": {"exact": "GET"}}], "mirrors": [
              {"destination": {"host": "b.ns", "port": {"number": 80}}},
              {"name": "v2", "cluster": "c", "percentage": {"value": 50}, "authority": "",
               "disableShadowHostSuffixAppend": true, "rewrite": {"uri": "/x"},
               "headers": {"set": {"A": "1"}, "add": {"b": "2"}, "remove": ["C"]}, "timeout": "250ms",
               "maxRequestBytes": 2000, "maxRequestsPerSecond": 7, "sampling": {"key": "header:X-User", "salt": "s"},
               "sendOn": "primaryResponse", "appendXForwardedFor": false, "traceContext": "drop", "role": "control",
               "compare": {"enabled": true, "size": true, "body": true, "maxBodyBytes": 100, "latencyToleranceMs": 9,
                           "logMismatches": 3}},
              {"name": "v3", "cluster": "c", "compare": {"enabled": false}}]}],
            "limits": {"maxRequestBytes": 1000, "maxBufferedBytes": 5000, "maxInFlight": 3, "maxPairs": 4},
            "markerHeader": "X-Mark", "enabled": false, "expiresAt": "2026-12-31T23:59:59Z", "statPrefix": "p"}"#,
    )
    .expect("valid");
    let [first, second, third] = config.rules[0].mirrors.as_slice() else { panic!("three mirrors") };
    assert_eq!((first.name.as_str(), first.cluster.as_str()), ("rule-0-0", "outbound|80||b.ns"));
    assert_eq!(first.max_request_bytes, 1000);
    assert_eq!((second.authority.clone(), second.uri.as_deref()), (Authority::Same, Some("/x")));
    assert_eq!(second.headers.set, [("a".to_owned(), "1".to_owned())]);
    assert_eq!((second.headers.add.len(), second.headers.remove.as_slice()), (1, ["c".to_owned()].as_slice()));
    assert_eq!((second.timeout, second.max_request_bytes), (Duration::from_millis(250), 2000));
    assert_eq!((second.max_per_second, second.salt.as_str()), (7, "s"));
    assert!(matches!(second.sampling, Sampling::Header(_)));
    assert_eq!((second.send_on, second.trace_context), (SendOn::PrimaryResponse, TraceContext::Drop));
    assert_eq!((second.role, second.append_x_forwarded_for), (Role::Control, false));
    let compare = Compare { size: true, max_body_bytes: Some(100), tolerance: 9, log_per_second: 3 };
    assert_eq!((second.compare, third.compare), (Some(compare), None));
    let limits = MirrorLimits { max_request_bytes: 1000, max_buffered_bytes: 5000, max_in_flight: 3, max_pairs: 4 };
    assert_eq!(config.limits, limits);
    assert_eq!((config.marker_header.as_deref(), config.stat_prefix.as_str()), (Some("x-mark"), "p_"));
    assert!(!config.enabled && config.is_idle() && config.expires.at.is_some());
    assert_eq!(parse(r#"{"markerHeader": ""}"#).expect("none").marker_header, None);
    assert_eq!(parse("{}").expect("the default").marker_header.as_deref(), Some(DEFAULT_MARKER));
}

#[test]
fn every_mistake_is_named_at_once() {
    let error = parse(
        r#"{"http": [{"mirrors": [{"cluster": "c", "timeout": "0s", "percentage": {"value": 101}, "role": "x",
             "headers": {"set": {":path": "/", "Content-Length": "7"}, "remove": ["host"]}, "authority": "a", "rewrite": {"authority": "b"}}]},
            {"mirrorPercentage": {"value": 1}}], "limits": {"maxInFlight": 0}}"#,
    )
    .expect_err("refused");
    for told in [
        "9 problems: ",
        "http[0].mirrors[0].timeout: \"0s\" must be >= 1ms",
        "http[0].mirrors[0].percentage.value: 101 must have a max value of 100",
        "http[0].mirrors[0].role: \"x\" is not allowed, must be \"candidate\" or \"control\"",
        "http[0].mirrors[0].headers.set[\":path\"]: pseudo-headers and host cannot be changed here, use rewrite or authority",
        "http[0].mirrors[0].headers.set[\"Content-Length\"]: is set by Envoy",
        "http[0].mirrors[0].headers.remove[0]: pseudo-headers",
        "http[0].mirrors[0].rewrite.authority: cannot be combined with authority",
        "http[1].mirrorPercentage: only with mirror; mirrors have percentage",
        "limits.maxInFlight: 0 is not in range 1-10000",
    ] {
        assert!(error.contains(told), "{told}\n{error}");
    }
}

#[test]
fn a_rule_without_a_mirror_is_one_that_lets_pass() {
    let mirrors = r#""mirrors": [{"cluster": "c"}]"#;
    let config = parse(&format!(
        r#"{{"http": [{{"match": [{{"headers": {{"x-exempt": {{"regex": "*"}}}}}}]}}, {{{mirrors}}}]}}"#
    ))
    .expect("valid");
    assert!(config.rules[0].is_idle() && !config.rules[1].is_idle() && config.remarks.is_empty());
    let config = parse(&format!(r#"{{"http": [{{}}, {{{mirrors}}}]}}"#)).expect("valid");
    assert_eq!(config.remarks, ["http[0] is for every request: no request gets to the rules after it"]);
    assert!(parse(r#"{"http": [{}]}"#).is_ok_and(|config| config.is_idle() && config.remarks.is_empty()));
}

#[test]
fn what_is_istio_s_but_not_here_is_told_with_what_to_use() {
    let told = |json: &str| {
        let error = parse(json).expect_err(json);
        error.split_once(": ").expect("problems").1.to_owned()
    };
    let mirror = r#""mirror": {"host": "b.ns", "port": {"number": 80}}"#;
    for name in ["mirror_percent", "mirrorPercent"] {
        assert_eq!(
            told(&format!(r#"{{"http": [{{{mirror}, "{name}": 50}}]}}"#)),
            format!("http[0].{name}: deprecated, use mirrorPercentage.value")
        );
    }
    let known = "known are match, mirror, mirrorPercentage, mirrors, name";
    for (field, meant) in
        [("mirror_percentage", "mirrorPercentage"), ("percentage", "mirrorPercentage"), ("mirorrs", "mirrors")]
    {
        assert_eq!(
            told(&format!(r#"{{"http": [{{{mirror}, "{field}": 50}}]}}"#)),
            format!("http[0].{field}: unknown field (value 50), {known}; did you mean `{meant}`?")
        );
    }
    assert!(
        told(r#"{"http": [{"mirrors": [{"cluster": "c", "percent": 50}]}]}"#).ends_with("did you mean `percentage`?")
    );
    let connections = "rules are for HTTP requests, which stand in http; connections have none";
    assert_eq!(told(r#"{"http": [], "tcp": [], "tls": []}"#), format!("tcp: {connections}; tls: {connections}"));
}

#[test]
fn the_marker_is_a_header_that_no_other_request_has() {
    let told = |name: &str| parse(&format!(r#"{{"markerHeader": "{name}"}}"#)).err().unwrap_or_default();
    for name in ["host", "Connection", ":path", ":x-a", "content-type", "cookie"] {
        let problem = format!("markerHeader: \"{name}\" must begin with x-, such as x-shadow-mirror");
        assert!(told(name).ends_with(&problem), "{name}: {}", told(name));
    }
    for (name, known) in [
        ("X-Forwarded-For", "x-forwarded-"),
        ("x-request-mirror", "x-request"),
        ("x-requested-with", "x-request"),
        ("x-client-shadow", "x-client-"),
    ] {
        let problem = format!(
            "markerHeader: \"{name}\" begins with {known}, as headers of other requests do, must be another, such as x-shadow-mirror"
        );
        assert!(told(name).ends_with(&problem), "{name}: {}", told(name));
    }
    assert!(told("a b").contains("markerHeader: \"a b\" is not a header name"));
    assert_eq!([told(""), told(DEFAULT_MARKER), told("X-Acme-Shadow")], ["", "", ""]);
}

#[test]
fn shares_are_told_in_istio_s_words() {
    let told = |value: &str| {
        let json = format!(r#"{{"http": [{{"mirrors": [{{"cluster": "c", "percentage": {{"value": {value}}}}}]}}]}}"#);
        parse(&json).err().unwrap_or_default()
    };
    for (value, message) in [
        ("100.1", "100.1 must have a max value of 100"),
        ("1000", "1000 must have a max value of 100"),
        ("-1", "-1 must have a min value of 0"),
        ("-0.5", "-0.5 must have a min value of 0"),
        ("0.00005", "0.00005 is neither 0.0, nor in range [0.0001, 100.0]"),
        ("\"half\"", "\"half\" is neither 0.0, nor in range [0.0001, 100.0]"),
    ] {
        assert!(told(value).ends_with(&["value: ", message].concat()), "{value}: {}", told(value));
    }
    assert_eq!([told("0"), told("100"), told("0.57")], ["", "", ""]);
}
