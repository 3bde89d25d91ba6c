//! Protobuf's merge on JSON, as Istio does it.

use serde_json::{Map, Value};

use crate::{fields, names::snake};

#[cfg(test)]
mod tests;

/// How to merge two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lists {
    /// Append the patch's items.
    Append,
    /// Replace the items by the patch's.
    Replace,
}

/// Why a patch cannot be merged: the field's path in the patch's value, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) path: String,
    pub(crate) reason: String,
}

/// Fields that are protobuf maps or Structs: a patch's entry replaces the whole entry with the same key.
const MAPS: [&str; 9] = [
    "filter_metadata",
    "typed_filter_metadata",
    "typed_per_filter_config",
    "typed_extension_protocol_options",
    "dynamic_parameters",
    "key_values",
    "inline_scalars",
    "static_layer",
    "resource_attributes",
];

/// Members of one `oneof`: setting one removes the others, and a default value also counts as set.
const ONEOFS: [&[&str]; 17] = [
    &["route", "redirect", "direct_response", "filter_action", "non_forwarding_action"],
    &["prefix", "path", "safe_regex", "connect_matcher", "path_separated_prefix", "path_match_policy"],
    &["exact", "prefix", "suffix", "safe_regex", "contains", "custom"],
    &["cluster", "cluster_header", "weighted_clusters", "cluster_specifier_plugin", "inline_cluster_specifier_plugin"],
    &["route_config", "rds", "scoped_routes"],
    &["type", "cluster_type"],
    &["host_rewrite_literal", "auto_host_rewrite", "host_rewrite_header", "host_rewrite_path_regex"],
    &["filename", "inline_bytes", "inline_string", "environment_variable"],
    &["local", "remote"],
    &["typed_config", "config_discovery"],
    &["socket_address", "pipe", "envoy_internal_address"],
    &["port_value", "named_port"],
    &["reject_all", "exclusion_list", "inclusion_list"],
    &["regex", "fixed_value"],
    &["path_config_source", "ads", "api_config_source", "self", "path"],
    &["explicit_http_config", "use_downstream_protocol_config", "auto_config"],
    &["trust_chain", "validation_context", "validation_context_sds_secret_config", "combined_validation_context"],
];

/// Merges a message into another of the same type.
pub(crate) fn message(target: &mut Value, patch: &Value, lists: Lists) -> Result<(), Conflict> {
    let (Value::Object(target), Value::Object(patch)) = (target, patch) else {
        return Err(Conflict { path: String::new(), reason: "is not a mapping on both sides".to_owned() });
    };
    merge(target, patch, "", lists)
}

/// Merges a typed configuration into another, inside its `Any`. Two different types are an error, as in Istio.
pub(crate) fn any(target: &mut Value, patch: &Value) -> Result<(), Conflict> {
    let kind = |value: &Value| value.get("@type").and_then(Value::as_str).map(str::to_owned);
    let (ours, theirs) = (kind(target), kind(patch));
    if ours != theirs {
        return Err(Conflict {
            path: ".@type".to_owned(),
            reason: format!(
                "is {:?}, but the configuration has {:?}; different types cannot be merged",
                theirs.unwrap_or_default(),
                ours.unwrap_or_default()
            ),
        });
    }
    // Lists inside an Any are always appended, for any operation.
    message(target, patch, Lists::Append)
}

fn merge(
    target: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    parent: &str,
    lists: Lists,
) -> Result<(), Conflict> {
    for (name, value) in patch {
        if value.is_null() || name == "@type" {
            continue;
        }
        let name_snake = snake(name);
        let in_oneof = clear_siblings(target, &name_snake);
        let key = fields::key(target, name).unwrap_or(name).to_owned();
        match (target.get_mut(&key), value) {
            (None | Some(Value::Null), _) => {
                target.insert(key, value.clone());
            }
            (Some(Value::Array(_)), Value::Array(theirs)) if theirs.is_empty() => {}
            (Some(Value::Array(ours)), Value::Array(theirs)) => {
                if lists == Lists::Replace {
                    ours.clear();
                }
                ours.extend(theirs.iter().cloned());
            }
            (Some(Value::Object(ours)), Value::Object(theirs)) => {
                if is_map(parent, &name_snake, patch) {
                    ours.extend(theirs.iter().map(|(key, value)| (key.clone(), value.clone())));
                } else if theirs.contains_key("@type") {
                    // A nested Any consists of a type and bytes. The patch overwrites both; without bytes, only the type.
                    if theirs.len() > 1 || ours.get("@type") != theirs.get("@type") {
                        ours.clone_from(theirs);
                    }
                } else {
                    merge(ours, theirs, &name_snake, lists)
                        .map_err(|conflict| Conflict { path: format!(".{name}{}", conflict.path), ..conflict })?;
                }
            }
            (Some(ours), theirs) if is_scalar(ours) && is_scalar(theirs) => {
                if in_oneof || !is_default(theirs) {
                    ours.clone_from(theirs);
                }
            }
            (Some(ours), theirs) => {
                return Err(Conflict {
                    path: format!(".{name}"),
                    reason: format!("is {}, but the configuration has {}", shape(theirs), shape(ours)),
                });
            }
        }
    }
    Ok(())
}

/// Removes the other members of the same `oneof`. Returns whether the field belongs to one.
fn clear_siblings(target: &mut Map<String, Value>, name: &str) -> bool {
    let mut member = false;
    for group in ONEOFS.iter().filter(|group| group.contains(&name)) {
        member = true;
        target.retain(|key, _| {
            let key = snake(key);
            key == name || !group.contains(&key.as_str())
        });
    }
    member
}

/// Whether a field is a map or Struct, not a message.
fn is_map(parent: &str, name: &str, patch: &Map<String, Value>) -> bool {
    let typed_struct = || {
        let kind = patch.get("@type").and_then(Value::as_str);
        kind.is_some_and(|kind| kind.ends_with(".TypedStruct"))
    };
    MAPS.contains(&name) || (parent == "node" && name == "metadata") || (name == "value" && typed_struct())
}

fn is_scalar(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

/// Whether protobuf would treat the value as unset. A duration of zero is `"0s"`, which counts as set.
fn is_default(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_f64() == Some(0.0),
        Value::String(value) => value.is_empty(),
        _ => false,
    }
}

fn shape(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "a mapping",
        Value::Array(_) => "a list",
        _ => "a single value",
    }
}
