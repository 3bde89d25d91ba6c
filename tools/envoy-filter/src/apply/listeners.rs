//! Listeners, their filter chains, and the filters in them.
//!
//! In a listener, Istio patches from the outside to the inside: the listener, its listener filters, its filter chains,
//! their network filters, and their HTTP filters. At each level, items are first inserted, replaced and removed in the
//! order of the patches, then merged. New filter chains and listeners are added last, and are not patched.

use serde_json::Value;

use super::{
    filters::{edit_in, merge_into, merge_transport_socket},
    patches::{Active, Patches},
    routes,
};
use crate::{
    fields::{get, get_mut, list_mut, remove, text},
    matches::{self, same_filter, HTTP_CONNECTION_MANAGER},
    merge,
    names::snake,
    proxy::ProxyKind,
    resource::{ApplyTo, Context, Operation, PatchContext},
};

/// Patches the listeners from LDS.
pub(super) fn apply(patches: &Patches<'_>, kind: ProxyKind, listeners: &mut Vec<Value>) {
    listeners.retain_mut(|listener| match context(kind, listener) {
        None => true,
        Some(context) => patch_listener(patches, context, listener),
    });
    let contexts: &[Context] = match kind {
        ProxyKind::Sidecar => &[Context::SidecarInbound, Context::SidecarOutbound],
        ProxyKind::Gateway => &[Context::Gateway],
    };
    for context in contexts {
        for active in patches.of(ApplyTo::Listener, *context) {
            // With the context ANY, a sidecar gets a new listener once, with its outbound listeners.
            let once = active.patch.context != PatchContext::Any || *context != Context::SidecarInbound;
            if active.patch.operation == Operation::Add && once {
                listeners.push(active.patch.value.clone());
                active.hit();
            }
        }
    }
}

/// The context of a listener. A sidecar's own listeners have no direction and no context.
fn context(kind: ProxyKind, listener: &Value) -> Option<Context> {
    match (kind, text(listener, "traffic_direction")) {
        (ProxyKind::Gateway, _) => Some(Context::Gateway),
        (ProxyKind::Sidecar, "INBOUND") => Some(Context::SidecarInbound),
        (ProxyKind::Sidecar, "OUTBOUND") => Some(Context::SidecarOutbound),
        (ProxyKind::Sidecar, _) => None,
    }
}

/// Patches a listener. Returns false if it is to be removed.
fn patch_listener(patches: &Patches<'_>, context: Context, listener: &mut Value) -> bool {
    // Istio patches routes when it builds them, before it builds their listeners.
    for chain in chains(listener) {
        if let Some(filters) = list(chain, "filters") {
            for routes in filters.iter_mut().filter_map(inline_routes) {
                routes::patch(patches, context, routes);
            }
        }
    }
    for active in patches.of(ApplyTo::Listener, context) {
        if active.patch.operation == Operation::Add || !matches::listener(active.patch, listener) {
            continue;
        }
        if active.patch.operation == Operation::Remove {
            active.hit();
            return false;
        }
        let result = merge::message(listener, &active.patch.value, active.lists());
        patches.merged(active, "", result);
    }
    patch_listener_filters(patches, context, listener);
    patch_filter_chains(patches, context, listener);
    true
}

fn patch_listener_filters(patches: &Patches<'_>, context: Context, listener: &mut Value) {
    for active in patches.of(ApplyTo::ListenerFilter, context) {
        let patch = active.patch;
        if !matches::listener(patch, listener) {
            continue;
        }
        let wanted = patch.listener().and_then(|listener| listener.listener_filter.as_deref());
        let named = |filter: &Value| wanted.is_some_and(|wanted| same_filter(wanted, text(filter, "name")));
        if patch.is_merge() {
            // In the order of the patches: for listener filters, Istio has no second pass.
            let filters = list(listener, "listener_filters").into_iter().flatten();
            for filter in filters.filter(|filter| named(filter)) {
                merge_into(patches, active, filter, false);
            }
        } else if edit_in(listener, "listener_filters", patch, wanted.is_some().then_some(&named)) {
            active.hit();
        }
    }
}

fn patch_filter_chains(patches: &Patches<'_>, context: Context, listener: &mut Value) {
    let head = head(listener);
    if let Some(chains) = list(listener, "filter_chains") {
        chains.retain_mut(|chain| patch_filter_chain(patches, context, &head, chain));
    }
    let default = get_mut(listener, "default_filter_chain");
    if default.is_some_and(|chain| !patch_filter_chain(patches, context, &head, chain)) {
        remove(listener, "default_filter_chain");
    }
    for active in patches.of(ApplyTo::FilterChain, context) {
        if active.patch.operation == Operation::Add && matches::listener(active.patch, &head) {
            if let Some(chains) = list_mut(listener, "filter_chains") {
                chains.push(active.patch.value.clone());
                active.hit();
            }
        }
    }
}

/// Name and address of a listener, for matches while its filter chains change.
fn head(listener: &Value) -> Value {
    let mut head = serde_json::Map::new();
    for name in ["name", "address"] {
        if let Some(value) = get(listener, name) {
            head.insert(name.to_owned(), value.clone());
        }
    }
    Value::Object(head)
}

