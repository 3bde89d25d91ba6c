//! How a mesh is to be run, besides what it consists of.

use std::path::PathBuf;

use crate::config::Tracing;
use crate::interrupt::Interrupt;

/// How to run a mesh. The default is a plain mesh without filters, on a free network, quiet, without Prometheus.
#[derive(Debug, Clone)]
pub struct Options {
    /// EnvoyFilter files, or directories of them; empty for a mesh without telemetry.
    pub filters: Vec<PathBuf>,
    /// More EnvoyFilters, as YAML, applied after those.
    pub patches: Vec<String>,
    /// Refuse a patch that changes no proxy at all, as a typo in its match would make it. Small meshes lack what some
    /// patches are for, hence not the default.
    pub every_patch_must_match: bool,
    /// Replaced plugin configurations.
    pub plugins: Vec<PluginConfig>,
    /// Where the modules are; by default `dist/`.
    pub modules: Option<PathBuf>,
    /// JSON that each Envoy merges into its bootstrap, as Istio's agent has it done.
    pub bootstrap_override: Option<String>,
    /// Which addresses.
    pub network: Network,
    /// Which Envoy; by default what `ENVOY` names, or the newest that `make setup` gets.
    pub envoy_version: Option<String>,
    /// For how many seconds requests may go on that a replaced configuration has begun.
    pub drain: u32,
    /// Envoy's worker threads.
    pub concurrency: u32,
    /// Envoy's `--log-level` and what it says per component: `warning`, `warning,wasm:debug`.
    pub log_level: String,
    /// Whether proxies make spans, and for whom. How many, the topology says.
    pub tracing: Tracing,
    /// Whether to run Prometheus.
    pub prometheus: bool,
    /// Ends what is being waited for.
    pub interrupt: Interrupt,
    /// Told each step that begins.
    pub progress: fn(&str),
}

/// A plugin configuration in place of the one in the EnvoyFilters.
#[derive(Debug, Clone)]
pub struct PluginConfig {
    /// The workload whose proxy gets it; None for all.
    pub workload: Option<String>,
    /// The filter's root id (`stats_outbound`) or plugin name.
    pub plugin: String,
    /// The configuration, normally JSON.
    pub configuration: String,
}

/// Which part of 127.0.0.0/8 a mesh uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// What the topology says.
    AsWritten,
    /// 127.n.x.x.
    Number(u8),
    /// The first 127.n.x.x from n = 2 that no other mesh uses, so that tests can run side by side.
    Free,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            filters: Vec::new(),
            patches: Vec::new(),
            every_patch_must_match: false,
            plugins: Vec::new(),
            modules: None,
            bootstrap_override: None,
            network: Network::Free,
            envoy_version: None,
            drain: 1,
            concurrency: 1,
            log_level: "warning".to_owned(),
            tracing: Tracing::Off,
            prometheus: false,
            interrupt: Interrupt::default(),
            progress: |_| {},
        }
    }
}
