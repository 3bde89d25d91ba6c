//! Data collected while reading the configuration.

use rules::matching::HeaderNames;

/// Collected from the rules.
#[derive(Default)]
pub(super) struct Gathered {
    /// The headers in the rules' conditions.
    pub headers: HeaderNames,
    /// Warnings about valid settings that are most likely mistakes.
    pub warnings: Vec<String>,
}
