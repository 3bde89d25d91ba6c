//! The crates: which of them are filters and modules, and what their code names.

use catalog::{Ends, Filter, Metric, Reference, OPERATIONS, TABLE};
use labels::direction::Direction;
use remixer::filter::PluginFilter;

use super::repository::Repository;

/// Each module crate has a row, and each row a crate.
pub fn module_crates(repository: &Repository) -> Vec<String> {
    let is_module = |manifest: &str| manifest.contains("\n[package.metadata.module]\n");
    let mut missing = Vec::new();
    for (path, _) in repository.below("filters", "/Cargo.toml").filter(|(_, manifest)| is_module(manifest)) {
        let package = path.split('/').nth(1).unwrap();
        if repository.module(package).is_none() {
            missing.push(format!(
                "{TABLE}: MODULES has no row for {path}: add `module(\"{package}\", <its size in bytes and 2 % \
                 more>, \
                 ConfigMap::Default),`"
            ));
        }
    }
    for package in repository.modules.iter().map(|module| module.package) {
        let path = format!("filters/{package}/Cargo.toml");
        let manifest = repository.text(&path);
        if manifest.is_empty() {
            missing.push(format!("{path} is missing: copy that of filters/shadow, and change what is `shadow` in it"));
        } else if !is_module(manifest) {
            missing.push(format!("{path}: add `[package.metadata.module]` with `callbacks = [\"proxy_on_…\"]`"));
        }
    }
    missing
}

/// Each crate with a page or callbacks is a filter of the table, and has both.
pub fn filter_crates(repository: &Repository) -> Vec<String> {
    let mut missing = Vec::new();
    let files = ["/README.md", "/src/module.rs"].into_iter().flat_map(|end| {
        repository.below("filters", end).map(move |(path, _)| path.strip_suffix(end).unwrap().to_owned())
    });
    for folder in files {
        if !repository.filters.iter().any(|filter| filter.folder() == folder) {
            missing.push(format!(
                "{TABLE}: FILTERS has no filter with the `page` \"{folder}/README.md\": add a `Filter {{ … }}`, \
                 as for \
                 fault"
            ));
        }
    }
    for filter in &repository.filters {
        let file = format!("{}/src/module.rs", filter.folder());
        if repository.text(&file).is_empty() {
            missing.push(format!("{file} is missing: it has the callbacks of `{}`, as that of shadow", filter.name));
        }
    }
    missing
}

/// The table has the metrics that code can be asked for.
pub fn metrics_of_code(repository: &Repository) -> Vec<String> {
    let stats = stats::metrics::standard_names().map(|name| format!("istio_{name}"));
    let stats = stats.chain([stats::metrics::OVERFLOW_METRIC.to_owned()]).map(|name| (name, [].as_slice()));
    let exchange = metadata_exchange::counters::NAMES.iter().map(|name| (name.replace('.', "_"), [].as_slice()));
    let of_table = |metrics: &'static [(&'static str, &'static [&'static str])]| {
        metrics.iter().map(|(n, l)| ((*n).to_owned(), *l))
    };
    let mut missing = Vec::new();
    let mut check = |name: &str, metrics: Vec<(String, &[&str])>| {
        let Some(filter) = repository.filters.iter().find(|filter| filter.name == name) else { return };
        for (metric, labels) in metrics {
            if !filter.metrics.iter().any(|known| known.name == metric && known.labels == labels) {
                missing.push(format!("{TABLE}: `{name}` lacks `metric(\"{metric}\", &{labels:?}),`"));
            }
        }
    };
    check("stats", stats.collect());
    check("metadata exchange", exchange.collect());
    check("fault", of_table(&fault::metrics::METRICS).collect());
    check("shadow", of_table(&shadow::metrics::METRICS).collect());
    missing
}

/// Filters that no other crate of this repository uses are known by their sources alone.
pub fn metrics_of_sources(repository: &Repository) -> Vec<String> {
    let mut missing = Vec::new();
    for filter in &repository.filters {
        for (path, code) in repository.sources(filter.folder()) {
            for name in metrics(path, code) {
                let shown = name.replace('.', "_");
                let is_known = |metric: &Metric| metric.name == shown || metric.name == format!("istio_{shown}");
                if !repository.filters.iter().flat_map(|filter| filter.metrics).any(is_known) {
                    missing.push(format!(
                        "{TABLE}: `{}` has no metric `{name}`, which {path} counts: add `metric(\"{name}\", &[<its \
                         labels>]),`",
                        filter.name
                    ));
                }
            }
        }
        // The names of stats are put together of parts; `metrics_of_code` has all of them.
        if filter.name != "stats" {
            missing.extend(not_in_sources(repository, filter));
        }
    }
    missing
}

/// What a row has, and no source.
fn not_in_sources(repository: &Repository, filter: &Filter) -> Vec<String> {
    let code: String = repository.sources(filter.folder()).map(|(_, code)| code).collect();
    if code.is_empty() {
        return Vec::new(); // its crate is missing
    }
    let named = |name: &str| code.contains(&format!("{name}\""));
    let mut missing = Vec::new();
    for Metric { name, labels } in filter.metrics {
        if !named(name.trim_start_matches("istio_")) && !named(&name.replacen("exchange_", "exchange.", 1)) {
            missing.push(format!(
                "{TABLE}: no source of `{}` names its metric `{name}`: count it, or remove it",
                filter.name
            ));
        }
        for label in labels.iter().filter(|label| !named(label)) {
            missing.push(format!(
                "{TABLE}: no source of `{}` names the label `{label}` of `{name}`: remove it",
                filter.name
            ));
        }
    }
    missing
}

