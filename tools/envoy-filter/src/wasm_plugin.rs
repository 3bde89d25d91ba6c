//! Istio's `WasmPlugin`: reads it strictly, and generates the filter that Istio generates from it.

use std::path::PathBuf;

use serde_json::{json, Value};

use crate::parse::reader::{At, Object, Reader};
use crate::parse::{head, Head};
use crate::problem::Problem;
use crate::resource::{named, Named};
use crate::yaml::{self, Kind};

const HEAD: (&str, &str) = ("extensions.istio.io/v1alpha1", "WasmPlugin");
const EXTENSION_HEAD: (&str, &str) = ("extensions.istio.io/v1alpha1", "TrafficExtension");

/// Where it runs; `targetRef` and `targetRefs` are for waypoints.
const PLACE: [&str; 6] = ["selector", "phase", "priority", "match", "targetRefs", "targetRef"];

/// What runs.
const MODULE: [&str; 10] = [
    "url",
    "sha256",
    "imagePullPolicy",
    "imagePullSecret",
    "verificationKey",
    "pluginConfig",
    "pluginName",
    "failStrategy",
    "vmConfig",
    "type",
];

named! {
    /// The position in the filter chain.
    Phase {
        /// Before the router.
        Unspecified = "UNSPECIFIED_PHASE",
        /// Before Istio's authentication.
        Authn = "AUTHN",
        /// Before Istio's authorization.
        Authz = "AUTHZ",
        /// Before Istio's stats.
        Stats = "STATS",
    }
}

named! {
    /// What happens to requests if the module fails.
    FailStrategy {
        /// They fail.
        Close = "FAIL_CLOSE",
        /// They go on.
        Open = "FAIL_OPEN",
        /// The module is loaded again (Istio 1.27 and later).
        Reload = "FAIL_RELOAD",
    }
}

named! {
    /// When to pull an image.
    PullPolicy {
        /// According to its tag.
        Unspecified = "UNSPECIFIED_POLICY",
        /// Once.
        IfNotPresent = "IfNotPresent",
        /// Each time the resource changes.
        Always = "Always",
    }
}

named! {
    /// What the plugin filters.
    PluginType {
        /// Requests.
        Unspecified = "UNSPECIFIED_PLUGIN_TYPE",
        /// Requests.
        Http = "HTTP",
        /// Connections, including those with HTTP.
        Network = "NETWORK",
    }
}

named! {
    /// The direction of traffic.
    Mode {
        /// Both.
        Undefined = "UNDEFINED",
        /// Away from the workload, and through gateways.
        Client = "CLIENT",
        /// To the workload.
        Server = "SERVER",
        /// Both.
        ClientAndServer = "CLIENT_AND_SERVER",
    }
}

/// One resource.
#[derive(Debug, Clone)]
pub struct WasmPlugin {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `spec.url`.
    pub url: String,
    /// `spec.sha256`: of the module, or of the image's manifest.
    pub sha256: Option<String>,
    /// `spec.pluginName`, the root id.
    pub root_id: String,
    /// `spec.pluginConfig`.
    pub configuration: Value,
    /// `spec.phase`.
    pub phase: Phase,
    /// `spec.priority`; higher values come first.
    pub priority: i32,
    /// `spec.failStrategy`.
    pub fail_strategy: FailStrategy,
    /// `spec.type`.
    pub kind: PluginType,
    /// `spec.match[].mode`; if empty, both directions match.
    pub modes: Vec<Mode>,
}

impl WasmPlugin {
    /// Reads all resources in a text; `file` is its name.
    pub fn parse(file: &str, text: &str) -> Result<Vec<Self>, Vec<Problem>> {
        let file = PathBuf::from(file);
        let documents = yaml::documents(text).map_err(|error| vec![Problem::of_yaml(&file, error)])?;
        let mut reader = Reader::new(&file);
        let plugins: Vec<Self> = documents.iter().filter_map(|document| read(&mut reader, document)).collect();
        match reader.into_problems() {
            problems if problems.is_empty() => Ok(plugins),
            problems => Err(problems),
        }
    }

