//! A row of the table, and what tells rows apart.

use std::collections::BTreeMap;

/// An edge as one reporter sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub source: String,
    pub destination: String,
    /// `source` before `destination`.
    pub reporter: std::cmp::Reverse<String>,
}

/// What is known of it.
#[derive(Debug, Clone, Default, PartialEq)]
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
