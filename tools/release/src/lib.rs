//! What a release holds, made of the built modules and the files of this repository.
//!
//! A release is a map from path to content, which depends on nothing but its inputs: no time, no machine, no order of a
//! directory. So it is the same bytes each time that it is made of the same bytes.

// Lengths of small files; nothing here runs in a proxy.
#![allow(clippy::arithmetic_side_effects)]

pub mod archive;
pub mod delivered;
pub mod files;
pub mod image;
pub mod kubernetes;
pub mod links;
pub mod materials;
pub mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{ensure, Result};
use catalog::{MODULES, TABLE};

use files::{read, read_all, sha256, text};
use image::{Image, Layout};
use materials::Materials;

pub use files::Files;
pub use names::{IMAGES, PROGRAMS, VERSION};

/// What a release is made of.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The repository.
    pub root: &'a Path,
    /// The directory of the built modules.
    pub modules: &'a Path,
    /// Where its images will be: a registry and a path in it.
    pub images: &'a str,
    /// Programs by their names; none where only the rest is of interest.
    pub programs: &'a Files,
}

/// A release, with the digests of all its files in `SHA256SUMS`.
pub fn release(inputs: &Inputs<'_>) -> Result<Files> {
    let modules = modules(inputs.modules)?;
    let mut release = Files::new();
    let mut layout = Layout::default();
    let mut digests = BTreeMap::new();
    for (name, module) in &modules {
        let image = Image::of_module(name.trim_end_matches(".wasm"), VERSION, module)?;
        digests.insert(name.clone(), image.digest().to_owned());
        layout.add(image);
        release.insert(format!("modules/{name}"), module.clone());
    }
    insert(&mut release, "oci", layout.files()?);

    let filters = read_all(&inputs.root.join("envoy"), "")?;
    insert(&mut release, "kubernetes", kubernetes::files(&filters, &modules, &digests, inputs.images)?);
    insert(&mut release, "envoy", filters.into_iter().filter(|(name, _)| !name.starts_with("kubernetes/")).collect());
    let dashboards = inputs.root.join("dashboards");
    insert(&mut release, "dashboards", read_all(&dashboards, "")?);
    insert(&mut release, "docs", read_all(&inputs.root.join("docs"), "")?);
    let readmes =
        read_all(&inputs.root.join("filters"), "")?.into_iter().filter(|(name, _)| name.ends_with("/README.md"));
    insert(&mut release, "filters", readmes.collect());
    for name in ["README.md", "CHANGELOG.md", "LICENSE", "tools/mixer-migrate/README.md"] {
        release.insert(name.to_owned(), read(&inputs.root.join(name))?);
    }
    let problems = delivered::problems(&release)?;
    ensure!(problems.is_empty(), problems.join("\n"));
    relink(&mut release)?;
    let materials = Materials::of_modules(inputs.root)?;
    release.insert("sbom.cdx.json".to_owned(), materials.bill(VERSION, &modules)?);
    release.insert("THIRD-PARTY-LICENSES.txt".to_owned(), materials.licences()?);
    if !inputs.programs.is_empty() {
        let materials = Materials::of_programs(inputs.root)?;
        release.insert(format!("{PROGRAMS}sbom.cdx.json"), materials.bill(VERSION, inputs.programs)?);
        release.insert(format!("{PROGRAMS}THIRD-PARTY-LICENSES.txt"), materials.licences()?);
        release.extend(inputs.programs.iter().map(|(name, program)| (format!("{PROGRAMS}{name}"), program.clone())));
    }

    let sums: String = release.iter().map(|(name, content)| format!("{}  {name}\n", sha256(content))).collect();
    release.insert("SHA256SUMS".to_owned(), sums.into_bytes());
    Ok(release)
}

/// Has the texts lead to what the release has.
fn relink(release: &mut Files) -> Result<()> {
    let paths = release.keys().cloned().collect();
    for (name, content) in release.iter_mut().filter(|(name, _)| name.ends_with(".md")) {
        let path = if name.starts_with("kubernetes/") { format!("envoy/{name}") } else { name.clone() };
        *content = links::relinked(text(content)?, &path, &paths).into_bytes();
    }
    Ok(())
}

/// The modules of the table, which are to be in `directory`, and no others.
fn modules(directory: &Path) -> Result<Files> {
    let built = read_all(directory, "")?.into_iter().filter(|(name, _)| name.ends_with(".wasm") && !name.contains('/'));
    let modules: Files = built.collect();
    let expected: BTreeSet<String> = MODULES.iter().map(catalog::Module::file).collect();
    for file in &expected {
        ensure!(modules.contains_key(file), "{} has no {file}: run \"make build\"", directory.display());
    }
    for file in modules.keys() {
        let place = directory.join(file);
        ensure!(
            expected.contains(file),
            "{}: no module of that name is in MODULES of {TABLE}: remove the file if it is old, or add the row",
            place.display()
        );
    }
    Ok(modules)
}

fn insert(release: &mut Files, directory: &str, files: Files) {
    release.extend(files.into_iter().map(|(name, content)| (format!("{directory}/{name}"), content)));
}