    /// The HTTP filter that Istio generates for proxies before 1.25, after its agent has fetched the module to `file`.
    pub fn http_filter(&self, file: &str) -> Value {
        let name = format!("{}.{}", self.namespace, self.name);
        json!({
            "name": name,
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "config": {
                    "name": name,
                    "root_id": self.root_id,
                    "fail_open": self.fail_strategy == FailStrategy::Open,
                    "configuration": {
                        "@type": "type.googleapis.com/google.protobuf.StringValue",
                        "value": self.configuration.to_string(),
                    },
                    "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": file}}},
                },
            },
        })
    }
}

/// Reads a `WasmPlugin`.
pub(crate) fn read(reader: &mut Reader<'_>, document: &yaml::Node) -> Option<WasmPlugin> {
    let Head { name, namespace, spec } = head(reader, document, HEAD)?;
    let fields = reader.object(&spec, &[PLACE.as_slice(), MODULE.as_slice()].concat())?;
    let (phase, priority, modes) = place(reader, &fields);
    let phase = phase.and_then(|at| reader.choice(at)).unwrap_or(Phase::Unspecified);
    Some(WasmPlugin { name: name?, namespace: namespace?, phase, priority, modes, ..module(reader, &fields)? })
}

/// Reads a `TrafficExtension` (Istio 1.30 and later), of which a `WasmPlugin` is the older form.
pub(crate) fn check_extension(reader: &mut Reader<'_>, document: &yaml::Node) -> Option<()> {
    let Head { spec, .. } = head(reader, document, EXTENSION_HEAD)?;
    let fields = reader.object(&spec, &["selector", "phase", "priority", "match", "targetRefs", "wasm", "lua"])?;
    let (phase, ..) = place(reader, &fields);
    if let Some(at) = phase {
        // Sources of Istio have the names in both forms.
        if !at.node.as_text().is_some_and(|name| name.starts_with("EXECUTION_PHASE_")) {
            reader.choice::<Phase>(at);
        }
    }
    match (fields.get("wasm"), fields.get("lua")) {
        (Some(at), None) => {
            let fields = reader.object(at, &MODULE)?;
            module(reader, &fields);
        }
        (None, Some(at)) => {
            let fields = reader.object(at, &["inlineCode"])?;
            reader.required(&fields, "inlineCode").and_then(|at| reader.string(&at));
        }
        (Some(_), Some(at)) => reader.problem(at, "stands beside wasm; one of the two is needed"),
        (None, None) => reader.problem(&spec, "has neither wasm nor lua; one of the two is needed"),
    }
    Some(())
}

/// Reads where a plugin runs.
fn place<'n, 'o>(reader: &mut Reader<'_>, fields: &'o Object<'n>) -> (Option<&'o At<'n>>, i32, Vec<Mode>) {
    let target = fields.get("targetRefs").or(fields.get("targetRef"));
    if let Some(at) = target {
        reader.unsupported(at, "is not supported here: it is for waypoints; use selector");
    }
    if let Some(at) = fields.get("selector") {
        if target.is_some() {
            reader.problem(at, "stands beside targetRefs; one of the two is allowed");
        }
        if let Some(labels) = reader.object(at, &["matchLabels"]).and_then(|s| reader.required(&s, "matchLabels")) {
            reader.strings(&labels);
        }
    }
    let priority = fields.get("priority").and_then(|at| reader.int32(at)).unwrap_or_default();
    let modes = fields.get("match").map(|at| modes(reader, at)).unwrap_or_default();
    (fields.get("phase"), priority, modes)
}

/// Reads what a plugin runs; the rest of the result says nothing.
fn module(reader: &mut Reader<'_>, fields: &Object<'_>) -> Option<WasmPlugin> {
    if let Some(at) = fields.get("vmConfig") {
        reader.object(at, &["env"]);
    }
    reader.maybe_string(fields, "imagePullSecret");
    choice::<PullPolicy>(reader, fields, "imagePullPolicy", PullPolicy::Unspecified);
    let url = reader.required(fields, "url").and_then(|at| url(reader, &at));
    let sha256 = fields.get("sha256").and_then(|at| digest(reader, at));
    let configuration = fields.get("pluginConfig").and_then(|at| configuration(reader, at));
    Some(WasmPlugin {
        name: String::new(),
        namespace: String::new(),
        sha256,
        root_id: reader.maybe_string(fields, "pluginName").unwrap_or_default(),
        configuration: configuration.unwrap_or_else(|| json!({})),
        phase: Phase::Unspecified,
        priority: 0,
        fail_strategy: choice(reader, fields, "failStrategy", FailStrategy::Close),
        kind: choice(reader, fields, "type", PluginType::Unspecified),
        modes: Vec::new(),
        url: url?,
    })
}

