//! F7 to F9 and F19 to F24: when delayed requests continue.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use local_mesh::{tools, Request};

use crate::load;
use crate::scene::{
    for_path, loud, ms, native_filter, outbound, quiet, rule, rules, wait_for, wait_until, with_longest_stall, Scene,
    Setting, LATE,
};

fn delay(milliseconds: u64) -> String {
    format!(r#""delay": {{"fixedDelay": "{milliseconds}ms", ALL}}"#)
}

/// A quantile of the durations.
fn quantile(mut times: Vec<Duration>, share: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share) as usize]
}

/// Other programs may have used the machine. If a round fails for that reason, it is repeated, at most twice. Conditions
/// that must always hold are checked inside the round.
fn in_some_round(mut round: impl FnMut() -> Result<(), String>) {
    let failures: Vec<String> = (0..3).map_while(|_| round().err()).collect();
    assert!(failures.len() < 3, "{failures:?}");
}

/// F7, F9
#[test]
fn requests_are_delayed_for_as_long_as_they_should_be() {
    const DELAYS: [u64; 5] = [100, 300, 1000, 2800, 7000];
    let mut all: Vec<String> = DELAYS.iter().map(|length| for_path(&format!("/d{length}"), &delay(*length))).collect();
    all.push(for_path("/both", &format!(r#"{}, "abort": {{"httpStatus": 500, ALL}}"#, delay(300))));
    // The router's timeout starts after the delay.
    let topology = crate::scene::ONE_PROXY.replace("protocol: http", "protocol: http, timeout: 100ms");
    for envoy in tools::ENVOY_VERSIONS {
        let config = rules(&all);
        let setting = Setting { topology: &topology, outbound: &config, envoy: Some(envoy), ..Setting::default() };
        let scene = setting.start();
        let _quiet = quiet();
        std::thread::scope(|scope| {
            for length in DELAYS {
                let scene = &scene;
                scope.spawn(move || scene.expect_delay(&scene.get(&format!("/d{length}")), 200, ms(length)));
            }
        });
        assert_eq!(scene.served(), 5);
        scene.expect_delay(&scene.get("/both"), 500, ms(300));
        assert_eq!(scene.served(), 5);
        assert_eq!(scene.log_of("/d300"), "code=200 flags=- details=via_upstream fs=DI");
        assert_eq!(scene.log_of("/both"), "code=500 flags=- details=fault_filter_abort fs=DI,FI");
        for length in DELAYS {
            scene.expect(&[("fault_delays_injected_total", &format!("d{length}"), 1)]);
        }
        scene.expect(&[
            ("fault_delays_injected_total", "both", 1),
            ("fault_aborts_injected_total", "both 500", 1),
            ("fault_delay_cancelled_total", "both", 0),
        ]);
    }
}

/// F19
#[test]
fn a_client_that_leaves_leaves_nothing_behind() {
    let scene = outbound(&rule(&delay(300), ""));
    let mut client = TcpStream::connect(scene.proxy()).unwrap();
    client.write_all(load::get("/left", "").as_bytes()).unwrap();
    wait_for("fault_active", &1, || scene.active());
    drop(client);
    scene.expect(&[("fault_delay_cancelled_total", "r", 1), ("fault_delays_injected_total", "r", 1)]);
    wait_for("fault_active", &0, || scene.active());
    // The deadline passes; other requests keep their correct delays.
    std::thread::sleep(ms(350));
    scene.expect_delay(&scene.get("/stays"), 200, ms(300));
    assert_eq!(scene.served(), 1);
    assert!(scene.log_of("/left").contains("fs=DI"));
    scene.expect(&[("fault_delay_cancelled_total", "r", 1)]);
}

/// F20
#[test]
fn large_bodies_wait_at_the_client() {
    let buffers = "{ applyTo: LISTENER, match: { context: SIDECAR_OUTBOUND },
        patch: { operation: MERGE, value: { per_connection_buffer_limit_bytes: 32768 } } }";
    let config = rule(&delay(300), "");
    let scene = Setting { outbound: &config, patches: &[buffers], ..Setting::default() }.start();
    let body = vec![b'x'; 5_000_000];
    let post = scene.request(Request::post(scene.proxy(), "/echo", body));
    for request in [post.clone(), post.http2()] {
        let answer = scene.send(&request);
        assert_eq!((answer.status, answer.body.len()), (200, 5_000_000));
    }
    scene.expect(&[("fault_delays_injected_total", "r", 2)]);
}

/// F21
#[test]
fn envoy_s_idle_timeout_ends_a_delay() {
    let idle = "{ applyTo: NETWORK_FILTER, match: { context: SIDECAR_OUTBOUND, listener: { filterChain: {
          filter: { name: envoy.filters.network.http_connection_manager } } } },
        patch: { operation: MERGE, value: { typed_config: {
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
          stream_idle_timeout: 1s } } } }";
    let config = rule(&delay(3000), "");
    let scene = Setting { outbound: &config, patches: &[idle], ..Setting::default() }.start();
    let _quiet = quiet();
    let (status, took) = scene.timed(&scene.get("/"));
    assert_eq!(status, 504);
    assert!((ms(900)..ms(1100)).contains(&took), "{took:?}");
    assert!(scene.log_of("/").starts_with("code=504 flags=SI "), "{}", scene.log_of("/"));
    scene.expect(&[("fault_delay_cancelled_total", "r", 1)]);
    assert_eq!(scene.served(), 0);
}

