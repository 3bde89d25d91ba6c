use host::fake::FakeHost;
use host::property::{self, node_label, node_metadata, Property};
use host::HeaderMap;
use labels::direction::Direction;
use labels::facts::AlreadyRead;
use labels::peer::{Peer, CANONICAL_NAME, CANONICAL_REVISION};
use labels::resolver::{Needs, Resolver};
use labels::{names, Label};
use series::metric_name::Separators;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const PRODUCTPAGE_SAN: &str = "spiffe://cluster.local/ns/default/sa/productpage";
const REVIEWS_SAN: &str = "spiffe://cluster.local/ns/default/sa/reviews";

/// The proxy of reviews-v1. A request has just ended with 200.
fn reviews() -> FakeHost {
    let mut host = FakeHost::new();
    for (key, value) in [("WORKLOAD_NAME", "reviews-v1"), ("NAMESPACE", "default"), ("CLUSTER_ID", "Kubernetes")] {
        host.with_text(Property(&node_metadata(key)), value);
    }
    for (label, value) in
        [("app", "reviews"), ("version", "v1"), (CANONICAL_NAME, "reviews"), (CANONICAL_REVISION, "v1")]
    {
        host.with_text(Property(&node_label(label)), value);
    }
    host.with_int(property::RESPONSE_CODE, 200).with_int(property::RESPONSE_FLAGS, 0);
    host
}

fn productpage() -> Peer {
    Peer {
        workload_name: "productpage-v1".into(),
        namespace: "default".into(),
        cluster_id: "Kubernetes".into(),
        labels: [("app".to_string(), "productpage".to_string()), ("version".to_string(), "v1".to_string())].into(),
        ..Peer::default()
    }
}

fn with_service(host: &mut FakeHost, cluster: &str, service: &str) {
    host.with_text(property::CLUSTER_NAME, cluster)
        .with_text(property::CLUSTER_SERVICE_NAME, service)
        .with_text(property::CLUSTER_SERVICE_HOST, &format!("{service}.default.svc.cluster.local"))
        .with_text(property::CLUSTER_SERVICE_NAMESPACE, "default");
}

fn resolver(host: &FakeHost, direction: Direction, host_header_fallback: bool) -> Resolver {
    let root_id = match direction {
        Direction::Inbound => "stats_inbound",
        Direction::Outbound => "stats_outbound",
    };
    Resolver::new(Peer::local(host, &[]), root_id, Needs::ALL, host_header_fallback)
}

/// The labels of the request, by name.
fn labels_of(host: &FakeHost, direction: Direction, host_header_fallback: bool) -> Vec<(&'static str, String)> {
    let mut symbols = Symbols::new(Separators::default(), 1000);
    let mut resolver = resolver(host, direction, host_header_fallback);
    let facts = resolver.facts_of_request(host, AlreadyRead::default());
    let labels = of_stream(&mut symbols, &resolver.resolve(host, &facts));
    names().into_iter().zip(labels.values()).map(|(name, symbol)| (name, symbols.text(*symbol).to_string())).collect()
}

fn label(host: &FakeHost, direction: Direction, name: &str) -> String {
    let labels = labels_of(host, direction, true);
    labels.into_iter().find(|(label, _)| *label == name).expect("a label").1
}

fn assert_labels(actual: Vec<(&'static str, String)>, expected: [(&'static str, &str); 25]) {
    let expected: Vec<(&str, String)> = expected.map(|(name, value)| (name, value.to_string())).into();
    assert_eq!(actual, expected);
}

