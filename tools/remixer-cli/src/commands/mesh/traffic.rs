//! `remixer mesh traffic`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueHint};
use local_mesh::containers;

use super::topology;
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  remixer mesh traffic istio-ingressgateway:8080";

/// Send the topology's traffic to a gateway until Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The gateway; its name may become known within a minute
    #[arg(value_name = "HOST:PORT")]
    gateway: String,
    /// Which workloads, services and traffic, instead of Bookinfo
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    topology: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit> {
    let topology = topology(arguments.topology.as_deref())?;
    containers::traffic(&topology, &arguments.gateway)?;
    Ok(Exit::Done)
}
