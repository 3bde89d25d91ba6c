//! The files for Kubernetes in a release.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpStream;
use std::path::PathBuf;

use catalog::{ConfigMap, FILTERS};
use e2e::wait::WAIT;
use envoy_filter::{FailStrategy, Mode, Phase, WasmPlugin, MODULES};
use local_mesh::application::ask;
use local_mesh::attach::{bootstrap_config_map, Attachment, BOOTSTRAP_CONFIG_MAP, BOOTSTRAP_CONFIG_MAP_OF_ALL};
use local_mesh::config::{Files as Paths, SidecarConfig};
use local_mesh::{stats_tags, tools, Mesh, Options, Request, Sample, Topology};
use release::files;
use serde_json::{json, Value};

use super::packed::release;
use super::{run, yaml, Scratch};

/// Kubernetes' limit for the content of a ConfigMap.
const LARGEST: usize = catalog::CONFIG_MAP_LIMIT;

const PAIR: &str = "
name: pair
workloads:
  - { name: client, app: client, address: 127.1.0.1, calls: [server], labels: { remixer: enabled } }
  - { name: server, app: server, address: 127.1.0.2, labels: { remixer: enabled } }
services:
  - { name: server, port: 9080, protocol: http }
";

fn file(name: &str) -> String {
    String::from_utf8(release()[&format!("kubernetes/{name}")].clone()).unwrap()
}

/// A directory as rendered by kubectl, by kind; `None` if kubectl is not installed.
fn rendered(directory: &str) -> Option<BTreeMap<String, Vec<String>>> {
    let scratch = Scratch::new();
    files::write(release(), &scratch.0.join("release")).unwrap();
    of_directory(&scratch, &format!("release/kubernetes/{directory}"))
}

fn of_directory(scratch: &Scratch, directory: &str) -> Option<BTreeMap<String, Vec<String>>> {
    let all = run("kubectl", &["kustomize", directory], &scratch.0)?;
    let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for document in all.split("\n---\n") {
        kinds.entry(yaml(document)["kind"].as_str().unwrap().to_owned()).or_default().push(document.to_owned());
    }
    Some(kinds)
}

/// Applies resources to Istio-shaped configurations of all of Bookinfo's proxies, with Istio's own filters. Each patch must
/// change something. Without the label, no patch applies.
fn apply(filters: &[String]) {
    applied(&beside_istios(filters), true).0.check_used().unwrap();
    assert!(!applied(filters, false).1);
}

fn beside_istios(filters: &[String]) -> Vec<String> {
    istios().into_iter().chain(filters.iter().cloned()).collect()
}

/// What was applied, and whether it has changed anything.
fn applied(filters: &[String], labelled: bool) -> (Attachment, bool) {
    let topology = Topology::bookinfo().unwrap();
    let options = Options { patches: filters.to_vec(), ..Options::default() };
    let mut attachment = Attachment::load(&options).unwrap();
    let mut has_changed = false;
    for workload in &topology.workloads {
        let mut workload = workload.clone();
        if labelled {
            workload.labels.insert("remixer".to_owned(), "enabled".to_owned());
        }
        let paths = Paths { directory: PathBuf::from("/x"), pki: PathBuf::from("/x") };
        let plain = SidecarConfig::plain(&topology, &workload, &paths);
        let mut config = plain.clone();
        attachment.apply(&workload, &mut config).unwrap();
        has_changed |= config != plain;
    }
    (attachment, has_changed)
}

/// Stand-ins for Istio's own filters, with their names and positions: one removes the headers of metadata exchange, the
/// others do nothing.
fn istios() -> Vec<String> {
    let [header, id] = ["x-envoy-peer-metadata", "x-envoy-peer-metadata-id"].map(|name| json!({"remove": name}));
    let http = |name: &str, mutations: Value| {
        let kind = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";
        first("ANY", &json!({"name": name, "typed_config": {"@type": kind, "mutations": mutations}}))
    };
    let removals = json!({"request_mutations": [header, id], "response_mutations": [header, id]});
    let kind = "type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit";
    let network = json!({
        "applyTo": "NETWORK_FILTER",
        "match": {"listener": {"filterChain": {"filter": {"name": "envoy.filters.network.tcp_proxy"}}}},
        "patch": {"operation": "INSERT_BEFORE", "value": {
            "name": "istio.stats",
            "typed_config": {"@type": kind, "stat_prefix": "stand_in", "max_connections": 10000},
        }},
    });
    let patches = [http("istio.metadata_exchange", removals), http("istio.stats", json!({})), network];
    patches.iter().map(|patch| local_mesh::envoy_filter(&patch.to_string())).collect()
}

