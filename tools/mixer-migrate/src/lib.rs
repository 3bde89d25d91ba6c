//! Turns Mixer's telemetry configuration into EnvoyFilters with the configuration of our modules.
//!
//! The way: [`input`] reads objects, [`model`] what they mean, [`spec`] follows the rules from there to metrics and logs,
//! [`simplify`] leaves of each expression what depends on the request, [`translate`] turns that into what Envoy can
//! evaluate, [`output`] writes it. Whatever cannot be done is a [`diagnostic`].

// Positions in texts and counts; nothing here runs in a proxy.
#![allow(clippy::arithmetic_side_effects)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod cexl;
pub mod defaults;
pub mod diagnostic;
pub mod fields;
pub mod input;
pub mod migration;
pub mod model;
pub mod names;
pub mod options;
pub mod output;
pub mod remarks;
pub mod report;
pub mod resolve;
pub mod scene;
pub mod simplify;
pub mod source;
pub mod sources;
pub mod spec;
pub mod translate;
pub mod vocabulary;

#[cfg(test)]
mod tests;

pub use options::{Options, Unit};
