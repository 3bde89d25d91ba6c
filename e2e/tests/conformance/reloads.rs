//! Frequent changes of the configuration under load.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use local_mesh::{Mesh, Request, Update};

use crate::scene::{configured, Setting, PAIR, WAIT};

/// Number of configuration changes in both proxies together.
const RELOADS: u32 = 200;

/// Time limit for all changes.
const LIMIT: Duration = Duration::from_secs(60);

/// Limit for Envoy's memory growth: several generations of listeners exist at once while they drain.
const GROWTH: u64 = 24;

/// The alternating configurations: other labels, other metrics, expressions to compile.
const TURNS: [&str; 2] = [
    r#"{"disable_host_header_fallback": true}"#,
    r#"{"metrics": [{"name": "requests_total", "dimensions": {"source_version": "'<' + request.method + '>'"}},
                    {"name": "request_bytes", "drop": true}],
        "definitions": [{"name": "mine_total", "value": "response.code * 2"}],
        "attributes": [{"output_attribute": "kind", "match": [{"value": "get", "condition": "request.method == 'GET'"}]}]}"#,
];

/// Resident memory of a workload's Envoy, in MB.
fn memory(mesh: &Mesh, workload: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", mesh.sidecar(workload).unwrap().pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// Sends requests without a pause until `stop` is set; `build` creates each request.
fn load(mesh: &Mesh, stop: &AtomicBool, sent: &AtomicU64, build: impl Fn(Request) -> Request) {
    let proxy = mesh.sidecar("client-v1").unwrap().outbound();
    while !stop.load(Ordering::Relaxed) {
        let answer = mesh.client().send(&build(Request::get(proxy, "/status/200").host("server.back:9080")));
        sent.fetch_add(1, Ordering::Relaxed);
        assert_eq!(answer.unwrap().status, 200);
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn two_hundred_reloads_lose_and_double_nothing(envoy: &str) {
    // A draining connection may close just when a request is sent on it. Such a request was never received, and is sent
    // again, as in Istio.
    let topology =
        PAIR.replace("protocol: http", "protocol: http, retries: { attempts: 3, on: 'reset,connect-failure' }");
    let scene =
        Setting { topology: &topology, outbound: TURNS[0], inbound: TURNS[0], ..Setting::default() }.start(envoy);
    let mesh = &scene.mesh;
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let workloads = [("client-v1", "stats_outbound"), ("server-v2", "stats_inbound")];
    let begin = Instant::now();
    let before = std::thread::scope(|scope| {
        scope.spawn(|| load(mesh, &stop, &sent, |request| request));
        scope.spawn(|| load(mesh, &stop, &sent, |request| request.header("connection", "close")));
        scope.spawn(|| load(mesh, &stop, &sent, Request::http2));
        let pushes = workloads.map(|(workload, plugin)| {
            scope.spawn(move || {
                let mut settled = 0;
                for (turn, configuration) in (0..RELOADS / 2).zip(TURNS.into_iter().rev().cycle()) {
                    let update =
                        mesh.push(workload, |options| options.plugins = vec![configured(plugin, configuration)]);
                    assert_eq!(update.unwrap(), Update::Accepted, "{workload}, reload {turn}");
                    // From here on, the number of draining generations is constant, and memory should no longer grow.
                    if turn == 20 {
                        settled = memory(mesh, workload);
                    }
                }
                settled
            })
        });
        let before = pushes.map(|push| push.join());
        stop.store(true, Ordering::Relaxed);
        before.map(Result::unwrap)
    });
    let took = begin.elapsed();
    let sent = sent.load(Ordering::Relaxed);
    for ((workload, _), before) in workloads.into_iter().zip(before) {
        // By configuration: with and without its label.
        let counted = || {
            let samples = mesh.sidecar(workload).unwrap().metric("istio_requests_total").unwrap();
            let (second, first): (Vec<_>, Vec<_>) = samples.iter().partition(|s| s.label("source_version") == "<GET>");
            [first, second].map(|samples| samples.iter().map(|sample| sample.value).sum::<f64>() as u64)
        };
        let end = Instant::now() + WAIT;
        while counted().iter().sum::<u64>() < sent && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(200));
        let after = memory(mesh, workload);
        println!("{workload}: {sent} requests, {RELOADS} reloads in {took:.1?}, memory from {before} MB to {after} MB");
        let counts = counted();
        assert_eq!(counts.iter().sum::<u64>(), sent, "{workload}: {counts:?}");
        assert!(!counts.contains(&0), "{workload}: {counts:?}");
        assert!(after < before + GROWTH, "{workload}: memory from {before} MB to {after} MB");
    }
    assert!(took < LIMIT, "{took:?}");
}
