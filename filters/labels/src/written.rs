//! Numbers and booleans as text.

/// A boolean as text.
pub(crate) fn boolean_text(is: bool) -> &'static str {
    if is {
        "true"
    } else {
        "false"
    }
}

/// `number` with at most six decimals; empty if that is not exact enough. The standard library's conversion takes 15 KB of
/// code.
#[inline(never)]
pub(crate) fn number_text(number: f64) -> String {
    const EXACT: f64 = 9e15; // all whole numbers up to here are floats
    if !(-EXACT..EXACT).contains(&number) {
        return String::new();
    }
    let sign = if number < 0.0 { "-" } else { "" };
    let whole = number.abs().trunc();
    let millionths = ((number.abs() - whole) * 1e6).round();
    match (whole as u64, millionths as u64) {
        (whole, 0) => format!("{sign}{whole}"),
        (whole, 1_000_000) => format!("{sign}{}", whole.saturating_add(1)),
        (whole, millionths) => format!("{sign}{whole}.{millionths:06}").trim_end_matches('0').into(),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn numbers_are_written_as_an_operator_would() {
        for (number, expected) in [
            (0.0, "0"),
            (3.0, "3"),
            (-2.0, "-2"),
            (0.5, "0.5"),
            (-1.25, "-1.25"),
            (0.000_001, "0.000001"),
            (2.999_999_9, "3"),
            (1.1, "1.1"),
            (123_456_789_012.0, "123456789012"),
            (1e300, ""),
            (f64::NAN, ""),
        ] {
            assert_eq!(number_text(number), expected);
        }
    }
}
