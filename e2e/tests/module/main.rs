//! What each filter's `module.rs` does with Envoy, of which [`e2e::abi`] plays the part: the built modules, their contexts,
//! timers and calls.

// clippy.toml does not exempt helpers outside of test functions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects)] // counts of a test

mod anything;
mod costs;
mod exchange;
mod faults;
mod living;
mod logging;
mod mirrors;
mod refusals;
mod scene;
mod sharing;
mod starting;
mod streams;
mod updates;
