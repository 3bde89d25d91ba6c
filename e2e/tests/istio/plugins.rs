//! The module as an image, which agents pull from a registry.

use std::process::Command;

use local_mesh::wait_until;

use crate::expected::{both, http, request, WEB};
use crate::scene::{app, config, directory, mesh, pod, Applied, Instead, WAIT};

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
    for variant in ["wasm-plugin", "traffic-extension"] {
        let _attached = Instead::attach(variant);
        for pod in [&client, &web] {
            wait_until(WAIT, || config(pod).contains("/var/lib/istio/data/")).unwrap();
        }
        both(&web, &request(&WEB, "web", "shop"), &http(2.0), &["http", "http://web/", "2"], "200\n200\n");
    }
}