/// A patch that inserts an HTTP filter before all others.
fn first(context: &str, filter: &Value) -> Value {
    let chain = json!({"filter": {"name": "envoy.filters.network.http_connection_manager"}});
    json!({
        "applyTo": "HTTP_FILTER",
        "match": {"context": context, "listener": {"filterChain": chain}},
        "patch": {"operation": "INSERT_FIRST", "value": filter},
    })
}

/// The files of a ConfigMap, according to the catalog.
fn modules_of(config_map: ConfigMap) -> Vec<String> {
    let mut files: Vec<String> = catalog::modules_in(config_map).map(catalog::Module::file).collect();
    files.sort_unstable();
    files
}

/// The content of a ConfigMap: number of bytes, and names.
fn content(config_map: &str) -> (usize, Vec<String>) {
    let data = yaml(config_map)["binaryData"].as_object().unwrap().clone();
    let length = |text: &Value| text.as_str().unwrap().chars().filter(|c| c.is_ascii_graphic()).count() * 3 / 4;
    (data.values().map(length).sum(), data.keys().cloned().collect())
}

#[test]
fn the_directory_renders_the_filters_for_the_mesh_and_the_module_for_a_namespace() {
    let Some(kinds) = rendered(".") else { return };
    assert_eq!(kinds.keys().collect::<Vec<_>>(), ["ConfigMap", "EnvoyFilter"]);
    apply(&kinds["EnvoyFilter"]);
    let [modules, bootstrap, of_all] = kinds["ConfigMap"].as_slice() else { panic!("{:?}", kinds["ConfigMap"]) };
    let (bytes, names) = content(modules);
    assert!(bytes < LARGEST && names == modules_of(ConfigMap::Default), "{bytes} {names:?}");
    assert_eq!(yaml(modules)["metadata"]["name"], "remixer");
    for (map, name, path) in [
        (bootstrap, BOOTSTRAP_CONFIG_MAP, "bootstrap/custom_bootstrap.json"),
        (of_all, BOOTSTRAP_CONFIG_MAP_OF_ALL, "bootstrap/all/custom_bootstrap.json"),
    ] {
        let map = yaml(map);
        assert_eq!(
            (&map["metadata"]["name"], &map["data"]),
            (&json!(name), &json!({"custom_bootstrap.json": file(path)}))
        );
    }
    let mut in_namespace = rendered("modules").unwrap().remove("ConfigMap").unwrap();
    in_namespace.sort_unstable_by_key(|text| yaml(text)["metadata"]["name"].as_str().unwrap().len());
    for (one, other) in kinds["ConfigMap"].iter().zip(&in_namespace) {
        let (mut one, other) = (yaml(one), yaml(other));
        one["metadata"].as_object_mut().unwrap().remove("namespace");
        assert!(one == other, "modules/ has the same");
    }
    for text in &kinds["EnvoyFilter"] {
        for path in text.lines().filter_map(|line| line.trim().strip_prefix("filename: ")) {
            assert_eq!(path, format!("{MODULES}remixer.wasm"));
        }
    }
}

/// Istio's exchange removes the headers before ours sees them: from requests if it comes before ours, from responses if it
/// comes after ours.
#[test]
fn istios_own_filters_are_taken_out_of_proxies_that_have_ours() {
    let scratch = Scratch::new();
    let ours = from_files(&scratch, &[file("filters/telemetry.yaml")], |config| vec![config]);
    for (instead, app) in [(None, "unknown"), (Some(file("istio/instead-of-istio.yaml")), "server")] {
        let patches = istios().into_iter().chain(ours.clone()).chain(instead).collect();
        let mesh = start(PAIR, patches);
        request(&mesh);
        let samples = counted(&mesh, "istio_requests_total");
        assert!(samples[0].has(&[("reporter", "source"), ("destination_app", app)]), "{samples:?}");
    }
}

#[test]
fn values_for_istio_have_the_labels_that_the_module_writes() {
    let labels = stats_tags::extra_stat_tags(&[b""]).unwrap();
    let labels: Vec<Value> = labels.split(',').map(|label| json!(label)).collect();
    let values = yaml(&file("istio/values.yaml"));
    assert_eq!(values["meshConfig"]["defaultConfig"]["extraStatTags"], json!(labels));
    let operator = yaml(&file("istio/operator.yaml"))["spec"].clone();
    assert_eq!(operator["meshConfig"], values["meshConfig"]);
    for part in ["telemetry", "pilot"] {
        assert_eq!(operator["values"][part], values[part], "{part}");
    }
    assert_eq!(values["telemetry"], json!({"v2": {"enabled": false}}));
}

#[test]
fn components_mount_the_module_into_sidecars_and_gateways_and_add_the_single_ones() {
    let scratch = Scratch::new();
    files::write(release(), &scratch.0.join("release")).unwrap();
    let deployment = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: mine }
