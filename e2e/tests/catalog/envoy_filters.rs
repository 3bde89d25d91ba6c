//! The files in `envoy/`: whose they are, what they load, and what makes labels of metrics' names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use catalog::{Context, Filter, Place, TABLE};
use envoy_filter::{ApplyTo, PatchContext, Problem, MODULES};
use serde_json::Value;
use series::metric_name::{self, Separators};

use super::documents::files;
use super::repository::Repository;

/// A plugin that a file attaches.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Plugin {
    place: Place,
    contexts: Vec<Context>,
    root_id: String,
    module: String,
}

/// The EnvoyFilters that are there, by their path in `envoy/`.
fn present(repository: &Repository) -> BTreeMap<&str, &str> {
    let files = repository.below("envoy", ".yaml").map(|(path, text)| (path.strip_prefix("envoy/").unwrap(), text));
    files.filter(|(path, _)| !path.starts_with("kubernetes/")).collect()
}

/// What a file attaches.
fn plugins(file: &str, text: &str) -> Result<BTreeSet<Plugin>, Vec<Problem>> {
    let filters = envoy_filter::parse(&[(PathBuf::from(file), text.to_owned())])?;
    let mut found = BTreeSet::new();
    for patch in filters.iter().flat_map(|filter| &filter.patches).filter(|p| p.apply_to != ApplyTo::Bootstrap) {
        let contexts = match patch.context {
            PatchContext::Any => vec![Context::Inbound, Context::Outbound, Context::Gateway],
            PatchContext::SidecarInbound => vec![Context::Inbound],
            PatchContext::SidecarOutbound => vec![Context::Outbound],
            PatchContext::Gateway => vec![Context::Gateway],
        };
        collect(&patch.value, &contexts, &mut found);
    }
    Ok(found)
}

/// Looks for plugins in a value and all that is in it.
fn collect(value: &Value, contexts: &[Context], found: &mut BTreeSet<Plugin>) {
    let place = match value["@type"].as_str().unwrap_or_default().rsplit("extensions.").next().unwrap() {
        "filters.http.wasm.v3.Wasm" => Some(Place::HttpFilter),
        "filters.network.wasm.v3.Wasm" => Some(Place::NetworkFilter),
        "access_loggers.wasm.v3.WasmAccessLog" => Some(Place::AccessLogger),
        _ => None,
    };
    if let Some(place) = place {
        let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let root_id = text("/config/root_id").to_owned();
        let module = text("/config/vm_config/code/local/filename").trim_start_matches(MODULES).to_owned();
        found.insert(Plugin { place, contexts: contexts.to_vec(), root_id, module });
        return;
    }
    match value {
        Value::Object(fields) => fields.values().for_each(|field| collect(field, contexts, found)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, contexts, found)),
        _ => {}
    }
}

/// A root id without the end that tells a direction.
fn base(root_id: &str) -> &str {
    root_id.strip_suffix("_inbound").or_else(|| root_id.strip_suffix("_outbound")).unwrap_or(root_id)
}

fn has_root(filter: &Filter, root_id: &str) -> bool {
    filter.roots.iter().any(|root| root.id == base(root_id))
}

/// Each file is in the row of a filter, and each file of a row is there.
pub fn listed(repository: &Repository) -> Vec<String> {
    let present = present(repository);
    let listed: BTreeSet<&str> = repository.filters.iter().flat_map(files).collect();
    let unlisted = present.keys().filter(|file| !listed.contains(*file)).map(|file| {
        let row = match file.ends_with("-bootstrap.yaml") {
            true => format!("`bootstrap: Some(\"{file}\")`"),
            false => format!("`EnvoyFilter::file(\"{file}\")` in `envoy_filters`"),
        };
        format!("{TABLE}: no filter has envoy/{file}: add {row}")
    });
    let absent = listed.iter().filter(|file| !present.contains_key(**file)).map(|file| {
        let like = if file.ends_with("-bootstrap.yaml") { "fault-bootstrap.yaml" } else { "fault-outbound.yaml" };
        format!("envoy/{file} is missing, which {TABLE} has: write it, like envoy/{like}")
    });
    unlisted.chain(absent).collect()
}

