//! The local mesh: real Envoy sidecars, made from a topology and the EnvoyFilters of `envoy/`.
//!
//! A [`Mesh`] is a set of processes on loopback: one Envoy per workload of a [`Topology`], the workload's own small server
//! beside it, and a Prometheus that scrapes them all. Sidecars start from plain Istio-shaped configuration ([`config`]);
//! whatever telemetry they have comes from EnvoyFilters, as in a cluster. The interface is blocking, so that a test is
//! plain code; do not call it from inside an async runtime.

// Counts, ports and durations of a test tool: an overflow is a bug that debug builds report by themselves.
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
