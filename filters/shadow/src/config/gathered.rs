//! Data collected while reading the configuration.

use rules::matching::HeaderNames;

use super::limits::MirrorLimits;

/// By rules and mirrors.
pub(super) struct MirrorNotes {
    /// The headers that the rules ask for.
    pub headers: HeaderNames,
    /// Messages for the operator.
    pub remarks: Vec<String>,
    /// `limits`, which mirrors take over.
    pub limits: MirrorLimits,
}
