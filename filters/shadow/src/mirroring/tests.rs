use core::time::Duration;

use host::fake::{FakeCall, FakeHost};
use host::{HeaderMap, BAD_ARGUMENT};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::metrics;
use crate::outcome::SERVICE_TIME;

const ALL: &str = r#"{"http": [{"mirrors": [{"name": "m", "cluster": "c"}]}]}"#;

/// A worker with its host.
struct Worker {
    host: FakeHost,
    mirroring: Mirroring,
}

/// An answer, and its latency in milliseconds.
struct Replied {
    status: u16,
    took: u64,
}

const OK: Replied = Replied { status: 200, took: 3 };

impl Worker {
    fn new(json: &str) -> Self {
        let mut host = FakeHost::new();
        host.with_text(property::NODE_ID, "sidecar~10.0.0.1~a.b~b.svc");
        for (name, value) in [(":method", "GET"), (":path", "/a?b=c"), (":authority", "a:80"), ("x-request-id", "id")] {
            host.with_header(HeaderMap::Request, name, value);
        }
        host.pass(Duration::from_secs(10));
        let mirroring = Mirroring::new(json.as_bytes(), &host, 1).unwrap_or_else(|error| panic!("{error}"));
        host.take_calls();
        Self { host, mirroring }
    }

    fn begin(&mut self, is_all: bool) -> MirroredRequest {
        self.mirroring.on_request_headers(&self.host, is_all)
    }

    fn body(&mut self, request: &mut MirroredRequest, part: &[u8], is_last: bool) {
        self.host.with_body(Body::Request, part);
        self.mirroring.on_request_body(&self.host, request, part.len(), is_last);
    }

    /// The upstream answers, and the request ends.
    fn end(&mut self, request: &mut MirroredRequest, replied: &Replied) {
        self.host.with_text(property::RESPONSE_CODE_DETAILS, "via_upstream");
        self.host.with_int(property::RESPONSE_CODE, replied.status.into());
        self.host.with_header(HeaderMap::Response, SERVICE_TIME, &replied.took.to_string());
        self.mirroring.on_response_headers(&self.host, request, true);
        self.mirroring.on_request_end(&self.host, request);
    }

    /// What is sent when the timer fires next.
    fn tick(&mut self) -> Vec<FakeCall> {
        if let Some(time) = self.host.next_tick() {
            self.host.pass(time);
            self.host.fire();
            self.mirroring.on_tick(&self.host);
        }
        self.host.take_made()
    }

    /// The mirror answers.
    fn answer(&mut self, made: &FakeCall, replied: &Replied) {
        self.host.with_header(HeaderMap::CallResponse, ":status", &replied.status.to_string());
        self.host.with_header(HeaderMap::CallResponse, SERVICE_TIME, &replied.took.to_string());
        self.mirroring.on_call_response(&self.host, made.token.0, Counts { headers: 2, body: 0, trailers: 0 });
    }

    /// The series of a metric, by label values.
    fn count(&self, metric: &str) -> Vec<(String, u64)> {
        let values = self.host.values().into_iter().filter_map(|(name, value)| {
            let labels = name.strip_suffix(metric)?;
            let values = labels.split(";.;").filter_map(|label| label.split_once("=.=")).map(|(_, value)| value);
            Some((values.collect::<Vec<_>>().join(" "), value))
        });
        values.collect()
    }

    fn expect(&self, metric: &str, expected: &[(&str, u64)]) {
        let expected: Vec<(String, u64)> = expected.iter().map(|(labels, value)| ((*labels).into(), *value)).collect();
        assert_eq!(self.count(metric), expected, "{metric}");
    }
}

#[test]
fn a_copy_is_sent_by_the_timer_and_compared() {
    let mut worker = Worker::new(ALL);
    let mut request = worker.begin(true);
    assert_eq!(worker.host.take_made(), [], "not yet");
    assert_eq!(worker.host.tick_period(), Duration::from_millis(1));
    let made = worker.tick().remove(0);
    assert_eq!((made.cluster.as_str(), made.timeout, made.body.len()), ("c", Duration::from_secs(5), 0));
    assert_eq!(made.header(":authority"), Some("a-shadow:80"));
    assert_eq!(made.header("x-forwarded-for"), Some("10.0.0.1"));
    assert_eq!(made.header("x-shadow-mirror"), Some("m"));
    worker.expect(metrics::IN_FLIGHT, &[("", 1)]);
    worker.end(&mut request, &OK);
    worker.answer(&made, &Replied { status: 500, took: 30 });
    worker.expect(metrics::REQUESTS, &[("m", 1)]);
    worker.expect(metrics::RESPONSES, &[("m 5xx", 1)]);
    worker.expect(metrics::COMPARE, &[("m candidate class_mismatch", 1)]);
    worker.expect(metrics::STATUS_PAIRS, &[("m 2xx/5xx", 1)]);
    worker.expect(metrics::LATENCY, &[("m slower", 1)]);
    worker.expect(metrics::IN_FLIGHT, &[("", 0)]);
    worker.expect(metrics::BUFFERED, &[("", 0)]);
    let sums: Vec<(u64, u64)> = worker.host.histograms().into_values().collect();
    assert_eq!(sums, [(1, 30), (1, 3)]);
}

