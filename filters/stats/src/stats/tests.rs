use host::fake::FakeHost;
use host::property::{node_metadata, Property};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

fn stats(host: &FakeHost) -> Stats {
    Stats::new(br#"{"disable_host_header_fallback": true}"#, host).expect("valid")
}

/// A node where a mutual TLS request with a known peer has just ended.
fn mesh(root_id: &str) -> FakeHost {
    let peer = Peer { workload_name: "productpage-v1".into(), namespace: "default".into(), ..Peer::default() };
    let mut host = FakeHost::new();
    host.with_text(property::PLUGIN_ROOT_ID, root_id)
        .with_text(Property(&node_metadata("ISTIO_VERSION")), "1.5.0")
        .with_text(property::CLUSTER_NAME, "outbound|9080||reviews.default.svc.cluster.local")
        .with_int(property::RESPONSE_CODE, 200)
        .with_int(property::RESPONSE_FLAGS, 0)
        .with_int(property::REQUEST_DURATION, 12_900_000)
        .with_int(property::REQUEST_TOTAL_SIZE, 120)
        .with_int(property::RESPONSE_TOTAL_SIZE, 3400)
        .with_boolean(property::CONNECTION_MTLS, true);
    for path in [
        property::CONNECTION_PEER_SAN,
        property::CONNECTION_LOCAL_SAN,
        property::UPSTREAM_PEER_SAN,
        property::UPSTREAM_LOCAL_SAN,
    ] {
        host.with_text(path, "spiffe://cluster.local/ns/default/sa/any");
    }
    for state in ["upstream_peer", "downstream_peer"] {
        host.with_state(state, &peer.to_state());
    }
    host
}

fn reporters(host: &FakeHost) -> Vec<String> {
    let names = host.values().into_keys().filter(|name| name.ends_with("istio_requests_total"));
    names.map(|name| name.split(";.;").next().unwrap_or_default().to_string()).collect()
}

#[test]
fn sizes_are_bytes_and_the_duration_whole_milliseconds() {
    let host = mesh("stats_inbound");
    stats(&host).on_request_end(&host, &mut ReportedRequest::default(), AlreadyRead::default());
    for (metric, expected) in
        [("istio_request_duration_milliseconds", 12), ("istio_request_bytes", 120), ("istio_response_bytes", 3400)]
    {
        let histograms = host.histograms();
        let (_, samples) = histograms.iter().find(|(name, _)| name.ends_with(metric)).expect(metric);
        assert_eq!(*samples, (1, expected), "{metric}");
    }
}

#[test]
fn the_root_id_tells_the_direction_or_else_the_listener() {
    for (root_id, listener, expected) in [
        ("stats_inbound", 2, "reporter=.=destination"),
        ("stats_outbound", 1, "reporter=.=source"),
        ("my_stats", 1, "reporter=.=destination"),
        ("my_stats", 2, "reporter=.=source"),
        ("", 0, "reporter=.=source"),
    ] {
        let mut host = mesh(root_id);
        host.with_int(property::LISTENER_DIRECTION, listener);
        stats(&host).on_request_end(&host, &mut ReportedRequest::default(), AlreadyRead::default());
        assert_eq!(reporters(&host), [expected], "{root_id} {listener}");
    }
}

#[test]
fn the_build_is_reported_with_the_version_of_the_proxy() {
    let host = mesh("stats_inbound");
    stats(&host);
    assert_eq!(host.values().into_iter().collect::<Vec<_>>(), [("component.proxy.tag.1.5.0;.istio_build".into(), 1)]);
    let host = FakeHost::new();
    stats(&host);
    assert_eq!(host.values().into_keys().collect::<Vec<_>>(), ["component.proxy.tag.unknown;.istio_build"]);
}

#[test]
fn a_warm_request_makes_as_many_host_calls_as_stated() {
    for (root_id, expected) in [("stats_inbound", WARM_CALLS.inbound), ("stats_outbound", WARM_CALLS.outbound)] {
        let host = mesh(root_id);
        let mut stats = stats(&host);
        stats.on_request_end(&host, &mut ReportedRequest::default(), AlreadyRead::default());
        host.take_calls();
        stats.on_request_end(&host, &mut ReportedRequest::default(), AlreadyRead::default());
        assert_eq!(host.take_calls(), expected, "{root_id}");
    }
}

#[test]
fn injected_faults_are_asked_for_where_there_may_be_any() {
    let flags = |config: &[u8]| {
        let mut host = mesh("stats_outbound");
        host.with_state("fault_flags", b"DI,FI");
        Stats::new(config, &host).expect("valid").on_request_end(
            &host,
            &mut ReportedRequest::default(),
            AlreadyRead::default(),
        );
        let names: Vec<String> =
            host.values().into_keys().filter(|name| name.ends_with("istio_requests_total")).collect();
        names.concat().split(";.;").find_map(|label| label.strip_prefix("response_flags=.=").map(String::from))
    };
    assert_eq!(flags(b"{}").as_deref(), Some("-"));
    assert_eq!(flags(br#"{"fault_flags": true}"#).as_deref(), Some("DI,FI"));
    assert_eq!(flags(b"{}").as_deref(), Some("-"));
    let _mark = Mark::new();
    assert_eq!(flags(b"{}").as_deref(), Some("DI,FI"));
}

/// The requests of all series whose names have these parts.
fn requests(host: &FakeHost, parts: &[&str]) -> u64 {
    let values = host.values().into_iter();
    let matching = values.filter(|(name, _)| {
        name.ends_with("istio_requests_total") && parts.iter().all(|part| name.contains(&format!(";.;{part};.;")))
    });
    matching.map(|(_, count)| count).sum()
}

fn end(stats: &mut Stats, host: &FakeHost) {
    stats.on_request_end(host, &mut ReportedRequest::default(), AlreadyRead::default());
}

#[test]
fn hosts_that_clients_name_leave_room_for_the_services_of_clusters() {
    let mut host = mesh("stats_outbound");
    let mut stats = Stats::new(br#"{"max_series": 200}"#, &host).expect("valid");
    host.with_text(property::CLUSTER_NAME, "PassthroughCluster");
    // More than there are symbols.
    for index in 0..7_000 {
        host.with_text(property::REQUEST_HOST, &format!("host-{index}.example"));
        end(&mut stats, &host);
    }
    assert!(requests(&host, &["destination_service=.=overflow"]) > 6_900);
    let service = "reviews.new.svc.cluster.local";
    host.with_text(property::CLUSTER_NAME, &format!("outbound|9080||{service}"));
    let of = format!("destination_service=.={service}");
    end(&mut stats, &host);
    assert_eq!(requests(&host, &[&of, "destination_workload=.=productpage-v1", "response_code=.=200"]), 1);
    // With its own series; or, once there is no room, with what alerts need.
    for code in 400..600 {
        host.with_int(property::RESPONSE_CODE, code);
        end(&mut stats, &host);
    }
    assert_eq!(requests(&host, &[&of]), 201);
    assert!(requests(&host, &[&of, "destination_workload=.=overflow", "response_code=.=500"]) > 90);
}

#[test]
fn forged_callers_leave_room_for_those_with_a_certificate() {
    let mut host = mesh("stats_inbound");
    let mut stats = Stats::new(br#"{"max_series": 200}"#, &host).expect("valid");
    let certificate = host.text(property::CONNECTION_PEER_SAN).expect("a certificate");
    host.without(property::CONNECTION_PEER_SAN).with_boolean(property::CONNECTION_MTLS, false);
    let peer = |workload_name: String| Peer { workload_name, ..Peer::default() }.to_state();
    // More than there are symbols.
    for index in 0..7_000 {
        host.with_state("downstream_peer", &peer(format!("forged-{index}")));
        end(&mut stats, &host);
    }
    assert!(requests(&host, &["source_workload=.=overflow"]) > 6_900);
    host.with_text(property::CONNECTION_PEER_SAN, &certificate).with_state("downstream_peer", &peer("true".into()));
    end(&mut stats, &host);
    assert_eq!(requests(&host, &["source_workload=.=true", "connection_security_policy=.=mutual_tls"]), 1);
}

#[test]
fn a_request_beyond_the_limit_makes_one_call_more_than_one_within_it() {
    let mut host = mesh("stats_inbound");
    let mut stats = Stats::new(br#"{"max_series": 100}"#, &host).expect("valid");
    for code in 200..500 {
        host.with_int(property::RESPONSE_CODE, code);
        end(&mut stats, &host);
    }
    let mut calls = |code| {
        host.with_int(property::RESPONSE_CODE, code);
        end(&mut stats, &host);
        host.take_calls();
        end(&mut stats, &host);
        host.take_calls()
    };
    let [within, beyond] = [200, 499].map(&mut calls);
    assert_eq!([within, beyond], [WARM_CALLS.inbound, WARM_CALLS.inbound + 1]);
    assert_eq!(requests(&host, &["response_code=.=200", "source_workload=.=productpage-v1"]), 3);
}

fn counted(host: &FakeHost) -> Vec<(String, u64)> {
    let short = |name: String| name.rsplit(";.;istio_tcp_").next().map(String::from);
    let values = host.values().into_iter().filter(|(name, _)| name.contains("istio_tcp_"));
    values.filter_map(|(name, value)| Some((short(name)?, value))).collect()
}

fn passed(connection: &mut ReportedConnection, received: usize, sent: usize) {
    connection.traffic.receive(received);
    connection.traffic.send(sent);
}

#[test]
fn a_long_connection_is_seen_while_it_lives_and_exact_at_its_end() {
    let mut host = mesh("stats_inbound");
    host.with_text(property::DOWNSTREAM_PEER_ID, "productpage");
    let mut stats = stats(&host);
    let mut connection = ReportedConnection::default();
    for (received, sent) in [(5, 20), (0, 0), (7, 30)] {
        passed(&mut connection, received, sent);
        stats.on_connection_tick(&host, &mut connection, true);
    }
    let live = [("connections_opened_total", 1), ("received_bytes_total", 12), ("sent_bytes_total", 50)];
    assert_eq!(counted(&host), live.map(|(name, value)| (name.to_string(), value)));
    passed(&mut connection, 1, 0);
    stats.on_connection_end(&host, &mut connection);
    let all = [
        ("connections_closed_total", 1),
        ("connections_opened_total", 1),
        ("received_bytes_total", 13),
        ("sent_bytes_total", 50),
    ];
    assert_eq!(counted(&host), all.map(|(name, value)| (name.to_string(), value)));
}

#[test]
fn a_connection_without_a_known_peer_waits_one_report() {
    let mut host = mesh("stats_inbound");
    host.without_state("downstream_peer");
    let mut stats = stats(&host);
    let mut connection = ReportedConnection::default();
    passed(&mut connection, 5, 5);
    stats.on_connection_tick(&host, &mut connection, true);
    assert_eq!(counted(&host), []);
    stats.on_connection_tick(&host, &mut connection, true);
    assert_eq!(counted(&host).len(), 3);
}

#[test]
fn a_connection_that_is_idle_at_first_gets_the_labels_of_its_peer() {
    let peer = mesh("").state_of("downstream_peer").expect("a peer");
    let mut host = mesh("stats_inbound");
    host.without_state("downstream_peer");
    let mut stats = stats(&host);
    let mut connection = ReportedConnection::default();
    for _ in 0..5 {
        stats.on_connection_tick(&host, &mut connection, true);
    }
    assert_eq!(counted(&host), []);
    passed(&mut connection, 5, 5);
    host.with_text(property::DOWNSTREAM_PEER_ID, "productpage").with_state("downstream_peer", &peer);
    stats.on_connection_tick(&host, &mut connection, true);
    let names: Vec<String> = host.values().into_keys().filter(|name| name.contains("istio_tcp_")).collect();
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|name| name.contains("source_workload=.=productpage-v1;.;")), "{names:?}");
}

#[test]
fn a_peer_that_introduces_itself_late_is_known_from_then_on() {
    let peer = mesh("").state_of("downstream_peer").expect("a peer");
    let mut host = mesh("stats_inbound");
    host.without_state("downstream_peer");
    let mut stats = stats(&host);
    let mut connection = ReportedConnection::default();
    for _ in 0..2 {
        passed(&mut connection, 0, 5);
        stats.on_connection_tick(&host, &mut connection, true);
    }
    host.with_text(property::DOWNSTREAM_PEER_ID, "productpage").with_state("downstream_peer", &peer);
    passed(&mut connection, 7, 0);
    stats.on_connection_tick(&host, &mut connection, true);
    stats.on_connection_end(&host, &mut connection);
    let values = host.values();
    let value = |workload: &str, metric: &str| {
        let matching =
            |name: &&String| name.contains(&format!("source_workload=.={workload};")) && name.ends_with(metric);
        values.keys().find(matching).and_then(|name| values.get(name)).copied()
    };
    assert_eq!(value("unknown", "opened_total"), Some(1));
    assert_eq!(value("unknown", "sent_bytes_total"), Some(10));
    assert_eq!(value("productpage-v1", "opened_total"), None, "opened once");
    assert_eq!(value("productpage-v1", "received_bytes_total"), Some(7));
    assert_eq!(value("productpage-v1", "closed_total"), Some(1));
}

#[test]
fn messages_of_a_live_grpc_request_are_reported_as_they_come() {
    let mut host = mesh("stats_inbound");
    host.with_header(host::HeaderMap::Request, "content-type", "application/grpc");
    let mut stats = stats(&host);
    let mut request = ReportedRequest::default();
    for messages in ["1,0", "1,3", "2,5"] {
        host.with_text(property::GRPC_MESSAGES, messages);
        stats.on_request_tick(&host, &mut request, AlreadyRead::default());
    }
    host.with_text(property::GRPC_MESSAGES, "2,6");
    stats.on_request_end(&host, &mut request, AlreadyRead::default());
    let values: Vec<(String, u64)> =
        host.values().into_iter().filter(|(name, _)| name.ends_with("_messages_total")).collect();
    let ends: Vec<(&str, u64)> =
        values.iter().map(|(name, value)| (name.rsplit(";.;").next().unwrap_or_default(), *value)).collect();
    assert_eq!(ends, [("istio_request_messages_total", 2), ("istio_response_messages_total", 6)]);
}

#[test]
fn messages_whose_labels_need_what_is_gone_are_reported_at_the_end() {
    let mut host = mesh("stats_outbound");
    host.without(property::CLUSTER_NAME).with_text(property::GRPC_MESSAGES, "1,3");
    host.with_header(host::HeaderMap::Request, "content-type", "application/grpc");
    let mut stats = Stats::new(b"{}", &host).expect("valid");
    let mut request = ReportedRequest::default();
    stats.on_request_tick(&host, &mut request, AlreadyRead::default());
    assert!(!host.values().keys().any(|name| name.ends_with("_messages_total")));
    host.with_text(property::REQUEST_HOST, "reviews.example:9080");
    stats.on_request_end(&host, &mut request, AlreadyRead::default());
    let messages: Vec<String> = host.values().into_keys().filter(|name| name.ends_with("_messages_total")).collect();
    assert_eq!(messages.len(), 2);
    assert!(messages.iter().all(|name| name.contains("destination_service=.=reviews.example:9080;")), "{messages:?}");
}

#[test]
fn a_silent_connection_has_no_series_of_bytes() {
    let host = mesh("stats_outbound");
    let mut connection = ReportedConnection::default();
    stats(&host).on_connection_end(&host, &mut connection);
    let expected = [("connections_closed_total", 1), ("connections_opened_total", 1)];
    assert_eq!(counted(&host), expected.map(|(name, value)| (name.to_string(), value)));
}

#[test]
fn a_connection_has_the_flags_of_the_moment_and_the_labels_of_its_first_report() {
    let mut host = mesh("stats_inbound");
    host.with_text(property::DOWNSTREAM_PEER_ID, "productpage");
    let mut stats = stats(&host);
    let mut connection = ReportedConnection::default();
    stats.on_connection_tick(&host, &mut connection, true);
    host.with_int(property::RESPONSE_FLAGS, 0x20).without_state("downstream_peer");
    stats.on_connection_end(&host, &mut connection);
    let names: Vec<String> = host.values().into_keys().filter(|name| name.contains("istio_tcp_")).collect();
    assert_eq!(names.len(), 2);
    for name in names {
        let flags = if name.ends_with("opened_total") { "-" } else { "UF" };
        assert!(name.contains(&format!(";.;response_flags=.={flags};.;")), "{name}");
        assert!(name.contains("source_workload=.=productpage-v1;.;"), "{name}");
        assert!(name.contains("request_protocol=.=tcp;.;"), "{name}");
    }
}

/// A definition for connections and one for requests, with conditions.
const CONDITIONS: &str = r#"{"disable_host_header_fallback": true, "definitions": [
    {"name": "received", "prefix": "", "value": "receivedBytes", "protocol": "TCP", "match": "large()"},
    {"name": "events", "prefix": "", "value": "1", "protocol": "TCP", "match": "large()"},
    {"name": "continued", "prefix": "", "value": "1", "protocol": "TCP", "event": "CONTINUE", "match": "large()"},
    {"name": "calls", "prefix": "", "value": "1", "match": "large()"}
]}"#;

/// The values of the definitions: received, events, continued, calls.
fn defined(host: &FakeHost) -> [u64; 4] {
    ["received", "events", "continued", "calls"].map(|name| host.values().get(name).copied().unwrap_or_default())
}

#[test]
fn a_condition_is_evaluated_at_each_report_of_a_connection_within_its_callbacks() {
    let mut host = mesh("stats_inbound");
    host.with_text(property::DOWNSTREAM_PEER_ID, "productpage").with_expression("large()", Some(&[0]));
    let mut stats = Stats::new(CONDITIONS.as_bytes(), &host).expect("valid");
    let mut connection = ReportedConnection::default();
    passed(&mut connection, 5, 20);
    assert!(stats.on_connection_tick(&host, &mut connection, true), "the engine has no connection within a tick");
    assert_eq!(counted(&host), []);
    passed(&mut connection, 1, 0);
    assert!(!stats.on_connection_tick(&host, &mut connection, false));
    assert_eq!(defined(&host), [0; 4]);
    assert!(counted(&host).contains(&("received_bytes_total".into(), 6)));

    host.with_expression("large()", Some(&[1]));
    for _ in 0..3 {
        assert!(stats.on_connection_tick(&host, &mut connection, true), "at each report");
    }
    passed(&mut connection, 7, 0);
    stats.on_connection_tick(&host, &mut connection, false);
    assert_eq!(defined(&host), [7, 3, 3, 0], "each tick counts, and what passed since the last report");

    host.with_expression("large()", Some(&[0]));
    stats.on_connection_tick(&host, &mut connection, true);
    passed(&mut connection, 100, 0);
    stats.on_connection_tick(&host, &mut connection, false);
    host.with_expression("large()", Some(&[1]));
    stats.on_connection_tick(&host, &mut connection, true);
    passed(&mut connection, 2, 0);
    stats.on_connection_end(&host, &mut connection);
    assert_eq!(defined(&host), [9, 5, 4, 0]);
    assert!(counted(&host).contains(&("received_bytes_total".into(), 115)), "{:?}", counted(&host));
}

#[test]
fn a_condition_is_evaluated_for_each_request_though_its_labels_are_known() {
    let mut host = mesh("stats_inbound");
    host.with_expression("large()", Some(&[1]));
    let mut stats = Stats::new(CONDITIONS.as_bytes(), &host).expect("valid");
    for (large, expected) in [(true, 1), (false, 1), (true, 2)] {
        host.with_expression("large()", Some(&[large.into()]));
        stats.on_request_end(&host, &mut ReportedRequest::default(), AlreadyRead::default());
        assert_eq!(defined(&host), [0, 0, 0, expected]);
    }
}
