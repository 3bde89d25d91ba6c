//! What Istio's own tools find in the files of `kubernetes/`.

use std::fs;

use serde_json::Value;

use crate::scene::{kubernetes, mesh};

#[test]
fn istioctl_finds_nothing_wrong_with_any_filter() {
    let cluster = mesh();
    let directories = ["filters", "remote", "wasm-plugin", "traffic-extension", "istio"];
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
