//! Well-known tutorials, with the rules in `tools/local-mesh/faults/` on Bookinfo's services.

use std::fs;
use std::time::Duration;

use local_mesh::rule_file::RuleFile;
use local_mesh::{envoy_filter, faults, tools, Mesh, Options, Request, Topology};

use crate::load;
use crate::scene::{configured, loud, ms, outbound, quiet, ACCESS_LOG, LATE};

/// Bookinfo's reviews and the services behind it, with a service outside the mesh. No workload calls by itself.
const SHOP: &str = "
name: bookinfo
workloads:
  - { name: reviews-v2, app: reviews, version: v2, address: 127.22.0.1, calls: [ratings, details, httpbin] }
  - { name: ratings-v1, app: ratings, version: v1, address: 127.22.0.2 }
  - { name: details-v1, app: details, version: v1, address: 127.22.0.3 }
  - { name: httpbin, app: httpbin, address: 127.22.0.4, sidecar: false }
services:
  - { name: ratings, port: 9080, protocol: http }
  - { name: details, port: 9080, protocol: http }
  - { name: httpbin, port: 8000, protocol: http, external: true }
";

/// One of our example files.
fn example(name: &str) -> String {
    e2e::examples::read("faults", name)
}

fn bookinfo(rules: &str) -> Mesh {
    let options = Options {
        filters: ["fault-outbound", "fault-bootstrap"]
            .map(|name| tools::filters().join(name).with_extension("yaml"))
            .into(),
        patches: vec![envoy_filter(ACCESS_LOG)],
        plugins: vec![configured("remixer-fault-outbound", rules)],
        ..Options::default()
    };
    Mesh::start(Topology::parse(SHOP).unwrap(), options).unwrap()
}

/// The answer that reviews gets when it calls a service for a user.
fn ask(mesh: &Mesh, host: &str, user: &str) -> (u16, Duration) {
    let request = Request::get(mesh.sidecar("reviews-v2").unwrap().outbound(), "/ratings/0").host(host);
    let begin = std::time::Instant::now();
    (mesh.client().send(&request.header("end-user", user)).unwrap().status, begin.elapsed())
}

#[test]
fn jason_waits_for_ratings_and_nobody_else_does() {
    let mesh = bookinfo(&example("ratings-delay-jason-7s"));
    let _quiet = quiet();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (status, took) = ask(&mesh, "ratings:9080", "jason");
            assert!(status == 200 && (ms(7000)..ms(7000) + LATE).contains(&took), "{status} {took:?}");
        });
        for (host, user) in [("ratings:9080", "bob"), ("details:9080", "jason"), ("httpbin:8000", "jason")] {
            let (status, took) = ask(&mesh, host, user);
            assert!(status == 200 && took < ms(50), "{host} {user}: {status} {took:?}");
        }
    });
}

#[test]
fn jason_waits_long_enough_but_not_too_long() {
    let mesh = bookinfo(&example("ratings-delay-2.8s"));
    let _quiet = quiet();
    let (status, took) = ask(&mesh, "ratings:9080", "jason");
    assert!(status == 200 && (ms(2800)..ms(2800) + LATE).contains(&took), "{status} {took:?}");
}

#[test]
fn jason_gets_an_error_and_nobody_else_does() {
    let mesh = bookinfo(&example("ratings-abort-jason-500"));
    let asked = [("ratings:9080", "jason"), ("ratings:9080", "bob"), ("details:9080", "jason")];
    assert_eq!(asked.map(|(host, user)| ask(&mesh, host, user).0), [500, 200, 200]);
    assert_eq!(mesh.application("ratings-v1").unwrap().served(), 1);
}

#[test]
fn a_host_outside_the_mesh_is_forbidden() {
    let mesh = bookinfo(&example("httpbin-abort-403"));
    let asked = [("httpbin:8000", "jason"), ("ratings:9080", "jason")];
    assert_eq!(asked.map(|(host, user)| ask(&mesh, host, user).0), [403, 200]);
    assert_eq!(mesh.application("httpbin").unwrap().served(), 0);
}

/// Whether about one in a thousand is hit, within four standard deviations.
fn one_in_a_thousand(count: u64, draws: usize) -> bool {
    let expected = draws as f64 / 1000.0;
    (count as f64 - expected).abs() <= 4.0 * (expected * 0.999).sqrt()
}

#[test]
fn one_request_in_a_thousand_is_aborted() {
    const COUNT: usize = 10_000;
    let scene = outbound(&example("abort-0.1-percent"));
    let _loud = loud();
    let statuses = load::send(scene.proxy(), COUNT, |_| load::get("/status/200", ""));
    let aborted = statuses.get(&400).copied().unwrap_or_default();
    assert_eq!(statuses.get(&200).copied().unwrap_or_default() + aborted, COUNT as u64);
    assert!(one_in_a_thousand(aborted, COUNT), "{statuses:?}");
    scene.expect(&[("fault_aborts_injected_total", "abort 400", aborted)]);
}

#[test]
fn one_request_in_a_thousand_waits_five_seconds() {
    const COUNT: usize = 10_000;
    let scene = outbound(&example("delay-0.1-percent"));
    let _loud = loud();
    // Each connection sends its next request after the previous answer: few requests wait, but for a long time.
    let begin = std::time::Instant::now();
    let statuses = load::send(scene.proxy(), COUNT, |_| load::get("/status/200", ""));
    assert_eq!(statuses, [(200, COUNT as u64)].into());
    let delayed = scene.counts("client", "fault_delays_injected_total", &["rule"]).values().sum::<u64>();
    assert!(one_in_a_thousand(delayed, COUNT), "{delayed}");
    assert!(delayed == 0 || begin.elapsed() >= Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn a_rule_file_comes_changes_and_goes_while_the_mesh_runs() {
    let mesh = bookinfo("{}");
    let path = std::env::temp_dir().join(format!("remixer-faults-{}.json", std::process::id()));
    let mut file = RuleFile::new(&faults::RULES, &path);
    let asked = |user| {
        let request = Request::get(mesh.sidecar("reviews-v2").unwrap().outbound(), "/").host("ratings:9080");
        mesh.client().send(&request.header("end-user", user).header("connection", "close")).unwrap().status
    };
    assert_eq!(file.poll(&mesh).unwrap(), None, "there is none, as before");
    fs::write(&path, example("ratings-abort-jason-500")).unwrap();
    assert_eq!(file.poll(&mesh).unwrap(), Some(format!("faults of {}: ratings-jason", path.display())));
    assert_eq!((asked("jason"), asked("bob"), file.poll(&mesh).unwrap()), (500, 200, None));
    fs::write(&path, r#"{"http": [{"fault": {}}]}"#).unwrap();
    let said = file.poll(&mesh).unwrap().unwrap();
    assert!(said.ends_with("http[0].fault: must have delay and/or abort; what was before stays"), "{said}");
    assert_eq!(asked("jason"), 500);
    fs::remove_file(&path).unwrap();
    assert_eq!(file.poll(&mesh).unwrap(), Some(format!("no faults: {} is not there", path.display())));
    assert_eq!(asked("jason"), 200);
}
