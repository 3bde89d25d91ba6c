//! Traces: the spans of a request through bookinfo in a collector, without our filters.

// clippy.toml does not exempt helpers outside of test functions.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request as Received, Response, StatusCode};
use local_mesh::config::Tracing;
use local_mesh::server::{answer, Server};
use local_mesh::{Mesh, Options, Request, Topology};
use serde_json::Value;

/// Envoy sends its spans every 5 s.
const WAIT: Duration = Duration::from_secs(15);

/// The spans that our stand-in for Zipkin's API received.
struct Collector {
    spans: Arc<Mutex<Vec<Value>>>,
    server: Server,
    _runtime: tokio::runtime::Runtime,
}

impl Collector {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let spans = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&spans);
        let server = Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), runtime.handle(), move |request| {
            let response = receive(&kept, &request);
            async move { response }
        });
        Self { spans, server: server.unwrap(), _runtime: runtime }
    }

    fn spans_of(&self, trace: &str) -> Vec<Value> {
        let spans = self.spans.lock().unwrap();
        spans.iter().filter(|span| span["traceId"] == trace).cloned().collect()
    }

    fn count(&self) -> usize {
        self.spans.lock().unwrap().len()
    }
}

fn receive(kept: &Mutex<Vec<Value>>, request: &Received<Bytes>) -> Response<Full<Bytes>> {
    let is_spans = request.method() == "POST" && request.uri().path() == "/api/v2/spans";
    match serde_json::from_slice::<Vec<Value>>(request.body()) {
        Ok(spans) if is_spans => {
            kept.lock().unwrap().extend(spans);
            answer(StatusCode::ACCEPTED, "text/plain", "")
        }
        _ => answer(StatusCode::BAD_REQUEST, "text/plain", "no spans"),
    }
}

/// Bookinfo with applications that always answer in time, and with this sampling rate.
fn bookinfo(sampling: &str, tracing: Tracing) -> Mesh {
    let yaml =
        include_str!("../../tools/local-mesh/topology.yaml").replace("sampling: 100", &format!("sampling: {sampling}"));
    let steady: Vec<&str> = yaml.lines().filter(|l| !l.contains("fail: {") && !l.contains("slow: {")).collect();
    Mesh::start(Topology::parse(&steady.join("\n")).unwrap(), Options { tracing, ..Options::default() }).unwrap()
}

fn to(collector: &Collector) -> Tracing {
    Tracing::to(&collector.server.address().to_string()).unwrap()
}

/// A page view with reviews v2.
fn view(mesh: &Mesh, path: &str) -> Request {
    Request::get(mesh.gateway("istio-ingressgateway").unwrap(), path).host("bookinfo.example.com")
}

/// `CLIENT productpage.default > reviews…`: the sender of the span, and its name.
fn describe(span: &Value) -> String {
    let service = span["localEndpoint"]["serviceName"].as_str().unwrap();
    let operation = span["name"].as_str().unwrap();
    format!("{} {service} > {operation}", span["kind"].as_str().unwrap())
}

/// The spans as a tree from the root: each span with its children below it.
fn tree(spans: &[Value], parent: Option<&str>, depth: usize, lines: &mut Vec<String>) {
    let mut children: Vec<&Value> = spans.iter().filter(|span| span["parentId"].as_str() == parent).collect();
    children.sort_by_key(|span| describe(span));
    for span in children {
        lines.push(format!("{}{}", "  ".repeat(depth), describe(span)));
        tree(spans, span["id"].as_str(), depth + 1, lines);
    }
}

