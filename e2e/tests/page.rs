//! The live view: its endpoints, and its pages in a real browser.

// clippy.toml does not exempt helpers outside of test functions.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use hyper::StatusCode;
use local_mesh::prometheus::Queries;
use local_mesh::server::{answer, Server};
use local_mesh::traffic::Sending;
use local_mesh::{page, percent, tools, Answer, Client, Mesh, Options, Request, Topology};
use serde_json::{json, Value};
use tokio::runtime::{Builder, Runtime};

/// A page: its content after loading its data, and the errors of its scripts.
struct Shown {
    dom: String,
    console: Vec<String>,
}

/// A page with a Prometheus whose answers the test defines.
struct Scene {
    page: Server,
    client: Client,
    _prometheus: Server,
    _runtime: Runtime,
}

impl Scene {
    /// `samples(query)` returns the answer of Prometheus: labels and values.
    fn new(samples: impl Fn(&str) -> Vec<(Value, f64)> + Send + Sync + 'static) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let prometheus = Server::start(free, runtime.handle(), move |request| {
            let pairs = percent::pairs(request.uri().query().unwrap_or_default());
            let result: Vec<Value> = samples(&pairs[0].1)
                .into_iter()
                .map(|(labels, value)| json!({"metric": labels, "value": [0, value.to_string()]}))
                .collect();
            let body = json!({"status": "success", "data": {"resultType": "vector", "result": result}});
            async move { answer(StatusCode::OK, "application/json", body.to_string()) }
        });
        let (prometheus, client) = (prometheus.unwrap(), Client::new(runtime.handle().clone()));
        let page = page::start(free, runtime.handle(), Queries::new(prometheus.address(), client.clone())).unwrap();
        Self { page, client, _prometheus: prometheus, _runtime: runtime }
    }

    fn get(&self, path: &str) -> Answer {
        self.client.send(&Request::get(self.page.address(), path)).unwrap()
    }
}

/// Opens a page in Chromium, and waits for some of the browser's virtual time.
fn open(address: SocketAddr, path: &str) -> Shown {
    let profile = std::env::temp_dir().join(format!("page-test-{}-{}", std::process::id(), address.port()));
    let output = Command::new("timeout")
        .arg("60")
        .arg(tools::chromium().unwrap())
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr"])
        .args(["--window-size=1280,800", "--virtual-time-budget=1500", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("http://{address}{path}"))
        .output()
        .unwrap();
    // It may already be removed.
    let _ = std::fs::remove_dir_all(&profile);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "Chromium: {} {errors}", output.status);
    let console = errors.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    Shown { dom: String::from_utf8_lossy(&output.stdout).into_owned(), console }
}

impl Shown {
    fn check(&self, nodes: usize, edges: usize) {
        assert!(self.console.is_empty(), "{:?}", self.console);
        assert!(self.dom.contains("data-state=\"ready\""), "{}", self.dom);
        assert_eq!(self.dom.matches(" data-id=\"").count(), nodes, "nodes in {}", self.dom);
        assert_eq!(self.dom.matches(" data-source=\"").count(), edges, "edges in {}", self.dom);
    }

    /// Left, top, right and bottom of each node.
    fn boxes(&self) -> Vec<[f64; 4]> {
        let groups = self.dom.split(" data-id=\"").skip(1);
        groups
            .map(|group| {
                let value = |start: &str, end: char| {
                    let (_, rest) = group.split_once(start).unwrap();
                    rest.split(end).next().unwrap().to_owned()
                };
                let place: Vec<f64> =
                    value("translate(", ')').split(' ').map(|number| number.parse().unwrap()).collect();
                let [width, height]: [f64; 2] =
                    [" width=\"", " height=\""].map(|size| value(size, '"').parse().unwrap());
                [place[0], place[1], place[0] + width, place[1] + height]
            })
            .collect()
    }
}

/// The labels of requests from one workload to another, from either reporter.
fn ends(reporter: &str, from: &str, to: &str) -> Value {
    json!({
        "reporter": reporter, "source_workload": from, "source_app": from, "source_workload_namespace": "default",
        "destination_workload": to, "destination_app": to, "destination_workload_namespace": "default",
        "destination_service_name": to, "destination_service_namespace": "default",
        "connection_security_policy": if reporter == "destination" { "mutual_tls" } else { "unknown" },
    })
}