/// F22: a timer that each request resets would not fire while requests arrive.
#[test]
fn delays_end_while_requests_come() {
    let scene = outbound(&rule(&delay(100), ""));
    let _quiet = quiet();
    in_some_round(|| {
        let (times, stall) = with_longest_stall(|| steady(&scene, 500));
        assert!(times.iter().all(|time| *time >= ms(100)), "never early");
        let (median, most) = (quantile(times.clone(), 0.5), quantile(times, 1.0));
        let seen = format!("delay 100 ms at 50 requests/s: median {median:?}, most {most:?}; stalled for {stall:?}");
        println!("{seen}");
        if median <= ms(130) && most <= ms(130) + stall * 2 {
            Ok(())
        } else {
            Err(seen)
        }
    });
}

/// Sends `count` requests, one every 20 ms, without waiting for answers.
fn steady(scene: &Scene, count: u32) -> Vec<Duration> {
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let requests: Vec<_> = (0..count)
            .map(|number| {
                std::thread::sleep((ms(20) * number).saturating_sub(begin.elapsed()));
                scope.spawn(|| scene.timed(&scene.get("/")).1)
            })
            .collect();
        requests.into_iter().map(|request| request.join().unwrap()).collect()
    })
}

/// F23
#[test]
fn a_shorter_delay_is_not_held_up_by_longer_ones() {
    let config = rules(&[for_path("/long", &delay(2000)), for_path("/short", &delay(100))]);
    let scene = outbound(&config);
    let _quiet = quiet();
    std::thread::scope(|scope| {
        scope.spawn(|| scene.expect_delay(&scene.get("/long"), 200, ms(2000)));
        std::thread::sleep(ms(500));
        scene.expect_delay(&scene.get("/short"), 200, ms(100));
    });
}

/// The results of a burst, and of other requests during it.
struct Burst {
    answers: Vec<(u16, Duration)>,
    others: Vec<Duration>,
}

impl Burst {
    /// This many requests at once, and other requests without a fault at the same time.
    fn of(scene: &Scene, count: usize, request: &str) -> Self {
        std::thread::scope(|scope| {
            let burst = scope.spawn(|| load::burst(scene.proxy(), count, request));
            let mut others = Vec::new();
            while !burst.is_finished() {
                others.push(scene.timed(&scene.get("/status/200")).1);
                std::thread::sleep(ms(5));
            }
            Self { answers: burst.join().unwrap(), others }
        })
    }

    /// The 99th percentiles.
    fn slow(&self) -> [Duration; 2] {
        let times = self.answers.iter().map(|(_, took)| *took).collect();
        [times, self.others.clone()].map(|times| quantile(times, 0.99))
    }
}

