//! S1 to S6: the content of a copy.

use std::io::Write;
use std::net::TcpStream;

use hyper::Method;
use local_mesh::{tools, Request};

use crate::backend::Reply;
use crate::scene::{all, mirror, ms, with, Scene, Setting, MIRROR};

/// S1, on every Envoy that `make setup` downloads.
#[test]
fn a_request_is_mirrored_with_the_headers_that_envoy_would_give_it() {
    for envoy in tools::ENVOY_VERSIONS {
        let scene = Setting { rules: &all(""), envoy: Some(envoy), ..Setting::default() }.start();
        scene.server.reply(Reply { headers: vec![("x-from", "server")], ..Reply::default() });
        scene.mirror().reply(Reply::status(500));
        let answer = scene.send(&scene.get("/a?b=c").header("x-forwarded-for", "9.9.9.9").header("x-own", "1"));
        assert_eq!((answer.status, answer.header("x-from")), (200, Some("server")));
        assert_eq!(answer.header("x-shadow-mirror"), None);
        let (original, copy) = (scene.server.only(), scene.mirror().only());
        assert_eq!(copy.what, "GET /a?b=c");
        assert_eq!(copy.header("host"), "server-shadow:9080");
        let forwarded = copy.header("x-forwarded-for");
        assert!(forwarded.ends_with(&format!(",{}", scene.client().ip())), "{forwarded}");
        assert_eq!(copy.header("x-envoy-internal"), "true");
        assert_eq!(copy.header("x-request-id"), original.header("x-request-id"));
        assert!(!copy.header("x-request-id").is_empty());
        assert_eq!(copy.header("x-shadow-mirror"), "m");
        assert_eq!(copy.header("x-own"), "1");
        // Our value, not the original's.
        assert_eq!(copy.header("x-envoy-expected-rq-timeout-ms"), "5000");
        assert_eq!(original.header("x-shadow-mirror"), "");
        scene.expect("shadow_requests_total", &[("m", 1)]);
        scene.expect("shadow_responses_total", &[("m 5xx", 1)]);
        scene.expect("shadow_compare_total", &[("m candidate class_mismatch", 1)]);
        scene.expect("shadow_status_pairs_total", &[("m 2xx/5xx", 1)]);
    }
}

/// S1: the mirror is slow, and the client does not notice.
#[test]
fn the_client_waits_for_no_mirror() {
    let scene = with(&all(""));
    scene.mirror().reply(Reply::after(500));
    let (status, took) = scene.timed(&scene.get("/"));
    assert!(status == 200 && took < ms(300), "{took:?}");
    scene.expect("shadow_responses_total", &[("m 2xx", 1)]);
}

/// The host in the copy, for a host in the original.
fn host(scene: &Scene, sent: &str) -> String {
    let head = format!("GET / HTTP/1.1\r\nhost: {sent}\r\nconnection: close\r\n\r\n");
    assert!(scene.raw(head.as_bytes(), ms(2000)).starts_with("HTTP/1.1 200"), "{sent}");
    scene.mirror().only().header("host")
}

/// S2
#[test]
fn the_host_has_a_suffix_where_envoy_puts_it_or_is_another() {
    let any_host = "{ applyTo: VIRTUAL_HOST, match: { context: SIDECAR_OUTBOUND, routeConfiguration: { vhost: {
        name: 'server.default.svc.cluster.local:9080' } } }, patch: { operation: MERGE, value: { domains: ['a', 'a:80', 'a:', '[::1]', '[::1]:80'] } } }";
    let scene = Setting { rules: &all(""), patches: &[any_host], ..Setting::default() }.start();
    for (sent, copied) in [
        ("a", "a-shadow"),
        ("a:80", "a-shadow:80"),
        ("a:", "a-shadow:"),
        ("[::1]", "[::1]-shadow"),
        ("[::1]:80", "[::1]-shadow:80"),
    ] {
        assert_eq!(host(&scene, sent), copied);
    }
    for (field, copied) in [
        (r#""disableShadowHostSuffixAppend": true"#, "a:80"),
        (r#""authority": "other.example:81""#, "other.example:81"),
        (r#""rewrite": {"authority": "other"}"#, "other"),
    ] {
        scene.push(&all(field));
        assert_eq!(host(&scene, "a:80"), copied);
    }
}

/// A body in which a missing, repeated or moved byte is visible.
fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ (at / 251) as u8).collect()
}

