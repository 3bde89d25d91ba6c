//! The policy decides which requests get a line, and other loggers can read the decision.

use crate::{configured, get, lines, start, status, texts, told, wait_until, PAIR, VERSIONS};

/// An operator's own logger with its own format, for requests that the policy selects.
const OWN_LOGGER: &str = "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: own-logger, namespace: istio-system }
spec:
  priority: 100
  configPatches:
  - applyTo: NETWORK_FILTER
    match:
      context: SIDECAR_INBOUND
      listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager } } }
    patch:
      operation: MERGE
      value:
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          access_log:
          - name: own
            filter:
              extension_filter:
                name: decision
                typed_config:
                  '@type': type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter
                  expression: \"filter_state['wasm.istio.access_log_policy'] == 'yes'\"
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
              log_format: { text_format_source: { inline_string: \"own %RESPONSE_CODE%\\n\" } }
";

#[test]
fn other_loggers_follow_the_decision() {
    for version in VERSIONS {
        for (format, expected) in [("NONE", &["own 500"][..]), ("JSON", &["{", "own 500"][..])] {
            let configuration = format!(r#"{{"format": "{format}", "policy": {{"log": "ERRORS"}}}}"#);
            let mesh = start(PAIR, |options| {
                options.envoy_version = Some(version.to_owned());
                options.patches = vec![OWN_LOGGER.to_owned()];
                options.plugins = crate::plugins(&["access_log"], &configuration);
            });
            for (path, code) in [("/status/200", 200), ("/status/500", 500), ("/status/201", 201)] {
                assert_eq!(status(&mesh, get(&mesh, path)), code);
            }
            let lines = texts(&mesh, "server-v2", expected.len());
            for (line, expected) in lines.iter().zip(expected) {
                assert!(line.starts_with(expected), "{version} {format}: {lines:?}");
            }
        }
    }
}

#[test]
fn a_condition_leaves_health_checks_out_but_not_their_errors() {
    let mesh = configured(r#"{"policy": {"match": "!request.path.startsWith('/status')", "always_errors": true}}"#);
    for (path, code) in [("/status/200", 200), ("/status/503", 503), ("/headers", 200)] {
        assert_eq!(status(&mesh, get(&mesh, path)), code);
    }
    for workload in ["client-v1", "server-v2"] {
        assert_eq!(told(&lines(&mesh, workload, 2), &["path"]), ["/status/503", "/headers"], "{workload}");
    }
}

#[test]
fn both_proxies_log_the_same_share_of_requests() {
    let mesh = configured(r#"{"policy": {"log": "PERCENTAGE", "percentage": 30}}"#);
    for _ in 0..200 {
        assert_eq!(status(&mesh, get(&mesh, "/status/200")), 200);
    }
    let ids = |workload: &str| {
        let output = mesh.sidecar(workload).unwrap().output();
        let ids = output
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["request_id"].to_string());
        ids.collect::<Vec<_>>()
    };
    wait_until(|| !ids("client-v1").is_empty() && ids("client-v1") == ids("server-v2"));
    let share = ids("client-v1").len();
    assert!((20..=110).contains(&share), "{share} of 200");
}

#[test]
fn the_first_request_of_a_caller_within_a_window_is_logged() {
    let mesh = configured(r#"{"policy": {"log": "FIRST_IN_WINDOW", "window": "1h"}}"#);
    for path in ["/status/200", "/status/201", "/status/500", "/status/202"] {
        // One client, but each request on its own connection.
        status(&mesh, get(&mesh, path).header("connection", "close"));
    }
    for workload in ["client-v1", "server-v2"] {
        assert_eq!(told(&lines(&mesh, workload, 2), &["path"]), ["/status/200", "/status/500"], "{workload}");
    }
}

#[test]
fn the_format_may_be_istio_s_text() {
    for version in VERSIONS {
        let mesh = start(PAIR, |options| {
            options.envoy_version = Some(version.to_owned());
            options.plugins = crate::plugins(&["access_log"], r#"{"format": "TEXT"}"#);
        });
        let request = get(&mesh, "/status/200").header("user-agent", "tester").header("x-request-id", "abc");
        assert_eq!(status(&mesh, request), 200);
        let line = &texts(&mesh, "client-v1", 1)[0];
        let (time, rest) = line.split_once("] ").unwrap();
        assert!(time.len() == 25 && time.starts_with("[20") && time.ends_with('Z'), "{line}");
        assert!(rest.starts_with("\"GET /status/200 HTTP/1.1\" 200 - via_upstream - \"-\" 0 9 "), "{line}");
        assert!(rest.contains(" \"-\" \"tester\" \"abc\" \"server.back:9080\" \"127."), "{line}");
    }
}
