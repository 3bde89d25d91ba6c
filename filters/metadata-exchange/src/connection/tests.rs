use host::fake::FakeHost;
use host::property::{node_metadata, Property};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const RATINGS_SAN: &str = "spiffe://cluster.local/ns/default/sa/ratings";
const INBOUND: i64 = 1;
const OUTBOUND: i64 = 2;

/// The proxy of mongodb, on a mutual TLS connection of a listener of `direction` whose peer is ratings.
fn mongodb(direction: i64) -> FakeHost {
    let mut host = FakeHost::new();
    host.with_text(property::NODE_ID, "sidecar~mongodb")
        .with_text(Property(&node_metadata("WORKLOAD_NAME")), "mongodb-v1")
        .with_text(Property(&node_metadata("NAMESPACE")), "default")
        .with_int(property::LISTENER_DIRECTION, direction)
        .with_boolean(property::CONNECTION_MTLS, true)
        .with_text(property::CLUSTER_NAME, "outbound|27017||ratings.default.svc.cluster.local")
        .with_text(property::CONNECTION_PEER_SAN, RATINGS_SAN)
        .with_text(property::UPSTREAM_PEER_SAN, RATINGS_SAN);
    host
}

fn exchange(host: &FakeHost) -> TcpExchange {
    TcpExchange::new(&Peer::local(host, &[]), true, host)
}

fn ratings() -> Peer {
    Peer { workload_name: "ratings-v1".into(), namespace: "default".into(), ..Peer::default() }
}

fn ratings_frame() -> Vec<u8> {
    frame::encode(Some("sidecar~ratings"), &ratings()).expect("fits")
}

/// What comes out behind the filter when `bytes` come in at once.
fn downstream(
    exchange: &mut TcpExchange,
    host: &mut FakeHost,
    connection: &mut ExchangeConnection,
    bytes: &[u8],
) -> Vec<u8> {
    host.with_buffer(Buffer::Downstream, bytes);
    assert_eq!(exchange.on_downstream_data(host, connection, bytes.len(), false), BytesFlow::Pass);
    host.take_buffer(Buffer::Downstream)
}

fn upstream(
    exchange: &mut TcpExchange,
    host: &mut FakeHost,
    connection: &mut ExchangeConnection,
    bytes: &[u8],
) -> Vec<u8> {
    host.with_buffer(Buffer::Upstream, bytes);
    assert_eq!(exchange.on_upstream_data(host, connection, bytes.len(), false), BytesFlow::Pass);
    host.take_buffer(Buffer::Upstream)
}

fn stored(host: &FakeHost, key: &str) -> Option<Peer> {
    Peer::from_state(&host.state_of(key)?)
}

fn is_frame_before(bytes: &[u8], rest: &[u8]) -> bool {
    matches!(frame::decode(bytes), Beginning::Frame(length, _) if bytes.get(length..) == Some(rest))
}

#[test]
fn a_client_s_frame_is_taken_off_and_answered() {
    let mut host = mongodb(INBOUND);
    let (mut exchange, mut connection) = (exchange(&host), ExchangeConnection::default());
    let bytes = [ratings_frame().as_slice(), b"find"].concat();
    assert_eq!(downstream(&mut exchange, &mut host, &mut connection, &bytes), b"find");
    assert_eq!(stored(&host, peer::DOWNSTREAM_PEER), Some(ratings()));
    assert_eq!(host.state_of(peer::DOWNSTREAM_PEER_ID), Some(b"sidecar~ratings".to_vec()));
    assert!(is_frame_before(&upstream(&mut exchange, &mut host, &mut connection, b"rows"), b"rows"));
    assert_eq!(upstream(&mut exchange, &mut host, &mut connection, b"more"), b"more");
    assert_eq!(downstream(&mut exchange, &mut host, &mut connection, b"again"), b"again");
}

#[test]
fn a_server_is_sent_our_frame_and_its_own_is_taken_off() {
    let mut host = mongodb(OUTBOUND);
    let (mut exchange, mut connection) = (exchange(&host), ExchangeConnection::default());
    assert!(is_frame_before(&downstream(&mut exchange, &mut host, &mut connection, b"find"), b"find"));
    assert_eq!(downstream(&mut exchange, &mut host, &mut connection, b"more"), b"more");
    let bytes = [ratings_frame().as_slice(), b"rows"].concat();
    assert_eq!(upstream(&mut exchange, &mut host, &mut connection, &bytes), b"rows");
    assert_eq!(stored(&host, peer::UPSTREAM_PEER), Some(ratings()));
    assert_eq!(host.values().get("metadata_exchange.metadata_added"), Some(&1));
}

