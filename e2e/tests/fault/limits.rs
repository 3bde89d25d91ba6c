//! F18, F28: limits of number and of time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use local_mesh::{Request, Update};

use crate::scene::{ms, outbound, quiet, rule, wait_for, Setting, LATE};

const DELAY: &str = r#""delay": {"fixedDelay": "300ms", ALL}"#;
const ABORT: &str = r#""abort": {"httpStatus": 503, ALL}"#;

/// F18
#[test]
fn only_so_many_requests_are_delayed_at_once() {
    let of_all = rule(DELAY, "").replacen('{', r#"{"maxActiveFaults": 1, "#, 1);
    let of_rule = rule(DELAY, r#", "maxActiveFaults": 1"#);
    for config in [of_all, of_rule] {
        let scene = outbound(&config);
        let _quiet = quiet();
        std::thread::scope(|scope| {
            let request = || scope.spawn(|| scene.timed(&scene.get("/")));
            let requests = [request(), request(), request()];
            wait_for("fault_active", &1, || scene.active());
            while requests.iter().any(|request| !request.is_finished()) {
                assert!(scene.active() <= 1);
                std::thread::sleep(ms(10));
            }
            let mut times = requests.map(|request| {
                let (status, took) = request.join().unwrap();
                assert_eq!(status, 200);
                took
            });
            times.sort_unstable();
            let [first, second, delayed] = times;
            assert!(first < ms(50) && second < ms(50) && (ms(300)..ms(300) + LATE).contains(&delayed), "{times:?}");
        });
        scene.expect(&[("fault_overflow_total", "r", 2), ("fault_delays_injected_total", "r", 1)]);
        scene.expect_delay(&scene.get("/"), 200, ms(300));
    }
}

/// F28
#[test]
fn rules_begin_late_and_end_by_themselves() {
    let scene = outbound(&rule(ABORT, r#", "startAfter": 2, "maxInjections": 3"#));
    let statuses: Vec<u16> = (0..8).map(|_| scene.status(&scene.get("/"))).collect();
    assert_eq!(statuses, [200, 200, 503, 503, 503, 200, 200, 200]);
}

/// A client's sidecar. Requests pass it in both directions.
const BOTH_WAYS: &str = "
name: shop
workloads:
  - { name: client, app: client, version: v1, address: 127.22.0.1, calls: [server] }
  - { name: server, app: server, address: 127.22.0.2 }
services:
  - { name: server, port: 9080, protocol: http }
  - { name: client, port: 9080, protocol: http }
";

/// F28: the outbound and the inbound plugin have rules with the same name, but separate limits.
#[test]
fn plugins_of_one_proxy_have_limits_of_their_own() {
    let of = |path: &str| rule(ABORT, &format!(r#", "match": [{{"uri": {{"exact": "{path}"}}}}], "maxInjections": 2"#));
    let (outbound, inbound) = (of("/out"), of("/in"));
    let scene = Setting { topology: BOTH_WAYS, outbound: &outbound, inbound: &inbound, ..Setting::default() }.start();
    let client = scene.mesh.sidecar("client").unwrap();
    for request in [scene.get("/out"), Request::get(client.inbound(), "/in")] {
        let statuses = [(); 4].map(|()| scene.status(&request));
        assert_eq!(statuses, [503, 503, 200, 200], "{request:?}");
    }
    let expected = [("r remixer-fault-inbound".to_owned(), 2), ("r remixer-fault-outbound".to_owned(), 2)].into();
    wait_for("fault_injected_total", &expected, || scene.counts("client", "fault_injected_total", &["rule", "plugin"]));
    // Metrics that users rely on keep their labels.
    scene.expect(&[("fault_aborts_injected_total", "r 503", 4)]);
}

/// A time in RFC 3339, from the time since 1970. The date is computed with years that begin in March.
fn moment(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let (days, clock) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + next;
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// F28
#[test]
fn rules_expire() {
    let until = |time: &str| rule(ABORT, "").replacen('{', &format!(r#"{{"expiresAt": "{time}", "#), 1);
    let scene = outbound(&until("2020-02-29T23:59:59Z"));
    // An existing connection would keep the old rules.
    let request = || scene.get("/").header("connection", "close");
    assert_eq!(scene.status(&request()), 200);
    let said = scene.mesh.sidecar("client").unwrap().log();
    assert!(said.contains("fault: expired at 2020-02-29T23:59:59Z, nothing will be injected"), "{said}");
    let _quiet = quiet();
    // A busy machine needs seconds to start a proxy, but not to change its rules.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let end = Duration::from_secs(now.as_secs() + 4);
    assert_eq!(scene.push(&until(&moment(end))), Update::Accepted);
    let left = end.saturating_sub(SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
    let begin = Instant::now();
    assert_eq!(scene.status(&request()), 503);
    while scene.status(&request()) == 503 {
        assert!(begin.elapsed() < left + Duration::from_secs(1), "it does not stop");
        std::thread::sleep(ms(10));
    }
    assert!(begin.elapsed() + ms(5) >= left, "it stopped early");
    assert!(begin.elapsed() < left + LATE * 4, "{:?}", begin.elapsed() - left);
}
