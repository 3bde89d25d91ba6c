//! `remixer stats-tags`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use local_mesh::stats_tags;
use serde_json::json;

use crate::exit::Exit;
use crate::output::{self, Format};

const EXAMPLES: &str = "\
Examples:
  remixer stats-tags > stats-bootstrap.yaml         # the standard labels
  remixer stats-tags inbound.json outbound.json     # the labels of all configurations of a proxy
  remixer stats-tags --output json stats.json | jq -r '.extraStatTags | join(\",\")'

A configuration with a mistake is refused, as the module would refuse it.";

/// Print the bootstrap settings that make labels out of the names of stats
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// JSON files with the configurations of stats or telemetry. Without a file: the standard labels
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// text prints an EnvoyFilter as YAML, json prints the labels as JSON
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit> {
    let read = |file: &PathBuf| {
        let content = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        stats_tags::tags(&[&content]).with_context(|| file.display().to_string())?;
        anyhow::Ok(content)
    };
    let mut contents = arguments.files.iter().map(read).collect::<Result<Vec<_>>>()?;
    if contents.is_empty() {
        contents.push(Vec::new());
    }
    let configurations: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
    let extra = stats_tags::extra_stat_tags(&configurations)?;
    match arguments.output {
        Format::Text => output::write(&format!(
            "{}# For Istio's own bootstrap instead, in proxyConfig or the annotation sidecar.istio.io/extraStatTags:\n\
             # extraStatTags: {extra}\n",
            stats_tags::bootstrap(&configurations)?
        ))?,
        Format::Json => {
            let tags = stats_tags::tags(&configurations)?;
            let tags: Vec<_> = tags.iter().map(|(name, regex)| json!({"tag_name": name, "regex": regex})).collect();
            let extra: Vec<&str> = extra.split(',').collect();
            output::write_json(json!({"extraStatTags": extra, "stats_tags": tags}), [])?;
        }
    }
    Ok(Exit::Done)
}
