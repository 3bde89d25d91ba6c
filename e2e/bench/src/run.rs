//! A run from first to last.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mesh::client::Client;
use mesh::directory::RunDirectory;
use mesh::interrupt::Interrupt;
use mesh::tools;
use tokio::runtime::Runtime;

use crate::load::Load;
use crate::machine::{self, Cores};
use crate::options::Arguments;
use crate::proof::{self, Series};
use crate::proxy::Proxy;
use crate::report::{self, Report, SceneReport};
use crate::rounds::{Rounds, Timing};
use crate::scene::{self, Scene};
use crate::site::Site;
use crate::variants::{self, Proof, Variant};

/// Connections per variant. With fewer, the worker would now and then have nothing to do.
const CONNECTIONS: usize = 8;

const FULL: Timing = Timing {
    warm_up: Duration::from_millis(100),
    window: Duration::from_millis(350),
    first: Duration::from_millis(1000),
};
const FULL_ROUNDS: usize = 15;

const SHORT: Timing = Timing {
    warm_up: Duration::from_millis(50),
    window: Duration::from_millis(200),
    first: Duration::from_millis(600),
};
const SHORT_ROUNDS: usize = 8;

/// What all parts of a run need.
pub struct Bench {
    /// Set by Ctrl-C.
    pub interrupt: Interrupt,
    /// For admin pages.
    pub client: Client,
    /// Where load and upstreams run; the thread that waits for it does all the work.
    pub runtime: Runtime,
    /// Which core is whose.
    pub cores: Cores,
    begin: Instant,
}

impl Bench {
    /// Tells what begins.
    pub fn say(&self, what: &str) {
        println!("[{:5.1} s] {what}", self.begin.elapsed().as_secs_f64());
    }
}

/// Does all that was asked for.
pub fn bench(arguments: &Arguments) -> Result<ExitCode> {
    let chosen = variants::choose(&arguments.variants, arguments.short)?;
    let modules = arguments.modules.clone().unwrap_or_else(tools::dist);
    let cores = Cores::choose()?;
    // Before anything is started, so that all threads stay off the proxy's core.
    machine::pin(std::process::id(), cores.load)?;
    let background = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let bench = Bench {
        interrupt: Interrupt::on_signals(background.handle())?,
        client: Client::new(background.handle().clone()),
        runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        cores,
        begin: Instant::now(),
    };
    match measure(&bench, arguments, &chosen, modules) {
        Err(_) if bench.interrupt.is_set() => {
            bench.say("interrupted; everything has ended");
            Ok(ExitCode::from(130))
        }
        Err(error) => Err(error),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

fn measure(bench: &Bench, arguments: &Arguments, chosen: &[Variant], modules: PathBuf) -> Result<()> {
    let directory = RunDirectory::create()?;
    let modules = std::path::absolute(&modules).with_context(|| modules.display().to_string())?;
    let site = Site::new(arguments.network, directory.path(), &modules)?;
    let (timing, rounds) = if arguments.short { (SHORT, SHORT_ROUNDS) } else { (FULL, FULL_ROUNDS) };
    let rounds = arguments.rounds.unwrap_or(rounds);

    bench.say("starting Envoy");
    scene::serve_upstreams(&site, &bench.runtime)?;
    let proxy = Proxy::start(&site, chosen, bench.cores.proxy, &bench.client, &bench.interrupt)?;
    let mut report = Report::new(&modules, bench.cores, proxy.tag_regexes);
    for scene in Scene::ALL {
        let indices: Vec<usize> =
            chosen.iter().enumerate().filter(|(_, variant)| variant.scene == scene).map(|(index, _)| index).collect();
        if !indices.is_empty() {
            report.scenes.push(measure_scene(bench, &site, &proxy, chosen, scene, &indices, (timing, rounds))?);
        }
    }
    proxy.sidecar.check()?;
    drop(proxy);

    print!("\n{}", report::text(&report));
    let json = arguments.json.clone().unwrap_or_else(report::default_path);
    report::write_json(&report, &json)?;
    println!("\nAll of it as JSON: {}", json.display());
    Ok(())
}

fn measure_scene(
    bench: &Bench,
    site: &Site,
    proxy: &Proxy,
    chosen: &[Variant],
    scene: Scene,
    indices: &[usize],
    (timing, rounds): (Timing, usize),
) -> Result<SceneReport> {
    bench.say(&format!("{}: seeing that each variant does its work", scene.name()));
    let mut variants = Vec::new();
    let mut loads = Vec::new();
    let mut counted: Vec<(Proof, Series)> = Vec::new();
    for index in indices {
        bench.interrupt.check()?;
        let variant = chosen.get(*index).context("no such variant")?;
        let mut load =
            Load::connect(&bench.runtime, scene.target(site, *index)?, CONNECTIONS).with_context(|| variant.id())?;
        let series = proof::prove(variant, &mut load, proxy).with_context(|| variant.id())?;
        counted.extend(series.map(|series| (variant.proof, series)));
        variants.push(*variant);
        loads.push(load);
    }
    for (proof, series) in &counted {
        proof::prove_histograms(proxy, *proof, series, 1)?;
    }
    bench.say(&format!("{}: {rounds} rounds of {} variants", scene.name(), variants.len()));
    let rounds = Rounds::measure(&mut loads, &proxy.worker, timing, rounds, &bench.interrupt)
        .with_context(|| scene.name().to_owned())?;
    Ok(SceneReport { scene, variants, rounds })
}