#[test]
fn inbound_the_peer_is_the_source_and_this_node_the_destination() {
    let mut host = reviews();
    with_service(&mut host, "inbound|9080||", "reviews");
    host.with_state("downstream_peer", &productpage().to_state())
        .with_boolean(property::CONNECTION_MTLS, true)
        .with_text(property::CONNECTION_PEER_SAN, PRODUCTPAGE_SAN)
        .with_text(property::CONNECTION_LOCAL_SAN, REVIEWS_SAN);
    assert_labels(
        labels_of(&host, Direction::Inbound, false),
        [
            ("reporter", "destination"),
            ("source_workload", "productpage-v1"),
            ("source_workload_namespace", "default"),
            ("source_principal", PRODUCTPAGE_SAN),
            ("source_app", "productpage"),
            ("source_version", "v1"),
            ("source_canonical_service", "productpage-v1"),
            ("source_canonical_revision", "latest"),
            ("source_cluster", "Kubernetes"),
            ("destination_workload", "reviews-v1"),
            ("destination_workload_namespace", "default"),
            ("destination_principal", REVIEWS_SAN),
            ("destination_app", "reviews"),
            ("destination_version", "v1"),
            ("destination_service", "reviews.default.svc.cluster.local"),
            ("destination_service_name", "reviews"),
            ("destination_service_namespace", "default"),
            ("destination_canonical_service", "reviews"),
            ("destination_canonical_revision", "v1"),
            ("destination_cluster", "Kubernetes"),
            ("request_protocol", "http"),
            ("response_flags", "-"),
            ("connection_security_policy", "mutual_tls"),
            ("response_code", "200"),
            ("grpc_response_status", ""),
        ],
    );
}

#[test]
fn outbound_this_node_is_the_source_and_the_peer_the_destination() {
    let mut host = reviews();
    with_service(&mut host, "outbound|9080||productpage.default.svc.cluster.local", "productpage");
    host.with_state("upstream_peer", &productpage().to_state())
        .with_text(property::UPSTREAM_PEER_SAN, PRODUCTPAGE_SAN)
        .with_text(property::UPSTREAM_LOCAL_SAN, REVIEWS_SAN);
    assert_labels(
        labels_of(&host, Direction::Outbound, true),
        [
            ("reporter", "source"),
            ("source_workload", "reviews-v1"),
            ("source_workload_namespace", "default"),
            ("source_principal", REVIEWS_SAN),
            ("source_app", "reviews"),
            ("source_version", "v1"),
            ("source_canonical_service", "reviews"),
            ("source_canonical_revision", "v1"),
            ("source_cluster", "Kubernetes"),
            ("destination_workload", "productpage-v1"),
            ("destination_workload_namespace", "default"),
            ("destination_principal", PRODUCTPAGE_SAN),
            ("destination_app", "productpage"),
            ("destination_version", "v1"),
            ("destination_service", "productpage.default.svc.cluster.local"),
            ("destination_service_name", "productpage"),
            ("destination_service_namespace", "default"),
            ("destination_canonical_service", "productpage-v1"),
            ("destination_canonical_revision", "latest"),
            ("destination_cluster", "Kubernetes"),
            ("request_protocol", "http"),
            ("response_flags", "-"),
            ("connection_security_policy", "unknown"),
            ("response_code", "200"),
            ("grpc_response_status", ""),
        ],
    );
}

#[test]
fn of_a_stranger_everything_is_unknown_but_the_revision() {
    let host = FakeHost::new();
    assert_labels(
        labels_of(&host, Direction::Inbound, false),
        [
            ("reporter", "destination"),
            ("source_workload", "unknown"),
            ("source_workload_namespace", "unknown"),
            ("source_principal", "unknown"),
            ("source_app", "unknown"),
            ("source_version", "unknown"),
            ("source_canonical_service", "unknown"),
            ("source_canonical_revision", "latest"),
            ("source_cluster", "unknown"),
            ("destination_workload", "unknown"),
            ("destination_workload_namespace", "unknown"),
            ("destination_principal", "unknown"),
            ("destination_app", "unknown"),
            ("destination_version", "unknown"),
            ("destination_service", "unknown"),
            ("destination_service_name", "unknown"),
            ("destination_service_namespace", "unknown"),
            ("destination_canonical_service", "unknown"),
            ("destination_canonical_revision", "latest"),
            ("destination_cluster", "unknown"),
            ("request_protocol", "http"),
            ("response_flags", "-"),
            ("connection_security_policy", "none"),
            ("response_code", "0"),
            ("grpc_response_status", ""),
        ],
    );
}

