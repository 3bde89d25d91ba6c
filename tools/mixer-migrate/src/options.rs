//! How configuration is migrated.

use crate::defaults::Version;

/// In which unit distributions of durations are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds, with fractions.
    Seconds,
    /// Whole milliseconds.
    Milliseconds,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Of objects that name none.
    pub namespace: String,
    /// Of two objects of the same name, take the later one.
    pub last_wins: bool,
    /// Where objects that are missing come from.
    pub defaults: Option<Version>,
    /// Keep accidental TCP reports.
    pub tcp_parity: bool,
    /// Of distributions of durations.
    pub duration_unit: Unit,
    /// Whether unknown workloads are what kubernetesenv said.
    pub kubernetes: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            namespace: "default".into(),
            last_wins: false,
            defaults: None,
            tcp_parity: false,
            duration_unit: Unit::Seconds,
            kubernetes: true,
        }
    }
}
