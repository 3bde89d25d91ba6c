//! The rules that users may run the local mesh with, of faults and of shadows.

use std::path::PathBuf;

/// The folder of a kind of rules: `faults` or `shadows`.
pub fn folder(kind: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/local-mesh")).join(kind)
}

/// One of the files.
pub fn read(kind: &str, name: &str) -> String {
    let path = folder(kind).join(format!("{name}.json"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
