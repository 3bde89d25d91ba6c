//! `release <modules> <directory>` makes of the built modules what a release holds.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{bail, Result};
use release::{archive, files, Inputs};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("release: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `IMAGES` says where the images will be pushed: a registry, and a path in it.
fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [modules, directory] = arguments.as_slice() else {
        bail!("usage: release <directory of built modules> <directory to write to>");
    };
    let images = std::env::var("IMAGES").unwrap_or_else(|_| release::IMAGES.to_owned());
    let release = release::release(&Inputs { root: Path::new("."), modules: Path::new(modules), images: &images })?;
    files::write(&release, Path::new(directory))?;
    let name = format!("remixer-{}", release::VERSION);
    let archive = archive::compressed(&release, &name)?;
    let path = Path::new(directory).with_file_name(format!("{name}.tar.gz"));
    files::put(&path, &archive)?;
    println!("{}  {}", files::sha256(&archive), path.display());
    Ok(())
}
