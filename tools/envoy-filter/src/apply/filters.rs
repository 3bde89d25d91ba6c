//! Filters: ordered lists of named, typed configurations.

use serde_json::Value;

use super::patches::{Active, Patches};
use crate::{
    fields, merge,
    resource::{Operation, Patch},
};

/// Whether an item of a list is the one that a patch refers to.
pub(super) type Anchor<'m> = &'m dyn Fn(&Value) -> bool;

/// Edits a list in a message. A missing list has no item to insert before or after, so it is not created for that.
pub(super) fn edit_in(message: &mut Value, field: &str, patch: &Patch, anchor: Option<Anchor<'_>>) -> bool {
    if anchor.is_some() && fields::get(message, field).is_none() && patch.operation != Operation::InsertFirst {
        return false;
    }
    fields::list_mut(message, field).is_some_and(|list| edit(list, patch, anchor))
}

/// Adds, removes or replaces an item. Returns whether anything changed. Without an anchor, the value goes to the beginning
/// or the end.
fn edit(list: &mut Vec<Value>, patch: &Patch, anchor: Option<Anchor<'_>>) -> bool {
    let value = || patch.value.clone();
    let found = anchor.map(|anchor| list.iter().position(anchor));
    match (patch.operation, found) {
        (Operation::Add, _) | (Operation::InsertAfter, None) => {
            list.push(value());
            true
        }
        (Operation::InsertFirst, _) | (Operation::InsertBefore, None) => {
            list.insert(0, value());
            true
        }
        (Operation::InsertBefore, Some(Some(index))) => {
            list.insert(index, value());
            true
        }
        (Operation::InsertAfter, Some(Some(index))) => {
            list.insert(index + 1, value());
            true
        }
        (Operation::Replace, Some(Some(index))) => match list.get_mut(index) {
            Some(slot) => {
                *slot = value();
                true
            }
            None => false,
        },
        (Operation::Remove, Some(Some(_))) => {
            if let Some(anchor) = anchor {
                list.retain(|item| !anchor(item));
            }
            true
        }
        _ => false,
    }
}

/// Merges into one filter: its typed configuration, and its name if the patch has another. A filter without a typed
/// configuration is unchanged.
pub(super) fn merge_into(patches: &Patches<'_>, active: &Active<'_>, filter: &mut Value, renames: bool) {
    let value = &active.patch.value;
    let Some(config) = fields::get_mut(filter, "typed_config") else { return };
    let result = match fields::get(value, "typed_config") {
        Some(theirs) => merge::any(config, theirs),
        None => Ok(()),
    };
    patches.merged(active, ".typed_config", result);
    let name = fields::text(value, "name");
    if renames && !name.is_empty() {
        fields::set(filter, "name", Value::from(name));
    }
}

/// Merges a patch's transport socket into the one with the same name. A socket without a configuration is unchanged.
pub(super) fn merge_transport_socket(patches: &Patches<'_>, active: &Active<'_>, socket: &mut Value) {
    let theirs = fields::dig(&active.patch.value, &["transport_socket", "typed_config"]);
    if let (Some(ours), Some(theirs)) = (fields::get_mut(socket, "typed_config"), theirs) {
        let result = merge::any(ours, theirs);
        patches.merged(active, ".transport_socket.typed_config", result);
    }
}