fn with(mut labels: Value, more: &[(&str, &str)]) -> Value {
    for (name, value) in more {
        labels[*name] = json!(value);
    }
    labels
}

/// a calls b; a tenth of the calls fails, and a tenth is delayed. b calls c over TCP, and sends copies to a mirror.
fn three(query: &str) -> Vec<(Value, f64)> {
    let request =
        |reporter, code, flags| with(ends(reporter, "a", "b"), &[("response_code", code), ("response_flags", flags)]);
    if query.contains("duration_milliseconds") {
        return vec![(ends("source", "a", "b"), 46.2)];
    }
    if query.contains("istio_requests_total") {
        let source = [("200", "-", 8.0), ("200", "DI", 1.0), ("503", "UF", 1.0)];
        let source = source.map(|(code, flags, rate)| (request("source", code, flags), rate));
        return [source.to_vec(), vec![(request("destination", "200", "-"), 9.0)]].concat();
    }
    if query.contains("istio_tcp_received_bytes_total") {
        return vec![
            (ends("source", "b", "c"), 2000.0),
            (with(ends("destination", "b", "c"), &[("connection_security_policy", "none")]), 2000.0),
        ];
    }
    let copies = json!({"namespace": "default", "pod": "b-7d8f6b9c4d-x2x4z", "mirror": "next"});
    if query.contains("shadow_requests_total") {
        return vec![(copies, 3.0)];
    }
    if query.contains("shadow_compare_total") {
        return vec![
            (with(copies.clone(), &[("result", "match")]), 2.0),
            (with(copies, &[("result", "code_mismatch")]), 1.0),
        ];
    }
    Vec::new()
}

/// A tree of 60 workloads.
fn sixty(query: &str) -> Vec<(Value, f64)> {
    let name = |number: usize| format!("service-{number}");
    let all = (1..60).map(|number| (ends("source", &name((number - 1) / 4), &name(number)), number));
    if query.contains("istio_requests_total") {
        let requests = |(labels, number): (Value, usize)| {
            let code = if number % 20 == 3 { "500" } else { "200" };
            (with(labels, &[("response_code", code), ("response_flags", "-")]), number as f64)
        };
        return all.map(requests).collect();
    }
    Vec::new()
}

#[test]
fn the_endpoints_are_those_of_servicegraph() {
    let scene = Scene::new(three);
    let graph = scene.get("/graph").json().unwrap();
    let nodes: Vec<&String> = graph["nodes"].as_object().unwrap().keys().collect();
    assert_eq!(nodes, ["a (a)", "b (b)", "c (c)", "mirror (next)"]);
    assert_eq!(graph["edges"][0]["source"], "a (a)");
    assert_eq!(graph["edges"][0]["labels"]["reqs/sec"], "10.000000");
    assert_eq!(graph["edges"][1]["labels"]["bytes/sec"], "2000.000000");
    let d3 = scene.get("/d3graph?time_horizon=30s&filter_empty=true").json().unwrap();
    assert_eq!((&d3["nodes"][1]["name"], &d3["links"][0]["target"]), (&json!("b (b)"), &json!(1)));
    let dot = scene.get("/dotgraph?destination_workload=c&destination_namespace=default").text();
    assert!(
        dot.starts_with("digraph") && dot.contains("\"b (b)\" -> \"c (c)\"") && !dot.contains("\"a (a)\""),
        "{dot}"
    );
    for page in ["/", "/dotviz", "/force/forcegraph.html"] {
        let answer = scene.get(page);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")), "{page}");
        assert!(answer.header("content-security-policy").unwrap().contains("default-src 'self'"));
    }
}

#[test]
fn a_wrong_question_and_a_prometheus_that_is_gone_are_said() {
    let scene = Scene::new(three);
    let wrong = scene.get("/graph?time_horizon=yesterday");
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("time_horizon") && wrong.text().contains("yesterday"), "{}", wrong.text());
    assert_eq!(scene.get("/etc/passwd").status, 404);
    assert_eq!(scene.client.send(&Request::post(scene.page.address(), "/graph", "x")).unwrap().status, 405);
    let nobody = Queries::new(SocketAddr::from(([127, 0, 0, 1], 9)), scene.client.clone());
    let orphan = page::start(SocketAddr::from(([127, 0, 0, 1], 0)), scene._runtime.handle(), nobody).unwrap();
    let answer = scene.client.send(&Request::get(orphan.address(), "/graph")).unwrap();
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("Prometheus"), "{}", answer.text());
    let shown = open(orphan.address(), "/");
    assert!(
        shown.dom.contains("data-state=\"failed\"") && shown.dom.contains("Prometheus cannot be asked"),
        "{}",
        shown.dom
    );
}

