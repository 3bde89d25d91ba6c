use host::fake::FakeHost;
use host::property::{node_label, node_metadata, Property};
use labels::peer;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const INBOUND: i64 = 1;
const OUTBOUND: i64 = 2;
const REVIEWS_SAN: &str = "spiffe://cluster.local/ns/default/sa/bookinfo-reviews";

/// The proxy of productpage, with a stream on a listener of `direction`.
fn productpage(direction: i64) -> FakeHost {
    let mut host = FakeHost::new();
    host.with_text(property::NODE_ID, "sidecar~10.0.0.1~productpage-v1-1.default~default.svc.cluster.local")
        .with_text(Property(&node_metadata("NAMESPACE")), "default")
        .with_text(Property(&node_metadata("WORKLOAD_NAME")), "productpage-v1")
        .with_text(Property(&node_label("app")), "productpage")
        .with_text(property::CLUSTER_NAME, "outbound|9080||reviews.default.svc.cluster.local")
        .with_int(property::LISTENER_DIRECTION, direction);
    host
}

fn exchange(host: &FakeHost) -> Exchange {
    Exchange::new(&Peer::local(host, &[]), 500, host)
}

fn reviews() -> Peer {
    Peer { workload_name: "reviews-v1".into(), namespace: "default".into(), ..Peer::default() }
}

/// Adds the headers of reviews to `map`.
fn with_reviews(host: &mut FakeHost, map: HeaderMap) {
    host.with_header(map, METADATA_HEADER, &wire::encode(&reviews()).expect("fits"));
    host.with_header(map, ID_HEADER, "reviews");
}

fn stored(host: &FakeHost, key: &str) -> Option<Peer> {
    Peer::from_state(&host.state_of(key)?)
}

fn counted(host: &FakeHost) -> Vec<(String, u64)> {
    host.values().into_iter().collect()
}

#[test]
fn a_call_carries_our_metadata_in_place_of_what_the_application_sent() {
    let mut host = productpage(OUTBOUND);
    with_reviews(&mut host, HeaderMap::Request);
    exchange(&host).on_request_headers(&host);
    let headers = host.headers(HeaderMap::Request);
    let sent = wire::decode(headers.get(METADATA_HEADER).expect("sent").as_bytes()).expect("understood");
    assert_eq!(sent.workload_name, "productpage-v1");
    assert_eq!(sent.label("app"), "productpage");
    assert!(headers.get(ID_HEADER).expect("sent").starts_with("sidecar~10.0.0.1~"));
    assert_eq!(host.state_of(peer::DOWNSTREAM_PEER), None, "what an application claims is not stored");
}

#[test]
fn a_call_out_of_the_mesh_carries_nothing() {
    for (cluster, mark) in [
        ("PassthroughCluster", None),
        ("outbound|443||api.example.com", Some(property::CLUSTER_EXTERNAL)),
        ("outbound|443||legacy.example.com", Some(property::CLUSTER_DISABLE_MX)),
    ] {
        let mut host = productpage(OUTBOUND);
        host.with_text(property::CLUSTER_NAME, cluster);
        if let Some(mark) = mark {
            host.with_boolean(mark, true);
        }
        with_reviews(&mut host, HeaderMap::Request);
        exchange(&host).on_request_headers(&host);
        assert!(host.headers(HeaderMap::Request).is_empty(), "{cluster}");
    }
}

#[test]
fn a_server_outside_the_mesh_cannot_pose_as_a_workload() {
    let mut host = productpage(OUTBOUND);
    host.with_text(property::CLUSTER_NAME, "PassthroughCluster");
    let mut exchange = exchange(&host);
    let mut stream = exchange.on_request_headers(&host);
    with_reviews(&mut host, HeaderMap::Response);
    exchange.on_response_headers(&host, &mut stream);
    assert!(host.headers(HeaderMap::Response).is_empty());
    assert_eq!(host.state_of(peer::UPSTREAM_PEER), None);
}

#[test]
fn the_callee_s_answer_is_taken_off_and_stored() {
    let mut host = productpage(OUTBOUND);
    let mut exchange = exchange(&host);
    let mut stream = exchange.on_request_headers(&host);
    with_reviews(&mut host, HeaderMap::Response);
    host.with_text(property::UPSTREAM_PEER_SAN, REVIEWS_SAN);
    exchange.on_response_headers(&host, &mut stream);
    assert!(host.headers(HeaderMap::Response).is_empty());
    assert_eq!(stored(&host, peer::UPSTREAM_PEER), Some(reviews()));
    assert_eq!(host.state_of(peer::UPSTREAM_PEER_ID), Some(b"reviews".to_vec()));
}

