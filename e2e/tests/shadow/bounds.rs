//! S26 to S28: limits for memory and for copies in flight; everything skipped is counted.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::backend::Reply;
use crate::load;
use crate::scene::{
    all, if_asked, loud, median, ms, wait_for, wait_until, with, Scene, Setting, MIRROR, SERVER_CLUSTER,
};

const MEBIBYTE: u64 = 1 << 20;

/// Rules for all requests, with limits.
fn limited(limits: &str, more: &str) -> String {
    all(more).replacen('{', &format!(r#"{{"limits": {{{limits}}}, "#), 1)
}

/// The largest value of a gauge while something runs.
fn most<T>(scene: &Scene, gauge: &str, run: impl FnOnce() -> T) -> (u64, T) {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = 0;
            while !is_done.load(Ordering::Relaxed) {
                most = most.max(scene.total(gauge));
                std::thread::sleep(ms(5));
            }
            most
        });
        let result = run();
        is_done.store(true, Ordering::Relaxed);
        (watcher.join().unwrap(), result)
    })
}

/// Resident memory of the client's proxy.
fn resident(scene: &Scene) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", scene.client().pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// S26
#[test]
fn no_more_are_under_way_than_may_be() {
    const COUNT: u32 = 500;
    let scene = with(&if_asked(&limited(r#""maxInFlight": 10"#, "")));
    scene.mirror().reply(Reply::after(1000));
    let _loud = loud();
    let run = || scene.side_by_side(COUNT, ms(5), || scene.get("/"));
    let (most, times) = most(&scene, "shadow_in_flight", run);
    assert!((5..=10).contains(&most), "{most}");
    let p99 = [0, 1].map(|which| {
        let mut times: Vec<Duration> = times.iter().map(|pair| pair[which]).collect();
        times.sort_unstable();
        times[COUNT as usize * 99 / 100]
    });
    println!("99 of 100 within {:?}, mirrored within {:?}", p99[0], p99[1]);
    assert!(p99[1] <= p99[0].mul_f64(1.5) + ms(10), "{p99:?}");
    let skipped = scene.counts("shadow_skipped_total");
    assert!(skipped.get("m inflight_cap").is_some_and(|skipped| *skipped > 300), "{skipped:?}");
    wait_for("all", &u64::from(COUNT), || scene.total("shadow_requests_total") + scene.total("shadow_skipped_total"));
}

#[test]
fn no_more_are_sent_per_second_than_may_be() {
    let scene = with(&all(r#""maxRequestsPerSecond": 5"#));
    let begin = Instant::now();
    for _ in 0..100 {
        assert_eq!(scene.status(&scene.get("/")), 200);
    }
    let seconds = begin.elapsed().as_secs() + 2;
    wait_for("all", &100, || scene.total("shadow_requests_total") + scene.total("shadow_skipped_total"));
    let sent = scene.total("shadow_requests_total");
    assert!((5..=5 * seconds).contains(&sent), "{sent} in {seconds} s");
    scene.expect("shadow_skipped_total", &[("m rate_cap", 100 - sent)]);
}

#[test]
fn pairs_beyond_their_number_are_sent_and_not_compared() {
    let scene = with(&limited(r#""maxPairs": 3"#, ""));
    scene.mirror().reply(Reply::after(500));
    for _ in 0..10 {
        assert_eq!(scene.status(&scene.get("/")), 200);
    }
    scene.expect("shadow_requests_total", &[("m", 10)]);
    scene.expect("shadow_compare_total", &[("m candidate match", 3)]);
    scene.expect("shadow_uncompared_total", &[("m pairs_cap", 7)]);
}

/// S27
#[test]
fn many_uploads_at_once_stay_within_memory() {
    const UPLOADS: u64 = 200;
    let scene = Setting::default().start_with(|options| options.drain = 1);
    let _loud = loud();
    // Memory for uploads without copies, because the proxy keeps memory that it once used.
    let body = vec![9; MEBIBYTE as usize];
    let request = || scene.post("/", body.clone()).timeout(Duration::from_secs(60));
    let upload = |what: &str| {
        let requests: Vec<_> = (0..UPLOADS).map(|_| request()).collect();
        let answers = scene.mesh.client().send_together(&requests);
        let errors: Vec<String> = answers
            .into_iter()
            .filter_map(|answer| match answer {
                Ok(answer) => (answer.status != 200).then(|| answer.status.to_string()),
                Err(error) => Some(format!("{error:#}")),
            })
            .collect();
        assert!(errors.is_empty(), "{what}: {errors:?}");
    };
    for _ in 0..4 {
        upload("not mirrored");
    }
    let before = resident(&scene);
    scene.push(&limited(r#""maxBufferedBytes": 16777216"#, ""));
    // Until no connection has the old rules.
    std::thread::sleep(ms(3000));
    let (most, ()) = most(&scene, "shadow_buffered_bytes", || upload("mirrored"));
    let skipped = || scene.counts("shadow_skipped_total").get("m memory_cap").copied().unwrap_or_default();
    wait_for("all", &UPLOADS, || scene.total("shadow_requests_total") + skipped());
    let (grown, skipped) = (resident(&scene).saturating_sub(before), skipped());
    println!("{skipped} of {UPLOADS} skipped, at most {most} bytes held, {} MiB more resident", grown / MEBIBYTE);
    assert!(most <= 16 * MEBIBYTE && most > MEBIBYTE, "{most}");
    assert!(grown <= 64 * MEBIBYTE, "{} MiB", grown / MEBIBYTE);
    wait_until(|| scene.total("shadow_buffered_bytes") == 0);
}

/// A client that announces a large body and sends almost nothing takes no memory from others.
#[test]
fn idle_uploads_stop_no_mirroring() {
    let scene = with(&all(""));
    let head = b"POST /idle HTTP/1.1\r\nhost: server:9080\r\ncontent-length: 1000000\r\n\r\nx";
    let idle: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut stream = TcpStream::connect(scene.proxy()).unwrap();
            stream.write_all(head).unwrap();
            stream
        })
        .collect();
    wait_for("begun", &64, || scene.client().counter(&format!("cluster.{SERVER_CLUSTER}.upstream_rq_active")).unwrap());
    assert_eq!(scene.status(&scene.post("/honest", vec![5; 1_000_000])), 200);
    assert_eq!(scene.mirror().only().body.len(), 1_000_000);
    scene.expect("shadow_skipped_total", &[]);
    drop(idle);
    scene.expect("shadow_skipped_total", &[("m incomplete", 64)]);
}

/// Duration of the load in S28.
const LOAD: Duration = Duration::from_secs(30);

/// Sends requests over 64 connections without a pause, at least a thousand. Returns the answers per second, and their
/// number.
fn storm(scene: &Scene, time: Duration) -> (f64, u64) {
    let begin = Instant::now();
    let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
    while statuses.is_empty() || begin.elapsed() < time {
        for (status, count) in load::send_over(64, scene.proxy(), 1000, |_| load::get("/", "")) {
            *statuses.entry(status).or_default() += count;
        }
    }
    let all = statuses.values().sum::<u64>();
    assert_eq!(statuses, [(200, all)].into(), "no request may be lost");
    (all as f64 / begin.elapsed().as_secs_f64(), all)
}

/// S28
#[test]
fn under_load_no_request_is_lost_and_each_copy_is_accounted_for() {
    let native = format!(
        "{{ applyTo: HTTP_ROUTE, match: {{ context: SIDECAR_OUTBOUND, routeConfiguration: {{ vhost: {{
              name: 'server.default.svc.cluster.local:9080' }} }} }},
            patch: {{ operation: MERGE, value: {{ route: {{ request_mirror_policies: [ {{ cluster: '{MIRROR}' }} ] }} }} }} }}"
    );
    let native = Setting { patches: &[&native], ..Setting::default() }.start();
    let scene = Setting { rules: &all(""), workers: 2, ..Setting::default() }.start();
    // Envoy's own mirroring does not compare.
    let only_mirrored = all(r#""compare": {"enabled": false}"#);
    let one_worker = Setting { rules: &only_mirrored, ..Setting::default() }.start();
    for scene in [&native, &scene, &one_worker] {
        scene.server.only_count();
        scene.mirror().only_count();
    }
    let _loud = loud();
    let (_, sent) = storm(&scene, LOAD);
    let before = resident(&scene);
    let (_, more) = storm(&scene, LOAD / 4);
    let all = sent + more;
    assert_eq!(scene.server.count(), all);
    let accounted = || {
        let of = |metric| scene.total(metric);
        [of("shadow_requests_total"), of("shadow_skipped_total"), of("shadow_dispatch_failed_total")]
    };
    wait_for("all", &all, || accounted().iter().sum());
    let [mirrored, skipped, failed] = accounted();
    println!("{all} requests: {mirrored} mirrored, {skipped} skipped, {failed} failed");
    wait_for("responses", &mirrored, || scene.total("shadow_responses_total"));
    wait_for("arrived", &mirrored, || scene.mirror().count());
    wait_for("compared", &mirrored, || {
        scene.total("shadow_compare_total") + scene.counts("shadow_uncompared_total").values().sum::<u64>()
    });
    assert!(mirrored > all / 2, "{mirrored} of {all}");
    let grown = resident(&scene).saturating_sub(before);
    assert!(grown < 8 * MEBIBYTE, "grew by {} KiB under the same load", grown / 1024);
    // On a busy machine, the rates say little. The proxy's own CPU time for a request shows the possible rate.
    assert!((0..3).any(|_| beside_envoys_own(&native, &one_worker) >= 0.85), "less than Envoy's own mirror, see above");
}

