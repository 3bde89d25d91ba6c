//! Applies resources to the configuration of one proxy.

use std::path::PathBuf;

use serde_json::Value;

use self::patches::Patches;
use crate::{
    fields, merge,
    problem::Problem,
    proxy::{Proxy, ProxyConfig},
    resource::{ApplyTo, EnvoyFilter},
};

mod clusters;
mod filters;
mod listeners;
mod patches;
mod routes;
#[cfg(test)]
mod tests;

/// What became of one patch in one proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Where the patch was read from.
    pub file: PathBuf,
    /// The line on which it begins.
    pub line: u64,
    /// Namespace and name of its resource.
    pub resource: String,
    /// Its position in `spec.configPatches`.
    pub patch: usize,
    /// What it is for, whatever the context: equal for patches that differ in their context alone.
    pub target: String,
    /// How many objects it changed; 0 if it was not meant for this proxy or nothing matched.
    pub matched: usize,
}

/// Applies every resource that is meant for a proxy, in Istio's order: by priority, then those of the root namespace,
/// then by name and namespace (resources applied together have one creation time, which would come before the name).
///
/// Returns one entry for every patch of every resource, in the order they are given. On an error the configuration is
/// unchanged.
pub fn apply(
    filters: &[EnvoyFilter],
    proxy: &Proxy<'_>,
    config: &mut ProxyConfig,
) -> Result<Vec<Applied>, Vec<Problem>> {
    let patches = Patches::select(filters, proxy);
    let mut patched = config.clone();
    bootstrap(&patches, &mut patched.bootstrap);
    listeners::apply(&patches, proxy.kind, &mut patched.listeners);
    clusters::apply(&patches, proxy.kind, &mut patched.clusters);
    extensions(&patches, &patched.listeners);

    let problems = patches.problems.into_inner();
    if !problems.is_empty() {
        return Err(problems);
    }
    *config = patched;

    let mut applied = Vec::new();
    for filter in filters {
        for (index, patch) in filter.patches.iter().enumerate() {
            applied.push(Applied {
                file: filter.file.clone(),
                line: patch.line,
                resource: format!("{}/{}", filter.namespace, filter.name),
                patch: index,
                target: format!("{} {:?}", patch.apply_to, patch.object),
                matched: patches
                    .active
                    .iter()
                    .filter(|active| std::ptr::eq(active.patch, patch))
                    .map(|active| active.matched.get())
                    .sum(),
            });
        }
    }
    Ok(applied)
}

/// The patches that changed nothing in any of the proxies whose reports these are, as one with a typo in its match does.
///
/// A patch is not told if its resource has another for the same target that did change something: these proxies then
/// lack the context (a gateway, say), not the target.
pub fn unused(applied: &[Applied]) -> Vec<Problem> {
    let mut totals: Vec<(&Applied, usize)> = Vec::new();
    for entry in applied {
        let known =
            totals.iter_mut().find(|(first, _)| (&first.resource, first.patch) == (&entry.resource, entry.patch));
        match known {
            Some((_, total)) => *total += entry.matched,
            None => totals.push((entry, entry.matched)),
        }
    }
    let used: Vec<(&String, &String)> =
        totals.iter().filter(|(_, total)| *total > 0).map(|(entry, _)| (&entry.resource, &entry.target)).collect();
    totals
        .into_iter()
        .filter(|(entry, _)| !used.contains(&(&entry.resource, &entry.target)))
        .map(|(entry, _)| Problem {
            line: Some(entry.line),
            path: format!("spec.configPatches[{}]", entry.patch),
            ..Problem::of_file(&entry.file, "changed nothing in any proxy")
        })
        .collect()
}

/// The bootstrap has no context.
fn bootstrap(patches: &Patches<'_>, bootstrap: &mut Value) {
    let of_bootstrap = patches.active.iter().filter(|active| active.patch.apply_to == ApplyTo::Bootstrap);
    for active in of_bootstrap {
        let result = merge::message(bootstrap, &active.patch.value, active.lists());
        patches.merged(active, "", result);
    }
}

/// Configurations that proxies ask for are no part of what they are told at first: those count that a filter asks for.
fn extensions(patches: &Patches<'_>, listeners: &[Value]) {
    for active in patches.active.iter().filter(|active| active.patch.apply_to == ApplyTo::ExtensionConfig) {
        let name = fields::text(&active.patch.value, "name");
        if listeners.iter().any(|listener| asks_for(listener, name)) {
            active.hit();
        }
    }
}

fn asks_for(value: &Value, name: &str) -> bool {
    let is_it = || fields::get(value, "config_discovery").is_some() && fields::text(value, "name") == name;
    match value {
        Value::Object(map) => is_it() || map.values().any(|field| asks_for(field, name)),
        Value::Array(list) => list.iter().any(|item| asks_for(item, name)),
        _ => false,
    }
}
