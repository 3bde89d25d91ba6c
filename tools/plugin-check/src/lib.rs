//! Finds mistakes in resources that attach our plugins, before they are applied.
//!
//! [`readers`] runs the modules' own code on a plugin's configuration; `mixer-migrate` does so with what it writes. [`Check`] finds the
//! plugins in EnvoyFilters, WasmPlugins and TrafficExtensions, and tells each [`Mistake`] with its place in the file, also inside
//! the JSON that YAML has as a text.
//!
//! What is told is certain. Resources without our plugins are left alone.

// Positions in texts and counts; this code does not run in a proxy.
#![allow(clippy::arithmetic_side_effects)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod attached;
mod check;
mod configured;
mod find;
mod identity;
mod json;
mod mistake;
mod near;
mod pairs;
mod proxies;
pub mod readers;
mod scalar;
#[cfg(test)]
mod tests;

pub use check::{Check, Input};
pub use mistake::{Mistake, Report};
