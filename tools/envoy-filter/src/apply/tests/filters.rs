//! Network, HTTP and listener filters.

use super::*;

const VALUE: &str = "value: {name: new, typed_config: {'@type': t/new}}";

/// Applies an operation to the HTTP filters `cors, router`.
fn on_http(operation: &str, sub_filter: Option<&str>) -> (Vec<String>, usize) {
    let sub_filter = sub_filter.map(|name| format!(", subFilter: {{name: {name}}}")).unwrap_or_default();
    let value = if operation == "REMOVE" { "" } else { VALUE };
    let patch = format!(
        "{{applyTo: HTTP_FILTER, match: {{listener: {{filterChain: {{filter: {{name: {HCM}{sub_filter}}}}}}}}}, \
         patch: {{operation: {operation}, {value}}}}}"
    );
    let (config, matched) = patched(&[resource("a", &[&patch])], &sidecar());
    (http_filters(&config, 0).into_iter().map(str::to_owned).collect(), matched[0])
}

#[test]
fn http_filters_are_put_where_the_operation_says() {
    for (operation, sub_filter, expected, matched) in [
        ("ADD", None, vec!["cors", ROUTER, "new"], 1),
        ("INSERT_FIRST", None, vec!["new", "cors", ROUTER], 1),
        ("INSERT_BEFORE", None, vec!["new", "cors", ROUTER], 1),
        ("INSERT_BEFORE", Some(ROUTER), vec!["cors", "new", ROUTER], 1),
        ("INSERT_BEFORE", Some("envoy.router"), vec!["cors", "new", ROUTER], 1),
        ("INSERT_BEFORE", Some("absent"), vec!["cors", ROUTER], 0),
        ("INSERT_AFTER", None, vec!["cors", ROUTER, "new"], 1),
        ("INSERT_AFTER", Some("cors"), vec!["cors", "new", ROUTER], 1),
        ("INSERT_AFTER", Some("absent"), vec!["cors", ROUTER], 0),
        ("REPLACE", Some("cors"), vec!["new", ROUTER], 1),
        ("REPLACE", Some("absent"), vec!["cors", ROUTER], 0),
        ("REMOVE", Some("cors"), vec![ROUTER], 1),
        ("REMOVE", Some("absent"), vec!["cors", ROUTER], 0),
    ] {
        let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(on_http(operation, sub_filter), (expected, matched), "{operation} {sub_filter:?}");
    }
}

/// Applies an operation to the network filters `mx, tcp_proxy`.
fn on_network(operation: &str, name: Option<&str>) -> (Vec<String>, usize) {
    let filter = name.map(|name| format!("filterChain: {{filter: {{name: {name}}}}}")).unwrap_or_default();
    let value = if operation == "REMOVE" { "" } else { VALUE };
    let patch = format!(
        "{{applyTo: NETWORK_FILTER, match: {{context: SIDECAR_OUTBOUND, listener: {{{filter}}}}}, \
         patch: {{operation: {operation}, {value}}}}}"
    );
    let (config, matched) = patched(&[resource("a", &[&patch])], &sidecar());
    (network_filters(&config, 1).into_iter().map(str::to_owned).collect(), matched[0])
}

#[test]
fn network_filters_are_put_where_the_operation_says() {
    for (operation, name, expected, matched) in [
        ("ADD", None, vec!["mx", TCP_PROXY, "new"], 1),
        ("INSERT_FIRST", None, vec!["new", "mx", TCP_PROXY], 1),
        ("INSERT_FIRST", Some("absent"), vec!["new", "mx", TCP_PROXY], 1),
        ("INSERT_BEFORE", None, vec!["new", "mx", TCP_PROXY], 1),
        ("INSERT_BEFORE", Some("envoy.tcp_proxy"), vec!["mx", "new", TCP_PROXY], 1),
        ("INSERT_BEFORE", Some("absent"), vec!["mx", TCP_PROXY], 0),
        ("INSERT_AFTER", None, vec!["mx", TCP_PROXY, "new"], 1),
        ("INSERT_AFTER", Some("mx"), vec!["mx", "new", TCP_PROXY], 1),
        ("REPLACE", Some("mx"), vec!["new", TCP_PROXY], 1),
        ("REMOVE", Some("mx"), vec![TCP_PROXY], 1),
        ("REMOVE", Some("absent"), vec!["mx", TCP_PROXY], 0),
    ] {
        let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(on_network(operation, name), (expected, matched), "{operation} {name:?}");
    }
}