#[test]
fn a_request_through_the_mesh_is_one_trace_of_the_right_shape() {
    let collector = Collector::start();
    let mesh = bookinfo("100", to(&collector));
    let trace = "463ac35c9f6413ad48485a3953bb6124";
    let request = view(&mesh, "/productpage").header("end-user", "jason");
    let request =
        request.header("x-b3-traceid", trace).header("x-b3-spanid", "a2fb4a1d1a96d312").header("x-b3-sampled", "1");
    assert_eq!(mesh.client().send(&request).unwrap().status, 200);
    local_mesh::wait_until(WAIT, || collector.spans_of(trace).len() >= 8).unwrap();
    let spans = collector.spans_of(trace);
    let mut lines = Vec::new();
    tree(&spans, Some("a2fb4a1d1a96d312"), 0, &mut lines);
    let name = |service: &str| format!("{service}.default.svc.cluster.local:9080/*");
    let expected = [
        format!("CLIENT istio-ingressgateway.istio-system > {}", name("productpage")),
        format!("  SERVER productpage.default > {}", name("productpage")),
        format!("    CLIENT productpage.default > {}", name("details")),
        format!("      SERVER details.default > {}", name("details")),
        format!("    CLIENT productpage.default > {}", name("reviews")),
        format!("      SERVER reviews.default > {}", name("reviews")),
        format!("        CLIENT reviews.default > {}", name("ratings")),
        format!("          SERVER ratings.default > {}", name("ratings")),
    ];
    assert_eq!(lines, expected);
    let reviews = spans.iter().find(|span| describe(span).starts_with("SERVER reviews")).unwrap();
    assert_eq!(reviews["tags"]["istio.canonical_revision"], "v2");
    assert_eq!(reviews["tags"]["istio.canonical_service"], "reviews");
    assert_eq!(reviews["tags"]["http.status_code"], "200");
    assert!(reviews["duration"].as_u64().unwrap() > 0, "{reviews}");
}

#[test]
fn a_request_without_trace_headers_begins_a_trace_and_applications_are_told_which() {
    let collector = Collector::start();
    let mesh = bookinfo("100", to(&collector));
    let seen = mesh.client().send(&view(&mesh, "/headers")).unwrap().json().unwrap();
    let header = |name: &str| {
        let headers = seen["headers"].as_array().unwrap();
        headers.iter().find(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap().to_owned())
    };
    let trace = header("x-b3-traceid").unwrap();
    assert_eq!((trace.len(), header("x-b3-sampled").as_deref()), (32, Some("1")), "{seen}");
    local_mesh::wait_until(WAIT, || collector.spans_of(&trace).len() >= 2).unwrap();
    let mut lines = Vec::new();
    tree(&collector.spans_of(&trace), None, 0, &mut lines);
    assert_eq!(lines.len(), 2, "{lines:?}");
}

#[test]
fn the_topology_says_how_much_is_traced() {
    let collector = Collector::start();
    let mesh = bookinfo("0", to(&collector));
    for _ in 0..20 {
        assert_eq!(mesh.client().send(&view(&mesh, "/productpage")).unwrap().status, 200);
    }
    let seen = mesh.client().send(&view(&mesh, "/headers")).unwrap().text();
    assert!(seen.contains(r#"["x-b3-sampled","0"]"#), "{seen}");
    let forced =
        view(&mesh, "/headers").header("x-b3-traceid", "1111111111111111").header("x-b3-spanid", "1111111111111111");
    mesh.client().send(&forced.header("x-b3-sampled", "1")).unwrap();
    local_mesh::wait_until(WAIT, || collector.count() >= 2).unwrap();
    assert_eq!(collector.count(), 2, "only the one request that came with a trace");
}

#[test]
fn without_a_collector_requests_have_their_headers_and_nothing_is_complained_of() {
    let mesh = bookinfo("100", Tracing::HeadersOnly);
    let seen = mesh.client().send(&view(&mesh, "/headers")).unwrap().text();
    assert!(seen.contains("x-b3-traceid") && seen.contains(r#"["x-b3-sampled","1"]"#), "{seen}");
    // Longer than Envoy keeps spans before it tries to send them.
    std::thread::sleep(Duration::from_millis(5500));
    for sidecar in mesh.sidecars() {
        assert!(!sidecar.log().to_lowercase().contains("zipkin"), "{}", sidecar.log());
    }
}
