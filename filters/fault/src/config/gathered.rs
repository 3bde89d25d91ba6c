//! What is gathered while the configuration is read.

use rules::matching::HeaderNames;

/// By the rules.
#[derive(Default)]
pub(super) struct FaultNotes {
    /// The headers that they ask for.
    pub headers: HeaderNames,
    /// What is allowed, but most likely not meant.
    pub warnings: Vec<String>,
}
