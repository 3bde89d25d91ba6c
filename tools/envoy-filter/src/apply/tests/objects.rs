//! Listeners, filter chains, routes, clusters and the bootstrap.

use super::*;

#[test]
fn listeners_are_added_merged_and_removed() {
    let patches = [
        "{applyTo: LISTENER, match: {listener: {name: in}}, patch: {operation: MERGE, value: {per_connection_buffer_limit_bytes: 1}}}",
        "{applyTo: LISTENER, match: {listener: {portNumber: 27017}}, patch: {operation: REMOVE}}",
        "{applyTo: LISTENER, patch: {operation: ADD, value: {name: new}}}",
    ];
    let (config, matched) = patched(&[resource("a", &patches)], &sidecar());
    assert_eq!(names(&config.listeners), ["in", "stats", "new"]);
    assert_eq!(config.listeners[0]["per_connection_buffer_limit_bytes"], 1);
    assert_eq!(matched, [1, 1, 1]);
}

#[test]
fn filter_chains_are_added_merged_and_removed() {
    let patches = [
        "{applyTo: FILTER_CHAIN, match: {listener: {filterChain: {name: http}}}, patch: {operation: MERGE, value: {transport_socket_connect_timeout: 5s}}}",
        "{applyTo: FILTER_CHAIN, match: {listener: {filterChain: {name: tcp}}}, patch: {operation: REMOVE}}",
        "{applyTo: FILTER_CHAIN, match: {listener: {name: out}}, patch: {operation: ADD, value: {name: new, filters: [{name: f}]}}}",
    ];
    let (config, matched) = patched(&[resource("a", &patches)], &sidecar());
    assert_eq!(config.listeners[0]["filter_chains"][0]["transport_socket_connect_timeout"], "5s");
    assert_eq!(names(fields::list(&config.listeners[1], "filter_chains")), ["new"]);
    assert_eq!(matched, [1, 1, 1]);
}

#[test]
fn a_transport_socket_merges_into_the_one_of_its_name() {
    let mut config = sidecar();
    let socket = |extra: Value| {
        let mut socket = json!({"name": "tls", "typed_config": {"@type": "t/Tls", "list": [1]}});
        socket["typed_config"]["list"].as_array_mut().unwrap().extend(extra.as_array().unwrap().clone());
        socket
    };
    config.listeners[0]["filter_chains"][0]["transport_socket"] = socket(json!([]));
    config.clusters[0]["transport_socket"] = socket(json!([]));
    config.clusters[1]["transport_socket_matches"] = json!([{"name": "plain", "transport_socket": {"name": "raw"}}, {"name": "mtls", "transport_socket": socket(json!([]))}]);
    let value = "value: {transport_socket: {name: tls, typed_config: {'@type': t/Tls, list: [2]}}}";
    let patches = [
        format!("{{applyTo: FILTER_CHAIN, match: {{context: SIDECAR_INBOUND}}, patch: {{operation: MERGE, {value}}}}}"),
        format!("{{applyTo: CLUSTER, patch: {{operation: MERGE, {value}}}}}"),
    ];
    let patches: Vec<&str> = patches.iter().map(String::as_str).collect();
    let (config, matched) = patched(&[resource("a", &patches)], &config);
    let merged = socket(json!([2]));
    assert_eq!(config.listeners[0]["filter_chains"][0]["transport_socket"], merged);
    assert_eq!(config.clusters[0]["transport_socket"], merged);
    assert_eq!(config.clusters[1]["transport_socket_matches"][1]["transport_socket"], merged);
    // Without a socket, the patch's socket is set.
    assert_eq!(config.clusters[2]["transport_socket"]["typed_config"]["list"], json!([2]));
    assert_eq!(matched, [1, 3]);
}

#[test]
fn clusters_are_added_merged_and_removed_in_their_context() {
    let patches = [
        "{applyTo: CLUSTER, match: {context: SIDECAR_OUTBOUND, cluster: {portNumber: 9080}}, patch: {operation: MERGE, value: {filters: [{name: mx}]}}}",
        "{applyTo: CLUSTER, match: {cluster: {name: BlackHoleCluster}}, patch: {operation: REMOVE}}",
        "{applyTo: CLUSTER, patch: {operation: ADD, value: {name: new}}}",
        "{applyTo: CLUSTER, match: {context: SIDECAR_INBOUND}, patch: {operation: MERGE, value: {alt_stat_name: x}}}",
    ];
    let (config, matched) = patched(&[resource("a", &patches)], &sidecar());
    assert_eq!(
        config.clusters,
        [
            json!({"name": "inbound|9080||", "type": "STATIC", "alt_stat_name": "x"}),
            json!({"name": "outbound|9080|v1|reviews.default.svc.cluster.local", "type": "EDS", "filters": [{"name": "mx"}]}),
            json!({"name": "new"}),
        ]
    );
    assert_eq!(matched, [1, 1, 1, 1]);
}

#[test]
fn lists_are_replaced_when_asked() {
    let mut config = sidecar();
    config.clusters[2]["filters"] = json!([{"name": "old"}]);
    let patch = "{applyTo: CLUSTER, match: {cluster: {name: BlackHoleCluster}}, patch: {operation: MERGE_AND_REPLACE_LIST, value: {filters: [{name: mx}]}}}";
    let (config, _) = patched(&[resource("a", &[patch])], &config);
    assert_eq!(config.clusters[2]["filters"], json!([{"name": "mx"}]));
}

