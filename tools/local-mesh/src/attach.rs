//! Adds telemetry to plain sidecar configurations: reads EnvoyFilters strictly, and applies them as istiod does.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, ensure, Context, Result};
use envoy_filter::{Applied, EnvoyFilter, Problem, Proxy, ProxyConfig, ProxyKind};
use serde_json::{Map, Value};

use crate::config::{SidecarConfig, ISTIO_VERSION};
use crate::options::Options;
use crate::topology::Workload;

/// The ConfigMap with the bootstrap settings that all proxies need; the same name as in `envoy/kubernetes/`.
pub const BOOTSTRAP_CONFIG_MAP: &str = "remixer-bootstrap";
/// That with the settings of all filters.
pub const BOOTSTRAP_CONFIG_MAP_OF_ALL: &str = "remixer-bootstrap-all";

/// How the names of the EnvoyFilters with rules begin. A mesh without rules needs neither them nor their expressions in the
/// bootstrap, and one module less.
pub const FAULT: &str = "fault";
/// See [`FAULT`].
pub const SHADOW: &str = "shadow";

/// The EnvoyFilters of a mesh.
#[derive(Debug, Default)]
pub struct Attachment {
    filters: Vec<EnvoyFilter>,
    applied: Vec<Applied>,
}

/// An EnvoyFilter for the whole mesh with one patch, for [`Options::patches`].
pub fn envoy_filter(patch: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\n\
         metadata: {{ name: test, namespace: istio-system }}\nspec:\n  configPatches:\n  - {patch}\n"
    )
}

/// What the EnvoyFilters in `files` have for the bootstrap.
pub fn bootstrap_override(files: &[PathBuf]) -> Result<Value> {
    let filters = envoy_filter::load(files).map_err(refused)?;
    let json = envoy_filter::bootstrap_override(&filters).map_err(|problem| refused(vec![problem]))?;
    let has_any = json.as_object().is_some_and(|fields| !fields.is_empty());
    ensure!(has_any, "no EnvoyFilter here is for the bootstrap: none has `applyTo: BOOTSTRAP`");
    Ok(json)
}

/// The same, as the ConfigMap that pods name in `sidecar.istio.io/bootstrapOverride`.
pub fn bootstrap_config_map(name: &str, files: &[PathBuf]) -> Result<String> {
    let json = bootstrap_override(files)?;
    let indented: String = format!("{json:#}").lines().map(|line| format!("    {line}\n")).collect();
    let metadata = format!("{{ name: {name} }}");
    Ok(format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {metadata}\ndata:\n  custom_bootstrap.json: |\n{indented}"))
}

/// The EnvoyFilters in a directory such as `envoy/`: those with rules only if they are asked for, by [`FAULT`] and [`SHADOW`].
pub fn shipped(directory: &Path, asked_for: &[&str]) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let with_rules = [FAULT, SHADOW].into_iter().find(|kind| name.starts_with(kind));
        name.ends_with(".yaml") && with_rules.is_none_or(|kind| asked_for.contains(&kind))
    });
    files.sort();
    Ok(files)
}

/// Files as they are, and of directories such as `envoy/` the [`shipped`] EnvoyFilters without rules.
pub fn files_of(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => files.extend(shipped(path, &[])?),
            false => files.push(path.clone()),
        }
    }
    Ok(files)
}

impl Attachment {
    /// Reads the options' filters and patches; an error lists every problem with file, line and field.
    pub fn load(options: &Options) -> Result<Self> {
        let mut filters = match options.filters.is_empty() {
            true => Vec::new(),
            false => envoy_filter::load(&options.filters).map_err(refused)?,
        };
        // One by one: a patch may have the same name as a file's resource or as another patch.
        for (index, yaml) in options.patches.iter().enumerate() {
            let name = PathBuf::from(format!("patches[{index}]"));
            filters.extend(envoy_filter::parse(&[(name, yaml.clone())]).map_err(refused)?);
        }
        Ok(Self { filters, applied: Vec::new() })
    }

    /// Applies all matching EnvoyFilters to the configuration of `workload`.
    pub fn apply(&mut self, workload: &Workload, config: &mut SidecarConfig) -> Result<()> {
        let labels = workload.all_labels();
        let none = Map::new();
        let proxy = Proxy {
            kind: if workload.gateway.is_some() { ProxyKind::Gateway } else { ProxyKind::Sidecar },
            namespace: &workload.namespace,
            labels: &labels,
            version: ISTIO_VERSION,
            metadata: config.bootstrap.pointer("/node/metadata").and_then(|value| value.as_object()).unwrap_or(&none),
        };
        let mut patched = ProxyConfig {
            bootstrap: config.bootstrap.clone(),
            listeners: std::mem::take(&mut config.listeners),
            clusters: std::mem::take(&mut config.clusters),
        };
        let applied = envoy_filter::apply(&self.filters, &proxy, &mut patched).map_err(refused)?;
        self.applied.extend(applied);
        *config =
            SidecarConfig { bootstrap: patched.bootstrap, listeners: patched.listeners, clusters: patched.clusters };
        Ok(())
    }

    /// An error if a patch changed no proxy: its match most likely has a typo.
    pub fn check_used(&self) -> Result<()> {
        let unused = envoy_filter::unused(&self.applied);
        ensure!(unused.is_empty(), refused(unused));
        Ok(())
    }
}

fn refused(problems: Vec<Problem>) -> anyhow::Error {
    let lines: String = problems.iter().map(|problem| format!("\n  {problem}")).collect();
    anyhow!("EnvoyFilters are refused:{lines}")
}
