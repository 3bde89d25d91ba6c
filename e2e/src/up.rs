//! The command `mesh up`, from first step to verdict.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::config::port;
use crate::faults::RuleFile;
use crate::interrupt::Interrupt;
use crate::mesh::Mesh;
use crate::options::{Network, Options};
use crate::topology::Topology;
use crate::traffic::Sending;
use crate::verdict::Missing;
use crate::{faults, plain, table, tools, verdict};

/// Traffic of a mesh that stays ends after this; the mesh stays.
const LONGEST_TRAFFIC: Duration = Duration::from_secs(600);

/// Rules of faults change under way; requests that wait for as long as in Istio's tutorial, 7 s, shall see their end.
const DRAIN: u32 = 10;

/// How often the table is shown while the mesh stays.
const REFRESH: Duration = Duration::from_secs(10);

/// What was asked on the command line.
#[derive(Debug, Default)]
pub struct Arguments {
    /// How long traffic is sent before the verdict; None to stay.
    pub duration: Option<Duration>,
    /// Instead of bookinfo.
    pub topology: Option<PathBuf>,
    /// Instead of `envoy/`.
    pub filters: Option<Vec<PathBuf>>,
    /// Rules of fault injection.
    pub faults: Option<PathBuf>,
    /// Instead of the default.
    pub envoy_version: Option<String>,
}

/// Runs the mesh to its end; the exit status says whether telemetry was complete.
pub fn up(arguments: &Arguments) -> Result<ExitCode> {
    let signals = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_io().build()?;
    let interrupt = Interrupt::on_signals(signals.handle())?;
    let topology = match &arguments.topology {
        Some(path) => Topology::load(path)?,
        None => Topology::bookinfo()?,
    };
    let options = Options {
        filters: arguments.filters.clone().unwrap_or_else(|| vec![tools::filters()]),
        every_patch_must_match: arguments.topology.is_none(),
        network: Network::AsWritten,
        envoy_version: arguments.envoy_version.clone(),
        prometheus: true,
        drain: DRAIN,
        interrupt: interrupt.clone(),
        progress: step,
        ..Options::default()
    };
    let mesh = match Mesh::start(topology, options) {
        Err(_) if interrupt.is_set() => {
            step("interrupted; everything has ended");
            return Ok(ExitCode::from(130));
        }
        started => started?,
    };
    step("the mesh is up");
    print_urls(&mesh)?;
    let mut faults = arguments.faults.as_deref().map(RuleFile::new);
    follow(&mut faults, &mesh)?;
    match arguments.duration {
        Some(duration) => timed(&mesh, duration, &mut faults, &interrupt),
        None => staying(&mesh, &mut faults, &interrupt),
    }
}

/// Traffic for a while, then the table and the verdict.
fn timed(mesh: &Mesh, duration: Duration, faults: &mut Option<RuleFile>, interrupt: &Interrupt) -> Result<ExitCode> {
    step(&format!("sending traffic for {duration:?}"));
    let sending = Sending::start(mesh, duration)?;
    while !sending.is_done() {
        mesh.check()?;
        if interrupt.is_set() {
            step("interrupted before the end");
            return Ok(ExitCode::from(130));
        }
        follow(faults, mesh)?;
        interrupt.sleep(Duration::from_millis(200));
    }
    step(&format!(
        "{} requests sent, {} without an answer; waiting for the last scrape",
        sending.sent(),
        sending.failed()
    ));
    mesh.prometheus()?.settle(interrupt);
    mesh.check()?;
    show(mesh)?;
    let (missing, praise) = match mesh.is_plain() {
        true => (plain::missing(mesh)?, "every edge had traffic; without filters there is no more to say"),
        false => (judge(mesh)?, "every edge was seen by both reporters, with nothing unknown"),
    };
    if missing.is_empty() {
        step(praise);
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("mesh: the telemetry is not complete:");
    let mut last = "";
    for item in &missing {
        if item.edge != last {
            eprintln!("  {}", item.edge);
        }
        last = &item.edge;
        eprintln!("      {}", item.what);
    }
    Ok(ExitCode::FAILURE)
}

/// Traffic and a table now and then, until Ctrl-C.
fn staying(mesh: &Mesh, faults: &mut Option<RuleFile>, interrupt: &Interrupt) -> Result<ExitCode> {
    step(&format!("sending traffic for {} minutes; Ctrl-C ends the mesh", LONGEST_TRAFFIC.as_secs() / 60));
    let sending = Sending::start(mesh, LONGEST_TRAFFIC)?;
    let mut shown = Instant::now();
    let mut quiet = false;
    while !interrupt.is_set() {
        mesh.check()?;
        follow(faults, mesh)?;
        if !quiet && shown.elapsed() >= REFRESH {
            quiet = sending.is_done();
            shown = Instant::now();
            show(mesh)?;
            if quiet {
                step("traffic has ended, the mesh stays; Ctrl-C ends it");
            }
        }
        interrupt.sleep(Duration::from_millis(200));
    }
    step("ending");
    Ok(ExitCode::SUCCESS)
}

/// Gives the mesh the rules of the file, if they have changed.
fn follow(faults: &mut Option<RuleFile>, mesh: &Mesh) -> Result<()> {
    if let Some(said) = faults.as_mut().map(|faults| faults.poll(mesh)).transpose()?.flatten() {
        step(&said);
    }
    Ok(())
}

fn show(mesh: &Mesh) -> Result<()> {
    let telemetry = table::render(mesh.prometheus()?).context("cannot ask Prometheus")?;
    match telemetry {
        Some(text) if mesh.has_tcp_telemetry() => println!("\n{text}"),
        Some(text) => {
            println!("\n{text}\nWithout a filter for TCP, by Envoy's own counters:\n{}", plain::render(mesh, true)?)
        }
        None => println!(
            "\nNo istio_* metrics: no stats filter is attached. What Envoy itself counted:\n\n{}",
            plain::render(mesh, false)?
        ),
    }
    match faults::render(mesh.prometheus()?)?.as_str() {
        "" => {}
        text => println!("Faults so far:\n{text}"),
    }
    Ok(())
}

fn judge(mesh: &Mesh) -> Result<Vec<Missing>> {
    let prometheus = mesh.prometheus()?;
    let requests = prometheus.query("istio_requests_total")?;
    let connections = prometheus.query("istio_tcp_connections_opened_total")?;
    let with_tcp = mesh.has_tcp_telemetry();
    let mut missing = verdict::missing(mesh.topology(), &requests, with_tcp.then_some(&connections));
    if !with_tcp {
        step("no filter for TCP is attached; TCP edges are judged by Envoy's own connection counters");
        missing.extend(plain::missing_tcp(mesh)?);
    }
    Ok(missing)
}

fn print_urls(mesh: &Mesh) -> Result<()> {
    println!("\n  {:<22} {}", "Prometheus", mesh.prometheus()?.url());
    if let Some(traffic) = &mesh.topology().traffic {
        println!("  {:<22} http://{}/productpage", "the gateway", mesh.gateway(&traffic.gateway)?);
    }
    for sidecar in mesh.sidecars() {
        println!("  {:<22} http://{}", sidecar.name(), sidecar.address(port::ADMIN));
    }
    println!();
    Ok(())
}

/// A step of progress with the time since the first.
fn step(what: &str) {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let begin = BEGIN.get_or_init(Instant::now);
    println!("[{:5.1} s] {what}", begin.elapsed().as_secs_f64());
}