/// A request with a chunked body and trailers.
fn chunked(path: &str, body: &[u8], trailers: &str) -> Vec<u8> {
    let mut bytes = format!("POST {path} HTTP/1.1\r\nhost: server:9080\r\ntransfer-encoding: chunked\r\n").into_bytes();
    if !trailers.is_empty() {
        bytes.extend_from_slice(b"trailer: x-sum\r\n");
    }
    bytes.extend_from_slice(b"connection: close\r\n\r\n");
    for chunk in body.chunks(10_000) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    bytes
}

/// S3
#[test]
fn bodies_are_copied_whole_or_not_at_all() {
    const CAP: usize = 500_000;
    let scene = with(&all(&format!(r#""maxRequestBytes": {CAP}"#)));
    for length in [0, 1, 17, 32_768, 300_000, CAP] {
        assert_eq!(scene.status(&scene.post("/known", body(length))), 200);
        let (original, copy) = (scene.server.only(), scene.mirror().only());
        assert!(original.body == body(length) && copy.body == original.body, "{length}");
        assert_eq!(copy.header("content-length"), length.to_string());
        assert!(scene.raw(&chunked("/chunked", &body(length), ""), ms(3000)).starts_with("HTTP/1.1 200"), "{length}");
        let (original, copy) = (scene.server.only(), scene.mirror().only());
        assert!(original.body == body(length) && copy.body == original.body, "{length} in chunks");
        assert_eq!(original.header("transfer-encoding"), "chunked");
        assert_eq!(copy.header("transfer-encoding"), "");
        assert_eq!(copy.header("content-length"), length.to_string(), "{length} in chunks");
        // Over HTTP/2, which also announces no length.
        assert_eq!(scene.status(&scene.post("/http2", body(length)).http2()), 200);
        let (original, copy) = (scene.server.only(), scene.mirror().only());
        assert!(original.body == body(length) && copy.body == original.body, "{length} over HTTP/2");
    }
    scene.expect("shadow_requests_total", &[("m", 18)]);
    scene.expect("shadow_skipped_total", &[]);
    for (sent, request) in
        [scene.post("/", body(CAP + 1)), scene.post("/", body(CAP + 1)).http2()].into_iter().enumerate()
    {
        assert_eq!(scene.status(&request), 200);
        assert_eq!(scene.server.only().body.len(), CAP + 1);
        scene.expect("shadow_skipped_total", &[("m body_too_large", sent as u64 + 1)]);
    }
    assert!(scene.raw(&chunked("/", &body(CAP + 1), ""), ms(3000)).starts_with("HTTP/1.1 200"));
    scene.expect("shadow_skipped_total", &[("m body_too_large", 3)]);
    assert_eq!(scene.total("shadow_buffered_bytes"), 0);
    // A body that announces too much is skipped at once.
    let mut stream = TcpStream::connect(scene.proxy()).unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: server:9080\r\ncontent-length: {}\r\n\r\n", CAP + 1);
    stream.write_all(&[head.as_bytes(), &body(CAP / 2)].concat()).unwrap();
    scene.expect("shadow_skipped_total", &[("m body_too_large", 4)]);
    assert_eq!(scene.total("shadow_buffered_bytes"), 0);
    drop(stream);
    scene.expect("shadow_requests_total", &[("m", 18)]);
    assert!(scene.mirror().take().is_empty());
}

/// S4
#[test]
fn trailers_are_left_out_and_counted() {
    let with_trailers = "{ applyTo: NETWORK_FILTER, match: { context: SIDECAR_OUTBOUND, listener: { filterChain: {
          filter: { name: envoy.filters.network.http_connection_manager } } } },
        patch: { operation: MERGE, value: { typed_config: {
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
          http_protocol_options: { enable_trailers: true } } } } }";
    let scene = Setting { rules: &all(""), patches: &[with_trailers], ..Setting::default() }.start();
    let request = chunked("/", &body(1000), "x-sum: 7\r\n");
    assert!(scene.raw(&request, ms(3000)).starts_with("HTTP/1.1 200"));
    let copy = scene.mirror().only();
    assert_eq!(copy.body, body(1000));
    assert!(!copy.had_trailers);
    assert_eq!(copy.header("trailer"), "");
    scene.expect("shadow_trailers_dropped_total", &[("m", 1)]);
}