#[test]
fn the_caller_is_stored_and_answered() {
    let mut host = productpage(INBOUND);
    with_reviews(&mut host, HeaderMap::Request);
    let mut exchange = exchange(&host);
    let mut stream = exchange.on_request_headers(&host);
    assert!(host.headers(HeaderMap::Request).is_empty(), "the application does not see them");
    assert_eq!(stored(&host, peer::DOWNSTREAM_PEER), Some(reviews()));
    exchange.on_response_headers(&host, &mut stream);
    let headers = host.headers(HeaderMap::Response);
    let answer = wire::decode(headers.get(METADATA_HEADER).expect("sent").as_bytes()).expect("understood");
    assert_eq!(answer.workload_name, "productpage-v1");
    assert!(headers.contains_key(ID_HEADER));
}

#[test]
fn on_a_listener_without_direction_the_caller_is_answered_and_the_callee_told() {
    let mut host = productpage(0);
    with_reviews(&mut host, HeaderMap::Request);
    let mut exchange = exchange(&host);
    let mut stream = exchange.on_request_headers(&host);
    let sent = |host: &FakeHost, map| {
        let headers = host.headers(map);
        wire::decode(headers.get(METADATA_HEADER).expect("sent").as_bytes()).expect("understood").workload_name
    };
    assert_eq!(stored(&host, peer::DOWNSTREAM_PEER), Some(reviews()));
    assert_eq!(sent(&host, HeaderMap::Request), "productpage-v1");
    let details = Peer { workload_name: "details-v1".into(), ..reviews() };
    host.with_header(HeaderMap::Response, METADATA_HEADER, &wire::encode(&details).expect("fits"));
    exchange.on_response_headers(&host, &mut stream);
    assert_eq!(stored(&host, peer::UPSTREAM_PEER), Some(details.clone()));
    assert_eq!(sent(&host, HeaderMap::Response), "productpage-v1");
    // Labels are those of an outbound stream.
    assert_eq!(stream.found.peer.as_deref().and_then(Peer::from_state), Some(details));
}

#[test]
fn a_plain_client_gets_no_answer_even_if_the_application_gives_one() {
    let mut host = productpage(INBOUND);
    let mut exchange = exchange(&host);
    let mut stream = exchange.on_request_headers(&host);
    with_reviews(&mut host, HeaderMap::Response);
    exchange.on_response_headers(&host, &mut stream);
    assert!(host.headers(HeaderMap::Response).is_empty());
    assert_eq!(host.state_of(peer::UPSTREAM_PEER), None);
}

#[test]
fn id_and_metadata_are_answered_each_for_itself() {
    for (sent, answered) in [(ID_HEADER, ID_HEADER), (METADATA_HEADER, METADATA_HEADER)] {
        let mut host = productpage(INBOUND);
        let value = wire::encode(&reviews()).expect("fits");
        host.with_header(HeaderMap::Request, sent, &value);
        let mut exchange = exchange(&host);
        let mut stream = exchange.on_request_headers(&host);
        exchange.on_response_headers(&host, &mut stream);
        assert_eq!(host.headers(HeaderMap::Response).into_keys().collect::<Vec<_>>(), [answered]);
    }
}

#[test]
fn empty_headers_are_taken_off_and_not_answered() {
    let mut host = productpage(INBOUND);
    host.with_header(HeaderMap::Request, ID_HEADER, "").with_header(HeaderMap::Request, METADATA_HEADER, "");
    let mut exchange = exchange(&host);
    let mut stream = exchange.on_request_headers(&host);
    exchange.on_response_headers(&host, &mut stream);
    assert!(host.headers(HeaderMap::Request).is_empty());
    assert!(host.headers(HeaderMap::Response).is_empty());
}

#[test]
fn a_peer_that_cannot_be_believed_is_not_stored_and_a_counter_says_why() {
    let forged = wire::encode(&Peer { namespace: "bank".into(), ..reviews() }).expect("fits");
    let large = "A".repeat(wire::MAX_METADATA_BYTES + 1);
    for (header, counter) in [
        (large.as_str(), "metadata_exchange_peer_too_large_total"),
        ("not base64!", "metadata_exchange_peer_malformed_total"),
        (forged.as_str(), "metadata_exchange_peer_forged_total"),
    ] {
        let mut host = productpage(INBOUND);
        host.with_text(property::CONNECTION_PEER_SAN, REVIEWS_SAN);
        host.with_header(HeaderMap::Request, METADATA_HEADER, header);
        host.with_header(HeaderMap::Request, ID_HEADER, "liar");
        let mut exchange = exchange(&host);
        for requests in 1..=2 {
            exchange.on_request_headers(&host);
            host.with_header(HeaderMap::Request, METADATA_HEADER, header);
            assert_eq!(counted(&host), [(counter.to_string(), requests)], "{counter}");
        }
        assert_eq!(host.state_of(peer::DOWNSTREAM_PEER), None, "{counter}");
        assert_eq!(host.state_of(peer::DOWNSTREAM_PEER_ID), None, "{counter}");
    }
}

