//! Requests with content that is difficult to write on a line.

use std::time::Duration;

use local_mesh::{envoy_filter, Mesh};
use serde_json::{json, Value};

use crate::{configured, get, lines, start, status, texts, PAIR, SERVER, VERSIONS};

/// Allows requests with headers of up to 90 KB.
const LARGE_HEADERS: &str = "{ applyTo: NETWORK_FILTER,
    match: { context: ANY, listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager } } } },
    patch: { operation: MERGE, value: { typed_config: {
      '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
      max_request_headers_kb: 90 } } } }";

/// Sends bytes as a request to the client's proxy. Returns the answer.
fn raw(mesh: &Mesh, request: &[u8]) -> String {
    let address = mesh.sidecar("client-v1").unwrap().outbound();
    let answer = mesh.client().raw(address, request, Duration::from_millis(500)).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn quotes_invalid_bytes_and_odd_case_are_written_exactly() {
    for version in VERSIONS {
        let mesh = start(PAIR, |options| options.envoy_version = Some(version.to_owned()));
        let request = [
            b"GET /status/200?a=\"b\\c' HTTP/1.1\r\nHOST: ".as_slice(),
            SERVER.as_bytes(),
            b"\r\nUSER-agent: \"quoted\" \xff\xfe gr\xc3\xbc\xc3\x9fe\ttab\r\nX-FORWARDED-For: 1.2.3.4\r\n\r\n",
        ];
        raw(&mesh, &request.concat()); // which the application refuses, but the proxies do not
        for workload in ["client-v1", "server-v2"] {
            let line = &lines(&mesh, workload, 1)[0];
            assert_eq!(line["path"], json!("/status/200?a=\"b\\c'"), "{version}");
            assert_eq!(line["user_agent"], json!("\"quoted\" \u{fffd}\u{fffd} grüße\ttab"), "{version}");
            assert_eq!(line["x_forwarded_for"], json!("1.2.3.4"), "{version}");
        }
    }
}

#[test]
fn large_headers_are_cut_and_the_line_stays_json() {
    let mesh = start(PAIR, |options| {
        options.patches = vec![envoy_filter(LARGE_HEADERS)];
        options.plugins = crate::plugins(
            &["access_log"],
            r#"{"max_line_length": 3000, "max_value_length": 100000,
                "fields": [{"name": "x", "value": "request.headers['x-large']"}]}"#,
        );
    });
    let large = "\"ü".repeat(20_000);
    let request = format!("GET /status/200 HTTP/1.1\r\nhost: {SERVER}\r\nx-large: {large}\r\n\r\n");
    let answer = raw(&mesh, request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for workload in ["client-v1", "server-v2"] {
        let line = &texts(&mesh, workload, 1)[0];
        assert!(line.len() <= 3000, "{}", line.len());
        let line: Value = serde_json::from_str(line).unwrap();
        let x = line["x"].as_str().unwrap();
        assert!(x.starts_with("\"ü\"ü") && x.ends_with('…'), "{x}");
        assert_eq!((&line["truncated"], &line["response_code"]), (&json!(true), &json!(200)));
        assert_eq!(line["source_workload"], "client-v1");
    }
}

#[test]
fn secrets_are_not_in_the_log_unless_named() {
    let secrets = |mesh: &Mesh| {
        let request = get(mesh, "/status/200")
            .header("authorization", "Bearer hunter2")
            .header("cookie", "session=hunter2")
            .header("x-api-key", "hunter2");
        assert_eq!(status(mesh, request), 200);
    };
    for configuration in ["{}", r#"{"preset": "MIXER"}"#, r#"{"format": "TEXT"}"#] {
        let mesh = configured(configuration);
        secrets(&mesh);
        for workload in ["client-v1", "server-v2"] {
            let line = &texts(&mesh, workload, 1)[0];
            assert!(!line.contains("hunter2"), "{line}");
        }
    }
    let mesh = configured(
        r#"{"only_fields": ["token", "session"], "fields": [
            {"name": "token", "value": "request.headers['authorization']", "hash": true},
            {"name": "session", "value": "request.headers['cookie']", "max_length": 8}
        ]}"#,
    );
    secrets(&mesh);
    let digest = access_log::digest::sha256(b"Bearer hunter2");
    let expected = json!({"token": digest, "session": "session=…", "truncated": true});
    assert_eq!(lines(&mesh, "server-v2", 1), [expected]);
}
