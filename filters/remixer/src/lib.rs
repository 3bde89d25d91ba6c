//! Several filters in one module, and those that every proxy has in one pass.
//!
//! Each filter of its own costs a request a context in the sandbox, and a VM of its own costs the proxy megabytes. In this
//! module a plugin's root id names the filter that it is, and all of them share one VM. [`telemetry`] is metadata exchange
//! and stats in one filter: what the first finds out about the peer, the second need not ask Envoy for.

pub mod config;
pub mod filter;
#[cfg(feature = "module")]
mod module;
pub mod telemetry;
