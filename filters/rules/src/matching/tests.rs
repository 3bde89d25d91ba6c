use configuration;
use host::fake::FakeHost;
use host::property::LISTENER_DIRECTION;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::matches;

/// A request with these headers in addition to the standard ones.
fn request(path: &str, lines: &[(&str, &str)]) -> FakeHost {
    let mut host = FakeHost::new();
    for (name, value) in [(":path", path), (":method", "GET"), (":authority", "reviews:9080"), (":scheme", "http")] {
        host.with_header(HeaderMap::Request, name, value);
    }
    for (name, value) in lines {
        host.with_line(HeaderMap::Request, name, value.as_bytes());
    }
    host
}

/// Whether a rule with this `match` list applies to the request.
fn is_for(matches: &str, host: &FakeHost) -> bool {
    let json = format!(r#"{{"match": [{matches}]}}"#);
    let mut names = HeaderNames::new();
    let mut matches = configuration::parse(json.as_bytes(), |section| matches::read(section, &mut names))
        .unwrap_or_else(|error| panic!("{error}"));
    look_at_node(&mut matches, host);
    host.take_calls();
    let mut known = RequestCache::default();
    known.forget(&names);
    RequestAtHand::new(host, &names, &mut known).is_meant_by(&matches)
}

#[test]
fn every_condition_hits_and_misses() {
    let host = &request("/ratings/1?user=jason&flag&user=bob&x=a%20b", &[("end-user", "jason"), ("empty", "")]);
    for (matches, expected) in [
        ("", true),
        ("{}", true),
        (r#"{"uri": {"exact": "/ratings/1"}}"#, true),
        (r#"{"uri": {"exact": "/ratings/1?user=jason"}}"#, false),
        (r#"{"uri": {"exact": "/Ratings/1"}}"#, false),
        (r#"{"uri": {"exact": "/Ratings/1"}, "ignoreUriCase": true}"#, true),
        (r#"{"uri": {"prefix": "/ratings"}}"#, true),
        (r#"{"uri": {"prefix": "/RATINGS"}, "ignoreUriCase": true}"#, true),
        (r#"{"uri": {"prefix": "/ratings/1?"}}"#, false),
        (r#"{"uri": {"regex": "/ratings/\\d"}}"#, true),
        (r#"{"uri": {"regex": "/ratings"}}"#, false),
        (r#"{"uri": {"regex": "/RATINGS/."}, "ignoreUriCase": true}"#, false),
        (r#"{"method": {"exact": "GET"}}"#, true),
        (r#"{"method": {"exact": "get"}}"#, false),
        (r#"{"authority": {"prefix": "reviews"}}"#, true),
        (r#"{"authority": {"exact": "reviews"}}"#, false),
        (r#"{"scheme": {"exact": "http"}}"#, true),
        (r#"{"scheme": {"exact": "https"}}"#, false),
        (r#"{"headers": {"End-User": {"exact": "jason"}}}"#, true),
        (r#"{"headers": {"end-user": {"exact": "Jason"}}}"#, false),
        (r#"{"headers": {"end-user": {}}}"#, true),
        (r#"{"headers": {"empty": {}}}"#, true),
        (r#"{"headers": {"empty": {"exact": ""}}}"#, true),
        (r#"{"headers": {"other": {}}}"#, false),
        (r#"{"headers": {"other": {"exact": ""}}}"#, false),
        (r#"{"headers": {"end-user": {}, "other": {}}}"#, false),
        (r#"{"headers": {":path": {"prefix": "/ratings/1?user="}}}"#, true),
        (r#"{"withoutHeaders": {"other": {"exact": "x"}}}"#, true),
        (r#"{"withoutHeaders": {"end-user": {"exact": "bob"}}}"#, true),
        (r#"{"withoutHeaders": {"end-user": {"exact": "jason"}}}"#, false),
        (r#"{"withoutHeaders": {"end-user": {}}}"#, false),
        (r#"{"queryParams": {"user": {"exact": "jason"}}}"#, true),
        (r#"{"queryParams": {"user": {"exact": "bob"}}}"#, false),
        (r#"{"queryParams": {"flag": {}}}"#, true),
        (r#"{"queryParams": {"flag": {"exact": ""}}}"#, true),
        (r#"{"queryParams": {"fla": {}}}"#, false),
        (r#"{"queryParams": {"x": {"exact": "a%20b"}}}"#, true),
        (r#"{"uri": {"exact": "/x"}}, {"method": {"exact": "GET"}}"#, true),
        (r#"{"uri": {"exact": "/x"}}, {"method": {"exact": "PUT"}}"#, false),
    ] {
        assert_eq!(is_for(matches, host), expected, "{matches}");
    }
}

/// Istio's own table: `translateHeaderMatch` makes a `HeaderMatcher` of each, with `present_match` for `{}` and `*`, and else with
/// `string_match`, which no absent header matches. For `withoutHeaders`, it adds `invert_match`, and beside `string_match`
/// `treat_missing_header_as_empty`. `fault::matching` asks Envoy itself.
#[test]
fn headers_that_are_absent_or_empty_are_as_istiod_configures_them() {
    for (pattern, [absent, empty, v, w], [without_absent, without_empty, without_v, without_w]) in [
        ("{}", [false, true, true, true], [true, false, false, false]),
        (r#"{"regex": "*"}"#, [false, true, true, true], [true, false, false, false]),
        (r#"{"exact": ""}"#, [false, true, false, false], [false, false, true, true]),
        (r#"{"exact": "v"}"#, [false, false, true, false], [true, true, false, true]),
        (r#"{"prefix": ""}"#, [false, true, true, true], [false, false, false, false]),
        (r#"{"prefix": "v"}"#, [false, false, true, false], [true, true, false, true]),
        (r#"{"regex": ".*"}"#, [false, true, true, true], [false, false, false, false]),
        (r#"{"regex": "v?"}"#, [false, true, true, false], [false, false, false, true]),
        (r#"{"regex": "v"}"#, [false, false, true, false], [true, true, false, true]),
        (r#"{"regex": ".+"}"#, [false, false, true, true], [true, true, false, false]),
    ] {
        for (lines, expected, without) in [
            (&[][..], absent, without_absent),
            (&[("x-a", "")], empty, without_empty),
            (&[("x-a", "v")], v, without_v),
            (&[("x-a", "w")], w, without_w),
        ] {
            // Alone, and after so many others that all headers are read at once.
            for (others, conditions) in [(&[][..], ""), (&[("a", ""), ("b", "")], r#""a": {}, "b": {}"#)] {
                let host = &request("/", &[others, lines].concat());
                let comma = if conditions.is_empty() { "" } else { ", " };
                let with = format!(r#"{{"headers": {{{conditions}{comma}"x-a": {pattern}}}}}"#);
                assert_eq!(is_for(&with, host), expected, "{with} {lines:?}");
                let with = format!(r#"{{"headers": {{{conditions}}}, "withoutHeaders": {{"x-a": {pattern}}}}}"#);
                assert_eq!(is_for(&with, host), without, "{with} {lines:?}");
            }
        }
    }
}

#[test]
fn an_asterisk_says_that_there_is_something() {
    let host = &request("/?user=jason&flag", &[("end-user", "jason")]);
    for (matches, expected) in [
        (r#"{"headers": {"end-user": {"regex": "*"}, ":path": {"regex": "*"}}}"#, true),
        (r#"{"headers": {"other": {"regex": "*"}}}"#, false),
        (r#"{"withoutHeaders": {"end-user": {"regex": "*"}}}"#, false),
        (r#"{"withoutHeaders": {"other": {"regex": "*"}}}"#, true),
        (r#"{"queryParams": {"user": {"regex": "*"}, "flag": {"regex": "*"}}}"#, true),
        (r#"{"queryParams": {"other": {"regex": "*"}}}"#, false),
        (r#"{"method": {"regex": "*"}, "authority": {"regex": "*"}, "scheme": {"regex": "*"}}"#, true),
        (r#"{"sourcePrincipals": [{"regex": "*"}]}"#, false),
    ] {
        assert_eq!(is_for(matches, host), expected, "{matches}");
    }
    let error = configuration::parse(br#"{"match": [{"uri": {"regex": "*"}}]}"#, |section| {
        matches::read(section, &mut HeaderNames::new());
    });
    let told = "match[0].uri.regex: \"*\" is no expression, and every request has a path: leave uri out";
    assert_eq!(error.map_err(|error| error.to_string()), Err(format!("configuration refused, 1 problem: {told}")));
}

#[test]
fn rules_that_no_request_gets_to_are_told() {
    let unreached = |rules: &[&str]| {
        let read = |json: &&str| {
            let json = format!(r#"{{"match": [{json}]}}"#);
            configuration::parse(json.as_bytes(), |section| matches::read(section, &mut HeaderNames::new()))
                .expect("valid")
        };
        let rules: Vec<_> = rules.iter().map(read).collect();
        matches::unreached(&mut rules.iter().map(Vec::as_slice))
    };
    let one = r#"{"headers": {"a": {}}}"#;
    for rules in [&[][..], &[""], &[one], &[one, one], &[one, ""], &[one, "{}"]] {
        assert_eq!(unreached(rules), None, "{rules:?}");
    }
    for (rules, index) in
        [(&["", one][..], 0), (&["{}", ""], 0), (&[one, r#"{"headers": {"a": {}}}, {"name": "b"}"#, one], 1)]
    {
        let told = format!("http[{index}] is for every request: no request gets to the rules after it");
        assert_eq!(unreached(rules), Some(told), "{rules:?}");
    }
}

#[test]
fn any_line_of_a_header_will_do() {
    let host = &request("/", &[("x", "1"), ("x", "2")]);
    for (matches, expected) in [
        (r#"{"headers": {"x": {"exact": "1"}}}"#, true),
        (r#"{"headers": {"x": {"exact": "2"}}}"#, true),
        (r#"{"headers": {"x": {"exact": "1,2"}}}"#, false),
        (r#"{"withoutHeaders": {"x": {"exact": "2"}}}"#, false),
        (r#"{"withoutHeaders": {"x": {"exact": "3"}}}"#, true),
        (r#"{"headers": {"x": {"exact": "2"}}, "withoutHeaders": {"x": {"exact": "3"}}, "uri": {"exact": "/"}}"#, true),
    ] {
        assert_eq!(is_for(matches, host), expected, "{matches}");
    }
}

#[test]
fn the_host_is_the_authority_whatever_was_asked_before() {
    let host = &request("/a", &[("a", "1"), ("b", "2"), ("c", "3")]);
    for before in ["", r#""a": {}"#, r#""a": {}, "b": {}"#, r#""a": {}, "b": {}, "c": {}"#] {
        for name in ["host", "Host", "HOST", ":authority"] {
            let with = |value: &str| {
                let separator = if before.is_empty() { "" } else { ", " };
                is_for(&format!(r#"{{"headers": {{{before}{separator}"{name}": {value}}}}}"#), host)
            };
            assert!(with(r#"{"exact": "reviews:9080"}"#) && with("{}"), "{name} after {before}");
            assert!(!with(r#"{"exact": "ratings:9080"}"#), "{name} after {before}");
            let without = |value: &str| {
                is_for(&format!(r#"{{"headers": {{{before}}}, "withoutHeaders": {{"{name}": {value}}}}}"#), host)
            };
            assert!(!without(r#"{"exact": "reviews:9080"}"#) && !without("{}"), "without {name} after {before}");
            assert!(without(r#"{"exact": "ratings:9080"}"#), "without {name} after {before}");
        }
    }
}

#[test]
fn bytes_that_are_no_text_do_no_harm() {
    let mut host = request("/", &[]);
    host.with_line(HeaderMap::Request, "user", b"M\xfcller").with_line(HeaderMap::Request, "long", &[b'a'; 60_000]);
    for (matches, expected) in [
        (r#"{"headers": {"user": {"prefix": "M"}}}"#, true),
        (r#"{"headers": {"user": {"exact": "Müller"}}}"#, false),
        (r#"{"headers": {"user": {"regex": ".*"}}}"#, false),
        (r#"{"headers": {"long": {"prefix": "aaa"}}}"#, true),
        (r#"{"headers": {"long": {"regex": "(a|aa)*"}}}"#, false),
    ] {
        assert_eq!(is_for(matches, &host), expected, "{matches}");
    }
}

#[test]
fn attributes_of_the_connection_and_the_route_are_conditions() {
    let mut host = request("/", &[("x-envoy-downstream-service-node", "sidecar-1")]);
    host.with_int(property::DESTINATION_PORT, 9080)
        .with_text(property::CLUSTER_NAME, "outbound|9080|v2|reviews.default.svc.cluster.local")
        .with_text(property::ROUTE_NAME, "canary")
        .with_text(property::CONNECTION_PEER_SAN, "spiffe://cluster.local/ns/default/sa/reviews");
    let matches = [
        r#"{"port": 9080}"#,
        r#"{"upstreamCluster": {"regex": ".*\\|v2\\|.*"}}"#,
        r#"{"routeName": {"exact": "canary"}}"#,
        r#"{"sourcePrincipals": [{"exact": "x"}, {"prefix": "spiffe://cluster.local/ns/default/"}]}"#,
        r#"{"downstreamNodes": ["sidecar-0", "sidecar-1"]}"#,
    ];
    for hit in matches {
        assert!(is_for(hit, &host), "{hit}");
        assert!(!is_for(hit, &FakeHost::new()), "nothing is known: {hit}");
    }
    for miss in [
        r#"{"port": 9081}"#,
        r#"{"upstreamCluster": {"exact": "outbound|9080|v1|reviews.default.svc.cluster.local"}}"#,
        r#"{"routeName": {"prefix": "x"}}"#,
        r#"{"sourcePrincipals": [{"exact": "spiffe://cluster.local/ns/default/sa"}]}"#,
        r#"{"sourcePrincipals": []}"#,
        r#"{"downstreamNodes": ["sidecar"]}"#,
    ] {
        assert!(!is_for(miss, &host), "{miss}");
    }
}

#[test]
fn the_source_is_the_node_on_the_way_out_and_the_peer_on_the_way_in() {
    let set = |host: &mut FakeHost, prefix: &str, namespace: &str| {
        for (path, value) in [("labels\0app", "reviews"), ("labels\0version", "v2"), ("namespace", namespace)] {
            let path = match (prefix, path) {
                ("", "namespace") => property::node_metadata("NAMESPACE"),
                ("", label) => property::node_label(label.trim_start_matches("labels\0")),
                (prefix, path) => [prefix, path].join("\0"),
            };
            host.with_text(Property(&path), value);
        }
    };
    let reviews = r#"{"sourceLabels": {"app": "reviews", "version": "v2"}, "sourceNamespace": "default"}"#;
    let mut outbound = request("/", &[]);
    outbound.with_int(LISTENER_DIRECTION, 2);
    assert!(!is_for(reviews, &outbound), "unknown");
    set(&mut outbound, "", "default");
    assert!(is_for(reviews, &outbound));
    assert!(is_for(r#"{"sourceLabels": {"app": "reviews"}}"#, &outbound));
    assert!(!is_for(r#"{"sourceLabels": {"app": "ratings"}}"#, &outbound));
    assert!(!is_for(r#"{"sourceNamespace": "other"}"#, &outbound));
    let mut inbound = request("/", &[]);
    inbound.with_int(LISTENER_DIRECTION, 1);
    set(&mut inbound, "", "default");
    assert!(!is_for(reviews, &inbound), "the node is not the source here");
    set(&mut inbound, "downstream_peer", "default");
    assert!(is_for(reviews, &inbound));
    set(&mut inbound, "downstream_peer", "other");
    assert!(!is_for(reviews, &inbound));
}

#[test]
fn little_is_asked_of_envoy() {
    let host = &request("/a", &[("a", "1"), ("b", "2"), ("c", "3")]);
    for (matches, calls) in [
        (r#"{"headers": {"x": {"exact": "1"}}}"#, 1),
        (r#"{"headers": {"x": {"exact": "1"}}, "uri": {"exact": "/"}, "sourceNamespace": "a", "port": 1}"#, 1),
        (r#"{"headers": {"x": {}}}, {"headers": {"x": {"exact": "1"}}, "uri": {"exact": "/"}}"#, 1),
        (r#"{"headers": {"a": {"exact": "1"}}}"#, 1),
        (r#"{"headers": {"a": {"exact": "2"}}}"#, 2),
        (r#"{"withoutHeaders": {"x": {"exact": ""}}}"#, 1),
        (r#"{"withoutHeaders": {"a": {"exact": "1"}}}"#, 1),
        (r#"{"uri": {"exact": "/"}}"#, 1),
        (r#"{"uri": {"exact": "/"}}, {"uri": {"exact": "/b"}}, {"queryParams": {"a": {}}}"#, 1),
        (r#"{"uri": {"exact": "/a"}, "method": {"exact": "PUT"}, "authority": {"exact": "x"}}"#, 2),
        (r#"{"headers": {"a": {}, "b": {}, "c": {}}, "uri": {"exact": "/a"}, "method": {"exact": "GET"}}"#, 3),
        (r#"{"upstreamCluster": {"exact": "/"}}"#, 1),
        (r#"{"sourceNamespace": "a"}"#, 1),
    ] {
        is_for(matches, host);
        assert_eq!(host.take_calls(), calls, "{matches}");
    }
}
