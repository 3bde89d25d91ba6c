//! The table of filters (`filters/catalog`), and what there must be of each filter: manifest, EnvoyFilters, documents,
//! tests, modules in a release. No Envoy runs here. Each problem is a line that says what to add, and where.

// Helpers outside of test functions are not excused by clippy.toml.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[allow(dead_code)] // what a test with Prometheus needs
#[path = "../dashboards/board.rs"]
mod board;
mod code;
mod documents;
mod envoy_filters;
mod omissions;
mod releases;
mod repository;
mod runs;

use repository::Repository;

/// Everything that is compared; each gives a line for each thing that is missing.
const CHECKS: [fn(&Repository) -> Vec<String>; 24] = [
    code::module_crates,
    code::filter_crates,
    code::metrics_of_code,
    code::metrics_of_sources,
    code::parts_of_remixer,
    code::directions,
    code::tests_of_configuration,
    code::log_lines,
    documents::rows_of_modules,
    documents::rows_of_envoy_filters,
    documents::pages,
    documents::rows_of_root_ids,
    documents::rows_of_metrics,
    documents::rows_of_counters,
    documents::fields,
    documents::panels,
    documents::changelog,
    envoy_filters::listed,
    envoy_filters::load_what_the_row_says,
    envoy_filters::cover_the_row,
    envoy_filters::expressions_of_labels,
    releases::images_for_docker,
    runs::tests_are_there,
    runs::envoy_filters_are_attached,
];

/// What is missing, a line each.
fn missing(repository: &Repository) -> Vec<String> {
    let mut lines: Vec<String> = CHECKS.iter().flat_map(|check| check(repository)).collect();
    lines.sort();
    lines.dedup();
    lines
}

#[test]
fn everything_is_there_that_the_table_of_filters_asks_for() {
    let lines = missing(&Repository::load());
    assert!(lines.is_empty(), "{} to do:\n{}\n", lines.len(), lines.join("\n"));
}

#[test]
fn a_release_has_each_module_beside_the_resources_that_name_it() {
    let lines = releases::delivered();
    assert!(lines.is_empty(), "{} to do:\n{}\n", lines.len(), lines.join("\n"));
}