/// Files attach the filter in whose row they are, and load its modules.
pub fn load_what_the_row_says(repository: &Repository) -> Vec<String> {
    let present = present(repository);
    let mut missing = Vec::new();
    for filter in &repository.filters {
        let name = filter.name;
        let modules: Vec<String> =
            filter.modules.iter().filter_map(|package| Some(repository.module(package)?.file())).collect();
        for (file, text) in filter.envoy_filters.iter().filter_map(|f| Some((f.file, *present.get(f.file)?))) {
            let plugins = match plugins(file, text) {
                Ok(plugins) => plugins,
                Err(problems) => {
                    missing.extend(problems.iter().map(|problem| format!("envoy/{problem}")));
                    continue;
                }
            };
            if !plugins.iter().any(|plugin| has_root(filter, &plugin.root_id)) {
                let roots: Vec<&str> = filter.roots.iter().map(|root| root.id).collect();
                missing.push(format!(
                    "envoy/{file}: no plugin has a root id of `{name}`: add `root_id: {}`",
                    roots.join(" or ")
                ));
            }
            for Plugin { root_id, module, place, contexts } in &plugins {
                if !repository.filters.iter().any(|filter| has_root(filter, root_id)) {
                    let base = base(root_id);
                    missing.push(format!(
                        "{TABLE}: no filter has the root id \"{root_id}\" of envoy/{file}: add \
                         `Root::plain(\"{base}\")` to `roots`"
                    ));
                } else if has_root(filter, root_id) {
                    if !modules.contains(module) {
                        missing.push(format!(
                            "{TABLE}: `{name}` is not in {module}, which envoy/{file} loads: add it to `modules`, or \
                             load {}",
                            modules.join(" or ")
                        ));
                    }
                    if !filter.places.contains(place) {
                        missing
                            .push(format!("{TABLE}: envoy/{file} attaches `{name}` as {place:?}: add it to `places`"));
                    }
                    for context in contexts.iter().filter(|context| !filter.contexts.contains(context)) {
                        missing.push(format!(
                            "{TABLE}: envoy/{file} attaches `{name}` to {context:?}: add it to `contexts`"
                        ));
                    }
                }
            }
        }
    }
    missing
}

/// Each place, context and module of a row is attached by some file.
pub fn cover_the_row(repository: &Repository) -> Vec<String> {
    let present = present(repository);
    let all: BTreeSet<Plugin> =
        present.iter().flat_map(|(file, text)| plugins(file, text).unwrap_or_default()).collect();
    let mut missing = Vec::new();
    // Where a file is missing, `listed` has said so.
    let whole = |filter: &&Filter| files(filter).all(|file| present.contains_key(file));
    for filter in repository.filters.iter().filter(whole) {
        let of = || all.iter().filter(|plugin| has_root(filter, &plugin.root_id));
        let mut check = |has: bool, what: String| {
            if !has {
                let name = filter.name;
                missing.push(format!(
                    "envoy/: no file attaches `{name}` {what}, as {TABLE} says: add it, or correct the row"
                ));
            }
        };
        filter.places.iter().for_each(|place| check(of().any(|p| p.place == *place), format!("as {place:?}")));
        for context in filter.contexts {
            check(of().any(|plugin| plugin.contexts.contains(context)), format!("to {context:?}"));
        }
        for file in filter.modules.iter().filter_map(|package| Some(repository.module(package)?.file())) {
            check(of().any(|plugin| plugin.module == file), format!("by {file}"));
        }
    }
    missing
}

/// Bootstraps have an expression for each label, and for no other: without it a label is part of the metric's name.
pub fn expressions_of_labels(repository: &Repository) -> Vec<String> {
    let standard = labels::names();
    let special: BTreeMap<_, _> = metric_name::build_tag_regexes().into_iter().collect();
    let mut missing = Vec::new();
    for filter in &repository.filters {
        let (name, labels) = (filter.name, filter.labels());
        let Some(file) = filter.bootstrap else {
            if !labels.is_empty() {
                missing.push(format!(
                    "{TABLE}: `{name}` has labels and no bootstrap: add `bootstrap: Some(\"{name}-bootstrap.yaml\")`"
                ));
            }
            continue;
        };
        let Some(tags) = present(repository).get(file).map(|text| expressions(text)) else { continue };
        for label in &labels {
            let regex = special.get(label).cloned();
            let regex = regex.unwrap_or_else(|| metric_name::tag_regex(label, &Separators::default()));
            if tags.get(*label) != Some(&regex) {
                missing.push(format!(
                    "envoy/{file}: nothing takes the label `{label}` out of the metrics' names: add to stats_tags \
                     `{{ tag_name: {label}, regex: '{regex}' }}`"
                ));
            }
        }
        for tag in tags.keys() {
            let is_standard = name == "stats" && standard.contains(&tag.as_str());
            if !labels.contains(&tag.as_str()) && !is_standard {
                missing.push(format!(
                    "{TABLE}: no metric of `{name}` has the label `{tag}` of envoy/{file}: add it to the metric"
                ));
            }
            if let Some(other) = standard.iter().find(|other| !is_standard && alike(other, tag)) {
                missing.push(format!(
                    "envoy/{file}: `{tag}` and Istio's label `{other}` end alike, and what Istio makes of extraStatTags finds \
                     one within the other: give it another name"
                ));
            }
        }
    }
    missing
}

/// Whether one of two names ends with the other.
fn alike(one: &str, other: &str) -> bool {
    one.ends_with(other) || other.ends_with(one)
}

/// The expressions of an EnvoyFilter for the bootstrap.
fn expressions(text: &str) -> BTreeMap<String, String> {
    let document: Value = serde_saphyr::from_str(text).unwrap_or_default();
    let tags = document.pointer("/spec/configPatches/0/patch/value/stats_config/stats_tags");
    let text = |tag: &Value, field: &str| tag[field].as_str().unwrap_or_default().to_owned();
    let tags = tags.and_then(Value::as_array).into_iter().flatten();
    tags.map(|tag| (text(tag, "tag_name"), text(tag, "regex"))).collect()
}
