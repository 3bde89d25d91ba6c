use super::*;
use crate::resource::{ApplyTo, Operation, PatchContext};

const HEAD: &str = "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata:\n  name: stats\n";

/// A resource with these patches, given as YAML flow mappings.
fn with_patches(patches: &[&str]) -> String {
    let mut text = format!("{HEAD}spec:\n  configPatches:\n");
    for patch in patches {
        text.push_str(&format!("  - {patch}\n"));
    }
    text
}

fn read(text: &str) -> Result<Vec<EnvoyFilter>, Vec<String>> {
    parse(&[(PathBuf::from("a.yaml"), text.to_owned())])
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// The only problem of a text.
fn problem(text: &str) -> String {
    let problems = read(text).expect_err(text);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems[0].clone()
}

#[test]
fn a_file_that_is_no_yaml_is_refused_with_line_and_column() {
    let text = problem("a: 1\nb: [1, 2\nc: 3\n");
    assert!(text.starts_with("a.yaml:3:2: not valid YAML: "), "{text}");
    assert_eq!(problem("a: 1\na: 2\n"), "a.yaml:2:1: not valid YAML: duplicate mapping key: a not allowed here");
    let text = problem(&format!("a: {}{}", "[".repeat(70), "]".repeat(70)));
    assert!(text.contains("not valid YAML: "), "{text}");
}

#[test]
fn a_whole_resource_is_read() {
    let text = r#"
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata:
  name: stats
  namespace: istio-system
  labels: {istio.io/rev: default}
spec:
  priority: -1
  workloadSelector:
    labels: {app: reviews}
  configPatches:
    - applyTo: HTTP_FILTER
      match:
        context: SIDECAR_OUTBOUND
        proxy:
          proxyVersion: '^1\.20.*'
          metadata: {MESH_ID: cluster.local}
        listener:
          portNumber: 9080
          filterChain:
            sni: reviews
            applicationProtocols: "istio,h2"
            filter:
              name: envoy.filters.network.http_connection_manager
              subFilter: {name: envoy.filters.http.router}
      patch:
        operation: INSERT_BEFORE
        value:
          name: istio.stats
          typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm}
"#;
    let filters = read(text).unwrap();
    let [filter] = filters.as_slice() else { panic!("{filters:?}") };
    assert_eq!((filter.name.as_str(), filter.namespace.as_str()), ("stats", "istio-system"));
    assert_eq!(filter.priority, -1);
    assert_eq!(filter.workload_selector["app"], "reviews");
    let patch = &filter.patches[0];
    assert_eq!(patch.apply_to, ApplyTo::HttpFilter);
    assert_eq!(patch.operation, Operation::InsertBefore);
    assert_eq!(patch.context, PatchContext::SidecarOutbound);
    assert_eq!(patch.line, 13);
    assert_eq!(patch.listener().unwrap().port, Some(9080));
    let chain = patch.filter_chain().unwrap();
    assert_eq!(chain.application_protocols, ["istio", "h2"]);
    assert_eq!(chain.sub_filter.as_deref(), Some("envoy.filters.http.router"));
    assert!(patch.proxy.version.as_ref().unwrap().is_match("1.20.3"));
    assert_eq!(patch.value["name"], "istio.stats");
}

#[test]
fn snake_case_names_are_the_same_fields() {
    let text = format!(
        "{HEAD}spec:\n  config_patches:\n  - apply_to: CLUSTER\n    match: {{cluster: {{port_number: 80}}}}\n    patch: {{operation: REMOVE}}\n"
    );
    let filters = read(&text).unwrap();
    assert_eq!(filters[0].patches[0].cluster().unwrap().port, Some(80));
}

#[test]
fn the_namespace_is_kubectls_default_when_none_is_given() {
    let text = with_patches(&["{applyTo: CLUSTER, patch: {operation: REMOVE}}"]);
    assert_eq!(read(&text).unwrap()[0].namespace, "default");
}

#[test]
fn every_document_of_a_file_is_read() {
    let patches = "spec:\n  configPatches:\n  - {applyTo: CLUSTER, patch: {operation: REMOVE}}\n";
    let text = format!("---\n{HEAD}{patches}---\n# nothing\n---\n{}{patches}", HEAD.replace("stats", "other"));
    assert_eq!(read(&text).unwrap().len(), 2);
}

