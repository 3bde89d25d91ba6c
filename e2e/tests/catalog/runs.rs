//! Which tests run a filter in Envoy.

use catalog::{Filter, TABLE};

use super::documents::files;
use super::repository::Repository;

/// The file of an end-to-end test, if it is there.
fn file_of(repository: &Repository, test: &str) -> Option<String> {
    let paths = [format!("e2e/tests/{test}.rs"), format!("e2e/tests/{test}/main.rs")];
    paths.into_iter().find(|path| repository.files.contains_key(path))
}

/// Each filter has end-to-end tests.
pub fn tests_are_there(repository: &Repository) -> Vec<String> {
    let mut missing = Vec::new();
    for Filter { name, tests, .. } in &repository.filters {
        if tests.is_empty() {
            missing.push(format!("{TABLE}: `{name}` has no end-to-end test: write one, and name it in `tests`"));
        }
        for test in tests.iter().filter(|test| file_of(repository, test).is_none()) {
            missing
                .push(format!("e2e/tests/{test}.rs is missing: write it; {TABLE} says that it runs `{name}` in Envoy"));
        }
    }
    missing
}

/// Each EnvoyFilter is attached by a test that names it: else it may well be one that Envoy refuses.
pub fn envoy_filters_are_attached(repository: &Repository) -> Vec<String> {
    let tests = repository.below("e2e/tests", ".rs").filter(|(path, _)| !path.starts_with("e2e/tests/catalog/"));
    let code: String = tests.map(|(_, code)| code).collect();
    let mut missing = Vec::new();
    for filter in &repository.filters {
        let Some(test) = filter.tests.iter().find_map(|test| file_of(repository, test)) else { continue };
        for file in files(filter) {
            let stem = file.trim_end_matches(".yaml");
            // A name that is also a filter's may stand for the filter.
            let is_filter = repository.filters.iter().any(|f| f.name == stem || f.roots.iter().any(|r| r.id == stem));
            let names_stem = !is_filter && code.contains(&format!("\"{stem}\""));
            if !names_stem && !code.contains(&format!("\"{file}\"")) {
                missing.push(format!("{test}: no test attaches envoy/{file} by its name: add one"));
            }
        }
    }
    missing
}
