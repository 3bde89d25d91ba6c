//! F25 to F27: retries, Envoy's own filter, and changes of the rules.

use std::time::{Duration, Instant};

use local_mesh::{envoy_filter, tools, Update};

use crate::scene::{
    configured, for_path, ms, native_filter, outbound, quiet, rule, rules, wait_for, with_longest_stall, Setting, LATE,
    PAIR,
};

/// F25
#[test]
fn callers_retry_faults_of_the_callee_but_not_their_own() {
    let topology = PAIR.replace("protocol: http", "protocol: http, retries: { attempts: 3, on: 5xx }");
    let abort = |path| rules(&[for_path(path, r#""abort": {"httpStatus": 503, ALL}"#)]);
    let (outbound, inbound) = (abort("/out"), abort("/in"));
    let setting = Setting { topology: &topology, outbound: &outbound, inbound: &inbound, ..Setting::default() };
    let scene = setting.start();
    for (path, workload, rule, aborts) in [("/out", "client", "out", 1), ("/in", "server", "in", 4)] {
        assert_eq!(scene.status(&scene.get(path)), 503);
        let count = || scene.counts(workload, "fault_aborts_injected_total", &["rule"]);
        wait_for(path, &[(rule.to_owned(), aborts)].into(), count);
    }
    assert_eq!(scene.served(), 0);
}

/// F26
#[test]
fn envoy_s_own_filter_injects_what_the_rules_say() {
    let fault = r#""delay": {"fixedDelay": "200ms", ALL}, "abort": {"httpStatus": 418, ALL}"#;
    let config = rules(&[
        for_path("/both", fault),
        for_path("/delay", r#""delay": {"fixedDelay": "200ms", ALL}"#),
        for_path("/grpc", r#""abort": {"grpcStatus": "NOT_FOUND", ALL}"#),
    ])
    .replacen('{', r#"{"engine": "envoy", "#, 1);
    for envoy in tools::ENVOY_VERSIONS {
        let options = |options: &mut local_mesh::Options| options.patches.push(native_filter());
        let scene = Setting { outbound: &config, envoy: Some(envoy), ..Setting::default() }.start_with(options);
        {
            let _quiet = quiet();
            for (path, status) in [("/both", 418), ("/delay", 200)] {
                let (answered, took) = scene.timed(&scene.get(path));
                assert_eq!(answered, status);
                // Envoy's own delays may be slightly too short.
                assert!((ms(195)..ms(200) + LATE).contains(&took), "{path}: {took:?}");
            }
        }
        assert!(scene.log_of("/both").starts_with("code=418 flags=DI,FI details=fault_filter_abort"));
        assert!(scene.log_of("/delay").starts_with("code=200 flags=DI "));
        let call = scene.get("/grpc").http2().header("content-type", "application/grpc");
        assert_eq!(scene.send(&call).header("grpc-status"), Some("5"));
        // No other headers control it.
        let asked = scene.get("/other").header("x-envoy-fault-abort-request", "404");
        let (status, took) = scene.timed(&asked.header("x-envoy-fault-delay-request", "1000"));
        assert!(status == 200 && took < ms(1000), "{status} {took:?}");
        let native = |name: &str| {
            let page = scene.mesh.sidecar("client").unwrap().admin(&format!("/stats?filter=fault.{name}$")).unwrap();
            page.lines().filter_map(|line| line.split_once(": ")?.1.parse::<u64>().ok()).sum::<u64>()
        };
        assert_eq!((native("delays_injected"), native("aborts_injected")), (2, 2));
        scene.expect(&[
            ("fault_delays_injected_total", "both", 1),
            ("fault_delays_injected_total", "delay", 1),
            ("fault_aborts_injected_total", "both 418", 1),
            ("fault_aborts_injected_total", "grpc grpc5", 1),
        ]);
    }
}

/// F27
#[test]
fn requests_that_wait_are_not_disturbed_by_new_rules() {
    // The old listener's connections are closed after a second.
    const DELAY: Duration = ms(800);
    let scene = outbound(&rule(r#""delay": {"fixedDelay": "800ms", ALL}"#, ""));
    let _quiet = quiet();
    let waited = || {
        let begin = Instant::now();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let requests = vec![scene.get("/"); 100];
                (scene.mesh.client().send_together(&requests), begin.elapsed())
            });
            wait_for("fault_active", &100, || scene.active());
            assert_eq!(scene.push(&rule(r#""abort": {"httpStatus": 418, ALL}"#, "")), Update::Accepted);
            assert!(begin.elapsed() < DELAY, "too late to show anything: {:?}", begin.elapsed());
            assert_eq!(scene.status(&scene.get("/").header("connection", "close")), 418, "the new rules");
            waiting.join().unwrap()
        })
    };
    let ((answers, took), stall) = with_longest_stall(waited);
    assert!((DELAY..DELAY + LATE * 4 + stall * 2).contains(&took), "{took:?}; the machine stalled for {stall:?}");
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200)), "{answers:?}");
    scene.expect(&[("fault_delays_injected_total", "r", 100), ("fault_delay_cancelled_total", "r", 0)]);
}

/// The files in `envoy/` insert the filter at the correct position, on both sides and at gateways.
#[test]
fn all_files_are_applied_before_envoy_s_own_filter() {
    let topology = "
name: shop
workloads:
  - { name: gateway, app: gateway, address: 127.22.0.1, gateway: { port: 8080, routes: [ { prefix: /, to: server } ] } }
  - { name: client, app: client, address: 127.22.0.2, calls: [server] }
  - { name: server, app: server, address: 127.22.0.3 }
services:
  - { name: server, port: 9080, protocol: http }
";
    let abort = |status| {
        rule(&format!(r#""abort": {{"httpStatus": {status}, ALL}}"#), r#", "match": [{"headers": {"x": {}}}]"#)
    };
    let options = local_mesh::Options {
        filters: vec![tools::filters()],
        patches: vec![envoy_filter(crate::scene::ACCESS_LOG)],
        plugins: vec![
            configured("remixer-fault-gateway", &abort(511)),
            configured("remixer-fault-outbound", &abort(512)),
            configured("remixer-fault-inbound", &abort(513)),
        ],
        ..local_mesh::Options::default()
    };
    let mesh = local_mesh::Mesh::start(local_mesh::Topology::parse(topology).unwrap(), options).unwrap();
    let (gateway, client) = (mesh.gateway("gateway").unwrap(), mesh.sidecar("client").unwrap().outbound());
    let server = mesh.sidecar("server").unwrap().inbound();
    for (address, status) in [(gateway, 511), (client, 512), (server, 513)] {
        let request = local_mesh::Request::get(address, "/").host("server:9080");
        assert_eq!(mesh.client().send(&request.clone().header("x", "1")).unwrap().status, status);
        assert_eq!(mesh.client().send(&request).unwrap().status, 200);
    }
    let dump = mesh.sidecar("server").unwrap().admin("/config_dump").unwrap();
    let (_, dump) = dump.split_once("\"virtualInbound\"").unwrap();
    let places: Vec<_> =
        ["remixer.telemetry", "remixer.fault", "envoy.filters.http.fault", "envoy.filters.http.router"]
            .iter()
            .map(|name| dump.find(&format!("\"name\": \"{name}\"")).unwrap())
            .collect();
    assert!(places.is_sorted(), "{places:?}");
}
