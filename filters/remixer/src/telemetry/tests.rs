use host::fake::FakeHost;
use host::property::{self, node_metadata, Property};
use host::HeaderMap;
use metadata_exchange::wire::{self, ID_HEADER, METADATA_HEADER};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const SAN: &str = "spiffe://cluster.local/ns/default/sa/any";

/// The proxy of reviews.
fn reviews(root_id: &str) -> FakeHost {
    let mut host = FakeHost::new();
    host.with_text(property::PLUGIN_ROOT_ID, root_id)
        .with_text(property::NODE_ID, "sidecar~10.0.0.1~reviews-v1-1.default~default.svc.cluster.local")
        .with_text(Property(&node_metadata("NAMESPACE")), "default")
        .with_text(Property(&node_metadata("WORKLOAD_NAME")), "reviews-v1")
        .with_text(property::CLUSTER_NAME, "outbound|9080||ratings.default.svc.cluster.local")
        .with_int(property::RESPONSE_CODE, 200)
        .with_int(property::RESPONSE_FLAGS, 0)
        .with_int(property::REQUEST_DURATION, 12_900_000)
        .with_int(property::REQUEST_TOTAL_SIZE, 120)
        .with_int(property::RESPONSE_TOTAL_SIZE, 3400);
    for certificate in [
        property::CONNECTION_PEER_SAN,
        property::CONNECTION_LOCAL_SAN,
        property::UPSTREAM_PEER_SAN,
        property::UPSTREAM_LOCAL_SAN,
    ] {
        host.with_text(certificate, SAN);
    }
    host
}

/// A request; the headers in `map` have the metadata of the peer `workload`. Returns the number of host calls.
fn request(telemetry: &mut Telemetry, host: &mut FakeHost, map: HeaderMap, workload: &str) -> usize {
    let peer = Peer { workload_name: workload.into(), namespace: "default".into(), ..Peer::default() };
    host.with_header(map, METADATA_HEADER, &wire::encode(&peer).expect("fits")).with_header(map, ID_HEADER, workload);
    host.take_calls();
    let mut request = TelemetryRequest::default();
    telemetry.on_request_headers(host, &mut request);
    telemetry.on_response_headers(host, &mut request);
    telemetry.on_request_end(host, &mut request);
    host.take_calls()
}

fn counted(host: &FakeHost) -> Vec<(String, u64)> {
    host.values().into_iter().filter(|(name, _)| name.ends_with("istio_requests_total")).collect()
}

#[test]
fn the_peer_of_the_headers_is_the_peer_of_the_metrics() {
    for (root_id, map, label) in [
        ("telemetry_inbound", HeaderMap::Request, "source_workload=.=ratings-v1;.;"),
        ("telemetry_outbound", HeaderMap::Response, "destination_workload=.=ratings-v1;.;"),
    ] {
        let mut host = reviews(root_id);
        let mut telemetry = Telemetry::new(b"", &host).expect("valid");
        request(&mut telemetry, &mut host, map, "ratings-v1");
        // The test host never clears filter state. The metrics must have the peer of this request only.
        request(&mut telemetry, &mut host, map, "details-v1");
        let counted = counted(&host);
        assert_eq!(counted.len(), 2, "{counted:?}");
        assert!(counted.iter().any(|(name, count)| name.contains(label) && *count == 1), "{counted:?}");
        assert!(host.headers(map).is_empty(), "nobody else sees the headers of the peer");
    }
}

/// The messages are reported before the request ends, under the same peer.
#[test]
fn a_live_grpc_request_has_the_peer_of_the_headers() {
    for (root_id, map, label) in [
        ("telemetry_inbound", HeaderMap::Request, "source_workload=.=ratings-v1;.;"),
        ("telemetry_outbound", HeaderMap::Response, "destination_workload=.=ratings-v1;.;"),
    ] {
        let mut host = reviews(root_id);
        host.with_header(HeaderMap::Request, "content-type", "application/grpc");
        let peer = Peer { workload_name: "ratings-v1".into(), namespace: "default".into(), ..Peer::default() };
        host.with_header(map, METADATA_HEADER, &wire::encode(&peer).expect("fits"));
        let mut telemetry = Telemetry::new(b"", &host).expect("valid");
        let mut request = TelemetryRequest::default();
        telemetry.on_request_headers(&host, &mut request);
        telemetry.on_response_headers(&host, &mut request);
        host.with_text(property::GRPC_MESSAGES, "2,3");
        telemetry.on_request_tick(&host, &mut request);
        host.with_text(property::GRPC_MESSAGES, "2,5");
        telemetry.on_request_end(&host, &mut request);
        let messages = host.values().into_iter().filter(|(name, _)| name.ends_with("_messages_total"));
        let messages: Vec<_> = messages.filter(|(name, _)| name.contains(label)).map(|(_, count)| count).collect();
        assert_eq!(messages, [2, 5], "{root_id}");
    }
}

/// Metadata exchange comes first and sees gRPC-Web; stats comes last and sees gRPC.
#[test]
fn what_another_filter_makes_grpc_of_is_grpc() {
    let mut host = reviews("telemetry_outbound");
    let mut telemetry = Telemetry::new(b"", &host).expect("valid");
    let mut request = TelemetryRequest::default();
    telemetry.on_request_headers(&host, &mut request);
    host.with_header(HeaderMap::Request, "content-type", "application/grpc");
    telemetry.on_request_end(&host, &mut request);
    let counted = counted(&host);
    assert!(counted.iter().all(|(name, _)| name.contains("request_protocol=.=grpc;.;")), "{counted:?}");
}

