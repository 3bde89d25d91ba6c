//! Metadata exchange over TCP between real proxies: the application's bytes are unchanged, and each side knows its peer.

// clippy.toml does not exempt helpers outside of test functions.
#![allow(clippy::unwrap_used, clippy::panic, clippy::arithmetic_side_effects)]

mod golden;
mod support;

use std::io::Write;
use std::net::Shutdown;
use std::sync::mpsc::channel;

use local_mesh::{Mesh, Network, Options, PluginConfig, Topology};

use e2e::metrics::expect_total;
use e2e::pair::connect;
use e2e::wait::{wait_until, WAIT};
use golden::{OF_CLIENT, OF_DB, OF_KUBE_SYSTEM, OF_ORDERS};
use support::*;

const UNKNOWN_CALLER: [(&str, &str); 4] = [
    ("source_workload", "unknown"),
    ("source_workload_namespace", "unknown"),
    ("source_app", "unknown"),
    ("source_canonical_service", "unknown"),
];

/// The server's proxy has no exchange, so that its application sees what the client's proxy sends.
const NO_EXCHANGE_INBOUND: &str = "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: no-exchange, namespace: istio-system }
spec:
  priority: 2
  configPatches:
  - applyTo: NETWORK_FILTER
    match:
      context: SIDECAR_INBOUND
      listener: { filterChain: { filter: { name: remixer.tcp_metadata_exchange } } }
    patch: { operation: REMOVE }
";