/// Our share of what Envoy's own mirror does: of its requests per second, or of its requests per CPU time if that is more. Both
/// run at the same time: other work on the machine then affects both.
fn beside_envoys_own(native: &Scene, ours: &Scene) -> f64 {
    let scenes = [native, ours];
    let before = scenes.map(|scene| (cpu_time(scene), scene.server.count()));
    let ratios = (0..5).map(|_| {
        let rates = std::thread::scope(|scope| {
            let storms = scenes.map(|scene| scope.spawn(move || storm(scene, ms(2000)).0));
            storms.map(|storm| storm.join().unwrap())
        });
        println!("{:.0} requests/s, {:.0} with Envoy's own mirror", rates[1], rates[0]);
        rates[1] / rates[0]
    });
    let of_rate = median(ratios.collect());
    let [native, ours] = [0, 1].map(|at| {
        let (time, count) = before[at];
        (cpu_time(scenes[at]) - time) / (scenes[at].server.count() - count) as f64
    });
    println!("{of_rate:.2} of the rate with Envoy's own mirror, {:.2} of its CPU time", ours / native);
    of_rate.max(native / ours)
}

/// CPU time of the client's proxy.
fn cpu_time(scene: &Scene) -> f64 {
    local_mesh::cadvisor::usage(scene.client().pid()).unwrap().cpu
}
