//! `remixer mesh render`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueHint};
use local_mesh::config::Tracing;
use local_mesh::{attach, containers, tools, Options};

use super::shared::{collector, Chosen};
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  remixer mesh render --compose /mesh
  remixer mesh render --compose /mesh --filters envoy --modules /var/local/remixer --zipkin jaeger:9411

docker-compose.yml shows how the containers use these files.";

/// Write the configuration of Envoy and Prometheus for a mesh in containers
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Directory to write to. Containers must mount it under the same path. Existing certificates are kept
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    compose: PathBuf,
    #[command(flatten)]
    mesh: Chosen,
    /// File or directory with EnvoyFilters, instead of envoy/. Repeat it for several
    #[arg(long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    filters: Vec<PathBuf>,
    /// Directory of the modules, instead of dist/
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    modules: Option<PathBuf>,
    /// Send spans to this Zipkin or Jaeger
    #[arg(long, value_name = "HOST:PORT", value_parser = collector)]
    zipkin: Option<Tracing>,
}

pub(super) fn run(arguments: Arguments) -> Result<Exit> {
    let topology = arguments.mesh.load()?;
    let filters = match arguments.filters.is_empty() {
        true => attach::files_of(&[tools::shipped_filters()?])?,
        false => attach::files_of(&arguments.filters)?,
    };
    let tracing = arguments.zipkin.unwrap_or(Tracing::Off);
    let options = Options { filters, modules: arguments.modules, tracing, ..Options::default() };
    containers::render(&topology, &options, &arguments.compose)?;
    Ok(Exit::Done)
}
