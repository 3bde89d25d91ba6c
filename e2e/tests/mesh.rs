//! The local mesh without filters: it works as described, and leaves nothing behind.

// clippy.toml does not exempt helpers outside of test functions.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::panic)]

use std::io::Read;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use local_mesh::{Mesh, Network, Options, Request, Topology, Update};

const PAIR: &str = "
name: pair
workloads:
  - { name: client, app: client, address: 127.1.0.1, calls: [server] }
  - { name: server-v1, app: server, version: v1, address: 127.1.0.2 }
services:
  - { name: server, port: 9080, protocol: http }
";

/// Time limit for something to appear.
const WAIT: Duration = Duration::from_secs(20);

/// Answers every request itself, with 418.
const TEAPOT: &str = "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: teapot, namespace: istio-system }
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: SIDECAR_OUTBOUND
      listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager } } }
    patch:
      operation: INSERT_FIRST
      value:
        name: teapot
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
          default_source_code: { inline_string: 'function envoy_on_request(h) h:respond({[\":status\"] = \"418\"}, \"\") end' }
";

fn pair() -> Mesh {
    Mesh::start(Topology::parse(PAIR).unwrap(), Options::default()).unwrap()
}

#[test]
fn requests_pass_both_proxies_with_mutual_tls_and_spiffe_identities() {
    let mesh = pair();
    let request = Request::get(mesh.sidecar("client").unwrap().outbound(), "/headers").host("server:9080");
    let answer = mesh.client().send(&request).unwrap();
    assert_eq!((answer.status, answer.header("server")), (200, Some("envoy")));
    let seen = answer.json().unwrap();
    assert_eq!(seen["workload"], "server-v1");
    let headers = seen["headers"].to_string();
    let identity = "By=spiffe://cluster.local/ns/default/sa/pair-server";
    assert!(
        headers.contains(identity) && headers.contains("URI=spiffe://cluster.local/ns/default/sa/pair-client"),
        "{headers}"
    );
}

#[test]
fn a_client_outside_the_mesh_gets_in_by_plaintext_and_has_no_identity() {
    let mesh = pair();
    let answer =
        mesh.client().send(&Request::get(mesh.sidecar("server-v1").unwrap().inbound(), "/headers").host("server:9080"));
    let seen = answer.unwrap().json().unwrap();
    assert!(!seen.to_string().contains("x-forwarded-client-cert"), "{seen}");
}

#[test]
fn http2_passes_to_a_grpc_service() {
    let mesh =
        Mesh::start(Topology::parse(&PAIR.replace("protocol: http", "protocol: grpc")).unwrap(), Options::default())
            .unwrap();
    let request =
        Request::post(mesh.sidecar("client").unwrap().outbound(), "/echo", "hello").host("server:9080").http2();
    assert_eq!(mesh.client().send(&request).unwrap().text(), "hello");
}

#[test]
fn applications_answer_as_asked() {
    let mesh = pair();
    let to = mesh.sidecar("client").unwrap().outbound();
    let get = |path: &str| mesh.client().send(&Request::get(to, path).host("server:9080"));
    assert_eq!(get("/status/204").unwrap().status, 204);
    assert_eq!(get("/status/503").unwrap().status, 503);
    assert_eq!(get("/bytes/100000").unwrap().body.len(), 100_000);
    assert_eq!(get("/reset").unwrap().status, 503);
    assert!(get("/truncate").is_err());
    let before = mesh.application("server-v1").unwrap().served();
    mesh.client().raw(to, b"GET /delay/300 HTTP/1.1\r\nhost: server:9080\r\n\r\n", Duration::from_millis(100)).unwrap();
    assert_eq!(mesh.application("server-v1").unwrap().served(), before + 1);
}

