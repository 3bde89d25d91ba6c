//! Well-known tutorials, with the rules in `tools/local-mesh/shadows/`: all or a part of v1's requests go to v2 inside the
//! mesh, with mutual TLS, and to the gateway of another mesh.

use std::fs;

use local_mesh::rule_file::RuleFile;
use local_mesh::{shadows, tools, Mesh, Options, Request, Topology};

use crate::scene::{configured, counts, ms, wait_for, wait_until};

/// A client that calls httpbin. The route leads only to v1.
const SHOP: &str = "
name: shop
workloads:
  - { name: sleep, app: sleep, address: 127.24.0.1, calls: [httpbin] }
  - { name: httpbin-v1, app: httpbin, version: v1, address: 127.24.0.2 }
  - { name: httpbin-v2, app: httpbin, version: v2, address: 127.24.0.3 }
services:
  - { name: httpbin, port: 8000, protocol: http, subsets: { v1: { version: v1 }, v2: { version: v2 } },
      routes: [ { to: { v1: 100 } } ] }
";

/// The other mesh: its gateway, and httpbin.
const OTHER: &str = "
name: other
workloads:
  - { name: gateway, app: gateway, address: 127.24.0.1, gateway: { port: 8080, routes: [ { prefix: /, to: httpbin } ] } }
  - { name: httpbin, app: httpbin, address: 127.24.0.2 }
services:
  - { name: httpbin, port: 8000, protocol: http }
";

fn example(name: &str) -> String {
    e2e::examples::read("shadows", name)
}

fn shop(rules: &str) -> Mesh {
    let filters =
        ["shadow.yaml", "shadow-bootstrap.yaml"].map(|name| tools::filters().join(name).with_extension("yaml"));
    let options = Options { filters: filters.into(), plugins: vec![configured(rules)], ..Options::default() };
    Mesh::start(Topology::parse(SHOP).unwrap(), options).unwrap()
}

fn send(mesh: &Mesh, path: &str, count: usize) {
    let request = Request::get(mesh.sidecar("sleep").unwrap().outbound(), path).host("httpbin:8000");
    for _ in 0..count {
        assert_eq!(mesh.client().send(&request.clone().header("connection", "close")).unwrap().status, 200);
    }
}

fn served(mesh: &Mesh) -> [u64; 2] {
    ["httpbin-v1", "httpbin-v2"].map(|workload| mesh.application(workload).unwrap().served())
}

#[test]
fn all_requests_of_v1_go_to_v2_as_well() {
    let mesh = shop(&example("httpbin-v1-to-v2"));
    send(&mesh, "/status/200", 20);
    wait_for("served", &[20, 20], || served(&mesh));
    let sleep = mesh.sidecar("sleep").unwrap();
    wait_for("compared", &[("rule-0 candidate match".to_owned(), 20)].into(), || counts(sleep, "shadow_compare_total"));
}

#[test]
fn a_quarter_of_them_does() {
    let mesh = shop(&example("httpbin-25-percent"));
    send(&mesh, "/status/200", 400);
    std::thread::sleep(ms(300));
    let [v1, v2] = served(&mesh);
    assert_eq!(v1, 400);
    // Four standard deviations.
    assert!((65..=135).contains(&v2), "{v2}");
}

#[test]
fn they_go_to_the_gateway_of_another_mesh() {
    let other = Mesh::start(Topology::parse(OTHER).unwrap(), Options::default()).unwrap();
    let mesh = shop("{}");
    let gateway = other.gateway("gateway").unwrap();
    // The part of the file's cluster that the operator writes.
    let endpoint = format!(
        "endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }} }}] }}]",
        gateway.ip(),
        gateway.port()
    );
    let file = include_str!("../../../envoy/shadow.yaml");
    assert!(file.contains("endpoints: []"));
    let update = mesh.push("sleep", |options| {
        options.filters.remove(0);
        options.patches.push(file.replace("endpoints: []", &endpoint));
        options.plugins = vec![configured(&example("httpbin-to-other-mesh"))];
    });
    assert_eq!(update.unwrap(), local_mesh::Update::Accepted);
    send(&mesh, "/status/200", 10);
    wait_until(|| other.application("httpbin").unwrap().served() == 10);
    assert_eq!(served(&mesh), [10, 0]);
    let sleep = mesh.sidecar("sleep").unwrap();
    let compared = [("other-mesh-0 candidate match".to_owned(), 10)].into();
    wait_for("compared", &compared, || counts(sleep, "shadow_compare_total"));
}

/// The file of `make mesh SHADOW=`.
#[test]
fn rules_of_a_file_come_change_and_go() {
    let mesh = shop("{}");
    let directory = tempfile();
    let path = directory.join("rules.json");
    let mut file = RuleFile::new(&shadows::RULES, &path);
    let mut poll = || file.poll(&mesh).unwrap();
    assert_eq!(poll(), None);
    fs::write(&path, example("httpbin-v1-to-v2")).unwrap();
    assert!(poll().unwrap().ends_with(": rule-0 to outbound|8000|v2|httpbin.default.svc.cluster.local"));
    send(&mesh, "/status/200", 1);
    wait_for("served", &[1, 1], || served(&mesh));
    fs::write(&path, "{").unwrap();
    assert!(poll().unwrap().contains("what was before stays"));
    send(&mesh, "/status/200", 1);
    wait_for("served", &[2, 2], || served(&mesh));
    fs::remove_file(&path).unwrap();
    assert!(poll().unwrap().starts_with("no shadows"));
    send(&mesh, "/status/200", 1);
    std::thread::sleep(ms(100));
    assert_eq!(served(&mesh), [3, 2]);
    fs::remove_dir_all(directory).unwrap();
}

fn tempfile() -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("shadow-rules-{}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    path
}
