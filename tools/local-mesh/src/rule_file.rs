//! Rules from a file that can appear, change and disappear while the mesh runs.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use configuration::ConfigError;

use crate::mesh::Mesh;
use crate::options::PluginConfig;
use crate::sidecar::Update;

/// The configuration if there is no file.
const NOTHING: &str = "{}";

/// The kind of rules in a file.
#[derive(Debug)]
pub struct Kind {
    /// What the rules create.
    pub what: &'static str,
    /// The plugins that get the rules.
    pub plugins: &'static [&'static str],
    /// The names of the active rules, or the reason why the rules are refused.
    pub names: fn(&[u8]) -> Result<Vec<String>, ConfigError>,
}

/// A file of rules, with its content that the mesh has.
#[derive(Debug)]
pub struct RuleFile {
    kind: &'static Kind,
    path: PathBuf,
    seen: Option<String>,
    given: String,
}

impl RuleFile {
    /// A file that need not exist yet. The mesh has no rules.
    pub fn new(kind: &'static Kind, path: &Path) -> Self {
        Self { kind, path: path.to_owned(), seen: None, given: NOTHING.to_owned() }
    }

    /// The configurations that the mesh has.
    pub fn plugins(&self) -> Vec<PluginConfig> {
        configurations(self.kind, &self.given)
    }

    /// Pushes the rules to the mesh if they have changed; no rules if the file is gone. Returns a message about the change.
    /// Rules with a mistake are not pushed: the previous rules stay.
    pub fn poll(&mut self, mesh: &Mesh) -> Result<Option<String>> {
        self.poll_beside(mesh, &[])
    }

    /// The same, together with other plugin configurations of the mesh.
    pub fn poll_beside(&mut self, mesh: &Mesh, others: &[PluginConfig]) -> Result<Option<String>> {
        let now = match fs::read_to_string(&self.path) {
            Ok(rules) => Some(rules),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", self.path.display())),
        };
        if now == self.seen {
            return Ok(None);
        }
        let (what, name) = (self.kind.what, self.path.display());
        let rules = now.as_deref().unwrap_or(NOTHING);
        let said = match (self.kind.names)(rules.as_bytes()) {
            Err(error) => format!("{what} of {name}: {error}; what was before stays"),
            Ok(names) => match push(mesh, &[others, &configurations(self.kind, rules)].concat())? {
                Some(reason) => format!("{what} of {name} are refused: {reason}"),
                None => {
                    rules.clone_into(&mut self.given);
                    match names.as_slice() {
                        _ if now.is_none() => format!("no {what}: {name} is not there"),
                        [] => format!("no {what}: {name} has no rule that does anything"),
                        names => format!("{what} of {name}: {}", names.join(", ")),
                    }
                }
            },
        };
        self.seen = now;
        Ok(Some(said))
    }
}

fn configurations(kind: &Kind, rules: &str) -> Vec<PluginConfig> {
    let configured =
        |plugin: &&str| PluginConfig { workload: None, plugin: (*plugin).to_owned(), configuration: rules.to_owned() };
    kind.plugins.iter().map(configured).collect()
}

/// Pushes the configurations to all proxies at once. Returns the reason if a proxy rejects them, or a plugin refuses them.
fn push(mesh: &Mesh, plugins: &[PluginConfig]) -> Result<Option<String>> {
    let push_to = |workload: &str| mesh.push(workload, |options| options.plugins.extend_from_slice(plugins));
    let updates: Vec<Result<Update>> = std::thread::scope(|scope| {
        let pushes: Vec<_> = mesh.sidecars().iter().map(|sidecar| scope.spawn(|| push_to(sidecar.name()))).collect();
        let join = |push: std::thread::ScopedJoinHandle<'_, Result<Update>>| {
            push.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a push of configuration has crashed")))
        };
        pushes.into_iter().map(join).collect()
    });
    for update in updates {
        match update? {
            Update::Accepted => {}
            Update::Rejected(reason) | Update::Refused(reason) => return Ok(Some(reason)),
        }
    }
    Ok(None)
}
