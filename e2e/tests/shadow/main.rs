//! Traffic shadowing in real Envoys: the effects on the client, the upstream, the mirror and the metrics.
//!
//! Every [`scene::Scene`] checks at its end that no filter has failed, and that no copy is held or in flight.

// clippy.toml does not exempt helpers outside of test functions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::indexing_slicing
)]

mod backend;
mod bounds;
mod comparison;
mod configuration;
mod copies;
mod failures;
mod neighbours;
mod scene;
mod shares;
mod tutorials;

use e2e::load;
