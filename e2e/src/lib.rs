//! Helpers for several end-to-end tests. Helpers for a single test are next to that test.

// As in the tests themselves: a failure here fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::arithmetic_side_effects)]

pub mod abi;
pub mod examples;
pub mod load;
pub mod machine;
pub mod metrics;
pub mod pair;
pub mod wait;
