//! Matching and percentages: the common parts of filters with rules.
//!
//! This is a separate crate, so that filters without rules contain no regular expressions.
//!
//! * [`mod@matches`] reads a rule's `match`; [`matching`] evaluates it for a request, with [`pattern`]s for texts, and [`re2`] says
//!   which regular expressions of Istio's are none here
//! * [`percentage`] and [`random`] select a share of the requests; [`sampling`] makes the selection the same for the same
//!   key
//! * [`schedule`] has the deadlines of delayed requests
//! * [`fields`] reads other common fields, [`moment`] parses times

pub mod fields;
pub mod matches;
pub mod matching;
pub mod moment;
pub mod pattern;
pub mod percentage;
pub mod random;
pub mod re2;
pub mod sampling;
pub mod schedule;
