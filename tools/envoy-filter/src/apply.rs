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

/// The result of one patch in one proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The file of the patch.
    pub file: PathBuf,
    /// Its first line.
    pub line: u64,
    /// Namespace and name of its resource.
    pub resource: String,
    /// Its position in `spec.configPatches`.
    pub patch: usize,
    /// Its target without the context: equal for patches that differ only in their context.
    pub target: String,
    /// Number of objects that it changed; 0 if it is not for this proxy, or nothing matched.
    pub matched: usize,
}

/// Applies all resources for a proxy in Istio's order: by priority, then the root namespace first, then by name and
/// namespace. (Istio sorts by creation time before the name, but resources applied together have the same creation time.)
///
/// Returns one entry for each patch of each resource, in the given order. After an error, the configuration is unchanged.
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

/// The patches that changed nothing in any of these proxies, for example because of a typo in the match.
///
/// A patch is not listed if its resource has another patch for the same target that did change something. Then the proxies
/// lack only the context (a gateway, for example), not the target.
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

/// Patches for the bootstrap have no context.
fn bootstrap(patches: &Patches<'_>, bootstrap: &mut Value) {
    let of_bootstrap = patches.active.iter().filter(|active| active.patch.apply_to == ApplyTo::Bootstrap);
    for active in of_bootstrap {
        let result = merge::message(bootstrap, &active.patch.value, active.lists());
        patches.merged(active, "", result);
    }
}

/// Proxies fetch extension configurations only when a filter refers to them. So only configurations that a filter refers to
/// count.
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