#[test]
fn a_request_without_any_callback_but_the_last_is_counted() {
    let host = reviews("telemetry_inbound");
    let mut telemetry = Telemetry::new(b"", &host).expect("valid");
    telemetry.on_request_end(&host, &mut TelemetryRequest::default());
    assert_eq!(counted(&host).into_iter().map(|(_, count)| count).collect::<Vec<_>>(), [1]);
}

#[test]
fn peers_are_shared_where_somebody_may_want_them() {
    for (config, shared) in [
        ("{}", false),
        (r#"{"share_peers": true}"#, true),
        (r#"{"stats": {"metrics": [{"dimensions": {"peer": "downstream_peer.NAME"}}]}}"#, true),
        (r#"{"stats": {"metrics": [{"tags_to_remove": ["reporter"]}]}}"#, false),
    ] {
        let mut host = reviews("telemetry_inbound");
        host.with_expression("downstream_peer.NAME", Some(b"ratings"))
            .with_expression("string(downstream_peer.NAME)", Some(b"ratings"))
            .with_expression("int(downstream_peer.NAME)", None);
        let mut telemetry = Telemetry::new(config.as_bytes(), &host).expect("valid");
        request(&mut telemetry, &mut host, HeaderMap::Request, "ratings-v1");
        assert_eq!(host.state_of("downstream_peer").is_some(), shared, "{config}");
        let read_by_expressions = config.contains("dimensions");
        assert_eq!(host.state_of("downstream_peer_id").is_some(), read_by_expressions, "{config}");
    }
}

#[test]
fn both_filters_are_configured_and_all_mistakes_named() {
    let host = reviews("telemetry_inbound");
    let config = r#"{"metadata_exchange": {"max_peer_cache_size": 7}, "stats": {"metrics": [{"tags_to_remove": ["reporter"]}]}}"#;
    assert!(Telemetry::new(config.as_bytes(), &host).is_ok());
    let config = r#"{"metadata_exchange": {"max_peers": 7}, "stats": {"definitions": [{"name": "x", "value": "nonsense("}]},
        "access_log": {"fields": [{"name": "a", "field": "nosuch"}], "tcp_open_line": true}, "statistics": {}}"#;
    let refused = Telemetry::new(config.as_bytes(), &host).err().expect("refused").to_string();
    for path in [
        "metadata_exchange.max_peers: ",
        "stats.definitions[0].value: ",
        "statistics: unknown field",
        "access_log.fields[0].field: ",
        "access_log.tcp_open_line: true has no effect, ",
    ] {
        assert!(refused.contains(path), "{path} in {refused}");
    }
}

/// The attributes of [`reviews`] that a line needs in addition.
fn with_attributes_of_a_line(host: &mut FakeHost) {
    for path in [
        "request\0protocol",
        "response\0code_details",
        "upstream\0address",
        "upstream\0local_address",
        "source\0address",
        "destination\0address",
        "connection\0requested_server_name",
        "xds\0route_name",
    ] {
        host.with_text(Property(path), "any");
    }
    for path in ["request\0time", "request\0size", "response\0size"] {
        host.with_int(Property(path), 1);
    }
    host.with_header(HeaderMap::Request, ":method", "GET").with_header(HeaderMap::Request, ":path", "/a");
}

#[test]
fn the_line_of_a_request_has_the_peer_of_the_headers_and_takes_as_many_calls_as_stated() {
    for (root_id, map, side, expected) in [
        ("telemetry_inbound", HeaderMap::Request, "source", WARM_CALLS_WITH_LINE.inbound),
        ("telemetry_outbound", HeaderMap::Response, "destination", WARM_CALLS_WITH_LINE.outbound),
    ] {
        let mut host = reviews(root_id);
        with_attributes_of_a_line(&mut host);
        let config = br#"{"stats": {"disable_host_header_fallback": true}, "access_log": {}}"#;
        let mut telemetry = Telemetry::new(config, &host).expect("valid");
        request(&mut telemetry, &mut host, map, "ratings-v1");
        assert_eq!(request(&mut telemetry, &mut host, map, "ratings-v1"), expected, "{root_id}");
        let line = String::from_utf8(host.state_of("access_log").expect("a line")).expect("UTF-8");
        let workload = format!("\"{side}_workload\":\"ratings-v1\"");
        for part in [workload.as_str(), "\"duration\":12,", "\"response_code\":200,", "\"method\":\"GET\","] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert_eq!(counted(&host).len(), 1, "and the request is counted");
    }
}

#[test]
fn a_warm_request_makes_as_many_host_calls_as_stated() {
    for (root_id, map, expected) in [
        ("telemetry_inbound", HeaderMap::Request, WARM_CALLS.inbound),
        ("telemetry_outbound", HeaderMap::Response, WARM_CALLS.outbound),
    ] {
        let mut host = reviews(root_id);
        let mut telemetry =
            Telemetry::new(br#"{"stats": {"disable_host_header_fallback": true}}"#, &host).expect("valid");
        request(&mut telemetry, &mut host, map, "ratings-v1");
        assert_eq!(request(&mut telemetry, &mut host, map, "ratings-v1"), expected, "{root_id}");
    }
}