#[test]
fn every_problem_is_told_at_once() {
    let text = with_patches(&["{applyTo: HTP_FILTER, patch: {operation: MERG, value: {}}}", "{applyTo: CLUSTER}"]);
    assert_eq!(read(&text).unwrap_err().len(), 3);
}

#[test]
fn a_refused_file_does_not_hide_the_problems_of_the_next() {
    let files = [(PathBuf::from("a.yaml"), "a: [".to_owned()), (PathBuf::from("b.yaml"), String::new())];
    let problems = parse(&files).unwrap_err();
    assert!(problems[0].to_string().starts_with("a.yaml:"));
    assert_eq!(problems[1].to_string(), "b.yaml: holds no resource");
}

#[test]
fn resources_that_are_no_envoy_filters_are_refused() {
    for (text, expected) in [
        ("", "a.yaml: holds no resource"),
        ("# nothing\n---\n", "a.yaml: holds no resource"),
        ("- a\n", "a.yaml:1: is a list; a mapping is needed"),
        (
            &HEAD.replace("v1alpha3", "v1beta1"),
            "a.yaml:1: apiVersion: \"networking.istio.io/v1beta1\" is not known; allowed: networking.istio.io/v1alpha3",
        ),
        (&HEAD.replace("EnvoyFilter", "ConfigMap"), "a.yaml:2: kind: \"ConfigMap\" is not known; allowed: EnvoyFilter"),
        (&HEAD.replace("name:", "title:"), "a.yaml:4: metadata.title: is not a known field"),
        (HEAD, "a.yaml:1: spec: is missing"),
    ] {
        let problems = read(text).unwrap_err();
        assert!(problems.iter().any(|problem| problem.starts_with(expected)), "{text}: {problems:#?}");
    }
}

#[test]
fn a_name_given_to_two_resources_is_refused() {
    let text = with_patches(&["{applyTo: CLUSTER, patch: {operation: REMOVE}}"]);
    assert_eq!(
        problem(&format!("{text}---\n{text}")),
        "a.yaml:12: metadata.name: default/stats is already defined in a.yaml"
    );
}

#[test]
fn broken_specs_are_refused() {
    for (spec, expected) in [
        ("{}", "spec.configPatches: is missing"),
        ("{configPatches: []}", "spec.configPatches: is empty; a patch is needed"),
        ("{configPatches: {a: b}}", "spec.configPatches: is a mapping; a list of patches is needed"),
        (
            "{configPatchs: [], configPatches: [{applyTo: CLUSTER, patch: {operation: REMOVE}}]}",
            "spec.configPatchs: is not a known field; did you mean `configPatches`? \
             allowed: workloadSelector, configPatches, priority, targetRefs",
        ),
        (
            "{workloadSelector: {}, configPatches: [{applyTo: CLUSTER, patch: {operation: REMOVE}}]}",
            "spec.workloadSelector.labels: is missing",
        ),
        (
            "{workloadSelector: {labels: {}}, configPatches: [{applyTo: CLUSTER, patch: {operation: REMOVE}}]}",
            "spec.workloadSelector.labels: is empty, which would select every workload",
        ),
        (
            "{workloadSelector: {labels: {version: 1}}, configPatches: [{applyTo: CLUSTER, patch: {operation: REMOVE}}]}",
            "spec.workloadSelector.labels.version: is 1; a string is needed (put it in quotes)",
        ),
        (
            "{priority: high, configPatches: [{applyTo: CLUSTER, patch: {operation: REMOVE}}]}",
            "spec.priority: is \"high\"; a 32-bit integer is needed",
        ),
        (
            "{targetRefs: [], configPatches: [{applyTo: CLUSTER, patch: {operation: REMOVE}}]}",
            "spec.targetRefs: is not supported here",
        ),
    ] {
        let found = problem(&format!("{HEAD}spec: {spec}\n"));
        assert!(found.starts_with(&format!("a.yaml:5: {expected}")), "{found}");
    }
}

