//! The required content of the page for operators.

use std::fs;
use std::path::{Path, PathBuf};

use local_mesh::tools;

/// The calls that write log lines with a level that proxies log by default.
const MACROS: [&str; 2] = ["log::warn!(", "log::error!("];

/// The page.
pub fn operations() -> String {
    fs::read_to_string(root().join("docs/operations.md")).unwrap()
}

/// The constant part of each warning and error of our modules: the longest text between two placeholders. Lines that only
/// forward another message have none.
pub fn log_lines() -> Vec<String> {
    let mut lines = Vec::new();
    for file in sources(&root().join("filters")) {
        let code = fs::read_to_string(&file).unwrap();
        let code = code.split("#[cfg(test)]\nmod tests").next().unwrap();
        for rest in MACROS.iter().flat_map(|name| code.split(name).skip(1)) {
            let (_, literal) = rest.split_once('"').unwrap();
            let literal = literal.replace("\\\"", "\u{1}");
            let literal = literal.split('"').next().unwrap().replace('\u{1}', "\"");
            let constant = literal.split(['{', '}']).step_by(2).max_by_key(|text| text.len()).unwrap();
            if constant.len() > 2 {
                lines.push(constant.trim_end_matches([':', ' ']).to_owned());
            }
        }
    }
    assert!(lines.len() > 10, "{lines:?}");
    lines
}

/// The metrics in the filters' `metrics.rs` files: those of fault injection, and of other filters with such a file.
pub fn named_metrics() -> Vec<String> {
    let mut names = Vec::new();
    for file in sources(&root().join("filters")).iter().filter(|file| file.ends_with("src/metrics.rs")) {
        let code = fs::read_to_string(file).unwrap();
        let constants = code.lines().filter_map(|line| line.strip_prefix("pub const ")?.split_once(": &str = \""));
        names.extend(constants.filter_map(|(_, value)| Some(value.strip_suffix("\";")?.to_owned())));
    }
    names.retain(|name| !name.ends_with('_'));
    assert!(names.len() >= fault::metrics::METRICS.len(), "{names:?}");
    names
}

fn root() -> PathBuf {
    tools::filters().parent().unwrap().to_owned()
}

/// The sources of the filters, except tests.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "tests" && name != "pack") {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
    files
}
