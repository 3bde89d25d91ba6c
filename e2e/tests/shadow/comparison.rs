//! S18 to S22: comparing the answers to original and copy.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use hyper::body::Bytes;
use local_mesh::Request;

use crate::backend::Reply;
use crate::scene::{
    all, loud, mirror, ms, with, Scene, Setting, MIRROR, NOBODY, ONE_PROXY, SERVER_CLUSTER, WITH_NOBODY,
};

/// The count of each result since the last call.
struct Results(std::collections::BTreeMap<String, u64>);

impl Results {
    /// The result of the only pair that was closed since.
    fn next(&mut self, scene: &Scene) -> String {
        let mut found = None;
        crate::scene::wait_until(|| {
            let now = scene.counts("shadow_compare_total");
            found =
                now.iter().find(|(labels, count)| self.0.get(*labels) != Some(count)).map(|(labels, _)| labels.clone());
            let is_there = found.is_some();
            if is_there {
                self.0 = now;
            }
            is_there
        });
        found.unwrap_or_default().trim_start_matches("m candidate ").to_owned()
    }
}

/// S18
#[test]
fn grpc_is_compared_by_its_own_status() {
    let topology = ONE_PROXY.replace("protocol: http", "protocol: grpc");
    let scene = Setting { topology: &topology, rules: &all(""), ..Setting::default() }.start();
    scene.server.reply(Reply::grpc("0"));
    let call = |path: &str| {
        let request = scene.post(path, vec![0, 0, 0, 0, 1, 7]).http2().header("content-type", "application/grpc");
        assert_eq!(scene.status(&request.header("te", "trailers")), 200);
    };
    let mut results = Results(Default::default());
    for (status, result) in [("0", "match"), ("5", "class_mismatch"), ("14", "class_mismatch")] {
        scene.mirror().reply(Reply::grpc(status));
        call("/a.B/C");
        assert_eq!(results.next(&scene), result);
        let copy = scene.mirror().only();
        assert_eq!((copy.header("content-type"), copy.header("te")), ("application/grpc".into(), "trailers".into()));
        assert_eq!(copy.body.len(), 6);
    }
    scene.server.reply(Reply::grpc("7"));
    call("/a.B/C");
    assert_eq!(results.next(&scene), "code_mismatch");
    scene.expect(
        "shadow_status_pairs_total",
        &[("m grpc_err/grpc_err", 1), ("m grpc_ok/grpc_err", 2), ("m grpc_ok/grpc_ok", 1)],
    );
    // Envoy itself answers 200 if there is no server.
    scene.push(&all(r#""timeout": "100ms""#));
    scene.mirror().reply(Reply { delay: ms(1000), ..Reply::grpc("0") });
    call("/a.B/C");
    assert_eq!(results.next(&scene), "shadow_unavailable");
    scene.push(&format!(r#"{{"http": [{{"mirrors": [{}]}}]}}"#, mirror("m", "remixer_nobody", "")));
    call("/a.B/C");
    scene.expect("shadow_dispatch_failed_total", &[("m unknown_cluster", 1)]);
}

/// S18
#[test]
fn grpc_without_a_mirror_is_unavailable_though_envoy_says_200() {
    let topology = WITH_NOBODY.replace("protocol: http", "protocol: grpc");
    let rules = format!(r#"{{"http": [{{"mirrors": [{}]}}]}}"#, mirror("m", NOBODY, ""));
    let scene = Setting { topology: &topology, rules: &rules, ..Setting::default() }.start();
    scene.server.reply(Reply::grpc("0"));
    let request = scene.post("/a.B/C", vec![0; 5]).http2().header("content-type", "application/grpc");
    assert_eq!(scene.status(&request), 200);
    scene.expect("shadow_compare_total", &[("m candidate shadow_unavailable", 1)]);
    scene.expect("shadow_status_pairs_total", &[("m grpc_ok/unreachable", 1)]);
}

/// S19
#[test]
fn every_outcome_is_compared_with_every_other() {
    let rules = |cluster: &str| {
        let more = r#""timeout": "500ms", "maxRequestBytes": 0"#;
        format!(r#"{{"http": [{{"mirrors": [{}]}}]}}"#, mirror("m", cluster, more))
    };
    let here = rules(MIRROR);
    let scene = Setting { topology: WITH_NOBODY, rules: &here, ..Setting::default() }.start();
    let statuses = [200_u16, 201, 404, 500, 503];
    let shadows: Vec<(&str, Reply)> = ["200", "201", "404", "500", "503"]
        .into_iter()
        .zip(statuses)
        .map(|(name, status)| (name, Reply::status(status)))
        .chain([
            ("timeout", Reply::after(2000)),
            ("reset", Reply { resets: true, ..Reply::default() }),
            ("large", Reply { body: Bytes::from(vec![0; 40_000_000]), ..Reply::default() }),
        ])
        .collect();
    for (name, reply) in &shadows {
        scene.mirror().reply_to(&format!("/{name}"), reply.clone());
    }
    let mut results = Results(Default::default());
    let mut check = |primary: Option<u16>, name: &str| {
        let request = match primary {
            Some(status) => {
                scene.server.reply(Reply::status(status));
                scene.get(&format!("/{name}"))
            }
            None => Request::get(scene.proxy(), &format!("/{name}")).host("nobody:9080"),
        };
        // A new connection, because the rules change.
        assert_eq!(scene.status(&request.header("connection", "close")), primary.unwrap_or(503));
        let class = |code: u16| code / 100;
        let expected = match (primary, name.parse::<u16>()) {
            (None, _) => "primary_unavailable",
            (_, Err(_)) => "shadow_unavailable",
            (Some(one), Ok(other)) if one == other => "match",
            (Some(one), Ok(other)) if class(one) == class(other) => "code_mismatch",
            _ => "class_mismatch",
        };
        assert_eq!(results.next(&scene), expected, "{primary:?} {name}");
    };
    let primaries = [Some(200), Some(404), Some(500), None];
    for primary in primaries {
        for (name, _) in &shadows {
            check(primary, name);
        }
    }
    scene.push(&rules(NOBODY));
    for primary in primaries {
        check(primary, "down");
    }
    let responses = scene.counts("shadow_responses_total");
    for (labels, count) in
        [("m timeout", 4), ("m unreachable", 8), ("m reset", 4), ("m 2xx", 8), ("m 4xx", 4), ("m 5xx", 8)]
    {
        assert_eq!(responses.get(labels), Some(&count), "{labels}: {responses:?}");
    }
    assert_eq!(scene.total("shadow_compare_total"), 36);
}

/// Answers that end before their bodies do, over HTTP/1.1 and HTTP/2: they never match, on either side.
#[test]
fn an_answer_that_breaks_off_is_not_compared() {
    for protocol in ["http", "grpc"] {
        let topology = ONE_PROXY.replace("protocol: http", &format!("protocol: {protocol}"));
        let limit = "{ applyTo: HTTP_ROUTE, match: { context: SIDECAR_OUTBOUND, routeConfiguration: { vhost: {
              name: 'server.default.svc.cluster.local:9080' } } },
            patch: { operation: MERGE, value: { route: { timeout: 0.5s } } } }";
        let rules = all(r#""timeout": "500ms", "compare": {"size": true, "body": true}"#);
        let scene = Setting { topology: &topology, rules: &rules, patches: &[limit], ..Setting::default() }.start();
        let whole = Reply { body: Bytes::from(vec![7; 50_000]), ..Reply::default() };
        let broken = Reply { breaks_off: Some(ms(50)), ..whole.clone() };
        let chunked = Reply { trailers: vec![("x-a", "b")], ..broken.clone() };
        let late = Reply { breaks_off: Some(ms(3000)), ..whole.clone() };
        let mut results = Results(Default::default());
        let cases = [
            (&whole, &whole, true, "match"),
            (&whole, &broken, true, "shadow_unavailable"),
            (&whole, &chunked, true, "shadow_unavailable"),
            (&whole, &late, true, "shadow_unavailable"),
            (&broken, &whole, false, "primary_incomplete"),
            (&chunked, &whole, false, "primary_incomplete"),
            (&late, &whole, false, "primary_incomplete"),
            (&broken, &broken, false, "primary_incomplete"),
        ];
        for (number, (server, mirror, is_answered, result)) in cases.into_iter().enumerate() {
            scene.server.reply(server.clone());
            scene.mirror().reply(mirror.clone());
            let answer = scene.mesh.client().send(&scene.get("/"));
            assert_eq!(answer.is_ok(), is_answered, "{protocol}, case {number}");
            assert_eq!(results.next(&scene), result, "{protocol}, case {number}");
        }
        // The client leaves during the answer.
        let mut stream = TcpStream::connect(scene.proxy()).unwrap();
        scene.server.reply(Reply { breaks_off: Some(ms(400)), ..whole.clone() });
        scene.mirror().reply(whole);
        stream.write_all(b"GET / HTTP/1.1\r\nhost: server:9080\r\n\r\n").unwrap();
        assert!(stream.read(&mut [0; 100]).unwrap() > 0);
        drop(stream);
        assert_eq!(results.next(&scene), "primary_incomplete");
        scene.expect("shadow_responses_total", &[("m reset", 4), ("m 2xx", 5)]);
    }
}

/// S20
#[test]
fn how_much_slower_a_mirror_is_is_told() {
    let suppress = "{ applyTo: HTTP_FILTER, match: { context: SIDECAR_OUTBOUND, listener: { filterChain: { filter: {
          name: envoy.filters.network.http_connection_manager, subFilter: { name: envoy.filters.http.router } } } } },
        patch: { operation: MERGE, value: { typed_config: {
          '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, suppress_envoy_headers: true } } } }";
    for patches in [&[][..], &[suppress]] {
        let scene = Setting { rules: &all(""), patches, ..Setting::default() }.start();
        let _loud = loud();
        let histograms = ["shadow_latency_ms", "shadow_primary_latency_ms"];
        let sums = || histograms.map(|name| sum(&scene, &format!("{name}_sum")));
        let samples = || histograms.map(|name| sum(&scene, &format!("{name}_count")));
        let verdicts = ["m slower", "m faster", "m same"];
        let counts =
            || verdicts.map(|labels| scene.counts("shadow_latency_total").get(labels).copied().unwrap_or_default());
        let round = || {
            let (before, sampled, counted) = (sums(), samples(), counts());
            for (number, (server, mirror)) in [(10, 60), (60, 10), (30, 30)].into_iter().enumerate() {
                scene.server.reply(Reply::after(server));
                scene.mirror().reply(Reply::after(mirror));
                let answer = scene.send(&scene.get("/"));
                assert_eq!(answer.header("x-envoy-upstream-service-time").is_some(), patches.is_empty());
                let all = counted.iter().sum::<u64>() + number as u64 + 1;
                crate::scene::wait_until(|| counts().iter().sum::<u64>() == all);
            }
            crate::scene::wait_until(|| samples().iter().zip(sampled).all(|(now, before)| *now == before + 3.0));
            // In comparison with the servers' real durations.
            let servers = [scene.mirror(), &scene.server];
            let took = [0, 1].map(|at| {
                let waits = servers[at].waits(true);
                let last: Duration = waits.iter().rev().take(3).sum();
                sums()[at] - before[at] - last.as_secs_f64() * 1e3
            });
            let differences = [0, 1, 2].map(|at| counts()[at] - counted[at]);
            (took, differences)
        };
        // Other work on the machine only adds time. So the smallest value is the real one.
        let rounds: Vec<_> = (0..6).map(|_| round()).collect();
        for at in [0, 1] {
            let took = rounds.iter().map(|(took, _)| took[at]).fold(f64::INFINITY, f64::min);
            assert!(took.abs() <= 5.0, "{}: {took} ms more: {rounds:?}", histograms[at]);
        }
        let right = rounds.iter().filter(|(_, differences)| *differences == [1, 1, 1]).count();
        assert!(right >= 2, "{verdicts:?}: {rounds:?}");
    }
}

fn sum(scene: &Scene, metric: &str) -> f64 {
    scene.client().metric(metric).unwrap().iter().map(|sample| sample.value).sum()
}

/// S22
#[test]
fn bodies_are_compared_if_asked_for() {
    let control = mirror("c", SERVER_CLUSTER, r#""role": "control", "compare": {"size": true, "body": true}"#);
    let by_size = mirror("s", MIRROR, r#""compare": {"size": true}"#);
    let by_body = mirror("b", MIRROR, r#""compare": {"body": true, "maxBodyBytes": 100000}"#);
    let scene = with(&format!(r#"{{"http": [{{"mirrors": [{control}, {by_size}, {by_body}]}}]}}"#));
    let body = |bytes: Vec<u8>| Reply { body: bytes.into(), ..Reply::default() };
    let other_byte = {
        let mut bytes = vec![1; 100_000];
        bytes[99_999] = 2;
        bytes
    };
    // Compressed bodies are compared without decompression: the same text in other bytes differs.
    let gzip = |bytes: &'static [u8]| Reply {
        headers: vec![("content-encoding", "gzip")],
        body: Bytes::from_static(bytes),
        ..Reply::default()
    };
    for (server, mirror) in [
        (body(vec![1; 100_000]), body(vec![1; 100_000])),
        (body(vec![1; 100_000]), body(other_byte)),
        (body(vec![1; 100_001]), body(vec![2; 100_001])),
        (body(vec![1; 10]), body(vec![1; 11])),
        (gzip(b"\x1f\x8b\x08\x00\x00"), gzip(b"\x1f\x8b\x08\x00\x01")),
        (body(Vec::new()), body(Vec::new())),
    ] {
        scene.server.reply(server);
        scene.mirror().reply(mirror);
        let before = scene.total("shadow_compare_total");
        scene.status(&scene.get("/"));
        crate::scene::wait_until(|| scene.total("shadow_compare_total") == before + 3);
    }
    scene.expect(
        "shadow_compare_total",
        &[
            ("b candidate body_mismatch", 3),
            ("b candidate match", 3),
            ("c control match", 6),
            ("s candidate match", 5),
            ("s candidate size_mismatch", 1),
        ],
    );
    scene.expect("shadow_uncompared_total", &[("b body_too_large", 1), ("c body_too_large", 3)]);
    // HEAD has no body, whatever the head says.
    let before = scene.total("shadow_compare_total");
    scene.server.reply(body(vec![1; 10]));
    assert_eq!(scene.status(&scene.get("/").method(hyper::Method::HEAD)), 200);
    crate::scene::wait_until(|| scene.total("shadow_compare_total") == before + 3);
    assert_eq!(scene.counts("shadow_compare_total").get("s candidate size_mismatch"), Some(&1));
}

/// The log of mismatches: few lines, and no secrets.
#[test]
fn a_few_mismatches_are_logged_without_secrets() {
    let scene = with(&all(r#""compare": {"logMismatches": 2}"#));
    scene.mirror().reply(Reply { body: Bytes::from_static(b"secret-body"), ..Reply::status(500) });
    for number in 0..20 {
        let request = scene.get(&format!("/page/{number}?token=secret-query")).header("authorization", "secret-header");
        assert_eq!(scene.status(&request), 200);
    }
    crate::scene::wait_until(|| scene.total("shadow_compare_total") == 20);
    let log = scene.client().log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("class_mismatch")).collect();
    assert!((2..=6).contains(&lines.len()), "{lines:?}");
    for line in lines {
        let is_told =
            ["shadow: mirror m: class_mismatch: ", " GET /page/", ": original 200 in ", " ms, mirror 500 in "];
        assert!(is_told.iter().all(|part| line.contains(part)), "{line}");
    }
    assert!(!log.contains("secret"), "{log}");
}
