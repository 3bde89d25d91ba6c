//! `remixer bootstrap`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueHint};
use local_mesh::attach;
use serde_json::json;

use crate::exit::Exit;
use crate::output::{self, Format};

const EXAMPLES: &str = "\
Examples:
  remixer bootstrap envoy/stats-bootstrap.yaml | kubectl apply -n shop -f -
  remixer bootstrap --name remixer-bootstrap-all envoy/*-bootstrap.yaml | kubectl apply -n shop -f -
  remixer bootstrap --output json envoy/stats-bootstrap.yaml | jq -r '.data[]' > bootstrap.json

Istio since 1.21 does not apply EnvoyFilters to the bootstrap. Instead, name the ConfigMap in the annotation
sidecar.istio.io/bootstrapOverride of the pods, and restart them: a proxy reads its bootstrap only when it starts.";

/// Print a ConfigMap with the bootstrap settings of EnvoyFilters
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Files with EnvoyFilters, or directories of such files
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// Name of the ConfigMap
    #[arg(long, value_name = "NAME", default_value = attach::BOOTSTRAP_CONFIG_MAP)]
    name: String,
    /// text prints YAML, json prints the same as JSON
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit> {
    match arguments.output {
        Format::Text => output::write(&attach::bootstrap_config_map(&arguments.name, &arguments.files)?)?,
        Format::Json => {
            let map = json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": arguments.name},
                "data": {"custom_bootstrap.json": format!("{:#}\n", attach::bootstrap_override(&arguments.files)?)},
            });
            output::write_json(map, [])?;
        }
    }
    Ok(Exit::Done)
}
