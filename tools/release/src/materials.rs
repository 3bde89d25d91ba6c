//! What the modules and the programs are made of: the bill of materials (CycloneDX) and the licences, from `cargo metadata` and
//! Cargo.lock.
//!
//! Named are the packages that are linked into a module or a program. Macros, build scripts and tools are not: nothing of them is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{ensure, Context, Result};
use serde::Deserialize;
use serde_json::{json, Value};

use crate::files::{read, sha256, text, Files};

/// What `cargo metadata` says.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Clone, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    metadata: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

/// The package of the program.
const PROGRAM: &str = "remixer-cli";

/// What is in a program besides packages.
const LIBRARIES: &str = "\
parts of the Rust standard library (MIT OR Apache-2.0), of LLVM's libunwind (Apache-2.0 WITH
LLVM-exception), and of musl's C library (MIT), Copyright (c) 2005-2020 Rich Felker, et al.";

/// The packages from elsewhere that are in the modules or the programs, in order of name and version.
#[derive(Debug)]
pub struct Materials {
    head: String,
    packages: Vec<Package>,
    checksums: BTreeMap<(String, String), String>,
}

impl Materials {
    /// Of the modules of the workspace at `root`.
    pub fn of_modules(root: &Path) -> Result<Self> {
        let is_module = |package: &Package| package.metadata.as_ref().is_some_and(|m| m.get("module").is_some());
        let head = "The modules contain these packages, and parts of the Rust standard library (MIT OR Apache-2.0):";
        Self::of(root, head.to_owned(), &["--all-features", "--filter-platform=wasm32-unknown-unknown"], is_module)
    }

    /// Of the programs of that workspace; those of all machines are made of the same.
    pub fn of_programs(root: &Path) -> Result<Self> {
        let head = format!("The programs contain these packages, and {LIBRARIES}:");
        let is_program = |package: &Package| package.name == PROGRAM;
        Self::of(root, head, &["--filter-platform=x86_64-unknown-linux-musl"], is_program)
    }

    fn of(root: &Path, head: String, arguments: &[&str], is_root: fn(&Package) -> bool) -> Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version=1", "--locked"])
            .args(arguments)
            .current_dir(root)
            .output()
            .context("cannot run cargo metadata")?;
        ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        let metadata: Metadata = serde_json::from_slice(&output.stdout).context("what cargo metadata said")?;
        let lock = read(&root.join("Cargo.lock"))?;
        Ok(Self { head, packages: linked(metadata, is_root), checksums: checksums(text(&lock)?) })
    }

    /// The bill of materials of these files, CycloneDX 1.5 as JSON. It has neither time nor serial number.
    pub fn bill(&self, version: &str, files: &Files) -> Result<Vec<u8>> {
        let mut components: Vec<Value> = files
            .iter()
            .map(|(name, content)| {
                json!({
                    "type": "file",
                    "bom-ref": format!("file:{name}"),
                    "name": name,
                    "version": version,
                    "hashes": [{"alg": "SHA-256", "content": sha256(content)}],
                    "licenses": [{"expression": "Apache-2.0"}],
                })
            })
            .collect();
        components.extend(self.packages.iter().map(|package| self.component(package)));
        let bill = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {"component": {"type": "application", "bom-ref": "remixer", "name": "remixer", "version": version}},
            "components": components,
        });
        Ok(format!("{bill:#}\n").into_bytes())
    }

    /// The licences of what is in them, each text once.
    pub fn licences(&self) -> Result<Vec<u8>> {
        let mut out = format!("{}\n\n", self.head);
        let mut texts: Vec<(String, Vec<String>)> = Vec::new();
        for package in &self.packages {
            let id = format!("{} {}", package.name, package.version);
            let licence = package.license.as_deref().with_context(|| format!("{id} names no licence"))?;
            out.push_str(&format!("- {id}: {licence}\n"));
            for content in licence_files(package)? {
                match texts.iter_mut().find(|(known, _)| *known == content) {
                    Some((_, of)) => of.push(id.clone()),
                    None => texts.push((content, vec![id.clone()])),
                }
            }
        }
        for (content, of) in texts {
            out.push_str(&format!("\n{}\n{}\n\n{}\n", "-".repeat(80), of.join(", "), content.trim_end()));
        }
        Ok(out.into_bytes())
    }

    fn component(&self, package: &Package) -> Value {
        let purl = format!("pkg:cargo/{}@{}", package.name, package.version);
        let mut component = json!({
            "type": "library",
            "bom-ref": purl,
            "name": package.name,
            "version": package.version,
            "purl": purl,
            "licenses": [{"expression": package.license.as_deref().unwrap_or_default().replace('/', " OR ")}],
        });
        let checksum = self.checksums.get(&(package.name.clone(), package.version.clone()));
        if let (Some(fields), Some(checksum)) = (component.as_object_mut(), checksum) {
            fields.insert("hashes".to_owned(), json!([{"alg": "SHA-256", "content": checksum}]));
        }
        component
    }
}

/// Everything from elsewhere that one comes to from the roots.
fn linked(metadata: Metadata, is_root: fn(&Package) -> bool) -> Vec<Package> {
    let packages: BTreeMap<&str, &Package> = metadata.packages.iter().map(|p| (p.id.as_str(), p)).collect();
    let nodes: BTreeMap<&str, &Node> = metadata.resolve.nodes.iter().map(|n| (n.id.as_str(), n)).collect();
    let mut to_see: Vec<&str> =
        metadata.packages.iter().filter(|package| is_root(package)).map(|p| p.id.as_str()).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = to_see.pop() {
        let runs_at_build =
            packages.get(id).is_none_or(|p| p.targets.iter().any(|t| t.kind.iter().any(|k| k == "proc-macro")));
        if runs_at_build || !seen.insert(id) {
            continue;
        }
        let dependencies = nodes.get(id).into_iter().flat_map(|node| &node.deps);
        let normal = dependencies.filter(|d| d.dep_kinds.iter().any(|kind| kind.kind.is_none()));
        to_see.extend(normal.map(|dependency| dependency.pkg.as_str()));
    }
    let from_elsewhere = |id: &&str| packages.get(id).filter(|p| p.source.is_some()).map(|p| (*p).clone());
    let mut found: Vec<Package> = seen.iter().filter_map(from_elsewhere).collect();
    found.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    found
}

/// Name and version of the packages of a Cargo.lock, and the SHA-256 of what the registry has.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let field = |entry: &str, name: &str| {
        let line = entry.lines().find_map(|line| line.strip_prefix(&format!("{name} = \"")))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    lock.split("[[package]]")
        .filter_map(|entry| Some(((field(entry, "name")?, field(entry, "version")?), field(entry, "checksum")?)))
        .collect()
}

fn licence_files(package: &Package) -> Result<Vec<String>> {
    let directory = package.manifest_path.parent().unwrap_or(Path::new("."));
    let mut names: Vec<PathBuf> = std::fs::read_dir(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
            ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"].iter().any(|start| name.starts_with(start))
        })
        .collect();
    names.sort();
    names.iter().map(|path| Ok(text(&read(path)?)?.to_owned())).collect()
}
