//! F10, F11: the percentage of the requests.

use crate::load;
use crate::scene::{for_path, loud, named, outbound, rules, wait_until, Scene};

/// At most four standard deviations from the expected count.
fn assert_fair(count: u64, draws: usize, share: f64) {
    let expected = draws as f64 * share;
    let limit = 4.0 * (expected * (1.0 - share)).sqrt();
    assert!((count as f64 - expected).abs() <= limit, "{count} of {draws} instead of {expected:.1} ± {limit:.1}");
}

fn delays(scene: &Scene, rule: &str) -> u64 {
    scene.counts("client", "fault_delays_injected_total", &["rule"]).get(rule).copied().unwrap_or_default()
}

#[test]
fn delays_and_aborts_have_their_shares_and_nothing_to_do_with_each_other() {
    const COUNT: usize = 20_000;
    let half = r#""percentage": {"value": 50}"#;
    let fault = format!(r#""delay": {{"fixedDelay": "1ms", {half}}}, "abort": {{"httpStatus": 503, {half}}}"#);
    let scene = outbound(&rules(&[named("half", &fault, "")]));
    let _loud = loud();
    let before = scene.served();
    let statuses = load::send(scene.proxy(), COUNT, |_| load::get("/status/200", ""));
    assert_eq!(statuses.values().sum::<u64>(), COUNT as u64);
    let aborted = statuses.get(&503).copied().unwrap_or_default();
    assert_fair(aborted, COUNT, 0.5);
    assert_fair(delays(&scene, "half"), COUNT, 0.5);
    assert_eq!(scene.served() - before, COUNT as u64 - aborted);
    // From the access log: requests with both faults.
    let both = || {
        let log = scene.mesh.sidecar("client").unwrap().output();
        let lines = log.lines().filter(|line| line.contains("LOG /status/200"));
        lines.fold((0, 0), |(all, both), line| (all + 1, both + usize::from(line.ends_with("fs=DI,FI"))))
    };
    wait_until(|| both().0 == COUNT);
    assert_fair(both().1 as u64, COUNT, 0.25);
}

#[test]
fn shares_are_exact() {
    let scene = {
        let with =
            |path: &str, percentage: &str| for_path(path, &format!(r#""abort": {{"httpStatus": 400 {percentage}}}"#));
        outbound(&rules(&[
            with("/zero", r#", "percentage": {"value": 0}"#),
            with("/unset", ""),
            with("/least", r#", "percentage": {"value": 0.0001}"#),
            with("/third", r#", "percentage": {"value": 33.3333}"#),
            with("/all", r#", "percentage": {"value": 100}"#),
        ]))
    };
    let _loud = loud();
    for (path, count, share) in [
        ("/zero", 2000, 0.0),
        ("/unset", 2000, 0.0),
        ("/least", 5000, 1e-6),
        ("/third", 8000, 0.333_333),
        ("/all", 5000, 1.0),
    ] {
        let statuses = load::send(scene.proxy(), count, |_| load::get(path, ""));
        assert_eq!(statuses.values().sum::<u64>(), count as u64, "{path}");
        assert_fair(statuses.get(&400).copied().unwrap_or_default(), count, share);
    }
    let log = scene.mesh.sidecar("client").unwrap().log();
    let warning = "fault: http[1].fault.abort.percentage is not set: \
                   this fault is never injected (set value: 100 for all requests)";
    assert!(log.contains(warning), "{log}");
}
