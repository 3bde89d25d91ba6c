//! Converts Mixer's telemetry configuration to EnvoyFilters with configurations of our modules.
//!
//! The steps: [`input`] reads objects, [`model`] reads their meaning, [`spec`] follows the rules to metrics and logs,
//! [`simplify`] reduces each expression to the part that depends on the request, [`translate`] converts it to an expression
//! for Envoy, [`output`] writes the result. Anything that cannot be migrated becomes a [`diagnostic`].

// Positions in texts and counts; this code does not run in a proxy.
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
