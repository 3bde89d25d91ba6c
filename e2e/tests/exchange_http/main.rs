//! Metadata exchange over HTTP between real proxies: the bytes, who can see them, and which metadata is accepted.

// clippy.toml does not exempt helpers outside of test functions.
#![allow(clippy::unwrap_used, clippy::panic, clippy::arithmetic_side_effects, clippy::indexing_slicing)]

mod golden;
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use hyper::Method;
use local_mesh::config::node_id;
use local_mesh::{Mesh, Options, Request, Topology};
use serde_json::Value;

use e2e::wait::WAIT;
use golden::{CLIENT, ISTIO_1_5, ISTIO_NATIVE, OF_KUBE_SYSTEM, SERVER};
use support::*;

/// A Struct in which nothing is, but the labels that are none.
const NOTHING: &str = "CgwKBkxBQkVMUxICKgA=";

const UNKNOWN_CALLER: [(&str, &str); 4] = [
    ("source_workload", "unknown"),
    ("source_workload_namespace", "unknown"),
    ("source_app", "unknown"),
    ("source_canonical_service", "unknown"),
];

const SERVER_ALONE: &str = "
name: shop
workloads:
  - { name: server-v1, app: server, version: v1, address: 127.1.0.2 }
services:
  - { name: server, port: 9080, protocol: http }
";

const PAIR: &str = "
name: shop
workloads:
  - { name: client, app: client, address: 127.1.0.1 }
  - { name: server-v1, app: server, version: v1, address: 127.1.0.2 }
services:
  - { name: server, port: 9080, protocol: http }
";

/// Two workloads without a proxy: one in the mesh, one outside.
const CLIENT_AND_LEGACY: &str = "
name: shop
workloads:
  - { name: client, app: client, address: 127.1.0.1 }
  - { name: legacy-v1, app: legacy, address: 127.1.0.3, sidecar: false }
  - { name: outside-v1, app: outside, address: 127.1.0.4, sidecar: false }
services:
  - { name: legacy, port: 9080, protocol: http }
  - { name: outside, port: 9080, protocol: http, external: true }
";

const GATEWAY: &str = "
name: shop
workloads:
  - { name: gateway, app: gateway, address: 127.1.0.1, gateway: { port: 8080, routes: [ { prefix: /checkout, to: legacy } ] } }
  - { name: legacy-v1, app: legacy, address: 127.1.0.3, sidecar: false, serve: false }
services:
  - { name: legacy, port: 9080, protocol: http }
";

#[test]
fn a_sidecar_introduces_itself_with_istio_s_bytes_whatever_its_application_says() {
    let mesh = start(CLIENT_AND_LEGACY, &["separate/metadata-exchange.yaml"], vec![]);
    let request = outbound(&mesh, "legacy:9080", "/headers");
    let id = node_id(mesh.topology().workload("client").unwrap());
    for request in [request.clone(), request.header(METADATA, OF_KUBE_SYSTEM).header(ID, STRANGER_ID)] {
        let seen = peer_headers(&mesh.client().send(&request).unwrap());
        assert_eq!(seen, [(METADATA.to_owned(), CLIENT.to_owned()), (ID.to_owned(), id.clone())]);
    }
}

#[test]
fn nobody_outside_the_mesh_learns_who_called() {
    let no_exchange = "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: no-exchange, namespace: istio-system }
spec:
  configPatches:
  - applyTo: CLUSTER
    match: { context: SIDECAR_OUTBOUND, cluster: { service: legacy.default.svc.cluster.local } }
    patch: { operation: MERGE, value: { metadata: { filter_metadata: { istio: { disable_mx: true } } } } }
";
    let mesh = start(CLIENT_AND_LEGACY, &["separate/metadata-exchange.yaml"], vec![no_exchange.to_owned()]);
    let outside = application(&mesh, "outside-v1").to_string();
    for request in [
        outbound(&mesh, "outside:9080", "/headers"),
        outbound(&mesh, "example.com", "/headers").header("x-envoy-original-dst-host", &outside),
        outbound(&mesh, "legacy:9080", "/headers"),
    ] {
        for request in [request.clone(), request.header(METADATA, CLIENT).header(ID, STRANGER_ID)] {
            let answer = mesh.client().send(&request).unwrap();
            assert_eq!((answer.status, peer_headers(&answer)), (200, vec![]), "{request:?}");
        }
    }
}