#[test]
fn listener_filters_are_put_where_the_operation_says() {
    for (operation, name, expected) in [
        ("ADD", None, vec!["tls", "dst", "new"]),
        ("INSERT_FIRST", None, vec!["new", "tls", "dst"]),
        ("INSERT_BEFORE", Some("dst"), vec!["tls", "new", "dst"]),
        ("INSERT_AFTER", Some("tls"), vec!["tls", "new", "dst"]),
        ("REPLACE", Some("tls"), vec!["new", "dst"]),
        ("REMOVE", Some("tls"), vec!["dst"]),
    ] {
        let listener = name.map(|name| format!("listenerFilter: {name}")).unwrap_or_default();
        let value = if operation == "REMOVE" { "" } else { VALUE };
        let patch = format!(
            "{{applyTo: LISTENER_FILTER, match: {{context: SIDECAR_INBOUND, listener: {{{listener}}}}}, \
             patch: {{operation: {operation}, {value}}}}}"
        );
        let mut config = sidecar();
        config.listeners[0]["listener_filters"] = json!([filter("tls"), filter("dst")]);
        let (config, matched) = patched(&[resource("a", &[&patch])], &config);
        assert_eq!(names(fields::list(&config.listeners[0], "listener_filters")), expected, "{operation}");
        assert_eq!(matched, [1]);
    }
}

#[test]
fn merging_into_a_filter_merges_inside_its_typed_config() {
    let patches = [
        format!("{{applyTo: HTTP_FILTER, match: {{listener: {{filterChain: {{filter: {{name: {HCM}, subFilter: {{name: cors}}}}}}}}}}, patch: {{operation: MERGE, value: {{name: renamed, typedConfig: {{'@type': t/cors, a: {{b: 1}}}}}}}}}}"),
        format!("{{applyTo: NETWORK_FILTER, match: {{listener: {{filterChain: {{filter: {{name: {TCP_PROXY}}}}}}}}}, patch: {{operation: MERGE, value: {{typed_config: {{'@type': t/{TCP_PROXY}, idle_timeout: 5s}}}}}}}}"),
    ];
    let patches: Vec<&str> = patches.iter().map(String::as_str).collect();
    let (config, matched) = patched(&[resource("a", &patches)], &sidecar());
    let manager = &config.listeners[0]["filter_chains"][0]["filters"][0]["typed_config"];
    assert_eq!(
        manager["http_filters"][0],
        json!({"name": "renamed", "typed_config": {"@type": "t/cors", "a": {"b": 1}}})
    );
    assert_eq!(config.listeners[1]["filter_chains"][0]["filters"][1]["typed_config"]["idle_timeout"], "5s");
    assert_eq!(matched, [1, 1]);
}

#[test]
fn merging_another_type_is_an_error_and_nothing_is_changed() {
    let patch = format!(
        "{{applyTo: HTTP_FILTER, match: {{listener: {{filterChain: {{filter: {{name: {HCM}, subFilter: {{name: cors}}}}}}}}}}, \
         patch: {{operation: MERGE, value: {{typed_config: {{'@type': t/other}}}}}}}}"
    );
    let mut config = sidecar();
    let problems = apply_to(ProxyKind::Sidecar, &[resource("a", &[&patch])], &mut config).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "a.yaml:7: spec.configPatches[0].patch.value.typed_config.@type: is \"t/other\", \
         but the configuration has \"t/cors\"; different types cannot be merged"
    );
    assert_eq!(config, sidecar());
}

#[test]
fn filters_are_inserted_in_order_and_merged_after_that() {
    let on = |operation: &str, value: &str| {
        format!("{{applyTo: HTTP_FILTER, match: {{listener: {{filterChain: {{filter: {{name: {HCM}, subFilter: {{name: new}}}}}}}}}}, patch: {{operation: {operation}, value: {value}}}}}")
    };
    let patches = [
        on("MERGE", "{typed_config: {'@type': t/new, merged: true}}"),
        format!("{{applyTo: HTTP_FILTER, patch: {{operation: INSERT_FIRST, {VALUE}}}}}"),
        on("INSERT_AFTER", "{name: after, typed_config: {'@type': t/after}}"),
    ];
    let patches: Vec<&str> = patches.iter().map(String::as_str).collect();
    let (config, matched) = patched(&[resource("a", &patches)], &sidecar());
    assert_eq!(http_filters(&config, 0), ["new", "after", "cors", ROUTER]);
    let manager = &config.listeners[0]["filter_chains"][0]["filters"][0]["typed_config"];
    assert_eq!(manager["http_filters"][0]["typed_config"]["merged"], true);
    assert_eq!(matched, [1, 1, 1]);
}

#[test]
fn a_filter_in_the_default_filter_chain_is_patched_too() {
    let mut config = sidecar();
    config.listeners[1]["default_filter_chain"] = tcp_filter_chain("default");
    let patch = format!(
        "{{applyTo: NETWORK_FILTER, match: {{context: SIDECAR_OUTBOUND}}, patch: {{operation: ADD, {VALUE}}}}}"
    );
    let (config, matched) = patched(&[resource("a", &[&patch])], &config);
    let default = &config.listeners[1]["default_filter_chain"];
    assert_eq!(names(fields::list(default, "filters")), ["mx", TCP_PROXY, "new"]);
    assert_eq!(matched, [2]);
}
