//! `remixer mesh traffic`.

use anyhow::Result;
use clap::Args;
use local_mesh::containers;

use super::shared::Chosen;
use crate::exit::Exit;
use crate::values::host_and_port;

const EXAMPLES: &str = "\
Examples:
  remixer mesh traffic istio-ingressgateway:8080";

/// Send the topology's traffic to a gateway until Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Address of the gateway. The command waits up to a minute for its name to resolve
    #[arg(value_name = "HOST:PORT", value_parser = host_and_port)]
    gateway: String,
    #[command(flatten)]
    mesh: Chosen,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit> {
    let topology = arguments.mesh.load()?;
    containers::traffic(&topology, &arguments.gateway)?;
    Ok(Exit::Done)
}
