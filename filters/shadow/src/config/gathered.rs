//! What is gathered while the configuration is read.

use rules::matching::HeaderNames;

use super::limits::Limits;

/// By rules and mirrors.
pub(super) struct Gathered {
    /// The headers that the rules ask for.
    pub headers: HeaderNames,
    /// What the operator may want to know.
    pub remarks: Vec<String>,
    /// `limits`, which mirrors take over.
    pub limits: Limits,
}