#[test]
fn the_bootstrap_is_merged_whatever_the_proxy() {
    let patch =
        "{applyTo: BOOTSTRAP, patch: {operation: MERGE, value: {statsConfig: {statsTags: [{tag_name: b, regex: y}]}}}}";
    for kind in [ProxyKind::Sidecar, ProxyKind::Gateway] {
        let (config, matched) = patched_with(kind, &[resource("a", &[patch])], &sidecar());
        assert_eq!(names_of_tags(&config), ["a", "b"]);
        assert_eq!(matched, [1]);
    }
}

fn names_of_tags(config: &ProxyConfig) -> Vec<&str> {
    let tags = fields::list(&config.bootstrap["stats_config"], "stats_tags");
    tags.iter().map(|tag| fields::text(tag, "tag_name")).collect()
}

#[test]
fn route_configurations_are_merged() {
    let patch = "{applyTo: ROUTE_CONFIGURATION, match: {routeConfiguration: {portNumber: 9080}}, patch: {operation: MERGE, value: {request_headers_to_remove: [x]}}}";
    let (config, matched) = patched(&[resource("a", &[patch])], &sidecar());
    assert_eq!(routes(&config)["request_headers_to_remove"], json!(["x"]));
    // The listener without a direction has the same route configuration, but Istio does not patch it.
    assert_eq!(matched, [1]);
}

#[test]
fn virtual_hosts_are_changed_as_the_operation_says() {
    for (operation, expected) in [
        ("{operation: ADD, value: {name: new}}", vec!["reviews", "any", "new"]),
        ("{operation: REMOVE}", vec!["any"]),
        ("{operation: REPLACE, value: {name: new}}", vec!["new", "any"]),
        ("{operation: MERGE, value: {domains: [r]}}", vec!["reviews", "any"]),
    ] {
        let vhost = if operation.contains("ADD") { "" } else { "vhost: {name: reviews}" };
        let patch =
            format!("{{applyTo: VIRTUAL_HOST, match: {{routeConfiguration: {{{vhost}}}}}, patch: {operation}}}");
        let (config, matched) = patched(&[resource("a", &[&patch])], &sidecar());
        let hosts = fields::list(routes(&config), "virtual_hosts");
        assert_eq!(names(hosts), expected, "{operation}");
        if operation.contains("MERGE") {
            assert_eq!(hosts[0]["domains"], json!(["reviews", "r"]));
        }
        assert_eq!(matched, [1]);
    }
}

#[test]
fn routes_are_put_where_the_operation_says() {
    const VALUE: &str = "value: {name: new, route: {cluster: y}}";
    for (operation, route, expected, matched) in [
        ("ADD", "", vec!["a", "b", "new"], 1),
        ("INSERT_FIRST", "", vec!["new", "a", "b"], 1),
        ("INSERT_FIRST", "route: {name: b}", vec!["new", "a", "b"], 1),
        ("INSERT_FIRST", "route: {name: absent}", vec!["a", "b"], 0),
        ("INSERT_BEFORE", "", vec!["new", "a", "b"], 1),
        ("INSERT_BEFORE", "route: {name: b}", vec!["a", "new", "b"], 1),
        ("INSERT_AFTER", "", vec!["a", "b", "new"], 1),
        ("INSERT_AFTER", "route: {action: ROUTE}", vec!["a", "new", "b"], 1),
        ("REMOVE", "route: {action: REDIRECT}", vec!["a"], 1),
        ("MERGE", "route: {name: a}", vec!["new", "b"], 1),
    ] {
        let value = if operation == "REMOVE" { "" } else { VALUE };
        let route = if route.is_empty() { String::new() } else { format!(", {route}") };
        let patch = format!(
            "{{applyTo: HTTP_ROUTE, match: {{routeConfiguration: {{vhost: {{name: reviews{route}}}}}}}, \
             patch: {{operation: {operation}, {value}}}}}"
        );
        let (config, hits) = patched(&[resource("a", &[&patch])], &sidecar());
        let host = &fields::list(routes(&config), "virtual_hosts")[0];
        assert_eq!(names(fields::list(host, "routes")), expected, "{operation}{route}");
        assert_eq!(hits, [matched], "{operation}{route}");
    }
}

#[test]
fn an_extension_config_counts_when_a_filter_asks_for_it() {
    let config = |name: &str| {
        format!("{{applyTo: EXTENSION_CONFIG, patch: {{operation: ADD, value: {{name: {name}, typed_config: {{'@type': t/X}}}}}}}}")
    };
    let chain = format!("match: {{listener: {{filterChain: {{filter: {{name: {TCP_PROXY}}}}}}}}}");
    let filter = format!(
        "{{applyTo: NETWORK_FILTER, {chain}, patch: {{operation: INSERT_BEFORE, value: {{name: asked, config_discovery: {{type_urls: [t/X]}}}}}}}}"
    );
    let (_, matched) = patched(&[resource("a", &[&config("asked"), &config("other"), &filter])], &sidecar());
    assert_eq!((matched[0], matched[1]), (1, 0));
    assert!(matched[2] > 0);
}
