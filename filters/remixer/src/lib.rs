//! Several filters in one module, with the filters that every proxy has in one pass.
//!
//! Each separate filter costs a request a context in the sandbox, and each separate VM costs the proxy megabytes. In this
//! module, a plugin's root id selects its filter, and all plugins share one VM. [`telemetry`] combines metadata exchange,
//! stats and the access log in one filter: each uses what the ones before have read about the peer.

pub mod config;
pub mod filter;
#[cfg(feature = "module")]
mod module;
pub mod telemetry;
