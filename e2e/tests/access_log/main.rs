//! The access log module in real Envoys: for each request and connection, a sidecar writes exactly one valid line to its
//! stdout, however it ended.

// clippy.toml does not exempt helpers outside of test functions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::indexing_slicing
)]

mod ends;
mod fields;
mod forward;
mod hard;
mod load;
mod policy;
mod tcp;

use std::path::PathBuf;
use std::time::Duration;

use e2e::pair::{get, status, PAIR, SERVER};
use e2e::wait::{wait_until, WAIT};
use local_mesh::tools::{self, ENVOY_VERSIONS as VERSIONS};
use local_mesh::{Mesh, Options, PluginConfig, Topology};
use serde_json::Value;

/// A mesh with the default access log, and changed options.
fn start(topology: &str, change: impl FnOnce(&mut Options)) -> Mesh {
    let mut options = Options { filters: filters(), log_level: "warning,wasm:debug".to_owned(), ..Options::default() };
    change(&mut options);
    Mesh::start(Topology::parse(topology).unwrap(), options).unwrap()
}

fn filters() -> Vec<PathBuf> {
    let names = [
        "telemetry",
        "tcp-metadata-exchange-inbound",
        "tcp-metadata-exchange-outbound",
        "access-log",
        "tcp-access-log",
    ];
    files(&names)
}

fn files(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(|name| tools::filters().join(name).with_extension("yaml")).collect()
}

/// [`PAIR`], with a configuration of the access log in both proxies.
fn configured(configuration: &str) -> Mesh {
    start(PAIR, |options| options.plugins = plugins(&["access_log"], configuration))
}

fn plugins(names: &[&str], configuration: &str) -> Vec<PluginConfig> {
    let plugin = |name: &&str| {
        ["inbound", "outbound"].map(|direction| PluginConfig {
            workload: None,
            plugin: format!("{name}_{direction}"),
            configuration: configuration.to_owned(),
        })
    };
    names.iter().flat_map(plugin).collect()
}

/// The lines of a workload's sidecar. Waits for this many lines, and a moment longer to see that there are no more.
fn lines(mesh: &Mesh, workload: &str, count: usize) -> Vec<Value> {
    texts(mesh, workload, count).iter().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// The same, as text.
fn texts(mesh: &Mesh, workload: &str, count: usize) -> Vec<String> {
    let sidecar = mesh.sidecar(workload).unwrap();
    let read = || -> Vec<String> { sidecar.output().split_inclusive('\n').map(String::from).collect() };
    wait_until(|| read().len() >= count);
    std::thread::sleep(Duration::from_millis(150));
    let lines = read();
    assert_eq!(lines.len(), count, "lines of {workload}: {lines:#?}");
    lines.into_iter().map(|line| line.strip_suffix('\n').expect("a whole line").to_owned()).collect()
}

/// The values of some fields of each line, joined by spaces.
fn told(lines: &[Value], fields: &[&str]) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), String::from);
    let line = |line: &Value| fields.iter().map(|field| text(&line[*field])).collect::<Vec<_>>().join(" ");
    lines.iter().map(line).collect()
}
