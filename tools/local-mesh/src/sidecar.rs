//! One running Envoy: its admin page, its statistics, its log, and configuration updates.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use serde_json::Value;

use crate::client::{Client, Request};
use crate::config::{discovery, port, Files, SidecarConfig, RESOURCES};
use crate::exposition::{self, Sample};
use crate::process::Process;

/// Time limit for accepting or rejecting an update.
const UPDATE_TIMEOUT: Duration = Duration::from_secs(20);

/// Time between two checks while waiting.
const POLL: Duration = Duration::from_millis(50);

/// The running proxy of a workload.
#[derive(Debug)]
pub struct Sidecar {
    name: String,
    ip: Ipv4Addr,
    files: Files,
    client: Client,
    process: Process,
    version: AtomicU64,
}

/// A kind of resource, and where to see its state.
#[derive(Clone, Copy)]
struct Kind {
    type_name: &'static str,
    directory: &'static str,
    stat: &'static str,
}

const LISTENERS: Kind =
    Kind { type_name: "envoy.config.listener.v3.Listener", directory: "lds", stat: "listener_manager.lds" };
const CLUSTERS: Kind =
    Kind { type_name: "envoy.config.cluster.v3.Cluster", directory: "cds", stat: "cluster_manager.cds" };

/// The result of pushing a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// The new listeners are in use.
    Accepted,
    /// The new listeners are in use, but plugins refuse their configuration. They run the last valid one, or traffic passes
    /// without them. Contains what Envoy logged: what is wrong with it.
    Refused(String),
    /// The old listeners stay in use. Contains what Envoy logged: its reason, and messages of plugins.
    Rejected(String),
}

impl Sidecar {
    /// Writes the configuration and starts Envoy. [`Self::is_ready`] tells when it is ready.
    pub fn start(
        (name, ip): (&str, Ipv4Addr),
        config: &SidecarConfig,
        files: Files,
        (envoy, arguments): (&Path, &[String]),
        client: Client,
    ) -> Result<Self> {
        fs::create_dir_all(&files.directory).with_context(|| format!("cannot create {}", files.directory.display()))?;
        let bootstrap = files.directory.join("bootstrap.json");
        put(&bootstrap, &config.bootstrap)?;
        for (kind, value) in [(LISTENERS, &config.listeners), (CLUSTERS, &config.clusters)] {
            let directory = files.directory.join(kind.directory);
            fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
            put(&directory.join(RESOURCES), &discovery(kind.type_name, value, 1))?;
        }
        let mut all = vec!["--config-path".to_owned(), bootstrap.display().to_string()];
        all.extend_from_slice(arguments);
        let process = Process::start(&format!("sidecar of {name}"), envoy, &all, &files.directory.join("envoy.log"))?;
        Ok(Self { name: name.to_owned(), ip, files, client, process, version: AtomicU64::new(1) })
    }

