//! Support of the end-to-end tests.

pub mod abi;
