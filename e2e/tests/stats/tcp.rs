//! TCP connections: their bytes, their beginning and end, and their peer.

use std::io::{Read, Write};
use std::time::Duration;

use e2e::pair::{connect, DATABASE};
use local_mesh::application::ask;
use local_mesh::PluginConfig;

use crate::{envoy_counts, expect_counts, start, wait_for_counts};

const OPENED: &str = "istio_tcp_connections_opened_total";
const CLOSED: &str = "istio_tcp_connections_closed_total";
const RECEIVED: &str = "istio_tcp_received_bytes_total";
const SENT: &str = "istio_tcp_sent_bytes_total";

/// A configuration for stats in both directions.
fn both(configuration: &str) -> Vec<PluginConfig> {
    let plugins = ["tcp_stats_inbound", "tcp_stats_outbound"];
    let config = |plugin: &str| PluginConfig {
        workload: None,
        plugin: plugin.to_owned(),
        configuration: configuration.to_owned(),
    };
    plugins.map(config).to_vec()
}

#[test]
fn a_connection_is_counted_with_its_bytes_and_both_peers_on_both_sides() {
    let mesh = start(DATABASE, |_| {});
    let mut stream = connect(&mesh, "client-v1", 27017);
    for _ in 0..3 {
        ask(&mut stream).unwrap();
    }
    drop(stream);
    let peers = "client-v1 front client v1 client v1 Kubernetes db-v2 back db v2 db v2 Kubernetes";
    let identities = "spiffe://cluster.local/ns/front/sa/shop-client spiffe://cluster.local/ns/back/sa/shop-db";
    let service = "db.back.svc.cluster.local db back tcp -";
    let labels = [
        "reporter",
        "connection_security_policy",
        "source_workload",
        "source_workload_namespace",
        "source_app",
        "source_version",
        "source_canonical_service",
        "source_canonical_revision",
        "source_cluster",
        "destination_workload",
        "destination_workload_namespace",
        "destination_app",
        "destination_version",
        "destination_canonical_service",
        "destination_canonical_revision",
        "destination_cluster",
        "source_principal",
        "destination_principal",
        "destination_service",
        "destination_service_name",
        "destination_service_namespace",
        "request_protocol",
        "response_flags",
    ];
    for (workload, side) in [("client-v1", "source unknown"), ("db-v2", "destination mutual_tls")] {
        let key = format!("{side} {peers} {identities} {service}");
        for (metric, value) in [(CLOSED, 1), (OPENED, 1), (RECEIVED, 33), (SENT, 27)] {
            expect_counts(&mesh, workload, metric, &labels, &[(&key, value)]);
            let samples = mesh.sidecar(workload).unwrap().metric(metric).unwrap();
            assert_eq!(samples[0].labels.len(), labels.len(), "{metric} of {workload}: {samples:?}");
        }
    }
}

