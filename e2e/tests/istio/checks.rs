//! What Istio's own tools find in the files of `kubernetes/`, and make of them.

use std::collections::BTreeMap;
use std::fs;

use local_cluster::json::{list, text};
use serde_json::Value;

use crate::scene::{insecure_registry, kubernetes, mesh};

#[test]
fn istioctl_finds_nothing_wrong_with_any_filter() {
    let cluster = mesh();
    let directories = ["filters", "remote", "mesh", "wasm-plugin", "traffic-extension", "istio"];
    let entries = directories.iter().flat_map(|directory| fs::read_dir(kubernetes(directory)).unwrap());
    let files: Vec<String> = entries
        .map(|entry| entry.unwrap().path().display().to_string())
        .filter(|path| {
            path.ends_with(".yaml")
                && !["kustomization.yaml", "values.yaml", "operator.yaml"].iter().any(|name| path.ends_with(name))
        })
        .collect();
    assert!(files.len() > 5, "{files:?}");
    let mut arguments = vec!["analyze", "--use-kube=false", "--output", "json"];
    arguments.extend(files.iter().map(String::as_str));
    for arguments in [arguments, vec!["analyze", "--all-namespaces", "--output", "json"]] {
        let said = cluster.istioctl(&arguments).unwrap();
        let messages: Vec<Value> = serde_json::from_str(&said).unwrap();
        // IST0133 is about EnvoyFilter itself, whatever it says.
        let ours = messages.iter().filter(|m| m.to_string().contains("remixer") && m["code"] != "IST0133");
        assert_eq!(ours.collect::<Vec<_>>(), Vec::<&Value>::new());
    }
    for file in &files {
        let said = cluster.istioctl(&["validate", "-f", file]).unwrap();
        assert!(said.is_empty() || said.contains("is valid"), "{said}");
    }
}

/// Istio is installed by Helm here, from `istio/values.yaml`.
#[test]
fn istioctl_makes_of_the_operator_what_helm_has_made_of_the_values() {
    let cluster = mesh();
    let operator = kubernetes("istio/operator.yaml");
    let arguments =
        ["manifest", "generate", "--set", "profile=minimal", "--set", &insecure_registry(), "-f", &operator];
    let manifest = cluster.istioctl(&arguments).unwrap();
    let resource = |kind: &str, name: &str| -> Value {
        let all = manifest.split("\n---\n").map(|text| serde_saphyr::from_str::<Value>(text).unwrap_or_default());
        let mut found = all.filter(|value| value["kind"] == kind && value["metadata"]["name"] == name);
        found.next().unwrap_or_else(|| panic!("no {kind} {name}"))
    };
    let installed = |kind: &str, name: &str| -> Value {
        let said = cluster.kubectl(&["-n", "istio-system", "get", kind, name, "-o", "json"]).unwrap();
        serde_json::from_str(&said).unwrap()
    };
    let settings = |map: Value| -> Value { serde_saphyr::from_str(text(&map, "/data/mesh")).unwrap() };
    let mesh = settings(installed("ConfigMap", "istio"));
    assert_eq!(settings(resource("ConfigMap", "istio")), mesh);
    assert_eq!(mesh["defaultProviders"]["metrics"], Value::Array(Vec::new()));
    assert_eq!(mesh["defaultConfig"]["extraStatTags"][0], "reporter");

    let variables = |deployment: Value| -> BTreeMap<String, Value> {
        let variables = list(&deployment, "/spec/template/spec/containers/0/env").iter();
        let ours = variables.filter(|variable| text(variable, "/name").starts_with("PILOT_ENABLE_"));
        ours.map(|variable| (text(variable, "/name").to_owned(), variable["value"].clone())).collect()
    };
    let environment = variables(installed("Deployment", "istiod"));
    assert_eq!(variables(resource("Deployment", "istiod")), environment);
    for name in ["PILOT_ENABLE_METADATA_EXCHANGE", "PILOT_ENABLE_ALPN_FILTER"] {
        assert_eq!(environment.get(name), Some(&Value::from("false")), "{name}");
    }
}
