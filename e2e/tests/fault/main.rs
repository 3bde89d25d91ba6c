//! Fault injection in real Envoys: what a client, the upstream, the access log and the metrics see of it.
//!
//! Every [`scene::Scene`] checks at its end that no filter has failed and that nothing is still counted as being delayed.

// Helpers outside of test functions are not excused by clippy.toml.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::indexing_slicing
)]

mod aborts;
mod configuration;
mod control;
mod delays;
mod flags;
mod limits;
mod matching;
mod neighbours;
mod scene;
mod shares;
mod tutorials;

use e2e::load;
