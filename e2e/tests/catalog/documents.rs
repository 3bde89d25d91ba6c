//! What documents must say of each filter and module.

use catalog::{Dashboards, Filter, Metric, Module, Reference, TABLE};

use super::repository::Repository;

const README: &str = "README.md";

/// How a row of the README's table of modules begins.
fn start_of_row(module: &Module) -> String {
    format!("| [`{}`](filters/{}) | ", module.file(), module.package)
}

fn row<'a>(document: &'a str, start: &str) -> Option<&'a str> {
    document.lines().find(|line| line.starts_with(start))
}

/// The README has a row of each module, with its budget.
pub fn rows_of_modules(repository: &Repository) -> Vec<String> {
    let mut missing = Vec::new();
    for module in &repository.modules {
        let (file, start) = (module.file(), start_of_row(module));
        let size = format!("{} KB", module.budget.div_ceil(1000));
        let Some(row) = row(repository.text(README), &start) else {
            missing.push(format!(
                "{README}: the table of modules has no row of {file}: add `{start}<what it does> | {size} | \
                 <host calls \
                 per warm request> |`"
            ));
            continue;
        };
        let cells: Vec<&str> = row.trim_end_matches('|').split(" | ").map(str::trim).collect();
        if cells.get(2) != Some(&size.as_str()) {
            missing.push(format!(
                "{README}: the row of {file} has another size than its budget in {TABLE}: write `{size}`"
            ));
        }
        if cells.get(3).is_none_or(|calls| calls.is_empty()) {
            missing.push(format!("{README}: the row of {file} has no host calls per warm request: add them"));
        }
    }
    missing
}

/// The README has each file that attaches a filter.
pub fn rows_of_envoy_filters(repository: &Repository) -> Vec<String> {
    let files = repository.filters.iter().flat_map(files);
    let missing = files.filter(|file| !repository.text(README).contains(&format!("](envoy/{file})")));
    missing
        .map(|file| {
            format!(
                "{README}: nothing leads to envoy/{file}: add to the table in \"Attach it\" `| \
                 [`{file}`](envoy/{file}) | \
                 <what it does> | <when to apply it> |`"
            )
        })
        .collect()
}

/// All files of a filter in `envoy/`.
pub fn files(filter: &Filter) -> impl Iterator<Item = &'static str> {
    filter.envoy_filters.iter().map(|filter| filter.file).chain(filter.bootstrap)
}

/// Each page is there, and the README leads to it: by the row of a module, or by itself.
pub fn pages(repository: &Repository) -> Vec<String> {
    let readme = repository.text(README);
    let mut missing = Vec::new();
    for filter in &repository.filters {
        let (page, name, folder) = (filter.page, filter.name, filter.folder());
        if !repository.text(page).starts_with("# ") {
            missing.push(format!(
                "{page} is missing: write what `{name}` does, where it stands in the chain, and `## Configuration`"
            ));
        }
        let has_module = repository.modules.iter().any(|module| folder == format!("filters/{}", module.package));
        if !has_module && !readme.contains(&format!("]({page})")) {
            missing.push(format!("{README}: nothing leads to {page}: add a link"));
        }
    }
    missing
}

/// The page of remixer has a row of each root id.
pub fn rows_of_root_ids(repository: &Repository) -> Vec<String> {
    const PAGE: &str = "filters/remixer/README.md";
    let rows = repository.text(PAGE).lines().filter(|line| line.starts_with("| `"));
    let cells: String = rows.filter_map(|line| line.split(" | ").next()).collect();
    let parts = repository.filters.iter().filter(|filter| filter.modules.contains(&"remixer"));
    let roots = parts.flat_map(|filter| filter.roots.iter().map(move |root| (filter, root.id)));
    let missing = roots.filter(|(_, id)| !["", "_inbound"].iter().any(|end| cells.contains(&format!("`{id}{end}`"))));
    missing
        .map(|(filter, id)| {
            format!(
                "{PAGE}: no row has the root id \"{id}\": add `| `{id}` | [{}](../../{}) | its own |`",
                filter.name, filter.page
            )
        })
        .collect()
}

