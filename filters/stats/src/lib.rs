//! Istio's standard metrics.
//!
//! Stands before the router in the HTTP filter chain and does all its work when a stream ends: every stream ends
//! exactly once, whether the response came from upstream, from another filter, from Envoy itself or not at all.
//!
//! * [`labels`] finds out what the labels of a request are, and remembers all of it that can be
//! * [`recorder`] turns labels into Envoy's metrics, each label set once
//! * [`symbols`] lets both compare numbers instead of text

pub mod config;
pub mod labels;
#[cfg(feature = "module")]
mod module;
pub mod recorder;
pub mod stats;
pub mod symbols;
