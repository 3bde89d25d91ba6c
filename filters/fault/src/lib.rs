//! Fault injection: delays requests, or answers them with errors, by rules.
//!
//! Stands where Istio has Envoy's own fault filter. A rule says which requests it is for, as a `VirtualService` does, and
//! what is done to which share of them. A request that no rule is for passes at the cost of finding that out.
//!
//! * [`injector`] decides, and does it; [`limits`] say how often a rule may. Which requests it is for, which share of them,
//!   and when delays are over, is found out by [`rules`]
//! * [`control`] are the headers by which a request asks for a fault

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