/// Each patch has exactly this problem; paths start at the patch.
#[test]
fn broken_patches_are_refused() {
    const FILTER_VALUE: &str = "name: f, typed_config: {'@type': a/b}";
    let hcm = "filter: {name: envoy.filters.network.http_connection_manager";
    let cases = [
        ("patch: {operation: REMOVE}".to_owned(), "applyTo: is missing"),
        ("applyTo: CLUSTER".to_owned(), "patch: is missing"),
        ("applyTo: CLUSTER, patch: {}".to_owned(), "patch.operation: is missing"),
        ("applyTo: CLUSTER, patch: {operation: MERGE}".to_owned(), "patch.value: is missing"),
        ("applyTo: CLUSTER, patch: {operation: MERGE, value: null}".to_owned(), "patch.value: is missing"),
        ("applyTo: CLUSTER, patch: {operation: MERGE, value: [a]}".to_owned(), "patch.value: is a list; a mapping is needed"),
        ("applyTo: CLUSTER, patch: {operation: REMOVE, value: {a: b}}".to_owned(), "patch.value: has no effect with REMOVE"),
        ("applyTo: CLUSTER, patch: {operation: REMOVE}, when: now".to_owned(), "when: is not a known field; allowed: applyTo, match, patch"),
        (
            format!("applyTo: HTP_FILTER, patch: {{operation: ADD, value: {{{FILTER_VALUE}}}}}"),
            "applyTo: \"HTP_FILTER\" is not known; did you mean `HTTP_FILTER`? allowed: LISTENER, FILTER_CHAIN, \
             LISTENER_FILTER, NETWORK_FILTER, HTTP_FILTER, ROUTE_CONFIGURATION, VIRTUAL_HOST, HTTP_ROUTE, CLUSTER, BOOTSTRAP, EXTENSION_CONFIG",
        ),
        (
            format!("applyTo: EXTENSION_CONFIG, match: {{listener: {{}}}}, patch: {{operation: ADD, value: {{{FILTER_VALUE}}}}}"),
            "match.listener: cannot be used with EXTENSION_CONFIG; allowed: only proxy",
        ),
        (
            format!("applyTo: EXTENSION_CONFIG, patch: {{operation: MERGE, value: {{{FILTER_VALUE}}}}}"),
            "patch.operation: \"MERGE\" cannot be used with EXTENSION_CONFIG; allowed: ADD",
        ),
        (
            "applyTo: CLUSTER, patch: {operation: PREPEND, value: {name: a}}".to_owned(),
            "patch.operation: \"PREPEND\" is not known; allowed: MERGE, MERGE_AND_REPLACE_LIST, ADD, REMOVE, \
             INSERT_BEFORE, INSERT_AFTER, INSERT_FIRST, REPLACE",
        ),
        ("applyTo: CLUSTER, match: {context: INBOUND}, patch: {operation: REMOVE}".to_owned(), "match.context: \"INBOUND\" is not known; allowed: ANY, "),
        ("applyTo: CLUSTER, match: {context: WAYPOINT}, patch: {operation: REMOVE}".to_owned(), "match.context: \"WAYPOINT\" is not supported here"),
        (
            "applyTo: CLUSTER, match: {proxy: {proxyVersion: '^1\\.(2'}}, patch: {operation: REMOVE}".to_owned(),
            "match.proxy.proxyVersion: \"^1\\\\.(2\" is not a regular expression: unclosed group",
        ),
        (
            "applyTo: CLUSTER, match: {proxy: {proxyVersion: 1.20}}, patch: {operation: REMOVE}".to_owned(),
            "match.proxy.proxyVersion: is 1.2; a string is needed (put it in quotes)",
        ),
        (
            "applyTo: CLUSTER, match: {cluster: {portNumber: 70000}}, patch: {operation: REMOVE}".to_owned(),
            "match.cluster.portNumber: is 70000; a port from 1 to 65535 is needed",
        ),
        (
            "applyTo: CLUSTER, match: {cluster: {name: a}, listener: {name: b}}, patch: {operation: REMOVE}".to_owned(),
            "match.cluster: only one of listener, routeConfiguration, cluster can be matched",
        ),
        (
            "applyTo: CLUSTER, match: {cluster: {name: a, subset: v1}}, patch: {operation: REMOVE}".to_owned(),
            "match.cluster.subset: has no effect beside match.cluster.name",
        ),
        ("applyTo: LISTENER, match: {listener: {portName: http}}, patch: {operation: REMOVE}".to_owned(), "match.listener.portName: has no effect in Istio; use portNumber"),
        (
            format!("applyTo: HTTP_FILTER, match: {{listener: {{filterChain: {{{hcm}, subFiltr: {{name: r}}}}}}}}}}, patch: {{operation: ADD, value: {{{FILTER_VALUE}}}}}"),
            "match.listener.filterChain.filter.subFiltr: is not a known field; did you mean `subFilter`? allowed: name, subFilter",
        ),
        (
            format!("applyTo: HTTP_FILTER, match: {{listener: {{filterChain: {{filter: {{name: envoy.filters.network.tcp_proxy}}}}}}}}, patch: {{operation: ADD, value: {{{FILTER_VALUE}}}}}"),
            "match.listener.filterChain.filter.name: \"envoy.filters.network.tcp_proxy\" holds no HTTP filters",
        ),
        (
            format!("applyTo: NETWORK_FILTER, match: {{listener: {{filterChain: {{{hcm}, subFilter: {{name: r}}}}}}}}}}, patch: {{operation: ADD, value: {{{FILTER_VALUE}}}}}"),
            "match.listener.filterChain.filter.subFilter: has no effect with NETWORK_FILTER",
        ),
        (
            format!("applyTo: FILTER_CHAIN, match: {{listener: {{filterChain: {{{hcm}}}}}}}}}, patch: {{operation: REMOVE}}"),
            "match.listener.filterChain.filter: has no effect with FILTER_CHAIN",
        ),
        (
            "applyTo: HTTP_FILTER, patch: {operation: REMOVE}".to_owned(),
            "match.listener.filterChain.filter.subFilter.name: is missing; HTTP_FILTER REMOVE has no effect without it",
        ),
        (
            "applyTo: NETWORK_FILTER, patch: {operation: REMOVE}".to_owned(),
            "match.listener.filterChain.filter.name: is missing; NETWORK_FILTER REMOVE has no effect without it",
        ),
        (
            "applyTo: LISTENER_FILTER, patch: {operation: REMOVE}".to_owned(),
            "match.listener.listenerFilter: is missing; LISTENER_FILTER REMOVE has no effect without it",
        ),
        ("applyTo: BOOTSTRAP, match: {context: GATEWAY}, patch: {operation: MERGE, value: {}}".to_owned(), "match.context: \"GATEWAY\" has no effect with BOOTSTRAP; allowed: ANY"),
        ("applyTo: BOOTSTRAP, match: {cluster: {name: a}}, patch: {operation: MERGE, value: {}}".to_owned(), "match.cluster: cannot be used with BOOTSTRAP; allowed: only proxy"),
        ("applyTo: CLUSTER, match: {listener: {name: a}}, patch: {operation: REMOVE}".to_owned(), "match.listener: cannot be used with CLUSTER; allowed: cluster"),
        ("applyTo: CLUSTER, match: {cluster: {subset: a}}, patch: {operation: ADD, value: {name: b}}".to_owned(), "match.cluster: has no effect with CLUSTER and ADD"),
        ("applyTo: LISTENER, match: {listener: {name: a}}, patch: {operation: ADD, value: {name: b}}".to_owned(), "match.listener: has no effect with LISTENER and ADD"),
        ("applyTo: VIRTUAL_HOST, match: {routeConfiguration: {vhost: {name: a}}}, patch: {operation: ADD, value: {name: b}}".to_owned(), "match.routeConfiguration.vhost: has no effect with VIRTUAL_HOST and ADD"),
        ("applyTo: HTTP_ROUTE, match: {context: SIDECAR_INBOUND, routeConfiguration: {gateway: a}}, patch: {operation: REMOVE}".to_owned(), "match.routeConfiguration.gateway: has no effect in SIDECAR_INBOUND; it is for gateways"),
        ("applyTo: CLUSTER, patch: {operation: ADD, value: {type: EDS}}".to_owned(), "patch.value.name: is missing"),
        ("applyTo: FILTER_CHAIN, patch: {operation: ADD, value: {name: a}}".to_owned(), "patch.value.filters: is missing; Istio drops a filter chain without filters"),
        ("applyTo: HTTP_FILTER, patch: {operation: ADD, value: {typed_config: {'@type': a/b}}}".to_owned(), "patch.value.name: is missing"),
        ("applyTo: HTTP_FILTER, patch: {operation: ADD, value: {name: a}}".to_owned(), "patch.value.typed_config: is missing; Envoy does not find filters by name alone"),
        ("applyTo: HTTP_FILTER, patch: {operation: ADD, value: {name: a, typed_config: {}}}".to_owned(), "patch.value.typed_config.@type: is missing"),
        ("applyTo: HTTP_FILTER, patch: {operation: ADD, value: {name: a, typed_config: {'@type': Wasm}}}".to_owned(), "patch.value.typed_config.@type: \"Wasm\" is not a type"),
        (format!("applyTo: HTTP_FILTER, patch: {{operation: ADD, value: {{{FILTER_VALUE}, optional: true}}}}"), "patch.value.optional: is not a field of a filter"),
        (format!("applyTo: NETWORK_FILTER, patch: {{operation: MERGE, value: {{{FILTER_VALUE}, config_discovery: {{}}}}}}"), "patch.value.config_discovery: is not merged into a filter; allowed: name, typed_config"),
        ("applyTo: CLUSTER, patch: {operation: MERGE, value: {transport_socket: {name: a}, type: EDS}}".to_owned(), "patch.value.transport_socket: stands beside other fields"),
        ("applyTo: BOOTSTRAP, patch: {operation: MERGE, value: {stats_config: {stats_tags: [], statsTags: []}}}".to_owned(), "patch.value.stats_config.statsTags: stands twice: it is another spelling of `stats_tags`"),
        ("applyTo: CLUSTER, apply_to: CLUSTER, patch: {operation: REMOVE}".to_owned(), "apply_to: stands twice: it is another spelling of `applyTo`"),
    ];
    for (patch, expected) in cases {
        let found = problem(&with_patches(&[&format!("{{{patch}}}")]));
        let expected = format!("a.yaml:7: spec.configPatches[0].{expected}");
        assert!(found.starts_with(&expected), "\nfound    {found}\nexpected {expected}");
    }
}

