//! Valid combinations of operation, match and target.
//!
//! Istio rejects some invalid combinations and silently ignores others. Here all of them are rejected.

use super::reader::{At, Reader};
use crate::{
    matches::HTTP_CONNECTION_MANAGER,
    resource::{ApplyTo, ObjectMatch, Operation, Patch, PatchContext},
};

/// The operations that have an effect on a target.
pub(crate) fn operations(apply_to: ApplyTo) -> &'static [Operation] {
    use Operation::{Add, InsertAfter, InsertBefore, InsertFirst, Merge, MergeAndReplaceList, Remove, Replace};
    match apply_to {
        ApplyTo::Listener | ApplyTo::FilterChain | ApplyTo::Cluster => &[Merge, MergeAndReplaceList, Add, Remove],
        ApplyTo::ListenerFilter | ApplyTo::NetworkFilter | ApplyTo::HttpFilter => {
            &[Merge, Add, Remove, InsertBefore, InsertAfter, InsertFirst, Replace]
        }
        ApplyTo::RouteConfiguration => &[Merge, MergeAndReplaceList],
        ApplyTo::VirtualHost => &[Merge, MergeAndReplaceList, Add, Remove, Replace],
        ApplyTo::HttpRoute => &[Merge, MergeAndReplaceList, Add, Remove, InsertBefore, InsertAfter, InsertFirst],
        ApplyTo::Bootstrap => &[Merge],
        ApplyTo::ExtensionConfig => &[Add],
    }
}

/// Records every combination that Istio would reject or ignore.
pub(super) fn check(reader: &mut Reader<'_>, at: &At<'_>, patch: &Patch) {
    let allowed = operations(patch.apply_to);
    if !allowed.contains(&patch.operation) {
        let allowed: Vec<&str> = allowed.iter().map(|operation| operation.as_str()).collect();
        reader.problem(
            &at.down("patch.operation"),
            format!("\"{}\" cannot be used with {}; allowed: {}", patch.operation, patch.apply_to, allowed.join(", ")),
        );
        return;
    }
    if object_fits(reader, at, patch) {
        match &patch.object {
            ObjectMatch::Any => {}
            ObjectMatch::Listener(_) => listener(reader, at, patch),
            ObjectMatch::RouteConfiguration(_) => routes(reader, at, patch),
            ObjectMatch::Cluster(_) => cluster(reader, at, patch),
        }
        anchor(reader, at, patch);
    }
}

/// The matched object must have the kind of the changed object.
fn object_fits(reader: &mut Reader<'_>, at: &At<'_>, patch: &Patch) -> bool {
    if patch.apply_to == ApplyTo::Bootstrap && patch.context != PatchContext::Any {
        reader.problem(
            &at.down("match.context"),
            format!("\"{}\" has no effect with BOOTSTRAP; allowed: ANY", patch.context),
        );
    }
    let found = match patch.object {
        ObjectMatch::Any => return true,
        ObjectMatch::Listener(_) => "listener",
        ObjectMatch::RouteConfiguration(_) => "routeConfiguration",
        ObjectMatch::Cluster(_) => "cluster",
    };
    let expected = match patch.apply_to {
        ApplyTo::Listener
        | ApplyTo::FilterChain
        | ApplyTo::ListenerFilter
        | ApplyTo::NetworkFilter
        | ApplyTo::HttpFilter => Some("listener"),
        ApplyTo::RouteConfiguration | ApplyTo::VirtualHost | ApplyTo::HttpRoute => Some("routeConfiguration"),
        ApplyTo::Cluster => Some("cluster"),
        ApplyTo::Bootstrap | ApplyTo::ExtensionConfig => None,
    };
    if expected == Some(found) {
        return true;
    }
    let allowed = expected.unwrap_or("only proxy");
    reader.problem(
        &at.down(&format!("match.{found}")),
        format!("cannot be used with {}; allowed: {allowed}", patch.apply_to),
    );
    false
}

fn no_effect(reader: &mut Reader<'_>, at: &At<'_>, path: &str, patch: &Patch) {
    let message = if patch.operation == Operation::Add {
        format!("has no effect with {} and ADD", patch.apply_to)
    } else {
        format!("has no effect with {}", patch.apply_to)
    };
    reader.problem(&at.down(path), message);
}

