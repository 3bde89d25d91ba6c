//! What runs in the containers beside Envoy: the application of a workload, its health check, and the traffic.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use tokio::runtime::Runtime;

use crate::application::{ask, Application};
use crate::client::{Client, Request};
use crate::interrupt::Interrupt;
use crate::topology::{Protocol, Topology};
use crate::traffic::Sending;
use crate::wait::wait_until;

/// How long an application may take to say that it is well.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the gateway's name may take to be known.
const NAME_TIMEOUT: Duration = Duration::from_secs(60);

/// How long traffic is sent: for ever, but no clock overflows.
const EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Runs the application of a workload until Ctrl-C or SIGTERM.
pub fn application(topology: &Topology, workload: &str) -> Result<()> {
    let workload = topology.workload(workload).with_context(|| format!("there is no workload `{workload}`"))?;
    let runtime = runtime()?;
    let interrupt = Interrupt::on_signals(runtime.handle())?;
    let running = Application::start(topology, workload, runtime.handle())?;
    ensure!(running.is_some(), "{} has no application", workload.name);
    wait_for_end(&interrupt);
    Ok(())
}

/// Asks the application of a workload, from the same container, whether it answers.
pub fn check_application(topology: &Topology, workload: &str) -> Result<()> {
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

/// Sends the topology's traffic to a gateway, `host:port`, until Ctrl-C or SIGTERM.
pub fn traffic(topology: &Topology, gateway: &str) -> Result<()> {
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
