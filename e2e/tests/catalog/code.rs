//! The crates: which of them are filters and modules, and what their code names.

use catalog::{module, Reference, Root, FILTERS, MODULES, TABLE};
use labels::direction::Direction;
use remixer::filter::Filter as Part;

use super::{expect_none, files, filter_of, root, sources, text};

#[test]
fn each_module_crate_has_a_row_and_each_row_a_crate() {
    let manifests = files("filters", "/Cargo.toml");
    let is_module = |manifest: &String| manifest.contains("\n[package.metadata.module]\n");
    let mut problems = Vec::new();
    for (path, _) in manifests.iter().filter(|(_, manifest)| is_module(manifest)) {
        let package = path.split('/').nth(1).unwrap();
        if module(package).is_none() {
            problems.push(format!(
                "{TABLE}: MODULES has no row for {path}: add `module(\"{package}\", <bytes>, ConfigMap::Default),`"
            ));
        }
    }
    for package in MODULES.iter().map(|module| module.package) {
        let path = format!("filters/{package}/Cargo.toml");
        match manifests.get(&path) {
            None => problems.push(format!("{path} is missing: MODULES has `{package}`: copy filters/fault/Cargo.toml")),
            Some(manifest) if !is_module(manifest) => problems.push(format!(
                "{path}: add `[package.metadata.module]` with `callbacks = [\"proxy_on_…\"]`: MODULES has `{package}`"
            )),
            Some(_) => {}
        }
    }
    expect_none(problems);
}

#[test]
fn each_crate_with_a_page_or_callbacks_is_a_filter_of_the_table() {
    let mut problems = Vec::new();
    let pages = files("filters", "/README.md").into_keys();
    let modules = files("filters", "/src/module.rs").into_keys().map(|path| path.replace("src/module.rs", "README.md"));
    for page in pages.chain(modules) {
        if !FILTERS.iter().any(|filter| filter.page == page) {
            problems.push(format!("{TABLE}: FILTERS has no filter whose `page` is \"{page}\": add a `Filter {{ … }}`"));
        }
    }
    for filter in FILTERS {
        if !root().join(filter.folder()).join("src/module.rs").is_file() {
            problems.push(format!(
                "{}/src/module.rs is missing: it has the callbacks of `{}`",
                filter.folder(),
                filter.name
            ));
        }
    }
    problems.dedup();
    expect_none(problems);
}

/// What the code counts, by the names that it gives to Envoy.
#[test]
fn the_table_has_the_metrics_of_the_code() {
    let stats = stats::metrics::standard_names().map(|name| format!("istio_{name}"));
    let stats = stats.chain([stats::recorder::OVERFLOW_METRIC.to_owned(), "istio_build".to_owned()]);
    let exchange = metadata_exchange::counters::NAMES.iter().map(|name| name.replace('.', "_"));
    for (name, expected) in [("stats", stats.collect::<Vec<_>>()), ("metadata exchange", exchange.collect())] {
        let filter = FILTERS.iter().find(|filter| filter.name == name).unwrap();
        let known: Vec<&str> = filter.metrics.iter().map(|metric| metric.name).collect();
        let missing = expected.iter().filter(|name| !known.contains(&name.as_str()));
        expect_none(missing.map(|metric| format!("{TABLE}: `{name}` has no metric `{metric}`")));
    }
    for (name, metrics) in
        [("fault", fault::metrics::METRICS.as_slice()), ("shadow", shadow::metrics::METRICS.as_slice())]
    {
        let filter = FILTERS.iter().find(|filter| filter.name == name).unwrap();
        let known: Vec<_> = filter.metrics.iter().map(|metric| (metric.name, metric.labels)).collect();
        assert_eq!(known, metrics, "{TABLE}: the metrics of `{name}`");
    }
}

/// Filters that no other crate of this repository uses are known by their sources alone.
#[test]
fn the_table_has_the_metrics_that_sources_name_and_no_others() {
    let mut problems = Vec::new();
    for filter in FILTERS {
        let sources = sources(filter);
        let code: String = sources.values().map(String::as_str).collect();
        for (path, name) in
            sources.iter().flat_map(|(path, code)| metrics(path, code).into_iter().map(move |name| (path, name)))
        {
            let shown = name.replace('.', "_");
            let is_known =
                |metric: &catalog::Metric| [&shown, &format!("istio_{shown}")].contains(&&metric.name.to_owned());
            if !FILTERS.iter().flat_map(|filter| filter.metrics).any(is_known) {
                problems.push(format!(
                    "{TABLE}: `{}` has no metric `{shown}`, which {path} counts: add `metric(\"{shown}\", \
                     &[<its labels>]),`",
                    filter.name
                ));
            }
        }
        for metric in filter.metrics {
            let named = |name: &str| code.contains(&format!("{name}\""));
            let forms = [
                metric.name,
                metric.name.trim_start_matches("istio_"),
                &metric.name.replacen("exchange_", "exchange.", 1),
            ];
            // The names of stats are put together of parts; the test above has all of them.
            if filter.name != "stats" && !forms.iter().any(|name| named(name)) {
                problems.push(format!(
                    "{TABLE}: no source of `{}` names its metric `{}`: remove it",
                    filter.name, metric.name
                ));
            }
            for label in metric.labels.iter().filter(|label| filter.name != "stats" && !named(label)) {
                problems.push(format!("{TABLE}: no source of `{}` names the label `{label}`: remove it", filter.name));
            }
        }
    }
    expect_none(problems);
}