#[test]
fn a_browser_shows_errors_faults_copies_tcp_and_who_has_no_mutual_tls() {
    let scene = Scene::new(three);
    let shown = open(scene.page.address(), "/");
    shown.check(4, 3);
    for text in ["10/s", "p99 46 ms", "10 % errors", "10 % delayed", "TCP 2 kB/s", "3/s copied", "67 % alike"] {
        assert!(shown.dom.contains(&format!(">{text}<")), "{text} is not in {}", shown.dom);
    }
    for part in [
        "class=\"line bad\"",
        "class=\"line ok tcp\"",
        "class=\"line shadow\"",
        "href=\"#lock\"",
        "href=\"#open\" class=\"plain\"",
        "href=\"#bolt\" class=\"fault\"",
    ] {
        assert!(shown.dom.contains(part), "{part} is not in {}", shown.dom);
    }
    open(scene.page.address(), "/dotviz").check(4, 3);
    open(scene.page.address(), "/force/forcegraph.html?filter_empty=true").check(4, 3);
    open(scene.page.address(), "/?source_workload=a").check(2, 1);
}

#[test]
fn sixty_nodes_do_not_cover_each_other() {
    let scene = Scene::new(sixty);
    let shown = open(scene.page.address(), "/");
    shown.check(60, 59);
    let boxes = shown.boxes();
    assert_eq!(boxes.len(), 60);
    for (index, one) in boxes.iter().enumerate() {
        for other in &boxes[index + 1..] {
            let apart = one[2] <= other[0] || other[2] <= one[0] || one[3] <= other[1] || other[3] <= one[1];
            assert!(apart, "{one:?} and {other:?}");
        }
    }
}

#[test]
fn a_real_mesh_is_shown_as_it_is() {
    let topology = "
name: three
workloads:
  - { name: gate, app: gate, address: 127.1.0.1, gateway: { port: 8080, routes: [ { prefix: /, to: shop } ] } }
  - { name: shop-v1, app: shop, version: v1, address: 127.1.0.2, calls: [store] }
  - { name: store-v1, app: store, version: v1, address: 127.1.0.3 }
services:
  - { name: shop, port: 9080, protocol: http }
  - { name: store, port: 27017, protocol: tcp }
traffic: { gateway: gate, perSecond: 20, mix: [ { path: / } ] }
";
    let options = Options { filters: vec![tools::filters()], prometheus: true, ..Options::default() };
    let mesh = Mesh::start(Topology::parse(topology).unwrap(), options).unwrap();
    let _sending = Sending::start(&mesh, Duration::from_secs(60)).unwrap();
    let page = page::of_mesh(&mesh).unwrap();
    // A new Prometheus needs some seconds before its first scrape, and a rate needs two scrapes.
    let request = Request::get(page.address(), "/mesh.json?filter_empty=true");
    let rates = || mesh.client().send(&request).unwrap().json().unwrap();
    local_mesh::wait_until(Duration::from_secs(30), || {
        rates()["edges"].as_array().is_some_and(|edges| edges.len() == 2)
    })
    .unwrap();
    let shown = open(page.address(), "/?time_horizon=1m");
    shown.check(3, 2);
    let edge = |from: &str, to: &str, kind: &str| {
        format!("data-source=\"default/{from}\" data-target=\"default/{to}\" data-kind=\"{kind}\"")
    };
    for part in [edge("gate", "shop-v1", "http"), edge("shop-v1", "store-v1", "tcp")] {
        assert!(shown.dom.contains(&part), "{part} is not in {}", shown.dom);
    }
    assert!(shown.dom.contains("mutual TLS; 200 "), "{}", shown.dom);
    assert!(!shown.dom.contains(" errors<"), "{}", shown.dom);
}
