//! What many series cost a proxy: memory, and the time of a scrape. And what a connection holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use serde_json::{json, Value};

use crate::bench::Bench;
use crate::bootstrap;
use crate::listener::set;
use crate::load::Load;
use crate::machine;
use crate::native;
use crate::proxy::{self, Proxy};
use crate::scene::Scene;
use crate::series::{request_of, SERIES_PER_SET};
use crate::site::Site;
use crate::statistics::median;
use crate::variants::{Part, Proof, Variant, TELEMETRY, TELEMETRY_ENVOY_COUNTS};

/// Label sets: with [`SERIES_PER_SET`], 10,000 series.
const SETS: usize = 2_500;

/// Connections that are open at a time.
const CONNECTIONS: usize = 400;

/// Envoy's own interval.
const FLUSH: Duration = Duration::from_secs(5);

/// Scrapes of each proxy.
const SCRAPES: usize = 7;

/// What the names of label sets begin with, which a proxy has not seen before.
const SET: &str = "set";

/// One who counts.
#[derive(Debug, Clone)]
pub struct Many {
    /// Who.
    pub name: &'static str,
    /// Bytes that Envoy has allocated for each series.
    pub per_series: f64,
    /// Private memory of the process in bytes that each series took after scrapes: Envoy keeps what it had for the text.
    pub scraped: f64,
    /// Bytes of a scrape, for each series. A histogram has many lines.
    pub scrape_bytes: f64,
    /// Milliseconds of a scrape, the median.
    pub scrape: f64,
    /// Private memory in bytes that each open connection took after a request, of mutual TLS.
    pub per_connection: f64,
}

/// Who counts, and whether the bootstrap has expressions for them.
const COUNTERS: [(&str, &[Part], bool); 4] = [
    ("none", &[], false),
    ("telemetry", &[Part::EnvoyFilter(TELEMETRY)], true),
    ("telemetry-envoy-counts", &[Part::EnvoyFilter(TELEMETRY_ENVOY_COUNTS)], false),
    ("native-stats", &[Part::AccessLog(native::stats_logger_by_header)], false),
];

/// Measures one after the other, each in a proxy of its own.
pub fn measure(bench: &Bench, site: &Site) -> Result<Vec<Many>> {
    let of = |(name, parts, expressions)| of(bench, site, name, parts, expressions).with_context(|| name.to_owned());
    COUNTERS.into_iter().map(of).collect()
}

fn of(bench: &Bench, site: &Site, name: &'static str, parts: &'static [Part], expressions: bool) -> Result<Many> {
    let variant = Variant { name, scene: Scene::Hop, about: "", parts, proof: Proof::Answers, short: false };
    let bootstrap = if expressions { bootstrap::OURS } else { bootstrap::NONE };
    let mut config = proxy::configuration(site, &[variant], bootstrap)?;
    set(&mut config.bootstrap, "stats_flush_interval", json!(format!("{}s", FLUSH.as_secs())));
    config.listeners.iter_mut().try_for_each(allow_all)?;
    let proxy = Proxy::start(bench, site, &config)?;
    let pid = proxy.sidecar.pid();
    let private = || machine::memory(pid).map(|(_, private)| private);
    let target = || Scene::Hop.target(site, 0);

    // What is there once, however many: the module's own start, Envoy's buffers.
    let mut load = Load::connect(&bench.runtime, target()?, 1)?;
    load.run_each(200)?;
    bench.settle();
    let before = private()?;
    let held = Load::connect(&bench.runtime, target()?, CONNECTIONS).and_then(|mut held| {
        held.run_each(2)?;
        Ok(held)
    })?;
    bench.settle();
    let connected = private()?;
    drop(held);
    bench.settle();

    let (lines, begin, allocated_before) = (scrape(&proxy)?.1, private()?, allocated(&proxy)?);
    let requests: Vec<Arc<[u8]>> =
        (0..SETS).map(|number| request_of(site, &format!("{SET}-{number}"))).collect::<Result<_>>()?;
    for some in requests.chunks(100) {
        bench.interrupt.check()?;
        load.send(some)?;
    }
    // Histograms take their room when they are merged for the first time.
    bench.interrupt.sleep(2 * FLUSH);
    let allocated_after = allocated(&proxy)?;
    let mut times = Vec::new();
    let mut bytes = 0;
    for _ in 0..SCRAPES {
        bench.interrupt.check()?;
        let (time, text) = scrape(&proxy)?;
        times.push(time);
        bytes = text;
    }
    let scraped = private()?;
    let seen = proxy.sidecar.stats_text()?.matches("istio_requests_total{").count();
    ensure!(parts.is_empty() || seen > SETS, "{seen} series instead of {SETS}");
    let series = (SETS * SERIES_PER_SET) as f64;
    Ok(Many {
        name,
        per_series: (allocated_after - allocated_before) / series,
        scraped: (scraped as f64 - begin as f64) / series,
        scrape_bytes: (bytes as f64 - lines as f64) / series,
        scrape: median(&times).context("no scrape")?,
        per_connection: (connected as f64 - before as f64) / CONNECTIONS as f64,
    })
}

/// Milliseconds and bytes of a scrape.
fn scrape(proxy: &Proxy) -> Result<(f64, usize)> {
    let begin = Instant::now();
    let text = proxy.sidecar.stats_text()?;
    Ok((begin.elapsed().as_secs_f64() * 1000.0, text.len()))
}

/// Bytes that are allocated, by Envoy's own account.
fn allocated(proxy: &Proxy) -> Result<f64> {
    let memory: Value = serde_json::from_str(&proxy.sidecar.admin("/memory")?)?;
    let allocated = memory.get("allocated").and_then(Value::as_str);
    allocated.and_then(|bytes| bytes.parse().ok()).context("no `allocated` on the page /memory")
}

/// Gives the plugins of telemetry room for all series, and some to spare.
fn allow_all(value: &mut Value) -> Result<()> {
    let is_telemetry = value["root_id"].as_str().is_some_and(|id| id.starts_with("telemetry"));
    if let Some(written) = value.pointer_mut("/configuration/value").filter(|_| is_telemetry) {
        let mut configuration: Value = serde_json::from_str(written.as_str().unwrap_or_default())?;
        let fields = configuration.as_object_mut().context("a configuration that is no object")?;
        set(fields.entry("stats").or_insert_with(|| json!({})), "max_series", json!(8 * SETS));
        *written = json!(configuration.to_string());
    }
    match value {
        Value::Object(fields) => fields.values_mut().try_for_each(allow_all),
        Value::Array(items) => items.iter_mut().try_for_each(allow_all),
        _ => Ok(()),
    }
}
