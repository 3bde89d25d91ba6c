//! The measured Envoy: one process, one worker, a listener for each variant.

use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use local_mesh::config::{outbound_cluster, port, SidecarConfig};
use local_mesh::interrupt::Interrupt;
use local_mesh::process::check_free;
use local_mesh::sidecar::Sidecar;
use local_mesh::tools;

use crate::bench::Bench;
use crate::bootstrap::Bootstrap;
use crate::listener::{self, set};
use crate::machine::{self, Thread};
use crate::native;
use crate::site::{Site, MEASURED};
use crate::variants::Variant;

/// How long it may take to serve.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// A running Envoy.
#[derive(Debug)]
pub struct Proxy {
    /// Its admin page and statistics.
    pub sidecar: Sidecar,
    /// Its only worker.
    pub worker: Thread,
}

/// What Envoy is told: all the variants' listeners, each on an address of its own, and the bootstrap.
pub fn configuration(site: &Site, variants: &[Variant], bootstrap: Bootstrap) -> Result<SidecarConfig> {
    let mut config = site.plain()?;
    tell_of_callee(site, &mut config)?;
    bootstrap.apply(&mut config)?;
    // Envoy's own, as in production; the mesh flushes more often, which takes the worker's time.
    set(&mut config.bootstrap, "stats_flush_interval", "5s".into());
    let listeners = variants.iter().enumerate().map(|(index, variant)| listener::of(variant, site, index));
    config.listeners = listeners.collect::<Result<_>>()?;
    Ok(config)
}

/// Adds the callee's labels to its endpoint, for native filters.
fn tell_of_callee(site: &Site, config: &mut SidecarConfig) -> Result<()> {
    let reviews = site.topology.service("reviews").context("the topology has no reviews")?;
    let names = [outbound_cluster(reviews, "v1"), outbound_cluster(reviews, "")];
    for cluster in &mut config.clusters {
        if names.iter().any(|name| cluster["name"] == name.as_str()) {
            let metadata = cluster.pointer_mut("/load_assignment/endpoints/0/lb_endpoints/0/metadata/filter_metadata");
            let metadata = metadata.context("a cluster without endpoint metadata")?;
            set(metadata, native::ENDPOINT_METADATA, native::callee_metadata(site)?);
        }
    }
    Ok(())
}

/// The arguments of Envoy.
pub fn arguments(concurrency: u32) -> Vec<String> {
    let pairs = [("--concurrency", concurrency.to_string()), ("--log-level", "warning".to_owned())];
    let mut arguments: Vec<String> = pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
    arguments.push("--disable-hot-restart".to_owned());
    arguments
}

impl Proxy {
    /// Starts it on a core of its own, and returns when it serves.
    pub fn start(bench: &Bench, site: &Site, config: &SidecarConfig) -> Result<Self> {
        let ip = site.workload(MEASURED)?.address;
        for port in [port::ADMIN, port::STATS] {
            check_free("the measured proxy", ip, port)?;
        }
        let sidecar = Sidecar::start(
            (MEASURED, ip),
            config,
            site.files.clone(),
            (&tools::envoy(None)?, &arguments(1)),
            bench.client.clone(),
        )?;
        machine::pin(sidecar.pid(), &[bench.cores.proxy])?;
        wait_until_ready(&sidecar, &bench.interrupt)?;
        // Once more for threads that were being made meanwhile.
        machine::pin(sidecar.pid(), &[bench.cores.proxy])?;
        let worker = Thread::find(sidecar.pid(), "wrk:worker_0")?;
        Ok(Self { sidecar, worker })
    }
}

/// Waits for `/ready`, then sees to it that the configuration was taken.
pub fn wait_until_ready(sidecar: &Sidecar, interrupt: &Interrupt) -> Result<()> {
    let end = Instant::now() + READY_TIMEOUT;
    while !sidecar.is_ready() {
        interrupt.check()?;
        sidecar.check()?;
        ensure!(Instant::now() < end, "Envoy is not ready after {READY_TIMEOUT:?}; its log:\n{}", sidecar.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    sidecar.check_accepted()
}
