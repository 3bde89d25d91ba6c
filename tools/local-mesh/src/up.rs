//! The command `mesh up`, from the first step to the verdict.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::config::{port, Tracing};
use crate::interrupt::Interrupt;
use crate::mesh::Mesh;
use crate::options::{Network, Options};
use crate::page;
use crate::rule_file::RuleFile;
use crate::server::Server;
use crate::topology::Topology;
use crate::traffic::Sending;
use crate::verdict::Missing;
use crate::{attach, faults, log_lines, own_metrics, plain, shadows, table, tools, verdict};

/// If the mesh stays, traffic ends after this time; the mesh continues.
const LONGEST_TRAFFIC: Duration = Duration::from_secs(600);

/// Seconds for which requests continue after a change of rules. Requests with a delay of 7 s, as in Istio's tutorial, must
/// be able to end.
const DRAIN: u32 = 10;

/// How often to show the table while the mesh stays.
const REFRESH: Duration = Duration::from_secs(10);

/// The command line's arguments.
#[derive(Debug, Default)]
pub struct Arguments {
    /// How long to send traffic before the verdict; `None` to stay.
    pub duration: Option<Duration>,
    /// Topology; default: bookinfo.
    pub topology: Option<PathBuf>,
    /// EnvoyFilters; default: `envoy/`.
    pub filters: Option<Vec<PathBuf>>,
    /// Rules of fault injection.
    pub faults: Option<PathBuf>,
    /// Rules of traffic shadowing.
    pub shadows: Option<PathBuf>,
    /// Version of Envoy, if not the default.
    pub envoy_version: Option<String>,
    /// Where to send spans.
    pub tracing: Tracing,
}

/// Runs the mesh to its end. The exit status tells whether telemetry was complete.
pub fn up(arguments: &Arguments) -> Result<ExitCode> {
    let signals = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_io().build()?;
    let interrupt = Interrupt::on_signals(signals.handle())?;
    let topology = match &arguments.topology {
        Some(path) => Topology::load(path)?,
        None => Topology::bookinfo()?,
    };
    let options = Options {
        filters: match &arguments.filters {
            Some(filters) => filters.clone(),
            None => attach::shipped(&tools::filters(), arguments.shadows.is_some())?,
        },
        every_patch_must_match: arguments.topology.is_none() && arguments.filters.is_none(),
        network: Network::AsWritten,
        envoy_version: arguments.envoy_version.clone(),
        tracing: arguments.tracing.clone(),
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
    let page = page::of_mesh(&mesh)?;
    step("the mesh is up");
    print_urls(&mesh, &page, &arguments.tracing)?;
    let files = [(&faults::RULES, &arguments.faults), (&shadows::RULES, &arguments.shadows)];
    let files = files.into_iter().filter_map(|(kind, path)| Some(RuleFile::new(kind, path.as_deref()?)));
    let mut rules = Rules(files.collect());
    rules.follow(&mesh)?;
    match arguments.duration {
        Some(duration) => timed(&mesh, duration, arguments.filters.is_some(), &mut rules, &interrupt),
        None => staying(&mesh, &mut rules, &interrupt),
    }
}

/// Sends traffic for a while, then shows the table and the verdict. `chosen`: the filters are not our own.
fn timed(mesh: &Mesh, duration: Duration, chosen: bool, rules: &mut Rules, interrupt: &Interrupt) -> Result<ExitCode> {
    step(&format!("sending traffic for {duration:?}"));
    let sending = Sending::start(mesh, duration)?;
    while !sending.is_done() {
        mesh.check()?;
        if interrupt.is_set() {
            step("interrupted before the end");
            return Ok(ExitCode::from(130));
        }
        rules.follow(mesh)?;
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
    // Filters chosen by the operator may not have the standard metrics.
    let is_plain = mesh.is_plain() || chosen && mesh.prometheus()?.query("istio_requests_total")?.is_empty();
    let (missing, praise) = match is_plain {
        true => (plain::missing(mesh)?, "every edge had traffic; without the standard metrics there is no more to say"),
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

/// Sends traffic and shows the table at intervals, until Ctrl-C.
fn staying(mesh: &Mesh, rules: &mut Rules, interrupt: &Interrupt) -> Result<ExitCode> {
    step(&format!("sending traffic for {} minutes; Ctrl-C ends the mesh", LONGEST_TRAFFIC.as_secs() / 60));
    let sending = Sending::start(mesh, LONGEST_TRAFFIC)?;
    let mut shown = Instant::now();
    let mut quiet = false;
    while !interrupt.is_set() {
        mesh.check()?;
        rules.follow(mesh)?;
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

/// The rule files that the mesh follows.
struct Rules(Vec<RuleFile>);

impl Rules {
    /// Pushes the rules of each file to the mesh, if they have changed.
    fn follow(&mut self, mesh: &Mesh) -> Result<()> {
        for index in 0..self.0.len() {
            let others = self.0.iter().enumerate().filter(|(other, _)| *other != index);
            let others: Vec<_> = others.flat_map(|(_, file)| file.plugins()).collect();
            let said = self.0.get_mut(index).map(|file| file.poll_beside(mesh, &others)).transpose()?;
            if let Some(said) = said.flatten() {
                step(&said);
            }
        }
        Ok(())
    }
}

fn show(mesh: &Mesh) -> Result<()> {
    let telemetry = table::render(mesh.prometheus()?).context("cannot ask Prometheus")?;
    match telemetry {
        Some(text) if mesh.has_tcp_telemetry() => println!("\n{text}"),
        Some(text) => {
            println!("\n{text}\nWithout a filter for TCP, by Envoy's own counters:\n{}", plain::render(mesh, true)?)
        }
        None => println!(
            "\nNo istio_requests_total: nothing attached counts as Istio does. What Envoy itself counted:\n\n{}",
            plain::render(mesh, false)?
        ),
    }
    match faults::render(mesh.prometheus()?)?.as_str() {
        "" => {}
        text => println!("Faults so far:\n{text}"),
    }
    match shadows::render(mesh.prometheus()?)?.as_str() {
        "" => {}
        text => println!("Mirrors so far:\n{text}"),
    }
    if let Some(lines) = log_lines::render(mesh) {
        println!("The last lines of the access logs, shortened; the files have all of them:\n\n{lines}");
    }
    if let Some(text) = own_metrics::render(mesh.prometheus()?)? {
        println!("Metrics of your own, of all proxies together:\n\n{text}");
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

fn print_urls(mesh: &Mesh, page: &Server, tracing: &Tracing) -> Result<()> {
    println!("\n  {:<22} http://{}", "the live picture", page.address());
    println!("  {:<22} {}", "Prometheus", mesh.prometheus()?.url());
    if let Tracing::Collector(host, port) = tracing {
        println!("  {:<22} http://{host}:{port} gets the spans", "the trace collector");
    }
    if let Some(traffic) = &mesh.topology().traffic {
        println!("  {:<22} http://{}/productpage", "the gateway", mesh.gateway(&traffic.gateway)?);
    }
    for sidecar in mesh.sidecars() {
        println!("  {:<22} http://{}", sidecar.name(), sidecar.address(port::ADMIN));
    }
    println!();
    Ok(())
}

/// Prints a step, with the time since the first step.
fn step(what: &str) {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let begin = BEGIN.get_or_init(Instant::now);
    println!("[{:5.1} s] {what}", begin.elapsed().as_secs_f64());
}