#[test]
fn a_frame_may_come_byte_by_byte() {
    let mut host = mongodb(INBOUND);
    let (mut exchange, mut connection) = (exchange(&host), ExchangeConnection::default());
    let frame = ratings_frame();
    for end in 1..frame.len() {
        host.with_buffer(Buffer::Downstream, &frame[..end]);
        assert_eq!(exchange.on_downstream_data(&host, &mut connection, end, false), BytesFlow::Wait);
    }
    assert_eq!(downstream(&mut exchange, &mut host, &mut connection, &frame), b"");
    assert_eq!(stored(&host, peer::DOWNSTREAM_PEER), Some(ratings()));
}

#[test]
fn a_client_that_does_not_take_part_sees_nothing_and_waits_for_nothing() {
    let mut host = mongodb(INBOUND);
    let (mut exchange, mut connection) = (exchange(&host), ExchangeConnection::default());
    assert_eq!(downstream(&mut exchange, &mut host, &mut connection, b"find"), b"find");
    assert_eq!(upstream(&mut exchange, &mut host, &mut connection, b"rows"), b"rows");
    assert_eq!(host.state_of(peer::DOWNSTREAM_PEER_ID), Some(peer::PEER_NOT_FOUND_ID.into()));
    assert_eq!(host.values().get("metadata_exchange.initial_header_not_found"), Some(&1));
}

#[test]
fn without_mutual_tls_there_is_no_exchange() {
    let mut host = mongodb(INBOUND);
    host.with_boolean(property::CONNECTION_MTLS, false);
    let (mut exchange, mut connection) = (exchange(&host), ExchangeConnection::default());
    let frame = ratings_frame();
    assert_eq!(downstream(&mut exchange, &mut host, &mut connection, &frame), frame);
    assert_eq!(stored(&host, peer::DOWNSTREAM_PEER), None);
    assert_eq!(host.values().into_keys().collect::<Vec<_>>(), ["metadata_exchange.alpn_protocol_not_found"]);

    let mut host = mongodb(OUTBOUND);
    host.without(property::UPSTREAM_PEER_SAN);
    let mut connection = ExchangeConnection::default();
    assert_eq!(downstream(&mut exchange, &mut host, &mut connection, b"find"), b"find");
}

#[test]
fn unless_the_configuration_names_the_protocol_nothing_is_added_to_what_we_open() {
    let mut host = mongodb(OUTBOUND);
    let mut exchange = TcpExchange::new(&Peer::local(&host, &[]), false, &host);
    let mut connection = ExchangeConnection::default();
    assert_eq!(downstream(&mut exchange, &mut host, &mut connection, b"find"), b"find");
    assert_eq!(host.state_of(peer::UPSTREAM_PEER_ID), Some(peer::PEER_NOT_FOUND_ID.into()));
}

#[test]
fn a_server_outside_the_mesh_is_sent_nothing_and_not_believed() {
    let mut host = mongodb(OUTBOUND);
    host.with_boolean(property::CLUSTER_EXTERNAL, true);
    let (mut exchange, mut connection) = (exchange(&host), ExchangeConnection::default());
    assert_eq!(downstream(&mut exchange, &mut host, &mut connection, b"find"), b"find");
    let frame = ratings_frame();
    assert_eq!(upstream(&mut exchange, &mut host, &mut connection, &frame), frame);
    assert_eq!(stored(&host, peer::UPSTREAM_PEER), None);
}

#[test]
fn a_server_that_speaks_first_without_a_frame_is_sent_none() {
    let mut host = mongodb(OUTBOUND);
    let (mut exchange, mut connection) = (exchange(&host), ExchangeConnection::default());
    assert_eq!(upstream(&mut exchange, &mut host, &mut connection, b"welcome"), b"welcome");
    assert_eq!(downstream(&mut exchange, &mut host, &mut connection, b"login"), b"login");
}

