//! Metrics: how a name and its labels become an Envoy stat.
//!
//! * [`metric_name`]: the encoding, and the regular expressions that take labels out again
//! * [`metric`]: a counter or gauge that is used now and then

pub mod metric;
pub mod metric_name;