#[test]
fn proxies_know_each_other_and_neither_application_nor_client_sees_how() {
    let mesh = start(PAIR, &["separate/metadata-exchange.yaml", "separate/stats.yaml", "stats-bootstrap.yaml"], vec![]);
    let request = outbound(&mesh, "server:9080", "/headers");
    let answer = mesh.client().send(&request).unwrap();
    assert_eq!((answer.status, peer_headers(&answer)), (200, vec![]));
    no_metadata_in(&answer);
    let answer = mesh.client().send(&request.method(Method::HEAD)).unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    no_metadata_in(&answer);
    // App and version come only from the exchange: Istio's metadata of an endpoint does not contain them.
    requests(&mesh, "client", &[("destination_app", "server"), ("destination_version", "v1")], 2.0);
    requests(&mesh, "server-v1", &[("source_workload", "client"), ("source_app", "client")], 2.0);
}

#[test]
fn metadata_is_exchanged_over_http2() {
    let mesh = start(
        &PAIR.replace("protocol: http", "protocol: grpc"),
        &["separate/metadata-exchange.yaml", "separate/stats.yaml", "stats-bootstrap.yaml"],
        vec![],
    );
    let answer = mesh.client().send(&outbound(&mesh, "server:9080", "/headers").http2()).unwrap();
    assert_eq!((answer.status, peer_headers(&answer)), (200, vec![]));
    no_metadata_in(&answer);
    requests(&mesh, "client", &[("destination_app", "server")], 1.0);
    requests(&mesh, "server-v1", &[("source_app", "client")], 1.0);
}

#[test]
fn metadata_is_exchanged_when_a_connection_is_upgraded() {
    let mesh = start(
        &PAIR.replace("address: 127.1.0.2 }", "address: 127.1.0.2, serve: false }"),
        &["separate/metadata-exchange.yaml", "separate/stats.yaml", "stats-bootstrap.yaml"],
        vec![],
    );
    let upgraded = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let (_server, received) = raw_application(&mesh, "server-v1", upgraded.to_owned());

    let mut stream = TcpStream::connect(mesh.sidecar("client").unwrap().outbound()).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    let request = "GET /chat HTTP/1.1\r\nhost: server:9080\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let answer = head(&stream);
    assert!(answer.starts_with("HTTP/1.1 101 ") && !answer.contains(METADATA), "{answer}");
    stream.write_all(b"ping").unwrap();
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"ping");
    drop(stream);

    let request = received.recv_timeout(WAIT).unwrap();
    assert!(request.contains("upgrade: websocket") && !request.contains(METADATA), "{request}");
    requests(&mesh, "client", &[("destination_app", "server"), ("response_code", "101")], 1.0);
    requests(&mesh, "server-v1", &[("source_app", "client"), ("response_code", "101")], 1.0);
}

#[test]
fn istio_s_sidecars_are_understood_and_answered_in_their_own_form() {
    let mesh = start(
        SERVER_ALONE,
        &["separate/metadata-exchange.yaml", "separate/stats.yaml", "stats-bootstrap.yaml"],
        vec![],
    );
    let unpadded = ISTIO_1_5.trim_end_matches('=');
    assert_ne!(unpadded, ISTIO_1_5);
    for metadata in [ISTIO_1_5, unpadded, ISTIO_NATIVE] {
        let answer = mesh.client().send(&inbound(&mesh, "/headers").header(METADATA, metadata).header(ID, STRANGER_ID));
        let answer = answer.unwrap();
        assert_eq!((answer.status, peer_headers(&answer)), (200, vec![]));
        assert_eq!(answer.header(METADATA), Some(SERVER));
        assert_eq!(answer.header(ID), Some(node_id(mesh.topology().workload("server-v1").unwrap()).as_str()));
    }
    let istio_1_5 = [
        ("source_workload", "productpage-v1"),
        ("source_workload_namespace", "shop"),
        ("source_app", "productpage"),
        ("source_version", "v1"),
        ("source_canonical_service", "productpage-v1"),
        ("source_canonical_revision", "latest"),
        ("source_cluster", "unknown"),
    ];
    requests(&mesh, "server-v1", &istio_1_5, 2.0);
    let native = [
        ("source_workload", "checkout-v3"),
        ("source_workload_namespace", "shop"),
        ("source_app", "checkout"),
        ("source_version", "v3"),
        ("source_canonical_service", "checkout"),
        ("source_canonical_revision", "v3"),
        ("source_cluster", "cluster-2"),
    ];
    requests(&mesh, "server-v1", &native, 1.0);
}

