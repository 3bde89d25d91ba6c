//! What is gathered while the configuration is read.

use rules::matching::HeaderNames;

use super::limits::MirrorLimits;

/// By rules and mirrors.
pub(super) struct MirrorNotes {
    /// The headers that the rules ask for.
    pub headers: HeaderNames,
    /// What the operator may want to know.
    pub remarks: Vec<String>,
    /// `limits`, which mirrors take over.
    pub limits: MirrorLimits,
}
