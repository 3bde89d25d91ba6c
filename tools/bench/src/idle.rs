//! What modules, and the bootstrap that stats needs, cost a proxy that does nothing: memory, and time until it is ready.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use local_mesh::attach::Attachment;
use local_mesh::config::{Files, SidecarConfig};
use local_mesh::options::Options;
use local_mesh::sidecar::Sidecar;
use local_mesh::tools;

use crate::bench::Bench;
use crate::bootstrap;
use crate::choice;
use crate::machine;
use crate::proxy::arguments;
use crate::site::{Site, MEASURED};
use crate::statistics::median;
use crate::variants::Module;

/// How often each set is started.
const TIMES: usize = 3;

/// When memory is looked at, after the proxy became ready.
const SETTLED: Duration = Duration::from_millis(1500);

/// Between two looks at whether it is ready.
const POLL: Duration = Duration::from_millis(1);

/// Longer than this is an error.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Workers of a proxy with more than one.
const MORE_WORKERS: u32 = 2;

/// What a proxy with a set of modules takes.
#[derive(Debug, Clone)]
pub struct Idle {
    /// Which: `none`, `stats_tags`, a module's file, or `all`.
    pub set: String,
    /// Worker threads.
    pub workers: u32,
    /// Resident memory in bytes, the median.
    pub resident: f64,
    /// Seconds from the start of the process until it is ready, the median.
    pub ready: f64,
}

/// All five filters as they are attached by default: four in one VM, and shadowing.
const FIVE: [&str; 5] = [
    bootstrap::OF_STATS,
    "one-pass/telemetry-access-log.yaml",
    "fault-inbound.yaml",
    "fault-outbound.yaml",
    "shadow.yaml",
];

/// The name of the set without a module, of the one with the bootstrap's expressions alone, and of the one with all filters.
pub const NONE: &str = "none";
/// See [`NONE`].
pub const BOOTSTRAP: &str = "stats_tags";
/// See [`NONE`].
pub const ALL: &str = "all";

/// Starts a sidecar with each set of modules, in turns.
pub fn measure(bench: &Bench, site: &Site) -> Result<Vec<Idle>> {
    let file = |module: &Module| vec![module.filter];
    let all = FIVE.to_vec();
    let mut sets = vec![(NONE, Vec::new(), 1), (BOOTSTRAP, vec![bootstrap::OF_STATS], 1)];
    sets.extend(choice::modules().iter().map(|module| (module.file, file(module), 1)));
    sets.extend([(ALL, all.clone(), 1), (NONE, Vec::new(), MORE_WORKERS), (ALL, all, MORE_WORKERS)]);

    let mut seen = vec![(Vec::new(), Vec::new()); sets.len()];
    for _ in 0..TIMES {
        for ((set, filters, workers), (resident, ready)) in sets.iter().zip(&mut seen) {
            bench.interrupt.check()?;
            let (bytes, seconds) =
                start(bench, site, filters, *workers).with_context(|| format!("a proxy with modules: {set}"))?;
            resident.push(bytes);
            ready.push(seconds);
        }
    }
    let results = sets.into_iter().zip(seen).map(|((set, _, workers), (resident, ready))| {
        let (resident, ready) = (median(&resident).unwrap_or(f64::NAN), median(&ready).unwrap_or(f64::NAN));
        Idle { set: set.to_owned(), workers, resident, ready }
    });
    Ok(results.collect())
}

/// Resident memory in bytes and time until ready in seconds of one proxy.
fn start(bench: &Bench, site: &Site, filters: &[&str], workers: u32) -> Result<(f64, f64)> {
    let mut files = site.files.clone();
    files.directory.set_file_name("idle");
    let config = configuration(site, &files, filters)?;
    let ip = site.workload(MEASURED)?.address;
    let begin = Instant::now();
    let sidecar = Sidecar::start(
        (MEASURED, ip),
        &config,
        files,
        (&tools::envoy(None)?, &arguments(workers)),
        bench.client.clone(),
    )?;
    // Unlike under load, both cores are its own: V8 compiles on several threads.
    machine::pin(sidecar.pid(), &[bench.cores.proxy, bench.cores.load])?;
    while !sidecar.is_ready() {
        bench.interrupt.check()?;
        sidecar.check()?;
        ensure!(begin.elapsed() < READY_TIMEOUT, "not ready after {READY_TIMEOUT:?}; its log:\n{}", sidecar.log());
        std::thread::sleep(POLL);
    }
    let ready = begin.elapsed().as_secs_f64();
    bench.interrupt.sleep(SETTLED);
    sidecar.check_accepted()?;
    Ok((machine::resident(sidecar.pid())? as f64, ready))
}

/// A sidecar as in production, with these EnvoyFilters.
fn configuration(site: &Site, files: &Files, filters: &[&str]) -> Result<SidecarConfig> {
    let workload = site.workload(MEASURED)?;
    let mut config = SidecarConfig::plain(&site.topology, workload, files);
    let filters: Vec<PathBuf> = filters.iter().map(|filter| tools::filters().join(filter)).collect();
    Attachment::load(&Options { filters, ..Options::default() })?.apply(workload, &mut config)?;
    for module in config.map_modules(&site.modules) {
        tools::module(&module)?;
    }
    Ok(config)
}
