#![allow(clippy::arithmetic_side_effects)] // of small numbers, in a test

use host::fake::{FakeEnd, FakeHost};
use host::property;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const ROOT: u32 = 1;

/// A worker with a configuration, in its own Envoy.
struct Worker {
    host: FakeHost,
    injector: Injector,
    next_id: u32,
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn ended(status: u16) -> FakeEnd {
    FakeEnd::Replied(status, None, DETAILS.into(), DEFAULT_BODY.into(), vec![])
}

impl Worker {
    fn new(json: &str) -> Self {
        let mut host = FakeHost::new();
        host.with_random(*b"0123456789abcdef").with_wall_time(Duration::from_secs(1_000_000_000));
        host.with_text(property::PLUGIN_NAME, "fault_outbound");
        host.pass(ms(5000));
        let injector = injector(json, &host);
        host.take_calls();
        Self { host, injector, next_id: 10 }
    }

    /// A request without headers; what becomes of it, and its id.
    fn request(&mut self) -> (RequestFlow, u32) {
        self.next_id += 1;
        self.host.enter(self.next_id);
        (self.injector.on_request(&self.host, self.next_id), self.next_id)
    }

    /// A request with these headers and no others.
    fn with(&mut self, headers: &[(&str, &str)]) -> RequestFlow {
        self.host.without_headers();
        for (name, value) in headers {
            self.host.with_line(HeaderMap::Request, name, value.as_bytes());
        }
        self.request().0
    }

    /// Lets time go by; the timer fires when it is due, as in Envoy. What became of requests meanwhile.
    fn pass(&mut self, time: Duration) -> Vec<(u32, FakeEnd)> {
        let mut left = time;
        while let Some(until) = self.host.next_tick().filter(|until| *until <= left) {
            self.host.pass(until);
            left -= until;
            self.host.fire();
            self.host.enter(ROOT);
            self.injector.on_tick(&self.host);
        }
        self.host.pass(left);
        self.host.take_ends()
    }

