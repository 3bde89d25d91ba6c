//! Checks `patch.value` as far as possible without Envoy's schema. Envoy checks the rest.

use super::reader::{At, Reader};
use crate::{
    names,
    resource::{ApplyTo, Operation, Patch},
    yaml::{Kind, Node},
};

/// Records what Istio would drop or Envoy would reject in a value.
pub(super) fn check(reader: &mut Reader<'_>, at: &At<'_>, patch: &Patch) {
    let Kind::Map(entries) = &at.node.kind else {
        reader.problem(at, format!("is {}; a mapping is needed", at.node.quoted()));
        return;
    };
    spelled_twice(reader, at);
    match patch.apply_to {
        ApplyTo::HttpFilter => {
            filter(reader, at, patch, &["name", "typed_config", "config_discovery", "is_optional", "disabled"])
        }
        ApplyTo::NetworkFilter => filter(reader, at, patch, &["name", "typed_config", "config_discovery"]),
        ApplyTo::ListenerFilter => {
            filter(reader, at, patch, &["name", "typed_config", "config_discovery", "filter_disabled"])
        }
        ApplyTo::ExtensionConfig => filter(reader, at, patch, &["name", "typed_config"]),
        ApplyTo::Listener | ApplyTo::Cluster | ApplyTo::VirtualHost
            if matches!(patch.operation, Operation::Add | Operation::Replace) =>
        {
            needed(reader, at, "name");
        }
        ApplyTo::FilterChain if patch.operation == Operation::Add => {
            let filters = field(at.node, "filters");
            if !filters.is_some_and(|node| matches!(&node.kind, Kind::List(items) if !items.is_empty())) {
                reader.problem(&at.down("filters"), "is missing; Istio drops a filter chain without filters");
            }
        }
        ApplyTo::FilterChain | ApplyTo::Cluster
            if patch.is_merge() && entries.len() > 1 && field(at.node, "transport_socket").is_some() =>
        {
            reader.problem(
                &at.down("transport_socket"),
                "stands beside other fields; Istio merges a transport socket alone and drops the rest: \
                 use a patch for each",
            );
        }
        _ => {}
    }
}

/// Checks a filter: its fields, and that its configuration is typed.
fn filter(reader: &mut Reader<'_>, at: &At<'_>, patch: &Patch, allowed: &[&str]) {
    let merged = ["name", "typed_config"];
    let allowed = if patch.is_merge() { merged.as_slice() } else { allowed };
    if let Kind::Map(entries) = &at.node.kind {
        for (key, node) in entries {
            let name = names::snake(key);
            if !allowed.contains(&name.as_str()) {
                let what = if patch.is_merge() { "is not merged into a filter" } else { "is not a field of a filter" };
                reader.problem(&at.child(key, node), format!("{what}; {}", names::hint(&name, allowed)));
            }
        }
    }
    let config = field(at.node, "typed_config");
    if let Some(node) = config {
        let config = at.child("typed_config", node);
        match node.get("@type").map(|node| &node.kind) {
            Some(Kind::String(text)) if text.contains('/') => {}
            Some(Kind::String(text)) => reader.problem(
                &config.down("@type"),
                format!("{text:?} is not a type; it is written as type.googleapis.com/<message>"),
            ),
            _ => reader.problem(&config.down("@type"), "is missing"),
        }
    }
    if !patch.is_merge() {
        needed(reader, at, "name");
        if config.is_none() && field(at.node, "config_discovery").is_none() {
            reader.problem(&at.down("typed_config"), "is missing; Envoy does not find filters by name alone");
        }
    }
}

/// A required string.
fn needed(reader: &mut Reader<'_>, at: &At<'_>, name: &str) {
    match field(at.node, name) {
        None => reader.problem(&at.child(name, at.node), "is missing"),
        Some(node) => {
            reader.string(&at.child(name, node));
        }
    }
}

/// A field of an Envoy message, in any spelling.
fn field<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    node.get(name).or_else(|| node.get(&names::camel(name)))
}

/// `stats_tags` and `statsTags` in one message are the same field twice, which protobuf rejects. Maps have keys chosen by
/// their users; those rarely differ only in spelling.
fn spelled_twice(reader: &mut Reader<'_>, at: &At<'_>) {
    match &at.node.kind {
        Kind::Map(entries) => {
            for (index, (key, node)) in entries.iter().enumerate() {
                let child = at.child(key, node);
                let twice = entries.iter().take(index).find(|(other, _)| names::snake(other) == names::snake(key));
                if let Some((other, _)) = twice {
                    reader.problem(&child, format!("stands twice: it is another spelling of `{other}`"));
                }
                spelled_twice(reader, &child);
            }
        }
        Kind::List(items) => {
            for (index, item) in items.iter().enumerate() {
                spelled_twice(reader, &at.item(index, item));
            }
        }
        _ => {}
    }
}
