//! Mistakes that only several plugins together show.

use std::path::PathBuf;

use super::{check, input, lines, shipped};
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
    let other_rules = copy.replace("value: '{", "value: '{\"share_peers\": true, ").replace("true, }", "true}");
    for other in [
        // Another namespace, selector, match or name; the same resource again; another directory.
        copy.replace("namespace: istio-system", "namespace: shop"),
        copy.replace("spec:\n", "spec:\n  workloadSelector: {labels: {app: a}}\n"),
        copy.replace("      listener:\n", "      proxy: {proxyVersion: '^1.30'}\n      listener:\n"),
        other_rules.replace("            root_id:", "            name: mine\n            root_id:"),
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

/// A file as a release has it for Kubernetes: proxies ask for the filter.
fn discovered(name: &str, rules: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata:
  name: &name {name}
  namespace: istio-system
spec:
  workloadSelector: {{labels: {{remixer: enabled}}}}
  configPatches:
  - applyTo: EXTENSION_CONFIG
    match: {{context: SIDECAR_OUTBOUND}}
    patch:
      operation: ADD
      value:
        name: *name
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
          config:
            name: *name
            root_id: fault
            fail_open: true
            vm_config:
              vm_id: remixer
              runtime: envoy.wasm.runtime.v8
              code: {{local: {{filename: /var/local/remixer/remixer.wasm}}}}
            configuration:
              '@type': type.googleapis.com/google.protobuf.StringValue
              value: '{rules}'
"
    )
}

#[test]
fn filters_that_are_asked_for_by_one_name_are_told() {
    let (text, other) = (discovered("my-faults", "{}"), discovered("my-faults", "{\"enabled\": false}"));
    let both = |other: &str| lines(&Check::of(&[input("a.yaml", &text), input("b.yaml", other)]));
    for other in [
        other.replace("istio-system", "shop"),
        other.replace("&name my-faults", "other").replace("*name", "my-faults"),
        other.replace("istio-system", "shop").replace("remixer: enabled", "remixer: enabled, app: web"),
        other.replace("istio-system", "shop").replace("SIDECAR_OUTBOUND", "SIDECAR_INBOUND"),
    ] {
        let [told] = both(&other).try_into().unwrap();
        let expected =
            ": is asked for by the name \"my-faults\", as is EnvoyFilter/istio-system/my-faults (a.yaml:18): a \
                        proxy with both would take no filter that it asks for; give each its own name [";
        assert!(told.contains(expected), "{told}");
    }
    for other in [
        other.clone(), // replaces the first
        discovered("more-faults", "{\"enabled\": false}"),
        other.replace("istio-system", "shop").replace("remixer: enabled", "app: web"),
    ] {
        assert_eq!(both(&other), [""; 0], "{other}");
    }
    let twice =
        text.replacen("  - applyTo", &format!("{}  - applyTo", text.split_once("configPatches:\n").unwrap().1), 1);
    assert!(lines(&check(&twice))[0].contains("is asked for by the name \"my-faults\""), "{twice}");
}

#[test]
fn plugins_that_a_module_cannot_tell_apart_are_told() {
    let text = shipped("telemetry.yaml");
    let copy =
        renamed(&text, "my").replace("value: '{", "value: '{\"share_peers\": true, ").replace("true, }", "true}");
    let both = |other: &str| lines(&Check::of(&[input("a.yaml", &text), input("b.yaml", other)]));
    let told = both(&copy);
    assert_eq!(told.len(), 3, "{told:#?}");
    let expected = ": is the same plugin as EnvoyFilter/istio-system/remixer-telemetry (a.yaml:";
    assert!(told[0].contains(expected) && told[0].contains("; give each plugin its own `name` ["), "{told:#?}");
    for other in [
        copy.replace("            root_id:", "            name: mine\n            root_id:"),
        copy.replace("vm_id: remixer", "vm_id: remixer_mine"),
        copy.replace("filename: /var/local/remixer/", "filename: /opt/"),
        copy.replace("spec:\n", "spec:\n  targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: a}]\n"),
    ] {
        assert_eq!(both(&other), [""; 0], "{other}");
    }
}

#[test]
fn faults_that_share_their_limits_are_told() {
    let rules =
        "value: '{\"http\": [{\"name\": \"a\", \"maxInjections\": 1, \"fault\": {\"abort\": {\"httpStatus\": 500}}}]}'";
    let [outbound, inbound] = ["fault-outbound.yaml", "fault-inbound.yaml"]
        .map(|file| shipped(file).replace("value: '{\"http\": []}'", rules));
    let both = |inbound: &str| lines(&Check::of(&[input("a.yaml", &outbound), input("b.yaml", inbound)]));
    assert_eq!(both(&inbound), [""; 0]);
    let named = inbound.replace("name: *name", "name: remixer-fault-outbound");
    assert_ne!(named, inbound);
    let [told] = both(&named).try_into().unwrap();
    assert!(
        told.contains("shares the limits of rule \"a\" with EnvoyFilter/istio-system/remixer-fault-outbound (a.yaml:"),
        "{told}"
    );
    assert!(
        told.contains("which has the same name \"remixer-fault-outbound\"; give each plugin its own `name`"),
        "{told}"
    );
    for other in [
        named.replace("\"name\": \"a\"", "\"name\": \"b\""),
        named.replace("\"maxInjections\": 1, ", ""),
        named.replace("'{\"http\"", "'{\"statPrefix\": \"p\", \"http\""),
        named.replace("context: SIDECAR_INBOUND", "context: GATEWAY"),
    ] {
        assert_eq!(both(&other), [""; 0], "{other}");
    }
}
