//! What a crash of one plugin does to the streams of others, with our EnvoyFilters and a `remixer.wasm` that traps when it is asked to.
//!
//! All plugins share a VM, and all pass traffic on without it. Only inbound metadata exchange over TCP, which Envoy loads again, has a
//! VM of its own: a crash elsewhere must not close its connections.

// clippy.toml does not exempt helpers outside of test functions.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use e2e::pair::connect;
use e2e::wait::WAIT;
use local_mesh::application::ask;
use local_mesh::{tools, Mesh, Options, Request, Topology};
use walrus::ir::{BinaryOp, Value};

/// The proxy of `db` has connections inbound, and requests and connections outbound. What it calls has no proxy.
const TOPOLOGY: &str = "
name: shop
workloads:
  - { name: one, app: one, address: 127.1.0.1, calls: [db] }
  - { name: two, app: two, address: 127.1.0.2, calls: [db] }
  - { name: db, app: db, address: 127.1.0.3, calls: [server, cache] }
  - { name: server, app: server, address: 127.1.0.4, sidecar: false }
  - { name: cache, app: cache, address: 127.1.0.5, sidecar: false }
services:
  - { name: db, port: 27017, protocol: tcp }
  - { name: server, port: 9080, protocol: http }
  - { name: cache, port: 6379, protocol: tcp }
";

/// A request with more headers than this makes the module trap.
const HEADERS: i32 = 60;

/// So does a chunk of so many bytes: seven questions.
const CHUNK: usize = 77;

/// A directory with all modules, of which `remixer.wasm` traps when it is asked to. It is removed at the end.
struct Modules(PathBuf);

impl Modules {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("remixer-crash-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        for module in catalog::MODULES {
            fs::copy(tools::dist().join(module.file()), directory.join(module.file())).unwrap();
        }
        let path = directory.join("remixer.wasm");
        fs::write(&path, trapping(&fs::read(&path).unwrap())).unwrap();
        Self(directory)
    }
}

