//! `pack --list` prints the packages that are modules; `pack [--keep-names] <linked> <dist>` packs each of them from
//! one directory into the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{bail, Context, Result};
use catalog::MODULES;
use pack::{check_table, filters_in, pack, ModuleCrate, Names, Packed, Report};

const USAGE: &str = "usage: pack --list | pack [--keep-names] <directory of linked modules> <directory to write to>";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("pack: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: impl Iterator<Item = String>) -> Result<String> {
    let mut names = Names::Drop;
    let mut list = false;
    let mut directories = Vec::new();
    for argument in arguments {
        match argument.as_str() {
            "--list" => list = true,
            "--keep-names" => names = Names::Keep,
            flag if flag.starts_with('-') => bail!("unknown flag {flag}; {USAGE}"),
            _ => directories.push(PathBuf::from(argument)),
        }
    }
    let crates = filters_in(Path::new("."))?;
    check_table(&crates, MODULES)?;
    match directories.as_slice() {
        [] if list => Ok(crates.iter().map(|module| format!("{}\n", module.package)).collect()),
        [linked, dist] if !list => pack_all(&crates, linked, dist, names),
        _ => bail!(USAGE),
    }
}

fn pack_all(crates: &[ModuleCrate], linked: &Path, dist: &Path, names: Names) -> Result<String> {
    fs::create_dir_all(dist).with_context(|| format!("cannot make {}", dist.display()))?;
    let mut report = Report::default();
    for module in crates {
        let row = catalog::module(&module.package).context("a module without a row")?;
        let name = row.file();
        let before = read(&linked.join(&name))?;
        let after = pack(&before, &module.callbacks, names).with_context(|| name.clone())?;
        report.push(Packed::new(&name, &before, &after, row.budget));
        write_if_new(&dist.join(&name), &after)?;
    }
    report.check_sizes().with_context(|| report.to_string())?;
    Ok(report.to_string())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Leaves a file that is already right alone; replaces any other at once, so that an Envoy that reads the path sees
/// one module or the other.
fn write_if_new(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let beside = path.with_extension("wasm.new");
    fs::write(&beside, bytes).with_context(|| format!("cannot write {}", beside.display()))?;
    fs::rename(&beside, path).with_context(|| format!("cannot write {}", path.display()))
}
