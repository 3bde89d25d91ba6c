//! Shares of requests, exact to one in a million.

/// A share of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentage {
    millionths: u32,
}

const MILLION: u32 = 1_000_000;

impl Percentage {
    /// No request.
    pub const NEVER: Self = Self { millionths: 0 };
    /// Every request.
    pub const ALWAYS: Self = Self { millionths: MILLION };

    /// Parses a percentage by Istio's rule. Unlike Istio, which cuts off, it rounds: 0.57 is 5700 millionths, not 5699.
    pub fn parse(text: &str) -> Result<Self, String> {
        match Decimal::parse(text) {
            Some(percent) if percent.is_zero || percent.millionths > 0 => Ok(percent.rounded()),
            // Istio's message.
            _ => Err("is neither 0.0, nor in range [0.0001, 100.0]".into()),
        }
    }

    /// Parses a percentage in a request's header.
    pub fn asked_for(text: &[u8]) -> Option<Self> {
        Decimal::parse(core::str::from_utf8(text.trim_ascii()).ok()?).map(Decimal::rounded)
    }

    /// Whether a request is part of the share. Draws a number only if the share is neither 0 nor 100 %.
    pub fn has(self, draw: impl FnOnce() -> u64) -> bool {
        match self {
            Self::NEVER => false,
            Self::ALWAYS => true,
            // 2^64 is not a multiple of a million, but the error is less than one in 10^13.
            Self { millionths } => {
                draw().checked_rem(u64::from(MILLION)).is_some_and(|drawn| drawn < millionths.into())
            }
        }
    }
}

/// A percentage from 0 to 100 in decimal notation: digits, with or without a point. Parsing floats would take as much code
/// as all of the rest.
struct Decimal {
    millionths: u32,
    /// The digit after the last millionth, for rounding.
    next: u32,
    is_zero: bool,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return None;
        }
        let mut digits = fraction.chars().filter_map(|digit| digit.to_digit(10)).chain(core::iter::repeat(0));
        let mut millionths = whole.parse::<u32>().ok().filter(|percent| *percent <= 100)?;
        for digit in digits.by_ref().take(4) {
            millionths = millionths.checked_mul(10)?.checked_add(digit)?;
        }
        let next = digits.next().unwrap_or_default();
        let is_whole = fraction.bytes().all(|digit| digit == b'0');
        let is_too_much = millionths > MILLION || millionths == MILLION && !is_whole;
        (!is_too_much).then_some(Self { millionths, next, is_zero: millionths == 0 && is_whole })
    }

    fn rounded(self) -> Percentage {
        Percentage { millionths: self.millionths.saturating_add(u32::from(self.next >= 5)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn percent_is_rounded_to_millionths() {
        for (text, millionths) in [
            ("0", 0),
            ("0.0", 0),
            ("0.0001", 1),
            ("0.0003", 3),
            ("0.57", 5_700),
            ("33.3333", 333_333),
            ("000.00015", 2),
            ("12.34564", 123_456),
            ("99.9999", 999_999),
            ("99.99999", MILLION),
            ("100", MILLION),
            ("100.000000", MILLION),
        ] {
            assert_eq!(Percentage::parse(text), Ok(Percentage { millionths }), "{text}");
        }
    }

    #[test]
    fn what_istio_refuses_is_refused() {
        for text in [
            "-1",
            "100.1",
            "100.000001",
            "0.00005",
            "0.00009999",
            "NaN",
            "inf",
            "",
            "half",
            "1.",
            ".5",
            "1.5.5",
            "1e1",
            "99999999999",
        ] {
            assert!(Percentage::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn requests_may_ask_for_less_than_can_be_configured() {
        assert_eq!(Percentage::asked_for(b" 50.5 "), Some(Percentage { millionths: 505_000 }));
        assert_eq!(Percentage::asked_for(b"0.00001"), Some(Percentage::NEVER));
        for text in [b"-1".as_slice(), b"101", b"NaN", b"", b"\xff"] {
            assert_eq!(Percentage::asked_for(text), None);
        }
    }

    #[test]
    fn numbers_are_drawn_only_where_they_decide() {
        assert!(!Percentage::NEVER.has(|| panic!("drawn")));
        assert!(Percentage::ALWAYS.has(|| panic!("drawn")));
        let least = Percentage { millionths: 1 };
        assert!(least.has(|| 5_000_000));
        assert!(!least.has(|| 5_000_001));
        assert!(!Percentage { millionths: 999_999 }.has(|| 999_999));
    }
}
