//! The stats module in real Envoys: the labels that a request has on both sides, and that each is counted exactly once.

// Helpers outside of test functions are not excused by clippy.toml.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::panic)]

mod ends;
mod hosts;
mod labels;
mod limits;
mod tcp;

use std::collections::BTreeMap;
use std::time::Duration;

use local_mesh::{envoy_filter, exposition, tools, Mesh, Options, PluginConfig, Request, Sample, Topology};

/// Two workloads that differ in all that labels tell.
const PAIR: &str = "
name: shop
workloads:
  - { name: client-v1, app: client, version: v1, namespace: front, address: 127.1.0.1, calls: [server] }
  - { name: server-v2, app: server, version: v2, namespace: back, address: 127.1.0.2 }
services:
  - { name: server, namespace: back, port: 9080, protocol: http }
";

/// How the client names the server.
const SERVER: &str = "server.back:9080";

/// The longest that a count may take to appear.
const WAIT: Duration = Duration::from_secs(10);

/// A mesh with all that `envoy/` holds, run with the changed options.
fn start(topology: &str, change: impl FnOnce(&mut Options)) -> Mesh {
    let mut options = Options { filters: vec![tools::filters()], ..Options::default() };
    change(&mut options);
    Mesh::start(Topology::parse(topology).unwrap(), options).unwrap()
}

/// [`PAIR`], with EnvoyFilters besides ours.
fn pair(patches: &[&str]) -> Mesh {
    patched(PAIR, patches)
}

/// A mesh with EnvoyFilters besides ours.
fn patched(topology: &str, patches: &[&str]) -> Mesh {
    start(topology, |options| options.patches = patches.iter().map(|patch| envoy_filter(patch)).collect())
}

/// [`PAIR`], one of the two without a sidecar: outside the mesh.
fn outside(workload: &str) -> String {
    let lines = PAIR.lines().map(|line| match line.contains(&format!("name: {workload},")) {
        true => line.replace(" }", ", sidecar: false }"),
        false => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A configuration for stats on the way out.
fn stats_outbound(configuration: &str) -> PluginConfig {
    let plugin = "telemetry_outbound".to_owned();
    PluginConfig { workload: None, plugin, configuration: format!("{{\"stats\": {configuration}}}") }
}

/// GET from the application of `client-v1` to the server.
fn get(mesh: &Mesh, path: &str) -> Request {
    Request::get(mesh.sidecar("client-v1").unwrap().outbound(), path).host(SERVER)
}

/// Sends a request; the status of its answer.
fn status(mesh: &Mesh, request: Request) -> u16 {
    mesh.client().send(&request).unwrap().status
}

/// Waits until as many requests are counted at a workload as are expected, and compares how many there are of each
/// kind: the values of `labels`, with blanks between.
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

/// What a counter of a workload holds by the values of `labels`, once it adds up to at least `total`.
fn wait_for_counts(mesh: &Mesh, workload: &str, metric: &str, labels: &[&str], total: u64) -> BTreeMap<String, u64> {
    let sidecar = mesh.sidecar(workload).unwrap();
    let found = |samples: &[Sample]| {
        let counts = exposition::counts(samples.iter().filter(|sample| sample.name == metric), labels);
        (counts.values().sum::<u64>() >= total).then_some(counts)
    };
    sidecar.wait_for_stats(metric, WAIT, found).unwrap()
}
