//! Lines of TCP connections.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use local_mesh::Mesh;
use serde_json::Value;

use crate::{lines, plugins, start, told, wait_until, VERSIONS, WAIT};

const DATABASE: &str = "
name: shop
workloads:
  - { name: client-v1, app: client, version: v1, namespace: front, address: 127.1.0.1, calls: [db] }
  - { name: db-v2, app: db, version: v2, namespace: back, address: 127.1.0.2 }
services:
  - { name: db, namespace: back, port: 27017, protocol: tcp }
";

/// Envoy prints lines of live connections, too.
const LIVE: &str = "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: live, namespace: istio-system }
spec:
  priority: 100
  configPatches:
  - applyTo: NETWORK_FILTER
    match: { context: ANY, listener: { filterChain: { filter: { name: envoy.filters.network.tcp_proxy } } } }
    patch:
      operation: MERGE
      value:
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          access_log_options: { flush_access_log_on_connected: true, access_log_flush_interval: 1s }
";

fn connect(mesh: &Mesh) -> TcpStream {
    let stream = TcpStream::connect(mesh.sidecar("client-v1").unwrap().address(27017)).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    stream
}

/// 11 bytes there, 9 bytes back.
fn ask(stream: &mut TcpStream) {
    stream.write_all(b"GET rating\n").unwrap();
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"rating 5\n");
}

const SIDES: [&str; 10] = [
    "connection_event",
    "reporter",
    "source_workload",
    "source_principal",
    "destination_workload",
    "destination_principal",
    "destination_service",
    "connection_security_policy",
    "response_flags",
    "method",
];

#[test]
fn a_connection_has_one_line_that_names_both_workloads() {
    for version in VERSIONS {
        let mesh = start(DATABASE, |options| options.envoy_version = Some(version.to_owned()));
        let mut stream = connect(&mesh);
        for _ in 0..3 {
            ask(&mut stream);
        }
        drop(stream);
        let identities =
            ["spiffe://cluster.local/ns/front/sa/shop-client", "spiffe://cluster.local/ns/back/sa/shop-db"];
        let [source, destination] = identities;
        for (workload, reporter, service, security) in [
            ("client-v1", "source", "db.back.svc.cluster.local", "unknown"),
            ("db-v2", "destination", "db", "mutual_tls"),
        ] {
            let lines = lines(&mesh, workload, 1);
            let expected =
                format!("close {reporter} client-v1 {source} db-v2 {destination} {service} {security} - null");
            let told = told(&lines, &SIDES);
            assert!(
                told == [expected.clone()] || told == [expected.replace(" db ", " db.back.svc.cluster.local ")],
                "{version}: {told:?}"
            );
            assert!(lines[0]["duration"].is_u64(), "{}", lines[0]);
            assert!(
                lines[0]["bytes_received"].as_u64() >= Some(33) && lines[0]["bytes_sent"].as_u64() >= Some(27),
                "{}",
                lines[0]
            );
        }
    }
}

#[test]
fn a_connection_that_reaches_nobody_has_a_line() {
    let mesh = start(DATABASE, |_| {});
    mesh.sidecar("db-v2").unwrap().kill();
    let mut stream = connect(&mesh);
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
    let lines = lines(&mesh, "client-v1", 1);
    assert_eq!(told(&lines, &["connection_event", "response_flags", "source_workload"]), ["close UF,URX client-v1"]);
}

#[test]
fn a_live_connection_has_lines_when_asked() {
    for version in VERSIONS {
        let configuration = r#"{"tcp_open_line": true, "tcp_reporting_duration": "1s"}"#;
        let mesh = start(DATABASE, |options| {
            options.envoy_version = Some(version.to_owned());
            options.patches = vec![LIVE.to_owned()];
            options.plugins = plugins(&["tcp_access_log"], configuration);
        });
        let mut stream = connect(&mesh);
        ask(&mut stream);
        let events = |workload: &str| {
            let output = mesh.sidecar(workload).unwrap().output();
            let lines: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
            told(&lines, &["connection_event"])
        };
        for workload in ["client-v1", "db-v2"] {
            wait_until(|| events(workload).len() >= 3);
        }
        drop(stream);
        for workload in ["client-v1", "db-v2"] {
            wait_until(|| events(workload).last().is_some_and(|event| event == "close"));
            std::thread::sleep(Duration::from_millis(150));
            let events = events(workload);
            let (first, rest) = events.split_first().unwrap();
            let (last, between) = rest.split_last().unwrap();
            assert_eq!((first.as_str(), last.as_str()), ("open", "close"), "{version} {workload}: {events:?}");
            assert!(between.iter().all(|event| event == "continue"), "{version} {workload}: {events:?}");
            let output = mesh.sidecar(workload).unwrap().output();
            let line: Value = serde_json::from_str(output.lines().nth(2).unwrap()).unwrap();
            assert_eq!(
                told(&[line], &["source_workload", "destination_workload"]),
                ["client-v1 db-v2"],
                "{version} {workload}"
            );
        }
    }
}
