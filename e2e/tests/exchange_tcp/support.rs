//! A client and a database with their proxies, connections between them, and the results.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{channel, Receiver};

use local_mesh::{Mesh, Options, PluginConfig, RawServer, Topology};

pub const TOPOLOGY: &str = "
name: shop
workloads:
  - { name: client, app: client, address: 127.1.0.1, calls: [db] }
  - { name: db-v1, app: db, version: v1, address: 127.1.0.2, serve: false }
services:
  - { name: db, port: 27017, protocol: tcp }
";

pub fn start(options: Options) -> Mesh {
    let filters = [
        "tcp-metadata-exchange-inbound.yaml",
        "tcp-metadata-exchange-outbound.yaml",
        "tcp-stats.yaml",
        "stats-bootstrap.yaml",
    ];
    let filters = filters.iter().map(|file| local_mesh::tools::filters().join(file)).collect();
    Mesh::start(Topology::parse(TOPOLOGY).unwrap(), Options { filters, ..options }).unwrap()
}

/// The client's proxy has no exchange, so its application's bytes come first on the connection.
pub fn without_protocol() -> Options {
    let plugin = PluginConfig {
        workload: Some("client".to_owned()),
        plugin: "tcp_metadata_exchange_outbound".to_owned(),
        configuration: "{}".to_owned(),
    };
    Options { plugins: vec![plugin], ..Options::default() }
}

/// The application of `db-v1`.
pub fn database(mesh: &Mesh, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> RawServer {
    let address = mesh.topology().workload("db-v1").unwrap().address;
    RawServer::start(SocketAddr::from((address, 27017)), serve).unwrap()
}

pub fn echo(mesh: &Mesh) -> RawServer {
    recording_echo(mesh).0
}

/// Returns the received bytes, and sends each connection's bytes to the test when it ends.
pub fn recording_echo(mesh: &Mesh) -> (RawServer, Receiver<Vec<u8>>) {
    let (sender, received) = channel();
    let server = database(mesh, move |mut stream| {
        let (mut all, mut some) = (Vec::new(), [0; 4096]);
        while let Some(bytes) = stream.read(&mut some).ok().and_then(|length| some.get(..length)) {
            if bytes.is_empty() || stream.write_all(bytes).is_err() {
                break;
            }
            all.extend_from_slice(bytes);
        }
        let _ = sender.send(all); // not every test listens
    });
    (server, received)
}

pub fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

pub fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Writes all bytes, and reads all bytes at the same time.
pub fn swap(mut stream: TcpStream, bytes: &[u8]) -> Vec<u8> {
    let mut writer = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            writer.write_all(bytes).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        read_to_end(&mut stream)
    })
}

/// Three megabytes that depend on the seed and have no period.
pub fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some((state >> 56) as u8)
    };
    std::iter::from_fn(next).take(3_000_000).collect()
}

/// Bytes that the server's proxy has received from its clients, whether passed on or not.
pub fn received_by_proxy(mesh: &Mesh) -> u64 {
    mesh.sidecar("db-v1").unwrap().counter("tcp.inbound|27017||.downstream_cx_rx_bytes_total").unwrap()
}

pub fn counter(mesh: &Mesh, workload: &str, name: &str) -> f64 {
    mesh.sidecar(workload).unwrap().metric(name).unwrap().iter().map(|sample| sample.value).sum()
}

/// Number of unreadable frames, and of rejected peers: too large, malformed, forged.
pub fn rejected(mesh: &Mesh, workload: &str) -> [f64; 4] {
    ["header_not_found", "peer_too_large_total", "peer_malformed_total", "peer_forged_total"]
        .map(|reason| counter(mesh, workload, &format!("metadata_exchange_{reason}")))
}
