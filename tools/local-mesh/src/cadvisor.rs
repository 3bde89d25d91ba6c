//! cAdvisor's container metrics for the Envoys of the mesh: CPU time and memory, with cAdvisor's names.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use hyper::StatusCode;
use tokio::runtime::Handle;

use crate::server::{answer, Server};
use crate::sidecar::Sidecar;
use crate::topology::Topology;

/// Clock ticks per second in `/proc`: the same on all Linux systems.
const TICKS: f64 = 100.0;
/// Page size in `/proc` on the machines that Envoy is built for, except some Arm machines.
const PAGE: u64 = 4096;

/// The Envoy of a pod.
struct Container {
    labels: String,
    pid: u32,
}

/// Address of the exporter for a topology's mesh. Prometheus scrapes it there.
pub fn address(topology: &Topology) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(127, topology.network(), 0, 100), 8080))
}

/// Starts the exporter; it ends when dropped. It answers every request with all samples.
pub fn start(topology: &Topology, sidecars: &[Sidecar], runtime: &Handle) -> Result<Server> {
    let containers: Vec<Container> = sidecars.iter().filter_map(|sidecar| container(topology, sidecar)).collect();
    Server::start(address(topology), runtime, move |_| {
        let samples: String = containers.iter().filter_map(samples).collect();
        async { answer(StatusCode::OK, "text/plain; version=0.0.4", samples) }
    })
}

fn container(topology: &Topology, sidecar: &Sidecar) -> Option<Container> {
    let workload = topology.workload(sidecar.name())?;
    let (pod, namespace) = (workload.pod(), &workload.namespace);
    let labels = format!("container=\"istio-proxy\",namespace=\"{namespace}\",pod=\"{pod}\"");
    Some(Container { labels, pid: sidecar.pid() })
}

/// Resources that a process has used.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// CPU time on all processors, in seconds.
    pub cpu: f64,
    /// Resident memory, in bytes.
    pub memory: u64,
}

/// `None` if the process has ended.
pub fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name is in parentheses, and may contain any characters.
    let fields: Vec<u64> =
        stat.rsplit_once(") ")?.1.split(' ').map(|field| field.trim().parse().unwrap_or(0)).collect();
    let (user, system, pages) = (fields.get(11)?, fields.get(12)?, fields.get(21)?);
    Some(Usage { cpu: (user + system) as f64 / TICKS, memory: pages * PAGE })
}

fn samples(Container { labels, pid }: &Container) -> Option<String> {
    let Usage { cpu, memory } = usage(*pid)?;
    Some(format!(
        "container_cpu_usage_seconds_total{{{labels}}} {cpu}\ncontainer_memory_working_set_bytes{{{labels}}} {memory}\n"
    ))
}