/// S5
#[test]
fn orders_to_routers_and_what_is_about_a_connection_are_left_out() {
    let trusting = "{ applyTo: NETWORK_FILTER, match: { context: SIDECAR_OUTBOUND, listener: { filterChain: {
          filter: { name: envoy.filters.network.http_connection_manager } } } },
        patch: { operation: MERGE, value: { typed_config: {
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
          internal_address_config: { cidr_ranges: [ { address_prefix: 10.0.0.0, prefix_len: 8 } ] } } } } }";
    let scene = Setting { rules: &all(""), patches: &[trusting], ..Setting::default() }.start();
    scene.server.reply(Reply::status(500));
    scene.mirror().reply(Reply::status(500));
    let orders = [
        "x-envoy-retry-on: 5xx",
        "x-envoy-retry-grpc-on: cancelled",
        "x-envoy-max-retries: 3",
        "x-envoy-upstream-rq-timeout-ms: 5000",
        "x-envoy-upstream-rq-per-try-timeout-ms: 5000",
        "x-envoy-upstream-rq-timeout-alt-response: 1",
        "x-envoy-upstream-stream-duration-ms: 5000",
        "x-envoy-upstream-alt-stat-name: other",
        "x-envoy-hedge-on-per-try-timeout: false",
        "x-envoy-retriable-status-codes: 500",
        "x-envoy-retriable-header-names: x-a",
        "x-envoy-attempt-count: 1",
        "x-envoy-expected-rq-timeout-ms: 77",
        "x-envoy-is-timeout-retry: false",
        "x-envoy-original-path: /other",
        "x-envoy-fault-abort-request: 503",
        "x-envoy-fault-delay-request: 5",
        "keep-alive: 5",
        "proxy-connection: keep-alive",
        "proxy-authorization: Basic YQ==",
        "proxy-authenticate: Basic",
        "x-listed: 1",
        "te: gzip",
        "trailer: x-sum",
        "http2-settings: AAMAAABk",
        "expect: 100-continue",
    ];
    // Envoy obeys clients in its own network.
    let head = format!(
        "POST / HTTP/1.1\r\nhost: server:9080\r\nconnection: close, x-listed\r\nx-kept: 1\r\n\
         x-forwarded-for: 10.0.0.1\r\n{}\r\ncontent-length: 2\r\n\r\nab",
        orders.join("\r\n")
    );
    let answer = scene.raw(head.as_bytes(), ms(3000));
    assert!(answer.contains("HTTP/1.1 500"), "{answer}");
    assert_eq!(scene.server.count(), 4, "the router trusts this client, and obeys");
    let copy = scene.mirror().only();
    for (name, _) in orders.iter().filter_map(|line| line.split_once(':')) {
        // Envoy writes its own value.
        let expected = if name == "x-envoy-expected-rq-timeout-ms" { "5000" } else { "" };
        assert_eq!(copy.header(name), expected, "{name}");
    }
    assert_eq!((copy.header("x-kept"), copy.header("content-length")), ("1".to_owned(), "2".to_owned()));
    assert_eq!(copy.body, b"ab".as_slice());
    // Otherwise, the router would also have made four copies.
    std::thread::sleep(ms(300));
    assert!(scene.mirror().take().is_empty());
    scene.expect("shadow_requests_total", &[("m", 1)]);
}

