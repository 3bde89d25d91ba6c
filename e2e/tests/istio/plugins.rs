//! Other ways to the modules than the one that is mounted: an image, which agents pull from a registry, and one of each filter.

use std::process::Command;

use local_mesh::wait_until;

use crate::expected::{both, http, request, JAR, LODGER, WEB};
use crate::scene::{app, directory, listeners, mesh, pod, Applied, Instead, WAIT};

/// Where a proxy's filters of extensions are, as Istio names them: how many of each are from a TrafficExtension of ours, and
/// how many from a WasmPlugin.
fn extensions(pod: &local_cluster::Pod) -> (usize, usize) {
    const OURS: &str = "\"extensions.istio.io/trafficextension/istio-system.remixer-telemetry-";
    let listeners = listeners(pod);
    let all = listeners.matches(OURS).count();
    let of_plugins = listeners
        .split(OURS)
        .skip(1)
        .filter(|rest| rest.split('"').next().is_some_and(|name| name.ends_with("~istio-translated-wasmplugin")));
    let of_plugins = of_plugins.count();
    (all - of_plugins, of_plugins)
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
    for variant in ["wasm-plugin", "traffic-extension"] {
        let _attached = Instead::attach(variant);
        for pod in [&client, &web, &lodger] {
            wait_until(WAIT, || {
                let runs = match (variant, extensions(pod)) {
                    ("wasm-plugin", (0, plugins)) => plugins > 0,
                    ("traffic-extension", (extensions, 0)) => extensions > 0,
                    _ => false,
                };
                runs && !listeners(pod).contains("remixer.telemetry")
            })
            .unwrap();
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