/// F24, and the times of F7 under load.
#[test]
fn thousands_of_delays_end_together() {
    const COUNT: usize = 5000;
    let answered = format!(r#"{}, "abort": {{"httpStatus": 200, ALL}}"#, delay(500));
    let config = rules(&[for_path("/answered", &answered), for_path("/passed", &delay(500))]);
    let setting = Setting { outbound: &config, workers: 2, ..Setting::default() };
    let scene = setting.start_with(|options| options.patches.push(native_filter()));
    let _loud = loud();
    // The same with Envoy's own filter, to measure the machine's own delay. It also does Envoy's one-time work before the
    // measurement.
    let native = load::get("/native", "x-envoy-fault-delay-request: 500\r\nx-envoy-fault-abort-request: 200\r\n");
    load::burst(scene.proxy(), COUNT, &native);
    in_some_round(|| {
        let [native, ours] = [&native, &load::get("/answered", "")].map(|request| Burst::of(&scene, COUNT, request));
        assert!(native.answers.iter().all(|(status, _)| *status == 200));
        assert!(ours.answers.iter().all(|(status, took)| *status == 200 && *took >= ms(500)), "never early");
        let ([of_native, beside_native], [slow, beside]) = (native.slow(), ours.slow());
        let seen = format!(
            "{COUNT} of 500 ms at once: p99 {slow:?}, others meanwhile {beside:?}; \
             by Envoy's own filter {of_native:?}, others {beside_native:?}"
        );
        println!("{seen}");
        wait_until(|| scene.active() == 0);
        if slow <= ms(600).max(of_native + LATE) && beside <= LATE.max(beside_native + ms(20)) {
            Ok(())
        } else {
            Err(seen)
        }
    });
    scene.expect(&[("fault_overflow_total", "answered", 0), ("fault_delay_cancelled_total", "answered", 0)]);
    // Requests that go on to the server, which is slower than the proxy.
    let answers = load::burst(scene.proxy(), 300, &load::get("/passed", ""));
    assert!(answers.iter().all(|(status, took)| *status == 200 && *took >= ms(500)));
}

/// F7 under load: other requests keep the proxy and the machine busy.
#[test]
fn delays_are_as_long_under_load() {
    let config =
        rules(&[for_path("/d100", &delay(100)), for_path("/d300", &delay(300)), for_path("/d1000", &delay(1000))]);
    let setting = Setting { outbound: &config, ..Setting::default() };
    let scene = setting.start_with(|options| options.patches.push(native_filter()));
    let _loud = loud();
    in_some_round(|| {
        let (late, sent) = under_load(&scene);
        let [(median, most), (of_native, most_of_native)] =
            late.map(|late| (quantile(late.clone(), 0.5), quantile(late, 1.0)));
        let seen = format!(
            "under {sent} other requests: late by {median:?} (median), {most:?} at most; \
             by Envoy's own filter {of_native:?}, {most_of_native:?}"
        );
        println!("{seen}");
        if median <= ms(20).max(of_native + ms(20)) && most <= LATE.max(most_of_native + LATE) {
            Ok(())
        } else {
            Err(seen)
        }
    });
}

/// How late delayed requests are under continuous load, with our filter and at the same time with Envoy's own, and the
/// number of other requests.
fn under_load(scene: &Scene) -> ([Vec<Duration>; 2], u64) {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut sent = 0;
            while !is_done.load(Ordering::Relaxed) {
                sent += load::send(scene.proxy(), 200, |_| load::get("/status/200", "")).values().sum::<u64>();
            }
            sent
        });
        let mut late = [vec![], vec![]];
        for _ in 0..3 {
            let delayed: Vec<_> = [100, 300, 1000]
                .into_iter()
                .flat_map(|length| [(length, 0), (length, 1)])
                .flat_map(|request| [request; 8])
                .map(|(length, by)| {
                    let request = match by {
                        0 => scene.get(&format!("/d{length}")),
                        _ => scene.get("/status/200").header("x-envoy-fault-delay-request", &length.to_string()),
                    };
                    let timed = scope.spawn(move || {
                        let (status, took) = scene.timed(&request);
                        assert_eq!(status, 200);
                        assert!(by == 1 || took >= ms(length), "never early");
                        took.saturating_sub(ms(length))
                    });
                    (by, timed)
                })
                .collect();
            for (by, timed) in delayed {
                late[by].push(timed.join().unwrap());
            }
        }
        is_done.store(true, Ordering::Relaxed);
        (late, load.join().unwrap())
    })
}

/// Timers and counters belong to a worker: a request that one worker delays is not continued by another.
#[test]
fn workers_do_not_disturb_each_other() {
    let config = rule(&delay(200), "");
    let scene = Setting { outbound: &config, workers: 2, ..Setting::default() }.start();
    let requests = vec![scene.get("/").header("connection", "close"); 40];
    let begin = Instant::now();
    let answers = scene.mesh.client().send_together(&requests);
    assert!(begin.elapsed() >= ms(200));
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200)));
    scene.expect(&[("fault_delays_injected_total", "r", 40)]);
    wait_until(|| scene.active() == 0);
}
