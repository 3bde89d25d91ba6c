//! Options that several of these commands have.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueHint};
use local_mesh::config::Tracing;
use local_mesh::Topology;

/// Which mesh.
#[derive(Debug, Args)]
pub(super) struct Chosen {
    /// File with workloads, services and traffic, instead of Bookinfo
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub topology: Option<PathBuf>,
}

impl Chosen {
    /// Reads it.
    pub fn load(&self) -> Result<Topology> {
        self.topology.as_deref().map_or_else(Topology::bookinfo, Topology::load)
    }
}

/// Where spans go.
pub(super) fn collector(text: &str) -> Result<Tracing, String> {
    Tracing::to(text).ok_or_else(|| "a host and a port, such as 127.0.0.1:9411".to_owned())
}