#[test]
fn long_connections_are_reported_while_they_live() {
    if envoy_counts() {
        return; // Envoy counts a connection when it ends
    }
    let mesh = start(DATABASE, |options| {
        options.plugins = both(r#"{"tcp_reporting_duration": "200ms"}"#);
    });
    let mut streams =
        [connect(&mesh, "client-v1", 27017), connect(&mesh, "client-v1", 27017), connect(&mesh, "client-v1", 27017)];
    for (round, silent) in [(1, 0), (2, 1)] {
        streams.iter_mut().skip(silent).for_each(|stream| ask(stream).unwrap());
        let asked = if round == 1 { 3 } else { 5 };
        for workload in ["client-v1", "db-v2"] {
            expect_counts(&mesh, workload, RECEIVED, &["source_workload"], &[("client-v1", asked * 11)]);
            expect_counts(&mesh, workload, SENT, &["destination_workload"], &[("db-v2", asked * 9)]);
            expect_counts(&mesh, workload, OPENED, &["response_flags"], &[("-", 3)]);
            expect_counts(&mesh, workload, CLOSED, &["response_flags"], &[]);
        }
    }
    drop(streams);
    for workload in ["client-v1", "db-v2"] {
        for (metric, value) in [(CLOSED, 3), (OPENED, 3), (RECEIVED, 55), (SENT, 45)] {
            expect_counts(&mesh, workload, metric, &["response_flags"], &[("-", value)]);
        }
    }
}

#[test]
fn a_database_that_refuses_connections_is_seen_with_its_flags() {
    let mesh = start(&DATABASE.replace("127.1.0.2 }", "127.1.0.2, sidecar: false, serve: false }"), |_| {});
    let mut rest = Vec::new();
    // A reset also ends it.
    let _ = connect(&mesh, "client-v1", 27017).read_to_end(&mut rest);
    let labels = ["reporter", "source_workload", "destination_service", "response_flags"];
    for metric in [OPENED, CLOSED] {
        let expected = "source client-v1 db.back.svc.cluster.local UF,URX";
        expect_counts(&mesh, "client-v1", metric, &labels, &[(expected, 1)]);
    }
    assert!(wait_for_counts(&mesh, "client-v1", SENT, &[], 0).is_empty());
}

/// TLS that the proxy passes through, to the destination that its client wants.
const ANYWHERE: [&str; 2] = [
    "{applyTo: LISTENER, match: {context: SIDECAR_OUTBOUND, listener: {portNumber: 27017}}, \
     patch: {operation: MERGE, value: {listener_filters: [{name: envoy.filters.listener.tls_inspector, \
     typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector}}]}}}",
    "{applyTo: NETWORK_FILTER, \
     match: {context: SIDECAR_OUTBOUND, listener: {filterChain: {filter: {name: envoy.filters.network.tcp_proxy}}}}, \
     patch: {operation: MERGE, value: {typed_config: \
     {'@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, cluster: PassthroughCluster}}}}",
];

/// The first message of a TLS client, with `name` as server name.
fn client_hello(name: &str) -> Vec<u8> {
    let sized = |bytes: Vec<u8>| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes.as_slice()].concat();
    let server_name = sized([&[0], sized(name.into()).as_slice()].concat());
    let extensions = sized([&[0, 0], sized(server_name).as_slice()].concat());
    let cipher_suites = sized(vec![0x13, 0x01]);
    let body = [&[3, 3], [7; 32].as_slice(), &[0], &cipher_suites, &[1, 0], &extensions].concat();
    let handshake = [&[1, 0], sized(body).as_slice()].concat();
    [&[22, 3, 1], sized(handshake).as_slice()].concat()
}

#[test]
fn tls_that_only_passes_is_known_by_the_name_that_its_client_asked_for() {
    let mesh = crate::patched(DATABASE, &ANYWHERE);
    let mut stream = connect(&mesh, "client-v1", 27017);
    stream.write_all(&client_hello("api.example.com")).unwrap();
    let _ = stream.read(&mut [0; 100]); // there is nowhere to go: the proxy closes
    let labels = ["reporter", "destination_service", "destination_service_name", "destination_workload"];
    expect_counts(&mesh, "client-v1", CLOSED, &labels, &[("source api.example.com PassthroughCluster unknown", 1)]);
}

#[test]
fn a_match_is_asked_at_each_report_of_a_connection() {
    if envoy_counts() {
        return; // Envoy counts a connection when it ends
    }
    let mesh = start(DATABASE, |options| {
        options.plugins = both(
            r#"{"tcp_reporting_duration": "200ms", "definitions": [
                {"name": "late_bytes_total", "value": "receivedBytes", "protocol": "TCP", "match": "request.size > 30"},
                {"name": "early_bytes_total", "value": "receivedBytes", "protocol": "TCP", "match": "request.size <= 30"},
                {"name": "early_closed_total", "value": "1", "protocol": "TCP", "event": "CLOSE", "match": "request.size <= 30"}
            ]}"#,
        );
    });
    let mut stream = connect(&mesh, "client-v1", 27017);
    // Ticks leave their reports to the connection's next bytes. The sizes are those of the connection so far; on the other
    // side, they include TLS.
    for asked in 1..=4 {
        ask(&mut stream).unwrap();
        wait_for_counts(&mesh, "client-v1", RECEIVED, &[], if asked > 1 { asked * 11 } else { 0 });
        std::thread::sleep(Duration::from_millis(500));
    }
    drop(stream);
    expect_counts(&mesh, "client-v1", CLOSED, &[], &[("", 1)]);
    // 22 were reported with the second bytes, 11 with the third, 11 with the fourth.
    for (metric, value) in [("istio_late_bytes_total", 22), ("istio_early_bytes_total", 22)] {
        expect_counts(&mesh, "client-v1", metric, &[], &[("", value)]);
    }
    assert!(wait_for_counts(&mesh, "client-v1", "istio_early_closed_total", &[], 0).is_empty());
}
