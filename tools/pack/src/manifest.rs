//! Which crates of the workspace are modules, and what their manifests say of them.

use std::path::Path;
use std::process::Command;

use anyhow::{bail, Context, Result};
use serde::Deserialize;

/// A crate that is built into a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleCrate {
    /// The name of the package.
    pub package: String,
    /// The callbacks that its filter implements.
    pub callbacks: Vec<String>,
    /// Whether it has the filters of the others: a proxy has it instead of them.
    pub has_all: bool,
}

#[derive(Deserialize)]
struct Workspace {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    module: Option<ModuleTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModuleTable {
    callbacks: Vec<String>,
    #[serde(default, rename = "has-all")]
    has_all: bool,
}

impl ModuleCrate {
    /// The name of the file that the linker writes: the crate's, which has no dashes.
    pub fn file_name(&self) -> String {
        format!("{}.wasm", self.package.replace('-', "_"))
    }

    /// The module crates in the answer of `cargo metadata --no-deps`, by name.
    pub fn from_metadata(json: &[u8]) -> Result<Vec<Self>> {
        let workspace: Workspace = serde_json::from_slice(json)
            .context("a [package.metadata.module] table is not of the form `callbacks = [\"proxy_on_…\"]`")?;
        let mut crates: Vec<Self> = workspace
            .packages
            .into_iter()
            .filter_map(|package| {
                let module = package.metadata?.module?;
                Some(Self { package: package.name, callbacks: module.callbacks, has_all: module.has_all })
            })
            .collect();
        crates.sort_by(|a, b| a.package.cmp(&b.package));
        Ok(crates)
    }
}

/// Asks cargo for the module crates of the workspace that `directory` is in.
pub fn filters_in(directory: &Path) -> Result<Vec<ModuleCrate>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(directory)
        .output()
        .context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    ModuleCrate::from_metadata(&output.stdout)
}
