//! What cAdvisor tells of containers in a cluster, told of the mesh's Envoys: CPU time and memory, under its names.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use hyper::StatusCode;
use tokio::runtime::Handle;

use crate::server::{answer, Server};
use crate::sidecar::Sidecar;
use crate::topology::Topology;

/// Clock ticks per second in `/proc`: the same on all of Linux.
const TICKS: f64 = 100.0;
/// Pages in `/proc` have this many bytes on the machines that Envoy is built for, but for some of Arm.
const PAGE: u64 = 4096;

/// The Envoy of a pod.
struct Container {
    labels: String,
    pid: u32,
}

/// Where it is for the mesh of a topology; Prometheus scrapes it there.
pub fn address(topology: &Topology) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(127, topology.network(), 0, 100), 8080))
}

/// Starts it; it ends when dropped. Whatever is asked, the answer is all samples.
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

/// What a process has used.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Time of all processors, in seconds.
    pub cpu: f64,
    /// Resident memory, in bytes.
    pub memory: u64,
}

/// None if the process has ended.
pub fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program is in parentheses, and may hold any.
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
