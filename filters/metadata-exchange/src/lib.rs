//! Metadata exchange: tells each proxy which workload is on the other side of a request or connection.
//!
//! Stands first in the HTTP filter chain. A proxy that calls another sends its own metadata in two request headers, and
//! one that is called answers with its own in the response. Each takes the other's headers off before anyone else sees
//! them, and puts what they say into filter state for the filters behind. Over TCP, a frame before the first byte does
//! the same. It never fails a request: a peer that cannot be understood or trusted is not stored, and a counter says why.
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
