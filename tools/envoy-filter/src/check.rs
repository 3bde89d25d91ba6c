//! Checks a resource that Istio shall apply, rather than this crate.

use std::path::Path;

use crate::{
    parse::{self, reader::Reader},
    problem::Problem,
    wasm_plugin,
    yaml::Node,
};

/// The kinds of resources that can attach a plugin.
pub const KINDS: [&str; 3] = ["EnvoyFilter", "WasmPlugin", "TrafficExtension"];

/// What is wrong with a document of one of [`KINDS`]. What Istio takes and this crate cannot apply is not wrong here.
pub fn check(file: &Path, document: &Node) -> Vec<Problem> {
    let mut reader = Reader::for_istio(file);
    match document.get("kind").and_then(Node::as_text) {
        Some("WasmPlugin") => drop(wasm_plugin::read(&mut reader, document)),
        Some("TrafficExtension") => drop(wasm_plugin::check_extension(&mut reader, document)),
        _ => drop(parse::resource(&mut reader, document)),
    }
    reader.into_problems()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn problems(text: &str) -> Vec<String> {
        let documents = yaml::documents(text).unwrap();
        check(Path::new("a.yaml"), &documents[0]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_only_istio_can_apply_is_no_mistake() {
        let patch = "{applyTo: HTTP_FILTER, match: {context: WAYPOINT, waypoint: {portNumber: 80}}, patch: \
                     {operation: ADD, filterClass: AUTHZ, value: {name: a, typed_config: {'@type': a/b}}}}";
        let text = format!(
            "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\n\
             metadata: {{name: a, uid: b, generation: 1, resourceVersion: '7', creationTimestamp: c, managedFields: []}}\n\
             spec:\n  targetRefs: [{{kind: Gateway, name: a}}]\n  configPatches: [{patch}]\nstatus: {{}}\n"
        );
        assert_eq!(problems(&text), [""; 0]);
        assert_eq!(
            problems(&text.replace("WAYPOINT", "WAYPONT")),
            ["a.yaml:6: spec.configPatches[0].match.context: \"WAYPONT\" is not known; allowed: ANY, SIDECAR_INBOUND, \
              SIDECAR_OUTBOUND, GATEWAY"]
        );
    }

    const EXTENSION: &str = "apiVersion: extensions.istio.io/v1alpha1\nkind: TrafficExtension\nmetadata: {name: a}\n";

    #[test]
    fn an_extension_is_wasm_or_lua() {
        for (spec, expected) in [
            ("{wasm: {url: a, pluginConfig: {b: 1}}, phase: AUTHN, match: [{mode: CLIENT}]}", ""),
            ("{lua: {inlineCode: a}, phase: EXECUTION_PHASE_STATS, targetRefs: []}", ""),
            ("{lua: {inlineCode: a}, wasm: {url: a}}", "a.yaml:4: spec.lua: stands beside wasm; one of the two is needed"),
            ("{phase: AUTHN}", "a.yaml:4: spec: has neither wasm nor lua; one of the two is needed"),
            ("{url: a}", "a.yaml:4: spec.url: is not a known field; allowed: selector, phase, priority, match, targetRefs, wasm, lua"),
            ("{wasm: {url: a, sha256: 1a}}", "a.yaml:4: spec.wasm.sha256: \"1a\" is no SHA-256: 64 digits of 0-9 and a-f are needed"),
            ("{wasm: {url: a, type: TCP}}", "a.yaml:4: spec.wasm.type: \"TCP\" is not known; allowed: UNSPECIFIED_PLUGIN_TYPE, HTTP, NETWORK"),
            ("{wasm: {url: a}, phase: AUTN}", "a.yaml:4: spec.phase: \"AUTN\" is not known; did you mean `AUTHN`? allowed: UNSPECIFIED_PHASE, AUTHN, AUTHZ, STATS"),
            ("{wasm: {url: a}, selector: {matchLabels: {}}, targetRefs: []}", "a.yaml:4: spec.selector: stands beside targetRefs; one of the two is allowed"),
        ] {
            let found = problems(&format!("{EXTENSION}spec: {spec}\n"));
            assert_eq!(found.first().map_or("", String::as_str), expected, "{spec}: {found:?}");
        }
    }
}
