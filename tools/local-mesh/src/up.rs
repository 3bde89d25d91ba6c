//! The mesh as a person runs it, from the first step to the verdict.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::config::{port, Tracing};
use crate::interrupt::Interrupt;
use crate::mesh::Mesh;
use crate::options::{Network, Options};
use crate::page;
use crate::rule_file::RuleFile;
use crate::server::Server;
use crate::sidecar::Sidecar;
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

/// What was asked on the command line.
#[derive(Debug)]
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
    /// Told each step that begins.
    pub progress: fn(&str),
    /// Told what whoever runs the mesh should know, such as that rules are refused.
    pub note: fn(&str),
}

/// How a run ended.
#[derive(Debug)]
pub enum Ending {
    /// A signal came before there was a result.
    Interrupted,
    /// A signal ended a mesh that was to stay.
    Stopped,
    /// The time of traffic is over.
    Judged(Verdict),
}

/// What a time of traffic has shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Requests that were sent to the gateway.
    pub requests: u64,
    /// Those of them that got no answer.
    pub unanswered: u64,
    /// False where no filter has the standard metrics, so that only Envoy's own counters were looked at.
    pub standard_metrics: bool,
    /// Who called whom, by the standard metrics.
    pub edges: Vec<table::Edge>,
    /// What the telemetry lacks.
    pub missing: Vec<Missing>,
}

/// Runs the mesh to its end. Addresses and tables go to `out`.
pub fn up(arguments: &Arguments, out: &mut dyn Write) -> Result<Ending> {
    let signals = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_io().build()?;
    let interrupt = Interrupt::on_signals(signals.handle())?;
    let topology = match &arguments.topology {
        Some(path) => Topology::load(path)?,
        None => Topology::bookinfo()?,
    };
    let rules = [(attach::FAULT, &arguments.faults), (attach::SHADOW, &arguments.shadows)];
    let asked_for: Vec<&str> = rules.iter().filter(|(_, file)| file.is_some()).map(|(kind, _)| *kind).collect();
    let options = Options {
        filters: match &arguments.filters {
            Some(filters) => filters.clone(),
            None => attach::shipped(&tools::shipped_filters()?, &asked_for)?,
        },
        every_patch_must_match: arguments.topology.is_none() && arguments.filters.is_none(),
        network: Network::AsWritten,
        envoy_version: arguments.envoy_version.clone(),
        tracing: arguments.tracing.clone(),
        prometheus: true,
        drain: DRAIN,
        interrupt: interrupt.clone(),
        progress: arguments.progress,
        ..Options::default()
    };
    let mesh = match Mesh::start(topology, options) {
        Err(_) if interrupt.is_set() => return Ok(Ending::Interrupted),
        started => started?,
    };
    mesh.sidecars().iter().try_for_each(Sidecar::check_plugins)?;
    let page = page::of_mesh(&mesh)?;
    (arguments.progress)("the mesh is up");
    write_addresses(&mesh, &page, &arguments.tracing, out)?;
    let files = [(&faults::RULES, &arguments.faults), (&shadows::RULES, &arguments.shadows)];
    let files = files.into_iter().filter_map(|(kind, path)| Some(RuleFile::new(kind, path.as_deref()?)));
    let mut rules = Rules { files: files.collect(), note: arguments.note };
    rules.follow(&mesh)?;
    let run = Run { mesh: &mesh, arguments, interrupt: &interrupt };
    match arguments.duration {
        Some(duration) => run.timed(duration, &mut rules, out),
        None => run.staying(&mut rules, out),
    }
}

/// A mesh that is up.
struct Run<'a> {
    mesh: &'a Mesh,
    arguments: &'a Arguments,
    interrupt: &'a Interrupt,
}

