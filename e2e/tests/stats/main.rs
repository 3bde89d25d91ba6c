//! The stats module in real Envoys: the labels of a request on both sides, and that each request is counted exactly once.

// clippy.toml does not exempt helpers outside of test functions.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::panic)]

mod ends;
mod hosts;
mod labels;
mod limits;
mod tcp;

use std::collections::BTreeMap;

use e2e::pair::{get, status, PAIR, SERVER};
use e2e::wait::WAIT;
use local_mesh::{envoy_filter, exposition, tools, Mesh, Options, PluginConfig, Sample, Topology};

/// A mesh with all EnvoyFilters in `envoy/`, and changed options.
fn start(topology: &str, change: impl FnOnce(&mut Options)) -> Mesh {
    let mut options = Options { filters: vec![tools::filters()], envoy_counts: envoy_counts(), ..Options::default() };
    change(&mut options);
    Mesh::start(Topology::parse(topology).unwrap(), options).unwrap()
}

/// Whether Envoy counts what the modules name. `make test` runs these tests both ways.
fn envoy_counts() -> bool {
    std::env::var_os("ENVOY_COUNTS").is_some()
}

/// [`PAIR`], with additional EnvoyFilters.
fn pair(patches: &[&str]) -> Mesh {
    patched(PAIR, patches)
}

/// A mesh with additional EnvoyFilters.
fn patched(topology: &str, patches: &[&str]) -> Mesh {
    start(topology, |options| options.patches = patches.iter().map(|patch| envoy_filter(patch)).collect())
}

/// [`PAIR`], with one workload without a sidecar, outside the mesh.
fn outside(workload: &str) -> String {
    let lines = PAIR.lines().map(|line| match line.contains(&format!("name: {workload},")) {
        true => line.replace(" }", ", sidecar: false }"),
        false => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// An outbound configuration for stats.
fn stats_outbound(configuration: &str) -> PluginConfig {
    let plugin = "telemetry_outbound".to_owned();
    PluginConfig { workload: None, plugin, configuration: format!("{{\"stats\": {configuration}}}") }
}

/// Waits until a workload has counted the expected number of requests. Then compares the count of each kind: the values of
/// `labels`, joined by spaces.
fn expect_requests(mesh: &Mesh, workload: &str, labels: &[&str], expected: &[(&str, u64)]) {
    expect_counts(mesh, workload, "istio_requests_total", labels, expected);
}

/// The same for any counter.
fn expect_counts(mesh: &Mesh, workload: &str, metric: &str, labels: &[&str], expected: &[(&str, u64)]) {
    let total = expected.iter().map(|(_, count)| count).sum();
    let seen = wait_for_counts(mesh, workload, metric, labels, total);
    let expected: BTreeMap<String, u64> = expected.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect();
    assert_eq!(seen, expected, "{metric} of {workload} by {labels:?}");
}

/// The values of a workload's counter by the values of `labels`, after their sum has reached `total`.
fn wait_for_counts(mesh: &Mesh, workload: &str, metric: &str, labels: &[&str], total: u64) -> BTreeMap<String, u64> {
    let sidecar = mesh.sidecar(workload).unwrap();
    let found = |samples: &[Sample]| {
        let counts = exposition::counts(samples.iter().filter(|sample| sample.name == metric), labels);
        (counts.values().sum::<u64>() >= total).then_some(counts)
    };
    sidecar.wait_for_stats(metric, WAIT, found).unwrap()
}
