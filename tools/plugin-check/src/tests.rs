//! Whole files: those that are shipped, and one of each mistake.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Check, Input, Report};

mod hostile;
mod planted;
mod together;

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn shipped(file: &str) -> String {
    fs::read_to_string(root().join("envoy").join(file)).unwrap()
}

fn input(file: &str, text: &str) -> Input {
    Input { file: file.to_owned(), text: text.to_owned(), found_in: None }
}

fn check(text: &str) -> Report {
    Check::of(&[input("a.yaml", text)])
}

/// The lines that are told, without the summary.
fn lines(report: &Report) -> Vec<String> {
    report.mistakes.iter().map(ToString::to_string).collect()
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
}

#[test]
fn shipped_files_have_no_mistake() {
    let mut found = Vec::new();
    files(&root().join("envoy"), &mut found);
    let mut plugins = 0;
    for path in &found {
        let report = check(&fs::read_to_string(path).unwrap());
        assert_eq!(lines(&report), [""; 0], "{}", path.display());
        plugins += report.plugins;
    }
    assert!(plugins > 40, "{plugins} in {} files", found.len());
    // Also together, as a directory is applied.
    let of_directory = |path: &Path| {
        Some(Input { found_in: path.parent().map(Path::to_path_buf), ..input("a", &fs::read_to_string(path).ok()?) })
    };
    let together: Vec<Input> = found.iter().filter_map(|path| of_directory(path)).collect();
    assert_eq!(lines(&Check::of(&together)), [""; 0]);
}

#[test]
fn rules_of_the_local_mesh_have_no_mistake() {
    let root = root().join("tools/local-mesh");
    for rules in ["faults", "shadows"] {
        for path in fs::read_dir(root.join(rules)).unwrap().map(|entry| entry.unwrap().path()) {
            let json = fs::read_to_string(&path).unwrap();
            let indented: String = json.lines().map(|line| format!("                {line}\n")).collect();
            let file = if rules == "faults" { "fault-outbound.yaml" } else { "shadow.yaml" };
            let text = shipped(file).replace("value: '{\"http\": []}'", &format!("value: |\n{indented}"));
            assert!(text.contains(&indented), "{file}");
            let report = check(&text);
            assert_eq!(lines(&report), [""; 0], "{}", path.display());
        }
    }
}

#[test]
fn what_others_have_is_left_alone() {
    let others = "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: stats-filter-1.9, namespace: istio-system}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    patch:
      operation: INSERT_BEFORE
      value:
        name: istio.stats
        typed_config:
          '@type': type.googleapis.com/udpa.type.v1.TypedStruct
          type_url: type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
          value:
            config:
              root_id: stats_inbound
              configuration: {'@type': type.googleapis.com/google.protobuf.StringValue, value: '{\"no\": 1'}
              vm_config:
                vm_id: stats_inbound
                runtime: envoy.wasm.runtime.null
                code: {local: {inline_string: envoy.wasm.stats}}
---
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: basic-auth}
spec: {url: 'oci://registry.example.com/basic-auth:1', pluginName: fault, pluginConfig: {x: 1}, sorts: 1}
---
apiVersion: extensions.istio.io/v1alpha1
kind: TrafficExtension
metadata: {name: lua}
spec: {lua: {inlineCode: 'function envoy_on_request() end'}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: remixer}, data: {root_id: nonsense}}
- {apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: remixer-a}, spec: {http: []}}
---
- a list
";
    let report = check(others);
    assert_eq!(lines(&report), [""; 0]);
    assert_eq!((report.resources, report.plugins, report.skipped), (3, 0, 3));
    assert_eq!(report.text(), "0 plugins in 3 resources of 1 file, 3 other objects skipped: no mistake\n");
}

#[test]
fn parts_for_kustomize_are_left_alone() {
    let part = "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: remixer-fault-outbound}
spec: {targetRefs: [{kind: Gateway, name: a}]}
---
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: remixer-telemetry-inbound}
spec: {match: [{mode: SERVER}], pluginConfig: {stats: {}}}
";
    assert_eq!(lines(&check(part)), [""; 0]);
}

#[test]
fn files_of_a_directory_may_be_for_other_programs() {
    let template = "kind: {{ .Values.kind }}\n";
    let found = Input { found_in: Some(PathBuf::from("charts")), ..input("charts/a.yaml", template) };
    let report = Check::of(std::slice::from_ref(&found));
    assert_eq!((report.skipped, lines(&report)), (1, Vec::new()));
    let ours = Input { text: format!("{template}# EnvoyFilter\n"), ..found };
    let report = Check::of(&[ours, input("-", template)]);
    let [ours, named] = lines(&report).try_into().unwrap();
    assert!(ours.starts_with("charts/a.yaml:1:") && named.starts_with("-:1:"), "{ours} {named}");
    assert!(named.contains(": not valid YAML: ") && named.ends_with("; is it a template? render it first"), "{named}");
}

#[test]
fn what_is_told_is_also_there_for_programs() {
    let text = shipped("fault-outbound.yaml").replace("'{\"http\": []}'", "'{\"htp\": []}'");
    let report = check(&text);
    let line = text.lines().position(|line| line.contains("htp")).unwrap() + 1;
    let mut json = report.json();
    let message = json["mistakes"][0]["message"].take();
    assert!(message.as_str().unwrap().starts_with("unknown field (value []), known are "), "{message}");
    assert!(message.as_str().unwrap().ends_with("; did you mean `http`?"), "{message}");
    assert_eq!(
        json,
        serde_json::json!({
            "files": 1,
            "resources": 1,
            "plugins": 1,
            "skipped": 0,
            "mistakes": [{
                "file": "a.yaml",
                "line": line,
                "column": 31,
                "object": "EnvoyFilter/istio-system/remixer-fault-outbound",
                "plugin": "fault",
                "field": "htp",
                "message": null,
            }],
        })
    );
}
