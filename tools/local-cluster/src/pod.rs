//! A pod as tests use it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use local_mesh::{exposition, wait_for, Client, Request, Sample};

use crate::kubelet::{container, Kubelet};

/// The container of the proxy.
pub const PROXY: &str = "istio-proxy";

/// The port of the proxy's metrics.
pub const STATS_PORT: u16 = 15090;

/// The port of what the agent has of metrics: its own, the proxy's and the application's.
pub const MERGED_PORT: u16 = 15020;

/// A pod.
#[derive(Debug, Clone)]
pub struct Pod {
    namespace: String,
    name: String,
    address: String,
    kubelet: Arc<Kubelet>,
    client: Client,
}

impl Pod {
    /// The pod of a namespace and a name that has an address, if it has one yet.
    pub fn new(kubelet: &Arc<Kubelet>, client: &Client, namespace: &str, name: &str, address: &str) -> Self {
        let [namespace, name, address] = [namespace, name, address].map(str::to_owned);
        Self { namespace, name, address, kubelet: Arc::clone(kubelet), client: client.clone() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn address(&self) -> Result<Ipv4Addr> {
        self.address.parse().with_context(|| format!("{} has no address", self.name))
    }

    /// Runs a program in a container.
    pub fn exec(&self, container: &str, command: &[&str]) -> Result<String> {
        container::exec(self.kubelet.process(&self.namespace, &self.name, container)?, command)
    }

    /// What a container wrote.
    pub fn log(&self, container: &str) -> Result<String> {
        container::log(&self.kubelet.directory(&self.namespace, &self.name), container)
    }

    /// The text of its metrics at a port and a path.
    pub fn metrics(&self, port: u16, path: &str) -> Result<String> {
        let request = Request::get(SocketAddr::from((self.address()?, port)), path);
        Ok(self.client.send(&request)?.text())
    }

    /// What its proxy's metrics of a name are.
    pub fn samples(&self, name: &str) -> Result<Vec<Sample>> {
        let mut samples = exposition::parse(&self.metrics(STATS_PORT, "/stats/prometheus")?)?;
        samples.retain(|sample| sample.name == name);
        Ok(samples)
    }

    /// Its proxy's metrics of a name, once they are as `look` wants them.
    pub fn wait_for_samples<T>(
        &self,
        name: &str,
        limit: Duration,
        mut look: impl FnMut(&[Sample]) -> Option<T>,
    ) -> Result<T> {
        let mut last = Vec::new();
        let found = wait_for(limit, || {
            last = self.samples(name).unwrap_or_default();
            look(&last)
        });
        found.with_context(|| format!("{name} of {}: {last:?}", self.name))
    }
}