    /// Name of the workload.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Address of the pod.
    pub fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// One of its ports.
    pub fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.ip), port)
    }

    /// Address for its application's outbound HTTP requests.
    pub fn outbound(&self) -> SocketAddr {
        self.address(port::OUTBOUND)
    }

    /// Address for requests from other proxies, and from clients outside the mesh.
    pub fn inbound(&self) -> SocketAddr {
        self.address(port::INBOUND)
    }

    /// Process id of Envoy.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Envoy's log.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The first line of the log with an error of a plugin.
    pub fn complaint(&self) -> Option<String> {
        let is_complaint =
            |line: &&str| line.contains("[wasm]") && (line.contains("[error]") || line.contains("[critical]"));
        self.log().lines().find(is_complaint).map(String::from)
    }

    /// The stdout of Envoy: the lines of its access loggers.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// The file of this output.
    pub fn output_path(&self) -> &Path {
        self.process.output_path()
    }

    /// An error if Envoy has ended.
    pub fn check(&self) -> Result<()> {
        self.process.check()
    }

    /// Kills Envoy, like a crash.
    pub fn kill(&self) {
        self.process.stop();
    }

    /// Whether its listeners are active.
    pub fn is_ready(&self) -> bool {
        self.get(port::ADMIN, "/ready").is_ok()
    }

    /// GET of an admin page.
    pub fn admin(&self, path: &str) -> Result<String> {
        self.get(port::ADMIN, path)
    }

    /// The text that Prometheus scrapes.
    pub fn stats_text(&self) -> Result<String> {
        self.get(port::STATS, "/stats/prometheus")
    }

    /// The samples that Prometheus scrapes.
    pub fn stats(&self) -> Result<Vec<Sample>> {
        exposition::parse(&self.stats_text()?)
    }

    /// The samples of one metric.
    pub fn metric(&self, name: &str) -> Result<Vec<Sample>> {
        Ok(self.stats()?.into_iter().filter(|sample| sample.name == name).collect())
    }

    /// The values of a counter or gauge, by the values of `labels` joined by spaces.
    pub fn counts(&self, metric: &str, labels: &[&str]) -> Result<BTreeMap<String, u64>> {
        Ok(exposition::counts(&self.metric(metric)?, labels))
    }

    /// Reads the samples until `found` returns something, for at most `limit`. The error then shows the samples whose names
    /// start with `prefix`.
    pub fn wait_for_stats<T>(
        &self,
        prefix: &str,
        limit: Duration,
        found: impl Fn(&[Sample]) -> Option<T>,
    ) -> Result<T> {
        let end = Instant::now() + limit;
        loop {
            let text = self.stats_text()?;
            if let Some(result) = found(&exposition::parse(&text)?) {
                return Ok(result);
            }
            if Instant::now() >= end {
                let lines: Vec<&str> = text.lines().filter(|line| line.starts_with(prefix)).collect();
                bail!("{}: not seen within {limit:?}; the samples of {prefix}* are:\n{}", self.name, lines.join("\n"));
            }
            std::thread::sleep(POLL);
        }
    }

    /// One of Envoy's own counters or gauges by its full name; 0 if it does not exist.
    pub fn counter(&self, name: &str) -> Result<u64> {
        let page = self.admin(&format!("/stats?filter=^{}$", name.replace('.', "\\.").replace('|', "\\|")))?;
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok());
        Ok(value.unwrap_or(0))
    }

    /// Requests (or connections) that Envoy itself counted per upstream address of a cluster.
    pub fn upstream_requests(&self, cluster: &str) -> Result<Vec<(SocketAddr, u64)>> {
        let prefix = format!("{cluster}::");
        let page = self.admin("/clusters")?;
        let rows = page.lines().filter_map(|line| line.strip_prefix(&prefix)?.split_once("::rq_total::"));
        Ok(rows.filter_map(|(address, count)| Some((address.parse().ok()?, count.parse().ok()?))).collect())
    }

    /// An error with the log if Envoy rejected its first configuration. It would then serve nothing.
    pub fn check_accepted(&self) -> Result<()> {
        for kind in [LISTENERS, CLUSTERS] {
            let rejected = self.counter(&format!("{}.update_rejected", kind.stat))?;
            ensure!(rejected == 0, "the sidecar of {} refuses its configuration; its log:\n{}", self.name, self.log());
        }
        Ok(())
    }

    /// An error with the log if a plugin refuses its configuration.
    pub fn check_plugins(&self) -> Result<()> {
        let (refused, name) = (self.refused()?.join(", "), &self.name);
        ensure!(
            refused.is_empty(),
            "the sidecar of {name} refuses its configuration of {refused}; its log:\n{}",
            self.log()
        );
        Ok(())
    }

    /// Replaces clusters, then listeners, and waits until Envoy accepts or rejects each.
    pub(crate) fn push(&self, config: &SidecarConfig) -> Result<Update> {
        let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        let said = self.log().len();
        for (kind, resources) in [(CLUSTERS, &config.clusters), (LISTENERS, &config.listeners)] {
            let update = self.push_kind(kind, &discovery(kind.type_name, resources, version), version)?;
            if update != Update::Accepted {
                return Ok(update);
            }
        }
        // A plugin that is taken off is refused until the last of its streams has ended.
        let said = self.log().get(said..).unwrap_or_default().to_owned();
        if self.refused()?.is_empty() || !said.contains(": configuration refused, ") {
            return Ok(Update::Accepted);
        }
        Ok(Update::Refused(said))
    }

    /// The plugins that refuse their configuration.
    pub fn refused(&self) -> Result<Vec<String>> {
        const GAUGE: &str = ".remixer_configuration_refused: 1";
        let page = self.admin("/stats?filter=remixer_configuration_refused")?;
        let plugin = |line: &str| Some(line.strip_suffix(GAUGE)?.rsplit('.').next()?.to_owned());
        Ok(page.lines().filter_map(plugin).collect())
    }

    fn push_kind(&self, kind: Kind, content: &Value, version: u64) -> Result<Update> {
        let rejected = format!("{}.update_rejected", kind.stat);
        let accepted = format!("{}.version_text: \"{version}\"", kind.stat);
        let (before, said) = (self.counter(&rejected)?, self.log().len());
        self.replace(kind, content)?;
        let end = Instant::now() + UPDATE_TIMEOUT;
        loop {
            self.check()?;
            if self.counter(&rejected)? > before {
                return Ok(Update::Rejected(self.log().get(said..).unwrap_or_default().to_owned()));
            }
            let is_taken = self.admin("/stats?filter=version_text")?.lines().any(|line| line == accepted);
            if is_taken && self.counter("listener_manager.total_listeners_warming")? == 0 {
                return Ok(Update::Accepted);
            }
            ensure!(
                Instant::now() < end,
                "{}: an update was neither accepted nor rejected in {UPDATE_TIMEOUT:?}",
                self.name
            );
            std::thread::sleep(POLL);
        }
    }

    fn get(&self, port: u16, path: &str) -> Result<String> {
        let answer = self.client.send(&Request::get(self.address(port), path).timeout(Duration::from_secs(10)))?;
        ensure!(answer.status == 200, "{}: {path} gave {}: {}", self.name, answer.status, answer.text());
        Ok(answer.text())
    }

    /// Renames a new file over the old one, so that Envoy never reads a partial file.
    fn replace(&self, kind: Kind, content: &Value) -> Result<()> {
        let path = self.files.directory.join(kind.directory).join(RESOURCES);
        let new = path.with_extension("new");
        put(&new, content)?;
        fs::rename(&new, &path).with_context(|| format!("cannot replace {}", path.display()))
    }
}

fn put(path: &Path, value: &Value) -> Result<()> {
    fs::write(path, format!("{value:#}")).with_context(|| format!("cannot write {}", path.display()))
}
