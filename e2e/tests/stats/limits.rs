//! Strangers cannot do much to the metrics.

use base64::prelude::{Engine, BASE64_STANDARD};
use collections::text_map::TextMap;
use labels::peer::{Peer, APP, VERSION};
use local_mesh::{Mesh, Request};
use prost::Message;

use crate::{expect_requests, get, outside, start, stats_outbound, wait_for_counts};

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
    // 100 series are 25 label sets of four metrics, and one more for the rest.
    assert_eq!(counts.len(), 26, "{counts:?}");
    let rest: Vec<u64> = counts.iter().filter(|(key, _)| key.ends_with(" overflow")).map(|(_, count)| *count).collect();
    assert_eq!(rest, [sent - 25], "{counts:?}");
    let overflow = mesh.sidecar(workload).unwrap().metric("stats_overflow_total").unwrap();
    assert_eq!(overflow.iter().map(|sample| sample.value as u64).collect::<Vec<_>>(), rest);
}

#[test]
fn many_hosts_do_not_make_more_series_than_allowed_and_no_request_is_lost() {
    let mesh = start(&outside("server-v2"), |options| {
        let configuration = r#"{"max_series": 100, "disable_host_header_fallback": false}"#;
        options.plugins = vec![stats_outbound(configuration)];
    });
    let requests: Vec<Request> = (0..200).map(|index| get(&mesh, "/").host(&format!("host-{index}.example"))).collect();
    for answer in mesh.client().send_together(&requests) {
        assert_eq!(answer.unwrap().status, 503);
    }
    expect_bounded(&mesh, "client-v1", "destination_service", 200);
}

#[test]
fn many_forged_peers_do_not_make_more_series_than_allowed_and_no_request_is_lost() {
    let mesh = start(&outside("client-v1"), |options| {
        let configuration = r#"{"stats": {"max_series": "100"}}"#.to_owned();
        options.plugins =
            vec![local_mesh::PluginConfig { workload: None, plugin: "telemetry_inbound".to_owned(), configuration }];
    });
    let peers = (0..200).map(|index| {
        let workload_name = format!("forged-{index}");
        Peer { name: workload_name.clone(), workload_name, ..Peer::default() }
    });
    let requests: Vec<Request> = peers.map(|peer| forged(&mesh, &peer)).collect();
    for answer in mesh.client().send_together(&requests) {
        assert_eq!(answer.unwrap().status, 200);
    }
    expect_bounded(&mesh, "server-v2", "source_workload", 200);
}