#[test]
fn the_order_of_the_answers_does_not_matter_and_the_timer_stops() {
    let mut worker = Worker::new(ALL);
    let mut request = worker.begin(true);
    let made = worker.tick().remove(0);
    worker.answer(&made, &OK);
    worker.expect(metrics::COMPARE, &[]);
    worker.end(&mut request, &OK);
    worker.expect(metrics::COMPARE, &[("m candidate match", 1)]);
    // One more tick: pairs might still wait.
    worker.tick();
    assert_eq!(worker.host.tick_period(), Duration::ZERO);
}

#[test]
fn a_body_is_copied_while_it_passes() {
    let mut worker = Worker::new(ALL);
    let mut request = worker.begin(false);
    worker.body(&mut request, b"abc", false);
    worker.body(&mut request, b"def", false);
    assert_eq!(worker.tick(), [], "it is not complete");
    worker.body(&mut request, b"", true);
    assert_eq!(worker.tick().remove(0).body, b"abcdef");
    let mut request = worker.begin(false);
    worker.body(&mut request, b"gh", false);
    worker.mirroring.on_request_trailers(&worker.host, &mut request);
    assert_eq!(worker.tick().remove(0).body, b"gh");
    worker.expect(metrics::TRAILERS_DROPPED, &[("m", 1)]);
}

#[test]
fn what_is_too_large_is_skipped_before_it_is_held() {
    let json = r#"{"http": [{"mirrors": [{"name": "s", "cluster": "c", "maxRequestBytes": 3},
        {"name": "l", "cluster": "c", "maxRequestBytes": 5}]}]}"#;
    let mut worker = Worker::new(json);
    let mut request = worker.begin(false);
    worker.body(&mut request, b"abc", false);
    worker.body(&mut request, b"d", true);
    assert_eq!(worker.tick().iter().map(|made| made.header("x-shadow-mirror")).collect::<Vec<_>>(), [Some("l")]);
    worker.host.with_header(HeaderMap::Request, "content-length", "6");
    assert!(!worker.begin(false).is_mirrored());
    worker.expect(metrics::SKIPPED, &[("l body_too_large", 1), ("s body_too_large", 2)]);
}

#[test]
fn memory_has_a_limit_for_heads_and_bodies_here_and_at_envoy() {
    let limits = r#"{"limits": {"maxBufferedBytes": 10000, "maxRequestBytes": 10000}, "#;
    let mut worker = Worker::new(&ALL.replacen('{', limits, 1));
    let mut requests: Vec<MirroredRequest> = (0..20).map(|_| worker.begin(false)).collect();
    let held = worker.mirroring.sending.budget.held();
    assert!(held > 0 && held < 5000, "{held}");
    for request in &mut requests {
        worker.body(request, &[7; 1500], false);
        assert!(worker.mirroring.sending.budget.held() <= 10_000);
    }
    let skipped = requests.iter().filter(|request| request.mirrored.as_ref().is_some_and(|m| m.waiting.is_empty()));
    let skipped = skipped.count() as u64;
    assert!((10..20).contains(&skipped), "{skipped}");
    worker.expect(metrics::SKIPPED, &[("m memory_cap", skipped)]);
    for request in &mut requests {
        worker.body(request, b"", true);
    }
    let made = worker.tick();
    assert_eq!(made.len() as u64, 20 - skipped);
    assert!(worker.mirroring.sending.budget.held() > 1500 * made.len(), "Envoy has them now");
    for made in made {
        worker.answer(&made, &OK);
    }
    drop(requests);
    assert_eq!(worker.mirroring.sending.budget.held(), 0);
}

