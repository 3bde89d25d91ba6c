//! Which crates of the workspace are modules, and what their manifests say of them.

use std::path::Path;
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};
use catalog::{Module, TABLE};
use serde::Deserialize;

/// A crate that is built into a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleCrate {
    /// The name of the package.
    pub package: String,
    /// The callbacks that its filter implements.
    pub callbacks: Vec<String>,
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
}

impl ModuleCrate {
    /// The module crates in the answer of `cargo metadata --no-deps`, by name.
    pub fn from_metadata(json: &[u8]) -> Result<Vec<Self>> {
        let workspace: Workspace = serde_json::from_slice(json)
            .context("a [package.metadata.module] table is not of the form `callbacks = [\"proxy_on_…\"]`")?;
        let mut crates: Vec<Self> = workspace
            .packages
            .into_iter()
            .filter_map(|package| {
                let module = package.metadata?.module?;
                Some(Self { package: package.name, callbacks: module.callbacks })
            })
            .collect();
        crates.sort_by(|a, b| a.package.cmp(&b.package));
        Ok(crates)
    }
}

/// Compares the crates that are modules with the table of modules, and says what is missing in which of them.
pub fn check_table(crates: &[ModuleCrate], table: &[Module]) -> Result<()> {
    let mut missing = Vec::new();
    for name in crates.iter().map(|module| &module.package) {
        if !table.iter().any(|module| module.package == name) {
            missing.push(format!(
                "{TABLE}: package `{name}` is a module and has no row in MODULES: add \
                 `module(\"{name}\", <its size in bytes and 2 % more>, ConfigMap::Default),`, or `ConfigMap::Single` \
                 if no EnvoyFilter directly in envoy/ loads it"
            ));
        }
    }
    for name in table.iter().map(|module| module.package) {
        if !crates.iter().any(|module| module.package == name) {
            missing.push(format!(
                "filters/{name}/Cargo.toml: MODULES has `{name}`, which is no module: add a table \
                 `[package.metadata.module]` with `callbacks = [\"proxy_on_…\"]`"
            ));
        }
    }
    ensure!(missing.is_empty(), missing.join("\n"));
    Ok(())
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
