use super::*;
use serde_json::json;

use crate::{
    parse::parse,
    resource::{EnvoyFilter, Operation},
};

/// A patch with this match, with a target and an operation that allow it.
fn patch(apply_to: &str, matching: &str) -> Patch {
    let text = format!(
        "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {{name: a}}\nspec:\n  configPatches:\n  \
         - applyTo: {apply_to}\n    match: {matching}\n    patch: {{operation: MERGE, value: {{name: x}}}}\n"
    );
    let filters: Vec<EnvoyFilter> = parse(&[("a.yaml".into(), text)]).unwrap();
    let patch = filters[0].patches[0].clone();
    assert_eq!(patch.operation, Operation::Merge);
    patch
}

#[test]
fn listeners_match_by_name_and_port() {
    let listener_at_9080 = json!({
        "name": "0.0.0.0_9080",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 9080}},
    });
    for (matching, expected) in [
        ("{}", true),
        ("{listener: {}}", true),
        ("{listener: {name: 0.0.0.0_9080}}", true),
        ("{listener: {name: other}}", false),
        ("{listener: {portNumber: 9080}}", true),
        ("{listener: {portNumber: 80}}", false),
    ] {
        assert_eq!(listener(&patch("LISTENER", matching), &listener_at_9080), expected, "{matching}");
    }
}

#[test]
fn a_virtual_listeners_port_is_that_of_its_filter_chains() {
    let inbound = json!({
        "name": "virtualInbound",
        "address": {"socket_address": {"port_value": 15006}},
    });
    let chain = json!({"filter_chain_match": {"destination_port": 9080}});
    let other = json!({"filter_chain_match": {}});
    let port = |port: u32, target| patch(target, &format!("{{listener: {{portNumber: {port}}}}}"));

    assert!(listener(&port(9080, "FILTER_CHAIN"), &inbound));
    assert!(filter_chain(&port(9080, "FILTER_CHAIN"), "virtualInbound", &chain));
    assert!(!filter_chain(&port(9080, "FILTER_CHAIN"), "virtualInbound", &other));
    assert!(!filter_chain(&port(15006, "FILTER_CHAIN"), "virtualInbound", &chain));
    assert!(listener(&port(15006, "LISTENER"), &inbound));
    assert!(!listener(&port(9080, "LISTENER"), &inbound));
}

#[test]
fn filter_chains_match_by_every_condition() {
    let chain = json!({
        "name": "c",
        "filter_chain_match": {
            "server_names": ["a.com", "b.com"],
            "transport_protocol": "tls",
            "application_protocols": ["istio", "h2"],
            "destination_port": 443,
        },
    });
    for (matching, expected) in [
        ("{}", true),
        ("{name: c}", true),
        ("{name: d}", false),
        ("{sni: b.com}", true),
        ("{sni: c.com}", false),
        ("{transportProtocol: tls}", true),
        ("{transportProtocol: raw_buffer}", false),
        ("{applicationProtocols: 'h2,istio'}", true),
        ("{applicationProtocols: 'h2,http/1.1'}", false),
        ("{destinationPort: 443}", true),
        ("{destinationPort: 80}", false),
        ("{name: c, sni: c.com}", false),
    ] {
        let patch = patch("FILTER_CHAIN", &format!("{{listener: {{filterChain: {matching}}}}}"));
        assert_eq!(filter_chain(&patch, "l", &chain), expected, "{matching}");
        let unconditional = json!({"name": "c"});
        let unconditionally = matching == "{}" || matching == "{name: c}";
        assert_eq!(filter_chain(&patch, "l", &unconditional), unconditionally, "{matching}");
    }
}

#[test]
fn filters_match_by_their_current_and_their_old_names() {
    for (wanted, name, expected) in [
        ("envoy.filters.network.tcp_proxy", "envoy.filters.network.tcp_proxy", true),
        ("envoy.tcp_proxy", "envoy.filters.network.tcp_proxy", true),
        ("envoy.http_connection_manager", HTTP_CONNECTION_MANAGER, true),
        ("envoy.router", "envoy.filters.http.router", true),
        ("envoy.filters.http.router", "envoy.router", false),
        ("envoy.router", "envoy.filters.http.cors", false),
        ("istio.stats", "istio.stats", true),
    ] {
        assert_eq!(same_filter(wanted, name), expected, "{wanted} {name}");
    }
}