#[test]
fn uploads_that_announce_much_and_send_little_stop_nobody_else() {
    let mut worker = Worker::new(ALL);
    worker.host.with_header(HeaderMap::Request, "content-length", "1000000");
    let mut idle: Vec<MirroredRequest> = (0..200).map(|_| worker.begin(false)).collect();
    for request in &mut idle {
        worker.body(request, b"x", false);
    }
    worker.host.with_header(HeaderMap::Request, "content-length", "983040");
    let mut honest = worker.begin(false);
    for _ in 0..60 {
        worker.body(&mut honest, &[7; 16_384], false);
    }
    worker.body(&mut honest, b"", true);
    assert_eq!(worker.tick().remove(0).body.len(), 60 * 16_384);
    worker.expect(metrics::SKIPPED, &[]);
}

#[test]
fn a_body_that_cannot_be_read_is_not_sent_with_a_hole() {
    for parts in [[Some("abc"), None], [None, Some("abc")], [Some("abc"), Some("d")]] {
        let mut worker = Worker::new(ALL);
        let mut request = worker.begin(false);
        for part in parts {
            match part {
                Some(part) => worker.host.with_body(Body::Request, part.as_bytes()),
                None => worker.host.without_body(Body::Request),
            };
            worker.mirroring.on_request_body(&worker.host, &mut request, 3, false);
        }
        worker.host.with_body(Body::Request, b"end");
        worker.mirroring.on_request_body(&worker.host, &mut request, 3, true);
        assert_eq!(worker.tick(), []);
        worker.expect(metrics::SKIPPED, &[("m incomplete", 1)]);
        assert_eq!(worker.mirroring.sending.budget.held(), 0);
    }
}

