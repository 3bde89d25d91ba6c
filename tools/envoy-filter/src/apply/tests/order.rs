//! Which resources apply to which proxy, and in which order.

use super::*;

/// Adds a cluster, so that the order of the names shows the order of application.
fn adds(name: &str) -> String {
    format!("{{applyTo: CLUSTER, patch: {{operation: ADD, value: {{name: {name}}}}}}}")
}

fn clusters_added(filters: &[EnvoyFilter]) -> Vec<String> {
    let (config, _) = patched(filters, &ProxyConfig::default());
    names(&config.clusters).into_iter().map(str::to_owned).collect()
}

#[test]
fn priority_comes_first_then_the_root_namespace_then_the_name() {
    let filters = [
        resource_in("default", "a", "priority: 0", &[&adds("default-a")]),
        resource_in("istio-system", "c", "priority: 0", &[&adds("root-c")]),
        resource_in("istio-system", "b", "priority: 0", &[&adds("root-b1"), &adds("root-b2")]),
        resource_in("istio-system", "d", "priority: 5", &[&adds("root-late")]),
        resource_in("default", "z", "priority: -1", &[&adds("default-early")]),
    ];
    assert_eq!(clusters_added(&filters), ["default-early", "root-b1", "root-b2", "root-c", "default-a", "root-late"]);
}

#[test]
fn a_resource_applies_in_its_namespace_and_to_the_workloads_it_selects() {
    let filters = [
        resource_in("other", "a", "priority: 0", &[&adds("other")]),
        resource_in("default", "a", "workloadSelector: {labels: {app: reviews}}", &[&adds("selected")]),
        resource_in("default", "b", "workloadSelector: {labels: {app: ratings}}", &[&adds("elsewhere")]),
        resource_in("istio-system", "c", "workloadSelector: {labels: {app: reviews, version: v1}}", &[&adds("partly")]),
    ];
    assert_eq!(clusters_added(&filters), ["selected"]);
}

#[test]
fn a_patch_applies_to_the_proxy_versions_it_names() {
    let versioned = |name: &str, version: &str| {
        format!("{{applyTo: CLUSTER, match: {{proxy: {{proxyVersion: '{version}'}}}}, patch: {{operation: ADD, value: {{name: {name}}}}}}}")
    };
    let filters = [resource("a", &[&versioned("this", "^1\\.30.*"), &versioned("old", "^1\\.20.*")])];
    assert_eq!(clusters_added(&filters), ["this"]);
}

#[test]
fn contexts_select_the_side_of_a_sidecar_and_gateways() {
    let on = |context: &str| {
        format!("{{applyTo: NETWORK_FILTER, match: {{context: {context}}}, patch: {{operation: INSERT_FIRST, value: {{name: new, typed_config: {{'@type': t/new}}}}}}}}")
    };
    for (context, sidecar_matches, gateway_matches) in
        [("ANY", 2, 3), ("SIDECAR_INBOUND", 1, 0), ("SIDECAR_OUTBOUND", 1, 0), ("GATEWAY", 0, 3)]
    {
        let filters = [resource("a", &[&on(context)])];
        assert_eq!(patched(&filters, &sidecar()).1, [sidecar_matches], "{context}");
        assert_eq!(patched_with(ProxyKind::Gateway, &filters, &sidecar()).1, [gateway_matches], "{context}");
    }
}

#[test]
fn a_listener_added_for_any_context_comes_once_and_stays_unpatched() {
    let patches = [
        "{applyTo: LISTENER, patch: {operation: ADD, value: {name: new, traffic_direction: OUTBOUND}}}",
        "{applyTo: LISTENER, patch: {operation: MERGE, value: {stat_prefix: x}}}",
    ];
    let (config, matched) = patched(&[resource("a", &patches)], &sidecar());
    assert_eq!(config.listeners[3], json!({"name": "new", "traffic_direction": "OUTBOUND"}));
    assert_eq!(matched, [1, 2]);
}

#[test]
fn reports_are_in_the_order_given_and_name_their_patch() {
    let filters = [
        resource_in("istio-system", "late", "priority: 1", &[&adds("x")]),
        resource("early", &["{applyTo: LISTENER, match: {listener: {name: absent}}, patch: {operation: REMOVE}}"]),
    ];
    let applied = apply_to(ProxyKind::Sidecar, &filters, &mut sidecar()).unwrap();
    let summary: Vec<_> =
        applied.iter().map(|entry| (entry.resource.as_str(), entry.patch, entry.line, entry.matched)).collect();
    assert_eq!(summary, [("istio-system/late", 0, 7, 1), ("istio-system/early", 0, 7, 0)]);
}

#[test]
fn a_patch_is_unused_if_no_proxy_had_anything_for_it() {
    let filters = [resource(
        "a",
        &[
            "{applyTo: LISTENER, match: {listener: {name: absent}}, patch: {operation: REMOVE}}",
            "{applyTo: LISTENER, match: {context: GATEWAY}, patch: {operation: MERGE, value: {stat_prefix: x}}}",
        ],
    )];
    let mut reports = apply_to(ProxyKind::Sidecar, &filters, &mut sidecar()).unwrap();
    assert_eq!(unused(&reports).len(), 2);
    reports.extend(apply_to(ProxyKind::Gateway, &filters, &mut sidecar()).unwrap());
    let problems: Vec<String> = unused(&reports).iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["a.yaml:7: spec.configPatches[0]: changed nothing in any proxy"]);
}

#[test]
fn a_patch_whose_target_another_context_has_is_not_unused_but_one_with_a_typo_is() {
    let patch = |context: &str, filter: &str| {
        format!(
            "{{applyTo: NETWORK_FILTER, match: {{context: {context}, listener: {{filterChain: {{filter: {{name: {filter}}}}}}}}}, \
             patch: {{operation: INSERT_BEFORE, value: {{name: x, typed_config: {{'@type': type.googleapis.com/y}}}}}}}}"
        )
    };
    let connection_manager = "envoy.filters.network.http_connection_manager";
    let patches = [
        patch("SIDECAR_INBOUND", connection_manager),
        patch("GATEWAY", connection_manager),
        patch("GATEWAY", "envoy.filters.network.http_conection_manager"),
    ];
    let filters = [resource("a", &patches.each_ref().map(String::as_str))];
    let reports = apply_to(ProxyKind::Sidecar, &filters, &mut sidecar()).unwrap();
    let problems: Vec<String> = unused(&reports).iter().map(|problem| problem.path.clone()).collect();
    assert_eq!(problems, ["spec.configPatches[2]"]);
}

#[test]
fn a_patch_that_finds_nothing_leaves_no_trace() {
    let patch = "{applyTo: LISTENER_FILTER, match: {listener: {listenerFilter: absent}}, patch: {operation: REMOVE}}";
    let (config, matched) = patched(&[resource("a", &[patch])], &sidecar());
    assert_eq!(config, sidecar());
    assert_eq!(matched, [0]);
}