/// A line for each connection in the log of the client's proxy, with the result of metadata exchange.
const PEER_LOG: &str = "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: peer-log, namespace: istio-system }
spec:
  configPatches:
  - applyTo: NETWORK_FILTER
    match:
      context: SIDECAR_OUTBOUND
      listener: { filterChain: { filter: { name: envoy.filters.network.tcp_proxy } } }
    patch:
      operation: MERGE
      value:
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          access_log:
          - name: envoy.access_loggers.stdout
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
              log_format:
                text_format_source: { inline_string: \"peer: %FILTER_STATE(wasm.upstream_peer_id:PLAIN)%\\n\" }
";

/// A mesh in which the client has asked the database once, and was answered.
fn asked_once(options: Options) -> Mesh {
    let mesh = Mesh::start(Topology::parse(TOPOLOGY).unwrap(), options).unwrap();
    let _db = echo(&mesh);
    let mut client = connect(&mesh, "client", 27017);
    client.write_all(b"ask\n").unwrap();
    assert_eq!(read(&mut client, 4), b"ask\n");
    drop(client);
    mesh
}

/// Istio's convention that such names begin with `tcp_` is not required.
#[test]
fn the_modules_are_network_filters_by_whatever_name() {
    let unnamed = |file: &str, module: &str| {
        let yaml = std::fs::read_to_string(local_mesh::tools::filters().join(file)).unwrap();
        let renamed = yaml.replace("_id: tcp_", "_id: my_");
        assert_ne!(renamed, yaml);
        // In the module with all filters, the root id selects the filter.
        renamed.replace("remixer.wasm", module)
    };
    let options = Options {
        filters: vec![local_mesh::tools::filters().join("stats-bootstrap.yaml")],
        patches: vec![
            unnamed("tcp-metadata-exchange-inbound.yaml", "metadata_exchange.wasm"),
            unnamed("tcp-metadata-exchange-outbound.yaml", "metadata_exchange.wasm"),
            unnamed("tcp-stats.yaml", "stats.wasm"),
        ],
        ..Options::default()
    };
    let mesh = asked_once(options);
    let both = [("source_workload", "client"), ("destination_workload", "db-v1")];
    for reporter in ["client", "db-v1"] {
        expect_total(&mesh, reporter, "istio_tcp_sent_bytes_total", &both, 4.0);
    }
}

/// Istio's root ids are those of HTTP: the VM says that these filters are for connections.
#[test]
fn the_ids_of_istio_s_own_configuration_work_beside_our_filters_of_requests() {
    let file = |name: &str| std::fs::read_to_string(local_mesh::tools::filters().join(name)).unwrap();
    let stats = ["inbound", "outbound"].iter().fold(file("tcp-stats.yaml"), |yaml, direction| {
        let (ours, istio_s) = (format!("root_id: tcp_stats_{direction}"), format!("root_id: stats_{direction}"));
        // The VM comes after the root id in each of the patches.
        let patches = yaml.split(&ours).map(str::to_owned).collect::<Vec<_>>();
        assert!(patches.len() > 1);
        let (first, rest) = patches.split_first().unwrap();
        let vm = format!("vm_id: tcp_stats_{direction}");
        rest.iter().fold(first.clone(), |yaml, patch| yaml + &istio_s + &patch.replacen("vm_id: remixer", &vm, 1))
    });
    let exchange =
        file("tcp-metadata-exchange-outbound.yaml").replace("vm_id: remixer", "vm_id: tcp_metadata_exchange");
    let filters = ["stats-bootstrap.yaml", "telemetry.yaml", "tcp-metadata-exchange-inbound.yaml"];
    let options = Options {
        filters: filters.map(|file| local_mesh::tools::filters().join(file)).to_vec(),
        patches: vec![stats, exchange],
        ..Options::default()
    };
    let mesh = asked_once(options);
    let both = [("source_workload", "client"), ("destination_workload", "db-v1"), ("destination_app", "db")];
    for reporter in ["client", "db-v1"] {
        expect_total(&mesh, reporter, "istio_tcp_connections_closed_total", &both, 1.0);
    }
}

#[test]
fn a_first_byte_that_only_looks_like_a_frame_is_passed_on_after_a_while() {
    let mesh = start(without_protocol());
    let _db = echo(&mesh);
    let mut client = connect(&mesh, "client", 27017);
    client.write_all(b"=").unwrap();
    assert_eq!(read(&mut client, 1), b"=");
    client.write_all(b"more").unwrap();
    assert_eq!(read(&mut client, 4), b"more");
}

#[test]
fn both_proxies_know_each_other_and_count_the_application_s_bytes_alone() {
    let mesh = start(Options::default());
    let _db = database(&mesh, |mut stream| {
        assert_eq!(read(&mut stream, 4), b"ask\n");
        stream.write_all(b"answer\n").unwrap();
    });
    let mut client = connect(&mesh, "client", 27017);
    client.write_all(b"ask\n").unwrap();
    assert_eq!(read_to_end(&mut client), b"answer\n");
    drop(client);

    // App and version come only from the exchange: Istio's metadata of an endpoint does not contain them.
    let known = [
        ("source_workload", "client"),
        ("source_app", "client"),
        ("destination_workload", "db-v1"),
        ("destination_app", "db"),
        ("destination_version", "v1"),
    ];
    for reporter in ["client", "db-v1"] {
        for (metric, expected) in
            [("connections_opened", 1.0), ("connections_closed", 1.0), ("received_bytes", 4.0), ("sent_bytes", 7.0)]
        {
            expect_total(&mesh, reporter, &format!("istio_tcp_{metric}_total"), &known, expected);
        }
        assert_eq!(counter(&mesh, reporter, "metadata_exchange_metadata_added"), 1.0);
    }
}

#[test]
fn bytes_arrive_unchanged_whoever_begins_and_however_they_end() {
    let mesh = start(Options::default());
    let (sender, received) = channel();
    let _db = database(&mesh, move |mut stream| {
        stream.write_all(b"welcome\n").unwrap();
        let bytes = read_to_end(&mut stream);
        stream.write_all(b"until the end, and beyond\n").unwrap();
        sender.send(bytes).unwrap();
    });
    // The server sends first; the client closes its direction.
    let mut client = connect(&mesh, "client", 27017);
    assert_eq!(read(&mut client, 8), b"welcome\n");
    client.write_all(b"thanks\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&mut client), b"until the end, and beyond\n");
    assert_eq!(received.recv_timeout(WAIT).unwrap(), b"thanks\n");

    // The client sends nothing.
    let mut client = connect(&mesh, "client", 27017);
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&mut client), b"welcome\nuntil the end, and beyond\n");
    assert_eq!(received.recv_timeout(WAIT).unwrap(), b"");

    // The client sends first, in many small writes.
    let mut client = connect(&mesh, "client", 27017);
    client.set_nodelay(true).unwrap();
    let sent: Vec<u8> = (0..3000_u32).map(|number| number as u8).collect();
    sent.chunks(3).for_each(|three| client.write_all(three).unwrap());
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(received.recv_timeout(WAIT).unwrap(), sent);
}

