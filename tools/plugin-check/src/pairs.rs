//! Mistakes that only several plugins together show.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::{Path, PathBuf};

use catalog::Place;
use envoy_filter::names::snake;
use envoy_filter::yaml::{Node, Position};
use fault::config::{FaultConfig, FaultRule};
use serde_json::{json, Value};

use crate::attached::Attached;
use crate::find::at;
use crate::readers::Reader;

/// A plugin of ours with all that tells it from others.
#[derive(Debug)]
pub(crate) struct Plugin {
    /// The number of its file.
    pub(crate) file: usize,
    /// Its file's name.
    pub(crate) file_name: String,
    /// Files that are applied together have the same.
    pub(crate) found_in: Option<PathBuf>,
    /// Its resource.
    pub(crate) object: String,
    /// Its path in that.
    pub(crate) path: String,
    /// Its position.
    pub(crate) position: Position,
    /// Its root id.
    pub(crate) root_id: String,
    /// Where it is inserted; `None` if it only changes what is there.
    inserted: Option<String>,
    /// What it does.
    reader: Reader,
    configuration: Value,
    /// On which proxies, and under which name, its limits count.
    limits: Option<Limits>,
}

#[derive(Debug)]
struct Limits {
    proxies: String,
    plugin: String,
    prefix: String,
    rules: Vec<String>,
    is_limited: bool,
}

/// Something wrong: the later plugin, the field, and the message.
pub(crate) type Told<'p> = (&'p Plugin, String);

impl Plugin {
    /// A plugin with a valid configuration.
    pub(crate) fn of(
        (file, file_name, found_in): (usize, &str, Option<&Path>),
        (document, object): (&Node, &str),
        attached: &Attached<'_>,
        reader: Reader,
        json: &str,
    ) -> Option<Self> {
        Some(Self {
            file,
            file_name: file_name.to_owned(),
            found_in: found_in.map(Path::to_path_buf),
            object: object.to_owned(),
            path: attached.path.clone(),
            position: attached.node.position,
            root_id: attached.root_id().to_owned(),
            inserted: inserted(document, attached),
            reader,
            configuration: if json.trim().is_empty() { json!({}) } else { serde_json::from_str(json).ok()? },
            limits: (reader == Reader::Fault).then(|| limits(document, attached, json)).flatten(),
        })
    }
}

/// Where a plugin is inserted: which proxies, and what is matched there.
fn inserted(document: &Node, attached: &Attached<'_>) -> Option<String> {
    let Some(patch) = attached.patch else {
        // A WasmPlugin, or a TrafficExtension.
        let spec = document.get("spec")?;
        let of_spec = ["phase", "match"].map(|field| normal(at(spec, field)));
        return Some(json!([proxies(document), of_spec, normal(at(attached.node, "type"))]).to_string());
    };
    let inserts = attached.operation() == "ADD" || attached.operation().starts_with("INSERT_");
    if !inserts && attached.place != Some(Place::AccessLogger) {
        return None;
    }
    let of_patch = ["applyTo", "match"].map(|field| normal(at(patch, field)));
    Some(json!([proxies(document), of_patch]).to_string())
}

/// Which proxies a resource is for.
fn proxies(document: &Node) -> Value {
    let fields = ["metadata.namespace", "spec.workloadSelector", "spec.selector", "spec.targetRefs"];
    fields.map(|field| normal(at(document, field))).into_iter().collect()
}

/// Without positions, and in one spelling.
fn normal(node: Option<&Node>) -> Value {
    fn spelled(value: Value) -> Value {
        match value {
            Value::Object(fields) => fields.into_iter().map(|(name, value)| (snake(&name), spelled(value))).collect(),
            Value::Array(items) => items.into_iter().map(spelled).collect(),
            value => value,
        }
    }
    node.map_or(Value::Null, |node| spelled(node.to_json()))
}

fn limits(document: &Node, attached: &Attached<'_>, json: &str) -> Option<Limits> {
    // The name of a WasmPlugin is its own.
    let patch = attached.patch?;
    let config = FaultConfig::parse(json.as_bytes()).ok()?;
    let context = at(patch, "match.context").and_then(Node::as_text).unwrap_or("ANY");
    let kind = if context.starts_with("SIDECAR_") { "SIDECAR" } else { context };
    let is_limited =
        |rule: &&FaultRule| rule.max_active.is_some() || rule.max_injections.is_some() || rule.start_after > 0;
    Some(Limits {
        proxies: json!([proxies(document), kind, normal(at(patch, "match.proxy"))]).to_string(),
        plugin: attached.text("name").to_owned(),
        prefix: config.stat_prefix.clone(),
        rules: config.rules.iter().filter(is_limited).map(|rule| rule.name.clone()).collect(),
        is_limited: config.max_active.is_some(),
    })
}

/// What is wrong, told of the later one of two.
pub(crate) fn problems(plugins: &[Plugin]) -> Vec<Told<'_>> {
    // Of a resource in two files, the later one remains.
    let mut last = HashMap::new();
    for plugin in plugins {
        last.insert((&plugin.found_in, &plugin.object), plugin.file);
    }
    let remain = plugins.iter().filter(|plugin| last.get(&(&plugin.found_in, &plugin.object)) == Some(&plugin.file));
    let (mut inserted, mut limited) = (HashMap::new(), HashMap::new());
    let mut told = Vec::new();
    for plugin in remain {
        let twice = plugin.inserted.as_ref().and_then(|place| {
            let key = (&plugin.found_in, place, plugin.reader, &plugin.root_id, plugin.configuration.to_string());
            first(&mut inserted, key, plugin)
        });
        let shared = plugin.limits.as_ref().and_then(|limits| {
            let rules = limits.rules.iter().map(Some).chain(limits.is_limited.then_some(None));
            let keys = rules.map(|rule| (&plugin.found_in, &limits.proxies, &limits.plugin, &limits.prefix, rule));
            // All of them must become known.
            keys.filter_map(|key| Some((first(&mut limited, key, plugin)?, limits, key.4))).reduce(|first, _| first)
        });
        let message = match (twice, shared) {
            (Some(earlier), _) => {
                format!("is inserted twice: {} inserts the same plugin at the same place", of(earlier))
            }
            (None, Some((earlier, limits, rule))) => {
                let what = rule.map_or("maxActiveFaults".to_owned(), |rule| format!("the limits of rule {rule:?}"));
                let (earlier, name) = (of(earlier), &limits.plugin);
                format!(
                    "shares {what} with {earlier}, which has the same name {name:?}; give each plugin its own `name`"
                )
            }
            (None, None) => continue,
        };
        told.push((plugin, message));
    }
    told
}

/// The first other plugin with a key, if there is one.
fn first<'p, K: Eq + Hash>(known: &mut HashMap<K, &'p Plugin>, key: K, plugin: &'p Plugin) -> Option<&'p Plugin> {
    let first = *known.entry(key).or_insert(plugin);
    (!std::ptr::eq(first, plugin)).then_some(first)
}

fn of(earlier: &Plugin) -> String {
    format!("{} ({}:{})", earlier.object, earlier.file_name, earlier.position.line)
}