#[test]
fn without_mutual_tls_the_namespace_is_believed() {
    let mut host = productpage(INBOUND);
    with_reviews(&mut host, HeaderMap::Request);
    exchange(&host).on_request_headers(&host);
    assert_eq!(stored(&host, peer::DOWNSTREAM_PEER), Some(reviews()));
}

#[test]
fn an_id_that_is_too_large_is_not_stored() {
    let mut host = productpage(INBOUND);
    host.with_header(HeaderMap::Request, ID_HEADER, &"x".repeat(MAX_ID_BYTES + 1));
    exchange(&host).on_request_headers(&host);
    assert_eq!(host.state_of(peer::DOWNSTREAM_PEER_ID), None);
    assert_eq!(counted(&host), [("metadata_exchange_peer_too_large_total".to_string(), 1)]);
}

#[test]
fn a_peer_cannot_speak_for_another_by_sending_its_id() {
    let mut host = productpage(INBOUND);
    let mut exchange = exchange(&host);
    for workload in ["reviews-v1", "impostor"] {
        let peer = Peer { workload_name: workload.into(), ..reviews() };
        host.with_header(HeaderMap::Request, METADATA_HEADER, &wire::encode(&peer).expect("fits"));
        host.with_header(HeaderMap::Request, ID_HEADER, "reviews");
        exchange.on_request_headers(&host);
        assert_eq!(stored(&host, peer::DOWNSTREAM_PEER), Some(peer));
    }
}

#[test]
fn a_thousand_peers_stay_within_the_cache() {
    let mut host = productpage(INBOUND);
    let mut exchange = exchange(&host);
    for index in 0..1000 {
        let peer = Peer { workload_name: format!("workload-{index}"), ..Peer::default() };
        host.with_header(HeaderMap::Request, METADATA_HEADER, &wire::encode(&peer).expect("fits"));
        exchange.on_request_headers(&host);
        assert_eq!(stored(&host, peer::DOWNSTREAM_PEER), Some(peer));
    }
    assert!(exchange.peers.len() <= 500);
}

#[test]
fn a_node_without_metadata_says_so_and_learns_its_peer() {
    let mut host = FakeHost::new();
    host.with_int(property::LISTENER_DIRECTION, OUTBOUND).with_text(property::CLUSTER_NAME, "outbound|80||a.b");
    exchange(&host).on_request_headers(&host);
    let sent = host.headers(HeaderMap::Request);
    assert_eq!(wire::decode(sent.get(METADATA_HEADER).expect("sent").as_bytes()), Ok(Peer::default()));
    // What was sent is answered.
    let mut callee = productpage(INBOUND);
    callee.with_header(HeaderMap::Request, METADATA_HEADER, &sent[METADATA_HEADER]);
    let mut exchange = exchange(&callee);
    let mut stream = exchange.on_request_headers(&callee);
    exchange.on_response_headers(&callee, &mut stream);
    assert!(callee.headers(HeaderMap::Response).contains_key(METADATA_HEADER));
    assert_eq!(counted(&callee), []);
}

#[test]
fn only_spiffe_identities_name_a_namespace() {
    for (san, namespace) in [
        (REVIEWS_SAN, Some("default")),
        ("spiffe://cluster.local/ns/bank", Some("bank")),
        ("spiffe://cluster.local/workload/bank", None),
        ("https://example.com/ns/bank/sa/x", None),
        ("", None),
    ] {
        assert_eq!(spiffe_namespace(san.as_bytes()), namespace.map(str::as_bytes), "{san}");
    }
}

#[test]
fn a_warm_request_makes_as_many_host_calls_as_stated() {
    let mut host = productpage(INBOUND);
    host.with_text(property::PLUGIN_ROOT_ID, "metadata_exchange_inbound");
    host.with_text(property::CONNECTION_PEER_SAN, REVIEWS_SAN);
    let mut inbound = exchange(&host);
    let mut calls = 0;
    for _ in 0..2 {
        with_reviews(&mut host, HeaderMap::Request);
        host.take_calls();
        let mut stream = inbound.on_request_headers(&host);
        inbound.on_response_headers(&host, &mut stream);
        calls = host.take_calls();
    }
    assert_eq!(calls, WARM_CALLS.inbound);

    let mut host = productpage(OUTBOUND);
    host.with_text(property::PLUGIN_ROOT_ID, "metadata_exchange_outbound");
    host.with_text(property::UPSTREAM_PEER_SAN, REVIEWS_SAN);
    let mut outbound = exchange(&host);
    for _ in 0..2 {
        with_reviews(&mut host, HeaderMap::Response);
        host.take_calls();
        let mut stream = outbound.on_request_headers(&host);
        outbound.on_response_headers(&host, &mut stream);
        calls = host.take_calls();
    }
    assert_eq!(calls, WARM_CALLS.outbound);
}