#[test]
fn an_update_is_accepted_or_rejected_and_then_the_old_configuration_serves() {
    let mesh = pair();
    let to = mesh.sidecar("client").unwrap().outbound();
    let status = || mesh.client().send(&Request::get(to, "/status/200").host("server:9080")).unwrap().status;
    assert_eq!(status(), 200);
    assert_eq!(mesh.push("client", |options| options.patches = vec![TEAPOT.to_owned()]).unwrap(), Update::Accepted);
    local_mesh::wait_until(WAIT, || status() == 418).unwrap();

    let broken = TEAPOT.replace("function envoy_on_request", "no lua");
    let update = mesh.push("client", |options| options.patches = vec![broken]).unwrap();
    assert!(matches!(&update, Update::Rejected(why) if why.contains("lua")), "{update:?}");
    assert_eq!(status(), 418);
    assert_eq!(mesh.push("client", |_| {}).unwrap(), Update::Accepted);
    local_mesh::wait_until(WAIT, || status() == 200).unwrap();
    assert_eq!(mesh.push("client", |_| {}).unwrap(), Update::Accepted, "the same again");
}

#[test]
fn a_configuration_that_envoy_refuses_is_an_error_of_the_start() {
    let options =
        Options { patches: vec![TEAPOT.replace("function envoy_on_request", "no lua")], ..Options::default() };
    let error = format!("{:#}", Mesh::start(Topology::parse(PAIR).unwrap(), options).unwrap_err());
    assert!(error.contains("sidecar of client refuses") && error.contains("script load error"), "{error}");
}

#[test]
fn an_external_service_is_reached_in_plaintext_and_so_is_an_unknown_host() {
    let outside = "address: 127.1.0.2, sidecar: false }";
    let yaml =
        PAIR.replace("address: 127.1.0.2 }", outside).replace("protocol: http }", "protocol: http, external: true }");
    let mesh = Mesh::start(Topology::parse(&yaml).unwrap(), Options::default()).unwrap();
    let to = mesh.sidecar("client").unwrap().outbound();
    let send = |request: Request| mesh.client().send(&request).unwrap();
    assert_eq!(send(Request::get(to, "/headers").host("server:9080")).status, 200);
    let server = format!("{}:9080", mesh.topology().workload("server-v1").unwrap().address);
    let passed = Request::get(to, "/headers").host("example.com").header("x-envoy-original-dst-host", &server);
    assert_eq!(send(passed).status, 200);
    assert_eq!(send(Request::get(to, "/headers").host("example.com")).status, 503);
}

#[test]
fn a_sidecar_that_ends_is_named_with_its_log() {
    let mesh = pair();
    mesh.check().unwrap();
    mesh.sidecar("server-v1").unwrap().kill();
    let error = mesh.check().unwrap_err().to_string();
    assert!(error.contains("sidecar of server-v1 ended") && error.contains("SIGKILL"), "{error}");
}

#[test]
fn a_port_in_use_is_named_with_what_needs_it() {
    let taken = TcpListener::bind("127.251.0.2:15006").unwrap();
    let options = Options { network: Network::Number(251), ..Options::default() };
    let error = Mesh::start(Topology::parse(PAIR).unwrap(), options).unwrap_err().to_string();
    drop(taken);
    assert!(error.contains("127.251.0.2:15006") && error.contains("inbound listener of server-v1"), "{error}");
}

#[test]
fn two_meshes_do_not_share_a_network() {
    let on = |number| Options { network: Network::Number(number), ..Options::default() };
    let _first = Mesh::start(Topology::parse(PAIR).unwrap(), on(252)).unwrap();
    let error = Mesh::start(Topology::parse(PAIR).unwrap(), on(252)).unwrap_err();
    assert!(format!("{error:#}").contains("another mesh is running on 127.252"), "{error:#}");
}

#[test]
fn a_patch_that_changes_nothing_is_refused_when_asked() {
    let patch = TEAPOT.replace("http_connection_manager } }", "http_conection_manager } }");
    let options = Options { patches: vec![patch], every_patch_must_match: true, ..Options::default() };
    let error = format!("{:#}", Mesh::start(Topology::parse(PAIR).unwrap(), options).unwrap_err());
    assert!(error.contains("EnvoyFilters are refused"), "{error}");
}

