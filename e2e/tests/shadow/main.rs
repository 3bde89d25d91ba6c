//! Traffic shadowing in real Envoys: what the client, the upstream, the mirror and the metrics see of it.
//!
//! Every [`scene::Scene`] checks at its end that no filter has failed, and that nothing is held or under way.

// Helpers outside of test functions are not excused by clippy.toml.
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
