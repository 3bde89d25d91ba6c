//! `release <modules> <directory> <program>...` makes of the built modules and programs what a release holds.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{bail, ensure, Result};
use release::{archive, files, Files, Inputs};

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
    let [modules, directory, programs @ ..] = arguments.as_slice() else {
        bail!("usage: release <directory of built modules> <directory to write to> <program>...");
    };
    let programs = programs.iter().map(Path::new).map(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, files::read(path)?))
    });
    let programs = programs.collect::<Result<Files>>()?;
    ensure!(!programs.is_empty(), "no program is given: \"make release\" builds them, and calls this");
    let images = std::env::var("IMAGES").unwrap_or_else(|_| release::IMAGES.to_owned());
    let (root, modules) = (Path::new("."), Path::new(modules));
    let release = release::release(&Inputs { root, modules, images: &images, programs: &programs })?;
    files::write(&release, Path::new(directory))?;
    let name = format!("remixer-{}", release::VERSION);
    let archive = archive::compressed(&release, &name)?;
    let path = Path::new(directory).with_file_name(format!("{name}.tar.gz"));
    files::put(&path, &archive)?;
    println!("{}  {}", files::sha256(&archive), path.display());
    Ok(())
}
