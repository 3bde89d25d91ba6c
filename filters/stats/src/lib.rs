//! Istio's standard metrics.
//!
//! Stands before the router in the HTTP filter chain and does all its work when a stream ends: every stream ends
//! exactly once, whether the response came from upstream, from another filter, from Envoy itself or not at all.
//!
//! * [`metrics`] are what is recorded of each [`measurement`], by Istio's standard and the configuration
//! * [`labels`] makes [`symbols`] of what a stream's labels say: numbers, which are compared instead of texts
//! * [`evaluation`] makes labels and values of the expressions that an operator adds
//! * [`plan`] is all of that, decided when the plugin is configured
//! * [`recorder`] turns each [`label_set`] into Envoy's metrics, once

mod collisions;
pub mod config;
pub mod evaluation;
pub mod label_set;
pub mod labels;
pub mod measurement;
pub mod metrics;
#[cfg(feature = "callbacks")]
mod module;
pub mod plan;
pub mod recorder;
pub mod stats;
pub mod symbols;

#[cfg(feature = "callbacks")]
pub use module::new_root;