impl Drop for Modules {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The same module, whose callbacks trap first where their second argument says so.
fn trapping(module: &[u8]) -> Vec<u8> {
    let mut module = walrus::Module::from_buffer(module).unwrap();
    let chunk = i32::try_from(CHUNK).unwrap();
    for (name, operation, value) in
        [("proxy_on_request_headers", BinaryOp::I32GtU, HEADERS), ("proxy_on_downstream_data", BinaryOp::I32Eq, chunk)]
    {
        let function = module.exports.get_func(name).unwrap();
        let function = module.funcs.get_mut(function).kind.unwrap_local_mut();
        let argument = function.args[1];
        let mut body = function.builder_mut().func_body();
        body.local_get_at(0, argument).const_at(1, Value::I32(value)).binop_at(2, operation);
        body.if_else_at(
            3,
            None,
            |then| {
                then.unreachable();
            },
            |_| {},
        );
    }
    module.emit_wasm()
}

/// The EnvoyFilters of `envoy/`, and a module that traps.
fn start(modules: &Modules, version: &str) -> Mesh {
    let options = Options { filters: vec![tools::filters()], ..options(modules, version) };
    Mesh::start(Topology::parse(TOPOLOGY).unwrap(), options).unwrap()
}

fn options(modules: &Modules, version: &str) -> Options {
    Options { modules: Some(modules.0.clone()), envoy_version: Some(version.to_owned()), ..Options::default() }
}

/// A request of the application `db`.
fn get(mesh: &Mesh, path: &str) -> Request {
    Request::get(mesh.sidecar("db").unwrap().outbound(), path).host("server:9080")
}

/// The same, with too many headers.
fn crashing(mesh: &Mesh) -> Request {
    (0..=HEADERS).fold(get(mesh, "/status/200"), |request, number| request.header(&format!("x-{number}"), "x"))
}

fn status(mesh: &Mesh, request: &Request) -> u16 {
    mesh.client().send(request).unwrap().status
}

/// Sends a chunk, and returns how many bytes are answered before the connection ends.
fn send_chunk(mut stream: &TcpStream) -> usize {
    const QUESTION: &str = "GET rating\n";
    const ANSWER: usize = 9;
    let chunk = QUESTION.repeat(CHUNK / QUESTION.len());
    stream.write_all(chunk.as_bytes()).unwrap();
    let mut answers = [0; CHUNK / QUESTION.len() * ANSWER];
    let mut length = 0;
    while length < answers.len() {
        match stream.read(&mut answers[length..]) {
            Ok(0) | Err(_) => break,
            Ok(more) => length += more,
        }
    }
    assert!(length == 0 || length == answers.len(), "{length} bytes");
    length
}

/// Number of traps so far.
fn traps(mesh: &Mesh, workload: &str) -> usize {
    mesh.sidecar(workload).unwrap().log().matches("Uncaught RuntimeError: unreachable").count()
}

/// Connections whose caller is known to the proxy of `db`.
fn exchanges(mesh: &Mesh) -> f64 {
    let samples = mesh.sidecar("db").unwrap().metric("metadata_exchange_metadata_added").unwrap();
    samples.iter().map(|sample| sample.value).sum()
}

fn reloads(mesh: &Mesh) -> f64 {
    let samples = mesh.sidecar("db").unwrap().metric("envoy_wasm_vm_reload_success").unwrap();
    samples.iter().map(|sample| sample.value).sum()
}

/// Connections from before the crash and new ones are answered, and requests are; nothing else has crashed or was loaded again.
fn all_goes_on(mesh: &Mesh, version: &str, before: [TcpStream; 2]) {
    let new = [connect(mesh, "two", 27017), connect(mesh, "db", 6379)];
    for mut stream in before.into_iter().chain(new) {
        ask(&mut stream).unwrap();
    }
    assert_eq!((status(mesh, &get(mesh, "/status/200")), traps(mesh, "db")), (200, 1));
    assert_eq!((exchanges(mesh), reloads(mesh)), (2.0, 0.0), "{version}");
}

#[test]
fn a_crash_at_a_request_leaves_connections_alone_and_metadata_exchange_goes_on() {
    let modules = Modules::new("request");
    for version in tools::ENVOY_VERSIONS {
        let mesh = start(&modules, version);
        let mut inbound = connect(&mesh, "one", 27017);
        let mut outbound = connect(&mesh, "db", 6379);
        for stream in [&mut inbound, &mut outbound] {
            ask(stream).unwrap();
        }
        assert_eq!(exchanges(&mesh), 1.0);
        assert_eq!((status(&mesh, &crashing(&mesh)), traps(&mesh, "db")), (200, 1), "{version}");
        all_goes_on(&mesh, version, [inbound, outbound]);
    }
}

#[test]
fn a_crash_at_a_connection_leaves_requests_and_other_connections_alone() {
    let modules = Modules::new("connection");
    for version in tools::ENVOY_VERSIONS {
        let mesh = start(&modules, version);
        let mut inbound = connect(&mesh, "one", 27017);
        let mut outbound = connect(&mesh, "db", 6379);
        let crashing = connect(&mesh, "db", 6379);
        for stream in [&mut inbound, &mut outbound] {
            ask(stream).unwrap();
        }
        let server = mesh.application("server").unwrap();
        std::thread::scope(|scope| {
            let under_way = scope.spawn(|| status(&mesh, &get(&mesh, "/delay/1000")));
            local_mesh::wait_until(WAIT, || server.served() == 1).unwrap();
            assert!(send_chunk(&crashing) > 0, "{version}: the connection was closed");
            assert_eq!(traps(&mesh, "db"), 1);
            assert_eq!(under_way.join().unwrap(), 200, "{version}");
        });
        all_goes_on(&mesh, version, [inbound, outbound]);
    }
}

#[test]
fn a_crash_of_inbound_metadata_exchange_closes_its_connections_alone_and_it_comes_back() {
    let modules = Modules::new("exchange");
    for version in tools::ENVOY_VERSIONS {
        let mesh = start(&modules, version);
        // Its proxy sends the chunk as it comes, and no frame.
        mesh.push("one", |options| options.filters.clear()).unwrap();
        let (crashing, mut inbound) = (connect(&mesh, "one", 27017), connect(&mesh, "two", 27017));
        let mut outbound = connect(&mesh, "db", 6379);
        for stream in [&mut inbound, &mut outbound] {
            ask(stream).unwrap();
        }
        let server = mesh.application("server").unwrap();
        std::thread::scope(|scope| {
            let under_way = scope.spawn(|| status(&mesh, &get(&mesh, "/delay/1000")));
            local_mesh::wait_until(WAIT, || server.served() == 1).unwrap();
            assert_eq!((send_chunk(&crashing), traps(&mesh, "db")), (0, 1), "{version}");
            assert!(
                ask(&mut inbound).is_err(),
                "{version}: what came after the crash was passed on without the filter"
            );
            ask(&mut outbound).unwrap();
            assert_eq!(under_way.join().unwrap(), 200, "{version}");
        });
        local_mesh::wait_until(WAIT, || ask(&mut connect(&mesh, "two", 27017)).is_ok()).unwrap();
        assert_eq!((exchanges(&mesh), reloads(&mesh)), (2.0, 1.0), "{version}");
        assert_eq!((status(&mesh, &get(&mesh, "/status/200")), traps(&mesh, "db")), (200, 1));
        // The VM with all other filters lives.
        e2e::metrics::expect_total(&mesh, "db", "istio_requests_total", &[("reporter", "source")], 2.0);
    }
}

/// The reason why inbound metadata exchange has a VM of its own.
#[test]
fn in_the_same_vm_a_crash_at_a_request_would_close_connections_of_metadata_exchange() {
    let modules = Modules::new("same");
    let exchange = tools::filters().join("tcp-metadata-exchange-inbound.yaml");
    let own = fs::read_to_string(&exchange).unwrap();
    let same = own.replace("vm_id: tcp_metadata_exchange", "vm_id: remixer");
    assert_ne!(same, own);
    for version in tools::ENVOY_VERSIONS {
        let filters = ["stats-bootstrap.yaml", "telemetry.yaml", "tcp-stats.yaml"]
            .map(|file| tools::filters().join(file))
            .to_vec();
        let options = Options { filters, patches: vec![same.clone()], ..options(&modules, version) };
        let mesh = Mesh::start(Topology::parse(TOPOLOGY).unwrap(), options).unwrap();
        let mut inbound = connect(&mesh, "one", 27017);
        ask(&mut inbound).unwrap();
        assert_eq!((status(&mesh, &crashing(&mesh)), traps(&mesh, "db")), (200, 1));
        assert!(
            ask(&mut inbound).is_err(),
            "{version}: the connection goes on; the exchange could be in the VM of all filters"
        );
    }
}
