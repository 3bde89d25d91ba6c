//! Applies resources to the configuration of one proxy.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::{
    fields, matches,
    merge::{self, Conflict, Lists},
    problem::Problem,
    resource::{ApplyTo, Context, EnvoyFilter, Operation, Patch},
};

mod clusters;
mod filters;
mod listeners;
mod routes;
#[cfg(test)]
mod tests;

/// The namespace whose resources apply to every proxy.
pub const ROOT_NAMESPACE: &str = "istio-system";

/// What kind of proxy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// Beside a workload.
    Sidecar,
    /// On its own.
    Gateway,
}

/// The proxy whose configuration is patched.
#[derive(Debug, Clone, Copy)]
pub struct Proxy<'a> {
    /// Its kind.
    pub kind: ProxyKind,
    /// Its namespace.
    pub namespace: &'a str,
    /// The labels of its workload.
    pub labels: &'a BTreeMap<String, String>,
    /// Its Istio version, for `match.proxy.proxyVersion`; empty matches none.
    pub version: &'a str,
    /// The metadata of its node, for `match.proxy.metadata`.
    pub metadata: &'a Map<String, Value>,
}

/// The configuration of one proxy, as Istio would generate it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProxyConfig {
    /// The bootstrap.
    pub bootstrap: Value,
    /// What LDS serves, with route configurations inline.
    pub listeners: Vec<Value>,
    /// What CDS serves.
    pub clusters: Vec<Value>,
}

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

/// A patch on its way, with the count of what it changed.
#[derive(Debug)]
struct Active<'a> {
    file: &'a Path,
    index: usize,
    patch: &'a Patch,
    matched: Cell<usize>,
}

impl Active<'_> {
    fn hit(&self) {
        self.matched.set(self.matched.get() + 1);
    }

    fn lists(&self) -> Lists {
        match self.patch.operation {
            Operation::MergeAndReplaceList => Lists::Replace,
            _ => Lists::Append,
        }
    }
}

/// The patches for one proxy, in the order they are applied.
#[derive(Debug)]
struct Patches<'a> {
    active: Vec<Active<'a>>,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Patches<'a> {
    fn select(filters: &'a [EnvoyFilter], proxy: &Proxy<'_>) -> Self {
        let mut chosen: Vec<&EnvoyFilter> = filters
            .iter()
            .filter(|filter| filter.namespace == ROOT_NAMESPACE || filter.namespace == proxy.namespace)
            .filter(|filter| {
                let mut selector = filter.workload_selector.iter();
                selector.all(|(name, value)| proxy.labels.get(name) == Some(value))
            })
            .collect();
        chosen.sort_by_cached_key(|filter| {
            (filter.priority, filter.namespace != ROOT_NAMESPACE, format!("{}.{}", filter.name, filter.namespace))
        });
        let active = chosen
            .into_iter()
            .flat_map(|filter| {
                let patches = filter.patches.iter().enumerate();
                patches.map(|(index, patch)| Active { file: &filter.file, index, patch, matched: Cell::new(0) })
            })
            .filter(|active| matches::proxy(&active.patch.proxy, proxy))
            .collect();
        Patches { active, problems: RefCell::default() }
    }

    /// The patches for one kind of object in one context.
    fn of(&self, apply_to: ApplyTo, context: Context) -> impl Iterator<Item = &Active<'a>> {
        self.active
            .iter()
            .filter(move |active| active.patch.apply_to == apply_to && active.patch.context.includes(context))
    }

    /// Counts a merge, or notes why it failed. `path` leads from `patch.value` to what was merged.
    fn merged(&self, active: &Active<'_>, path: &str, result: Result<(), Conflict>) {
        match result {
            Ok(()) => active.hit(),
            Err(conflict) => self.problems.borrow_mut().push(Problem {
                line: Some(active.patch.line),
                path: format!("spec.configPatches[{}].patch.value{path}{}", active.index, conflict.path),
                ..Problem::of_file(active.file, conflict.reason)
            }),
        }
    }
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