/// Names of metrics in code: texts that end as counters do, and all constants of a file of metrics.
fn metrics<'a>(path: &str, code: &'a str) -> Vec<&'a str> {
    let is_name = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.".contains(c));
    let ends = code.match_indices("_total\"").map(|(at, end)| at + end.len() - 1);
    let texts = ends.filter_map(|end| code.get(..end)?.rsplit('"').next());
    let mut names: Vec<&str> = texts.filter(|text| *text != "_total" && is_name(text)).collect();
    if path.ends_with("/src/metrics.rs") {
        let constants = code.lines().filter_map(|line| line.strip_prefix("pub const ")?.split_once(": &str = \""));
        let values = constants.filter_map(|(_, value)| value.strip_suffix("\";"));
        names.extend(values.filter(|name| !name.ends_with('_')));
    }
    names
}

#[test]
fn remixer_knows_the_root_ids_of_its_filters_and_no_others() {
    let mut problems = Vec::new();
    for filter in FILTERS {
        let is_part = filter.modules.contains(&"remixer");
        for Root { id, .. } in filter.roots {
            if is_part != Part::of_root_id(id).is_some() {
                let what = if is_part { "does not know" } else { "knows" };
                problems.push(format!(
                    "filters/remixer/src/filter.rs: `Filter::of_root_id` {what} \"{id}\" of `{}`: change it, or \
                     `modules` in {TABLE}",
                    filter.name
                ));
            }
        }
    }
    let known = FILTERS.iter().flat_map(|filter| filter.roots).map(|root| root.id).collect::<Vec<_>>();
    for name in Part::NAMES.iter().filter(|name| !known.contains(name)) {
        problems.push(format!(
            "{TABLE}: no filter has the root id \"{name}\", which filters/remixer/src/filter.rs has: add it"
        ));
    }
    expect_none(problems);
}

#[test]
fn root_ids_tell_the_direction_where_the_table_says_so() {
    let mut problems = Vec::new();
    for (filter, root) in FILTERS.iter().flat_map(|filter| filter.roots.iter().map(move |root| (filter, root))) {
        for end in ["inbound", "outbound"] {
            let id = format!("{}_{end}", root.id);
            let told = Direction::of_root_id(&id).is_some();
            if told != root.tells_direction {
                problems.push(format!(
                    "filters/labels/src/direction.rs: \"{id}\" {} a direction: change FILTERS there, or `roots` \
                     of `{}` in {TABLE}",
                    if told { "tells" } else { "does not tell" },
                    filter.name
                ));
            }
        }
    }
    expect_none(problems);
}

/// What a filter refuses names all fields that it knows: its crate compares them with its page.
#[test]
fn filters_with_a_reference_of_their_own_compare_it_with_their_configuration() {
    let of_own = FILTERS.iter().filter(|filter| filter.reference == Reference::OwnPage);
    let without = of_own.filter(|filter| {
        let sources = files(&format!("{}/src", filter.folder()), ".rs");
        !sources.values().any(|code| code.contains("README.md\")"))
    });
    expect_none(without.map(|filter| {
        format!(
            "{0}/src/config.rs: no test compares the fields with {0}/README.md: add one that looks for each \
             field of a refused \
             `{{\"x\": 1}}` in include_str!(\"../README.md\")",
            filter.folder()
        )
    }));
}

/// Warnings and errors of the modules, by file: the longest text between two placeholders. Those that only pass on what
/// another has found have none.
fn log_lines() -> Vec<(String, String)> {
    const MACROS: [&str; 2] = ["log::warn!(", "log::error!("];
    let mut lines = Vec::new();
    for (path, code) in files("filters", ".rs") {
        if path.contains("/tests/") || path.ends_with("/tests.rs") {
            continue;
        }
        let code = code.split("#[cfg(test)]\nmod tests").next().unwrap();
        for rest in MACROS.iter().flat_map(|name| code.split(name).skip(1)) {
            let (_, literal) = rest.split_once('"').unwrap();
            let literal = literal.replace("\\\"", "\u{1}");
            let literal = literal.split('"').next().unwrap().replace('\u{1}', "\"");
            let constant = literal.split(['{', '}']).step_by(2).max_by_key(|text| text.len()).unwrap();
            if constant.len() > 2 {
                lines.push((path.clone(), constant.trim_end_matches([':', ' ']).to_owned()));
            }
        }
    }
    assert!(lines.len() > 10, "{lines:?}");
    lines
}

#[test]
fn the_page_for_operators_has_every_log_line() {
    let missing = log_lines().into_iter().filter_map(|(path, line)| {
        let page = filter_of(&path).map_or(catalog::OPERATIONS, |filter| filter.operations());
        (!text(page).contains(&line))
            .then(|| format!("{page}: {path} logs `{line}`: say what it means, and what to do"))
    });
    expect_none(missing);
}
