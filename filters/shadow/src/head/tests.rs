use host::pairs;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::budget::Budget;
use crate::config::ShadowConfig;

const HEAD: [(&str, &str); 4] =
    [(":method", "GET"), (":path", "/a/b?q=1"), (":authority", "a:80"), (":scheme", "http")];

/// The headers of the copy of a request with more headers, for a mirror with more fields.
fn copy(more: &[(&str, &str)], body: &[u8], mirror: &str, circumstances: Circumstances) -> Vec<(String, String)> {
    let json = format!(r#"{{"http": [{{"mirrors": [{{"name": "m", "cluster": "c" {mirror}}}]}}]}}"#);
    let config = ShadowConfig::parse(json.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let lines = HEAD.iter().chain(more).map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let mut original = Copied::new(pairs::encode(lines), &Budget::new(1 << 20)).expect("room");
    original.push(body.len(), 1 << 20, || Some(body.to_vec())).expect("room");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let lines = of(&original, &config.rules[0].mirrors[0], circumstances);
    lines.iter().map(|(name, value)| (text(name), text(value))).collect()
}

const PLAIN: Circumstances =
    Circumstances { direction: Direction::Outbound, prefix: None, address: None, marker: None };

/// The lines of one header in the copy.
fn lines_of(name: &str, more: &[(&str, &str)], mirror: &str, circumstances: Circumstances) -> Vec<String> {
    let copy = copy(more, b"", mirror, circumstances);
    copy.into_iter().filter(|(other, _)| other == name).map(|(_, value)| value).collect()
}

#[test]
fn what_is_not_about_the_connection_is_kept_in_order() {
    let more = [
        ("cookie", "a=1"),
        ("x-twice", "1"),
        ("cookie", "b=2"),
        ("x-twice", "2"),
        ("te", "trailers"),
        ("content-length", "0"),
    ];
    let copy = copy(&more, b"", r#", "disableShadowHostSuffixAppend": true"#, PLAIN);
    let expected: Vec<(String, String)> =
        HEAD.iter().chain(&more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(copy, expected);
}

#[test]
fn what_is_about_the_connection_or_an_order_is_left_out() {
    let more = [
        ("connection", "close, X-Listed"),
        ("x-listed", "1"),
        ("keep-alive", "5"),
        ("proxy-connection", "close"),
        ("proxy-authorization", "a"),
        ("proxy-authenticate", "a"),
        ("transfer-encoding", "chunked"),
        ("trailer", "x"),
        ("upgrade", "h2c"),
        ("http2-settings", "a"),
        ("expect", "100-continue"),
        (":protocol", "websocket"),
        ("te", "gzip"),
        ("content-length", "3"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-max-retries", "3"),
        ("x-envoy-upstream-rq-timeout-ms", "5"),
        ("x-envoy-expected-rq-timeout-ms", "5"),
        ("x-envoy-original-path", "/"),
        ("x-envoy-fault-abort-request", "503"),
    ];
    assert_eq!(copy(&more, b"abc", "", PLAIN).len(), HEAD.len());
    let kept =
        [("x-envoy-decorator-operation", "a"), ("x-envoy-peer-metadata", "b"), ("x-envoy-peer-metadata-id", "c")];
    assert_eq!(copy(&kept, b"", "", PLAIN).len(), HEAD.len() + 3);
    let inbound = Circumstances { direction: Direction::Inbound, ..PLAIN };
    assert_eq!(copy(&kept, b"", "", inbound).len(), HEAD.len() + 1);
}

#[test]
fn the_host_has_a_suffix_before_its_port() {
    for (host, expected) in [
        ("a:80", "a-shadow:80"),
        ("a", "a-shadow"),
        ("a:", "a-shadow:"),
        ("[::1]:80", "[::1]-shadow:80"),
        ("[::1]", "[::1]-shadow"),
        ("", "-shadow"),
    ] {
        assert_eq!(with_suffix(host.as_bytes()), expected.as_bytes());
    }
    assert_eq!(lines_of(":authority", &[], "", PLAIN), ["a-shadow:80"]);
    assert_eq!(lines_of(":authority", &[], r#", "authority": "b""#, PLAIN), ["b"]);
    assert_eq!(lines_of(":authority", &[], r#", "rewrite": {"authority": "b:1"}"#, PLAIN), ["b:1"]);
}

#[test]
fn the_path_is_rewritten_as_in_istio() {
    let at = |prefix| Circumstances { prefix, ..PLAIN };
    for (uri, prefix, expected) in [
        ("/x", None, "/x?q=1"),
        ("/x", Some(2), "/x/b?q=1"),
        ("/", Some(2), "/b?q=1"),
        ("/x/", Some(3), "/x/b?q=1"),
        ("/x", Some(100), "/x"),
    ] {
        let mirror = format!(r#", "rewrite": {{"uri": "{uri}"}}"#);
        assert_eq!(lines_of(":path", &[], &mirror, at(prefix)), [expected], "{uri} {prefix:?}");
    }
}

#[test]
fn this_proxy_is_the_last_that_forwarded() {
    let here = Circumstances { address: Some("192.0.2.2"), ..PLAIN };
    let name = "x-forwarded-for";
    assert_eq!(lines_of(name, &[], "", here), ["192.0.2.2"]);
    assert_eq!(lines_of(name, &[(name, "9.9.9.9")], "", here), ["9.9.9.9,192.0.2.2"]);
    assert_eq!(lines_of(name, &[(name, "1"), (name, "2")], "", here), ["1", "2,192.0.2.2"]);
    assert_eq!(lines_of(name, &[(name, "")], "", here), ["192.0.2.2"]);
    assert_eq!(lines_of(name, &[(name, "1")], r#", "appendXForwardedFor": false"#, here), ["1"]);
    assert_eq!(address_of_node("sidecar~10.1.2.3~pod.ns~ns.svc"), Some("10.1.2.3"));
    assert_eq!(address_of_node("router~fd00::1~pod.ns~ns.svc"), Some("fd00::1"));
    assert_eq!([address_of_node("ingress"), address_of_node("a~b~c"), address_of_node("")], [None; 3]);
}

#[test]
fn traces_are_not_sampled_kept_or_dropped() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let b3 = format!("{trace}-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90");
    let more = [
        ("traceparent", parent.as_str()),
        ("tracestate", "a=b"),
        ("b3", b3.as_str()),
        ("x-b3-traceid", trace),
        ("x-b3-sampled", "1"),
        ("x-b3-flags", "1"),
    ];
    let values = |mirror: &str| {
        let lines = copy(&more, b"", mirror, PLAIN);
        lines.into_iter().skip(HEAD.len()).map(|(_, value)| value).collect::<Vec<_>>()
    };
    let unsampled_parent = parent.replace("-01", "-00");
    let unsampled_b3 = b3.replace("-1-", "-0-");
    assert_eq!(values(""), [unsampled_parent.as_str(), "a=b", &unsampled_b3, trace, "0", "0"]);
    assert_eq!(values(r#", "traceContext": "keep""#), more.map(|(_, value)| value));
    assert!(values(r#", "traceContext": "drop""#).is_empty());
    for (b3, expected) in [("1", "0"), ("d", "0"), ("t-s", "t-s-0"), ("t-s-d", "t-s-0"), ("", "0")] {
        assert_eq!(unsampled(b"b3", b3.as_bytes()), expected.as_bytes());
    }
    assert_eq!(unsampled(b"traceparent", b"odd"), b"odd".as_slice());
}

#[test]
fn the_operator_has_the_last_word() {
    let marked = Circumstances { marker: Some("x-shadow-mirror"), ..PLAIN };
    let more = [("x-a", "1"), ("x-a", "2"), ("x-b", "3"), ("x-shadow-mirror", "other")];
    assert_eq!(lines_of("x-shadow-mirror", &more, "", marked), ["m"]);
    let mirror =
        r#", "headers": {"set": {"X-A": "s"}, "add": {"x-b": "4", "x-c": "5"}, "remove": ["x-shadow-mirror", "X-C"]}"#;
    let copy = copy(&more, b"", mirror, marked);
    let expected = [("x-b", "3"), ("x-a", "s"), ("x-b", "4"), ("x-c", "5")];
    let tail: Vec<(&str, &str)> =
        copy.iter().skip(HEAD.len()).map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(tail, expected);
}
