//! Metadata exchange: tells each proxy which workload is on the other side of a request.
//!
//! Stands first in the HTTP filter chain. A proxy that calls another sends its own metadata in two request headers, and
//! one that is called answers with its own in the response. Each takes the other's headers off before anyone else sees
//! them, and puts what they say into the stream's filter state for the filters behind. It never fails a request: a peer
//! that cannot be understood or trusted is not stored, and a counter says why.

pub mod config;
pub mod exchange;
#[cfg(feature = "module")]
mod module;
pub mod rejection;
pub mod wire;
