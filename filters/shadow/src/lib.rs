//! Traffic shadowing: sends copies of requests to other clusters, by rules, and compares the answers.
//!
//! The request itself never waits: bodies are copied while they pass. When the request is complete, the root context sends
//! the copy; its calls outlive the request. Copies are limited in bytes and in number. A request that is not mirrored is
//! counted with the reason.
//!
//! * [`mirroring`] applies the rules to each [`request`]
//! * [`copied`] is the copy of a request, within a [`budget`]
//! * [`head`] makes the headers of the copy
//! * [`outcome`] is the result of a request on either side; [`pairing`] waits for both results, [`comparison`] compares them
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