#[test]
fn proxies_match_by_version_and_metadata() {
    let metadata = json!({"MESH_ID": "m", "N": 1}).as_object().unwrap().clone();
    let labels = std::collections::BTreeMap::new();
    let at = |version| Proxy {
        kind: crate::ProxyKind::Sidecar,
        namespace: "default",
        labels: &labels,
        version,
        metadata: &metadata,
    };
    for (matching, version, expected) in [
        ("{}", "1.20.1", true),
        ("{proxyVersion: '^1\\.20.*'}", "1.20.1", true),
        ("{proxyVersion: '^1\\.20.*'}", "1.2.0", false),
        ("{proxyVersion: '20'}", "1.20.1", true),
        ("{proxyVersion: '.*'}", "", false),
        ("{metadata: {MESH_ID: m}}", "", true),
        ("{metadata: {MESH_ID: other}}", "", false),
        ("{metadata: {MESH_ID: m, NONE: x}}", "", false),
        ("{metadata: {N: '1'}}", "", false),
    ] {
        let patch = patch("CLUSTER", &format!("{{proxy: {matching}}}"));
        assert_eq!(proxy(&patch.proxy, &at(version)), expected, "{matching} {version}");
    }
}

#[test]
fn a_sidecars_route_configurations_match_by_name_and_by_the_port_in_it() {
    for (matching, name, expected) in [
        ("{}", "9080", true),
        ("{name: '9080'}", "9080", true),
        ("{name: '80'}", "9080", false),
        ("{portNumber: 9080}", "9080", true),
        ("{portNumber: 9080}", "inbound|9080||", true),
        ("{portNumber: 80}", "inbound|9080||", false),
        ("{portNumber: 80}", "named", false),
    ] {
        let patch = patch("ROUTE_CONFIGURATION", &format!("{{routeConfiguration: {matching}}}"));
        let found = route_configuration(&patch, Context::SidecarOutbound, &json!({"name": name}));
        assert_eq!(found, expected, "{matching} {name}");
    }
}

#[test]
fn a_gateways_route_configurations_match_by_the_parts_of_their_name() {
    for (matching, name, expected) in [
        ("{portNumber: 80}", "http.80", true),
        ("{portNumber: 8080}", "http.80", false),
        ("{portName: https-a, gateway: ns/gw}", "https.443.https-a.gw.ns", true),
        ("{portName: https-b}", "https.443.https-a.gw.ns", false),
        ("{gateway: ns/other}", "https.443.https-a.gw.ns", false),
    ] {
        let patch = patch("ROUTE_CONFIGURATION", &format!("{{routeConfiguration: {matching}}}"));
        let found = route_configuration(&patch, Context::Gateway, &json!({"name": name}));
        assert_eq!(found, expected, "{matching} {name}");
    }
}

#[test]
fn virtual_hosts_and_routes_match_by_name_domain_and_action() {
    let host = json!({"name": "reviews:9080", "domains": ["reviews", "reviews.default"]});
    for (matching, expected) in [
        ("{name: 'reviews:9080'}", true),
        ("{name: other}", false),
        ("{domainName: reviews}", true),
        ("{domainName: ratings}", false),
    ] {
        let patch = patch("VIRTUAL_HOST", &format!("{{routeConfiguration: {{vhost: {matching}}}}}"));
        assert_eq!(virtual_host(&patch, &host), expected, "{matching}");
    }
    for (matching, found, expected) in [
        ("{name: r}", json!({"name": "r"}), true),
        ("{name: r}", json!({"name": "s"}), false),
        ("{action: ROUTE}", json!({"route": {}}), true),
        ("{action: ROUTE}", json!({"redirect": {}}), false),
        ("{action: REDIRECT}", json!({"redirect": {}}), true),
        ("{action: DIRECT_RESPONSE}", json!({"directResponse": {}}), true),
        ("{action: ANY}", json!({"redirect": {}}), true),
        ("{action: ROUTE}", json!({"non_forwarding_action": {}}), true),
    ] {
        let patch = patch("HTTP_ROUTE", &format!("{{routeConfiguration: {{vhost: {{route: {matching}}}}}}}"));
        assert_eq!(route(&patch, &found), expected, "{matching} {found}");
    }
}

#[test]
fn clusters_match_by_the_parts_of_their_name() {
    let outbound = json!({"name": "outbound|9080|v1|reviews.default.svc.cluster.local"});
    let inbound = json!({
        "name": "inbound|9080||",
        "metadata": {"filter_metadata": {"istio": {"services": [
            {"host": "reviews.default.svc.cluster.local", "name": "reviews", "namespace": "default"},
        ]}}},
    });
    let plain = json!({"name": "BlackHoleCluster"});
    for (matching, expected) in [
        ("{}", [true, true, true]),
        ("{name: BlackHoleCluster}", [false, false, true]),
        ("{service: reviews.default.svc.cluster.local}", [true, true, false]),
        ("{service: ratings.default.svc.cluster.local}", [false, false, false]),
        ("{subset: v1}", [true, false, false]),
        ("{portNumber: 9080}", [true, true, false]),
        ("{portNumber: 80}", [false, false, false]),
    ] {
        let patch = patch("CLUSTER", &format!("{{cluster: {matching}}}"));
        let found = [&outbound, &inbound, &plain].map(|found| cluster(&patch, found));
        assert_eq!(found, expected, "{matching}");
    }
}
