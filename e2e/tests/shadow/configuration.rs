//! S30: rejected configurations, and the end of rules.

use std::time::{SystemTime, UNIX_EPOCH};

use local_mesh::Update;

use crate::scene::{all, ms, with, MIRROR};

/// A rule with these additional fields.
fn rule(fields: &str) -> String {
    format!(r#"{{"http": [{{{fields}}}]}}"#)
}

/// A mirror with these fields.
fn mirror(fields: &str) -> String {
    rule(&format!(r#""mirrors": [{{{fields}}}]"#))
}

/// A mirror that is valid except for these fields.
fn with_field(fields: &str) -> String {
    mirror(&format!(r#""cluster": "c", {fields}"#))
}

/// Rejected configurations, with the text after `configuration refused, 1 problem: `.
fn refused() -> Vec<(String, String)> {
    let one = "http[0].mirrors[0]";
    let to = |fields: &str| mirror(&format!(r#""destination": {{{fields}}}"#));
    let share = |value: &str| with_field(&format!(r#""percentage": {{"value": {value}}}"#));
    let names = |names: &[&str]| {
        let list: Vec<String> = names.iter().map(|name| format!(r#"{{"cluster": "c", "name": "{name}"}}"#)).collect();
        rule(&format!(r#""mirrors": [{}]"#, list.join(",")))
    };
    let limits = |fields: &str| format!(r#"{{"limits": {{{fields}}}}}"#);
    let host = r#""host": "b.ns.svc""#;
    let pseudo = "pseudo-headers and host cannot be changed here, use rewrite or authority";
    let short = format!(r#""mirror": {{{host}, "port": {{"number": 80}}}}"#);
    let list = [
        ("\u{1}{}".to_owned(), "configuration is not JSON text: use google.protobuf.StringValue".to_owned()),
        (rule(&format!(r#"{short}, "mirrors": [{{"cluster": "c"}}]"#)), "http[0]: cannot contain both mirror and mirrors".to_owned()),
        (rule(r#""mirrorPercentage": {"value": 1}"#), "http[0].mirrorPercentage: only with mirror; mirrors have percentage".to_owned()),
        (rule(&format!(r#"{short}, "mirror_percent": 50"#)), "http[0].mirror_percent: deprecated, use mirrorPercentage.value".to_owned()),
        (rule(&format!(r#"{short}, "mirorr": 50"#)), "http[0].mirorr: unknown field (value 50), known are match, mirror, mirrorPercentage, mirrors, name; did you mean `mirror`?".to_owned()),
        (r#"{"tcp": [{"mirror": {}}]}"#.to_owned(), "tcp: rules are for HTTP requests, which stand in http; connections have none".to_owned()),
        (mirror(&format!(r#""cluster": "c", "destination": {{{host}, "port": {{"number": 80}}}}"#)), format!("{one}: exactly one of cluster, destination is required")),
        (mirror(""), format!("{one}: exactly one of cluster, destination is required")),
        (to(host), format!("{one}.destination.port.number: required (the Envoy cluster name contains it)")),
        (to(r#""host": "b", "port": {"number": 80}"#), format!("{one}.destination.host: \"b\" must be fully qualified")),
        (share("100.1"), format!("{one}.percentage.value: 100.1 must have a max value of 100")),
        (share("-1"), format!("{one}.percentage.value: -1 must have a min value of 0")),
        (share("0.00005"), format!("{one}.percentage.value: 0.00005 is neither 0.0, nor in range [0.0001, 100.0]")),
        (rule(&format!(r#"{short}, "mirrorPercentage": {{"value": 101}}"#)), "http[0].mirrorPercentage.value: 101 must have a max value of 100".to_owned()),
        (with_field(r#""timeout": "0s""#), format!("{one}.timeout: \"0s\" must be >= 1ms")),
        (with_field(r#""timeout": "6m""#), format!("{one}.timeout: \"6m\" must be <= 5m")),
        (with_field(r#""timeout": "x""#), format!("{one}.timeout: \"x\" is not a duration (examples: 7s, 2.8s, 100ms)")),
        (with_field(r#""headers": {"set": {":path": "/"}}"#), format!("{one}.headers.set[\":path\"]: {pseudo}")),
        (with_field(r#""headers": {"add": {"Host": "x"}}"#), format!("{one}.headers.add[\"Host\"]: {pseudo}")),
        (with_field(r#""headers": {"remove": ["a b"]}"#), format!("{one}.headers.remove[0]: not a header name")),
        (
            r#"{"limits": {"maxBufferedBytes": 10}, "http": [{"mirrors": [{"cluster": "c", "maxRequestBytes": 20}]}]}"#.to_owned(),
            format!("{one}.maxRequestBytes: 20 > limits.maxBufferedBytes 10"),
        ),
        (with_field(r#""maxRequestBytes": 16777217"#), format!("{one}.maxRequestBytes: 16777217 is not in range 0-16777216")),
        (limits(r#""maxBufferedBytes": 268435457"#), "limits.maxBufferedBytes: 268435457 is not in range 1-268435456".to_owned()),
        (limits(r#""maxInFlight": 0"#), "limits.maxInFlight: 0 is not in range 1-10000".to_owned()),
        (limits(r#""maxInFlight": 10001"#), "limits.maxInFlight: 10001 is not in range 1-10000".to_owned()),
        (names(&["v2", "v2"]), "http[0].mirrors[1].name: duplicate \"v2\"".to_owned()),
        (names(&["v 2"]), format!("{one}.name: \"v 2\" is not a name of 1 to 63 letters, digits, '_', '.' and '-'")),
        (names(&["a", "b", "c", "d", "e", "f", "g", "h", "i"]), "http[0].mirrors: 9, at most 8".to_owned()),
        (with_field(r#""sampling": {"key": "foo"}"#), format!("{one}.sampling.key: \"foo\" must be requestId, random or header:<name>")),
        (with_field(r#""compare": {"body": true, "maxBodyBytes": 0}"#), format!("{one}.compare.maxBodyBytes: 0 is not in range 1-1048576")),
        (with_field(r#""compare": {"body": true, "maxBodyBytes": 1048577}"#), format!("{one}.compare.maxBodyBytes: 1048577 is not in range 1-1048576")),
        (with_field(r#""rewrite": {"uri": "x"}"#), format!("{one}.rewrite.uri: \"x\" is not a path, which begins with /")),
        (with_field(r#""sendOn": "never""#), format!("{one}.sendOn: \"never\" is not allowed, must be \"requestComplete\" or \"primaryResponse\"")),
        (r#"{"markerHeader": "a b"}"#.to_owned(), "markerHeader: \"a b\" is not a header name".to_owned()),
        (r#"{"expiresAt": "x"}"#.to_owned(), "expiresAt: \"x\" is not RFC 3339".to_owned()),
        (
            r#"{"markerHeader": "Content-Type"}"#.to_owned(),
            "markerHeader: \"Content-Type\" must begin with x-, such as x-shadow-mirror".to_owned(),
        ),
        (
            r#"{"markerHeader": "x-request-mirror"}"#.to_owned(),
            "markerHeader: \"x-request-mirror\" begins with x-request, as headers of other requests do, must be another, such as x-shadow-mirror".to_owned(),
        ),
        (with_field(r#""timeuot": "1s""#), format!("{one}.timeuot: unknown field (value \"1s\"), known are appendXForwardedFor, authority, cluster, compare, destination, disableShadowHostSuffixAppend, headers, maxRequestBytes, maxRequestsPerSecond, name, percentage, rewrite, role, sampling, sendOn, timeout, traceContext; did you mean `timeout`?")),
    ];
    list.into()
}

#[test]
fn what_is_wrong_is_named_and_the_old_rules_go_on() {
    let mut scene = with(&all(""));
    scene.may_complain = true;
    for (config, message) in refused() {
        let Update::Refused(log) = scene.push(&config) else { panic!("accepted: {config}") };
        let told = format!("shadow: configuration refused, 1 problem: {message}");
        assert!(log.lines().any(|line| line.ends_with(&told)), "{told}\n{log}");
    }
    assert_eq!(scene.status(&scene.get("/").header("connection", "close")), 200);
    assert_eq!(scene.mirror().only().header("x-shadow-mirror"), "m", "the old rules");
    // Several mistakes at once.
    let Update::Refused(log) = scene.push(&with_field(r#""timeout": "0s", "role": "x", "percentage": {"value": 101}"#))
    else {
        panic!("accepted")
    };
    assert!(log.contains("shadow: configuration refused, 3 problems: "), "{log}");
    // Valid, but without effect; and the remarks about others.
    for nothing in ["", " \n", "{}", r#"{"http": []}"#] {
        assert_eq!(scene.push(nothing), Update::Accepted, "{nothing:?}");
        assert_eq!(scene.status(&scene.get("/").header("connection", "close")), 200);
    }
    let both = format!(
        r#"{{"http": [{{"mirrors": [{{"cluster": "{MIRROR}", "authority": "x", "disableShadowHostSuffixAppend": false}}]}}]}}"#
    );
    assert_eq!(scene.push(&both), Update::Accepted);
    std::thread::sleep(ms(100));
    assert!(scene.mirror().take().is_empty());
    let log = scene.client().log();
    for told in [
        "shadow: empty configuration, nothing will be mirrored",
        "shadow: http[0].mirrors[0].authority: this is the host, without a suffix",
    ] {
        assert!(log.contains(told), "{log}");
    }
}

#[test]
fn rules_end_when_they_are_to() {
    let in_seconds = |seconds: u64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + seconds;
        let (days, rest) = (now / 86_400, now % 86_400);
        // A test needs only years after 2000.
        let (mut year, mut day) = (1970, days);
        let length = |year: u64| if year.is_multiple_of(4) { 366 } else { 365 };
        while day >= length(year) {
            day -= length(year);
            year += 1;
        }
        let months = [31, if length(year) == 366 { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 0;
        while day >= months[month] {
            day -= months[month];
            month += 1;
        }
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        format!("{year:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", month + 1, day + 1)
    };
    let until = |moment: &str| all("").replacen('{', &format!(r#"{{"expiresAt": "{moment}", "#), 1);
    let scene = with("{}");
    scene.push(&until(&in_seconds(3)));
    assert_eq!(scene.status(&scene.get("/").header("connection", "close")), 200);
    scene.mirror().only();
    std::thread::sleep(ms(3100));
    assert_eq!(scene.status(&scene.get("/")), 200);
    scene.push(&until("2020-01-01T00:00:00Z"));
    assert_eq!(scene.status(&scene.get("/").header("connection", "close")), 200);
    std::thread::sleep(ms(100));
    assert!(scene.mirror().take().is_empty());
    assert!(scene.client().log().contains("shadow: expired at 2020-01-01T00:00:00Z, nothing will be mirrored"));
}
