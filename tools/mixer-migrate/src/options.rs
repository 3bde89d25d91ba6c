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

/// The options.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Of objects that name none.
    pub namespace: String,
    /// If two objects have the same name, use the later one.
    pub last_wins: bool,
    /// The Istio release whose objects replace missing ones.
    pub defaults: Option<Version>,
    /// Keep accidental TCP reports.
    pub tcp_parity: bool,
    /// The unit of distributions of durations.
    pub duration_unit: Unit,
    /// Whether unknown workloads have the values of kubernetesenv.
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
