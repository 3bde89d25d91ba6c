//! Access log lines that name both workloads.
//!
//! A module cannot write to Envoy's standard output. So this one writes the line to filter state when a stream ends, and
//! Envoy's own access logger, which runs later, prints only that.
//!
//! * [`config`] is the configuration; [`fields`], [`mixer`] and [`text_format`] define the available fields
//! * [`plan`] is what [`planner`] prepares: everything that does not depend on a stream
//! * [`policy`] decides which streams get a line
//! * [`reads`] reads attributes, [`who`] gives the values of both workloads
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
pub mod planner;
pub mod policy;
pub mod reads;
pub mod text_format;
pub mod time;
pub mod who;

#[cfg(feature = "callbacks")]
pub use module::new_root;
