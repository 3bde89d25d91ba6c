//! The applications: a real server per workload, which calls others through its own sidecar as a bookinfo service does.

mod database;
mod http;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

pub use database::ask;

use crate::config::port;
use crate::server;
use crate::topology::{Fail, Protocol, Service, Slow, Topology, Workload};

/// A running application; it ends when dropped.
#[derive(Debug)]
pub struct Application {
    served: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

/// What one application is, and where it sends.
#[derive(Debug)]
struct Role {
    name: String,
    latency: std::time::Duration,
    slow: Option<Slow>,
    fail: Option<Fail>,
    callees: Vec<Callee>,
    served: Arc<AtomicU64>,
}

/// A service, as an application reaches it.
#[derive(Debug)]
struct Callee {
    service: String,
    host: String,
    address: SocketAddr,
    kind: CalleeKind,
}

#[derive(Debug)]
enum CalleeKind {
    Http,
    Tcp(database::Pool),
}

impl Application {
    /// Starts the application of `workload`; None if it has none.
    pub fn start(topology: &Topology, workload: &Workload, runtime: &Handle) -> Result<Option<Self>> {
        let Some(service) = topology.services_of(workload).next().filter(|_| workload.serve) else { return Ok(None) };
        let address = SocketAddr::new(IpAddr::V4(workload.address), service.port);
        let listener = server::listen(address, runtime)
            .with_context(|| format!("the application of {} cannot listen on {address}", workload.name))?;
        let served = Arc::new(AtomicU64::new(0));
        let role = Arc::new(Role {
            name: workload.name.clone(),
            latency: workload.latency,
            slow: workload.slow.clone(),
            fail: workload.fail.clone(),
            callees: topology.callees(workload).map(|callee| Callee::new(topology, workload, callee)).collect(),
            served: Arc::clone(&served),
        });
        let task = match service.protocol {
            Protocol::Tcp => runtime.spawn(database::serve(listener, role)),
            Protocol::Http | Protocol::Grpc => runtime.spawn(http::serve(listener, role)),
        };
        Ok(Some(Self { served, task }))
    }

    /// How many requests (or lines) it has answered.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Role {
    /// The number of the next request, from 1.
    fn next(&self) -> u64 {
        self.served.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How long request number `n` takes.
    fn delay(&self, n: u64) -> std::time::Duration {
        match &self.slow {
            Some(slow) if n.is_multiple_of(slow.every) => self.latency + slow.by,
            _ => self.latency,
        }
    }

    /// The status with which request number `n` fails.
    fn failure(&self, n: u64) -> Option<u16> {
        let fail = self.fail.as_ref()?;
        (n >= fail.every && n % fail.every < fail.times).then_some(fail.status)
    }
}

impl Callee {
    fn new(topology: &Topology, caller: &Workload, service: &Service) -> Self {
        Self {
            service: service.name.clone(),
            host: format!("{}:{}", service.name, service.port),
            address: Self::address(topology, caller, service),
            kind: if service.is_http() { CalleeKind::Http } else { CalleeKind::Tcp(database::Pool::default()) },
        }
    }

    /// The own sidecar; without one, the first pod of the service.
    fn address(topology: &Topology, caller: &Workload, service: &Service) -> SocketAddr {
        if caller.sidecar {
            let port = if service.is_http() { port::OUTBOUND } else { service.port };
            return SocketAddr::new(IpAddr::V4(caller.address), port);
        }
        let member = topology.members(service).next();
        let port = if member.is_some_and(|m| m.sidecar) { port::INBOUND } else { service.port };
        SocketAddr::new(IpAddr::V4(member.map_or(caller.address, |m| m.address)), port)
    }
}
