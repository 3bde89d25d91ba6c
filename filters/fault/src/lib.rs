//! Fault injection: delays requests, or answers them with errors, by rules.
//!
//! The filter stands where Istio has Envoy's own fault filter. A rule selects requests, as a `VirtualService` does, and sets
//! the fault and its percentage. A request that matches no rule costs only the matching.
//!
//! * [`injector`] applies the rules; [`limits`] bound how often a rule injects. The crate [`rules`] has matching,
//!   percentages and the schedule of delays
//! * [`control`] has the headers by which a request asks for a fault

pub mod abort;
pub mod config;
pub mod control;
pub mod grpc_status;
pub mod injector;
pub mod limits;
pub mod metrics;
#[cfg(feature = "callbacks")]
mod module;

#[cfg(feature = "callbacks")]
pub use module::new_root;