#[test]
fn only_who_introduces_himself_is_answered_even_by_a_local_reply_or_an_application_that_sends_metadata() {
    let deny = lua(
        "SIDECAR_INBOUND",
        BEHIND_EXCHANGE,
        "function envoy_on_request(h) if h:headers():get(':path') == '/denied' then h:respond({[':status'] = '403'}, '') end end",
    );
    let mesh = start(
        &SERVER_ALONE.replace("address: 127.1.0.2 }", "address: 127.1.0.2, serve: false }"),
        &["separate/metadata-exchange.yaml"],
        vec![deny],
    );
    let (_server, received) = raw_application(&mesh, "server-v1", with_metadata(OF_KUBE_SYSTEM));
    let id = node_id(mesh.topology().workload("server-v1").unwrap());
    for (path, status) in [("/", 200), ("/denied", 403)] {
        let request = inbound(&mesh, path);
        for (request, metadata_answered, id_answered) in [
            (request.clone(), None, None),
            (request.clone().header(METADATA, "").header(ID, ""), None, None),
            (request.clone().header(METADATA, CLIENT), Some(SERVER), None),
            (request.clone().header(ID, STRANGER_ID), None, Some(id.as_str())),
            (request.clone().header(METADATA, CLIENT).header(METADATA, ISTIO_NATIVE), Some(SERVER), None),
        ] {
            let answer = mesh.client().send(&request).unwrap();
            let answered = (answer.status, answer.header(METADATA), answer.header(ID));
            assert_eq!(answered, (status, metadata_answered, id_answered), "{request:?}");
        }
    }
    let requests: Vec<String> = received.try_iter().collect();
    assert_eq!(requests.len(), 5, "{requests:?}");
    assert!(!requests.concat().contains(METADATA), "{requests:?}");
}

#[test]
fn a_gateway_understands_an_answer_and_passes_none_of_it_on() {
    let mesh =
        start(GATEWAY, &["separate/metadata-exchange.yaml", "separate/stats.yaml", "stats-bootstrap.yaml"], vec![]);
    let (_server, received) = raw_application(&mesh, "legacy-v1", with_metadata(ISTIO_NATIVE));
    let gateway = mesh.gateway("gateway").unwrap();
    for (path, status) in [("/checkout", 200), ("/no-route", 404)] {
        let answer = mesh.client().send(&Request::get(gateway, path)).unwrap();
        assert_eq!(answer.status, status);
        no_metadata_in(&answer);
    }
    let asked = received.recv_timeout(WAIT).unwrap();
    assert!(asked.contains(&format!("{ID}: router~")), "{asked}");
    let native = [
        ("response_code", "200"),
        ("destination_workload", "checkout-v3"),
        ("destination_workload_namespace", "shop"),
        ("destination_app", "checkout"),
        ("destination_version", "v3"),
        ("destination_cluster", "cluster-2"),
    ];
    requests(&mesh, "gateway", &native, 1.0);
}

/// Of a gateway whose bootstrap has no metadata.
const NO_METADATA: &str = r#"{"node": {"metadata": {"NAME": null, "NAMESPACE": null, "WORKLOAD_NAME": null, "OWNER": null,
    "MESH_ID": null, "CLUSTER_ID": null, "ISTIO_VERSION": null, "LABELS": {}}}}"#;