spec:
  selector: { matchLabels: { app: mine } }
  template:
    metadata: { labels: { app: mine } }
    spec: { containers: [ { name: istio-proxy, image: auto } ] }";
    let mine = |components: &str| {
        let components: Vec<String> =
            components.split(' ').map(|name| format!("../release/kubernetes/{name}")).collect();
        let all = format!("resources: [deployment.yaml]\ncomponents: [{}]\n", components.join(", "));
        files::put(&scratch.0.join("mine/kustomization.yaml"), all.as_bytes()).unwrap();
        files::put(&scratch.0.join("mine/deployment.yaml"), deployment.as_bytes()).unwrap();
        of_directory(&scratch, "mine")
    };
    let Some(kinds) = mine("workload") else { return };
    let template = yaml(&kinds["Deployment"][0])["spec"]["template"].clone();
    assert_eq!(template["metadata"]["labels"], json!({"app": "mine", "remixer": "enabled"}));
    let annotation = |name: &str| -> Value {
        let text = &template["metadata"]["annotations"][format!("sidecar.istio.io/{name}")];
        serde_json::from_str(text.as_str().unwrap()).unwrap()
    };
    let overrides = &template["metadata"]["annotations"]["sidecar.istio.io/bootstrapOverride"];
    assert_eq!(overrides, BOOTSTRAP_CONFIG_MAP);
    let only_labelled = &yaml(&mine("label").unwrap()["Deployment"][0])["spec"]["template"]["metadata"];
    assert_eq!(only_labelled["labels"], template["metadata"]["labels"]);
    assert_eq!(only_labelled["annotations"], json!({"sidecar.istio.io/bootstrapOverride": BOOTSTRAP_CONFIG_MAP}));
    for before in ["workload", "label"] {
        let with_rules = &yaml(&mine(&format!("{before} all-labels")).unwrap()["Deployment"][0])["spec"]["template"];
        let mut expected = yaml(&mine(before).unwrap()["Deployment"][0])["spec"]["template"].clone();
        expected["metadata"]["annotations"]["sidecar.istio.io/bootstrapOverride"] = json!(BOOTSTRAP_CONFIG_MAP_OF_ALL);
        assert_eq!(*with_rules, expected, "{before}");
    }
    // Istio's template creates a volume for each entry, with the key as its name.
    assert_eq!(annotation("userVolume"), json!({"remixer": {"configMap": {"name": "remixer"}}}));
    let mounted = json!({"remixer": {"mountPath": MODULES.trim_end_matches('/'), "readOnly": true}});
    assert_eq!(annotation("userVolumeMount"), mounted);

    let gateway = yaml(&mine("gateway").unwrap()["Deployment"][0])["spec"]["template"].clone();
    assert_eq!(gateway["metadata"]["labels"], json!({"app": "mine", "remixer": "enabled"}));
    let gateway = gateway["spec"].clone();
    let volumes = ["remixer", BOOTSTRAP_CONFIG_MAP].map(|name| json!({"name": name, "configMap": {"name": name}}));
    assert_eq!(gateway["volumes"], json!(volumes));
    let [proxy] = gateway["containers"].as_array().unwrap().as_slice() else { panic!("{gateway}") };
    assert_eq!(proxy["image"], "auto");
    assert_eq!(proxy["volumeMounts"][0]["mountPath"], MODULES.trim_end_matches('/'));
    // Istio's template for gateways supports the annotation since 1.27; its agent has always supported the variable.
    assert_eq!(proxy["env"][0]["name"], "ISTIO_BOOTSTRAP_OVERRIDE");
    let path = format!("{}/custom_bootstrap.json", proxy["volumeMounts"][1]["mountPath"].as_str().unwrap());
    assert_eq!(proxy["env"][0]["value"], path);

    let all = "resources: [filter.yaml]\ncomponents: [../release/kubernetes/only-labelled]\n";
    files::put(&scratch.0.join("mine/kustomization.yaml"), all.as_bytes()).unwrap();
    let separate = &release()["envoy/separate/stats.yaml"];
    files::put(&scratch.0.join("mine/filter.yaml"), separate).unwrap();
    let labelled = yaml(&of_directory(&scratch, "mine").unwrap()["EnvoyFilter"][0]);
    assert_eq!(labelled["spec"]["workloadSelector"], json!({"labels": {"remixer": "enabled"}}));

    let single = mine("single-modules").unwrap();
    let (bytes, names) = content(&single["ConfigMap"][0]);
    assert!(bytes < LARGEST, "{bytes}");
    // Each built module is in one of the two.
    assert_eq!(names, modules_of(ConfigMap::Single));
    let built: BTreeSet<&str> = release().keys().filter_map(|name| name.strip_prefix("modules/")).collect();
    let mounted = modules_of(ConfigMap::Default).into_iter().chain(names);
    assert_eq!(built, mounted.collect::<BTreeSet<_>>().iter().map(String::as_str).collect());
}

