//! Which tests run a filter in Envoy.

use catalog::{FILTERS, TABLE};

use super::{expect_none, files};

#[test]
fn each_filter_has_end_to_end_tests() {
    let tests = files("e2e/tests", ".rs");
    let mut problems = Vec::new();
    for filter in FILTERS {
        if filter.tests.is_empty() {
            problems.push(format!("{TABLE}: `{}` has no `tests`: name its file in e2e/tests/", filter.name));
        }
        for test in filter.tests {
            let paths = [format!("e2e/tests/{test}.rs"), format!("e2e/tests/{test}/main.rs")];
            if !paths.iter().any(|path| tests.contains_key(path)) {
                problems.push(format!(
                    "{} is missing: {TABLE} says that it runs `{}` in Envoy: write it",
                    paths[0], filter.name
                ));
            }
        }
    }
    expect_none(problems);
}

/// A file that no test attaches may well be one that Envoy refuses.
#[test]
fn each_envoy_filter_is_attached_by_a_test_of_its_own() {
    let mut tests = files("e2e/tests", ".rs");
    tests.retain(|path, _| !path.starts_with("e2e/tests/catalog/"));
    let mut problems = Vec::new();
    for filter in FILTERS {
        for file in filter.envoy_filters.iter().map(|filter| filter.file).chain(filter.bootstrap) {
            let (path, stem) = (format!("\"{file}\""), format!("\"{}\"", file.trim_end_matches(".yaml")));
            let names = |code: &String| code.contains(&path) || code.contains(&stem);
            if !tests.values().any(names) {
                let test = filter.tests.first().unwrap_or(&"…");
                problems.push(format!("e2e/tests/{test}: no test attaches envoy/{file} by its name: add one"));
            }
        }
    }
    expect_none(problems);
}
