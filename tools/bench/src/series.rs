//! What the first request of a new set of labels costs: Envoy makes a stat for each metric, and takes the labels out of its
//! name with every expression of the bootstrap.

use std::sync::Arc;

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::load::Load;
use crate::machine::Thread;
use crate::native::SOURCE_HEADER;
use crate::scene::Scene;
use crate::site::{Site, CALLER};
use crate::statistics::median;

/// New callers, each a set of labels.
const CALLERS: usize = 60;

/// How often, each time with other callers.
const TIMES: usize = 3;

/// Stats that one set of labels makes: a counter and three histograms.
pub const SERIES_PER_SET: f64 = 4.0;

/// CPU time in microseconds that the first request of a caller takes over its second.
#[derive(Debug, Clone, Copy)]
pub struct NewLabels {
    /// With metadata exchange and stats.
    pub both: f64,
    /// With metadata exchange alone.
    pub exchange: f64,
    /// With both, where Envoy counts.
    pub envoy_counts: f64,
}

impl NewLabels {
    /// What stats has of it.
    pub fn per_set(&self) -> f64 {
        self.both - self.exchange
    }

    /// What stats has of it, where Envoy counts.
    pub fn per_set_of_envoy(&self) -> f64 {
        self.envoy_counts - self.exchange
    }

    /// The same as [`NewLabels::per_set`] for one stat.
    pub fn per_series(&self) -> f64 {
        self.per_set() / SERIES_PER_SET
    }
}

/// Measures on the listeners of the variants, by their numbers: with both, with metadata exchange alone, and with both where
/// Envoy counts.
pub fn measure(bench: &Bench, site: &Site, worker: &Thread, variants: [usize; 3]) -> Result<NewLabels> {
    let mut results = [Vec::new(), Vec::new(), Vec::new()];
    for time in 0..TIMES {
        for (index, (result, name)) in variants.into_iter().zip(results.iter_mut().zip(["both", "exchange", "counts"]))
        {
            bench.interrupt.check()?;
            let mut load = Load::connect(&bench.runtime, Scene::Hop.target(site, index)?, 1)?;
            let callers = (0..CALLERS).map(|number| request_of(site, &format!("{name}-{time}-{number}")));
            let requests: Vec<Arc<[u8]>> = callers.collect::<Result<_>>()?;
            let first = cpu_time(&mut load, worker, &requests)?;
            let second = cpu_time(&mut load, worker, &requests)?;
            result.push(first - second);
        }
    }
    let [both, exchange, envoy_counts] = results;
    Ok(NewLabels {
        both: median(&both).context("nothing was measured")?,
        exchange: median(&exchange).context("nothing was measured")?,
        envoy_counts: median(&envoy_counts).context("nothing was measured")?,
    })
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