/// A mesh with the configuration that Istio would generate: all patches except those for the bootstrap, and the file that
/// is merged into the bootstrap.
fn start(topology: &str, patches: Vec<String>) -> Mesh {
    start_with(tools::ENVOY_VERSION, topology, patches)
}

/// The same with this version of Envoy.
fn start_with(envoy: &str, topology: &str, patches: Vec<String>) -> Mesh {
    start_under("bootstrap/custom_bootstrap.json", envoy, topology, patches)
}

/// The same with this file merged into the bootstrap.
fn start_under(bootstrap: &str, envoy: &str, topology: &str, patches: Vec<String>) -> Mesh {
    let bootstrap_override = Some(file(bootstrap));
    let options = Options { patches, bootstrap_override, envoy_version: Some(envoy.to_owned()), ..Options::default() };
    Mesh::start(Topology::parse(topology).unwrap(), options).unwrap()
}

/// A release contains no bootstrap patch in its EnvoyFilters for Istio: Istio would accept it without any effect.
#[test]
fn what_is_for_the_bootstrap_is_in_the_file_that_istio_merges() {
    let files = release().iter().filter(|(name, _)| name.starts_with("kubernetes/"));
    for (name, content) in files {
        assert!(!String::from_utf8_lossy(content).contains("applyTo: BOOTSTRAP"), "{name}");
    }
    for (path, name, is_for) in [
        ("bootstrap/custom_bootstrap.json", BOOTSTRAP_CONFIG_MAP, (|name| name == "stats") as fn(&str) -> bool),
        ("bootstrap/all/custom_bootstrap.json", BOOTSTRAP_CONFIG_MAP_OF_ALL, |_| true),
    ] {
        let merged: Value = serde_json::from_str(&file(path)).unwrap();
        let tags = merged["stats_config"]["stats_tags"].as_array().unwrap();
        let of_file = || FILTERS.iter().filter(|filter| is_for(filter.name));
        let labels: BTreeSet<&str> =
            labels::names().into_iter().chain(of_file().flat_map(catalog::Filter::labels)).collect();
        let found: BTreeSet<&str> = tags.iter().filter_map(|tag| tag["tag_name"].as_str()).collect();
        assert_eq!((found, tags.len()), (labels.clone(), labels.len()), "{path}: each once");
        let files: Vec<PathBuf> = of_file().filter_map(|f| Some(tools::filters().join(f.bootstrap?))).collect();
        let map = yaml(&bootstrap_config_map(name, &files).unwrap());
        assert_eq!(map["metadata"]["name"], name);
        let printed: Value = serde_json::from_str(map["data"]["custom_bootstrap.json"].as_str().unwrap()).unwrap();
        assert_eq!(printed["layered_runtime"], merged["layered_runtime"]);
        assert_eq!(printed["stats_config"]["stats_tags"].as_array().unwrap().len(), tags.len());
        assert_eq!(merged["layered_runtime"]["layers"][0]["name"] == "remixer_shadow", is_for("shadow"));
    }
}

/// The counts of one request or connection on both sides.
fn counted(mesh: &Mesh, metric: &str) -> Vec<Sample> {
    let sidecar = |workload: &str| mesh.sidecar(workload).unwrap();
    let found = |samples: &[Sample]| samples.iter().find(|s| s.name == metric).cloned();
    ["client", "server"].iter().map(|w| sidecar(w).wait_for_stats(metric, WAIT, found).unwrap()).collect()
}

fn request(mesh: &Mesh) {
    let to = mesh.sidecar("client").unwrap().outbound();
    let answer = mesh.client().send(&Request::get(to, "/status/200").host("server:9080")).unwrap();
    assert_eq!(answer.status, 200);
}

fn check_labels(samples: &[Sample]) {
    for (sample, reporter) in samples.iter().zip(["source", "destination"]) {
        let labels = [("reporter", reporter), ("source_workload", "client"), ("destination_workload", "server")];
        assert!(sample.value == 1.0 && sample.has(&labels), "{sample:?}");
    }
}

