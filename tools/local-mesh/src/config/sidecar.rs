//! The complete configuration of one Envoy, and changes to it.

use std::path::{Path, PathBuf};

use envoy_filter::MODULES;
use serde_json::{json, Map, Value};

/// The configuration of one Envoy.
#[derive(Debug, Clone, PartialEq)]
pub struct SidecarConfig {
    /// The static part, with the node.
    pub bootstrap: Value,
    /// LDS resources.
    pub listeners: Vec<Value>,
    /// CDS resources.
    pub clusters: Vec<Value>,
}

impl SidecarConfig {
    /// Replaces paths of modules in a pod by paths in `dist`. Returns the modules in use.
    pub fn map_modules(&mut self, dist: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let lists = self.listeners.iter_mut().chain(self.clusters.iter_mut());
        for value in lists.chain(std::iter::once(&mut self.bootstrap)) {
            visit(value, &mut |object| {
                let Some(Value::String(name)) = object.get_mut("filename") else { return };
                if let Some(module) = name.strip_prefix(MODULES) {
                    let path = dist.join(module);
                    *name = path.display().to_string();
                    found.push(path);
                }
            });
        }
        found.sort();
        found.dedup();
        found
    }

    /// True if there is a wasm network filter.
    pub fn has_network_wasm(&self) -> bool {
        let chains = self.listeners.iter().filter_map(|listener| listener.get("filter_chains")?.as_array()).flatten();
        let mut filters = chains.filter_map(|chain| chain.get("filters")?.as_array()).flatten();
        filters.any(|filter| {
            filter.pointer("/typed_config/@type").and_then(Value::as_str).is_some_and(|t| t.contains("network.wasm"))
        })
    }

    /// Replaces the plugin configuration of all wasm filters with `plugin` as root id or plugin name. Returns how many.
    pub fn replace_plugin_config(&mut self, plugin: &str, configuration: &str) -> usize {
        let mut count = 0;
        for value in &mut self.listeners {
            visit(value, &mut |object| {
                let is_it = object.contains_key("vm_config")
                    && ["root_id", "name"].iter().any(|key| object.get(*key).and_then(Value::as_str) == Some(plugin));
                if is_it {
                    let new =
                        json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration});
                    object.insert("configuration".to_owned(), new);
                    count += 1;
                }
            });
        }
        count
    }
}

/// Calls `found` for each object inside a value.
pub(super) fn visit(value: &mut Value, found: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            found(object);
            object.values_mut().for_each(|child| visit(child, found));
        }
        Value::Array(list) => list.iter_mut().for_each(|child| visit(child, found)),
        _ => {}
    }
}
