//! Strangers cannot do much to the metrics.

use base64::prelude::{Engine, BASE64_STANDARD};
use collections::text_map::TextMap;
use labels::peer::{Peer, APP, VERSION};
use local_mesh::{Mesh, PluginConfig, Request};
use prost::Message;

use crate::{expect_requests, get, outside, start, stats_outbound, status, wait_for_counts, PAIR};

/// A request from outside the mesh with the metadata of `peer`.
fn forged(mesh: &Mesh, peer: &Peer) -> Request {
    let metadata = BASE64_STANDARD.encode(peer.to_metadata().encode_to_vec());
    Request::get(mesh.sidecar("server-v2").unwrap().inbound(), "/status/200")
        .header("x-envoy-peer-metadata", &metadata)
        .header("x-envoy-peer-metadata-id", &format!("sidecar~{}", peer.name))
}

#[test]
fn a_label_s_value_cannot_forge_other_labels() {
    let mesh = start(&outside("client-v1"), |_| {});
    let peer = Peer {
        name: "forger".into(),
        workload_name: "w;.;reporter=.=source;.;response_code=.=500".into(),
        namespace: "two\nlines\r\0".into(),
        cluster_id: "ends;.".into(),
        labels: TextMap::from([(APP.into(), "\";.;istio_requests_total".into()), (VERSION.into(), "x".repeat(1000))]),
        ..Peer::default()
    };
    for _ in 0..2 {
        assert_eq!(mesh.client().send(&forged(&mesh, &peer)).unwrap().status, 200);
    }
    let labels = ["reporter", "response_code", "source_workload", "source_workload_namespace", "source_cluster"];
    let expected = "destination 200 w;_;reporter=_=source;_;response_code=_=500 two_lines__ ends;_";
    expect_requests(&mesh, "server-v2", &labels, &[(expected, 2)]);

    let samples = mesh.sidecar("server-v2").unwrap().stats().unwrap();
    let series: Vec<_> = samples
        .iter()
        .filter(|sample| sample.name.contains("requests_total") && sample.name.contains("istio"))
        .collect();
    assert_eq!(series.len(), 1, "{series:?}");
    assert_eq!((series[0].name.as_str(), series[0].labels.len()), ("istio_requests_total", 25), "{series:?}");
    assert_eq!(series[0].label("source_app"), "\";_;istio_requests_total");
    assert_eq!(series[0].label("source_version"), "x".repeat(256));
}

/// Checks that there are as many series as configured, and that the rest is counted together.
fn expect_bounded(mesh: &Mesh, workload: &str, label: &str, sent: u64) {
    let counts = wait_for_counts(mesh, workload, "istio_requests_total", &["reporter", label], sent);
    assert_eq!(counts.values().sum::<u64>(), sent, "{counts:?}");
    // 100 series are 25 label sets of four metrics, of which the last two are for others. One more is for the rest.
    assert_eq!(counts.len(), 24, "{counts:?}");
    let rest: Vec<u64> = counts.iter().filter(|(key, _)| key.ends_with(" overflow")).map(|(_, count)| *count).collect();
    assert_eq!(rest, [sent - 23], "{counts:?}");
    let overflow = mesh.sidecar(workload).unwrap().metric("stats_overflow_total").unwrap();
    assert_eq!(overflow.iter().map(|sample| sample.value as u64).collect::<Vec<_>>(), rest);
}

#[test]
fn many_hosts_do_not_make_more_series_than_allowed_and_no_request_is_lost() {
    let mesh = start(&outside("server-v2"), |options| {
        let configuration = r#"{"max_series": 100, "disable_host_header_fallback": false}"#;
        options.plugins = vec![stats_outbound(configuration)];
    });
    name_hosts(&mesh);
    expect_bounded(&mesh, "client-v1", "destination_service", 200);
}

/// 200 requests to hosts that nobody knows.
fn name_hosts(mesh: &Mesh) {
    let requests: Vec<Request> = (0..200).map(|index| get(mesh, "/").host(&format!("host-{index}.example"))).collect();
    for answer in mesh.client().send_together(&requests) {
        assert_eq!(answer.unwrap().status, 503);
    }
}