#[test]
fn our_frame_is_never_in_the_middle_of_the_application_s_bytes() {
    let mut host = mongodb(INBOUND);
    let (mut exchange, mut connection) = (exchange(&host), ExchangeConnection::default());
    assert_eq!(upstream(&mut exchange, &mut host, &mut connection, b"welcome"), b"welcome");
    let bytes = [ratings_frame().as_slice(), b"login"].concat();
    assert_eq!(downstream(&mut exchange, &mut host, &mut connection, &bytes), b"login");
    assert_eq!(upstream(&mut exchange, &mut host, &mut connection, b"granted"), b"granted");
    assert_eq!(stored(&host, peer::DOWNSTREAM_PEER), Some(ratings()));
}

#[test]
fn a_frame_that_cannot_be_believed_is_taken_off_and_counted() {
    let mut malformed = ratings_frame();
    malformed[PREFIX_BYTES..].fill(0xff);
    let forged = frame::encode(None, &Peer { namespace: "bank".into(), ..ratings() }).expect("fits");
    for (frame, counter) in
        [(malformed, "metadata_exchange_peer_malformed_total"), (forged, "metadata_exchange_peer_forged_total")]
    {
        let mut host = mongodb(INBOUND);
        let (mut exchange, mut connection) = (exchange(&host), ExchangeConnection::default());
        let bytes = [frame.as_slice(), b"find"].concat();
        assert_eq!(downstream(&mut exchange, &mut host, &mut connection, &bytes), b"find", "{counter}");
        assert_eq!(stored(&host, peer::DOWNSTREAM_PEER), None, "{counter}");
        assert_eq!(host.state_of(peer::DOWNSTREAM_PEER_ID), Some(peer::PEER_NOT_FOUND_ID.into()), "{counter}");
        assert_eq!(host.values().get(counter), Some(&1));
    }
}

#[test]
fn a_frame_that_is_too_large_is_dropped_as_it_comes() {
    let mut host = mongodb(INBOUND);
    let (mut exchange, mut connection) = (exchange(&host), ExchangeConnection::default());
    let length: usize = 100_000;
    let prefix = [&[0x3d, 0x23, 0x04, 0x67], u32::try_from(length).expect("short").to_be_bytes().as_slice()].concat();
    assert_eq!(downstream(&mut exchange, &mut host, &mut connection, &prefix), b"");
    for _ in 0..9 {
        assert_eq!(downstream(&mut exchange, &mut host, &mut connection, &[b'x'; 10_000]), b"");
    }
    let last = [[b'x'; 10_000].as_slice(), b"find"].concat();
    assert_eq!(downstream(&mut exchange, &mut host, &mut connection, &last), b"find");
    assert_eq!(host.values().get("metadata_exchange_peer_too_large_total"), Some(&1));
}

#[test]
fn a_connection_that_ends_early_is_not_held_up() {
    let mut host = mongodb(INBOUND);
    let (mut exchange, mut connection) = (exchange(&host), ExchangeConnection::default());
    assert_eq!(exchange.on_downstream_data(&host, &mut connection, 0, false), BytesFlow::Pass);
    host.with_buffer(Buffer::Downstream, &ratings_frame()[..6]);
    assert_eq!(exchange.on_downstream_data(&host, &mut connection, 6, true), BytesFlow::Pass);
    assert_eq!(host.take_buffer(Buffer::Downstream).len(), 6, "they are not ours to drop");
    let mut connection = ExchangeConnection::default();
    assert_eq!(exchange.on_downstream_data(&host, &mut connection, 0, true), BytesFlow::Pass);
}

#[test]
fn an_application_that_speaks_before_the_handshake_is_over_does_not_spoil_the_exchange() {
    let mut host = mongodb(INBOUND);
    host.with_boolean(property::CONNECTION_MTLS, false);
    let (mut exchange, mut connection) = (exchange(&host), ExchangeConnection::default());
    assert_eq!(upstream(&mut exchange, &mut host, &mut connection, b"welcome"), b"welcome");
    host.with_boolean(property::CONNECTION_MTLS, true);
    let bytes = [ratings_frame().as_slice(), b"login"].concat();
    assert_eq!(downstream(&mut exchange, &mut host, &mut connection, &bytes), b"login");
    assert_eq!(stored(&host, peer::DOWNSTREAM_PEER), Some(ratings()));
    assert_eq!(upstream(&mut exchange, &mut host, &mut connection, b"granted"), b"granted");
}