#[test]
fn megabytes_pass_unchanged_both_ways_at_once() {
    let mesh = start(Options::default());
    let (sender, received) = channel();
    let _db = database(&mesh, move |stream| sender.send(swap(stream, &noise(2))).unwrap());
    assert!(swap(connect(&mesh, "client", 27017), &noise(1)) == noise(2), "the answer differs");
    assert!(received.recv_timeout(WAIT).unwrap() == noise(1), "the request differs");
}

#[test]
fn a_proxy_that_is_not_told_the_protocol_sends_nothing_of_its_own() {
    let often = PluginConfig {
        workload: Some("client".to_owned()),
        plugin: "tcp_stats_outbound".to_owned(),
        configuration: r#"{"tcp_reporting_duration": "200ms"}"#.to_owned(),
    };
    let mut options = without_protocol();
    options.plugins.push(often);
    options.patches.extend([NO_EXCHANGE_INBOUND, PEER_LOG].map(str::to_owned));
    let mesh = start(options);
    let _db = echo(&mesh);
    let mut client = connect(&mesh, "client", 27017);
    client.write_all(b"hello").unwrap();
    assert_eq!(read(&mut client, 5), b"hello");

    // Known from the endpoint, and reported while the connection lives.
    let known = [
        ("destination_workload", "db-v1"),
        ("destination_workload_namespace", "default"),
        ("destination_canonical_service", "db"),
        ("destination_canonical_revision", "v1"),
        ("destination_app", "unknown"),
        ("destination_version", "unknown"),
    ];
    expect_total(&mesh, "client", "istio_tcp_received_bytes_total", &known, 5.0);
    assert_eq!(counter(&mesh, "client", "metadata_exchange_metadata_added"), 0.0);
    drop(client);
    // Tells other filters that there is nothing to wait for.
    let sentinel = "peer: envoy.wasm.metadata_exchange.peer_unknown";
    wait_until(|| mesh.sidecar("client").unwrap().output().lines().any(|line| line == sentinel));
}

#[test]
fn a_client_with_mutual_tls_that_does_not_take_part_passes_untouched() {
    let mesh = start(without_protocol());
    let _db = echo(&mesh);
    // Each begins like a frame, and then differs.
    for (first, second) in [("", "GET rating\n"), ("=", "1"), ("=#", "4g"), ("=#\x04", "\x68"), ("=#\x04g", "\0\0")] {
        let arrived = received_by_proxy(&mesh);
        let mut client = connect(&mesh, "client", 27017);
        client.set_nodelay(true).unwrap();
        client.write_all(first.as_bytes()).unwrap();
        wait_until(|| received_by_proxy(&mesh) == arrived + first.len() as u64);
        client.write_all(second.as_bytes()).unwrap();
        if second != "\0\0" {
            // It is not a frame, so it is passed on before the connection ends.
            assert_eq!(read(&mut client, first.len() + second.len()), [first, second].concat().as_bytes());
            client.write_all(b"more").unwrap();
            assert_eq!(read(&mut client, 4), b"more");
            continue;
        }
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(&mut client), [first, second].concat().as_bytes());
    }
    assert_eq!(counter(&mesh, "db-v1", "metadata_exchange_initial_header_not_found"), 5.0);
    assert_eq!(counter(&mesh, "db-v1", "metadata_exchange_metadata_added"), 0.0);
    expect_total(&mesh, "db-v1", "istio_tcp_connections_closed_total", &UNKNOWN_CALLER, 5.0);
}

#[test]
fn a_plaintext_client_passes_untouched_and_is_not_believed() {
    let mesh = start(Options::default());
    let _db = echo(&mesh);
    for bytes in [b"GET rating\n".as_slice(), b"=#\x04g\0\0\0", OF_ORDERS] {
        let mut client = connect(&mesh, "db-v1", 15006);
        client.write_all(bytes).unwrap();
        assert_eq!(read(&mut client, bytes.len()), bytes);
    }
    expect_total(&mesh, "db-v1", "istio_tcp_connections_closed_total", &UNKNOWN_CALLER, 3.0);
    assert_eq!(counter(&mesh, "db-v1", "metadata_exchange_metadata_added"), 0.0);
}

