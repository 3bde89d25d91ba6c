//! F17: faults on request.

use local_mesh::Request;

use crate::load;
use crate::scene::{loud, ms, outbound, quiet, rule};

const BOTH: &str =
    r#""delay": {"headerControlled": true, "max": "400ms", ALL}, "abort": {"headerControlled": true, ALL}"#;
const DELAY: &str = "x-envoy-fault-delay-request";
const ABORT: &str = "x-envoy-fault-abort-request";
const ABORT_GRPC: &str = "x-envoy-fault-abort-grpc-request";

#[test]
fn requests_are_given_what_they_ask_for() {
    let scene = outbound(&rule(BOTH, ""));
    let asking = |header: &str, value: &str| scene.get("/status/200").header(header, value);
    {
        let _quiet = quiet();
        scene.expect_delay(&asking(DELAY, "200"), 200, ms(200));
        scene.expect_delay(&asking(DELAY, "5000"), 200, ms(400));
        scene.expect_delay(&asking(DELAY, "200").header(ABORT, "404"), 404, ms(200));
    }
    assert_eq!(scene.status(&asking(ABORT, "404")), 404);
    for (header, value) in
        [(ABORT, "199"), (ABORT, "600"), (ABORT, "abc"), (ABORT, ""), (ABORT_GRPC, "17"), (DELAY, "0"), (DELAY, "-1")]
    {
        assert_eq!(scene.status(&asking(header, value)), 200, "{header}: {value}");
    }
    for percentage in ["x-envoy-fault-abort-request-percentage", "x-envoy-fault-delay-request-percentage"] {
        let request = if percentage.contains("abort") { asking(ABORT, "404") } else { asking(DELAY, "400") };
        let (status, took) = scene.timed(&request.header(percentage, "0"));
        assert!(status == 200 && took < ms(200), "{status} {took:?}");
    }
    let call = scene.request(Request::post(scene.proxy(), "/", "")).http2();
    let answer = scene.send(&call.header("content-type", "application/grpc").header(ABORT_GRPC, "5"));
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("5")));
    scene.expect(&[
        ("fault_delays_injected_total", "r", 3),
        ("fault_aborts_injected_total", "r 404", 2),
        ("fault_aborts_injected_total", "r grpc5", 1),
    ]);
}

#[test]
fn requests_are_not_given_more_than_is_configured() {
    let scene = outbound(&rule(r#""abort": {"headerControlled": true, "percentage": {"value": 20}}"#, ""));
    let _loud = loud();
    for (asked, share) in [("100", 0.2), ("5", 0.05)] {
        let headers = format!("{ABORT}: 404\r\nx-envoy-fault-abort-request-percentage: {asked}\r\n");
        let statuses = load::send(scene.proxy(), 3000, |_| load::get("/status/200", &headers));
        let aborted = statuses.get(&404).copied().unwrap_or_default() as f64;
        let limit = 4.0 * f64::sqrt(3000.0 * share * (1.0 - share));
        assert!((aborted - 3000.0 * share).abs() <= limit, "{asked}: {aborted}");
    }
}

/// Whether the server sees the header.
fn seen(scene: &crate::scene::Scene, header: &str) -> bool {
    let answer = scene.send(&scene.get("/headers").header(DELAY, "1").header(ABORT, "1"));
    let headers = answer.json().unwrap();
    headers["headers"].as_array().unwrap().iter().any(|pair| pair[0] == header)
}

#[test]
fn control_headers_stay_unless_they_shall_be_taken_off() {
    let scene = outbound(&rule(BOTH, ""));
    assert!(seen(&scene, DELAY) && seen(&scene, ABORT));
    let strip = rule(BOTH, "").replacen('{', r#"{"stripControlHeaders": true, "#, 1);
    let scene = outbound(&strip);
    assert!(!seen(&scene, DELAY) && !seen(&scene, ABORT));
}