fn choice<T: Named>(reader: &mut Reader<'_>, fields: &Object<'_>, name: &str, default: T) -> T {
    fields.get(name).and_then(|at| reader.choice(at)).unwrap_or(default)
}

fn url(reader: &mut Reader<'_>, at: &At<'_>) -> Option<String> {
    let url = reader.string(at)?;
    let scheme = url.split_once("://").map_or("oci", |(scheme, _)| scheme);
    if !["oci", "http", "https", "file"].contains(&scheme) {
        reader.problem(at, format!("{url:?} has no known scheme; allowed: oci, http, https, file"));
    }
    Some(url)
}

/// What is wrong with a digest, which proxies compare as text.
pub fn digest_problem(digest: &str) -> Option<String> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (digest.len() != 64 || !digest.bytes().all(is_digit))
        .then(|| format!("{digest:?} is no SHA-256: 64 digits of 0-9 and a-f are needed"))
}

fn digest(reader: &mut Reader<'_>, at: &At<'_>) -> Option<String> {
    let digest = reader.string(at)?;
    if let Some(problem) = digest_problem(&digest) {
        reader.problem(at, problem);
    }
    Some(digest)
}

fn configuration(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Value> {
    if !matches!(at.node.kind, Kind::Map(_)) {
        reader.problem(at, format!("is {}; a mapping is needed", at.node.quoted()));
        return None;
    }
    Some(at.node.to_json())
}

fn modes(reader: &mut Reader<'_>, at: &At<'_>) -> Vec<Mode> {
    let Kind::List(items) = &at.node.kind else {
        reader.problem(at, format!("is {}; a list is needed", at.node.quoted()));
        return Vec::new();
    };
    let mut modes = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if let Some(fields) = reader.object(&at.item(index, item), &["mode", "ports"]) {
            modes.push(choice(reader, &fields, "mode", Mode::ClientAndServer));
        }
    }
    modes
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLUGIN: &str = "
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: { name: a, namespace: b }
spec:
  url: oci://registry.example.com/a:1
  phase: AUTHN
  failStrategy: FAIL_OPEN
  pluginName: stats_inbound
  match: [ { mode: SERVER } ]
  pluginConfig: { x: 1 }
";

    #[test]
    fn a_plugin_becomes_the_filter_that_istio_makes() {
        let plugins = WasmPlugin::parse("a.yaml", PLUGIN).unwrap();
        let filter = plugins[0].http_filter("/m.wasm");
        assert_eq!((&filter["name"], plugins[0].modes.as_slice()), (&json!("b.a"), [Mode::Server].as_slice()));
        let config = &filter["typed_config"]["config"];
        assert_eq!((&config["root_id"], &config["fail_open"]), (&json!("stats_inbound"), &json!(true)));
        assert_eq!(config["configuration"]["value"], "{\"x\":1}");
        assert_eq!(config.pointer("/vm_config/code/local/filename").unwrap(), "/m.wasm");
    }

    #[test]
    fn every_mistake_is_told() {
        let wrong = PLUGIN
            .replace("oci://", "ftp://")
            .replace("AUTHN", "FIRST")
            .replace("FAIL_OPEN", "OPEN")
            .replace("SERVER", "INBOUND")
            .replace("pluginName", "rootId")
            .replace("{ x: 1 }", "'x'\n  sha256: ABC");
        let problems = WasmPlugin::parse("a.yaml", &wrong).unwrap_err();
        let text: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
        for part in ["ftp", "FIRST", "spec.failStrategy", "match[0].mode", "rootId", "pluginConfig", "ABC"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert_eq!(problems.len(), 7, "{text}");
    }
}
