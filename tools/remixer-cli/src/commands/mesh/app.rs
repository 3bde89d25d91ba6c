//! `remixer mesh app`.

use anyhow::Result;
use clap::Args;
use local_mesh::containers;

use super::shared::Chosen;
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  remixer mesh app reviews-v1
  remixer mesh app reviews-v1 --check               # for a health check";

/// Run the application of one workload in a container, beside its Envoy
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Name of the workload
    workload: String,
    /// Check whether the running application answers. Exit status: 0 if it does, 1 if not
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    mesh: Chosen,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit> {
    let topology = arguments.mesh.load()?;
    match arguments.check {
        true => containers::check_application(&topology, &arguments.workload)?,
        false => containers::application(&topology, &arguments.workload)?,
    }
    Ok(Exit::Done)
}
