//! The files for Kubernetes, as a release has them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use envoy_filter::{FailStrategy, Mode, Phase, WasmPlugin};
use mesh::attach::Attachment;
use mesh::config::{Files as Paths, SidecarConfig, MODULES};
use mesh::{stats_tags, Mesh, Options, RawServer, Request, Sample, Topology};
use release::files;
use serde_json::{json, Value};

use super::packed::release;
use super::{run, yaml, Scratch};

/// The limit of Kubernetes for what is in a ConfigMap.
const LARGEST: usize = 1024 * 1024;

const PAIR: &str = "
name: pair
workloads:
  - { name: client, app: client, address: 127.1.0.1, calls: [server] }
  - { name: server, app: server, address: 127.1.0.2 }
services:
  - { name: server, port: 9080, protocol: http }
";

/// The longest that a count may take to appear.
const WAIT: Duration = Duration::from_secs(10);

fn file(name: &str) -> String {
    String::from_utf8(release()[&format!("kubernetes/{name}")].clone()).unwrap()
}

/// What kubectl makes of a directory, by kind; None where it is not installed.
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

/// Applies resources to Istio-shaped configurations of all of Bookinfo's proxies; each patch must change something.
fn apply(filters: &[String]) {
    let topology = Topology::bookinfo().unwrap();
    let options = Options { patches: filters.to_vec(), ..Options::default() };
    let mut attachment = Attachment::load(&options).unwrap();
    for workload in &topology.workloads {
        let paths = Paths { directory: PathBuf::from("/x"), pki: PathBuf::from("/x") };
        let mut config = SidecarConfig::plain(&topology, workload, &paths);
        attachment.apply(workload, &mut config).unwrap();
    }
    attachment.check_used().unwrap();
}

/// How many bytes are in a ConfigMap, and under which names.
fn content(config_map: &str) -> (usize, Vec<String>) {
    let data = yaml(config_map)["binaryData"].as_object().unwrap().clone();
    let length = |text: &Value| text.as_str().unwrap().chars().filter(|c| c.is_ascii_graphic()).count() * 3 / 4;
    (data.values().map(length).sum(), data.keys().cloned().collect())
}

#[test]
fn the_directory_renders_the_filters_for_the_mesh_and_the_module_for_a_namespace() {
    let Some(kinds) = rendered(".") else { return };
    assert_eq!(kinds.keys().collect::<Vec<_>>(), ["ConfigMap", "EnvoyFilter", "Telemetry"]);
    apply(&kinds["EnvoyFilter"]);
    let [config_map] = kinds["ConfigMap"].as_slice() else { panic!("{:?}", kinds["ConfigMap"]) };
    let (bytes, names) = content(config_map);
    assert!(bytes < LARGEST && names == ["remixer.wasm"], "{bytes} {names:?}");
    assert_eq!(yaml(config_map)["metadata"]["name"], "remixer");
    for text in &kinds["EnvoyFilter"] {
        for path in text.lines().filter_map(|line| line.trim().strip_prefix("filename: ")) {
            assert_eq!(path, format!("{MODULES}remixer.wasm"));
        }
    }
}

#[test]
fn istios_own_metrics_are_switched_off_whole() {
    let spec = yaml(&file("istio/telemetry-off.yaml"))["spec"].clone();
    let off = json!({"metrics": [{"providers": [{"name": "prometheus"}], "overrides": [{"disabled": true}]}]});
    assert_eq!(spec, off);
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
    let mine = |component: &str| {
        let all = format!("resources: [deployment.yaml]\ncomponents: [../release/kubernetes/{component}]\n");
        files::put(&scratch.0.join("mine/kustomization.yaml"), all.as_bytes()).unwrap();
        files::put(&scratch.0.join("mine/deployment.yaml"), deployment.as_bytes()).unwrap();
        of_directory(&scratch, "mine")
    };
    let Some(kinds) = mine("workload") else { return };
    let template = yaml(&kinds["Deployment"][0])["spec"]["template"].clone();
    let annotation = |name: &str| -> Value {
        let text = &template["metadata"]["annotations"][format!("sidecar.istio.io/{name}")];
        serde_json::from_str(text.as_str().unwrap()).unwrap()
    };
    // Istio's template makes a volume of each entry, and takes its key for the name.
    assert_eq!(annotation("userVolume"), json!({"remixer": {"configMap": {"name": "remixer"}}}));
    let mounted = json!({"remixer": {"mountPath": MODULES.trim_end_matches('/'), "readOnly": true}});
    assert_eq!(annotation("userVolumeMount"), mounted);

    let gateway = yaml(&mine("gateway").unwrap()["Deployment"][0])["spec"]["template"]["spec"].clone();
    assert_eq!(gateway["volumes"], json!([{"name": "remixer", "configMap": {"name": "remixer"}}]));
    let [proxy] = gateway["containers"].as_array().unwrap().as_slice() else { panic!("{gateway}") };
    assert_eq!(proxy["image"], "auto");
    assert_eq!(proxy["volumeMounts"][0]["mountPath"], MODULES.trim_end_matches('/'));

    let single = mine("single-modules").unwrap();
    let (bytes, names) = content(&single["ConfigMap"][0]);
    assert!(bytes < LARGEST, "{bytes}");
    let built = release().keys().filter_map(|name| name.strip_prefix("modules/")).filter(|n| *n != "remixer.wasm");
    assert_eq!(names, built.collect::<Vec<_>>());
}

