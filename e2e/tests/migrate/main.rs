//! The output of `mixer-migrate` in real Envoys: the metrics are the same as with Mixer.

// clippy.toml does not exempt helpers outside of test functions.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::panic, clippy::indexing_slicing)]

mod defaults;
mod logs;
mod tutorials;

use std::collections::BTreeMap;

use e2e::pair::status;
use e2e::wait::WAIT;
use local_mesh::{tools, Mesh, Options, Request, Sample, Topology};
use mixer_migrate::migration::Migration;

/// A page, its reviews, and their database.
const BOOKS: &str = "
name: bookinfo
workloads:
  - { name: productpage-v1, app: productpage, version: v1, namespace: default, address: 127.1.0.1, calls: [reviews, mongodb] }
  - { name: reviews-v2, app: reviews, version: v2, namespace: default, address: 127.1.0.2 }
  - { name: mongodb-v1, app: mongodb, version: v1, namespace: default, address: 127.1.0.3 }
services:
  - { name: reviews, namespace: default, port: 9080, protocol: http }
  - { name: mongodb, namespace: default, port: 27017, protocol: tcp }
";

/// Both sides of a request.
const SIDES: [&str; 2] = ["productpage-v1", "reviews-v2"];

/// Metadata exchange, which identifies the peer.
const EXCHANGE: [&str; 3] =
    ["separate/metadata-exchange", "tcp-metadata-exchange-inbound", "tcp-metadata-exchange-outbound"];

/// Runs each test once for each version of Envoy.
macro_rules! on_each_envoy {
    ($($module:ident: $($test:ident),+;)+) => {
        mod envoy_1_40 {
            $($(#[test] fn $test() { crate::$module::$test(local_mesh::tools::ENVOY_VERSION); })+)+
        }
        mod envoy_1_36 {
            $($(#[test] fn $test() { crate::$module::$test(local_mesh::tools::OLDEST_ENVOY); })+)+
        }
    };
}

on_each_envoy! {
    tutorials: requests_are_counted_twice, requests_have_the_customer_s_labels,
        services_and_callers_are_in_conditions, strangers_have_the_cluster_s_name;
    logs: requests_have_the_new_log_s_line, requests_have_the_line_for_fluentd, requests_have_the_default_line,
        connections_have_the_default_lines;
    defaults: requests_have_mixer_s_metrics, probes_are_left_out, connections_have_mixer_s_metrics;
}

/// The mesh with the migrated Mixer configuration and metadata exchange.
fn start(envoy: &str, mixer: &str) -> Mesh {
    start_with(envoy, mixer, &mixer_migrate::Options::default())
}

fn start_with(envoy: &str, mixer: &str, options: &mixer_migrate::Options) -> Mesh {
    let migration = Migration::of(&[("mixer.yaml".to_owned(), mixer.to_owned())], options);
    let resources = migration.resources(false).unwrap_or_else(|| panic!("{:#?}", migration.diagnostics.sorted()));
    let options = Options {
        filters: EXCHANGE.map(|name| tools::filters().join(name).with_extension("yaml")).to_vec(),
        patches: vec![resources],
        envoy_version: Some(envoy.to_owned()),
        ..Options::default()
    };
    Mesh::start(Topology::parse(BOOKS).unwrap(), options).unwrap()
}

/// GET from the page to the reviews.
fn get(mesh: &Mesh, path: &str) -> Request {
    Request::get(mesh.sidecar("productpage-v1").unwrap().outbound(), path).host("reviews:9080")
}

/// The only series of a metric of a workload, after it has reached this value.
fn only_series(mesh: &Mesh, workload: &str, metric: &str, at_least: f64) -> Sample {
    let samples = series(mesh, workload, metric, at_least);
    let [only] = samples.as_slice() else { panic!("{metric} of {workload}: {samples:#?}") };
    only.clone()
}

/// The series of a metric of a workload, after their sum has reached this value.
fn series(mesh: &Mesh, workload: &str, metric: &str, at_least: f64) -> Vec<Sample> {
    let found = |samples: &[Sample]| {
        let found: Vec<Sample> = samples.iter().filter(|sample| sample.name == metric).cloned().collect();
        (found.iter().map(|sample| sample.value).sum::<f64>() >= at_least).then_some(found)
    };
    mesh.sidecar(workload).unwrap().wait_for_stats(metric, WAIT, found).unwrap()
}

/// Labels as a map.
fn labels<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}
