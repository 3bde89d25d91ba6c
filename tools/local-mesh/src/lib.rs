//! The local mesh: real Envoy sidecars, configured from a topology and the EnvoyFilters in `envoy/`.
//!
//! A [`Mesh`] is a set of processes on loopback: one Envoy for each workload of a [`Topology`], a small server as its
//! application, and a Prometheus that scrapes all of them. The sidecars have plain configuration in Istio's form
//! ([`config`]). All telemetry comes from EnvoyFilters, as in a cluster. The interface is blocking, which keeps tests
//! simple; do not call it inside an async runtime.

// Counts, ports and durations of a test tool. An overflow would be a bug, and debug builds detect it.
#![allow(clippy::arithmetic_side_effects)]

pub mod application;
pub mod attach;
pub mod cadvisor;
pub mod client;
pub mod config;
pub mod containers;
pub mod directory;
pub mod exposition;
pub mod faults;
pub mod graph;
pub mod interrupt;
pub mod log_lines;
pub mod mesh;
pub mod options;
pub mod own_metrics;
pub mod page;
pub mod percent;
pub mod pki;
pub mod plain;
pub mod process;
pub mod prometheus;
pub mod raw;
pub mod rule_file;
pub mod server;
pub mod shadows;
pub mod sidecar;
pub mod stats_logger;
pub mod stats_tags;
pub mod table;
pub mod tools;
pub mod topology;
pub mod traffic;
pub mod up;
pub mod verdict;
pub mod wait;

pub use attach::envoy_filter;
pub use client::{Answer, Client, Request};
pub use exposition::Sample;
pub use mesh::Mesh;
pub use options::{Network, Options, PluginConfig};
pub use raw::RawServer;
pub use sidecar::{Sidecar, Update};
pub use topology::Topology;
pub use wait::{wait_for, wait_for_value, wait_until};