#[test]
fn the_number_under_way_and_per_second_has_limits() {
    let limits = r#"{"limits": {"maxInFlight": 3}, "#;
    let mut worker = Worker::new(&ALL.replacen('{', limits, 1));
    for _ in 0..5 {
        worker.begin(true);
    }
    let made = worker.tick();
    assert_eq!(made.len(), 3);
    worker.begin(true);
    worker.expect(metrics::SKIPPED, &[("m inflight_cap", 3)]);
    worker.answer(&made[0], &OK);
    worker.begin(true);
    assert_eq!(worker.tick().len(), 1);
    let mut worker = Worker::new(&ALL.replace(r#""c"}"#, r#""c", "maxRequestsPerSecond": 2}"#));
    for _ in 0..5 {
        worker.begin(true);
    }
    worker.expect(metrics::SKIPPED, &[("m rate_cap", 3)]);
}

#[test]
fn the_host_is_the_authority() {
    for (rule, is_meant) in [
        (r#""headers": {"x-request-id": {}, ":method": {}, "Host": {"exact": "a:80"}}"#, true),
        (r#""headers": {"Host": {"exact": "b:80"}}"#, false),
        (r#""headers": {"x-request-id": {}}, "withoutHeaders": {"host": {"prefix": "a"}}"#, false),
    ] {
        let mirrors = r#""mirrors": [{"name": "m", "cluster": "c", "sampling": {"key": "header:Host"}}]"#;
        let mut worker = Worker::new(&format!(r#"{{"http": [{{"match": [{{{rule}}}], {mirrors}}}]}}"#));
        assert_eq!(worker.begin(true).is_mirrored(), is_meant, "{rule}");
    }
}

#[test]
fn loops_and_tunnels_are_skipped() {
    let mut worker = Worker::new(ALL);
    worker.host.with_header(HeaderMap::Request, "x-shadow-mirror", "m");
    assert!(!worker.begin(true).is_mirrored());
    let mut worker_2 = Worker::new(ALL);
    worker_2.host.with_header(HeaderMap::Request, "upgrade", "websocket");
    worker_2.begin(true);
    let mut worker_3 = Worker::new(ALL);
    worker_3.host.with_header(HeaderMap::Request, ":method", "CONNECT");
    worker_3.begin(true);
    for (worker, reason) in [(&worker, "m loop"), (&worker_2, "m upgrade"), (&worker_3, "m upgrade")] {
        worker.expect(metrics::SKIPPED, &[(reason, 1)]);
        assert_eq!(worker.mirroring.sending.budget.held(), 0);
    }
}

#[test]
fn what_does_not_become_complete_is_not_sent() {
    let mut worker = Worker::new(ALL);
    let mut request = worker.begin(false);
    worker.body(&mut request, b"abc", false);
    worker.mirroring.on_request_end(&worker.host, &mut request);
    assert_eq!(worker.tick(), []);
    worker.expect(metrics::SKIPPED, &[("m incomplete", 1)]);
    assert_eq!(worker.mirroring.sending.budget.held(), 0);
}

/// Compares bodies. The original's answer has these parts; with `is_whole`, the last part ends it.
fn compared(parts: &[&[u8]], is_whole: bool, flags: i64, shadow: &[u8]) -> Vec<(String, u64)> {
    let mut worker = Worker::new(&ALL.replace(r#""c"}"#, r#""c", "compare": {"size": true, "body": true}}"#));
    let mut request = worker.begin(true);
    let made = worker.tick().remove(0);
    worker.host.with_text(property::RESPONSE_CODE_DETAILS, "via_upstream");
    worker.host.with_int(property::RESPONSE_CODE, 200).with_int(property::RESPONSE_FLAGS, flags);
    worker.mirroring.on_response_headers(&worker.host, &mut request, false);
    for (left, part) in (0..parts.len()).rev().zip(parts) {
        worker.host.with_body(Body::Response, part);
        let is_last = is_whole && left == 0;
        worker.mirroring.on_response_body(&worker.host, &mut request, part.len(), is_last);
    }
    worker.mirroring.on_request_end(&worker.host, &mut request);
    worker.host.with_header(HeaderMap::CallResponse, ":status", "200");
    worker.host.with_header(HeaderMap::CallResponse, SERVICE_TIME, "1");
    worker.host.with_body(Body::CallResponse, shadow);
    let counts = Counts { headers: 2, body: shadow.len(), trailers: 0 };
    worker.mirroring.on_call_response(&worker.host, made.token.0, counts);
    worker.count(metrics::COMPARE)
}

#[test]
fn an_answer_that_breaks_off_is_no_match() {
    let one = |result: &str| vec![(["m candidate ", result].concat(), 1)];
    assert_eq!(compared(&[b"abc", b"def"], true, 0, b"abcdef"), one("match"));
    assert_eq!(compared(&[b"abc", b""], true, 0, b"abc"), one("match"));
    for shadow in [b"abc".as_slice(), b"abcdef"] {
        assert_eq!(compared(&[b"abc"], false, 0, shadow), one("primary_incomplete"));
    }
    assert_eq!(compared(&[], false, 0, b""), one("primary_incomplete"));
    // A delay by Envoy's own filter sets a flag, but the answer is complete.
    assert_eq!(compared(&[b"abc"], true, 0x400, b"abd"), one("body_mismatch"));
    assert_eq!(compared(&[b"abc"], true, 0x400, b"abcd"), one("size_mismatch"));
}

#[test]
fn a_mirror_may_wait_for_the_upstream() {
    let json = ALL.replace(r#""c"}"#, r#""c", "sendOn": "primaryResponse"}"#);
    let mut worker = Worker::new(&json);
    let mut request = worker.begin(true);
    assert_eq!(worker.tick(), []);
    worker.end(&mut request, &OK);
    let made = worker.tick().remove(0);
    worker.answer(&made, &OK);
    worker.expect(metrics::COMPARE, &[("m candidate match", 1)]);
    let mut request = worker.begin(true);
    worker.host.with_text(property::RESPONSE_CODE_DETAILS, "no_healthy_upstream");
    worker.mirroring.on_response_headers(&worker.host, &mut request, false);
    worker.mirroring.on_response_body(&worker.host, &mut request, 19, true);
    worker.mirroring.on_request_end(&worker.host, &mut request);
    assert_eq!(worker.tick(), []);
    worker.expect(metrics::SKIPPED, &[("m primary_unavailable", 1)]);
}

#[test]
fn calls_that_fail_at_once_are_counted_by_reason() {
    let mut worker = Worker::new(ALL);
    for status in [BAD_ARGUMENT, 10] {
        worker.host.with_call_status(Some(status));
        worker.begin(true);
        worker.tick();
    }
    worker.host.with_call_status(None);
    worker.host.without_headers();
    worker.begin(true);
    worker.tick();
    worker.expect(
        metrics::DISPATCH_FAILED,
        &[("m invalid_request", 1), ("m no_host_or_overflow", 1), ("m unknown_cluster", 1)],
    );
    assert!(worker.mirroring.sending.pairs.is_empty() && worker.mirroring.sending.budget.held() == 0);
}

#[test]
fn pairs_have_a_limit_and_do_not_wait_for_ever() {
    let limits = r#"{"limits": {"maxPairs": 2}, "#;
    let mut worker = Worker::new(&ALL.replacen('{', limits, 1));
    let requests: Vec<MirroredRequest> = (0..3).map(|_| worker.begin(true)).collect();
    for made in worker.tick() {
        worker.answer(&made, &OK);
    }
    worker.expect(metrics::UNCOMPARED, &[("m pairs_cap", 1)]);
    drop(requests);
    for _ in 0..20 {
        worker.tick();
    }
    worker.expect(metrics::COMPARE, &[("m candidate primary_incomplete", 2)]);
    assert_eq!(worker.host.next_tick(), None);
}

#[test]
fn the_end_of_a_configuration_is_counted() {
    let mut worker = Worker::new(ALL);
    worker.begin(true);
    worker.tick();
    worker.begin(true);
    worker.mirroring.on_end(&worker.host);
    worker.expect(metrics::SKIPPED, &[("m cancelled", 1)]);
    worker.expect(metrics::RESPONSES, &[("m cancelled", 1)]);
    worker.expect(metrics::IN_FLIGHT, &[("", 0)]);
}

#[test]
fn shares_of_one_salt_nest() {
    let json = r#"{"http": [{"mirrors": [{"name": "q", "cluster": "c", "percentage": {"value": 25}},
        {"name": "h", "cluster": "c", "percentage": {"value": 50}}]}], "limits": {"maxInFlight": 10000}}"#;
    let mut worker = Worker::new(json);
    let (mut quarter, mut half) = (0, 0);
    for number in 0..4000 {
        worker.host.with_header(HeaderMap::Request, "x-request-id", &format!("{number:08}-5b1e-4f0e"));
        worker.begin(true);
        let names: Vec<String> =
            worker.tick().iter().filter_map(|made| made.header("x-shadow-mirror").map(str::to_owned)).collect();
        quarter += usize::from(names.contains(&"q".to_owned()));
        half += usize::from(names.contains(&"h".to_owned()));
        assert!(!names.contains(&"q".to_owned()) || names.contains(&"h".to_owned()));
    }
    assert!((890..1110).contains(&quarter) && (1870..2130).contains(&half), "{quarter} {half}");
}

#[test]
fn what_is_off_or_over_costs_nothing() {
    let off = ALL.replacen('{', r#"{"enabled": false, "#, 1);
    let over = ALL.replacen('{', r#"{"expiresAt": "1970-01-01T00:00:05Z", "#, 1);
    let idle = ALL.replace(r#""c"}"#, r#""c", "percentage": {"value": 0}}"#);
    for json in ["{}", off.as_str(), idle.as_str()] {
        let mut worker = Worker::new(json);
        assert!(!worker.begin(true).is_mirrored());
        assert_eq!(worker.host.take_calls(), CALLS_OF_NO_RULE);
    }
    let mut worker = Worker::new(&over);
    assert_eq!(worker.mirroring.remarks(&worker.host).len(), 1);
    worker.begin(true);
    worker.host.take_calls();
    worker.begin(true);
    assert_eq!(worker.host.take_calls(), CALLS_OF_NO_RULE);
}

#[test]
fn a_request_that_no_rule_is_for_takes_few_calls() {
    for (matches, calls) in [
        (r#"{"headers": {"x-other": {}}}"#, CALLS_WITHOUT_HEADER),
        (r#"{"headers": {"x-request-id": {"exact": "other"}}}"#, CALLS_OF_OTHER_VALUE),
        (r#"{"uri": {"prefix": "/other"}}"#, CALLS_OF_OTHER_PATH),
    ] {
        let mut worker = Worker::new(&ALL.replace(r#"{"mirrors""#, &format!(r#"{{"match": [{matches}], "mirrors""#)));
        for _ in 0..2 {
            let mut request = worker.begin(true);
            assert!(!request.is_mirrored());
            worker.end(&mut request, &OK);
            assert_eq!(worker.host.take_calls(), calls, "{matches}");
        }
    }
}

#[test]
fn a_rule_without_a_mirror_ends_the_search() {
    for (rule, is_mirrored) in [
        (r#"{"match": [{"headers": {"x-request-id": {"regex": "*"}}}]}"#, false),
        (r#"{"match": [{"headers": {"x-other": {"regex": "*"}}}]}"#, true),
        ("{}", false),
    ] {
        let mut worker = Worker::new(&ALL.replace(r#"[{"mirrors""#, &format!(r#"[{rule}, {{"mirrors""#)));
        let mut request = worker.begin(true);
        assert_eq!(request.is_mirrored(), is_mirrored, "{rule}");
        worker.end(&mut request, &OK);
        worker.expect(metrics::REQUESTS, &[]);
        assert_eq!(worker.tick().len(), usize::from(is_mirrored), "{rule}");
    }
}

#[test]
fn a_mirrored_request_takes_so_many_calls() {
    let mut worker = Worker::new(ALL);
    for _ in 0..3 {
        worker.host.take_calls();
        let mut request = worker.begin(true);
        let made = worker.tick().remove(0);
        worker.end(&mut request, &OK);
        worker.answer(&made, &OK);
    }
    assert_eq!(worker.host.take_calls(), CALLS_OF_MIRRORED);
}
