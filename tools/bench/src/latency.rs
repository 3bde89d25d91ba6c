//! Latency through two sidecars, with the filters and without: frontend's, which sends, and productpage's, which receives.
//!
//! Requests are sent at fixed times whether or not earlier ones were answered, and an answer's time is counted from when its
//! request was due: a proxy that hesitates is charged for all who had to wait.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use local_mesh::config::port;
use local_mesh::mesh::Mesh;
use local_mesh::options::{Network, Options};
use local_mesh::tools;
use local_mesh::topology::Topology;

use crate::bench::Bench;
use crate::bootstrap;
use crate::load::{awake, Connection, Target};
use crate::machine;
use crate::site::{Site, APPLICATION_PORT, CALLER, MEASURED};
use crate::statistics::{median, quantile};
use crate::upstream;
use crate::variants::TELEMETRY;

/// Between two requests: 1,000 per second.
const EVERY: Duration = Duration::from_millis(1);

/// Requests in a row through one mesh.
const REQUESTS: usize = 1000;

/// Rows through each mesh.
const ROWS: usize = 8;

/// Requests before anything is counted.
const WARM_UP: usize = 1000;

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Latency {
    /// Half of the requests take less.
    pub p50: f64,
    /// 99 of 100 requests take less.
    pub p99: f64,
}

/// The result.
#[derive(Debug, Clone, Copy)]
pub struct Comparison {
    /// Without filters.
    pub without: Latency,
    /// With metadata exchange and stats in both proxies.
    pub with: Latency,
    /// The median over the pairs of rows of what the filters add.
    pub added: Latency,
}

/// Measures.
pub fn measure(bench: &Bench, site: &Site) -> Result<Comparison> {
    let files = [TELEMETRY.filter, bootstrap::OF_STATS].map(|file| tools::filters().join(file));
    let meshes = [start(bench, site, Vec::new())?, start(bench, site, files.to_vec())?];
    for mesh in &meshes {
        let target = target(site, mesh)?;
        row(bench, &target, WARM_UP)?;
    }
    let mut rows: [Vec<Latency>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..ROWS {
        for (mesh, rows) in meshes.iter().zip(&mut rows) {
            bench.interrupt.check()?;
            rows.push(row(bench, &target(site, mesh)?, REQUESTS)?);
            mesh.check()?;
        }
    }
    for name in [CALLER, MEASURED] {
        let [_, with] = &meshes;
        let counted = with.sidecar(name)?.metric("istio_requests_total")?;
        let requests: f64 = counted.iter().map(|sample| sample.value).sum();
        let expected = (WARM_UP + ROWS * REQUESTS) as f64;
        ensure!(requests == expected, "the sidecar of {name} counted {requests} of {expected} requests");
    }
    let [without, with] = &rows;
    let of = |rows: &[Latency]| {
        let p50: Vec<f64> = rows.iter().map(|row| row.p50).collect();
        let p99: Vec<f64> = rows.iter().map(|row| row.p99).collect();
        Some(Latency { p50: median(&p50)?, p99: median(&p99)? })
    };
    let added: Vec<Latency> =
        without.iter().zip(with).map(|(a, b)| Latency { p50: b.p50 - a.p50, p99: b.p99 - a.p99 }).collect();
    let comparison = of(without).zip(of(with)).zip(of(&added));
    let ((without, with), added) = comparison.context("nothing was measured")?;
    Ok(Comparison { without, with, added })
}

/// Both proxies on the proxies' core; the application is in this thread, as the load is.
fn start(bench: &Bench, site: &Site, filters: Vec<std::path::PathBuf>) -> Result<Mesh> {
    let topology = Topology::parse(include_str!("latency.yaml"))?;
    let options = Options {
        filters,
        modules: Some(site.modules.clone()),
        network: Network::Free,
        interrupt: bench.interrupt.clone(),
        ..Options::default()
    };
    let mesh = Mesh::start(topology, options)?;
    for sidecar in mesh.sidecars() {
        machine::pin(sidecar.pid(), &[bench.cores.proxy])?;
    }
    let application = SocketAddr::from((mesh.sidecar(MEASURED)?.ip(), APPLICATION_PORT));
    upstream::serve(&bench.runtime, application, None, site.answer(None)?)?;
    Ok(mesh)
}

fn target(site: &Site, mesh: &Mesh) -> Result<Target> {
    let address = SocketAddr::from((mesh.sidecar(CALLER)?.ip(), port::OUTBOUND));
    Ok(Target { address, tls: None, request: site.request("productpage:9080", None)? })
}

/// Sends a row of requests, each at its time.
fn row(bench: &Bench, target: &Target, requests: usize) -> Result<Latency> {
    let idle: Arc<Mutex<Vec<Connection>>> = Arc::default();
    let mut latencies = bench.runtime.block_on(awake(async {
        let begin = Instant::now() + EVERY;
        let mut tasks = Vec::with_capacity(requests);
        for number in 0..requests {
            let due = begin + EVERY * u32::try_from(number)?;
            // A timer would be up to a millisecond late.
            while Instant::now() < due {
                tokio::task::yield_now().await;
            }
            let (idle, target) = (Arc::clone(&idle), target.clone());
            tasks.push(tokio::spawn(async move {
                let free = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let mut connection = match free {
                    Some(connection) => connection,
                    None => Connection::open(&target).await?,
                };
                connection.exchange(&target.request).await?;
                let latency = due.elapsed().as_secs_f64() * 1000.0;
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                Ok::<_, anyhow::Error>(latency)
            }));
        }
        let mut latencies = Vec::with_capacity(requests);
        for task in tasks {
            latencies.push(task.await??);
        }
        Ok::<_, anyhow::Error>(latencies)
    }))?;
    latencies.sort_by(f64::total_cmp);
    let of = |part| quantile(&latencies, part).context("no answers");
    Ok(Latency { p50: of(0.5)?, p99: of(0.99)? })
}