impl Run<'_> {
    /// Traffic for a while, then the table and the verdict.
    fn timed(&self, duration: Duration, rules: &mut Rules, out: &mut dyn Write) -> Result<Ending> {
        let (mesh, step) = (self.mesh, self.arguments.progress);
        step(&format!("sending traffic for {duration:?}"));
        let sending = Sending::start(mesh, duration)?;
        while !sending.is_done() {
            mesh.check()?;
            if self.interrupt.is_set() {
                return Ok(Ending::Interrupted);
            }
            rules.follow(mesh)?;
            self.interrupt.sleep(Duration::from_millis(200));
        }
        let (requests, unanswered) = (sending.sent(), sending.failed());
        step(&format!("{requests} requests sent, {unanswered} without an answer; waiting for the last scrape"));
        mesh.prometheus()?.settle(self.interrupt);
        mesh.check()?;
        show(mesh, out)?;
        let standard_metrics = self.has_standard_metrics()?;
        let missing = if standard_metrics { self.judge()? } else { plain::missing(mesh)? };
        let edges = table::edges(mesh.prometheus()?)?;
        Ok(Ending::Judged(Verdict { requests, unanswered, standard_metrics, edges, missing }))
    }

    /// Traffic and a table now and then, until Ctrl-C.
    fn staying(&self, rules: &mut Rules, out: &mut dyn Write) -> Result<Ending> {
        let (mesh, step) = (self.mesh, self.arguments.progress);
        step(&format!("sending traffic for {} minutes; Ctrl-C ends the mesh", LONGEST_TRAFFIC.as_secs() / 60));
        let sending = Sending::start(mesh, LONGEST_TRAFFIC)?;
        let mut shown = Instant::now();
        let mut quiet = false;
        while !self.interrupt.is_set() {
            mesh.check()?;
            rules.follow(mesh)?;
            if !quiet && shown.elapsed() >= REFRESH {
                quiet = sending.is_done();
                shown = Instant::now();
                show(mesh, out)?;
                if quiet {
                    (self.arguments.note)("traffic has ended, the mesh stays; Ctrl-C ends it");
                }
            }
            self.interrupt.sleep(Duration::from_millis(200));
        }
        step("ending");
        Ok(Ending::Stopped)
    }

    /// Filters of the operator's choice need not have the standard metrics.
    fn has_standard_metrics(&self) -> Result<bool> {
        let chosen = self.arguments.filters.is_some();
        let lacks = || Ok::<_, anyhow::Error>(self.mesh.prometheus()?.query("istio_requests_total")?.is_empty());
        Ok(!(self.mesh.is_plain() || chosen && lacks()?))
    }

    fn judge(&self) -> Result<Vec<Missing>> {
        let prometheus = self.mesh.prometheus()?;
        let requests = prometheus.query("istio_requests_total")?;
        let connections = prometheus.query("istio_tcp_connections_opened_total")?;
        let with_tcp = self.mesh.has_tcp_telemetry();
        let mut missing = verdict::missing(self.mesh.topology(), &requests, with_tcp.then_some(&connections));
        if !with_tcp {
            let note = "no filter for TCP is attached; TCP edges are judged by Envoy's own connection counters";
            (self.arguments.note)(note);
            missing.extend(plain::missing_tcp(self.mesh)?);
        }
        Ok(missing)
    }
}

/// The files of rules that the mesh follows.
struct Rules {
    files: Vec<RuleFile>,
    note: fn(&str),
}

impl Rules {
    /// Pushes the rules of each file to the mesh, if they have changed.
    fn follow(&mut self, mesh: &Mesh) -> Result<()> {
        for index in 0..self.files.len() {
            let others = self.files.iter().enumerate().filter(|(other, _)| *other != index);
            let others: Vec<_> = others.flat_map(|(_, file)| file.plugins()).collect();
            let said = self.files.get_mut(index).map(|file| file.poll_beside(mesh, &others)).transpose()?;
            if let Some(said) = said.flatten() {
                (self.note)(&said);
            }
        }
        Ok(())
    }
}

fn show(mesh: &Mesh, out: &mut dyn Write) -> Result<()> {
    let prometheus = mesh.prometheus()?;
    let mut text = match table::render(prometheus).context("cannot ask Prometheus")? {
        Some(text) if mesh.has_tcp_telemetry() => format!("\n{text}\n"),
        Some(text) => {
            let counters = plain::render(mesh, true)?;
            format!("\n{text}\nWithout a filter for TCP, by Envoy's own counters:\n{counters}\n")
        }
        None => format!(
            "\nNo istio_requests_total: nothing attached counts as Istio does. What Envoy itself counted:\n\n{}\n",
            plain::render(mesh, false)?
        ),
    };
    let shown = [
        ("Faults so far:\n", Some(faults::render(prometheus)?).filter(|lines| !lines.is_empty())),
        ("Mirrors so far:\n", Some(shadows::render(prometheus)?).filter(|lines| !lines.is_empty())),
        ("The last lines of the access logs, shortened; the files have all of them:\n\n", log_lines::render(mesh)),
        ("Metrics of your own, of all proxies together:\n\n", own_metrics::render(prometheus)?),
    ];
    for (title, lines) in shown {
        if let Some(lines) = lines {
            text.push_str(&format!("{title}{lines}\n"));
        }
    }
    write(out, &text)
}

fn write_addresses(mesh: &Mesh, page: &Server, tracing: &Tracing, out: &mut dyn Write) -> Result<()> {
    let mut text = format!("\n  {:<22} http://{}\n", "the live picture", page.address());
    let mut line = |name: &str, what: String| text.push_str(&format!("  {name:<22} {what}\n"));
    line("Prometheus", mesh.prometheus()?.url());
    if let Tracing::Collector(host, port) = tracing {
        line("the trace collector", format!("http://{host}:{port} gets the spans"));
    }
    if let Some(traffic) = &mesh.topology().traffic {
        line("the gateway", format!("http://{}/productpage", mesh.gateway(&traffic.gateway)?));
    }
    for sidecar in mesh.sidecars() {
        line(sidecar.name(), format!("http://{}", sidecar.address(port::ADMIN)));
    }
    text.push('\n');
    write(out, &text)
}

fn write(out: &mut dyn Write, text: &str) -> Result<()> {
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output cannot be written")
}
