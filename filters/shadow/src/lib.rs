//! Traffic shadowing: copies of requests go to other clusters, by rules, and what they answer is compared.
//!
//! The request itself never waits: bodies are copied while they pass, and a copy is sent when the request is complete, by
//! the root context, whose calls outlive the request. What is held for it is limited in bytes and in number; what is not
//! mirrored is counted with the reason.
//!
//! * [`mirroring`] decides and does it, for each [`request`]
//! * [`copied`] is what is held of a request, within a [`budget`]
//! * [`head`] makes the headers of the copy
//! * [`outcome`] is how a request went, on either side; [`comparison`] tells them apart, [`pairing`] waits for both
//! * [`rate`] limits how often something happens

pub mod budget;
pub mod comparison;
pub mod config;
pub mod connection_headers;
pub mod copied;
pub mod head;
pub mod metrics;
pub mod mirroring;
#[cfg(feature = "module")]
mod module;
pub mod outcome;
pub mod pairing;
pub mod rate;
pub mod request;
