//! Data collected while reading the configuration.

use rules::matching::HeaderNames;

/// Collected from the rules.
#[derive(Default)]
pub(super) struct FaultNotes {
    /// The headers that they ask for.
    pub headers: HeaderNames,
    /// Warnings about valid settings that are most likely mistakes.
    pub warnings: Vec<String>,
}
