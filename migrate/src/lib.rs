//! Turns Mixer's telemetry configuration into EnvoyFilters with the configuration of our modules.

// Positions in texts and counts; nothing here runs in a proxy.
#![allow(clippy::arithmetic_side_effects)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod cexl;
