//! The layout of the code: allowed dependencies between crates, no circles of imports among the files of a crate, and no document that
//! names a file that is not there.

// clippy.toml does not exempt helpers outside of test functions.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod circles;
mod crates;
mod modules;
mod paths;
mod tokens;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The crates, from cargo.
fn metadata() -> Value {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version=1", "--manifest-path", manifest];
    let output = Command::new(env!("CARGO")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn crates_depend_on_those_below_them() {
    let problems = crates::problems(&metadata());
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn no_files_of_a_crate_import_each_other_in_a_circle() {
    let metadata = metadata();
    let mut found = Vec::new();
    for target in metadata["packages"].as_array().unwrap().iter().flat_map(|p| p["targets"].as_array().unwrap()) {
        let root = target["src_path"].as_str().unwrap();
        if root.contains("/src/") {
            found.extend(circles::of(&modules::arrows(root, &|file| std::fs::read_to_string(file).ok())));
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_str().unwrap();
    let found = found.concat().replace(&format!("{root}/"), "");
    assert!(found.is_empty(), "\n{found}What they share belongs into a file that both may import.");
}

#[test]
fn paths_that_documents_name_are_there() {
    let missing = paths::missing(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}
