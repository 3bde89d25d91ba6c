//! F30, F31: rejected configurations, and unexpected bytes.

use local_mesh::Update;

use crate::load;
use crate::scene::{loud, outbound, rule, rules, Setting, ALL};

/// A valid rule with this `fault`.
fn fault(text: &str) -> String {
    format!(r#"{{"http": [{{"fault": {}}}]}}"#, text.replace("ALL", ALL))
}

/// A rule with this `match`.
fn matching(text: &str) -> String {
    fault(r#"{"abort": {"httpStatus": 500, ALL}}"#).replacen(
        r#"{"fault""#,
        &format!(r#"{{"match": [{text}], "fault""#),
        1,
    )
}

/// Rejected configurations, with the text after `configuration refused, 1 problem: `.
fn refused() -> Vec<(String, String)> {
    let duration = |text: &str| fault(&format!(r#"{{"delay": {{"fixedDelay": {text}, ALL}}}}"#));
    let examples = "is not a duration (examples: 7s, 2.8s, 100ms)";
    let status = "is not in range 200-599";
    let grpc = "is not a gRPC status name (upper case, e.g. UNAVAILABLE) or 0-16";
    let kinds = "exactly one of httpStatus, grpcStatus, reset, headerControlled is required";
    let percent = "is neither 0.0, nor in range [0.0001, 100.0]";
    let port = "is not in range 1-65535";
    let (delay, abort, one) = ("http[0].fault.delay", "http[0].fault.abort", "http[0].match[0]");
    let valid = r#"{"fault": {"abort": {"httpStatus": 500, "percentage": {"value": 1}}}}"#;
    let aborting = |text: &str| fault(&format!(r#"{{"abort": {{{text}, ALL}}}}"#));
    let percentage =
        |value: &str| fault(&format!(r#"{{"abort": {{"httpStatus": 500, "percentage": {{"value": {value}}}}}}}"#));
    let with_engine = |text: &str| aborting(text).replacen('{', r#"{"engine": "envoy", "#, 1);
    let list = [
        ("\u{1}{}".to_owned(), "configuration is not JSON text: use google.protobuf.StringValue".to_owned()),
        ("{\n \"http\": [}".to_owned(), "not valid JSON: expected value at line 2 column 11".to_owned()),
        (
            fault(r#"{"delay": {"fixdDelay": "7s", "headerControlled": true, ALL}}"#),
            format!("{delay}.fixdDelay: unknown field (value \"7s\"), known are fixedDelay, headerControlled, jitter, max, percentage; did you mean `fixedDelay`?"),
        ),
        (r#"{"http": [{"match": [], "match": [], "fault": {"abort": {"httpStatus": 500, "percentage": {"value": 1}}}}]}"#.to_owned(), "http[0].match: duplicate field".to_owned()),
        (matching(r#"{"port": "http"}"#), format!("{one}.port: expected integer, got string \"http\", must be in range 1-65535")),
        (valid.replacen('{', &format!(r#"{{"http": [{valid}], "#), 1), "http: cannot be combined with top-level match/fault".to_owned()),
        (fault("{}"), "http[0].fault: must have delay and/or abort".to_owned()),
        (duration(r#""0s""#), format!("{delay}.fixedDelay: \"0s\" must be >= 1ms")),
        (duration(r#""1.5ms""#), format!("{delay}.fixedDelay: \"1.5ms\" must be a whole number of milliseconds")),
        (duration(r#""25h""#), format!("{delay}.fixedDelay: \"25h\" must be <= 24h")),
        (duration(r#""7""#), format!("{delay}.fixedDelay: \"7\" {examples}")),
        (duration(r#""abc""#), format!("{delay}.fixedDelay: \"abc\" {examples}")),
        (duration(r#""-1s""#), format!("{delay}.fixedDelay: \"-1s\" {examples}")),
        (duration("7"), format!("{delay}.fixedDelay: expected string, got number 7, must be a duration (examples: 7s, 2.8s, 100ms)")),
        (fault(r#"{"delay": {ALL}}"#), format!("{delay}: one of fixedDelay, headerControlled is required")),
        (aborting(r#""httpStatus": 199"#), format!("{abort}.httpStatus: 199 {status}")),
        (aborting(r#""httpStatus": 600"#), format!("{abort}.httpStatus: 600 {status}")),
        (aborting(r#""httpStatus": 503.5"#), format!("{abort}.httpStatus: expected integer, got number 503.5, must be in range 200-599")),
        (aborting(r#""grpcStatus": "unavailable""#), format!("{abort}.grpcStatus: \"unavailable\" {grpc}")),
        (aborting(r#""grpcStatus": 17"#), format!("{abort}.grpcStatus: 17 {grpc}")),
        (aborting(r#""body": """#), format!("{abort}: {kinds} (got 0)")),
        (aborting(r#""httpStatus": 500, "reset": true"#), format!("{abort}: {kinds} (got 2)")),
        (percentage("-1"), format!("{abort}.percentage.value: -1 {percent}")),
        (percentage("100.1"), format!("{abort}.percentage.value: 100.1 {percent}")),
        (percentage("0.00005"), format!("{abort}.percentage.value: 0.00005 {percent}")),
        (percentage("\"NaN\""), format!("{abort}.percentage.value: \"NaN\" {percent}")),
        (fault(r#"{"abort": {"httpStatus": 500, "percent": 50}}"#), format!("{abort}.percent: deprecated, use percentage.value")),
        (matching(r#"{"uri": {"exact": "/", "prefix": "/"}}"#), format!("{one}.uri: exactly one of exact, prefix, regex is required")),
        (matching(&format!(r#"{{"uri": {{"regex": "{}"}}}}"#, "a".repeat(1025))), format!("{one}.uri.regex: longer than 1024 bytes")),
        (matching(r#"{"uri": {"regex": "/\\p{Greek}+"}}"#), format!("{one}.uri.regex: `\\p{{Greek}}` is valid in RE2, and not here: write the letters themselves, as in [a-zA-Z]")),
        (matching(r#"{"uri": {"regex": "*"}}"#), format!("{one}.uri.regex: \"*\" is no expression, and every request has a path: leave uri out")),
        (r#"{"tcp": [{"fault": {}}]}"#.to_owned(), "tcp: rules are for HTTP requests, which stand in http; connections have none".to_owned()),
        (matching(r#"{"headers": {"a b": {}}}"#), format!("{one}.headers[\"a b\"]: not a header name")),
        (matching(r#"{"port": 0}"#), format!("{one}.port: 0 {port}")),
        (matching(r#"{"port": 70000}"#), format!("{one}.port: 70000 {port}")),
        (aborting(&format!(r#""httpStatus": 500, "body": "{}""#, "x".repeat(5000))), format!("{abort}.body: 5000 bytes, at most 4096")),
        (r#"{"expiresAt": "x"}"#.to_owned(), "expiresAt: \"x\" is not RFC 3339".to_owned()),
        (r#"{"engine": "x"}"#.to_owned(), "engine: \"x\" must be wasm or envoy".to_owned()),
        (with_engine(r#""reset": true"#), format!("{abort}.reset: not available with engine envoy")),
        (with_engine(r#""httpStatus": 500, "body": "x""#), format!("{abort}.body: not available with engine envoy")),
        (with_engine(r#""httpStatus": 500, "headers": {"a": "b"}"#), format!("{abort}.headers: not available with engine envoy")),
        (rules(&vec![valid.to_owned(); 65]), "http: 65 rules, at most 64".to_owned()),
        (matching(&["{}"; 17].join(",")), "http[0].match: 17 matches, at most 16".to_owned()),
    ];
    list.into()
}

/// F31
#[test]
fn what_is_wrong_is_named_and_the_old_rules_go_on() {
    let mut scene = outbound(&rule(r#""abort": {"httpStatus": 418, ALL}"#, ""));
    scene.may_complain = true;
    for (config, message) in refused() {
        let Update::Refused(log) = scene.push(&config) else { panic!("accepted: {config}") };
        let told = format!("fault: configuration refused, 1 problem: {message}");
        assert!(log.lines().any(|line| line.ends_with(&told)), "{told}\n{log}");
        assert_eq!(scene.status(&scene.get("/").header("connection", "close")), 418, "{config}");
    }
    // A pattern's own error, and several mistakes at once.
    for (config, told) in [
        (matching(r#"{"uri": {"regex": "("}}"#), "1 problem: http[0].match[0].uri.regex: "),
        (
            matching(r#"{"port": 0, "uri": {}, "method": {"regex": "("}}"#),
            "3 problems: http[0].match[0].uri: exactly one",
        ),
    ] {
        let Update::Refused(log) = scene.push(&config) else { panic!("accepted: {config}") };
        assert!(log.contains(&format!("fault: configuration refused, {told}")), "{log}");
    }
    // A structure instead of text.
    let structure = include_str!("../../../envoy/fault-outbound.yaml").replace("StringValue", "Struct");
    let structure = structure.replace(r#"value: '{"http": []}'"#, "value: { http: [] }");
    let update = scene.mesh.push("client", |options| {
        options.plugins.clear();
        options.filters.remove(0);
        options.patches.push(structure);
    });
    let Update::Refused(log) = update.unwrap() else { panic!("accepted") };
    assert!(log.contains("1 problem: configuration is not JSON text: use google.protobuf.StringValue"), "{log}");
    // Valid, but without effect.
    for nothing in ["", " \n", "{}", r#"{"http": []}"#] {
        assert_eq!(scene.push(nothing), Update::Accepted, "{nothing:?}");
        assert_eq!(scene.status(&scene.get("/").header("connection", "close")), 200);
    }
    let log = scene.mesh.sidecar("client").unwrap().log();
    assert!(log.contains("fault: empty configuration, nothing will be injected"), "{log}");
}

/// F30
#[test]
fn whatever_bytes_come_requests_are_answered() {
    let wide = "{ applyTo: NETWORK_FILTER, match: { context: SIDECAR_OUTBOUND, listener: { filterChain: {
          filter: { name: envoy.filters.network.http_connection_manager } } } },
        patch: { operation: MERGE, value: { typed_config: {
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
          max_request_headers_kb: 96, common_http_protocol_options: { max_headers_count: 200 } } } } }";
    let aborting = |status: u16, matches: &str| {
        crate::scene::named(
            &format!("r{status}"),
            &format!(r#""abort": {{"httpStatus": {status}, ALL}}"#),
            &format!(r#", "match": [{matches}]"#),
        )
    };
    let config = rules(&[
        aborting(511, r#"{"headers": {"user": {"prefix": "M"}}}"#),
        aborting(512, r#"{"headers": {"user": {"regex": ".*"}, "x-99": {"exact": "99"}}}"#),
        aborting(513, r#"{"headers": {"long": {"prefix": "aaaa"}, "other": {"regex": "(a|b)+"}}}"#),
        aborting(514, r#"{"headers": {"empty": {"exact": ""}}}"#),
        aborting(515, r#"{"queryParams": {"q": {"regex": "[a-z]*"}}}"#),
    ]);
    let scene = Setting { outbound: &config, patches: &[wide], ..Setting::default() }.start();
    let status = |lines: &[u8], path: &str| {
        let mut bytes = format!("GET {path} HTTP/1.1\r\nhost: server:9080\r\nconnection: close\r\n").into_bytes();
        bytes.extend_from_slice(lines);
        bytes.extend_from_slice(b"\r\n\r\n");
        let answer = scene.mesh.client().raw(scene.proxy(), &bytes, crate::scene::WAIT).unwrap();
        String::from_utf8_lossy(answer.get(9..12).unwrap_or_default()).into_owned()
    };
    let hundred = |user: &str| (0..100).fold(format!("user: {user}\r\n"), |all, n| format!("{all}x-{n}: {n}\r\n"));
    let long = format!("long: {}\r\nother: ab", "a".repeat(60_000));
    let regex_on_long = format!("long: aaaa\r\nother: {}", "ab".repeat(20_000));
    assert_eq!(status(b"user: M\xfcller", "/"), "511");
    assert_eq!(status(b"user: J\xfcrgen", "/"), "200");
    assert_eq!(status(hundred("Bob").trim_end().as_bytes(), "/"), "512");
    assert_eq!(status(b"user: \xff\xfe\r\nx-99: 99", "/"), "200");
    assert_eq!(status(long.as_bytes(), "/"), "513");
    assert_eq!(status(regex_on_long.as_bytes(), "/"), "200");
    assert_eq!(status(b"empty:", "/"), "514");
    assert_eq!(status(b"empty:    ", "/"), "514");
    assert_eq!(status(b"a: b", "/?q=abc"), "515");
    assert_eq!(status(b"a: b", "/?q=%ff&&&=&q"), "200");
    // Bytes from a formula; none is a line end.
    let _loud = loud();
    for seed in 1_u32..200 {
        let mut state = seed.wrapping_mul(2_654_435_761);
        let mut noise = |length: usize| {
            let bytes = (0..length).map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            });
            bytes.filter(|byte| *byte >= 0x20 && *byte != 0x7f).collect::<Vec<u8>>()
        };
        let lines =
            [b"user: ".as_slice(), &noise(40), b"\r\nother: ", &noise(300), b"\r\nlong: aaaa", &noise(20)].concat();
        assert!(["200", "511", "513"].contains(&status(&lines, "/").as_str()), "{seed}");
    }
    assert_eq!(load::send(scene.proxy(), 8, |_| load::get("/status/200", "")), [(200, 8)].into());
}
