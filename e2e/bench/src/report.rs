//! What a run says: a table for people, JSON for machines.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{json, Value};

use crate::machine::{self, Cores};
use crate::rounds::Rounds;
use crate::scene::Scene;
use crate::statistics::Summary;
use crate::variants::{Variant, MODULES, NATIVE_STATS, VARIANTS};

/// A baseline whose quartiles are further apart than this part of its median is of a machine with other things to do.
const NOISY: f64 = 0.05;

/// A load under which the worker is idle for more than this part of the time was too slow for it.
const IDLE: f64 = 0.1;

/// All results of a run.
#[derive(Debug)]
pub struct Report {
    /// Which core was whose.
    pub cores: Cores,
    /// The machine.
    pub processor: String,
    /// Sizes of the modules in bytes.
    pub sizes: Vec<(String, u64)>,
    /// Expressions in the bootstrap that take labels out of stats' names.
    pub tag_regexes: usize,
    /// CPU time per request.
    pub scenes: Vec<SceneReport>,
}

/// What was measured in one scene.
#[derive(Debug)]
pub struct SceneReport {
    /// The scene.
    pub scene: Scene,
    /// Its variants, the baseline first.
    pub variants: Vec<Variant>,
    /// The measurements, in the same order.
    pub rounds: Rounds,
}

impl Report {
    /// Nothing measured yet.
    pub fn new(modules: &Path, cores: Cores, tag_regexes: usize) -> Self {
        let size = |file: &str| std::fs::metadata(modules.join(file)).map(|data| data.len()).ok();
        Self {
            cores,
            processor: machine::processor(),
            sizes: MODULES.iter().filter_map(|module| Some((module.file.to_owned(), size(module.file)?))).collect(),
            tag_regexes,
            scenes: Vec::new(),
        }
    }
}

impl SceneReport {
    fn index(&self, name: &str) -> Option<usize> {
        self.variants.iter().position(|variant| variant.name == name)
    }

    /// How many times what the native stats logger adds a variant adds.
    fn ratio(&self, variant: usize) -> Option<f64> {
        let native = self.index(NATIVE_STATS).filter(|native| *native != variant)?;
        self.rounds.ratio(variant, native)
    }
}

/// Where JSON goes by default.
pub fn default_path() -> PathBuf {
    let root = mesh::tools::dist();
    root.parent().unwrap_or(&root).join("target").join("bench.json")
}

/// The variants and what they are.
pub fn list() -> String {
    let width = VARIANTS.iter().map(|variant| variant.id().len()).max().unwrap_or(0);
    let mut text = String::new();
    for scene in Scene::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}: {}", scene.name(), scene.about());
        for variant in VARIANTS.iter().filter(|variant| variant.scene == scene) {
            let _ = writeln!(text, "  {:width$}  {}", variant.id(), variant.about);
        }
    }
    text
}

/// The table.
pub fn text(report: &Report) -> String {
    let mut text = format!(
        "CPU time of Envoy's one worker per request, in µs: the median of the rounds, with quartiles. Envoy has core {} for \
         itself,\nload and upstreams have core {}. `added` is over the baseline of the same scene, looked at before and after \
         each two\nvariants of a round; `× native` is the median of the rounds' ratios to {NATIVE_STATS}. {}.\n",
        report.cores.proxy, report.cores.load, report.processor
    );
    if !report.cores.apart {
        text.push_str(
            "Both cores are halves of one physical core: they slow each other down, and numbers come out too high.\n",
        );
    }
    for scene in &report.scenes {
        text.push('\n');
        text.push_str(&scene_text(scene));
    }
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\nmodules:{}", sizes(report));
    text
}

fn sizes(report: &Report) -> String {
    report.sizes.iter().map(|(name, size)| format!("  {name} {size} bytes")).collect()
}

fn scene_text(report: &SceneReport) -> String {
    let mut text = format!("{}: {}\n", report.scene.name(), report.scene.about());
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "  {:<20}{:>9}{:>9}{:>16}{:>10}{:>9}{:>7}",
        "", "µs/req", "added", "quartiles", "× native", "req/s", "calls"
    );
    for (index, variant) in report.variants.iter().enumerate() {
        let rounds = &report.rounds;
        let number = |summary: Option<Summary>| summary.map_or_else(|| "-".to_owned(), |s| format!("{:.1}", s.median));
        let quartiles = rounds.added(index).map(|added| format!("{:.1} to {:.1}", added.low, added.high));
        let ratio = report.ratio(index).map(|ratio| format!("{ratio:.2}"));
        let rate = rounds.rate(index).map(|rate| format!("{:.0}", rate.median));
        let _ = writeln!(
            text,
            "  {:<20}{:>9}{:>9}{:>16}{:>10}{:>9}{:>7}",
            variant.name,
            number(rounds.cpu(index)),
            number(rounds.added(index)),
            quartiles.unwrap_or_default(),
            ratio.unwrap_or_default(),
            rate.unwrap_or_default(),
            variant.calls().map(|calls| calls.to_string()).unwrap_or_default(),
        );
    }
    for remark in remarks(report) {
        let _ = writeln!(text, "  ! {remark}");
    }
    text
}

/// What should keep a reader from believing the numbers.
fn remarks(report: &SceneReport) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(baseline) = report.rounds.cpu(0).filter(|baseline| baseline.spread() > NOISY) {
        remarks.push(format!(
            "this machine is too noisy: the baseline's quartiles are {:.1} and {:.1} µs, {:.0} % of its median apart",
            baseline.low,
            baseline.high,
            baseline.spread() * 100.0
        ));
    }
    let idle = |index: &usize| report.rounds.busy(*index).is_some_and(|busy| busy.median < 1.0 - IDLE);
    let names: Vec<&str> =
        report.variants.iter().enumerate().filter(|(index, _)| idle(index)).map(|(_, variant)| variant.name).collect();
    if !names.is_empty() {
        remarks.push(format!("the load was too slow to keep the worker at work: {}", names.join(", ")));
    }
    remarks
}

/// Writes everything.
pub fn write_json(report: &Report, path: &Path) -> Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    std::fs::write(path, format!("{:#}\n", to_json(report))).with_context(|| format!("cannot write {}", path.display()))
}

fn to_json(report: &Report) -> Value {
    let scenes = report.scenes.iter().flat_map(|scene| {
        scene.variants.iter().enumerate().map(|(index, variant)| {
            let rounds = &scene.rounds;
            json!({
                "variant": variant.id(),
                "about": variant.about,
                "cpu_us": summary(rounds.cpu(index)),
                "added_us": summary(rounds.added(index)),
                "added_us_by_round": rounds.added_by_round(index),
                "ratio_to_native": scene.ratio(index),
                "requests_per_second": summary(rounds.rate(index)),
                "worker_busy": summary(rounds.busy(index)),
                "host_calls": variant.calls(),
                "requests": rounds.requests(index),
            })
        })
    });
    json!({
        "processor": report.processor,
        "cores": {"proxy": report.cores.proxy, "load": report.cores.load, "apart": report.cores.apart},
        "module_bytes": report.sizes.iter().map(|(name, size)| (name.clone(), json!(size))).collect::<Value>(),
        "tag_regexes": report.tag_regexes,
        "cpu": scenes.collect::<Vec<Value>>(),
    })
}

fn summary(summary: Option<Summary>) -> Value {
    summary.map_or(Value::Null, |s| json!({"median": s.median, "low": s.low, "high": s.high, "count": s.count}))
}
