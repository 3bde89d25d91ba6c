//! Which requests a rule is for, and which share of them: what the filters with rules have in common.
//!
//! A crate of its own, so that filters without rules carry no regular expressions.
//!
//! * [`matches`] reads a rule's `match`; [`matching`] finds out which requests it is for, with the [`pattern`]s that texts
//!   must have
//! * [`percentage`] and [`random`] are by what shares are drawn, [`sampling`] what has the same fate
//! * [`schedule`] knows when something is due
//! * [`fields`] reads what several filters have besides, [`moment`] when a rule ends

pub mod fields;
pub mod matches;
pub mod matching;
pub mod moment;
pub mod pattern;
pub mod percentage;
pub mod random;
pub mod sampling;
pub mod schedule;
