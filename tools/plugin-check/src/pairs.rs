//! Mistakes that only several plugins together show.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::{Path, PathBuf};

use catalog::Place;
use envoy_filter::yaml::{Node, Position};
use fault::config::{FaultConfig, FaultRule};
use serde_json::{json, Value};

use crate::attached::Attached;
use crate::find::at;
use crate::proxies::{normal, of_kind, proxies, Proxies};
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
    /// The position of its resource.
    document: Position,
    /// Where it is inserted; `None` if it only changes what is there.
    inserted: Option<String>,
    /// Its proxies.
    proxies: Proxies,
    /// The name by which proxies ask for it.
    asked_for: Option<String>,
    /// What makes it the same plugin as another, to its module; `None` where Istio decides that.
    identity: Option<String>,
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
            document: document.position,
            inserted: inserted(document, attached),
            proxies: Proxies::of(document),
            asked_for: asked_for(attached),
            identity: identity(document, attached),
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

/// The name of an extension configuration.
fn asked_for(attached: &Attached<'_>) -> Option<String> {
    let patch = attached.patch?;
    let is_one = at(patch, "applyTo").and_then(Node::as_text) == Some("EXTENSION_CONFIG");
    is_one.then(|| attached.filter_name.to_owned())
}

/// What a module tells its plugins apart by. Listeners of one context have one direction.
fn identity(document: &Node, attached: &Attached<'_>) -> Option<String> {
    inserted(document, attached)?;
    let of_patch =
        ["match.context", "match.proxy"].map(|field| normal(attached.patch.and_then(|patch| at(patch, field))));
    let of_plugin = [attached.module().1, attached.vm_id(), attached.root_id(), attached.text("name")];
    attached.patch.map(|_| json!([of_patch, of_plugin]).to_string())
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
        proxies: of_kind(document, patch, kind),
        plugin: attached.text("name").to_owned(),
        prefix: config.stat_prefix.clone(),
        rules: config.rules.iter().filter(is_limited).map(|rule| rule.name.clone()).collect(),
        is_limited: config.max_active.is_some(),
    })
}

/// What is wrong, told of the later one of two.
pub(crate) fn problems(plugins: &[Plugin]) -> Vec<Told<'_>> {
    // Of a resource that is there twice, the later one remains.
    let mut last = HashMap::new();
    for plugin in plugins {
        last.insert((&plugin.found_in, &plugin.object), (plugin.file, plugin.document));
    }
    let remains =
        |plugin: &&Plugin| last.get(&(&plugin.found_in, &plugin.object)) == Some(&(plugin.file, plugin.document));
    let remain = plugins.iter().filter(remains);
    let (mut inserted, mut limited) = (HashMap::new(), HashMap::new());
    let (mut asked_for, mut identities) = (HashMap::new(), HashMap::new());
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
        let clashing = plugin.asked_for.as_ref().and_then(|name| {
            let earlier = met(&mut asked_for, (&plugin.found_in, name), plugin, |_| true)?;
            Some((earlier, name))
        });
        let confused = plugin.identity.as_ref().and_then(|identity| {
            let differs = |earlier: &Plugin| earlier.configuration != plugin.configuration;
            met(&mut identities, (&plugin.found_in, identity), plugin, differs)
        });
        let message = match (clashing, twice, shared, confused) {
            (Some((earlier, name)), ..) => format!(
                "is asked for by the name {name:?}, as is {}: a proxy with both would take no filter that it asks for; \
                 give each its own name",
                of(earlier)
            ),
            (None, Some(earlier), ..) => {
                format!("is inserted twice: {} inserts the same plugin at the same place", of(earlier))
            }
            (None, None, Some((earlier, limits, rule)), _) => {
                let what = rule.map_or("maxActiveFaults".to_owned(), |rule| format!("the limits of rule {rule:?}"));
                let (earlier, name) = (of(earlier), &limits.plugin);
                format!(
                    "shares {what} with {earlier}, which has the same name {name:?}; give each plugin its own `name`"
                )
            }
            (None, None, None, Some(earlier)) => format!(
                "is the same plugin as {} to its module, and has another configuration: root_id, `name`, VM and \
                 direction are the same; give each plugin its own `name`",
                of(earlier)
            ),
            (None, None, None, None) => continue,
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

/// The first plugin with a key that a proxy of this one has, too; this one is added.
fn met<'p, K: Eq + Hash>(
    known: &mut HashMap<K, Vec<&'p Plugin>>,
    key: K,
    plugin: &'p Plugin,
    is_other: impl Fn(&Plugin) -> bool,
) -> Option<&'p Plugin> {
    let known = known.entry(key).or_default();
    let earlier = known.iter().find(|earlier| earlier.proxies.meet(&plugin.proxies) && is_other(earlier)).copied();
    known.push(plugin);
    earlier
}

fn of(earlier: &Plugin) -> String {
    format!("{} ({}:{})", earlier.object, earlier.file_name, earlier.position.line)
}
