//! What a run found, for machines.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{json, Value};

use crate::goals;
use crate::idle::Idle;
use crate::latency::Latency;
use crate::report::{Report, SceneReport};
use crate::series::{NewLabels, SERIES_PER_SET};
use crate::statistics::Summary;

/// Where it goes by default.
pub fn default_path() -> PathBuf {
    let dist = local_mesh::tools::dist();
    dist.parent().unwrap_or(&dist).join("target").join("bench.json")
}

/// Writes everything.
pub fn write(report: &Report, path: &Path) -> Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    std::fs::write(path, format!("{:#}\n", of(report))).with_context(|| format!("cannot write {}", path.display()))
}

/// Everything, with units in the names.
pub fn of(report: &Report) -> Value {
    let sizes: Value = report.sizes.iter().map(|(name, size)| (name.clone(), json!(size))).collect();
    let idle: Vec<Value> = report
        .idle
        .iter()
        .map(|Idle { set, workers, taken }| {
            json!({
                "set": set, "workers": workers, "vms": taken.vms,
                "resident_bytes": taken.resident, "private_bytes": taken.private, "ready_s": taken.ready,
            })
        })
        .collect();
    let many: Vec<Value> = report
        .many
        .iter()
        .map(|many| {
            json!({"name": many.name, "bytes": many.per_series, "bytes_after_scrape": many.scraped, "scrape_bytes": many.scrape_bytes, "scrape_ms": many.scrape,
                "connection_bytes": many.per_connection})
        })
        .collect();
    let goals: Vec<Value> = goals::of(report)
        .into_iter()
        .map(|goal| {
            let verdict = goal.verdict();
            json!({"what": goal.what, "limit": goal.limit, "reached": goal.reached, "unit": goal.unit, "verdict": verdict})
        })
        .collect();
    json!({
        "processor": report.processor,
        "cores": {"proxy": report.cores.proxy, "load": report.cores.load, "apart": report.cores.apart},
        "variants": report.scenes.iter().flat_map(scene).collect::<Vec<Value>>(),
        "module_bytes": sizes,
        "series": many,
        "idle": idle,
        "series_per_label_set": SERIES_PER_SET,
        "new_labels": report.new_labels.iter().map(new_labels).collect::<Vec<Value>>(),
        "latency_ms": report.latency.map(|comparison| json!({
            "without": latency(comparison.without),
            "with": latency(comparison.with),
            "added": latency(comparison.added),
        })),
        "goals": goals,
    })
}

fn scene(report: &SceneReport) -> Vec<Value> {
    let variants = report.variants.iter().enumerate().map(|(index, variant)| {
        let rounds = &report.rounds;
        json!({
            "variant": variant.id(),
            "about": variant.about,
            "cpu_us": summary(rounds.cpu(index)),
            "added_us": summary(rounds.added(index)),
            "added_us_by_round": rounds.added_by_round(index),
            "ratio_to_native": report.ratio(index),
            "requests_per_s": summary(rounds.rate(index)),
            "worker_busy": summary(rounds.busy(index)),
            "host_calls": variant.calls(),
        })
    });
    variants.collect()
}

fn new_labels(new: &NewLabels) -> Value {
    json!({
        "expressions": new.bootstrap.name,
        "stats_tags": new.expressions,
        "counter": new.counter.name(),
        "stats_us": summary(Some(new.time)),
    })
}

fn summary(summary: Option<Summary>) -> Value {
    summary.map_or(Value::Null, |s| json!({"median": s.median, "low": s.low, "high": s.high, "count": s.count}))
}

fn latency(latency: Latency) -> Value {
    json!({"p50": latency.p50, "p99": latency.p99})
}
