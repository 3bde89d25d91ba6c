//! The applications: a real server for each workload. It calls other services through its own sidecar, like a bookinfo
//! service.

mod database;
mod http;
mod pool;
mod role;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

pub use pool::ask;

use self::role::{Callee, Role};
use crate::server;
use crate::topology::{Protocol, Topology, Workload};

/// A running application; it ends when dropped.
#[derive(Debug)]
pub struct Application {
    served: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Application {
    /// Starts the application of `workload`; `None` if it has none.
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

    /// Number of requests (or lines) answered so far.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.task.abort();
    }
}
