//! `mixer-migrate`: converts Mixer's telemetry configuration to EnvoyFilters.

use std::{
    io::{Read, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, Result};

use mixer_migrate::{diagnostic::Severity, input, migration::Migration, options::USAGE, report::report, Options};

/// Exit status if something is not migrated.
const INCOMPLETE: u8 = 2;

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)) {
        Ok(options) if options.help => match writeln!(std::io::stdout(), "{USAGE}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Ok(options) => run(&options).unwrap_or_else(|error| {
            let _ = tell(&format!("mixer-migrate: {error:#}\n"));
            ExitCode::FAILURE
        }),
        Err(error) => {
            let _ = tell(&format!("mixer-migrate: {error}\n{USAGE}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Writes to standard error, which may be closed.
fn tell(text: &str) -> Result<()> {
    std::io::stderr().write_all(text.as_bytes()).context("the report cannot be written")
}

fn run(options: &Options) -> Result<ExitCode> {
    let mut files = Vec::new();
    for path in &options.files {
        if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
            files.push(("-".to_owned(), text));
            continue;
        }
        for file in input::files(path).with_context(|| format!("{} cannot be read", path.display()))? {
            let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
            files.push((file.display().to_string(), text));
        }
    }
    let migration = Migration::of(&files, options);
    tell(&report(&migration, options.quiet))?;
    if !options.check {
        match migration.resources(options.keep_going) {
            Some(yaml) => std::io::stdout().write_all(yaml.as_bytes()).context("the resources cannot be written")?,
            None => tell("nothing is written because of the errors; --keep-going writes the rest\n")?,
        }
    }
    let errors = migration.diagnostics.count(Severity::Error);
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) })
}
