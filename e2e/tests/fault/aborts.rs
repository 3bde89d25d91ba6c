//! F1 to F6: answers instead of the upstream's.

use local_mesh::{tools, Request};

use crate::load::Connection;
use crate::scene::{for_path, outbound, rules, Scene, Setting};

const BODY: &str = "fault filter abort";

/// All kinds of aborts, each with its own path.
fn config() -> String {
    rules(&[
        for_path("/http", r#""abort": {"httpStatus": 503, ALL}"#),
        for_path("/grpc", r#""abort": {"grpcStatus": "UNAVAILABLE", ALL}"#),
        for_path("/none", r#""abort": {"httpStatus": 204, ALL}"#),
        for_path(
            "/tea",
            r#""abort": {"httpStatus": 418, ALL, "body": "custom body", "headers": {"x-tea": "green", "content-type": "text/tea"}}"#,
        ),
        for_path("/reset", r#""abort": {"reset": true, ALL}"#),
    ])
}

/// F1
fn http(scene: &Scene) {
    let answer = scene.send(&scene.get("/http"));
    assert_eq!((answer.status, answer.text().as_str()), (503, BODY));
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert_eq!(answer.header("x-envoy-upstream-service-time"), None);
    assert_eq!(scene.served(), 0);
    assert_eq!(scene.log_of("/http"), "code=503 flags=- details=fault_filter_abort fs=FI");
    scene.expect(&[("fault_aborts_injected_total", "http 503", 1), ("fault_delays_injected_total", "http", 0)]);
}

/// F2, F3
fn grpc(scene: &Scene) {
    let call =
        |path| scene.request(Request::post(scene.proxy(), path, "")).http2().header("content-type", "application/grpc");
    for path in ["/http", "/grpc"] {
        let answer = scene.send(&call(path));
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{path}");
        assert_eq!(answer.header("grpc-status"), Some("14"), "{path}");
        assert_eq!(answer.header("grpc-message"), Some(BODY), "{path}");
    }
    let answer = scene.send(&scene.get("/grpc"));
    assert_eq!((answer.status, answer.text().as_str(), answer.header("grpc-status")), (200, BODY, None));
    scene.expect(&[("fault_aborts_injected_total", "grpc grpc14", 2)]);
}

#[test]
fn aborted_requests_are_answered_as_by_envoy() {
    for envoy in tools::ENVOY_VERSIONS {
        let config = config();
        let scene = Setting { outbound: &config, envoy: Some(envoy), ..Setting::default() }.start();
        http(&scene);
        grpc(&scene);
        assert_eq!(scene.status(&scene.get("/other")), 200);
    }
}

/// F4
#[test]
fn answers_have_the_body_that_they_may_have() {
    let scene = outbound(&config());
    let answer = scene.send(&scene.get("/none"));
    assert_eq!((answer.status, answer.body.len(), answer.header("content-length")), (204, 0, None));
    let answer = scene.send(&scene.get("/tea"));
    assert_eq!((answer.status, answer.text().as_str()), (418, "custom body"));
    assert_eq!(answer.header("x-tea"), Some("green"));
    assert_eq!(answer.header("content-length"), Some("11"));
    let types: Vec<_> = answer.headers.iter().filter(|(name, _)| name == "content-type").collect();
    assert_eq!(types, [&("content-type".to_owned(), "text/tea".to_owned())]);
    // After HEAD and after an abort, the connection can be used again.
    let mut connection = Connection::open(scene.proxy());
    assert_eq!(connection.send("HEAD", "/http"), (503, String::new()));
    assert_eq!(connection.send("GET", "/tea"), (418, "custom body".to_owned()));
    assert_eq!(connection.send("GET", "/status/200"), (200, "as asked\n".to_owned()));
}

/// F6
#[test]
fn connections_are_broken_off() {
    let scene = outbound(&config());
    let bytes = b"GET /reset?h1 HTTP/1.1\r\nhost: server:9080\r\n\r\n";
    let received = scene.mesh.client().raw(scene.proxy(), bytes, crate::scene::WAIT).unwrap();
    assert!(received.is_empty(), "{}", String::from_utf8_lossy(&received));
    let error = scene.mesh.client().send(&scene.get("/reset?h2").http2()).unwrap_err();
    assert!(format!("{error:?}").contains("stream"), "{error:?}");
    for path in ["/reset?h1", "/reset?h2"] {
        assert_eq!(scene.log_of(path), "code=0 flags=- details=wasm_close_stream fs=FI");
    }
    scene.expect(&[("fault_aborts_injected_total", "reset reset", 2)]);
    assert_eq!(scene.served(), 0);
}
