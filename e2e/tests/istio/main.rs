//! A cluster of real parts, and what `make release` makes in it.
//!
//! `scripts/test-istio.sh` runs these tests, one after the other, in a network of their own. They share one cluster, which
//! the first of them starts.

// Helpers outside of test functions are not excused by clippy.toml.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod changes;
mod checks;
mod engines;
mod expected;
mod filters;
mod gateways;
mod labels;
mod migration;
mod modes;
mod one_command;
mod plugins;
mod pods;
mod prometheus;
mod refusals;
mod scene;
mod stand_ins;
