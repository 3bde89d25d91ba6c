//! `mesh render`, `mesh app` and `mesh traffic`.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};
use tokio::runtime::Runtime;

use super::render;
use crate::application::{ask, Application};
use crate::attach::shipped;
use crate::client::{Client, Request};
use crate::config::Tracing;
use crate::interrupt::Interrupt;
use crate::options::Options;
use crate::tools;
use crate::topology::{Protocol, Topology};
use crate::traffic::Sending;
use crate::wait::wait_until;

/// Time limit of an application's health check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Time limit for resolving the gateway's name.
const NAME_TIMEOUT: Duration = Duration::from_secs(60);

/// How long to send traffic: practically forever, but without overflow of a clock.
const EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The command line's arguments.
#[derive(Default)]
struct Arguments {
    operand: Option<String>,
    topology: Option<PathBuf>,
    directory: Option<PathBuf>,
    filters: Vec<PathBuf>,
    modules: Option<PathBuf>,
    tracing: Tracing,
    check: bool,
}

/// Runs the command `part` with the rest of the command line.
pub fn run(part: &str, words: impl Iterator<Item = String>, usage: &str) -> Result<()> {
    let arguments = parse(part, words).with_context(|| usage.to_owned())?;
    let topology = match &arguments.topology {
        Some(path) => Topology::load(path)?,
        None => Topology::bookinfo()?,
    };
    match (part, arguments.operand.as_deref()) {
        ("render", None) => write(&topology, &arguments),
        ("app", Some(workload)) if arguments.check => check(&topology, workload),
        ("app", Some(workload)) => application(&topology, workload),
        ("traffic", Some(gateway)) => traffic(&topology, gateway),
        _ => bail!("mesh {part}: not called like that\n{usage}"),
    }
}

fn parse(part: &str, mut words: impl Iterator<Item = String>) -> Result<Arguments> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match (part, word.as_str()) {
            (_, "--topology") => arguments.topology = Some(value()?.into()),
            ("render", "--compose") => arguments.directory = Some(value()?.into()),
            ("render", "--filters") => arguments.filters.push(value()?.into()),
            ("render", "--modules") => arguments.modules = Some(value()?.into()),
            ("render", "--zipkin") => {
                let address = value()?;
                let collector = Tracing::to(&address);
                arguments.tracing = collector.with_context(|| format!("{word}: `{address}` is no host:port"))?;
            }
            ("app", "--check") => arguments.check = true,
            _ if arguments.operand.is_none() && !word.starts_with('-') => arguments.operand = Some(word),
            _ => bail!("{word} is unknown"),
        }
    }
    Ok(arguments)
}

fn write(topology: &Topology, arguments: &Arguments) -> Result<()> {
    let directory = arguments.directory.as_ref().context("mesh render: --compose DIRECTORY is missing")?;
    let mut filters = Vec::new();
    for path in if arguments.filters.is_empty() { vec![tools::filters()] } else { arguments.filters.clone() } {
        match path.is_dir() {
            true => filters.extend(shipped(&path, false)?),
            false => filters.push(path),
        }
    }
    let Arguments { modules, tracing, .. } = arguments;
    let options = Options { filters, modules: modules.clone(), tracing: tracing.clone(), ..Options::default() };
    render(topology, &options, directory)
}

fn application(topology: &Topology, workload: &str) -> Result<()> {
    let workload = topology.workload(workload).with_context(|| format!("there is no workload `{workload}`"))?;
    let runtime = runtime()?;
    let interrupt = Interrupt::on_signals(runtime.handle())?;
    let running = Application::start(topology, workload, runtime.handle())?;
    ensure!(running.is_some(), "{} has no application", workload.name);
    wait_for_end(&interrupt);
    Ok(())
}

/// Checks, from inside the same container, whether the application of a workload answers.
fn check(topology: &Topology, workload: &str) -> Result<()> {
    let found = topology.workload(workload).and_then(|w| Some((w, topology.services_of(w).next()?)));
    let (workload, service) = found.with_context(|| format!("there is no application of `{workload}`"))?;
    let address = SocketAddr::from((workload.address, service.port));
    if service.protocol == Protocol::Tcp {
        let mut stream = TcpStream::connect_timeout(&address, CHECK_TIMEOUT)?;
        stream.set_read_timeout(Some(CHECK_TIMEOUT))?;
        return ask(&mut stream);
    }
    let runtime = runtime()?;
    let request = Request::get(address, "/healthz").timeout(CHECK_TIMEOUT);
    let answer = Client::new(runtime.handle().clone()).send(&request)?;
    ensure!(answer.status == 200, "{address} answered {}", answer.status);
    Ok(())
}

fn traffic(topology: &Topology, gateway: &str) -> Result<()> {
    let traffic = topology.traffic.clone().context("the topology has no `traffic`")?;
    let runtime = runtime()?;
    let interrupt = Interrupt::on_signals(runtime.handle())?;
    let known = wait_until(NAME_TIMEOUT, || interrupt.is_set() || resolve(gateway).is_some());
    known.with_context(|| format!("{gateway} is no address that is known here"))?;
    let Some(address) = resolve(gateway) else { return Ok(()) };
    let _sending = Sending::to(address, traffic, EVER, &Client::new(runtime.handle().clone()));
    wait_for_end(&interrupt);
    Ok(())
}

fn resolve(gateway: &str) -> Option<SocketAddr> {
    gateway.to_socket_addrs().ok()?.next()
}

fn wait_for_end(interrupt: &Interrupt) {
    while !interrupt.is_set() {
        interrupt.sleep(Duration::from_secs(3600));
    }
}

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}