/// A server of one file, for any path.
fn serve(address: SocketAddr, content: Vec<u8>) -> RawServer {
    let answer = move |mut stream: TcpStream| {
        let mut request = [0; 4096];
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", content.len());
        if stream.read(&mut request).is_ok() {
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&content));
        }
    };
    RawServer::start(address, answer).unwrap()
}

/// What both sides of one request counted of it.
fn counted(mesh: &Mesh) -> Vec<Sample> {
    let sidecar = |workload: &str| mesh.sidecar(workload).unwrap();
    let found = |samples: &[Sample]| samples.iter().find(|s| s.name == "istio_requests_total").cloned();
    let both = ["client", "server"];
    both.iter().map(|w| sidecar(w).wait_for_stats("istio_requests_total", WAIT, found).unwrap()).collect()
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

/// The resources of `remote/`, with a server here in place of the one in the cluster.
fn remote_filters(server: SocketAddr) -> Vec<String> {
    let names = ["cluster", "stats-bootstrap", "telemetry", "tcp-metadata-exchange-inbound", "tcp-stats"];
    let here = |text: String| {
        text.replace("type: STRICT_DNS", "type: STATIC")
            .replace("address: remixer.istio-system.svc.cluster.local", &format!("address: {}", server.ip()))
            .replace("port_value: 80\n", &format!("port_value: {}\n", server.port()))
    };
    names.iter().map(|name| here(file(&format!("remote/{name}.yaml")))).collect()
}

#[test]
fn proxies_fetch_a_module_with_the_right_digest_and_go_on_without_one() {
    let module = release()["modules/remixer.wasm"].clone();
    for (last, is_right) in [(1, true), (2, false)] {
        let server = SocketAddr::from((Ipv4Addr::new(127, 26, 0, last), 8099));
        let mut content = module.clone();
        content.extend(if is_right { &b""[..] } else { b"\0\x02\x01x" }); // one more section, so that it is a module still
        let _server = serve(server, content);
        let options = Options { patches: remote_filters(server), ..Options::default() };
        let mesh = Mesh::start(Topology::parse(PAIR).unwrap(), options).unwrap();
        request(&mesh);
        match is_right {
            true => check_labels(&counted(&mesh)),
            false => {
                let client = mesh.sidecar("client").unwrap();
                mesh::wait_until(WAIT, || client.log().contains("remixer.wasm")).unwrap();
                assert_eq!(client.metric("istio_requests_total").unwrap(), []);
            }
        }
    }
}

#[test]
fn the_variant_without_mounts_renders_with_its_server() {
    let Some(kinds) = rendered("remote") else { return };
    let found: Vec<&String> = kinds.keys().collect();
    assert_eq!(found, ["ConfigMap", "Deployment", "EnvoyFilter", "Service", "Telemetry"]);
    apply(&kinds["EnvoyFilter"]);
    assert!(kinds["EnvoyFilter"].iter().all(|text| !text.contains("filename:")));
    let name = yaml(&kinds["ConfigMap"][0])["metadata"]["name"].clone();
    let deployment = yaml(&kinds["Deployment"][0]);
    assert_eq!(deployment["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"], name);
    let service = yaml(&kinds["Service"][0]);
    let host = format!(
        "{}.{}.svc.cluster.local",
        service["metadata"]["name"].as_str().unwrap(),
        service["metadata"]["namespace"].as_str().unwrap()
    );
    assert!(kinds["EnvoyFilter"].iter().any(|text| text.contains(&format!("address: {host}\n"))), "{host}");
    assert!(content(&kinds["ConfigMap"][0]).0 < LARGEST);
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
        patches.extend(contexts.iter().map(|context| {
            let chain = json!({"filter": {"name": "envoy.filters.network.http_connection_manager"}});
            json!({
                "applyTo": "HTTP_FILTER",
                "match": {"context": context, "listener": {"filterChain": chain}},
                "patch": {"operation": "INSERT_FIRST", "value": filter},
            })
        }));
    }
    assert_eq!(patches.len(), 3, "both directions and gateways");
    let metadata = json!({"name": "plugins", "namespace": "istio-system"});
    let spec = json!({"configPatches": patches});
    let filter = json!({"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": metadata, "spec": spec});
    apply(&[filter.to_string()]);
    let options = Options {
        patches: vec![filter.to_string(), file("wasm-plugin/stats-bootstrap.yaml")],
        ..Options::default()
    };
    let mesh = Mesh::start(Topology::parse(PAIR).unwrap(), options).unwrap();
    request(&mesh);
    check_labels(&counted(&mesh));

    let Some(kinds) = rendered("wasm-plugin") else { return };
    assert_eq!(kinds.keys().collect::<Vec<_>>(), ["EnvoyFilter", "Telemetry", "WasmPlugin"]);
    assert_eq!(kinds["WasmPlugin"].len(), plugins.len());
}