    fn value(&self, name: &str) -> u64 {
        self.host.values().get(name).copied().unwrap_or_default()
    }
}

fn injector(json: &str, host: &FakeHost) -> Injector {
    Injector::new(json.as_bytes(), host, ROOT).unwrap_or_else(|error| panic!("{error}"))
}

/// A configuration with this fault for every request, and more fields of the rule and of the top level.
fn always(fault: &str, of_rule: &str, of_all: &str) -> String {
    let all = r#""percentage": {"value": 100}"#;
    let fault = fault.replace("ALL", all);
    format!(r#"{{"http": [{{"name": "r", "fault": {{{fault}}} {of_rule}}}] {of_all}}}"#)
}

fn delays(milliseconds: u64) -> String {
    format!(r#""delay": {{"fixedDelay": "{milliseconds}ms", ALL}}"#)
}

const ABORT: &str = r#""abort": {"httpStatus": 503, ALL}"#;
const DELAYED: &str = "rule=.=r;.;fault_delays_injected_total";
const ABORTED: &str = "rule=.=r;.;result=.=503;.;fault_aborts_injected_total";
const OVERFLOWN: &str = "rule=.=r;.;fault_overflow_total";
const PLUGIN_ACTIVE: &str = "plugin=.=fault_outbound;.;fault_plugin_active";
const LEFT: &str = "rule=.=r;.;fault_delay_cancelled_total";

#[test]
fn requests_are_aborted_at_once() {
    let mut worker = Worker::new(&always(ABORT, "", ""));
    let (flow, id) = worker.request();
    assert_eq!(flow, RequestFlow::Stop);
    assert_eq!(worker.host.take_ends(), [(id, ended(503))]);
    assert_eq!(worker.host.state_of(response_flags::FAULT_FLAGS).as_deref(), Some(b"FI".as_slice()));
    assert_eq!((worker.value(ABORTED), worker.value(DELAYED), worker.value("fault_active")), (1, 0, 0));
    assert!(worker.host.tick_period().is_zero());
}

#[test]
fn answers_are_as_configured() {
    let reply = |status, grpc, body: &str, headers: &[(&str, &str)]| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect();
        FakeEnd::Replied(status, grpc, DETAILS.into(), body.into(), headers)
    };
    for (abort, code, end) in [
        (
            r#""httpStatus": 418, "body": "tea", "headers": {"x-a": "1"}"#,
            "418",
            reply(418, None, "tea", &[("x-a", "1")]),
        ),
        (r#""httpStatus": 500, "body": """#, "500", reply(500, None, "", &[])),
        (r#""httpStatus": 204"#, "204", reply(204, None, "", &[])),
        (r#""grpcStatus": "UNAVAILABLE""#, "grpc14", reply(200, Some(14), DEFAULT_BODY, &[])),
        (r#""reset": true"#, "reset", FakeEnd::Reset),
    ] {
        let mut worker = Worker::new(&always(&format!(r#""abort": {{{abort}, ALL}}"#), "", ""));
        let (flow, id) = worker.request();
        assert_eq!((flow, worker.host.take_ends()), (RequestFlow::Stop, vec![(id, end)]), "{abort}");
        assert_eq!(worker.value(&format!("rule=.=r;.;result=.={code};.;fault_aborts_injected_total")), 1, "{abort}");
    }
}

#[test]
fn requests_are_delayed_and_never_go_on_early() {
    let mut worker = Worker::new(&always(&delays(300), "", ""));
    let (flow, id) = worker.request();
    assert_eq!(flow, RequestFlow::Wait);
    assert_eq!(worker.host.state_of(response_flags::FAULT_FLAGS).as_deref(), Some(b"DI".as_slice()));
    assert_eq!((worker.value(DELAYED), worker.value("fault_active")), (1, 1));
    // The timer may be early.
    worker.host.pass(ms(299));
    worker.injector.on_tick(&worker.host);
    assert_eq!(worker.host.take_ends(), []);
    assert_eq!(worker.pass(ms(1)), [(id, FakeEnd::Resumed)]);
    assert_eq!((worker.value(DELAYED), worker.value("fault_active"), worker.value(LEFT)), (1, 0, 0));
    assert!(worker.host.tick_period().is_zero(), "an idle worker has no timer");
}

#[test]
fn a_delay_comes_before_an_abort() {
    let mut worker = Worker::new(&always(&format!("{}, {ABORT}", delays(300)), "", ""));
    let (flow, id) = worker.request();
    assert_eq!((flow, worker.value(ABORTED)), (RequestFlow::Wait, 0));
    assert_eq!(worker.pass(ms(300)), [(id, ended(503))]);
    assert_eq!(worker.host.state_of(response_flags::FAULT_FLAGS).as_deref(), Some(b"DI,FI".as_slice()));
    assert_eq!((worker.value(DELAYED), worker.value(ABORTED), worker.value("fault_active")), (1, 1, 0));
}

#[test]
fn the_timer_is_not_put_off_by_requests_that_come() {
    let mut worker = Worker::new(&always(&delays(100), "", ""));
    let mut resumed = 0;
    for _ in 0..50 {
        worker.request();
        resumed += worker.pass(ms(20)).len();
    }
    assert!(resumed >= 40, "{resumed}");
}

#[test]
fn a_shorter_delay_is_not_held_up_by_a_longer_one() {
    let json = r#"{"http": [
        {"match": [{"headers": {"long": {}}}], "fault": {"delay": {"fixedDelay": "2s", "percentage": {"value": 100}}}},
        {"fault": {"delay": {"fixedDelay": "100ms", "percentage": {"value": 100}}}}]}"#;
    let mut worker = Worker::new(json);
    assert_eq!(worker.with(&[("long", "1")]), RequestFlow::Wait);
    assert_eq!(worker.pass(ms(500)), []);
    assert_eq!(worker.with(&[]), RequestFlow::Wait);
    assert_eq!(worker.pass(ms(100)), [(12, FakeEnd::Resumed)]);
    assert_eq!(worker.pass(ms(1400)), [(11, FakeEnd::Resumed)]);
}

#[test]
fn many_that_are_due_at_once_go_on_in_parts() {
    let mut worker = Worker::new(&always(&delays(500), "", ""));
    for _ in 0..1000 {
        worker.request();
    }
    worker.host.pass(ms(500));
    for expected in [256, 256, 256, 232, 0] {
        worker.injector.on_tick(&worker.host);
        assert_eq!(worker.host.take_ends().len(), expected);
        let period = if expected == 256 { ms(1) } else { Duration::ZERO };
        assert_eq!(worker.host.tick_period(), period);
    }
    assert_eq!(worker.value("fault_active"), 0);
}

#[test]
fn a_client_that_leaves_is_forgotten() {
    let mut worker = Worker::new(&always(&delays(300), r#", "maxActiveFaults": 5"#, ""));
    let (_, id) = worker.request();
    worker.pass(ms(50));
    worker.injector.on_request_gone(&worker.host, id);
    worker.injector.on_request_gone(&worker.host, id);
    assert_eq!((worker.value(LEFT), worker.value("fault_active")), (1, 0));
    assert_eq!(worker.value("rule=.=r;.;plugin=.=fault_outbound;.;fault_rule_active"), 0);
    assert_eq!(worker.pass(ms(1000)), []);
}

#[test]
fn what_still_waits_at_the_end_is_no_longer_counted() {
    let mut worker = Worker::new(&always(&delays(300), "", ""));
    let (_, id) = worker.request();
    worker.request();
    worker.injector.on_end(&worker.host);
    worker.injector.on_request_gone(&worker.host, id);
    assert_eq!((worker.value("fault_active"), worker.value(LEFT)), (0, 0));
}

#[test]
fn only_so_many_are_delayed_at_once() {
    for limit in
        [always(&delays(300), r#", "maxActiveFaults": 1"#, ""), always(&delays(300), "", r#", "maxActiveFaults": 1"#)]
    {
        let mut worker = Worker::new(&limit);
        let flows = [(); 3].map(|()| worker.request().0);
        assert_eq!(flows, [RequestFlow::Wait, RequestFlow::Pass, RequestFlow::Pass]);
        assert_eq!((worker.value(OVERFLOWN), worker.value("fault_active")), (2, 1));
        assert_eq!(worker.pass(ms(300)).len(), 1);
        assert_eq!(worker.request().0, RequestFlow::Wait, "there is room again");
    }
}

#[test]
fn workers_share_limits_but_not_forever() {
    let limit = always(&delays(300), "", r#", "maxActiveFaults": 1"#);
    let mut worker = Worker::new(&limit);
    let mut other = injector(&limit, &worker.host);
    assert_eq!(worker.request().0, RequestFlow::Wait);
    assert_eq!(other.on_request(&worker.host, 99), RequestFlow::Pass, "the other worker's counts");
    // A worker that lost its VM leaves less than nothing behind.
    let id = worker.host.define_metric(host::MetricKind::Gauge, PLUGIN_ACTIVE).expect("a gauge");
    worker.host.increment_metric(id, -5).expect("counted");
    assert_eq!(other.on_request(&worker.host, 100), RequestFlow::Wait);
}

#[test]
fn plugins_of_one_proxy_have_limits_of_their_own() {
    let (of_rule, of_all) = (r#", "maxActiveFaults": 1"#, r#", "maxActiveFaults": 2"#);
    for (config, flows) in [
        (always(ABORT, r#", "maxInjections": 1"#, ""), [RequestFlow::Stop, RequestFlow::Pass, RequestFlow::Pass]),
        (always(ABORT, r#", "startAfter": 2"#, ""), [RequestFlow::Pass, RequestFlow::Pass, RequestFlow::Stop]),
        (always(&delays(300), of_rule, ""), [RequestFlow::Wait, RequestFlow::Pass, RequestFlow::Pass]),
        (always(&delays(300), "", of_all), [RequestFlow::Wait, RequestFlow::Wait, RequestFlow::Pass]),
    ] {
        let mut outbound = Worker::new(&config);
        outbound.host.with_text(property::PLUGIN_NAME, "fault_inbound");
        let mut inbound = injector(&config, &outbound.host);
        assert_eq!([(); 3].map(|()| outbound.request().0), flows, "{config}");
        let of_inbound = [91, 92, 93].map(|id| inbound.on_request(&outbound.host, id));
        assert_eq!(of_inbound, flows, "the other plugin's: {config}");
    }
}

#[test]
fn no_faults_at_once_are_no_faults() {
    for fault in [delays(300), ABORT.to_string()] {
        let mut worker = Worker::new(&always(&fault, "", r#", "maxActiveFaults": 0"#));
        assert_eq!(worker.request().0, RequestFlow::Pass);
        assert_eq!(worker.value(OVERFLOWN), 1);
    }
}

#[test]
fn a_request_that_is_refused_a_delay_is_not_aborted_either() {
    let mut worker = Worker::new(&always(&format!("{}, {ABORT}", delays(300)), "", r#", "maxActiveFaults": 1"#));
    assert_eq!([(); 3].map(|()| worker.request().0), [RequestFlow::Wait, RequestFlow::Pass, RequestFlow::Pass]);
    assert_eq!(worker.value(OVERFLOWN), 2);
}

#[test]
fn a_rule_begins_late_and_ends_by_itself() {
    let mut worker = Worker::new(&always(ABORT, r#", "startAfter": 2, "maxInjections": 3"#, ""));
    let flows: Vec<RequestFlow> = (0..8).map(|_| worker.request().0).collect();
    let expected = [
        RequestFlow::Pass,
        RequestFlow::Pass,
        RequestFlow::Stop,
        RequestFlow::Stop,
        RequestFlow::Stop,
        RequestFlow::Pass,
        RequestFlow::Pass,
        RequestFlow::Pass,
    ];
    assert_eq!(flows, expected);
    worker.host.take_calls();
    worker.request();
    assert_eq!(worker.host.take_calls(), CALLS_OF_NO_RULE, "it can do nothing any more");
    // A new configuration starts again.
    let mut again = injector(&always(ABORT, r#", "maxInjections": 1"#, ""), &worker.host);
    assert_eq!([1, 2].map(|id| again.on_request(&worker.host, id)), [RequestFlow::Stop, RequestFlow::Pass]);
}

#[test]
fn a_delay_and_its_abort_are_one_injection() {
    let mut worker = Worker::new(&always(&format!("{}, {ABORT}", delays(10)), r#", "maxInjections": 1"#, ""));
    assert_eq!([(); 2].map(|()| worker.request().0), [RequestFlow::Wait, RequestFlow::Pass]);
    assert_eq!(worker.pass(ms(10)), [(11, ended(503))]);
}

#[test]
fn faults_expire_at_their_time_and_cost_nothing_then() {
    // Two seconds from now.
    let json = always(ABORT, "", r#", "expiresAt": "2001-09-09T01:46:47Z""#);
    let mut worker = Worker::new(&json);
    assert_eq!(worker.host.tick_period(), ms(2000));
    assert_eq!(worker.pass(ms(1999)), []);
    assert_eq!(worker.request().0, RequestFlow::Stop);
    // The clock was set forward, which no timer knows.
    worker.host.pass(ms(1));
    assert_eq!(worker.request().0, RequestFlow::Pass);
    worker.host.take_calls();
    assert_eq!((worker.request().0, worker.host.take_calls()), (RequestFlow::Pass, CALLS_OF_NO_RULE));
    let mut worker = Worker::new(&json);
    worker.pass(ms(2000));
    worker.host.take_calls();
    assert_eq!((worker.request().0, worker.host.take_calls()), (RequestFlow::Pass, CALLS_OF_NO_RULE), "the timer told");
    assert!(worker.host.tick_period().is_zero());
}

#[test]
fn what_is_off_costs_nothing_and_says_so() {
    let past = r#", "expiresAt": "2001-01-01T00:00:00+01:00""#;
    let never = r#""abort": {"httpStatus": 503}"#;
    let expired = "expired at 2001-01-01T00:00:00+01:00, nothing will be injected";
    let unset = "http[0].fault.abort.percentage is not set: \
                 this fault is never injected (set value: 100 for all requests)";
    for (json, remarks) in [
        ("{}".to_string(), vec![(false, "empty configuration, nothing will be injected")]),
        (always(ABORT, "", r#", "enabled": false"#), vec![(false, "not enabled, nothing will be injected")]),
        (always(ABORT, "", past), vec![(true, expired)]),
        (always(never, "", ""), vec![(true, unset)]),
        (always(r#""delay": {"fixedDelay": "1s", "percentage": {"value": 0}}"#, "", ""), vec![]),
    ] {
        let mut worker = Worker::new(&json);
        assert_eq!((worker.request().0, worker.host.take_calls()), (RequestFlow::Pass, CALLS_OF_NO_RULE), "{json}");
        let told = worker.injector.remarks(&worker.host);
        assert_eq!(told, remarks.iter().map(|(warn, text)| (*warn, (*text).to_string())).collect::<Vec<_>>());
    }
}

#[test]
fn the_first_rule_that_matches_is_the_only_one() {
    let rules = r#"{"http": [
        {"name": "none", "match": [{"headers": {"a": {}}}], "fault": {"abort": {"httpStatus": 500, "percentage": {"value": 0}}}},
        {"name": "some", "match": [{"headers": {"b": {}}}, {"headers": {"a": {}}}], "fault": {"abort": {"httpStatus": 501, "percentage": {"value": 100}}}},
        {"name": "last", "match": [{"headers": {"c": {}}}], "fault": {"abort": {"httpStatus": 502, "percentage": {"value": 0}}}}]}"#;
    let mut worker = Worker::new(rules);
    assert_eq!(worker.with(&[("a", "1"), ("b", "1")]), RequestFlow::Pass);
    assert_eq!(worker.with(&[("b", "1")]), RequestFlow::Stop);
    worker.host.take_calls();
    assert_eq!(worker.with(&[("c", "1")]), RequestFlow::Pass);
    assert_eq!(worker.host.take_calls(), 2, "the last rule, which can do nothing, is not looked at");
}

#[test]
fn a_rule_without_a_fault_ends_the_search() {
    let rules = r#"{"http": [
        {"match": [{"headers": {"x-exempt": {"regex": "*"}}}]},
        {"name": "r", "fault": {"abort": {"httpStatus": 503, "percentage": {"value": 100}}}}]}"#;
    for engine in ["wasm", "envoy"] {
        let mut worker = Worker::new(&rules.replacen('{', &format!(r#"{{"engine": "{engine}", "#), 1));
        assert_eq!(worker.with(&[("x-exempt", "1")]), RequestFlow::Pass);
        assert_eq!((worker.value(ABORTED), worker.host.take_ends()), (0, vec![]));
        worker.with(&[("x-other", "1")]);
        assert_eq!(worker.value(ABORTED), 1, "{engine}");
    }
}

#[test]
fn a_request_that_no_rule_is_for_costs_what_is_documented() {
    let rule = |matches: &str| always(ABORT, &format!(r#", "match": [{matches}]"#), "");
    for (matches, calls) in [
        (r#"{"headers": {"end-user": {"exact": "jason"}}}"#, CALLS_WITHOUT_HEADER),
        (r#"{"headers": {"end-user": {"exact": "jason"}}, "uri": {"prefix": "/ratings"}}"#, CALLS_WITHOUT_HEADER),
        (r#"{"headers": {"user": {"exact": "jason"}}}"#, CALLS_OF_OTHER_VALUE),
        (r#"{"uri": {"prefix": "/ratings"}}"#, CALLS_OF_OTHER_PATH),
        (r#"{"upstreamCluster": {"prefix": "/ratings"}}"#, CALLS_OF_OTHER_PATH),
    ] {
        let mut worker = Worker::new(&rule(matches));
        for request in 0..3 {
            assert_eq!(worker.with(&[(":path", "/reviews"), ("user", "bob")]), RequestFlow::Pass);
            assert_eq!(worker.host.take_calls(), calls, "{matches}, request {request}");
        }
    }
}

#[test]
fn shares_are_met_and_independent() {
    let half = r#""percentage": {"value": 50}"#;
    let fault = format!(r#""delay": {{"fixedDelay": "1ms", {half}}}, "abort": {{"httpStatus": 503, {half}}}"#);
    let mut worker = Worker::new(&always(&fault, "", ""));
    let (mut delayed, mut aborted, mut both) = (0_u32, 0_u32, 0_u32);
    for _ in 0..20_000 {
        let waits = worker.request().0 == RequestFlow::Wait;
        let ends = worker.pass(ms(1));
        let is_aborted = ends.iter().any(|(_, end)| *end == ended(503));
        delayed += u32::from(waits);
        aborted += u32::from(is_aborted);
        both += u32::from(waits && is_aborted);
    }
    for (count, share) in [(delayed, 0.5), (aborted, 0.5), (both, 0.25)] {
        let expected = 20_000.0 * share;
        let limit = 4.0 * f64::sqrt(expected * (1.0 - share));
        assert!((f64::from(count) - expected).abs() <= limit, "{count} instead of {expected}");
    }
}

#[test]
fn jitter_makes_delays_longer_never_shorter() {
    let mut worker = Worker::new(&always(r#""delay": {"fixedDelay": "100ms", "jitter": "50ms", ALL}"#, "", ""));
    for _ in 0..1000 {
        worker.request();
    }
    let early = worker.pass(ms(99)).len();
    let first = worker.pass(ms(25)).len();
    worker.pass(ms(26 + 10));
    assert_eq!(early, 0);
    assert!((400..=600).contains(&first), "{first}");
    assert_eq!(worker.value("fault_active"), 0);
}

#[test]
fn the_same_key_has_the_same_fate() {
    let half = r#""abort": {"httpStatus": 503, "percentage": {"value": 50}}"#;
    let mut by_user = Worker::new(&always(half, r#", "sampling": {"key": "header:user"}"#, ""));
    let mut fates = Vec::new();
    for user in 0..200 {
        let flows = [(); 3].map(|()| by_user.with(&[("user", &user.to_string())]));
        assert!(flows.iter().all(|flow| *flow == flows[0]));
        fates.push(flows[0]);
    }
    assert!(fates.contains(&RequestFlow::Stop) && fates.contains(&RequestFlow::Pass));
    let without = (0..50).map(|_| by_user.with(&[])).collect::<Vec<_>>();
    assert!(
        without.contains(&RequestFlow::Stop) && without.contains(&RequestFlow::Pass),
        "they have nothing in common"
    );
    let mut by_id = Worker::new(&always(half, r#", "sampling": {"key": "requestId"}"#, ""));
    for request in 0..50 {
        let [here, there] = ["4", "9"].map(|traced| format!("{request:08x}-5b1e-{traced}f0e-8d0a-0123456789ab"));
        assert_eq!(by_id.with(&[("x-request-id", &here)]), by_id.with(&[("x-request-id", &there)]));
    }
}

#[test]
fn requests_ask_for_faults_where_they_may() {
    let fault = r#""delay": {"headerControlled": true, "max": "1s", ALL}, "abort": {"headerControlled": true, ALL}"#;
    let (delay, abort, grpc) = (control::DELAY, control::ABORT, control::ABORT_GRPC);
    for (headers, flow, after, end) in [
        (&[(delay, "200")][..], RequestFlow::Wait, 200, Some(FakeEnd::Resumed)),
        (&[(delay, "99999999999999999999")], RequestFlow::Pass, 0, None),
        (&[(delay, "5000")], RequestFlow::Wait, 1000, Some(FakeEnd::Resumed)),
        (&[(delay, "0")], RequestFlow::Pass, 0, None),
        (&[(delay, "-5")], RequestFlow::Pass, 0, None),
        (&[(delay, "")], RequestFlow::Pass, 0, None),
        (&[(delay, "100"), (control::DELAY_PERCENTAGE, "0")], RequestFlow::Pass, 0, None),
        (&[(abort, "404")], RequestFlow::Stop, 0, Some(ended(404))),
        (&[(abort, "199")], RequestFlow::Pass, 0, None),
        (&[(abort, "600")], RequestFlow::Pass, 0, None),
        (&[(abort, "abc")], RequestFlow::Pass, 0, None),
        (&[(abort, "404"), (control::ABORT_PERCENTAGE, "0")], RequestFlow::Pass, 0, None),
        (&[(abort, "404"), (control::ABORT_PERCENTAGE, "nonsense")], RequestFlow::Stop, 0, Some(ended(404))),
        (
            &[(grpc, "5")],
            RequestFlow::Stop,
            0,
            Some(FakeEnd::Replied(200, Some(5), DETAILS.into(), DEFAULT_BODY.into(), vec![])),
        ),
        (&[(grpc, "17")], RequestFlow::Pass, 0, None),
        (&[(grpc, "5"), (abort, "404")], RequestFlow::Stop, 0, Some(ended(404))),
        (&[(delay, "100"), (abort, "404")], RequestFlow::Wait, 100, Some(ended(404))),
        (&[], RequestFlow::Pass, 0, None),
    ] {
        let mut worker = Worker::new(&always(fault, "", ""));
        assert_eq!(worker.with(headers), flow, "{headers:?}");
        assert!(after == 0 || worker.pass(ms(after - 1)).is_empty(), "{headers:?}");
        assert_eq!(worker.pass(ms(1)).pop().map(|(_, end)| end), end, "{headers:?}");
        assert_eq!(worker.host.headers(HeaderMap::Request).len(), headers.len(), "they stay: {headers:?}");
    }
}

#[test]
fn requests_cannot_ask_for_more_than_is_configured() {
    let half = r#""percentage": {"value": 50}"#;
    let json = always(&format!(r#""abort": {{"headerControlled": true, {half}}}"#), "", "");
    let mut worker = Worker::new(&json);
    for (asked, range) in [("100", 400..=600), ("10", 60..=140)] {
        let headers = [(control::ABORT, "404"), (control::ABORT_PERCENTAGE, asked)];
        let aborted = (0..1000).filter(|_| worker.with(&headers) == RequestFlow::Stop).count();
        assert!(range.contains(&aborted), "{asked}: {aborted}");
    }
}

#[test]
fn control_headers_are_taken_off_where_they_were_obeyed() {
    let asked = r#""delay": {"headerControlled": true, ALL}"#;
    let headers = [(control::DELAY, "10"), (control::DELAY_PERCENTAGE, "100"), (control::ABORT, "404")];
    let strip = |rule: &str| always(asked, rule, r#", "stripControlHeaders": true"#);
    let mut worker = Worker::new(&strip(""));
    assert_eq!(worker.with(&headers), RequestFlow::Wait);
    let left: Vec<String> = worker.host.headers(HeaderMap::Request).into_keys().collect();
    assert_eq!(left, [control::ABORT], "the rule does not read it");
    let mut other = Worker::new(&strip(r#", "match": [{"headers": {"x": {}}}]"#));
    assert_eq!(other.with(&headers), RequestFlow::Pass);
    assert_eq!(other.host.headers(HeaderMap::Request).len(), 3, "no rule is for this request");
}

#[test]
fn envoy_s_filter_is_told_what_to_do() {
    let fault = r#""delay": {"fixedDelay": "2.8s", ALL}, "abort": {"grpcStatus": 7, ALL}"#;
    let matches = r#", "match": [{"headers": {"x": {}}}]"#;
    let mut worker = Worker::new(&always(fault, matches, r#", "engine": "envoy""#));
    let asked = [(control::DELAY, "1"), (control::ABORT, "404"), (control::DELAY_PERCENTAGE, "0")];
    assert_eq!(worker.with(&[&asked[..], &[("x", "1")]].concat()), RequestFlow::Pass);
    let told: Vec<_> = worker.host.headers(HeaderMap::Request).into_iter().collect();
    let expected = [("x", "1"), (control::ABORT_GRPC, "7"), (control::DELAY, "2800")];
    assert_eq!(told, expected.map(|(name, value)| (name.to_string(), value.to_string())));
    assert_eq!(worker.value(DELAYED), 1);
    assert_eq!(worker.value("rule=.=r;.;result=.=grpc7;.;fault_aborts_injected_total"), 1);
    // Nobody else can tell it.
    assert_eq!(worker.with(&asked), RequestFlow::Pass);
    assert_eq!(worker.host.headers(HeaderMap::Request).into_keys().collect::<Vec<_>>(), [control::DELAY_PERCENTAGE]);
    let mut off = Worker::new(r#"{"engine": "envoy"}"#);
    assert_eq!(off.with(&asked), RequestFlow::Pass);
    assert_eq!(off.host.headers(HeaderMap::Request).len(), 1);
}

#[test]
fn metrics_have_the_prefix() {
    let mut worker = Worker::new(&always(ABORT, "", r#", "statPrefix": "mine""#));
    worker.request();
    assert_eq!(worker.value("rule=.=r;.;result=.=503;.;mine_fault_aborts_injected_total"), 1);
}

#[test]
fn configuring_counts_nothing_and_reads_the_node_only_where_it_matters() {
    let host = FakeHost::new();
    injector(&always(&delays(1), "", ""), &host);
    assert_eq!((host.defined(), host.tick_period()), (0, Duration::ZERO));
    let mut host = FakeHost::new();
    host.with_text(property::Property(&property::node_metadata("NAMESPACE")), "default");
    let mut here = injector(&always(ABORT, r#", "match": [{"sourceNamespace": "default"}]"#, ""), &host);
    assert_eq!(here.on_request(&host, 2), RequestFlow::Stop);
}
