//! Rules of fault injection out of a file that may change, come and go while the mesh runs.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fault::config::Config;

use crate::exposition::Sample;
use crate::mesh::Mesh;
use crate::options::PluginConfig;
use crate::prometheus::Prometheus;
use crate::sidecar::Update;

/// The plugins that are given the rules: those of the proxies that call, as with a `VirtualService`.
const PLUGINS: [&str; 2] = ["fault_outbound", "fault_gateway"];

/// What is given when there is no file.
const NOTHING: &str = "{}";

/// A file of rules, and what the mesh was last given of it.
#[derive(Debug)]
pub struct RuleFile {
    path: PathBuf,
    seen: Option<String>,
}

impl RuleFile {
    /// A file that need not be there yet; the mesh has no rules.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: None }
    }

    /// Gives the mesh the rules, if they are others than before; none if the file is gone. Says what has changed.
    /// Rules with a mistake are not given: those before stay.
    pub fn poll(&mut self, mesh: &Mesh) -> Result<Option<String>> {
        let now = match fs::read_to_string(&self.path) {
            Ok(rules) => Some(rules),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", self.path.display())),
        };
        if now == self.seen {
            return Ok(None);
        }
        let name = self.path.display();
        let rules = now.as_deref().unwrap_or(NOTHING);
        let said = match Config::parse(rules.as_bytes()) {
            Err(error) => format!("faults of {name}: {error}; what was before stays"),
            Ok(config) => match push(mesh, rules)? {
                Some(reason) => format!("faults of {name} are refused by Envoy: {reason}"),
                None if now.is_none() => format!("no faults: {name} is not there"),
                None => describe(&config, &name.to_string()),
            },
        };
        self.seen = now;
        Ok(Some(said))
    }
}

/// Gives all proxies the rules at once; why one has refused them.
fn push(mesh: &Mesh, rules: &str) -> Result<Option<String>> {
    let updates: Vec<Result<Update>> = std::thread::scope(|scope| {
        let pushes: Vec<_> =
            mesh.sidecars().iter().map(|sidecar| scope.spawn(|| push_to(mesh, sidecar.name(), rules))).collect();
        let join = |push: std::thread::ScopedJoinHandle<'_, Result<Update>>| {
            push.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a push of configuration has crashed")))
        };
        pushes.into_iter().map(join).collect()
    });
    for update in updates {
        if let Update::Rejected(reason) = update? {
            return Ok(Some(reason));
        }
    }
    Ok(None)
}

fn push_to(mesh: &Mesh, workload: &str, rules: &str) -> Result<Update> {
    mesh.push(workload, |options| {
        options.plugins.extend(PLUGINS.map(|plugin| PluginConfig {
            workload: None,
            plugin: plugin.to_owned(),
            configuration: rules.to_owned(),
        }));
    })
}

fn describe(config: &Config, file: &str) -> String {
    if config.is_idle() {
        return format!("no faults: {file} has no rule that does anything");
    }
    let names: Vec<&str> = config.rules.iter().map(|rule| rule.name.as_str()).collect();
    format!("faults of {file}: {}", names.join(", "))
}

/// What rules have done, by proxy and rule; nothing if they have done nothing.
pub fn render(prometheus: &Prometheus) -> Result<String> {
    let mut lines = Vec::new();
    for (metric, by, what) in [
        ("fault_delays_injected_total", "pod, rule", "delayed"),
        ("fault_aborts_injected_total", "pod, rule, code", "aborted"),
        ("fault_delay_cancelled_total", "pod, rule", "left while delayed"),
        ("fault_overflow_total", "pod, rule", "passed, too many were delayed"),
    ] {
        let samples = prometheus.query(&format!("sum by ({by}) ({metric})"))?;
        lines.extend(samples.iter().filter(|sample| sample.value > 0.0).map(|sample| line(sample, what)));
    }
    lines.sort();
    Ok(lines.concat())
}

fn line(sample: &Sample, what: &str) -> String {
    let [pod, rule, code] = ["pod", "rule", "code"].map(|label| sample.label(label));
    let with = if code.is_empty() { String::new() } else { format!(" with {code}") };
    format!("{pod:<40}  rule {rule}: {} {what}{with}\n", sample.value)
}