#[test]
fn a_proxy_without_metadata_says_so_and_learns_who_answers() {
    let filters = ["separate/metadata-exchange.yaml", "separate/stats.yaml", "stats-bootstrap.yaml"];
    let options = Options {
        filters: filters.map(|file| local_mesh::tools::filters().join(file)).to_vec(),
        bootstrap_override: Some(NO_METADATA.to_owned()),
        ..Options::default()
    };
    let mesh = Mesh::start(Topology::parse(GATEWAY).unwrap(), options).unwrap();
    let (_server, received) = raw_application(&mesh, "legacy-v1", with_metadata(ISTIO_NATIVE));
    let request = Request::get(mesh.gateway("gateway").unwrap(), "/checkout");
    assert_eq!(mesh.client().send(&request).unwrap().status, 200);
    let asked = received.recv_timeout(WAIT).unwrap();
    assert!(asked.contains(&format!("{METADATA}: {NOTHING}\r\n")), "{asked}");
    requests(&mesh, "gateway", &[("source_workload", "unknown"), ("destination_workload", "checkout-v3")], 1.0);
}

#[test]
fn a_caller_without_metadata_is_answered() {
    let mesh = start(SERVER_ALONE, &["separate/metadata-exchange.yaml"], vec![]);
    let answer = mesh.client().send(&inbound(&mesh, "/headers").header(METADATA, NOTHING)).unwrap();
    assert_eq!((answer.status, peer_headers(&answer), answer.header(METADATA)), (200, vec![], Some(SERVER)));
    assert_eq!(rejections(&mesh, "server-v1"), [0.0; 3]);
}

#[test]
fn on_a_listener_without_direction_the_caller_is_answered() {
    let undirected = "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: undirected, namespace: istio-system }
spec:
  configPatches:
  - { applyTo: LISTENER, match: { context: SIDECAR_INBOUND }, patch: { operation: MERGE, value: { traffic_direction: UNSPECIFIED } } }
";
    let exchange = local_mesh::tools::filters().join("separate/metadata-exchange.yaml");
    let exchange = std::fs::read_to_string(exchange).unwrap().replace("metadata_exchange_inbound", "metadata_exchange");
    let mesh = start(SERVER_ALONE, &[], vec![exchange, undirected.to_owned()]);
    let answer = mesh.client().send(&inbound(&mesh, "/headers").header(METADATA, CLIENT)).unwrap();
    assert_eq!((answer.status, peer_headers(&answer), answer.header(METADATA)), (200, vec![], Some(SERVER)));
}

#[test]
fn a_caller_that_cannot_be_understood_costs_its_label_and_is_counted() {
    let mesh = start(
        SERVER_ALONE,
        &["separate/metadata-exchange.yaml", "separate/stats.yaml", "stats-bootstrap.yaml"],
        vec![],
    );
    let large = "A".repeat(8193);
    let bad = [(large.as_str(), [1.0, 0.0, 0.0]), ("!!!", [0.0, 1.0, 0.0]), ("Cg==", [0.0, 1.0, 0.0])];
    for (metadata, rise) in bad {
        let before = rejections(&mesh, "server-v1");
        let request = inbound(&mesh, "/headers").header(METADATA, metadata).header(ID, STRANGER_ID);
        let answer = mesh.client().send(&request).unwrap();
        assert_eq!((answer.status, peer_headers(&answer)), (200, vec![]), "{metadata}");
        let after = rejections(&mesh, "server-v1");
        assert_eq!([after[0] - before[0], after[1] - before[1], after[2] - before[2]], rise, "{metadata}");
    }
    requests(&mesh, "server-v1", &UNKNOWN_CALLER, 3.0);
    requests(&mesh, "server-v1", &[], 3.0);
}