#[test]
fn bytes_that_only_look_like_a_frame_are_let_go_after_a_while() {
    let mut host = mongodb(INBOUND);
    let (mut exchange, mut connection) = (exchange(&host), ExchangeConnection::default());
    host.with_buffer(Buffer::Downstream, b"=");
    assert_eq!(exchange.on_downstream_data(&host, &mut connection, 1, false), BytesFlow::Wait);
    assert!(exchange.on_tick(&host, &mut connection));
    assert!(!exchange.on_tick(&host, &mut connection));
    assert_eq!(host.resumed(), [Buffer::Downstream]);
    assert_eq!(downstream(&mut exchange, &mut host, &mut connection, b"more"), b"more");
    assert_eq!(upstream(&mut exchange, &mut host, &mut connection, b"rows"), b"rows");
}

#[test]
fn a_frame_that_comes_slowly_is_waited_for() {
    let mut host = mongodb(INBOUND);
    let (mut exchange, mut connection) = (exchange(&host), ExchangeConnection::default());
    host.with_buffer(Buffer::Downstream, &ratings_frame()[..5]);
    assert_eq!(exchange.on_downstream_data(&host, &mut connection, 5, false), BytesFlow::Wait);
    for _ in 0..10 {
        assert!(exchange.on_tick(&host, &mut connection));
    }
    assert_eq!(host.resumed(), []);
    let bytes = [ratings_frame().as_slice(), b"find"].concat();
    assert_eq!(downstream(&mut exchange, &mut host, &mut connection, &bytes), b"find");
    assert!(!exchange.on_tick(&host, &mut connection));
}

#[test]
fn a_frame_that_is_cut_off_by_the_end_never_reaches_the_application() {
    let mut host = mongodb(INBOUND);
    let (mut exchange, mut connection) = (exchange(&host), ExchangeConnection::default());
    host.with_buffer(Buffer::Downstream, &ratings_frame()[..30]);
    assert_eq!(exchange.on_downstream_data(&host, &mut connection, 30, true), BytesFlow::Pass);
    assert_eq!(host.take_buffer(Buffer::Downstream), b"");
}

#[test]
fn a_peer_without_an_id_is_known_all_the_same() {
    let mut host = mongodb(INBOUND);
    let (mut exchange, mut connection) = (exchange(&host), ExchangeConnection::default());
    let bytes = frame::encode(None, &ratings()).expect("fits");
    assert_eq!(downstream(&mut exchange, &mut host, &mut connection, &bytes), b"");
    assert_eq!(stored(&host, peer::DOWNSTREAM_PEER), Some(ratings()));
    assert_eq!(host.state_of(peer::DOWNSTREAM_PEER_ID), Some(peer::PEER_NOT_FOUND_ID.into()));
}

#[test]
fn a_node_without_metadata_says_so_and_learns_its_peer() {
    let mut host = mongodb(OUTBOUND);
    host.without(Property(&node_metadata("WORKLOAD_NAME"))).without(Property(&node_metadata("NAMESPACE")));
    let (mut exchange, mut connection) = (exchange(&host), ExchangeConnection::default());
    assert!(is_frame_before(&downstream(&mut exchange, &mut host, &mut connection, b"find"), b"find"));
    let bytes = [ratings_frame().as_slice(), b"rows"].concat();
    assert_eq!(upstream(&mut exchange, &mut host, &mut connection, &bytes), b"rows");
    assert_eq!(stored(&host, peer::UPSTREAM_PEER), Some(ratings()));
}

#[test]
fn on_a_listener_without_direction_a_client_is_answered_unless_we_are_to_speak_first() {
    for introduce in [false, true] {
        let mut host = mongodb(0);
        let mut exchange = TcpExchange::new(&Peer::local(&host, &[]), introduce, &host);
        let mut connection = ExchangeConnection::default();
        let bytes = [ratings_frame().as_slice(), b"find"].concat();
        let passed = downstream(&mut exchange, &mut host, &mut connection, &bytes);
        assert_eq!(is_frame_before(&passed, &bytes), introduce);
        assert_eq!(passed == b"find", !introduce);
        let answered = upstream(&mut exchange, &mut host, &mut connection, b"rows");
        assert_eq!(is_frame_before(&answered, b"rows"), !introduce);
        assert!(host.state_of(peer::UPSTREAM_PEER_ID).is_some(), "who waits for a peer of the upstream waits no more");
    }
}
