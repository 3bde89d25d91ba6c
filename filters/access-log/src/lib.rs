//! Access log lines that name both workloads.
//!
//! A module cannot write to Envoy's standard output. So this one makes the line when a stream ends and puts it into filter
//! state, and Envoy's own access logger, which comes after, prints that and nothing else.
//!
//! * [`config`] is what an operator can set, [`fields`], [`mixer`] and [`text_format`] what there is to choose from
//! * [`plan`] decides all that can be decided before there is a stream
//! * [`policy`] decides which streams get a line
//! * [`reads`] asks Envoy, [`who`] tells who called whom
//! * [`line`](mod@line) writes, with [`escape`], [`time`] and [`digest`]

pub mod access_log;
pub mod config;
pub mod digest;
pub mod escape;
pub mod fields;
pub mod line;
pub mod mixer;
#[cfg(feature = "callbacks")]
mod module;
pub mod plan;
pub mod policy;
pub mod reads;
pub mod text_format;
pub mod time;
pub mod who;

#[cfg(feature = "callbacks")]
pub use module::new_root;
