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

/// Write what Envoys and Prometheus are told in containers
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Where to write; the containers find it under the same path. Certificates that are there stay
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    compose: PathBuf,
    #[command(flatten)]
    mesh: Chosen,
    /// EnvoyFilters, instead of those in envoy/: a file or a directory; may be given several times
    #[arg(long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    filters: Vec<PathBuf>,
    /// Where the modules are, instead of dist/
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    modules: Option<PathBuf>,
    /// Send the spans to Zipkin or Jaeger there
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
