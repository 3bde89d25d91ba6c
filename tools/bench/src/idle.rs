//! What modules, and the bootstrap that stats needs, cost a proxy that does nothing: memory, and time until it is ready.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use local_mesh::attach::Attachment;
use local_mesh::config::{Files, SidecarConfig};
use local_mesh::options::Options;
use local_mesh::sidecar::Sidecar;
use local_mesh::tools;

use crate::assembly;
use crate::bench::Bench;
use crate::bootstrap;
use crate::choice;
use crate::listener::set;
use crate::machine;
use crate::proxy::arguments;
use crate::site::{Site, DATABASE, MEASURED};
use crate::statistics::median;

/// How often each set is started.
const TIMES: usize = 3;

/// Between two looks at whether it is ready.
const POLL: Duration = Duration::from_millis(1);

/// Longer than this is an error.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Workers of a proxy with more than one.
const MORE_WORKERS: u32 = 2;

/// What a proxy with a set of modules takes.
#[derive(Debug, Clone)]
pub struct Idle {
    /// Which: `none`, `stats_tags`, a module's file, `sidecar` or `all`.
    pub set: String,
    /// Worker threads.
    pub workers: u32,
    /// The medians.
    pub taken: Taken,
}

/// What a proxy takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Taken {
    /// Resident memory in bytes.
    pub resident: f64,
    /// The part of it that was written and is no other process's, in bytes.
    pub private: f64,
    /// Seconds from the start of the process until it is ready.
    pub ready: f64,
    /// VMs that run modules.
    pub vms: f64,
}

/// The filters of a sidecar as the files in `envoy/` attach them: what all proxies have, both kinds of access log, and faults.
const SIDECAR_FILTERS: [&str; 9] = [
    bootstrap::OF_STATS,
    "telemetry.yaml",
    "tcp-metadata-exchange-inbound.yaml",
    "tcp-metadata-exchange-outbound.yaml",
    "tcp-stats.yaml",
    "access-log.yaml",
    "tcp-access-log.yaml",
    "fault-inbound.yaml",
    "fault-outbound.yaml",
];

/// All five HTTP filters: four in one VM, and shadowing.
const FIVE: [&str; 5] = [
    bootstrap::OF_STATS,
    "one-pass/telemetry-access-log.yaml",
    "fault-inbound.yaml",
    "fault-outbound.yaml",
    "shadow.yaml",
];

/// The name of the set without a module, of the one with the bootstrap's expressions alone, of the one with the filters of a
/// sidecar, and of the one with all HTTP filters.
pub const NONE: &str = "none";
/// See [`NONE`].
pub const BOOTSTRAP: &str = "stats_tags";
/// See [`NONE`].
pub const SIDECAR: &str = "sidecar";
/// See [`NONE`].
pub const ALL: &str = "all";

/// What a proxy is started with.
struct Set {
    name: &'static str,
    filters: Vec<&'static str>,
    workers: u32,
    /// Whether the quick look has it.
    short: bool,
}

/// The set of [`assembly::EMPTY`] shows what any module costs.
fn sets() -> Vec<Set> {
    let set = |name, filters: &[&'static str], workers, short| Set { name, filters: filters.to_vec(), workers, short };
    let mut sets = vec![set(NONE, &[], 1, false), set(BOOTSTRAP, &[bootstrap::OF_STATS], 1, false)];
    sets.extend(choice::modules().iter().map(|module| set(module.file, &[module.filter], 1, false)));
    sets.extend([
        set(ALL, &FIVE, 1, false),
        set(NONE, &[], MORE_WORKERS, true),
        set(assembly::EMPTY, &[], MORE_WORKERS, true),
        set(SIDECAR, &SIDECAR_FILTERS, MORE_WORKERS, true),
        set(ALL, &FIVE, MORE_WORKERS, false),
    ]);
    sets
}

/// Starts a sidecar with each set of modules, in turns.
pub fn measure(bench: &Bench, site: &Site, short: bool) -> Result<Vec<Idle>> {
    let sets: Vec<Set> = sets().into_iter().filter(|set| set.short || !short).collect();
    let mut seen = vec![Vec::new(); sets.len()];
    for _ in 0..TIMES {
        for (set, seen) in sets.iter().zip(&mut seen) {
            bench.interrupt.check()?;
            seen.push(start(bench, site, set).with_context(|| format!("a proxy with modules: {}", set.name))?);
        }
    }
    let results = sets.iter().zip(seen).map(|(set, seen)| {
        let of = |part: fn(&Taken) -> f64| median(&seen.iter().map(part).collect::<Vec<_>>()).unwrap_or(f64::NAN);
        let taken = Taken {
            resident: of(|taken| taken.resident),
            private: of(|taken| taken.private),
            ready: of(|taken| taken.ready),
            vms: of(|taken| taken.vms),
        };
        Idle { set: set.name.to_owned(), workers: set.workers, taken }
    });
    Ok(results.collect())
}

/// What one proxy takes.
fn start(bench: &Bench, site: &Site, set: &Set) -> Result<Taken> {
    let mut files = site.files.clone();
    files.directory.set_file_name("idle");
    let config = configuration(site, &files, set)?;
    let ip = site.workload(MEASURED)?.address;
    let begin = Instant::now();
    let sidecar = Sidecar::start(
        (MEASURED, ip),
        &config,
        files,
        (&tools::envoy(None)?, &arguments(set.workers)),
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
    bench.settle();
    sidecar.check_accepted()?;
    let (resident, private) = machine::memory(sidecar.pid())?;
    let vms = sidecar.counter("wasm.envoy.wasm.runtime.v8.active")? as f64;
    Ok(Taken { resident: resident as f64, private: private as f64, ready, vms })
}

/// A sidecar as in production, with these EnvoyFilters. It has listeners of requests and of connections in both directions.
fn configuration(site: &Site, files: &Files, of: &Set) -> Result<SidecarConfig> {
    let workload = site.workload(MEASURED)?;
    let mut config = SidecarConfig::plain(&site.topology, workload, files);
    let database = SidecarConfig::plain(&site.topology, site.workload(DATABASE)?, files);
    for mut listener in database.listeners.into_iter().filter(|listener| listener["traffic_direction"] == "INBOUND") {
        set(&mut listener, "name", "virtualInbound_tcp".into());
        config.listeners.push(listener);
    }
    for cluster in database.clusters {
        if !config.clusters.iter().any(|known| known.get("name") == cluster.get("name")) {
            config.clusters.push(cluster);
        }
    }
    let filters: Vec<PathBuf> = of.filters.iter().map(|filter| tools::filters().join(filter)).collect();
    let patches = (of.name == assembly::EMPTY).then(|| empty(&site.assembled)).into_iter().collect();
    let mut attachment = Attachment::load(&Options { filters, patches, ..Options::default() })?;
    attachment.apply(workload, &mut config)?;
    for module in config.map_modules(&site.modules) {
        tools::module(&module)?;
    }
    Ok(config)
}

/// An EnvoyFilter with a module that does nothing.
fn empty(modules: &Path) -> String {
    let module = modules.join(assembly::EMPTY);
    format!(
        "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{ name: empty, namespace: istio-system }}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: SIDECAR_INBOUND
      listener: {{ filterChain: {{ filter: {{ name: envoy.filters.network.http_connection_manager }} }} }}
    patch:
      operation: INSERT_FIRST
      value:
        name: empty
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
          config:
            vm_config: {{ runtime: envoy.wasm.runtime.v8, code: {{ local: {{ filename: '{}' }} }} }}
",
        module.display()
    )
}
