//! The network of the node and of its pods: every pod has a namespace and one cable to the node, which routes between them as
//! nodes do. What a service's address stands for is kube-proxy's matter.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{ensure, Context, Result};

use crate::command::run;

/// The node, and with it the control plane.
pub const NODE: Ipv4Addr = Ipv4Addr::new(10, 250, 0, 1);

/// The node's name.
pub const NODE_NAME: &str = "node";

/// All pods, and the node.
pub const PODS: &str = "10.250.0.0/16";

/// All services.
pub const SERVICES: &str = "10.96.0.0/16";

/// The API server, as a service.
pub const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// Makes this network the node's.
pub fn prepare() -> Result<()> {
    ip("link set lo up")?;
    ip(&format!("address add {NODE}/32 dev lo"))?;
    // Addresses of services must have a route, or nothing would be asked where they lead.
    ip(&format!("route add {SERVICES} dev lo src {NODE}"))?;
    let forward = "/proc/sys/net/ipv4/ip_forward";
    std::fs::write(forward, "1").with_context(|| format!("cannot write {forward}"))
}

/// A pod's network; it is gone when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    address: Ipv4Addr,
}

impl Namespace {
    /// The pod with a number, from 2.
    pub fn create(number: u16) -> Result<Self> {
        let [high, low] = number.to_be_bytes();
        let pod = Self { name: format!("pod-{number}"), address: Ipv4Addr::new(10, 250, high, low) };
        let Self { name, address } = &pod;
        let cable = format!("pod{number}");
        ip(&format!("netns add {name}"))?;
        ip(&format!("link add {cable} type veth peer name eth0 netns {name}"))?;
        ip(&format!("link set {cable} up"))?;
        ip(&format!("route add {address}/32 dev {cable} src {NODE}"))?;
        ip(&format!("-n {name} link set lo up"))?;
        ip(&format!("-n {name} address add {address}/32 dev eth0"))?;
        ip(&format!("-n {name} link set eth0 up"))?;
        ip(&format!("-n {name} route add {NODE}/32 dev eth0"))?;
        ip(&format!("-n {name} route add default via {NODE} dev eth0"))?;
        Ok(pod)
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Sets what the kernel has a value of for each network.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        ensure!(name.starts_with("net."), "{name} is not known here");
        run("ip", &["netns", "exec", &self.name, "sysctl", "-q", &format!("{name}={value}")]).map(drop)
    }

    /// The file by which other programs enter it.
    pub fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its cable goes with it. At the latest, both end with the network of the cluster.
        let _ = ip(&format!("netns delete {}", self.name));
    }
}

fn ip(arguments: &str) -> Result<()> {
    run("ip", &arguments.split(' ').collect::<Vec<_>>()).map(drop)
}