#[test]
fn a_callee_that_did_not_answer_is_known_by_its_endpoint() {
    let mut host = reviews();
    host.with_text(property::ENDPOINT_WORKLOAD, "ratings-v1;prod;ratings;v1;Kubernetes");
    for (name, expected) in [
        ("destination_workload", "ratings-v1"),
        ("destination_workload_namespace", "prod"),
        ("destination_canonical_service", "ratings"),
        ("destination_canonical_revision", "v1"),
        ("destination_cluster", "Kubernetes"),
        ("destination_service_namespace", "prod"),
        ("destination_app", "unknown"),
        ("destination_version", "unknown"),
    ] {
        assert_eq!(label(&host, Direction::Outbound, name), expected, "{name}");
    }
}

#[test]
fn without_any_endpoint_the_cluster_still_tells_the_service() {
    let mut host = reviews();
    with_service(&mut host, "outbound|9080||ratings.default.svc.cluster.local", "ratings");
    for (name, expected) in [
        ("destination_workload", "unknown"),
        ("destination_service", "ratings.default.svc.cluster.local"),
        ("destination_service_name", "ratings"),
        ("destination_service_namespace", "default"),
    ] {
        assert_eq!(label(&host, Direction::Outbound, name), expected, "{name}");
    }
}

#[test]
fn the_service_comes_from_the_best_source_there_is() {
    struct Case {
        what: &'static str,
        cluster: &'static str,
        metadata: &'static [(Property<'static>, &'static str)],
        fallback: bool,
        outbound: [&'static str; 2],
        inbound: [&'static str; 2],
    }
    let host_header = "shop.example.com:8080";
    for case in [
        Case {
            what: "metadata of the cluster",
            cluster: "outbound|9080|v1|reviews.default.svc.cluster.local",
            metadata: &[
                (property::CLUSTER_SERVICE_NAME, "reviews"),
                (property::CLUSTER_SERVICE_HOST, "reviews.default.svc.cluster.local"),
            ],
            fallback: true,
            outbound: ["reviews.default.svc.cluster.local", "reviews"],
            inbound: ["reviews.default.svc.cluster.local", "reviews"],
        },
        Case {
            what: "a name without a host",
            cluster: "custom",
            metadata: &[(property::CLUSTER_SERVICE_NAME, "reviews")],
            fallback: true,
            outbound: [host_header, "reviews"],
            inbound: [host_header, "reviews"],
        },
        Case {
            what: "Istio's cluster name without metadata",
            cluster: "outbound|9080|v1|reviews.default.svc.cluster.local",
            metadata: &[],
            fallback: true,
            outbound: ["reviews.default.svc.cluster.local", "reviews"],
            inbound: ["reviews.default.svc.cluster.local", "reviews"],
        },
        Case {
            what: "Istio's cluster name of an external service",
            cluster: "outbound|443||api.example.com",
            metadata: &[],
            fallback: true,
            outbound: ["api.example.com", "api.example.com"],
            inbound: ["api.example.com", "api.example.com"],
        },
        Case {
            what: "the Host header",
            cluster: "inbound|9080||",
            metadata: &[],
            fallback: true,
            outbound: [host_header, host_header],
            inbound: [host_header, host_header],
        },
        Case {
            what: "nothing, without the Host header",
            cluster: "inbound|9080||",
            metadata: &[],
            fallback: false,
            outbound: ["unknown", "unknown"],
            inbound: ["reviews", "reviews"],
        },
        Case {
            what: "traffic to anywhere",
            cluster: "PassthroughCluster",
            metadata: &[],
            fallback: true,
            outbound: [host_header, "PassthroughCluster"],
            inbound: [host_header, "PassthroughCluster"],
        },
        Case {
            what: "traffic to an unknown port",
            cluster: "InboundPassthroughClusterIpv4",
            metadata: &[],
            fallback: false,
            outbound: ["unknown", "InboundPassthroughClusterIpv4"],
            inbound: ["reviews", "InboundPassthroughClusterIpv4"],
        },
    ] {
        let mut host = reviews();
        host.with_text(property::CLUSTER_NAME, case.cluster).with_text(property::REQUEST_HOST, host_header);
        for (path, value) in case.metadata {
            host.with_text(*path, value);
        }
        for (direction, expected) in [(Direction::Outbound, case.outbound), (Direction::Inbound, case.inbound)] {
            let labels = labels_of(&host, direction, case.fallback);
            let actual = ["destination_service", "destination_service_name"]
                .map(|name| labels.iter().find(|(label, _)| *label == name).expect("a label").1.as_str());
            assert_eq!(actual, expected, "{} {direction:?}", case.what);
        }
    }
}

#[test]
fn blocked_traffic_is_known_by_its_route() {
    for (route, expected) in
        [("block_all", "BlackHoleCluster"), ("allow_any", "PassthroughCluster"), ("default", "a.example.com")]
    {
        let mut host = reviews();
        host.with_text(property::ROUTE_NAME, route).with_text(property::REQUEST_HOST, "a.example.com");
        assert_eq!(label(&host, Direction::Outbound, "destination_service_name"), expected);
        assert_eq!(label(&host, Direction::Outbound, "destination_service"), "a.example.com");
    }
}

#[test]
fn grpc_is_known_by_the_content_type() {
    for (content_type, status, expected) in [
        ("application/grpc", Some(0), ("grpc", "0")),
        ("application/grpc+proto", Some(7), ("grpc", "7")),
        ("application/grpc", None, ("grpc", "2")),
        ("application/grpc-web", Some(0), ("http", "")),
        ("application/json", Some(2), ("http", "")),
    ] {
        let mut host = reviews();
        host.with_header(HeaderMap::Request, "content-type", content_type);
        if let Some(status) = status {
            host.with_int(property::RESPONSE_GRPC_STATUS, status);
        }
        let actual = ["request_protocol", "grpc_response_status"].map(|name| label(&host, Direction::Inbound, name));
        assert_eq!(actual, [expected.0, expected.1], "{content_type}");
    }
}

#[test]
fn codes_and_flags_are_written_as_envoy_s_access_log_does() {
    for (code, flags, expected) in
        [(Some(503), 0x2, ("503", "UH")), (Some(504), 0x604, ("504", "UT,DI,FI")), (None, 0x4000, ("0", "DC"))]
    {
        let mut host = reviews();
        host.without(property::RESPONSE_CODE).with_int(property::RESPONSE_FLAGS, flags);
        if let Some(code) = code {
            host.with_int(property::RESPONSE_CODE, code);
        }
        let actual = ["response_code", "response_flags"].map(|name| label(&host, Direction::Inbound, name));
        assert_eq!(actual, [expected.0, expected.1]);
    }
}

#[test]
fn a_peer_that_is_not_understood_is_unknown() {
    let mut host = reviews();
    host.with_state("downstream_peer", b"\xff\xff");
    assert_eq!(label(&host, Direction::Inbound, "source_workload"), "unknown");
    assert_eq!(label(&host, Direction::Inbound, "source_canonical_revision"), "latest");
}

#[test]
fn tls_that_only_passes_through_is_known_by_its_server_name() {
    let mut host = reviews();
    host.with_text(property::CLUSTER_NAME, "PassthroughCluster")
        .with_text(property::CONNECTION_SERVER_NAME, "api.example.com")
        .with_text(property::REQUEST_HOST, "not.for.tcp");
    for (direction, fallback, expected) in [
        (Direction::Outbound, true, "api.example.com"),
        (Direction::Outbound, false, "unknown"),
        (Direction::Inbound, true, "reviews"),
    ] {
        let mut symbols = Symbols::new(Separators::default(), 1000);
        let mut resolver = resolver(&host, direction, fallback);
        let facts = resolver.facts_of_connection(&host);
        let labels = of_stream(&mut symbols, &resolver.resolve(&host, &facts));
        assert_eq!(symbols.text(labels.get(Label::DestinationService)), expected, "{direction:?}");
        assert_eq!(symbols.text(labels.get(Label::DestinationServiceName)), "PassthroughCluster");
        assert_eq!(symbols.text(labels.get(Label::RequestProtocol)), "tcp");
    }
}
