//! What the first request of a new set of labels costs: Envoy makes a stat for each metric, and takes the labels out of its
//! name with every expression of the bootstrap.

use std::sync::Arc;

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::bootstrap::{self, Bootstrap};
use crate::choice;
use crate::load::Load;
use crate::machine::Thread;
use crate::native::{self, SOURCE_HEADER};
use crate::proxy::{self, Proxy};
use crate::scene::Scene;
use crate::site::{Site, CALLER};
use crate::statistics::Summary;
use crate::variants::{Part, Proof, Variant, WITH_BOTH, WITH_ENVOY_COUNTS, WITH_EXCHANGE, WITH_NOTHING};

/// New callers, each a set of labels.
const CALLERS: usize = 30;

/// How often, each time with another proxy. The bootstraps take turns.
const TIMES: usize = 7;

/// Stats that one set of labels makes: a counter and three histograms.
pub const SERIES_PER_SET: usize = 4;

/// CPU time in microseconds that stats takes for the first request of a caller over its second.
#[derive(Debug, Clone)]
pub struct NewLabels {
    /// Who makes the stats.
    pub counter: Counter,
    /// Whose expressions the bootstrap has.
    pub bootstrap: Bootstrap,
    /// How many.
    pub expressions: usize,
    /// The time; what metadata exchange takes for a new caller is not in it.
    pub time: Summary,
}

/// Who makes the stats of a new set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// The module.
    Module,
    /// Envoy, with labels of the module's.
    Envoy,
    /// Envoy, with labels of its own.
    Native,
}

impl Counter {
    /// For readers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Module => "the module counts",
            Self::Envoy => "Envoy counts",
            Self::Native => "native-stats",
        }
    }
}

/// What is measured: the module needs its expressions, Envoy none.
fn rows() -> Vec<(Counter, Bootstrap)> {
    let mut rows = Vec::new();
    for bootstrap in bootstrap::ALL {
        let counters: &[Counter] =
            if bootstrap.is_for_stats() { &[Counter::Module] } else { &[Counter::Envoy, Counter::Native] };
        rows.extend(counters.iter().map(|counter| (*counter, *bootstrap)));
    }
    rows
}

/// Measures each row, in turns.
pub fn measure(bench: &Bench, site: &Site) -> Result<Vec<NewLabels>> {
    let rows = rows();
    let mut all = vec![(0, Vec::new()); rows.len()];
    for _ in 0..TIMES {
        for ((counter, bootstrap), (expressions, times)) in rows.iter().zip(&mut all) {
            let (number, time) = of_proxy(bench, site, *counter, *bootstrap)?;
            *expressions = number;
            times.push(time);
        }
    }
    let rows = rows.into_iter().zip(all).map(|((counter, bootstrap), (expressions, times))| {
        let time = Summary::of(&times).context("nothing was measured")?;
        Ok(NewLabels { counter, bootstrap, expressions, time })
    });
    rows.collect()
}

/// The native logger, with a label that a header tells.
const BY_HEADER: Variant = Variant {
    name: "native-by-header",
    scene: Scene::Hop,
    about: "",
    parts: &[Part::AccessLog(native::stats_logger_by_header)],
    proof: Proof::Answers,
    short: false,
};

/// The number of expressions, and the time.
fn of_proxy(bench: &Bench, site: &Site, counter: Counter, bootstrap: Bootstrap) -> Result<(usize, f64)> {
    let variant = |id: &str| choice::all().iter().find(|variant| variant.id() == id).copied();
    let variants = match counter {
        Counter::Module => [variant(WITH_BOTH), variant(WITH_EXCHANGE)],
        Counter::Envoy => [variant(WITH_ENVOY_COUNTS), variant(WITH_EXCHANGE)],
        Counter::Native => [Some(BY_HEADER), variant(WITH_NOTHING)],
    };
    let variants = variants.into_iter().collect::<Option<Vec<Variant>>>();
    let variants = variants.context("a variant is missing")?;
    let config = proxy::configuration(site, &variants, bootstrap)?;
    let proxy = Proxy::start(bench, site, &config)?;
    let mut times = Vec::new();
    for (index, variant) in variants.iter().enumerate() {
        bench.interrupt.check()?;
        let mut load = Load::connect(&bench.runtime, Scene::Hop.target(site, index)?, 1)?;
        load.head()?; // the code has run once
        let callers = (0..CALLERS).map(|number| request_of(site, &format!("{}-{number}", variant.name)));
        let requests: Vec<Arc<[u8]>> = callers.collect::<Result<_>>()?;
        let first = cpu_time(&mut load, &proxy.worker, &requests)?;
        times.push(first - cpu_time(&mut load, &proxy.worker, &requests)?);
    }
    proxy.sidecar.check()?;
    let [with, without] = times[..] else { anyhow::bail!("two variants were to be measured") };
    Ok((bootstrap::expressions(&config), with - without))
}

/// Microseconds per request.
fn cpu_time(load: &mut Load<'_>, worker: &Thread, requests: &[Arc<[u8]>]) -> Result<f64> {
    let before = worker.settled_cpu_time()?;
    load.send(requests)?;
    let time = worker.settled_cpu_time()?.saturating_sub(before);
    Ok(time as f64 / 1000.0 / requests.len() as f64)
}

/// A request of a workload that was never seen; a header tells it to who reads no metadata.
pub fn request_of(site: &Site, name: &str) -> Result<Arc<[u8]>> {
    let mut caller = site.workload(CALLER)?.clone();
    caller.name = format!("caller-{name}");
    let request = site.request("productpage:9080", Some(&caller))?;
    let lines = request.strip_suffix(b"\r\n").context("a request without an end")?;
    Ok([lines, format!("{SOURCE_HEADER}: {}\r\n\r\n", caller.name).as_bytes()].concat().into())
}
