//! Istio's standard metrics.
//!
//! The filter's place in the HTTP filter chain is before the router. It does all its work when a stream ends. Every stream
//! ends exactly once: with a response from upstream, from another filter, from Envoy itself, or without one.
//!
//! * [`metrics`] lists the metrics of each [`measurement`]: Istio's standard metrics with the configured changes
//! * [`labels`] turns label values into [`symbols`]: numbers, which are cheaper to compare than texts
//! * [`evaluation`] evaluates configured expressions for labels and values
//! * [`plan`] combines these when the plugin is configured
//! * [`recorder`] turns each [`label_set`] into Envoy's metrics, once, as long as there is [`room`]; what is beyond it is
//!   [folded](folding)

mod collisions;
pub mod config;
pub mod evaluation;
pub mod folding;
pub mod label_set;
pub mod labels;
pub mod measurement;
pub mod metrics;
#[cfg(feature = "callbacks")]
mod module;
pub mod plan;
pub mod recorder;
pub mod room;
pub mod states;
pub mod stats;
pub mod symbols;

#[cfg(feature = "callbacks")]
pub use module::new_root;