/// Each metric has a row with its labels: on the filter's page, or, if that has no section of metrics, in the README.
pub fn rows_of_metrics(repository: &Repository) -> Vec<String> {
    const HEADING: &str = "## Metrics\n";
    let mut missing = Vec::new();
    for filter in &repository.filters {
        let own = repository.text(filter.page).contains(HEADING) || filter.reference == Reference::OwnPage;
        let page = if own { filter.page } else { README };
        let section = repository.text(page).split_once(HEADING).map_or("", |(_, section)| section);
        let section = section.split("\n## ").next().unwrap();
        for Metric { name, labels } in filter.metrics {
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            let start = format!("| `{name}` | ");
            if !row(section, &start).is_some_and(|row| labels.iter().all(|label| row.contains(label))) {
                missing.push(format!(
                    "{page}: no row under \"## Metrics\" has `{name}` with its labels: add `{start}<counter, \
                     gauge or \
                     histogram> | {} | <what it counts, and what to do about it> |`",
                    labels.join(", ")
                ));
            }
        }
    }
    missing
}

/// The page for operators has every counter. On pages of filters, `rows_of_metrics` sees to it. What Istio's metrics say is
/// in the README; here is what is to be done about a counter.
pub fn rows_of_counters(repository: &Repository) -> Vec<String> {
    let filters = repository.filters.iter().filter(|filter| filter.reference == Reference::Docs);
    let metrics =
        filters.flat_map(|filter| filter.metrics.iter().map(move |metric| (filter.operations(), metric.name)));
    let counters = metrics.filter(|(_, name)| !name.starts_with("istio_"));
    let missing = counters.filter(|(page, name)| !repository.text(page).contains(&format!("`{name}`")));
    missing
        .map(|(page, name)| format!("{page}: no row has `{name}`: add `| `{name}` | <it rises, because> | <do> |`"))
        .collect()
}

/// Each filter's fields are on the page of all configuration, or on its own.
pub fn fields(repository: &Repository) -> Vec<String> {
    const ALL: &str = "docs/configuration.md";
    let mut missing = Vec::new();
    for filter in &repository.filters {
        let (page, name) = (filter.page, filter.name);
        match filter.reference {
            Reference::Docs if !repository.text(ALL).contains(&format!("](../{page}#")) => missing.push(format!(
                "{ALL}: no row of \"Every field\" leads to {page}: add `| {name} | [top \
                 level](../{page}#configuration) | \
                 <fields> |`"
            )),
            Reference::OwnPage if !repository.text(page).contains("\n## Configuration\n") => {
                missing.push(format!("{page}: has no `## Configuration`: add it, with a table of all fields"));
            }
            _ => {}
        }
    }
    missing
}

/// Each metric is on a dashboard, unless the table says why not.
pub fn panels(repository: &Repository) -> Vec<String> {
    let mut missing = Vec::new();
    for filter in &repository.filters {
        match filter.dashboards {
            Dashboards::Shown => {
                let metrics = filter.metrics.iter().map(|metric| metric.name);
                missing.extend(metrics.filter(|name| !repository.queries.contains(*name)).map(|name| {
                    format!(
                        "dashboards/: no panel shows `{name}` of `{}`: add one, or say in {TABLE} \
                         `dashboards: Dashboards::NotShown(\"<why>\")`",
                        filter.name
                    )
                }));
            }
            Dashboards::NotShown(why) if why.len() < 10 => {
                missing.push(format!("{TABLE}: say why no dashboard shows the metrics of `{}`", filter.name));
            }
            Dashboards::NotShown(_) => {}
        }
    }
    missing
}

/// The changelog names each module.
pub fn changelog(repository: &Repository) -> Vec<String> {
    const FILE: &str = "CHANGELOG.md";
    let files = repository.modules.iter().map(Module::file);
    let missing = files.filter(|file| !repository.text(FILE).contains(&format!("`{file}`")));
    missing
        .map(|file| format!("{FILE}: names no `{file}`: add under \"### Added\" `- `{file}`: <what it does>.`"))
        .collect()
}
