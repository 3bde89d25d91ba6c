//! `remixer stats-logger`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use local_mesh::stats_logger;

use crate::exit::Exit;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  remixer stats-logger envoy/telemetry.yaml > telemetry-counted.yaml
  remixer stats-logger envoy/telemetry.yaml | kubectl apply -f -

Several plugins on one listener get names that tell them apart (envoy_counts_as). Needs Istio 1.31 or newer. Envoy's documentation calls its stats access logger work in progress.";

/// Print EnvoyFilters in which Envoy's stats access logger counts what stats and telemetry name
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// EnvoyFilters as YAML that attach stats or telemetry: our own, with your configuration, or those of remixer migrate
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    file: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit> {
    let file = &arguments.file;
    let source = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    output::write(&stats_logger::attached(&source).with_context(|| file.display().to_string())?)?;
    Ok(Exit::Done)
}
