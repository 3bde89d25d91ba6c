//! Metrics: how a name and its labels become an Envoy stat.
//!
//! * [`metric_name`]: the encoding, and the regular expressions that extract labels
//! * [`metric`]: counters and gauges that change rarely

pub mod metric;
pub mod metric_name;