#[test]
fn each_target_takes_only_the_operations_that_do_something() {
    use crate::resource::Named;
    for (target, apply_to) in ApplyTo::ALL {
        for (name, operation) in Operation::ALL {
            let value = match operation {
                Operation::Remove => "",
                _ => ", value: {name: n, filters: [a], typed_config: {'@type': a/b}}",
            };
            let text = with_patches(&[&format!("{{applyTo: {target}, patch: {{operation: {name}{value}}}}}")]);
            let refused = read(&text)
                .err()
                .unwrap_or_default()
                .iter()
                .any(|problem| problem.contains(&format!("\"{name}\" cannot be used with {target}; allowed: ")));
            assert_eq!(!refused, rules::operations(*apply_to).contains(operation), "{target} {name}");
        }
    }
}

#[test]
fn files_and_directories_are_loaded_in_order_of_name() {
    let directory = std::env::temp_dir().join(format!("envoy-filter-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let patch = ["{applyTo: CLUSTER, patch: {operation: REMOVE}}"];
    for (file, name) in [("b.yaml", "second"), ("a.yml", "first")] {
        let text = with_patches(&patch).replace("stats", name);
        fs::write(directory.join(file), text).unwrap();
    }
    fs::write(directory.join("README.md"), "not a resource").unwrap();
    let loaded = load(std::slice::from_ref(&directory));
    let missing = load(&[directory.join("none.yaml")]);
    fs::remove_dir_all(&directory).unwrap();

    let names: Vec<String> = loaded.unwrap().into_iter().map(|filter| filter.name).collect();
    assert_eq!(names, ["first", "second"]);
    assert!(missing.unwrap_err()[0].to_string().contains("none.yaml: cannot be read: "));
}
