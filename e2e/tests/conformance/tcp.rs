//! TCP connections: labels from expressions while they live, and changing response flags.

use std::io::Read;
use std::time::Duration;

use e2e::pair::{connect, DATABASE};
use local_mesh::application::ask;

use crate::scene::Setting;

/// Longer than the reporting periods of this file.
const TICK: Duration = Duration::from_millis(500);

pub fn a_label_of_the_engine_is_seen_on_a_live_connection(envoy: &str) {
    let setting = Setting {
        topology: DATABASE,
        outbound: r#"{"tcp_reporting_duration": "200ms",
            "metrics": [{"dimensions": {"target": "cluster_name + ' at ' + string(upstream.port)"}}]}"#,
        inbound: r#"{"tcp_reporting_duration": "200ms",
            "metrics": [{"dimensions": {"caller": "connection.mtls ? connection.uri_san_peer_certificate : 'nobody'"}}]}"#,
        patches: &[],
    };
    let mut scene = setting.start(envoy);
    let mut stream = scene.row(
        "the engine cannot be asked on a timer: nothing is reported until bytes come",
        |mesh| {
            let mut stream = connect(mesh, "client-v1", 27017);
            ask(&mut stream).unwrap();
            std::thread::sleep(TICK);
            stream
        },
        "client-v1 istio_tcp_connections_opened_total 0
         db-v2 istio_tcp_connections_opened_total 0",
    );
    scene.row(
        "with the next bytes the connection and all its bytes are seen, while it lives, with identities of mutual TLS",
        |_| ask(&mut stream).unwrap(),
        r#"client-v1 istio_tcp_connections_opened_total{target="outbound|27017||db.back.svc.cluster.local at 15006",destination_workload="db-v2",labels="24"} 1
           client-v1 istio_tcp_received_bytes_total{target="outbound|27017||db.back.svc.cluster.local at 15006"} 22
           client-v1 istio_tcp_sent_bytes_total{target="outbound|27017||db.back.svc.cluster.local at 15006"} 18
           db-v2 istio_tcp_connections_opened_total{caller="spiffe://cluster.local/ns/front/sa/shop-client",source_workload="client-v1",labels="24"} 1
           db-v2 istio_tcp_received_bytes_total{caller="spiffe://cluster.local/ns/front/sa/shop-client"} 22
           db-v2 istio_tcp_sent_bytes_total{caller="spiffe://cluster.local/ns/front/sa/shop-client"} 18"#,
    );
    scene.row(
        "from then on a timer is enough",
        |_| ask(&mut stream).unwrap(),
        r#"client-v1 istio_tcp_received_bytes_total{destination_workload="db-v2"} 11
           client-v1 istio_tcp_connections_opened_total 0
           client-v1 istio_tcp_connections_closed_total 0
           db-v2 istio_tcp_sent_bytes_total{source_workload="client-v1"} 9
           db-v2 istio_tcp_connections_closed_total 0"#,
    );
    scene.row(
        "its end is reported once, with nothing that was reported before",
        |_| drop(stream),
        r#"client-v1 istio_tcp_connections_closed_total{target="outbound|27017||db.back.svc.cluster.local at 15006"} 1
           client-v1 istio_tcp_received_bytes_total 0
           db-v2 istio_tcp_connections_closed_total{caller="spiffe://cluster.local/ns/front/sa/shop-client"} 1
           db-v2 istio_tcp_sent_bytes_total 0"#,
    );
}

/// Makes Envoy end connections after a second.
const SHORT_LIVES: &str = "configPatches: [ { applyTo: NETWORK_FILTER,
    match: { context: SIDECAR_OUTBOUND, listener: { portNumber: 27017,
      filterChain: { filter: { name: envoy.filters.network.tcp_proxy } } } },
    patch: { operation: MERGE, value: { typed_config: {
      '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy,
      max_downstream_connection_duration: 1.500s } } } } ]";

pub fn flags_are_those_of_the_moment(envoy: &str) {
    let setting = Setting {
        topology: DATABASE,
        outbound: r#"{"tcp_reporting_duration": "200ms"}"#,
        patches: &[SHORT_LIVES],
        ..Setting::default()
    };
    let mut scene = setting.start(envoy);
    scene.row(
        "what was reported before Envoy ended the connection has no flag, its end has one",
        |mesh| {
            let mut stream = connect(mesh, "client-v1", 27017);
            ask(&mut stream).unwrap();
            // Envoy may also end it with a reset.
            let _ = stream.read_to_end(&mut Vec::new());
        },
        r#"client-v1 istio_tcp_connections_opened_total{response_flags="-"} 1
           client-v1 istio_tcp_received_bytes_total{response_flags="-"} 11
           client-v1 istio_tcp_connections_closed_total{response_flags="DT"} 1"#,
    );
}
