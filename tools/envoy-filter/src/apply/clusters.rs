//! Clusters.

use serde_json::Value;

use super::{
    filters::merge_transport_socket,
    patches::{Active, Patches},
};
use crate::{
    fields::{get, get_mut, set, text},
    matches, merge,
    proxy::ProxyKind,
    resource::{ApplyTo, Context, Operation, PatchContext},
};

/// Patches the clusters from CDS.
pub(super) fn apply(patches: &Patches<'_>, kind: ProxyKind, clusters: &mut Vec<Value>) {
    clusters.retain_mut(|cluster| patch(patches, context(kind, cluster), cluster));
    let contexts: &[Context] = match kind {
        ProxyKind::Sidecar => &[Context::SidecarOutbound, Context::SidecarInbound],
        ProxyKind::Gateway => &[Context::Gateway],
    };
    for context in contexts {
        for active in patches.of(ApplyTo::Cluster, *context) {
            // With the context ANY, a sidecar gets a new cluster once, with its outbound clusters.
            let once = active.patch.context != PatchContext::Any || *context != Context::SidecarInbound;
            if active.patch.operation == Operation::Add && once {
                clusters.push(active.patch.value.clone());
                active.hit();
            }
        }
    }
}

/// The context of a cluster, from its name.
fn context(kind: ProxyKind, cluster: &Value) -> Context {
    let name = text(cluster, "name");
    match kind {
        ProxyKind::Gateway => Context::Gateway,
        ProxyKind::Sidecar if name.starts_with("inbound|") || name.starts_with("InboundPassthroughCluster") => {
            Context::SidecarInbound
        }
        ProxyKind::Sidecar => Context::SidecarOutbound,
    }
}

/// Patches a cluster. Returns false if it is to be removed.
fn patch(patches: &Patches<'_>, context: Context, cluster: &mut Value) -> bool {
    for active in patches.of(ApplyTo::Cluster, context) {
        if active.patch.operation == Operation::Add || !matches::cluster(active.patch, cluster) {
            continue;
        }
        if active.patch.operation == Operation::Remove {
            active.hit();
            return false;
        }
        if let Some(socket) = get(&active.patch.value, "transport_socket") {
            patch_transport_socket(patches, active, socket, cluster);
        } else {
            let result = merge::message(cluster, &active.patch.value, active.lists());
            patches.merged(active, "", result);
        }
    }
    true
}

/// Merges a transport socket into the one with the same name. A cluster with several sockets, selected by endpoint, is
/// unchanged if none has that name. A single socket with another name is replaced.
fn patch_transport_socket(patches: &Patches<'_>, active: &Active<'_>, theirs: &Value, cluster: &mut Value) {
    let name = text(theirs, "name");
    if let Some(Value::Array(choices)) = get_mut(cluster, "transport_socket_matches") {
        if !choices.is_empty() {
            let ours = choices
                .iter_mut()
                .filter_map(|choice| get_mut(choice, "transport_socket"))
                .find(|socket| text(socket, "name") == name);
            if let Some(ours) = ours {
                merge_transport_socket(patches, active, ours);
            }
            return;
        }
    }
    match get_mut(cluster, "transport_socket") {
        Some(ours) if text(ours, "name") == name => merge_transport_socket(patches, active, ours),
        _ => {
            set(cluster, "transport_socket", theirs.clone());
            active.hit();
        }
    }
}