/// Extension configurations as Istio's agent gives them to proxies: the module that is mounted, or that with the configured
/// digest, in a file.
fn fetched(filters: &[String]) -> Vec<Value> {
    let mut configs = Vec::new();
    for filter in filters {
        let patches = yaml(filter)["spec"]["configPatches"].as_array().unwrap().clone();
        for mut patch in patches.into_iter().filter(|patch| patch["applyTo"] == "EXTENSION_CONFIG") {
            let mut config = patch["patch"]["value"].take();
            let code = config.pointer_mut("/typed_config/config/vm_config/code").unwrap();
            let (remote, mounted) = (code["remote"].take(), code["local"]["filename"].take());
            let module = match mounted.as_str() {
                Some(path) => path.strip_prefix(MODULES).unwrap(),
                None => remote["http_uri"]["uri"].as_str().unwrap().rsplit('/').next().unwrap(),
            };
            if mounted.is_null() {
                let served = &release()[&format!("kubernetes/remote/server/{module}")];
                assert_eq!(remote["sha256"], files::sha256(served), "{remote}");
            }
            *code = json!({"local": {"filename": tools::dist().join(module)}});
            let extension = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
            config.as_object_mut().unwrap().insert("@type".to_owned(), json!(extension));
            configs.push(config);
        }
    }
    configs
}

/// The EnvoyFilters with each extension configuration in a file of its own, instead of from the agent. `resources` makes what
/// is in the file.
fn from_files(scratch: &Scratch, filters: &[String], resources: impl Fn(Value) -> Vec<Value>) -> Vec<String> {
    let path = |name: &str| scratch.0.join(format!("{name}.json"));
    for config in fetched(filters) {
        let name = config["name"].as_str().unwrap().to_owned();
        let content = json!({"version_info": "1", "resources": resources(config)}).to_string();
        let new = scratch.0.join("new");
        files::put(&new, content.as_bytes()).unwrap();
        std::fs::rename(&new, path(&name)).unwrap(); // which a proxy that runs notices
    }
    let from_file = |filter: &String| {
        let mut filter = yaml(filter);
        for patch in filter["spec"]["configPatches"].as_array_mut().unwrap() {
            let value = &mut patch["patch"]["value"];
            let file = path(value["name"].as_str().unwrap_or_default());
            if let Some(source) = value.pointer_mut("/config_discovery/config_source").and_then(Value::as_object_mut) {
                source.remove("ads").unwrap();
                source.insert("path_config_source".to_owned(), json!({"path": file}));
            }
        }
        filter.to_string()
    };
    filters.iter().map(from_file).collect()
}

fn connect(mesh: &Mesh) {
    let mut connection = TcpStream::connect(mesh.sidecar("client").unwrap().address(9080)).unwrap();
    ask(&mut connection).unwrap();
}

#[test]
fn where_a_module_cannot_be_had_traffic_passes() {
    for directory in ["remote", "filters"] {
        where_modules_of_cannot_be_had(directory);
    }
}

fn where_modules_of_cannot_be_had(directory: &str) {
    let [telemetry, tcp] = ["telemetry", "tcp-stats"].map(|name| file(&format!("{directory}/{name}.yaml")));
    let [fault, shadow] =
        [("fault-outbound", TEAPOT), ("shadow", MIRROR)].map(|(name, rules)| with_rules(directory, name, rules));
    let filters = [telemetry, tcp, fault, shadow];
    let scratch = Scratch::new();
    files::put(&scratch.0.join("broken.wasm"), b"\0asm\x01\0\0\0broken").unwrap();
    let with_module = |name: &'static str| {
        let file = scratch.0.join(name);
        move |mut config: Value| {
            *config.pointer_mut("/typed_config/config/vm_config/code/local/filename").unwrap() = json!(file);
            vec![config]
        }
    };
    let (missing, broken) = (with_module("none.wasm"), with_module("broken.wasm"));
    for envoy in tools::ENVOY_VERSIONS {
        for cause in ["nothing comes", "there is no module", "the module is broken"] {
            let patches = from_files(&scratch, &filters, |config| match cause {
                "nothing comes" => Vec::new(),
                "there is no module" => missing(config),
                _ => broken(config),
            });
            let mesh = start_with(envoy, PAIR, patches.clone());
            request(&mesh);
            let sidecar = mesh.sidecar("client").unwrap();
            assert!(sidecar.metric("istio_requests_total").unwrap().is_empty(), "{envoy}: {cause}");
            drop(mesh);
            connect(&start_with(envoy, &PAIR.replace("protocol: http", "protocol: tcp"), patches));
        }
    }
}

/// A file with rules, with these.
fn with_rules(directory: &str, name: &str, rules: &str) -> String {
    let text = file(&format!("{directory}/{name}.yaml"));
    let changed = text.replace("{\"http\": []}", rules);
    assert_ne!(changed, text, "{name} has no rules to replace");
    changed
}

const TEAPOT: &str = r#"{"http": [{"fault": {"abort": {"percentage": {"value": 100}, "httpStatus": 418}}}]}"#;
const MIRROR: &str = r#"{"http": [{"mirrors": [{"name": "m", "cluster": "none"}]}]}"#;

