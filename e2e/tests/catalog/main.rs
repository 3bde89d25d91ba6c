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
mod releases;
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use catalog::{Filter, FILTERS};
use local_mesh::tools;

/// The repository.
fn root() -> PathBuf {
    tools::filters().parent().unwrap().to_owned()
}

/// A file of it; empty if there is none.
fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

/// The files below a directory with this end, by their path from the repository.
fn files(directory: &str, end: &str) -> BTreeMap<String, String> {
    fn collect(directory: &Path, end: &str, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                collect(&path, end, found);
            } else if name.ends_with(end) {
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(&root().join(directory), end, &mut found);
    found
}

/// The sources of a filter without its tests.
fn sources(filter: &Filter) -> BTreeMap<String, String> {
    let mut found = files(&format!("{}/src", filter.folder()), ".rs");
    found.retain(|path, _| !path.contains("/tests/") && !path.ends_with("/tests.rs"));
    for code in found.values_mut() {
        let end = code.find("#[cfg(test)]\nmod tests").unwrap_or(code.len());
        code.truncate(end);
    }
    found
}

/// The filter whose crate a file belongs to.
fn filter_of(path: &str) -> Option<&'static Filter> {
    FILTERS.iter().find(|filter| path.starts_with(&format!("{}/", filter.folder())))
}

/// Fails if there are problems, and prints them.
fn expect_none(problems: impl IntoIterator<Item = String>) {
    let problems: Vec<String> = problems.into_iter().collect();
    assert!(problems.is_empty(), "{} to do:\n{}", problems.len(), problems.join("\n"));
}
