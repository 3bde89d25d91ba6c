//! How to run a mesh; the topology defines what it consists of.

use std::path::PathBuf;

use crate::config::Tracing;
use crate::interrupt::Interrupt;

/// Options of a mesh. The default: no filters, a free network, no progress messages, no Prometheus.
#[derive(Debug, Clone)]
pub struct Options {
    /// EnvoyFilter files, or directories with them; empty for a mesh without telemetry.
    pub filters: Vec<PathBuf>,
    /// More EnvoyFilters as YAML, applied after the files.
    pub patches: Vec<String>,
    /// Report a patch that changes no proxy, such as one with a typo in its match. Not the default, because small meshes
    /// lack the targets of some patches.
    pub every_patch_must_match: bool,
    /// Plugin configurations to replace.
    pub plugins: Vec<PluginConfig>,
    /// Whether Envoy counts what stats and telemetry name, wherever they are attached.
    pub envoy_counts: bool,
    /// The directory of the modules; default: `dist/`.
    pub modules: Option<PathBuf>,
    /// JSON that each Envoy merges into its bootstrap, as Istio's agent makes it do.
    pub bootstrap_override: Option<String>,
    /// The addresses.
    pub network: Network,
    /// The version of Envoy; default: the value of `ENVOY`, or the newest that `make setup` downloads.
    pub envoy_version: Option<String>,
    /// Seconds for which requests can continue after their configuration was replaced.
    pub drain: u32,
    /// Envoy's worker threads.
    pub concurrency: u32,
    /// Envoy's `--log-level`, optionally with levels for components: `warning`, `warning,wasm:debug`.
    pub log_level: String,
    /// Whether proxies create spans, and where they send them. The topology sets the sampling rate.
    pub tracing: Tracing,
    /// Whether to run Prometheus.
    pub prometheus: bool,
    /// Ends all waits.
    pub interrupt: Interrupt,
    /// Called when a step begins.
    pub progress: fn(&str),
}

/// A plugin configuration that replaces the one in the EnvoyFilters.
#[derive(Debug, Clone)]
pub struct PluginConfig {
    /// The workload whose proxy gets it; `None` for all.
    pub workload: Option<String>,
    /// The filter's root id (`stats_outbound`) or plugin name.
    pub plugin: String,
    /// The configuration, usually JSON.
    pub configuration: String,
}

/// The part of 127.0.0.0/8 for a mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The addresses in the topology.
    AsWritten,
    /// 127.n.x.x.
    Number(u8),
    /// The first free 127.n.x.x from n = 2, so that tests can run at the same time.
    Free,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            filters: Vec::new(),
            patches: Vec::new(),
            every_patch_must_match: false,
            plugins: Vec::new(),
            envoy_counts: false,
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