#[test]
fn a_frame_that_is_not_believed_is_taken_off_and_costs_only_the_label() {
    let network = Network::Number(242);
    let mesh = start(Options { network, ..without_protocol() });
    let (_db, received) = recording_echo(&mesh);
    let malformed = [b"=#\x04g\0\0\0\x05".as_slice(), b"\xff\xff\xff\xff\xff"].concat();
    let oversized = [b"=#\x04g\0\x01\x86\xa0".as_slice(), &[b'x'; 100_000]].concat();
    for (frame, header_not_found, rejections) in [
        (malformed.as_slice(), 1.0, [0.0, 1.0, 0.0]),
        (&oversized, 1.0, [1.0, 0.0, 0.0]),
        (OF_KUBE_SYSTEM, 0.0, [0.0, 0.0, 1.0]),
    ] {
        let before = rejected(&mesh, "db-v1");
        let mut client = connect(&mesh, "client", 27017);
        client.write_all(frame).unwrap();
        client.write_all(b"hello").unwrap();
        // It supports the protocol, so it gets an answer. Its own proxy does not, and passes it on.
        assert_eq!(read(&mut client, OF_DB.len()), OF_DB);
        assert_eq!(read(&mut client, 5), b"hello");
        client.write_all(b"again").unwrap();
        assert_eq!(read(&mut client, 5), b"again");
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(&mut client), b"");
        assert_eq!(received.recv_timeout(WAIT).unwrap(), b"helloagain");

        let after = rejected(&mesh, "db-v1");
        let rise: Vec<f64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
        assert_eq!(rise, [[header_not_found].as_slice(), &rejections].concat());
    }
    expect_total(&mesh, "db-v1", "istio_tcp_connections_opened_total", &UNKNOWN_CALLER, 3.0);
}

#[test]
fn a_sidecar_introduces_itself_with_istio_s_bytes_and_understands_the_answer() {
    let network = Network::Number(241);
    let mesh = start(Options { network, patches: vec![NO_EXCHANGE_INBOUND.to_owned()], ..Options::default() });
    let (sender, received) = channel();
    // With a proxy of Istio, as seen from the client.
    let _db = database(&mesh, move |mut stream| {
        stream.write_all(&[OF_ORDERS, b"welcome"].concat()).unwrap();
        sender.send(read_to_end(&mut stream)).unwrap();
    });
    let mut client = connect(&mesh, "client", 27017);
    client.write_all(b"hello").unwrap();
    assert_eq!(read(&mut client, 7), b"welcome");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(received.recv_timeout(WAIT).unwrap(), [OF_CLIENT, b"hello"].concat());
    assert_eq!(read_to_end(&mut client), b"");
    let orders = [
        ("destination_workload", "orders-v2"),
        ("destination_workload_namespace", "default"),
        ("destination_app", "orders"),
        ("destination_version", "v2"),
        ("destination_cluster", "cluster-2"),
    ];
    expect_total(&mesh, "client", "istio_tcp_connections_closed_total", &orders, 1.0);
}

#[test]
fn an_istio_client_s_frame_is_understood_in_whatever_pieces_it_comes() {
    let mesh = start(Options { network: Network::Number(243), ..without_protocol() });
    let (_db, received) = recording_echo(&mesh);
    let (first, rest) = OF_ORDERS.split_at(2);
    let (second, third) = rest.split_at(100);
    let mut client = connect(&mesh, "client", 27017);
    client.set_nodelay(true).unwrap();
    let mut sent = 0;
    for piece in [first, second] {
        client.write_all(piece).unwrap();
        sent += piece.len() as u64;
        wait_until(|| received_by_proxy(&mesh) == sent);
    }
    client.write_all(&[third, b"hello"].concat()).unwrap();
    assert_eq!(read(&mut client, OF_DB.len() + 5).split_off(OF_DB.len()), b"hello");
    drop(client);
    assert_eq!(received.recv_timeout(WAIT).unwrap(), b"hello");
    let orders = [("source_workload", "orders-v2"), ("source_app", "orders"), ("source_cluster", "cluster-2")];
    expect_total(&mesh, "db-v1", "istio_tcp_connections_closed_total", &orders, 1.0);
}
