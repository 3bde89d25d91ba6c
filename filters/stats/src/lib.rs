//! Istio's standard metrics.
//!
//! Stands before the router in the HTTP filter chain and does all its work when a stream ends: every stream ends
//! exactly once, whether the response came from upstream, from another filter, from Envoy itself or not at all.
//!
//! * [`metrics`] are what is recorded, by Istio's standard and the configuration
//! * [`facts`] are what is read of a stream, as little as possible, and [`labels`] what follows from them
//! * [`evaluation`] makes labels and values of the expressions that an operator adds
//! * [`recorder`] turns label sets into Envoy's metrics, each once
//! * [`symbols`] lets all of them compare numbers instead of text

pub mod config;
pub mod evaluation;
pub mod labels;
pub mod metrics;
#[cfg(feature = "callbacks")]
mod module;
pub mod recorder;
pub mod stats;
pub mod symbols;

pub use ::labels::facts;
#[cfg(feature = "callbacks")]
pub use module::new_root;
