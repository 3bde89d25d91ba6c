//! Fault injection in real Envoys: the effects on the client, the upstream, the access log and the metrics.
//!
//! Every [`scene::Scene`] checks at its end that no filter has failed and that no request is still counted as delayed.

// clippy.toml does not exempt helpers outside of test functions.
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