fn listener(reader: &mut Reader<'_>, at: &At<'_>, patch: &Patch) {
    let Some(listener) = patch.listener() else { return };
    let adds = patch.operation == Operation::Add;
    if patch.apply_to == ApplyTo::Listener && adds {
        no_effect(reader, at, "match.listener", patch);
        return;
    }
    if listener.listener_filter.is_some() && patch.apply_to != ApplyTo::ListenerFilter {
        no_effect(reader, at, "match.listener.listenerFilter", patch);
    }
    let Some(chain) = &listener.filter_chain else { return };
    match patch.apply_to {
        ApplyTo::Listener | ApplyTo::ListenerFilter => {
            no_effect(reader, at, "match.listener.filterChain", patch);
        }
        ApplyTo::FilterChain if adds => no_effect(reader, at, "match.listener.filterChain", patch),
        ApplyTo::FilterChain if chain.filter.is_some() => {
            no_effect(reader, at, "match.listener.filterChain.filter", patch);
        }
        ApplyTo::NetworkFilter if chain.sub_filter.is_some() => {
            no_effect(reader, at, "match.listener.filterChain.filter.subFilter", patch);
        }
        ApplyTo::HttpFilter => {
            if let Some(filter) = &chain.filter {
                if !crate::matches::same_filter(filter, HTTP_CONNECTION_MANAGER) {
                    reader.problem(
                        &at.down("match.listener.filterChain.filter.name"),
                        format!("{filter:?} holds no HTTP filters; allowed: {HTTP_CONNECTION_MANAGER}"),
                    );
                }
            }
        }
        _ => {}
    }
}

fn routes(reader: &mut Reader<'_>, at: &At<'_>, patch: &Patch) {
    let Some(routes) = patch.route_configuration() else { return };
    let of_sidecar = matches!(patch.context, PatchContext::SidecarInbound | PatchContext::SidecarOutbound);
    for (name, given) in [("portName", routes.port_name.is_some()), ("gateway", routes.gateway.is_some())] {
        if given && of_sidecar {
            reader.problem(
                &at.down(&format!("match.routeConfiguration.{name}")),
                format!("has no effect in {}; it is for gateways", patch.context),
            );
        }
    }
    let Some(vhost) = &routes.vhost else { return };
    let adds = patch.operation == Operation::Add;
    match patch.apply_to {
        ApplyTo::RouteConfiguration => no_effect(reader, at, "match.routeConfiguration.vhost", patch),
        ApplyTo::VirtualHost if adds => no_effect(reader, at, "match.routeConfiguration.vhost", patch),
        ApplyTo::VirtualHost if vhost.route.is_some() => {
            no_effect(reader, at, "match.routeConfiguration.vhost.route", patch);
        }
        ApplyTo::HttpRoute if adds && vhost.route.is_some() => {
            no_effect(reader, at, "match.routeConfiguration.vhost.route", patch);
        }
        _ => {}
    }
}

fn cluster(reader: &mut Reader<'_>, at: &At<'_>, patch: &Patch) {
    let Some(cluster) = patch.cluster() else { return };
    if patch.operation == Operation::Add {
        no_effect(reader, at, "match.cluster", patch);
        return;
    }
    if cluster.name.is_none() {
        return;
    }
    for (name, given) in [
        ("service", cluster.service.is_some()),
        ("subset", cluster.subset.is_some()),
        ("portNumber", cluster.port.is_some()),
    ] {
        if given {
            reader.problem(&at.down(&format!("match.cluster.{name}")), "has no effect beside match.cluster.name");
        }
    }
}

/// Some operations require a filter in the match.
fn anchor(reader: &mut Reader<'_>, at: &At<'_>, patch: &Patch) {
    let changes = matches!(patch.operation, Operation::Merge | Operation::Remove | Operation::Replace);
    let chain = patch.filter_chain();
    let missing = match patch.apply_to {
        ApplyTo::ListenerFilter if changes => patch
            .listener()
            .is_none_or(|listener| listener.listener_filter.is_none())
            .then_some("match.listener.listenerFilter"),
        // MERGE without a filter applies to every network filter of the chain.
        ApplyTo::NetworkFilter if changes && !patch.is_merge() => {
            chain.is_none_or(|chain| chain.filter.is_none()).then_some("match.listener.filterChain.filter.name")
        }
        ApplyTo::HttpFilter if changes => chain
            .is_none_or(|chain| chain.sub_filter.is_none())
            .then_some("match.listener.filterChain.filter.subFilter.name"),
        _ => None,
    };
    if let Some(path) = missing {
        reader.problem(
            &at.down(path),
            format!("is missing; {} {} has no effect without it", patch.apply_to, patch.operation),
        );
    }
}
