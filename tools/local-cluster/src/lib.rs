//! A cluster of real parts on one machine: etcd, Kubernetes' API server, controllers and service proxy, Istio's control
//! plane, and pods in network namespaces.
//!
//! Ours are what a machine must bring: the [`kubelet`], which runs a pod's containers as processes that see a file system and
//! a network of their own; names, which it writes into the pods' hosts files; and images, which are [names of
//! programs](images). All of it lives in namespaces that `scripts/test-istio.sh` makes, and ends with them. The interface is
//! blocking, so that a test is plain code; do not call it from inside an async runtime.

// Counts, ports and durations of a test tool: an overflow is a bug that debug builds report by themselves.
#![allow(clippy::arithmetic_side_effects)]

pub mod api;
pub mod cluster;
pub mod command;
pub mod control_plane;
pub mod files;
pub mod images;
pub mod isolation;
pub mod json;
pub mod kubelet;
pub mod network;
pub mod parts;
pub mod pki;
pub mod pod;

pub use cluster::Cluster;
pub use pod::Pod;
