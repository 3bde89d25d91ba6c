//! The behavior of an application, and the services that it calls.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use super::pool::Pool;
use crate::config::port;
use crate::topology::{Fail, Service, Slow, Topology, Workload};

/// One application.
#[derive(Debug)]
pub(super) struct Role {
    pub name: String,
    pub latency: Duration,
    pub slow: Option<Slow>,
    pub fail: Option<Fail>,
    pub callees: Vec<Callee>,
    pub served: Arc<AtomicU64>,
}

/// A service, as reached from an application.
#[derive(Debug)]
pub(super) struct Callee {
    pub service: String,
    pub host: String,
    pub address: SocketAddr,
    pub kind: CalleeKind,
}

/// Its protocol.
#[derive(Debug)]
pub(super) enum CalleeKind {
    Http,
    Tcp(Pool),
}

impl Role {
    /// The number of the next request, from 1.
    pub fn next(&self) -> u64 {
        self.served.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Delay of request number `n`.
    pub fn delay(&self, n: u64) -> Duration {
        match &self.slow {
            Some(slow) if n.is_multiple_of(slow.every) => self.latency + slow.by,
            _ => self.latency,
        }
    }

    /// The error status of request number `n`, if it fails.
    pub fn failure(&self, n: u64) -> Option<u16> {
        let fail = self.fail.as_ref()?;
        (n >= fail.every && n % fail.every < fail.times).then_some(fail.status)
    }
}

impl Callee {
    /// The service, as reached from `caller`.
    pub fn new(topology: &Topology, caller: &Workload, service: &Service) -> Self {
        Self {
            service: service.name.clone(),
            host: format!("{}:{}", service.name, service.port),
            address: Self::address(topology, caller, service),
            kind: if service.is_http() { CalleeKind::Http } else { CalleeKind::Tcp(Pool::default()) },
        }
    }

    /// The caller's own sidecar; without a sidecar, the first pod of the service.
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