/// S6
#[test]
fn headers_arrive_as_they_are_or_as_configured() {
    let wide = "{ applyTo: NETWORK_FILTER, match: { context: SIDECAR_OUTBOUND, listener: { filterChain: {
          filter: { name: envoy.filters.network.http_connection_manager } } } },
        patch: { operation: MERGE, value: { typed_config: {
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
          max_request_headers_kb: 96 } } } }";
    let scene = Setting { rules: &all(""), patches: &[wide], ..Setting::default() }.start();
    let long = "x".repeat(60_000);
    let mut head =
        b"GET /v1/a?q=1 HTTP/1.1\r\nhost: server:9080\r\nconnection: close\r\ncookie: a=1\r\ncookie: b=2\r\n\
        x-twice: 1\r\nx-twice: 2\r\nx-latin: M\xfcller\r\nx-empty:\r\nauthorization: Bearer t\r\n"
            .to_vec();
    head.extend_from_slice(format!("x-long: {long}\r\n\r\n").as_bytes());
    let send = || {
        assert!(scene.raw(&head, ms(3000)).starts_with("HTTP/1.1 200"));
        (scene.server.only(), scene.mirror().only())
    };
    let (original, copy) = send();
    for name in
        ["cookie", "x-twice", "x-latin", "x-empty", "authorization", "x-long", "user-agent", "x-forwarded-proto"]
    {
        let lines = |seen: &crate::backend::Seen| {
            seen.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        assert_eq!(lines(&original), lines(&copy), "{name}");
    }
    assert_eq!(copy.header("x-twice"), "1|2");
    scene.push(
        &all(r#""headers": {"set": {"X-Set": "s", "x-empty": "e"}, "add": {"x-twice": "3"}, "remove": ["authorization", "Cookie"]},
                "rewrite": {"uri": "/v2"}"#),
    );
    let (original, copy) = send();
    assert_eq!((original.what.as_str(), copy.what.as_str()), ("GET /v1/a?q=1", "GET /v2?q=1"));
    assert_eq!(
        (copy.header("x-set"), copy.header("x-empty"), copy.header("x-twice")),
        ("s".into(), "e".into(), "1|2|3".into())
    );
    assert_eq!((copy.header("authorization"), copy.header("cookie")), (String::new(), String::new()));
    assert_eq!((original.header("x-set"), original.header("x-twice")), (String::new(), "1|2".into()));
    assert_eq!(original.header("authorization"), "Bearer t");
    // The prefix in the rule's match is replaced.
    let with_prefix = format!(
        r#"{{"http": [{{"match": [{{"uri": {{"exact": "/"}}}}, {{"uri": {{"prefix": "/v1"}}}}], "mirrors": [{}]}}]}}"#,
        mirror("m", MIRROR, r#""rewrite": {"uri": "/v2"}"#)
    );
    scene.push(&with_prefix);
    assert_eq!(send().1.what, "GET /v2/a?q=1");
}

/// Unusual requests, which also end well.
#[test]
fn methods_without_bodies_are_mirrored_as_they_are() {
    let scene = with(&all(""));
    for method in [Method::HEAD, Method::OPTIONS, Method::DELETE, Method::PUT] {
        let request: Request = scene.get("/x").method(method.clone());
        assert_eq!(scene.status(&request), 200);
        assert_eq!(scene.mirror().only().what, format!("{method} /x"));
        scene.server.take();
    }
    scene.expect("shadow_compare_total", &[("m candidate match", 4)]);
}
