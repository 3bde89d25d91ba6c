//! Metadata exchange: tells each proxy which workload is on the other side of a request or connection.
//!
//! The filter stands first in the HTTP filter chain. A calling proxy sends its metadata in two request headers; the called
//! proxy answers with its own in the response. Each proxy removes the other's headers before other filters see them, and
//! writes their content to filter state for later filters. Over TCP, a frame before the first byte does the same. The filter
//! never fails a request: invalid or untrusted metadata is not stored, and a counter says why.
//!
//! * [`exchange`] over HTTP, with the headers of [`wire`]
//! * [`connection`] over TCP, with the bytes of [`frame`]

pub mod clusters;
pub mod config;
pub mod connection;
pub mod counters;
pub mod exchange;
pub mod frame;
mod learned;
#[cfg(feature = "callbacks")]
mod module;
pub mod wire;

#[cfg(feature = "callbacks")]
pub use module::new_root;