#[test]
fn a_peer_of_another_namespace_than_its_certificate_is_not_believed() {
    let forge = |message: &str, metadata: &str| {
        format!("function envoy_on_{message}(h) h:headers():replace('{METADATA}', '{metadata}') end")
    };
    let patches = vec![
        lua("SIDECAR_OUTBOUND", BEHIND_EXCHANGE, &forge("request", OF_KUBE_SYSTEM)),
        lua("SIDECAR_INBOUND", BEFORE_EXCHANGE, &forge("response", OF_KUBE_SYSTEM)),
    ];
    let mesh =
        start(PAIR, &["separate/metadata-exchange.yaml", "separate/stats.yaml", "stats-bootstrap.yaml"], patches);
    let answer = mesh.client().send(&outbound(&mesh, "server:9080", "/headers")).unwrap();
    assert_eq!((answer.status, peer_headers(&answer)), (200, vec![]));
    no_metadata_in(&answer);

    requests(&mesh, "server-v1", &UNKNOWN_CALLER, 1.0);
    requests(&mesh, "server-v1", &[("source_principal", "spiffe://cluster.local/ns/default/sa/shop-client")], 1.0);
    assert_eq!(rejections(&mesh, "server-v1"), [0.0, 0.0, 1.0]);
    // Istio's metadata of the endpoint remains.
    requests(&mesh, "client", &[("destination_workload", "server-v1"), ("destination_app", "unknown")], 1.0);
    assert_eq!(rejections(&mesh, "client"), [0.0, 0.0, 1.0]);
}

#[test]
fn the_peer_can_be_read_by_others_on_the_stream() {
    let mesh = start(
        PAIR,
        &["separate/metadata-exchange.yaml"],
        vec![peer_log("SIDECAR_INBOUND", "downstream"), peer_log("SIDECAR_OUTBOUND", "upstream")],
    );
    assert_eq!(mesh.client().send(&outbound(&mesh, "server:9080", "/")).unwrap().status, 200);
    for (reader, peer, app) in [("server-v1", "client", "client"), ("client", "server-v1", "server")] {
        let line = local_mesh::wait_for(WAIT, || {
            let log = mesh.sidecar(reader).unwrap().output();
            log.lines().find_map(|line| serde_json::from_str::<Value>(line).ok())
        })
        .unwrap();
        let state = &line["peer"]["value"];
        assert_eq!((&state["workload_name"], &state["namespace"]), (&peer.into(), &"default".into()), "{line}");
        assert_eq!((&state["labels"]["app"], &line["app"]), (&app.into(), &app.into()), "{line}");
        assert_eq!(line["id"], node_id(mesh.topology().workload(peer).unwrap()), "{line}");
    }
}

#[test]
fn more_peers_than_are_remembered_are_served_and_told_apart() {
    let mesh = start(
        SERVER_ALONE,
        &["separate/metadata-exchange.yaml", "separate/stats.yaml", "stats-bootstrap.yaml"],
        vec![],
    );
    // Twice the default cache size, but ten workloads: a thousand label sets would take Envoy half a minute.
    let peer = |number: usize| {
        let metadata = STANDARD.decode(ISTIO_NATIVE).unwrap();
        let metadata = replace(metadata, b"checkout-v3", format!("checkout-v{}", number % 10).as_bytes());
        let metadata = replace(metadata, b"/sa/checkout", format!("/sa/{number:08}").as_bytes());
        inbound(&mesh, "/status/200").header(METADATA, &STANDARD.encode(metadata))
    };
    let peers: Vec<Request> = (0..1000).map(peer).collect();
    // Evicted peers are decoded again.
    for some in [&peers[..], &peers[..100]].into_iter().flat_map(|all| all.chunks(50)) {
        for answer in mesh.client().send_together(some) {
            let answer = answer.unwrap();
            assert_eq!((answer.status, answer.header(METADATA)), (200, Some(SERVER)));
        }
    }
    for workload in 0..10 {
        requests(&mesh, "server-v1", &[("source_workload", &format!("checkout-v{workload}"))], 110.0);
    }
    requests(&mesh, "server-v1", &[], 1100.0);
    assert_eq!(rejections(&mesh, "server-v1"), [0.0; 3]);
}
