//! Data collected while reading the configuration.

use rules::matching::HeaderNames;

use super::limits::Limits;

/// Collected from rules and mirrors.
pub(super) struct Gathered {
    /// The headers in the rules' conditions.
    pub headers: HeaderNames,
    /// Messages for the operator.
    pub remarks: Vec<String>,
    /// `limits`: the defaults of the mirrors.
    pub limits: Limits,
}
