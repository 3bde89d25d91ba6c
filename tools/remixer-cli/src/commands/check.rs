//! `remixer check`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueHint};
use plugin_check::{Check, Input};

use crate::exit::Exit;
use crate::input;
use crate::output::{self, Format};

const EXAMPLES: &str = "\
Examples:
  remixer check fault-outbound.yaml shadow.yaml     # files that are applied together
  kubectl kustomize mesh/ | remixer check -
  kubectl get envoyfilters,wasmplugins -A -o yaml | remixer check - new.yaml
  remixer check --output json mesh/ | jq -r '.mistakes[].message'

It runs the modules' own code on the configurations. Files that are named are taken as applied together, and so are
those of one directory: among them, it also tells what is inserted twice, and what has the name of another.

Exit status: 0 no mistake, 2 mistakes, 1 wrong usage or a file that cannot be read.";

/// Find mistakes in resources that attach our plugins, before they are applied
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// EnvoyFilters, WasmPlugins, TrafficExtensions, also lists of kubectl: files, directories, or - for standard input
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// A line for each mistake, or the same as JSON
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit> {
    let inputs = input::texts(&arguments.files)?.into_iter();
    let inputs = inputs.map(|text| Input { file: text.file, text: text.content, found_in: text.found_in });
    let report = Check::of(&inputs.collect::<Vec<_>>());
    match arguments.output {
        Format::Text => output::write(&report.text())?,
        Format::Json => output::write_json(report.json(), [])?,
    }
    Ok(if report.mistakes.is_empty() { Exit::Done } else { Exit::Problems })
}
