//! The files in `envoy/`: whose they are, what they load, and what makes labels of metrics' names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use catalog::{module, Context, Filter, Place, ENVOY_FILTERS, FILTERS, TABLE};
use envoy_filter::{ApplyTo, PatchContext, MODULES};
use serde_json::Value;
use series::metric_name::{self, Separators};

use super::{expect_none, files};

/// A plugin that a file attaches.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Plugin {
    place: Place,
    contexts: Vec<Context>,
    root_id: String,
    module: String,
}

/// The EnvoyFilters that are there, by their path in `envoy/`.
fn present() -> BTreeMap<String, String> {
    let mut found = files(ENVOY_FILTERS, ".yaml");
    found.retain(|path, _| !path.starts_with("envoy/kubernetes/"));
    found.into_iter().map(|(path, text)| (path.trim_start_matches("envoy/").to_owned(), text)).collect()
}

/// What a file attaches.
fn plugins(file: &str, text: &str) -> BTreeSet<Plugin> {
    let filters = envoy_filter::parse(&[(PathBuf::from(file), text.to_owned())]);
    let filters = filters.unwrap_or_else(|problems| panic!("envoy/{file}: {problems:?}"));
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
    found
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

#[test]
fn each_file_is_in_the_row_of_a_filter_and_each_file_of_a_row_is_there() {
    let present = present();
    let listed: BTreeSet<&str> =
        FILTERS.iter().flat_map(|f| f.envoy_filters.iter().map(|filter| filter.file).chain(f.bootstrap)).collect();
    let unlisted = present.keys().filter(|file| !listed.contains(file.as_str())).map(|file| {
        let row = match file.ends_with("-bootstrap.yaml") {
            true => format!("`bootstrap: Some(\"{file}\")`"),
            false => format!("`EnvoyFilter::file(\"{file}\")` in `envoy_filters`"),
        };
        format!("{TABLE}: no filter has envoy/{file}: add {row}")
    });
    let absent = listed.iter().filter(|file| !present.contains_key(**file));
    let absent = absent
        .map(|file| format!("envoy/{file} is missing, which {TABLE} has: write it, as envoy/fault-outbound.yaml"));
    expect_none(unlisted.chain(absent));
}

#[test]
fn files_attach_the_filter_in_whose_row_they_are_and_load_its_modules() {
    let present = present();
    let mut problems = Vec::new();
    for filter in FILTERS {
        let name = filter.name;
        let modules: Vec<String> = filter.modules.iter().filter_map(|package| Some(module(package)?.file())).collect();
        for file in filter.envoy_filters.iter().map(|filter| filter.file) {
            let plugins = present.get(file).map(|text| plugins(file, text)).unwrap_or_default();
            if present.contains_key(file) && !plugins.iter().any(|plugin| has_root(filter, &plugin.root_id)) {
                problems.push(format!(
                    "envoy/{file}: attaches no plugin with a root id of `{name}`: add `root_id`, or correct \
                     `roots` in {TABLE}"
                ));
            }
            for Plugin { root_id, module, place, contexts } in &plugins {
                if !FILTERS.iter().any(|filter| has_root(filter, root_id)) {
                    problems.push(format!(
                        "{TABLE}: no filter has the root id \"{root_id}\" of envoy/{file}: add `Root::plain(\"{}\")`",
                        base(root_id)
                    ));
                } else if has_root(filter, root_id) {
                    if !modules.contains(module) {
                        problems.push(format!(
                            "{TABLE}: `{name}` is not in {module}, which envoy/{file} loads: add it to `modules`"
                        ));
                    }
                    if !filter.places.contains(place) {
                        problems
                            .push(format!("{TABLE}: envoy/{file} attaches `{name}` as {place:?}: add it to `places`"));
                    }
                    for context in contexts.iter().filter(|context| !filter.contexts.contains(context)) {
                        problems.push(format!(
                            "{TABLE}: envoy/{file} attaches `{name}` to {context:?}: add it to `contexts`"
                        ));
                    }
                }
            }
        }
    }
    expect_none(problems);
}

#[test]
fn each_place_context_and_module_of_a_row_is_attached_by_some_file() {
    let all: BTreeSet<Plugin> = present().iter().flat_map(|(file, text)| plugins(file, text)).collect();
    let mut problems = Vec::new();
    for filter in FILTERS {
        let of = || all.iter().filter(|plugin| has_root(filter, &plugin.root_id));
        let mut check = |has: bool, what: String| {
            if !has {
                problems.push(format!(
                    "envoy/: no file attaches `{}` {what}, which {TABLE} says: write one, or correct the row",
                    filter.name
                ));
            }
        };
        filter.places.iter().for_each(|place| check(of().any(|p| p.place == *place), format!("as {place:?}")));
        filter
            .contexts
            .iter()
            .for_each(|context| check(of().any(|p| p.contexts.contains(context)), format!("to {context:?}")));
        for module in filter.modules.iter().filter_map(|package| module(package)) {
            check(of().any(|plugin| plugin.module == module.file()), format!("by {}", module.file()));
        }
    }
    expect_none(problems);
}

/// Without its expression a label is part of the metric's name.
#[test]
fn bootstraps_have_an_expression_for_each_label_and_for_no_other() {
    let standard = labels::names();
    let special: BTreeMap<_, _> = metric_name::build_tag_regexes().into_iter().collect();
    let mut problems = Vec::new();
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for filter in FILTERS {
        let (name, labels) = (filter.name, filter.labels());
        let Some(file) = filter.bootstrap else {
            if !labels.is_empty() {
                problems.push(format!(
                    "{TABLE}: `{name}` has labels {labels:?} and no `bootstrap`: write \
                     envoy/{name}-bootstrap.yaml, and name it"
                ));
            }
            continue;
        };
        let Some(text) = present().remove(file) else { continue };
        let document: Value = serde_saphyr::from_str(&text).unwrap();
        let tags = document.pointer("/spec/configPatches/0/patch/value/stats_config/stats_tags");
        let tags: BTreeMap<&str, &str> = { tags.and_then(Value::as_array).into_iter().flatten() }
            .map(|tag| (tag["tag_name"].as_str().unwrap_or_default(), tag["regex"].as_str().unwrap_or_default()))
            .collect();
        for label in &labels {
            let regex =
                special.get(label).cloned().unwrap_or_else(|| metric_name::tag_regex(label, &Separators::default()));
            if tags.get(label) != Some(&regex.as_str()) {
                problems.push(format!(
                    "envoy/{file}: the label `{label}` of `{name}` stays in the metric's name: add to stats_tags \
                     `{{ tag_name: {label}, regex: '{regex}' }}`"
                ));
            }
        }
        let is_known = |tag: &str| labels.contains(&tag) || (name == "stats" && standard.contains(&tag));
        for tag in tags.keys().filter(|tag| !is_known(tag)) {
            problems.push(format!(
                "{TABLE}: no metric of `{name}` has the label `{tag}` of envoy/{file}: add it to the metric's labels"
            ));
        }
        for tag in tags.keys() {
            if let Some(other) = owners.insert((*tag).to_owned(), name) {
                problems.push(format!(
                    "envoy/{file}: the label `{tag}` of `{name}` is one of `{other}` already, both are in one \
                     bootstrap: give it another name"
                ));
            }
        }
    }
    expect_none(problems);
}
