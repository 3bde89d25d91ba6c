//! Route configurations, virtual hosts and routes.

use serde_json::Value;

use super::{
    filters::edit_in,
    patches::{Active, Patches},
};
use crate::{
    fields::{get_mut, list, list_mut},
    matches, merge,
    resource::{ApplyTo, Context, Operation},
};

/// Patches a route configuration, then its virtual hosts, then their routes. New virtual hosts are added last, and are not
/// patched.
pub(super) fn patch(patches: &Patches<'_>, context: Context, routes: &mut Value) {
    for active in patches.of(ApplyTo::RouteConfiguration, context) {
        if matches::route_configuration(active.patch, context, routes) {
            let result = merge::message(routes, &active.patch.value, active.lists());
            patches.merged(active, "", result);
        }
    }
    let here = |apply_to| {
        let routes = &*routes;
        patches
            .of(apply_to, context)
            .filter(|active| matches::route_configuration(active.patch, context, routes))
            .collect::<Vec<_>>()
    };
    let for_hosts = here(ApplyTo::VirtualHost);
    let for_routes = here(ApplyTo::HttpRoute);

    if let Some(Value::Array(hosts)) = get_mut(routes, "virtual_hosts") {
        hosts.retain_mut(|host| {
            for active in &for_hosts {
                if active.patch.operation == Operation::Add || !matches::virtual_host(active.patch, host) {
                    continue;
                }
                match active.patch.operation {
                    Operation::Remove => {
                        active.hit();
                        return false;
                    }
                    Operation::Replace => {
                        *host = active.patch.value.clone();
                        active.hit();
                    }
                    _ => {
                        let result = merge::message(host, &active.patch.value, active.lists());
                        patches.merged(active, "", result);
                    }
                }
            }
            patch_routes(patches, &for_routes, host);
            true
        });
    }
    for active in for_hosts {
        if active.patch.operation == Operation::Add {
            if let Some(hosts) = list_mut(routes, "virtual_hosts") {
                hosts.push(active.patch.value.clone());
                active.hit();
            }
        }
    }
}

/// Patches the routes of a virtual host: removes and merges first, then inserts.
fn patch_routes(patches: &Patches<'_>, for_routes: &[&Active<'_>], host: &mut Value) {
    let here: Vec<_> = for_routes.iter().filter(|active| matches::virtual_host(active.patch, host)).collect();
    if let Some(Value::Array(routes)) = get_mut(host, "routes") {
        routes.retain_mut(|route| {
            for active in &here {
                if !matches::route(active.patch, route) {
                    continue;
                }
                if active.patch.operation == Operation::Remove {
                    active.hit();
                    return false;
                }
                if active.patch.is_merge() {
                    let result = merge::message(route, &active.patch.value, active.lists());
                    patches.merged(active, "", result);
                }
            }
            true
        });
    }
    for active in here {
        let patch = active.patch;
        if patch.is_merge() || patch.operation == Operation::Remove {
            continue;
        }
        let anchored = patch.virtual_host().is_some_and(|host| host.route.is_some());
        let named = |route: &Value| matches::route(patch, route);
        // Unlike for filters, INSERT_FIRST with a match requires the matched item to exist.
        let absent = anchored && !list(host, "routes").iter().any(named);
        if !absent && edit_in(host, "routes", patch, anchored.then_some(&named)) {
            active.hit();
        }
    }
}