/// A workload that does not answer, and its service.
const DOWN: [&str; 2] = [
    "  - { name: down-v1, app: down, namespace: back, address: 127.1.0.3, sidecar: false, serve: false }\n",
    "  - { name: down, namespace: back, port: 9080, protocol: http }\n",
];

#[test]
fn an_outage_is_seen_though_there_is_no_room_for_its_labels() {
    let [workload, service] = DOWN;
    let topology = PAIR.replace("calls: [server]", "calls: [server, down]") + service;
    let topology = topology.replace("services:", &format!("{workload}services:"));
    let mesh = start(&topology, |options| {
        options.plugins = vec![stats_outbound(r#"{"max_series": 100}"#)];
    });
    name_hosts(&mesh);
    // What hosts have left for the services of the mesh: two label sets.
    for code in [200, 201, 503, 204] {
        assert_eq!(status(&mesh, get(&mesh, &format!("/status/{code}"))), code);
    }
    for _ in 0..5 {
        assert_eq!(status(&mesh, get(&mesh, "/").host("down.back:9080")), 503);
    }
    let by = [
        "reporter",
        "source_workload",
        "destination_service",
        "destination_service_name",
        "destination_workload",
        "response_code",
        "response_flags",
    ];
    let counts = wait_for_counts(&mesh, "client-v1", "istio_requests_total", &by, 209);
    let of_mesh: Vec<(&str, u64)> = counts
        .iter()
        .filter_map(|(labels, count)| Some((labels.strip_prefix("source client-v1 ")?, *count)))
        .filter(|(labels, _)| labels.contains(".back.svc."))
        .collect();
    let expected = [
        ("down.back.svc.cluster.local down overflow 500 UF,URX", 5),
        ("server.back.svc.cluster.local server overflow 200 -", 1),
        ("server.back.svc.cluster.local server overflow 500 -", 1),
        ("server.back.svc.cluster.local server server-v2 200 -", 1),
        ("server.back.svc.cluster.local server server-v2 201 -", 1),
    ];
    assert_eq!(of_mesh, expected);
}

#[test]
fn forged_peers_leave_room_for_workloads_of_the_mesh() {
    let mesh = start(PAIR, |options| {
        let configuration = r#"{"stats": {"max_series": 100}}"#.to_owned();
        options.plugins = vec![PluginConfig { workload: None, plugin: "telemetry_inbound".to_owned(), configuration }];
    });
    let requests: Vec<Request> = (0..200).map(|index| forged(&mesh, &peer(index))).collect();
    for answer in mesh.client().send_together(&requests) {
        assert_eq!(answer.unwrap().status, 200);
    }
    for _ in 0..3 {
        assert_eq!(status(&mesh, get(&mesh, "/status/200")), 200);
    }
    let by = ["source_workload", "connection_security_policy", "response_code"];
    let counts = wait_for_counts(&mesh, "server-v2", "istio_requests_total", &by, 203);
    assert_eq!(counts.get("client-v1 mutual_tls 200"), Some(&3), "{counts:?}");
    assert_eq!(counts.get("overflow none 200"), Some(&177), "{counts:?}");
}

/// One of many workloads that are not there.
fn peer(index: usize) -> Peer {
    let workload_name = format!("forged-{index}");
    Peer { name: workload_name.clone(), workload_name, ..Peer::default() }
}

#[test]
fn many_forged_peers_do_not_make_more_series_than_allowed_and_no_request_is_lost() {
    let mesh = start(&outside("client-v1"), |options| {
        let configuration = r#"{"stats": {"max_series": "100"}}"#.to_owned();
        options.plugins = vec![PluginConfig { workload: None, plugin: "telemetry_inbound".to_owned(), configuration }];
    });
    let requests: Vec<Request> = (0..200).map(|index| forged(&mesh, &peer(index))).collect();
    for answer in mesh.client().send_together(&requests) {
        assert_eq!(answer.unwrap().status, 200);
    }
    expect_bounded(&mesh, "server-v2", "source_workload", 200);
}
