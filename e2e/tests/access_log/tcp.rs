//! Lines of TCP connections.

use std::io::Read;
use std::time::Duration;

use e2e::pair::{connect, DATABASE};
use local_mesh::application::ask;
use serde_json::Value;

use crate::{lines, plugins, start, told, wait_until, VERSIONS};

/// Makes Envoy print lines of live connections, too.
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
        let mut stream = connect(&mesh, "client-v1", 27017);
        for _ in 0..3 {
            ask(&mut stream).unwrap();
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
    let mut stream = connect(&mesh, "client-v1", 27017);
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
        let mut stream = connect(&mesh, "client-v1", 27017);
        ask(&mut stream).unwrap();
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
