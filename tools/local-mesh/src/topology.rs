//! The topology of a mesh: workloads, services, routes and traffic, read strictly from YAML.
//!
//! Parsing checks the fields, [`validate`](validate::problems) checks their meaning. A parsed topology is valid: later
//! steps need not check whether a name exists.

mod duration;
mod edges;
mod model;
mod validate;

use std::path::Path;

use anyhow::{anyhow, bail, Context, Result};

pub use duration::parse as parse_duration;
pub use edges::Edge;
pub use model::{
    ConnectionPool, Fail, Gateway, GatewayRoute, Protocol, Retries, Route, Service, Shot, Slow, Topology, Tracing,
    Traffic, Workload,
};

impl Topology {
    /// The bookinfo mesh that `remixer mesh` runs.
    pub fn bookinfo() -> Result<Self> {
        Self::parse(include_str!("../topology.yaml"))
    }

    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Parses and checks a text. An error lists all problems, with fields and values.
    pub fn parse(yaml: &str) -> Result<Self> {
        let mut topology: Self =
            serde_saphyr::from_str_with_options(yaml, serde_saphyr::options! { with_snippet: false })
                .map_err(|error| anyhow!("not a topology: {error}"))?;
        topology.fill_defaults();
        let problems = validate::problems(&topology);
        if !problems.is_empty() {
            bail!("not a valid topology:\n  {}", problems.join("\n  "));
        }
        Ok(topology)
    }
}

#[cfg(test)]
mod tests;
