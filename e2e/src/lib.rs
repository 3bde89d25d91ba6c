//! What several end-to-end tests use. What only one of them needs stands beside that one.

// As in the tests themselves: what fails here, fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::arithmetic_side_effects)]

pub mod load;
pub mod machine;
pub mod metrics;
pub mod pair;
pub mod wait;
