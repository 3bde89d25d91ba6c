//! What documents must say of each filter and module.

use std::collections::BTreeSet;

use catalog::{Reference, FILTERS, MODULES, TABLE};

use super::{board, expect_none, text};

/// A budget as the README has it.
fn kilobytes(bytes: usize) -> String {
    format!("{} KB", bytes.div_ceil(1000))
}

#[test]
fn the_readme_has_a_row_of_each_module_with_its_budget() {
    let readme = text("README.md");
    let mut problems = Vec::new();
    for module in MODULES {
        let (file, size) = (module.file(), kilobytes(module.budget));
        let start = format!("| [`{file}`](filters/{}) | ", module.package);
        match readme.lines().find(|line| line.starts_with(&start)) {
            None => problems.push(format!(
                "README.md: the table of modules has no row of {file}: add `{start}<what it does> | {size} | \
                 <host calls per warm request> |`"
            )),
            Some(row) if row.split(" | ").nth(2) != Some(&size) => {
                problems.push(format!("README.md: the row of {file} has another size than {TABLE}: write `{size}`"));
            }
            Some(row) if row.matches(" | ").count() != 3 || row.ends_with("|  |") => {
                problems.push(format!("README.md: the row of {file} must end with its host calls per warm request"));
            }
            Some(_) => {}
        }
    }
    expect_none(problems);
}

#[test]
fn the_readme_has_each_file_that_attaches_a_filter() {
    let readme = text("README.md");
    let files = FILTERS.iter().flat_map(|f| f.envoy_filters.iter().map(|filter| filter.file).chain(f.bootstrap));
    let missing = files.filter(|file| {
        !readme.contains(&format!("[`{file}`](envoy/{file})")) && !readme.contains(&format!("](envoy/{file})"))
    });
    expect_none(missing.map(|file| {
        format!(
            "README.md: the table in \"Attach it\" has no envoy/{file}: add `| [`{file}`](envoy/{file}) | <what \
             it does> | <when to apply it> |`"
        )
    }));
}

#[test]
fn the_readme_leads_to_each_page_and_each_page_is_there() {
    let readme = text("README.md");
    let mut problems = Vec::new();
    for filter in FILTERS {
        let (page, name) = (filter.page, filter.name);
        if !text(page).starts_with("# ") {
            problems.push(format!(
                "{page} is missing: write what `{name}` does, its configuration, and where it stands in the chain"
            ));
        }
        if !readme.contains(&format!("]({page})")) && !readme.contains(&format!("]({})", filter.folder())) {
            problems.push(format!("README.md: nothing leads to {page}: add a link"));
        }
    }
    expect_none(problems);
}

#[test]
fn the_page_of_remixer_has_a_row_of_each_root_id() {
    const PAGE: &str = "filters/remixer/README.md";
    let page = text(PAGE);
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let parts = FILTERS.iter().filter(|filter| filter.modules.contains(&"remixer"));
    let roots = parts.flat_map(|filter| filter.roots.iter().map(move |root| (filter, root.id)));
    let has = |id: &str| {
        let names: Vec<String> = ["", "_inbound"].iter().map(|end| format!("`{id}{end}`")).collect();
        rows.iter().any(|row| names.iter().any(|name| row.split(" | ").next().unwrap().contains(name)))
    };
    let missing = roots.filter(|(_, id)| !has(id));
    expect_none(missing.map(|(filter, id)| {
        format!(
            "{PAGE}: no row has the root id \"{id}\": add `| `{id}` | [{}](../../{}) | its own |`",
            filter.name, filter.page
        )
    }));
}

/// Where metrics have their rows, besides the page for operators: Istio's and those of metadata exchange in the README.
fn page_of_metrics(filter: &catalog::Filter) -> String {
    let own = text(filter.page);
    match own.split_once("## Metrics\n") {
        Some((_, section)) => section.split("\n## ").next().unwrap().to_owned(),
        None => text("README.md").split_once("\n## Metrics\n").unwrap().1.split("\n## ").next().unwrap().to_owned(),
    }
}

#[test]
fn each_metric_has_a_row_with_its_labels() {
    let mut problems = Vec::new();
    for filter in FILTERS {
        let section = page_of_metrics(filter);
        for metric in filter.metrics {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let start = format!("| `{}` | ", metric.name);
            let row = section.lines().find(|line| line.starts_with(&start));
            if !row.is_some_and(|row| labels.iter().all(|label| row.contains(label))) {
                problems.push(format!(
                    "{}: no row under \"## Metrics\" has `{}` with its labels: add `{start}<counter, gauge or \
                     histogram> | {} | <what it counts> |`",
                    filter.page,
                    metric.name,
                    labels.join(", ")
                ));
            }
        }
    }
    expect_none(problems);
}

#[test]
fn the_page_for_operators_has_every_counter() {
    let mut problems = Vec::new();
    for filter in FILTERS {
        let (page, content) = (filter.operations(), text(filter.operations()));
        // What Istio's metrics say is in the README; here is what is to be done about a counter.
        for metric in filter.metrics.iter().filter(|metric| !metric.name.starts_with("istio_")) {
            if !content.contains(&format!("`{}`", metric.name)) {
                problems.push(format!(
                    "{page}: no row has the counter: add `| `{}` | <it rises, because> | <do> |`",
                    metric.name
                ));
            }
        }
    }
    expect_none(problems);
}

#[test]
fn each_filter_s_fields_are_on_the_page_of_all_configuration_or_on_its_own() {
    let all = text("docs/configuration.md");
    let mut problems = Vec::new();
    for filter in FILTERS {
        let page = filter.page;
        match filter.reference {
            Reference::Docs if !all.contains(&format!("](../{page}#")) => {
                problems.push(format!(
                    "docs/configuration.md: no row of \"Every field\" leads to {page}: add `| {} | [top \
                     level](../{page}#configuration) | <fields> |`",
                    filter.name
                ));
            }
            Reference::OwnPage if !text(page).contains("\n## Configuration\n") => {
                problems.push(format!("{page}: add `## Configuration` with a table of all fields"));
            }
            _ => {}
        }
    }
    expect_none(problems);
}

#[test]
fn each_metric_is_on_a_dashboard_unless_the_table_says_why_not() {
    let queries: String = board::all().iter().flat_map(board::Board::queries).map(|query| query.text + "\n").collect();
    let mut problems = Vec::new();
    for filter in FILTERS {
        match filter.dashboards {
            catalog::Dashboards::Shown => {
                let missing = filter.metrics.iter().filter(|metric| !queries.contains(metric.name));
                problems.extend(missing.map(|metric| {
                    format!(
                        "dashboards/: no panel shows `{}`: add one, or say in {TABLE} \
                         `Dashboards::NotShown(\"<why>\")`",
                        metric.name
                    )
                }));
            }
            catalog::Dashboards::NotShown(why) if why.len() < 10 => {
                problems.push(format!("{TABLE}: say why no dashboard shows the metrics of `{}`", filter.name));
            }
            catalog::Dashboards::NotShown(_) => {}
        }
    }
    expect_none(problems);
}

#[test]
fn the_changelog_names_each_module() {
    let changelog = text("CHANGELOG.md");
    let files: BTreeSet<String> = MODULES.iter().map(catalog::Module::file).collect();
    let missing = files.into_iter().filter(|file| !changelog.contains(&format!("`{file}`")));
    expect_none(missing.map(|file| format!("CHANGELOG.md: names no `{file}`: add a line under \"### Added\"")));
}
