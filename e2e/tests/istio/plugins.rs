//! Other ways to the modules than the one that is mounted: an image, which agents pull from a registry, and one of each filter.

use std::process::Command;

use local_cluster::json::{at, list};
use local_cluster::Pod;
use local_mesh::wait_for_value;
use serde_json::Value;

use crate::expected::{both, http, request, JAR, LODGER, WEB};
use crate::scene::{app, directory, listeners, mesh, pod, Applied, Instead, WAIT};

/// Whose telemetry a proxy's listeners ask for, as Istio names it: that of a WasmPlugin, of a TrafficExtension, and of `.`.
fn attached(pod: &Pod) -> [bool; 3] {
    const OURS: &str = "\"extensions.istio.io/trafficextension/istio-system.remixer-telemetry-";
    let dump: Value = serde_json::from_str(&listeners(pod)).unwrap_or_default();
    let active = list(&dump, "/configs").iter().map(|config| at(config, "/active_state").to_string());
    let active: String = active.collect();
    let names: Vec<&str> = active.split(OURS).skip(1).filter_map(|rest| rest.split('"').next()).collect();
    // Istio makes an extension of each plugin.
    let is_of_plugin = |name: &&str| name.ends_with("~istio-translated-wasmplugin");
    [names.iter().any(is_of_plugin), !names.iter().all(is_of_plugin), active.contains("remixer.telemetry.")]
}

#[test]
fn plugins_and_extensions_pull_the_module_from_a_registry() {
    let cluster = mesh();
    let _registry = Applied::file(&app("registry.yaml"));
    let registry = cluster.wait_ready_one("street", "app=registry").unwrap();
    let target = format!("docker://{}:5000/remixer:{}", registry.address().unwrap(), release::VERSION);
    let image = format!("oci:{}:remixer", directory().join("release/oci").display());
    // This is the node, which does not know the registry by its name.
    let output = Command::new("skopeo").args(["copy", "--dest-tls-verify=false", &image, &target]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (client, web) = (pod("shop", "client"), pod("shop", "web"));
    let lodger = pod("loft", "lodger");
    for (variant, expected) in [("wasm-plugin", [true, false, false]), ("traffic-extension", [false, true, false])] {
        let _attached = Instead::attach(variant);
        for pod in [&client, &web, &lodger] {
            wait_for_value(WAIT, &expected, || attached(pod)).unwrap();
        }
        both(&web, &request(&WEB, "web", "shop"), &http(2.0), &["http", "http://web/", "2"], "200\n200\n");
        // It has no mount.
        let labels = request(&LODGER, "lodger", "loft");
        both(&lodger, &labels, &http(1.0), &["http", "http://lodger.loft/", "1"], "200\n");
    }
}

#[test]
fn single_modules_report_the_same_labels() {
    let jar = pod("cellar", "jar");
    let listeners = listeners(&jar);
    for (name, has) in [("remixer.metadata_exchange", true), ("remixer.stats", true), ("remixer.telemetry", false)] {
        assert_eq!(listeners.contains(name), has, "{name}");
    }
    both(&jar, &request(&JAR, "jar", "cellar"), &http(2.0), &["http", "http://jar.cellar/", "2"], "200\n200\n");
}
