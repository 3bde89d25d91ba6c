//! Plugins, as resources attach them.

use catalog::Place;
use envoy_filter::yaml::{Kind, Node};
use labels::direction::Direction;

use crate::find::at;

/// Names of fields, which Envoy and Istio's own resources have different.
#[derive(Debug)]
pub(crate) struct Form {
    /// The root id.
    pub(crate) root_id: &'static str,
    /// Where the module is: one of these.
    pub(crate) module: &'static [&'static str],
    /// Its digest, where the strict reading of the resource does not look at it.
    pub(crate) sha256: Option<&'static str>,
    /// The VM.
    pub(crate) vm_id: Option<&'static str>,
    /// The configuration.
    pub(crate) configuration: &'static str,
}

/// Of Envoy's `PluginConfig`.
static ENVOY: Form = Form {
    root_id: "root_id",
    module: &["vm_config.code.local.filename", "vm_config.code.remote.http_uri.uri"],
    sha256: Some("vm_config.code.remote.sha256"),
    vm_id: Some("vm_config.vm_id"),
    configuration: "configuration",
};

/// Of a WasmPlugin, and of the part of a TrafficExtension.
static ISTIO: Form =
    Form { root_id: "pluginName", module: &["url"], sha256: None, vm_id: None, configuration: "pluginConfig" };

/// A plugin, of whomever.
#[derive(Clone, Debug)]
pub(crate) struct Attached<'n> {
    /// The names of its fields.
    pub(crate) form: &'static Form,
    /// Its path in the resource.
    pub(crate) path: String,
    /// Where its fields are.
    pub(crate) node: &'n Node,
    /// The name of the filter.
    pub(crate) filter_name: &'n str,
    /// What it is in a listener, if that is known.
    pub(crate) place: Option<Place>,
    /// The patch of an EnvoyFilter that it is in.
    pub(crate) patch: Option<&'n Node>,
    /// The direction of all its traffic, if it has only one.
    pub(crate) direction: Option<Direction>,
}

impl<'n> Attached<'n> {
    /// A text field; empty if there is none.
    pub(crate) fn text(&self, field: &str) -> &'n str {
        at(self.node, field).and_then(Node::as_text).unwrap_or_default()
    }

    /// The root id.
    pub(crate) fn root_id(&self) -> &'n str {
        self.text(self.form.root_id)
    }

    /// The VM.
    pub(crate) fn vm_id(&self) -> &'n str {
        self.form.vm_id.map_or("", |field| self.text(field))
    }

    /// The field with the place of the module, and what it says.
    pub(crate) fn module(&self) -> (&'static str, &'n str) {
        let given = self.form.module.iter().map(|field| (*field, self.text(field)));
        given.clone().find(|(_, text)| !text.is_empty()).or_else(|| given.clone().next()).unwrap_or_default()
    }

    /// What its patch does; empty if it is in none.
    pub(crate) fn operation(&self) -> &'n str {
        let operation = self.patch.and_then(|patch| at(patch, "patch.operation"));
        operation.and_then(Node::as_text).unwrap_or_default()
    }
}

/// The plugins of a resource of one of the three kinds.
pub(crate) fn of(document: &Node) -> Vec<Attached<'_>> {
    let mut found = Vec::new();
    let kind = document.get("kind").and_then(Node::as_text).unwrap_or_default();
    let Some(spec) = document.get("spec") else { return found };
    match kind {
        "WasmPlugin" => found.extend(of_istio(spec, spec, "spec")),
        "TrafficExtension" => found.extend(spec.get("wasm").and_then(|wasm| of_istio(spec, wasm, "spec.wasm"))),
        _ => walk(spec, "spec".to_owned(), Outer::default(), &mut found),
    }
    found
}

fn of_istio<'n>(spec: &'n Node, node: &'n Node, path: &str) -> Option<Attached<'n>> {
    at(node, "url")?;
    let modes: Vec<_> =
        at(spec, "match").map(Node::items).unwrap_or_default().iter().map(|item| at(item, "mode")).collect();
    let is_inbound = |mode: &Option<&Node>| mode.and_then(Node::as_text) == Some("SERVER");
    let is_network = at(node, "type").and_then(Node::as_text) == Some("NETWORK");
    Some(Attached {
        form: &ISTIO,
        path: path.to_owned(),
        node,
        filter_name: "",
        place: Some(if is_network { Place::NetworkFilter } else { Place::HttpFilter }),
        patch: None,
        direction: (!modes.is_empty() && modes.iter().all(is_inbound)).then_some(Direction::Inbound),
    })
}

/// What is around a value.
#[derive(Clone, Copy, Default)]
struct Outer<'n> {
    patch: Option<&'n Node>,
    name: &'n str,
    kind: &'n str,
}

/// A PluginConfig may stand anywhere: in a filter, an access logger, a whole listener.
fn walk<'n>(node: &'n Node, path: String, mut outer: Outer<'n>, found: &mut Vec<Attached<'n>>) {
    match &node.kind {
        Kind::Map(entries) => {
            let text = |field| at(node, field).and_then(Node::as_text);
            // A patch may change the configuration alone.
            if ["root_id", "vm_config", "configuration.@type"].iter().any(|field| at(node, field).is_some()) {
                found.push(Attached {
                    form: &ENVOY,
                    path,
                    node,
                    filter_name: outer.name,
                    place: place(outer.kind),
                    patch: outer.patch,
                    direction: outer.patch.and_then(direction),
                });
                return;
            }
            if at(node, "patch").is_some() {
                outer.patch = Some(node);
            }
            // An Any, or a TypedStruct in it.
            outer.kind = text("type_url").or(text("@type")).unwrap_or(outer.kind);
            outer.name = text("name").unwrap_or(outer.name);
            for (key, value) in entries {
                walk(value, format!("{path}.{key}"), outer, found);
            }
        }
        Kind::List(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, format!("{path}[{index}]"), outer, found);
            }
        }
        _ => {}
    }
}

fn place(kind: &str) -> Option<Place> {
    match kind.rsplit('/').next().unwrap_or_default() {
        "envoy.extensions.filters.http.wasm.v3.Wasm" => Some(Place::HttpFilter),
        "envoy.extensions.filters.network.wasm.v3.Wasm" => Some(Place::NetworkFilter),
        "envoy.extensions.access_loggers.wasm.v3.WasmAccessLog" => Some(Place::AccessLogger),
        _ => None,
    }
}

fn direction(patch: &Node) -> Option<Direction> {
    match at(patch, "match.context").and_then(Node::as_text) {
        Some("SIDECAR_INBOUND") => Some(Direction::Inbound),
        Some("SIDECAR_OUTBOUND") => Some(Direction::Outbound),
        _ => None,
    }
}
