//! A real Prometheus that scrapes every sidecar as in a cluster (job `envoy-stats`), and a client for queries.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, ensure, Context, Result};
use serde::Deserialize;
use serde_json::json;

use crate::cadvisor;
use crate::client::{Client, Request};
use crate::config::port;
use crate::exposition::Sample;
use crate::interrupt::Interrupt;
use crate::percent;
use crate::process::{check_free, Process};
use crate::tools;
use crate::topology::Topology;

/// How often to scrape. 15 s in a cluster; here someone is waiting.
pub const SCRAPE_INTERVAL: Duration = Duration::from_secs(1);

const PORT: u16 = 9090;
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    queries: Queries,
    process: Process,
}

/// A client for any Prometheus.
#[derive(Debug, Clone)]
pub struct Queries {
    address: SocketAddr,
    client: Client,
}

#[derive(Deserialize)]
struct Response {
    status: String,
    error: Option<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Element>,
}

#[derive(Deserialize)]
struct Element {
    metric: std::collections::BTreeMap<String, String>,
    value: (f64, String),
}

impl Prometheus {
    /// Starts a Prometheus for all sidecars of the topology; its data is in `directory`.
    pub fn start(topology: &Topology, directory: &Path, client: Client, interrupt: &Interrupt) -> Result<Self> {
        let program = tools::prometheus()?;
        let ip = Ipv4Addr::new(127, topology.network(), 0, 100);
        check_free("Prometheus", ip, PORT)?;
        let address = SocketAddr::from((ip, PORT));
        let config = directory.join("prometheus.yml");
        // JSON is valid YAML, and quoting is simpler.
        let mut scraped = configuration(topology);
        if let Some(jobs) = scraped.get_mut("scrape_configs").and_then(serde_json::Value::as_array_mut) {
            let target = cadvisor::address(topology).to_string();
            jobs.push(json!({"job_name": "cadvisor", "static_configs": [{"targets": [target]}]}));
        }
        fs::write(&config, format!("{scraped:#}")).with_context(|| format!("cannot write {}", config.display()))?;
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", directory.join("prometheus").display()),
            format!("--web.listen-address={address}"),
            "--log.level=warn".to_owned(),
        ];
        let process = Process::start("Prometheus", &program, &arguments, &directory.join("prometheus.log"))?;
        let prometheus = Self { queries: Queries::new(address, client), process };
        let begin = Instant::now();
        while !prometheus.is_ready() {
            interrupt.check()?;
            prometheus.check()?;
            ensure!(begin.elapsed() < READY_TIMEOUT, "Prometheus is not ready after {READY_TIMEOUT:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(prometheus)
    }

    /// The URL of its page.
    pub fn url(&self) -> String {
        format!("http://{}", self.queries.address)
    }

    /// Its client.
    pub fn queries(&self) -> &Queries {
        &self.queries
    }

    /// An error if it has ended.
    pub fn check(&self) -> Result<()> {
        self.process.check()
    }

    /// The result of an instant query (a vector) now.
    pub fn query(&self, promql: &str) -> Result<Vec<Sample>> {
        self.queries.client.runtime().block_on(self.queries.query(promql))
    }

    /// Waits until Prometheus has scraped everything that happened before the call.
    pub fn settle(&self, interrupt: &Interrupt) {
        // One flush of Envoy's histograms, one scrape interval, and the duration of a scrape.
        interrupt.sleep(Duration::from_secs(1) + SCRAPE_INTERVAL + Duration::from_millis(700));
    }

    fn is_ready(&self) -> bool {
        let request = Request::get(self.queries.address, "/-/ready");
        self.queries.client.send(&request).is_ok_and(|answer| answer.status == 200)
    }
}

impl Queries {
    /// A client for the Prometheus at an address.
    pub fn new(address: SocketAddr, client: Client) -> Self {
        Self { address, client }
    }

    /// Like [`Prometheus::query`], for use on the runtime.
    pub async fn query(&self, promql: &str) -> Result<Vec<Sample>> {
        let path = format!("/api/v1/query?query={}", percent::encode(promql));
        let answer = self.client.send_async(&Request::get(self.address, &path)).await?;
        let response: Response = serde_json::from_slice(&answer.body)
            .with_context(|| format!("no answer of Prometheus: {:.200}", answer.text()))?;
        if response.status != "success" {
            bail!("{promql}: {}", response.error.unwrap_or_default());
        }
        let elements = response.data.ok_or_else(|| anyhow!("{promql}: a result without data"))?.result;
        elements.into_iter().map(Element::into_sample).collect()
    }
}

impl Element {
    fn into_sample(mut self) -> Result<Sample> {
        let name = self.metric.remove("__name__").unwrap_or_default();
        let value = self.value.1.parse().with_context(|| format!("`{}` is no number", self.value.1))?;
        Ok(Sample { name, labels: self.metric, value })
    }
}

/// The scrape configuration: the proxies of the topology, at their addresses.
pub(crate) fn configuration(topology: &Topology) -> serde_json::Value {
    let targets: Vec<_> = topology
        .workloads
        .iter()
        .filter(|workload| workload.sidecar)
        .map(|workload| {
            json!({
                "targets": [format!("{}:{}", workload.address, port::STATS)],
                "labels": {"app": workload.app, "pod": workload.pod(), "namespace": workload.namespace},
            })
        })
        .collect();
    let interval = format!("{}s", SCRAPE_INTERVAL.as_secs());
    json!({
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "scrape_configs": [{
            "job_name": "envoy-stats",
            "metrics_path": "/stats/prometheus",
            "static_configs": targets,
        }],
    })
}
