//! A run from first to last.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use local_mesh::client::Client;
use local_mesh::directory::RunDirectory;
use local_mesh::interrupt::Interrupt;
use local_mesh::tools;

use crate::bench::Bench;
use crate::bootstrap;
use crate::choice;
use crate::load::Load;
use crate::machine::{self, Cores};
use crate::options::Arguments;
use crate::proof;
use crate::proxy::{self, Proxy};
use crate::report::{Report, SceneReport};
use crate::rounds::{Rounds, Timing};
use crate::scene::Scene;
use crate::site::Site;
use crate::variants::{self, Variant};
use crate::{idle, json, latency, many, series, table, upstream};

/// Connections per variant: so many that the worker finds several requests whenever it looks.
const CONNECTIONS: usize = 32;

/// What a machine does slowly is the same in neighbouring looks if these are short, and there are many of them.
const FULL: Timing = Timing {
    warm_up: Duration::from_millis(30),
    window: Duration::from_millis(120),
    first: Duration::from_millis(1000),
};
const FULL_ROUNDS: usize = 30;

const SHORT: Timing = Timing { first: Duration::from_millis(500), ..FULL };
const SHORT_ROUNDS: usize = 12;

/// Does all that was asked for.
pub fn bench(arguments: &Arguments) -> Result<ExitCode> {
    let chosen = choice::choose(&arguments.variants, arguments.short)?;
    let modules = arguments.modules.clone().unwrap_or_else(tools::dist);
    let cores = Cores::choose()?;
    // Before anything is started, so that all threads stay off the proxy's core.
    machine::pin(std::process::id(), &[cores.load])?;
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
    let mut report = Report::new(&modules, bench.cores);
    upstream::serve_all(&site, &bench.runtime)?;
    if !chosen.is_empty() {
        measure_cpu(bench, &site, chosen, (timing, rounds), &mut report)?;
    }
    if arguments.wants(variants::NEW_LABELS) {
        bench.say("new labels");
        report.new_labels = series::measure(bench, &site)?;
    }
    if arguments.wants(variants::SERIES) {
        bench.say("10,000 series");
        report.many = many::measure(bench, &site)?;
    }
    let quick = arguments.short && arguments.variants.is_empty();
    if quick || arguments.wants(variants::IDLE) {
        bench.say("memory and time to start");
        report.idle = idle::measure(bench, &site, arguments.short)?;
    }
    if arguments.wants(variants::LATENCY) {
        bench.say("latency");
        report.latency = Some(latency::measure(bench, &site)?);
    }
    bench.say("done");

    print!("\n{}", table::text(&report));
    let path = arguments.json.clone().unwrap_or_else(json::default_path);
    json::write(&report, &path)?;
    println!("\nAll of it as JSON: {}", path.display());
    Ok(())
}

fn measure_cpu(
    bench: &Bench,
    site: &Site,
    chosen: &[Variant],
    settings: (Timing, usize),
    report: &mut Report,
) -> Result<()> {
    bench.say("starting Envoy");
    let config = proxy::configuration(site, chosen, bootstrap::OURS)?;
    let proxy = Proxy::start(bench, site, &config)?;
    for scene in Scene::ALL {
        let indices: Vec<usize> =
            chosen.iter().enumerate().filter(|(_, variant)| variant.scene == scene).map(|(index, _)| index).collect();
        if !indices.is_empty() {
            report.scenes.push(measure_scene(bench, site, &proxy, chosen, scene, &indices, settings)?);
        }
    }
    proxy.sidecar.check()
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
    let mut counted = Vec::new();
    for index in indices {
        bench.interrupt.check()?;
        let variant = chosen.get(*index).context("no such variant")?;
        let target = scene.target(site, *index)?;
        let mut load = Load::connect(&bench.runtime, target, CONNECTIONS).with_context(|| variant.id())?;
        counted.push(proof::prove(variant, &mut load, proxy).with_context(|| variant.id())?);
        variants.push(*variant);
        loads.push(load);
    }
    for (variant, series) in variants.iter().zip(&counted) {
        if let Some(series) = series {
            proof::prove_histograms(proxy, variant.proof, series).with_context(|| variant.id())?;
        }
    }
    bench.say(&format!("{}: {rounds} rounds of {} variants", scene.name(), variants.len()));
    let rounds = Rounds::measure(&mut loads, &proxy.worker, timing, rounds, &bench.interrupt)
        .with_context(|| scene.name().to_owned())?;
    let sent = variants.iter().zip(&loads).zip(counted);
    let sent: Vec<_> =
        sent.filter_map(|((variant, load), series)| Some((variant.proof, series?, load.answered()))).collect();
    proof::prove_counts(proxy, &sent)?;
    Ok(SceneReport { scene, variants, rounds })
}