#[test]
fn nothing_stays_behind_however_the_command_ends() {
    for (network, signal) in [(253, "-INT"), (254, "-TERM"), (255, "-KILL")] {
        let file = std::env::temp_dir().join(format!("mesh-test-{}-{network}.yaml", std::process::id()));
        let traffic = "traffic: { gateway: gate, perSecond: 5, mix: [ { path: / } ] }";
        let gate = "workloads:\n  - { name: gate, app: gate, address: 127.1.0.9, gateway: { port: 8080, routes: [ { prefix: /, to: server } ] } }";
        let yaml = PAIR.replace("workloads:", gate).replace("127.1.", &format!("127.{network}."));
        std::fs::write(&file, format!("{yaml}{traffic}")).unwrap();
        let mut up = start(&["mesh", "--plain", "--topology", file.to_str().unwrap()]);
        local_mesh::wait_until(WAIT, || output_so_far(&file, &mut up) >= 3).unwrap();
        assert!(Command::new("kill").args([signal, &up.id().to_string()]).status().unwrap().success());
        let ended = up.wait().unwrap();
        // 0 if it was up, 130 if it was interrupted before.
        assert!(matches!(ended.code(), Some(0 | 130)) || signal == "-KILL", "{signal}: {ended}");
        local_mesh::wait_until(WAIT, || envoys_on(network) == 0).unwrap();
        std::fs::remove_file(&file).unwrap();
    }
}

#[test]
fn programs_get_the_verdict_as_json_with_fields_that_are_explained() {
    let file = std::env::temp_dir().join(format!("mesh-test-{}-250.yaml", std::process::id()));
    let traffic = "traffic: { gateway: gate, perSecond: 20, mix: [ { path: / } ] }";
    let gate = "workloads:\n  - { name: gate, app: gate, version: v1, address: 127.1.0.9, gateway: { port: 8080, routes: [ { prefix: /, to: server } ] } }";
    let yaml = PAIR.replace("workloads:", gate).replace("127.1.", "127.250.");
    std::fs::write(&file, format!("{yaml}{traffic}")).unwrap();
    let mut command = Command::new(local_mesh::tools::program("remixer").unwrap());
    command.args(["mesh", "--for", "8s", "--output", "json", "--topology", file.to_str().unwrap()]);
    let output = command.output().unwrap();
    std::fs::remove_file(&file).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
    // Nobody sends from the client.
    assert_eq!((output.status.code(), &document["complete"]), (Some(2), &false.into()), "{said}");
    let missing = document["missing"].as_array().unwrap();
    assert!(missing.iter().all(|item| item["edge"] == "client -> server-v1") && !missing.is_empty(), "{missing:?}");
    let sent = document["requests"].as_u64().unwrap();
    assert!(sent > 100 && document["unanswered"] == 0 && document["standardMetrics"] == true, "{document}");
    let edges = document["edges"].as_array().unwrap();
    let reporters: Vec<_> = edges.iter().map(|edge| edge["reporter"].as_str().unwrap()).collect();
    assert_eq!(reporters, ["source", "destination"]);
    for edge in edges {
        assert_eq!((&edge["source"], &edge["destination"]), (&"gate".into(), &"server-v1".into()));
        assert!(edge["codes"]["200"].as_f64() > Some(20.0), "{edge}");
    }
    let page = include_str!("../../docs/remixer.md");
    let names = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for name in [names(&document), names(&edges[0]), names(&missing[0])].concat() {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(local_mesh::tools::program("remixer").unwrap());
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Number of running proxies of the mesh. The command must not have ended.
fn output_so_far(file: &std::path::Path, up: &mut Child) -> usize {
    assert!(up.try_wait().unwrap().is_none(), "remixer mesh --topology {} ended early", file.display());
    let name = file.file_stem().unwrap().to_string_lossy().into_owned();
    let network = name.rsplit('-').next().unwrap().parse().unwrap();
    envoys_on(network)
}

/// Number of proxies on 127.`network` with an answering stats page.
fn envoys_on(network: u8) -> usize {
    let pods = [1, 2, 9].map(|last| std::net::SocketAddr::from(([127, network, 0, last], 15090)));
    pods.iter().filter(|address| answers(address)).count()
}

fn answers(address: &std::net::SocketAddr) -> bool {
    use std::io::Write;
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return false };
    let request = b"GET /stats/prometheus HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut byte = [0];
    stream.write_all(request).is_ok() && stream.read_exact(&mut byte).is_ok()
}