#[test]
fn faults_and_their_limits_are_the_same_under_both_bootstraps_and_that_of_all_makes_their_labels() {
    let once = TEAPOT.replace(r#"[{"fault""#, r#"[{"name": "tea", "maxInjections": 1, "fault""#);
    let scratch = Scratch::new();
    let patches = from_files(&scratch, &[with_rules("filters", "fault-outbound", &once)], |config| vec![config]);
    const METRIC: &str = "fault_aborts_injected_total";
    let in_name = format!("rule___tea___result___418___{METRIC}");
    let labels: &[(&str, &str)] = &[("rule", "tea"), ("result", "418")];
    for envoy in tools::ENVOY_VERSIONS {
        for (bootstrap, name, labels) in [("bootstrap/", in_name.as_str(), &[][..]), ("bootstrap/all/", METRIC, labels)]
        {
            let mesh = start_under(&format!("{bootstrap}custom_bootstrap.json"), envoy, PAIR, patches.clone());
            let client = mesh.sidecar("client").unwrap();
            let send = || mesh.client().send(&Request::get(client.outbound(), "/status/200").host("server:9080"));
            assert_eq!([send(), send()].map(|answer| answer.unwrap().status), [418, 200], "{bootstrap}");
            let found = |samples: &[Sample]| samples.iter().find(|sample| sample.name.ends_with(METRIC)).cloned();
            let counted = client.wait_for_stats(METRIC, WAIT, found).unwrap();
            assert!(counted.name == name && counted.value == 1.0 && counted.has(labels), "{bootstrap}: {counted:?}");
        }
    }
}

/// Envoy would take none of a proxy's configurations if two had the same name.
#[test]
fn no_two_filters_are_asked_for_by_one_name_and_copies_with_rules_work_beside_the_original() {
    for directory in ["remote", "filters"] {
        let prefix = format!("kubernetes/{directory}/");
        let names = release().keys().filter_map(|path| path.strip_prefix(&prefix));
        let names =
            names.filter(|path| path.ends_with(".yaml") && !path.contains('/') && *path != "kustomization.yaml");
        let files: Vec<String> = names.map(|path| file(&format!("{directory}/{path}"))).collect();
        assert!(files.len() > 8, "{directory}: {}", files.len());
        let copies = files.iter().filter(|text| text.contains("{\"http\": []}"));
        let copies: Vec<String> = copies.map(|text| text.replace("&name remixer-", "&name my-")).collect();
        let all: Vec<String> = files.into_iter().chain(copies).collect();
        let names: Vec<String> =
            fetched(&all).iter().map(|config| config["name"].as_str().unwrap().to_owned()).collect();
        let unique: BTreeSet<&String> = names.iter().collect();
        assert_eq!(unique.len(), names.len(), "{directory}: {names:?}");
        assert!(names.iter().filter(|name| name.starts_with("my-")).count() == 6, "{directory}: {names:?}");

        let tea = with_rules(directory, "fault-outbound", TEAPOT);
        let match_path = r#"{"http": [{"match": [{"uri": {"prefix": "/legal"}}], "fault""#;
        let legal = with_rules(directory, "fault-outbound", &TEAPOT.replace(r#"{"http": [{"fault""#, match_path));
        let legal = legal.replace("418", "451").replace("&name remixer-fault-outbound", "&name my-faults");
        let scratch = Scratch::new();
        // The later one stands nearer to Envoy's own filter of that name.
        let mesh = start(PAIR, from_files(&scratch, &[legal, tea], |config| vec![config]));
        let to = mesh.sidecar("client").unwrap().outbound();
        for (path, status) in [("/legal", 451), ("/", 418)] {
            let answer = mesh.client().send(&Request::get(to, path).host("server:9080")).unwrap();
            assert_eq!(answer.status, status, "{directory}: {path}");
        }
    }
}

#[test]
fn a_wrong_configuration_that_is_fetched_leaves_the_last_valid_one_and_a_proxy_that_starts_takes_traffic() {
    let filters = [file("remote/telemetry.yaml")];
    let scratch = Scratch::new();
    let configured = |json: &'static str| {
        move |mut config: Value| {
            *config.pointer_mut("/typed_config/config/configuration/value").unwrap() = json!(json);
            vec![config]
        }
    };
    let gauges = |mesh: &Mesh| {
        let sidecar = mesh.sidecar("client").unwrap();
        sidecar.counts("remixer_configuration_refused", &["component"]).unwrap().get("telemetry_outbound").copied()
    };
    let wait_for = |mesh: &Mesh, gauge| local_mesh::wait_until(WAIT, || gauges(mesh) == Some(gauge)).unwrap();
    let (good, bad) = (r#"{"stats": {"max_series": 100}}"#, r#"{"stats": {"max_series": 7}}"#);
    for envoy in tools::ENVOY_VERSIONS {
        let mesh = start_with(envoy, PAIR, from_files(&scratch, &filters, configured(good)));
        request(&mesh);
        assert_eq!(counted(&mesh, "istio_requests_total")[0].value, 1.0);
        from_files(&scratch, &filters, configured(bad));
        wait_for(&mesh, 1);
        request(&mesh);
        local_mesh::wait_until(WAIT, || counted(&mesh, "istio_requests_total")[0].value == 2.0).unwrap();
        from_files(&scratch, &filters, configured(good));
        wait_for(&mesh, 0);
        drop(mesh);

        let mesh = start_with(envoy, PAIR, from_files(&scratch, &filters, configured(bad)));
        request(&mesh);
        wait_for(&mesh, 1);
        local_mesh::wait_until(WAIT, || !counted(&mesh, "istio_requests_total").is_empty()).unwrap();
    }
}

#[test]
fn proxies_ask_for_filters_whose_module_is_mounted_or_fetched_by_their_agent() {
    for directory in ["remote", "filters"] {
        proxies_ask_for_filters_of(directory);
    }
}

fn proxies_ask_for_filters_of(directory: &str) {
    let filters = ["telemetry", "tcp-stats"].map(|name| file(&format!("{directory}/{name}.yaml")));
    apply(&filters);
    assert_eq!(fetched(&filters).len(), filters.join("").matches("config_discovery:").count());
    let scratch = Scratch::new();
    let patches = from_files(&scratch, &filters, |config| vec![config]);
    let mesh = start(PAIR, patches.clone());
    request(&mesh);
    check_labels(&counted(&mesh, "istio_requests_total"));
    drop(mesh);

    let mesh = start(&PAIR.replace("protocol: http", "protocol: tcp"), patches);
    connect(&mesh);
    let samples = counted(&mesh, "istio_tcp_connections_closed_total");
    assert!(samples.iter().all(|sample| sample.value == 1.0), "{samples:?}");
}

#[test]
fn the_variant_without_mounts_renders_with_its_server() {
    let Some(filters) = rendered("remote") else { return };
    assert_eq!(filters.keys().collect::<Vec<_>>(), ["EnvoyFilter"]);
    apply(&filters["EnvoyFilter"]);
    assert!(filters["EnvoyFilter"].iter().all(|text| !text.contains("filename:")));
    let kinds = rendered("remote/server").unwrap();
    assert_eq!(kinds.keys().collect::<Vec<_>>(), SERVER);
    let name = yaml(&kinds["ConfigMap"][0])["metadata"]["name"].clone();
    let deployment = yaml(&kinds["Deployment"][0]);
    assert_eq!(deployment["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"], name);
    let service = yaml(&kinds["Service"][0]);
    let part = |name: &str| service["metadata"][name].as_str().unwrap().to_owned();
    let host = format!("http://{}.{}.svc.cluster.local/", part("name"), part("namespace"));
    assert!(filters["EnvoyFilter"].iter().any(|text| text.contains(&host)), "{host}");
    assert!(content(&kinds["ConfigMap"][0]).0 < LARGEST);
}

/// The kinds of what makes a server of modules.
const SERVER: [&str; 6] = ["ConfigMap", "Deployment", "Role", "RoleBinding", "Service", "ServiceAccount"];

#[test]
fn one_directory_attaches_every_proxy_and_brings_the_server() {
    let Some(mut kinds) = rendered("mesh") else { return };
    let filters = kinds.remove("EnvoyFilter").unwrap();
    assert_eq!(kinds.keys().collect::<Vec<_>>(), SERVER);
    applied(&beside_istios(&filters), false).0.check_used().unwrap();
    // The local mesh's proxies are of 1.31.
    let newer: Vec<String> = filters.iter().map(|text| text.replace(r"(1\.(3[1-9]|", r"(1\.(3[2-9]|")).collect();
    assert!(!applied(&newer, true).1, "versions before those named keep what they have");

    let labelled = rendered("labelled").unwrap().remove("EnvoyFilter").unwrap();
    apply(&labelled);
    for (labelled, filter) in labelled.iter().zip(&filters) {
        let mut labelled = yaml(labelled);
        let selector = labelled["spec"].as_object_mut().unwrap().remove("workloadSelector").unwrap();
        assert!(selector == json!({"labels": {"remixer": "enabled"}}) && labelled == yaml(filter));
    }
}

/// The server changes an annotation of an EnvoyFilter, once the module can be fetched.
#[test]
fn the_server_may_change_one_envoy_filter_which_all_have_that_fetch_from_it() {
    let Some(server) = rendered("remote/server") else { return };
    let rules = yaml(&server["Role"][0])["rules"].clone();
    let name = rules[0]["resourceNames"][0].as_str().unwrap();
    let allowed = json!([{
        "apiGroups": ["networking.istio.io"],
        "resources": ["envoyfilters"],
        "resourceNames": [name],
        "verbs": ["patch"],
    }]);
    assert_eq!(rules, allowed);
    let deployment = yaml(&server["Deployment"][0]);
    let script = deployment["spec"]["template"]["spec"]["containers"][1]["args"][0].as_str().unwrap();
    for directory in ["mesh", "labelled", "remote"] {
        let filters = rendered(directory).unwrap().remove("EnvoyFilter").unwrap();
        let path = |filter: &Value| {
            let [group, namespace] = [&filter["apiVersion"], &filter["metadata"]["namespace"]].map(Value::as_str);
            format!("/apis/{}/namespaces/{}/envoyfilters/{name}\n", group.unwrap(), namespace.unwrap())
        };
        let mut filters = filters.iter().map(|text| yaml(text)).filter(|filter| filter["metadata"]["name"] == name);
        let filter = filters.next().unwrap_or_else(|| panic!("{directory} has no {name}"));
        assert!(script.contains(&path(&filter)), "{directory}: {script}");
    }
    // istiod sees a change of metadata if the name of an annotation has this in it.
    assert!(script.contains("istio.io\\\": \\\"$(date)"), "{script}");
}

#[test]
fn what_one_directory_attaches_counts_without_any_bootstrap_and_without_the_module_traffic_passes() {
    let filters = ["telemetry", "tcp-stats"].map(|name| file(&format!("mesh/{name}.yaml")));
    assert_eq!(fetched(&filters).len(), filters.join("").matches("config_discovery:").count());
    let scratch = Scratch::new();
    let without_label = PAIR.replace(", labels: { remixer: enabled }", "");
    let start = |topology: &str, patches: &[String]| {
        let options = Options { patches: patches.to_vec(), ..Options::default() };
        Mesh::start(Topology::parse(topology).unwrap(), options).unwrap()
    };
    let of_connections = without_label.replace("protocol: http", "protocol: tcp");

    let patches = from_files(&scratch, &filters, |config| vec![config]);
    let mesh = start(&without_label, &patches);
    request(&mesh);
    check_labels(&counted(&mesh, "istio_requests_total"));
    drop(mesh);
    let mesh = start(&of_connections, &patches);
    connect(&mesh);
    let samples = counted(&mesh, "istio_tcp_connections_closed_total");
    assert!(samples.iter().all(|sample| sample.value == 1.0), "{samples:?}");
    drop(mesh);

    let patches = from_files(&scratch, &filters, |_| Vec::new());
    let mesh = start(&without_label, &patches);
    request(&mesh);
    assert!(mesh.sidecar("client").unwrap().metric("istio_requests_total").unwrap().is_empty());
    drop(mesh);
    connect(&start(&of_connections, &patches));
}

#[test]
fn wasm_plugins_are_sound_and_their_filters_work_where_istio_puts_them() {
    let plugins = WasmPlugin::parse("telemetry.yaml", &file("wasm-plugin/telemetry.yaml"))
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    let mut patches = Vec::new();
    for plugin in &plugins {
        assert_eq!((plugin.phase, plugin.fail_strategy), (Phase::Authn, FailStrategy::Open), "{}", plugin.name);
        let contexts: &[&str] = match plugin.modes.as_slice() {
            [Mode::Server] => &["SIDECAR_INBOUND"],
            [Mode::Client] => &["SIDECAR_OUTBOUND", "GATEWAY"],
            other => panic!("{}: {other:?}", plugin.name),
        };
        let filter = plugin.http_filter(&format!("{MODULES}remixer.wasm"));
        patches.extend(contexts.iter().map(|context| first(context, &filter)));
    }
    assert_eq!(patches.len(), 3, "both directions and gateways");
    let metadata = json!({"name": "plugins", "namespace": "istio-system"});
    let selector = yaml(file("wasm-plugin/telemetry.yaml").split("---").next().unwrap())["spec"]["selector"].clone();
    let spec = json!({"workloadSelector": {"labels": selector["matchLabels"]}, "configPatches": patches});
    let filter = json!({"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": metadata, "spec": spec});
    apply(&[filter.to_string()]);
    let mesh = start(PAIR, vec![filter.to_string()]);
    request(&mesh);
    check_labels(&counted(&mesh, "istio_requests_total"));

    let Some(kinds) = rendered("wasm-plugin") else { return };
    assert_eq!(kinds.keys().collect::<Vec<_>>(), ["EnvoyFilter", "WasmPlugin"]);
    assert_eq!(kinds["WasmPlugin"].len(), plugins.len());
}