/// Names of metrics in code: texts that end as counters do, and all constants of a `metrics.rs` or `lib.rs`.
fn metrics<'a>(path: &str, code: &'a str) -> Vec<&'a str> {
    let is_name = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.".contains(c));
    let ends = code.match_indices("_total\"").map(|(at, end)| at + end.len() - 1);
    let texts = ends.filter_map(|end| code.get(..end)?.rsplit('"').next());
    let mut names: Vec<&str> = texts.filter(|text| *text != "_total" && is_name(text)).collect();
    if path.ends_with("/src/metrics.rs") || path.ends_with("/src/lib.rs") {
        let constants = code.lines().filter_map(|line| line.strip_prefix("pub const ")?.split_once(": &str = \""));
        let values = constants.filter_map(|(_, value)| value.strip_suffix("\";"));
        names.extend(values.filter(|name| is_name(name) && !name.ends_with('_')));
    }
    names
}

/// remixer knows the root ids of its filters, and no others.
pub fn parts_of_remixer(repository: &Repository) -> Vec<String> {
    const FILE: &str = "filters/remixer/src/filter.rs";
    let mut missing = Vec::new();
    for filter in &repository.filters {
        let (name, is_part) = (filter.name, filter.modules.contains(&"remixer"));
        for id in filter.roots.iter().map(|root| root.id).filter(|id| PluginFilter::of_root_id(id).is_some() != is_part)
        {
            missing.push(match is_part {
                true => format!("{FILE}: `Filter::of_root_id` does not know \"{id}\" of `{name}`: add a line"),
                false => format!("{TABLE}: \"{id}\" of `{name}` is a root id of remixer: add \"remixer\" to `modules`"),
            });
        }
    }
    let has = |id: &str| repository.filters.iter().flat_map(|filter| filter.roots).any(|root| root.id == id);
    let others = PluginFilter::NAMES.iter().filter(|name| !has(name));
    missing.extend(others.map(|id| format!("{TABLE}: no filter has \"{id}\" of {FILE}: add `Root::plain(\"{id}\")`")));
    missing
}

/// Root ids tell the direction where the table says so.
pub fn directions(repository: &Repository) -> Vec<String> {
    let mut missing = Vec::new();
    for filter in &repository.filters {
        for root in filter.roots {
            let told = |end: &str| Direction::of_root_id(&format!("{}_{end}", root.id)).is_some();
            if [told("inbound"), told("outbound")] != [root.ends == Ends::Told; 2] {
                missing.push(format!(
                    "filters/labels/src/direction.rs: FILTERS and {TABLE} differ in whether the end of \
                     \"{}_inbound\" tells \
                     `{}` its direction: change one of them",
                    root.id, filter.name
                ));
            }
        }
    }
    missing
}

/// What a filter refuses names all fields that it knows. Its crate compares them with its page; the others are compared by
/// the test `docs`.
pub fn tests_of_configuration(repository: &Repository) -> Vec<String> {
    let of_own = repository.filters.iter().filter(|filter| filter.reference == Reference::OwnPage);
    let without = of_own.filter(|filter| {
        let mut code = repository.below(filter.folder(), ".rs");
        !code.any(|(_, code)| code.contains("include_str!(\"../README.md\")"))
    });
    without
        .map(|filter| {
            let folder = filter.folder();
            format!(
                "{folder}/src/config.rs: no test compares the fields with {folder}/README.md: add one that looks in \
                 `include_str!(\"../README.md\")` for each field that the refusal of `{{\"x\": 1}}` names"
            )
        })
        .collect()
}

/// The page for operators has every warning and error.
pub fn log_lines(repository: &Repository) -> Vec<String> {
    let lines: Vec<(&str, String)> = repository
        .sources("filters")
        .flat_map(|(path, code)| logged(code).into_iter().map(move |line| (path, line)))
        .collect();
    assert!(lines.len() > 10, "{lines:?}");
    let missing = lines.into_iter().filter_map(|(path, line)| {
        let page = repository.filter_of(path).map_or(OPERATIONS, Filter::operations);
        let has = repository.text(page).contains(&line);
        (!has).then(|| {
            format!("{page}: nothing says what `{line}` means, which {path} logs: add what it means and what to do")
        })
    });
    missing.collect()
}

/// The longest text between two placeholders of each line that code logs. Lines that only pass on what another has found
/// have none.
fn logged(code: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for rest in ["log::warn!(", "log::error!("].iter().flat_map(|name| code.split(name).skip(1)) {
        let (_, literal) = rest.split_once('"').unwrap();
        let literal = literal.replace("\\\"", "\u{1}");
        let literal = literal.split('"').next().unwrap().replace('\u{1}', "\"");
        let constant = literal.split(['{', '}']).step_by(2).max_by_key(|text| text.len()).unwrap();
        if constant.len() > 2 {
            lines.push(constant.trim_end_matches([':', ' ']).to_owned());
        }
    }
    lines
}