/// Patches a filter chain. Returns false if it is to be removed.
fn patch_filter_chain(patches: &Patches<'_>, context: Context, listener: &Value, chain: &mut Value) -> bool {
    let name = text(listener, "name");
    for active in patches.of(ApplyTo::FilterChain, context) {
        let patch = active.patch;
        if patch.operation == Operation::Add
            || !matches::listener(patch, listener)
            || !matches::filter_chain(patch, name, chain)
        {
            continue;
        }
        if patch.operation == Operation::Remove {
            active.hit();
            return false;
        }
        let theirs = get(&patch.value, "transport_socket").map(|socket| text(socket, "name"));
        match get_mut(chain, "transport_socket") {
            Some(ours) if theirs == Some(text(ours, "name")) => merge_transport_socket(patches, active, ours),
            _ => {
                let result = merge::message(chain, &patch.value, active.lists());
                patches.merged(active, "", result);
            }
        }
    }
    patch_network_filters(patches, context, listener, chain);
    true
}

fn patch_network_filters(patches: &Patches<'_>, context: Context, listener: &Value, chain: &mut Value) {
    let name = text(listener, "name");
    for active in patches.of(ApplyTo::NetworkFilter, context) {
        let patch = active.patch;
        if patch.is_merge() || !matches::listener(patch, listener) || !matches::filter_chain(patch, name, chain) {
            continue;
        }
        let anchored = patch.filter_chain().is_some_and(|chain| chain.filter.is_some());
        let named = |filter: &Value| matches::network_filter(patch, filter);
        if edit_in(chain, "filters", patch, anchored.then_some(&named)) {
            active.hit();
        }
    }

    let in_chain = |apply_to| {
        let chain = &*chain;
        patches
            .of(apply_to, context)
            .filter(|active| matches::listener(active.patch, listener))
            .filter(|active| matches::filter_chain(active.patch, name, chain))
            .collect::<Vec<_>>()
    };
    let network = in_chain(ApplyTo::NetworkFilter);
    let http = in_chain(ApplyTo::HttpFilter);
    for filter in list(chain, "filters").into_iter().flatten() {
        for active in network.iter().filter(|active| active.patch.is_merge()) {
            if matches::network_filter(active.patch, filter) {
                merge_into(patches, active, filter, true);
            }
        }
        patch_http_filters(patches, &http, filter);
    }
}

/// Patches the HTTP filters of a network filter, if it has any. `http` holds the patches for its filter chain.
fn patch_http_filters(patches: &Patches<'_>, http: &[&Active<'_>], filter: &mut Value) {
    let http: Vec<_> = http.iter().filter(|active| matches::network_filter(active.patch, filter)).collect();
    let Some(manager) = connection_manager(filter) else { return };
    let sub_filter = |active: &Active<'_>, filter: &Value| {
        let chain = active.patch.filter_chain();
        let wanted = chain.and_then(|chain| chain.sub_filter.as_deref());
        wanted.is_some_and(|wanted| same_filter(wanted, text(filter, "name")))
    };
    for active in http.iter().filter(|active| !active.patch.is_merge()) {
        let chain = active.patch.filter_chain();
        let anchored = chain.is_some_and(|chain| chain.sub_filter.is_some());
        let named = |filter: &Value| sub_filter(active, filter);
        if edit_in(manager, "http_filters", active.patch, anchored.then_some(&named)) {
            active.hit();
        }
    }
    for filter in list(manager, "http_filters").into_iter().flatten() {
        for active in http.iter().filter(|active| active.patch.is_merge()) {
            if sub_filter(active, filter) {
                merge_into(patches, active, filter, true);
            }
        }
    }
}

/// The configuration of an HTTP connection manager.
fn connection_manager(filter: &mut Value) -> Option<&mut Value> {
    if text(filter, "name") != HTTP_CONNECTION_MANAGER {
        return None;
    }
    let config = get_mut(filter, "typed_config")?;
    text(config, "@type").ends_with(".HttpConnectionManager").then_some(config)
}

/// The route configuration inside an HTTP connection manager.
fn inline_routes(filter: &mut Value) -> Option<&mut Value> {
    get_mut(connection_manager(filter)?, "route_config")
}

/// Every filter chain of a listener.
fn chains(listener: &mut Value) -> impl Iterator<Item = &mut Value> {
    let fields = listener.as_object_mut().into_iter().flatten();
    fields.flat_map(|(key, value)| {
        let chains: Vec<&mut Value> = match (snake(key).as_str(), value) {
            ("filter_chains", Value::Array(list)) => list.iter_mut().collect(),
            ("default_filter_chain", chain) => vec![chain],
            _ => Vec::new(),
        };
        chains
    })
}

/// An existing list, to be edited.
fn list<'v>(message: &'v mut Value, name: &str) -> Option<&'v mut Vec<Value>> {
    get_mut(message, name).and_then(Value::as_array_mut)
}
