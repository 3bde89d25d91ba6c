//! A row of the table, and its key.

use std::collections::BTreeMap;

use serde::Serialize;

/// An edge as seen by one reporter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub source: String,
    pub destination: String,
    /// `source` comes before `destination`.
    pub reporter: std::cmp::Reverse<String>,
}

/// The values of a row.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub version: String,
    pub security: String,
    /// Count by `code flags`.
    pub codes: BTreeMap<String, f64>,
    pub succeeded: f64,
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub connections: f64,
    pub bytes: f64,
}
