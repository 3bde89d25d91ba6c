//! Mistakes that only several plugins together show.

use std::path::PathBuf;

use super::{input, lines, shipped};
use crate::{Check, Input};

/// The file under another name of its resource.
fn renamed(text: &str, name: &str) -> String {
    text.replacen("  name: remixer-", &format!("  name: {name}-"), 1)
}

#[test]
fn what_is_inserted_twice_is_told() {
    let text = shipped("telemetry.yaml");
    let copy = renamed(&text, "my");
    let told = lines(&Check::of(&[input("a.yaml", &text), input("b.yaml", &copy)]));
    assert_eq!(told.len(), 3, "{told:#?}");
    let expected = ": spec.configPatches[0].patch.value.typed_config.config: is inserted twice: \
                    EnvoyFilter/istio-system/remixer-telemetry (a.yaml:";
    assert!(told[0].starts_with("b.yaml:") && told[0].contains(expected), "{told:#?}");
    // Also in one stream, and within one resource.
    assert_eq!(lines(&Check::of(&[input("-", &format!("{text}---\n{copy}"))])).len(), 3);
    let (head, patches) = text.split_once("  configPatches:\n").unwrap();
    let doubled = format!("{head}  configPatches:\n{patches}{patches}");
    assert_eq!(lines(&Check::of(&[input("a.yaml", &doubled)])).len(), 3);
}

#[test]
fn what_differs_is_no_doubling() {
    let text = shipped("telemetry.yaml");
    let copy = renamed(&text, "my");
    for other in [
        // Another namespace, selector, match or configuration; the same resource again; another directory.
        copy.replace("namespace: istio-system", "namespace: shop"),
        copy.replace("spec:\n", "spec:\n  workloadSelector: {labels: {app: a}}\n"),
        copy.replace("      listener:\n", "      proxy: {proxyVersion: '^1.30'}\n      listener:\n"),
        copy.replace("value: '{", "value: '{\"share_peers\": true, ").replace("true, }", "true}"),
        text.clone(),
    ] {
        assert_eq!(lines(&Check::of(&[input("a.yaml", &text), input("b.yaml", &other)])), [""; 0], "{other}");
    }
    let elsewhere = Input { found_in: Some(PathBuf::from("b")), ..input("b/b.yaml", &copy) };
    assert_eq!(lines(&Check::of(&[input("a.yaml", &text), elsewhere])), [""; 0]);
}

#[test]
fn a_resource_that_replaces_another_of_its_file_is_told() {
    let text = shipped("fault-outbound.yaml");
    let other = text.replace("value: '{\"http\": []}'", "value: '{}'");
    let told = lines(&Check::of(&[input("-", &format!("{text}---\n{other}"))]));
    assert_eq!(told.len(), 1, "{told:#?}");
    let line = text.lines().position(|line| line.starts_with("  name: ")).unwrap() + 1;
    let expected = format!(": metadata.name: is also in line {line}: this one would replace that [");
    assert!(told[0].contains(&expected), "{told:#?}");
}

#[test]
fn faults_that_share_their_limits_are_told() {
    let rules =
        "value: '{\"http\": [{\"name\": \"a\", \"maxInjections\": 1, \"fault\": {\"abort\": {\"httpStatus\": 500}}}]}'";
    let [outbound, inbound] = ["fault-outbound.yaml", "fault-inbound.yaml"]
        .map(|file| shipped(file).replace("value: '{\"http\": []}'", rules));
    let both = |inbound: &str| lines(&Check::of(&[input("a.yaml", &outbound), input("b.yaml", inbound)]));
    assert_eq!(both(&inbound), [""; 0]);
    let named = inbound.replace("name: fault_inbound", "name: fault_outbound");
    assert_ne!(named, inbound);
    let [told] = both(&named).try_into().unwrap();
    assert!(
        told.contains("shares the limits of rule \"a\" with EnvoyFilter/istio-system/remixer-fault-outbound (a.yaml:"),
        "{told}"
    );
    assert!(told.contains("which has the same name \"fault_outbound\"; give each plugin its own `name`"), "{told}");
    for other in [
        named.replace("\"name\": \"a\"", "\"name\": \"b\""),
        named.replace("\"maxInjections\": 1, ", ""),
        named.replace("'{\"http\"", "'{\"statPrefix\": \"p\", \"http\""),
        named.replace("context: SIDECAR_INBOUND", "context: GATEWAY"),
    ] {
        assert_eq!(both(&other), [""; 0], "{other}");
    }
}
