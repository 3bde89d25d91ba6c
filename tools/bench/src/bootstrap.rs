//! Bootstraps that differ in what takes labels out of stats' names.

use std::path::PathBuf;

use anyhow::{Context, Result};
use local_mesh::attach;
use local_mesh::config::SidecarConfig;
use local_mesh::tools;
use serde_json::{json, Value};

use crate::listener::set;

/// The EnvoyFilter that a proxy with stats has in its bootstrap.
pub const OF_STATS: &str = "stats-bootstrap.yaml";
const OF_FAULT: &str = "fault-bootstrap.yaml";
const OF_SHADOW: &str = "shadow-bootstrap.yaml";

/// Whose expressions a bootstrap has.
#[derive(Debug, Clone, Copy)]
pub struct Bootstrap {
    /// What it is called.
    pub name: &'static str,
    /// Whether it has those that Istio's agent writes.
    pub istios: bool,
    /// The EnvoyFilters with ours.
    pub filters: &'static [&'static str],
}

/// What stats needs.
pub const OURS: Bootstrap = Bootstrap { name: "of stats", istios: false, filters: &[OF_STATS] };

/// What nobody needs where Envoy counts.
pub const NONE: Bootstrap = Bootstrap { name: "none", istios: false, filters: &[] };

/// Those under which new labels are measured: with those of stats, its module counts, else Envoy.
pub const ALL: &[Bootstrap] = &[
    OURS,
    Bootstrap { name: "Istio's, of stats", istios: true, ..OURS },
    Bootstrap { name: "Istio's, of stats, fault and shadow", istios: true, filters: &[OF_STATS, OF_FAULT, OF_SHADOW] },
    NONE,
    Bootstrap { name: "Istio's", istios: true, filters: &[] },
    Bootstrap { name: "Istio's, of fault and shadow", istios: true, filters: &[OF_FAULT, OF_SHADOW] },
];

/// Labels and expressions of Istio 1.31's agent (`envoy_bootstrap.json`).
const ISTIOS: [(&str, &str); 16] = [
    ("cluster_name", r"^cluster(\.(.+);)"),
    ("http_conn_manager_prefix", r"^http\.(((?:[_.[:digit:]\w]*|[_\[\]aAbBcCdDeEfF[:digit:]\w\:]*));\.)"),
    ("thread_name", r"^server(\.(.+))\.watchdog"),
    ("tcp_prefix", r"^tcp\.((.*?)\.)\w+?$"),
    ("response_code", r"_rq(_(\d{3}))$"),
    ("response_code_class", r"_rq(_(\dxx))$"),
    (
        "http_conn_manager_listener_prefix",
        r"^listener(?=\.).*?\.http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)",
    ),
    ("listener_address", r"^listener\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)"),
    ("mongo_prefix", r"^mongo\.(.+?)\.(collection|cmd|cx_|op_|delays_|decoding_)(.*?)$"),
    ("cache", r"(cache\.(.+?)\.)"),
    ("component", r"(component\.(.+?)\.)"),
    ("tag", r"(tag\.(.+?);\.)"),
    ("wasm_filter", r"(wasm_filter\.(.+?)\.)"),
    ("authz_enforce_result", r"rbac(\.(allowed|denied))"),
    ("authz_dry_run_action", r"(\.istio_dry_run_(allow|deny)_)"),
    ("authz_dry_run_result", r"(\.shadow_(allowed|denied))"),
];

impl Bootstrap {
    /// Whether the module of stats counts, which needs expressions for its labels.
    pub fn is_for_stats(&self) -> bool {
        self.filters.contains(&OF_STATS)
    }

    /// Writes it into a configuration.
    pub fn apply(&self, config: &mut SidecarConfig) -> Result<()> {
        let mut tags: Vec<Value> = Vec::new();
        if self.istios {
            tags.extend(ISTIOS.map(|(name, regex)| json!({"tag_name": name, "regex": regex})));
        }
        let mut of_stats = json!({"use_all_default_tags": false});
        if !self.filters.is_empty() {
            let files: Vec<PathBuf> = self.filters.iter().map(|file| tools::filters().join(file)).collect();
            let ours = attach::bootstrap_override(&files).context(self.name)?;
            let of = |field: &str| ours.pointer(&format!("/stats_config/{field}"));
            tags.extend(of("stats_tags").and_then(Value::as_array).into_iter().flatten().cloned());
            if let Some(buckets) = of("histogram_bucket_settings") {
                set(&mut of_stats, "histogram_bucket_settings", buckets.clone());
            }
        }
        set(&mut of_stats, "stats_tags", tags.into());
        set(&mut config.bootstrap, "stats_config", of_stats);
        Ok(())
    }
}

/// How many expressions a configuration has.
pub fn expressions(config: &SidecarConfig) -> usize {
    config.bootstrap.pointer("/stats_config/stats_tags").and_then(Value::as_array).map_or(0, Vec::len)
}
