//! Compares the outcome of the original with that of its copy.

use crate::config::Compare;
use crate::outcome::{Answer, Outcome};

/// The result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Whether they match, or how they differ.
    pub result: Verdict,
    /// Whether a body was too large to be compared.
    pub is_body_uncompared: bool,
    /// Milliseconds of the original's upstream, of the mirror's, and which was slower.
    pub latency: Option<(u64, u64, &'static str)>,
}

/// Whether two outcomes match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They match.
    Match,
    /// The original was not answered by an upstream.
    PrimaryUnavailable,
    /// The original's answer broke off, or did not end in time.
    PrimaryIncomplete,
    /// The copy was not answered by an upstream.
    ShadowUnavailable,
    /// The bodies have different lengths.
    Size,
    /// The bodies have different bytes.
    Body,
    /// Different statuses of the same class.
    Code,
    /// Different classes of status.
    Class,
}

impl Verdict {
    /// All verdicts.
    pub const ALL: [Self; 8] = [
        Self::Match,
        Self::PrimaryUnavailable,
        Self::PrimaryIncomplete,
        Self::ShadowUnavailable,
        Self::Size,
        Self::Body,
        Self::Code,
        Self::Class,
    ];

    /// Its value of the label `result`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::PrimaryUnavailable => "primary_unavailable",
            Self::PrimaryIncomplete => "primary_incomplete",
            Self::ShadowUnavailable => "shadow_unavailable",
            Self::Size => "size_mismatch",
            Self::Body => "body_mismatch",
            Self::Code => "code_mismatch",
            Self::Class => "class_mismatch",
        }
    }

    /// Whether both were answered, with a difference.
    pub fn is_mismatch(self) -> bool {
        matches!(self, Self::Size | Self::Body | Self::Code | Self::Class)
    }
}

/// Compares the original with its copy.
pub fn compare(primary: &Outcome, shadow: &Outcome, how: &Compare) -> Comparison {
    let only = |result| Comparison { result, is_body_uncompared: false, latency: None };
    let primary = match primary {
        Outcome::Upstream(primary) => primary,
        Outcome::Reset => return only(Verdict::PrimaryIncomplete),
        _ => return only(Verdict::PrimaryUnavailable),
    };
    let Outcome::Upstream(shadow) = shadow else { return only(Verdict::ShadowUnavailable) };
    let latency = primary.latency.zip(shadow.latency);
    let latency = latency.map(|(primary, shadow)| (primary, shadow, verdict(primary, shadow, how.tolerance)));
    if primary.code != shadow.code {
        let is_class = primary.code.class() == shadow.code.class();
        return Comparison { latency, ..only(if is_class { Verdict::Code } else { Verdict::Class }) };
    }
    let (result, is_body_uncompared) = bodies(primary, shadow, how);
    Comparison { result, is_body_uncompared, latency }
}

/// Compares the bodies. True if one was too large to compare.
fn bodies(primary: &Answer, shadow: &Answer, how: &Compare) -> (Verdict, bool) {
    let (Some(primary), Some(shadow)) = (primary.body, shadow.body) else { return (Verdict::Match, false) };
    if how.size && primary.length != shadow.length {
        return (Verdict::Size, false);
    }
    let Some(max) = how.max_body_bytes else { return (Verdict::Match, false) };
    let is_small = |length: u64| usize::try_from(length).is_ok_and(|length| length <= max);
    match (primary.hash, shadow.hash) {
        (Some(one), Some(other)) if is_small(primary.length) && is_small(shadow.length) => {
            (if one == other { Verdict::Match } else { Verdict::Body }, false)
        }
        _ => (Verdict::Match, true),
    }
}

/// A difference of less than a tenth of the original's latency does not count.
fn verdict(primary: u64, shadow: u64, tolerance: u64) -> &'static str {
    let tolerance = tolerance.max(primary / 10);
    if shadow > primary.saturating_add(tolerance) {
        "slower"
    } else if primary > shadow.saturating_add(tolerance) {
        "faster"
    } else {
        "same"
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::outcome::{BodySum, Code, Hash};

    const PLAIN: Compare = Compare { size: false, max_body_bytes: None, tolerance: 5, log_per_second: 0 };

    fn answer(status: u16) -> Outcome {
        Outcome::Upstream(Answer { code: Code::of_http(status), latency: Some(10), body: Some(BodySum::default()) })
    }

    fn with_body(bytes: &[u8], max: usize) -> Outcome {
        let hash = (bytes.len() <= max).then(|| Hash::default().with(bytes).value());
        let body = Some(BodySum { length: bytes.len() as u64, hash });
        Outcome::Upstream(Answer { code: Code::of_http(200), latency: None, body })
    }

    #[test]
    fn outcomes_agree_or_do_not() {
        use Verdict::{Class, Match, PrimaryUnavailable, ShadowUnavailable};
        let shadows = [
            answer(200),
            answer(201),
            answer(404),
            answer(500),
            answer(503),
            Outcome::Unreachable,
            Outcome::Timeout,
            Outcome::Reset,
            Outcome::Reset,
        ];
        let none = ShadowUnavailable;
        for (primary, expected) in [
            (answer(200), [Match, Verdict::Code, Class, Class, Class, none, none, none, none]),
            (answer(404), [Class, Class, Match, Class, Class, none, none, none, none]),
            (answer(500), [Class, Class, Class, Match, Verdict::Code, none, none, none, none]),
            (Outcome::Unreachable, [PrimaryUnavailable; 9]),
            (Outcome::Reset, [Verdict::PrimaryIncomplete; 9]),
        ] {
            let results = shadows.map(|shadow| compare(&primary, &shadow, &PLAIN).result);
            assert_eq!(results, expected, "{primary:?}");
        }
    }

    #[test]
    fn bodies_are_compared_if_asked_for() {
        let (size, body) = (Compare { size: true, ..PLAIN }, Compare { max_body_bytes: Some(4), ..PLAIN });
        for (one, other, how, result, uncompared) in [
            ("abcd", "abce", PLAIN, Verdict::Match, false),
            ("abcd", "abc", size, Verdict::Size, false),
            ("abcd", "abce", size, Verdict::Match, false),
            ("abcd", "abcd", body, Verdict::Match, false),
            ("abcd", "abce", body, Verdict::Body, false),
            ("abcd", "abcde", body, Verdict::Match, true),
            ("", "", body, Verdict::Match, false),
        ] {
            let max = how.max_body_bytes.unwrap_or_default();
            let comparison = compare(&with_body(one.as_bytes(), max), &with_body(other.as_bytes(), max), &how);
            assert_eq!((comparison.result, comparison.is_body_uncompared), (result, uncompared), "{one} {other}");
        }
    }

    #[test]
    fn latency_differs_by_more_than_the_tolerance() {
        for (primary, shadow, verdict) in [
            (10, 15, "same"),
            (10, 16, "slower"),
            (16, 10, "faster"),
            (15, 10, "same"),
            (1000, 1100, "same"),
            (1000, 1101, "slower"),
            (1000, 899, "faster"),
            (0, u64::MAX, "slower"),
        ] {
            assert_eq!(super::verdict(primary, shadow, 5), verdict, "{primary} {shadow}");
        }
    }

    #[test]
    fn each_verdict_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<&str> = Verdict::ALL.iter().map(|verdict| verdict.name()).collect();
        assert_eq!(names.len(), Verdict::ALL.len());
        assert_eq!(Verdict::ALL.iter().filter(|verdict| verdict.is_mismatch()).count(), 4);
    }
}
