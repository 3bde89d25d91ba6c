//! The files for running the modules elsewhere: docker-compose.yml, the files for Kubernetes, and a release.
//!
//! No containers and no cluster run here. The tests check that the files are complete and match the topology and the
//! EnvoyFilters, that the programs that read them accept them, and that proxies with the same configuration work.

// clippy.toml does not exempt helpers outside of test functions.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod compose;
mod kubernetes;
mod packed;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use local_mesh::tools;
use serde_json::Value;

/// The repository.
fn root() -> PathBuf {
    tools::filters().parent().unwrap().to_owned()
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// The output of a program, which must succeed; `None`, with a message, if it is not installed.
fn run(program: &str, arguments: &[&str], directory: &Path) -> Option<String> {
    match Command::new(program).args(arguments).current_dir(directory).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: {program} is not installed here");
            None
        }
        output => {
            let output = output.unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program} {}: {said}", arguments.join(" "));
            Some(String::from_utf8(output.stdout).unwrap())
        }
    }
}

/// A test's own directory, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("delivery-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
