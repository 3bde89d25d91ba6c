//! Times in RFC 3339 format.

use core::time::Duration;

/// The time from 1970 until `text`; `None` if it is not RFC 3339, or earlier than 1970.
pub fn parse(text: &str) -> Option<Duration> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at_checked(zone_at)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28_i64.saturating_add(leap.into()),
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days_of_month).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days(year, month, day)
        .checked_mul(86_400)?
        .checked_add(hour.checked_mul(3600)?)?
        .checked_add(minute.checked_mul(60)?)?
        .checked_add(second)?
        .checked_sub(offset(zone)?)?;
    let nanoseconds = nanoseconds(fraction)?;
    Duration::from_secs(u64::try_from(seconds).ok()?).checked_add(Duration::from_nanos(nanoseconds))
}

/// Numbers with these counts of digits, separated by `separator`.
fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut next = |digits| {
        let part =
            parts.next().filter(|part| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        part.parse().ok()
    };
    let [first, second, third] = digits;
    let numbers = [next(first)?, next(second)?, next(third)?];
    parts.next().is_none().then_some(numbers)
}

/// The days from 1970 until a Gregorian date with a four-digit year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that the leap day is the last day.
    let (year, month) =
        if month > 2 { (year, month.saturating_sub(3)) } else { (year.saturating_sub(1), month.saturating_add(9)) };
    let leap_days = (year / 4).saturating_sub(year / 100).saturating_add(year / 400);
    let of_months = month.saturating_mul(153).saturating_add(2) / 5;
    year.saturating_mul(365)
        .saturating_add(leap_days)
        .saturating_add(of_months)
        .saturating_add(day)
        .saturating_sub(719_469)
}

/// A time zone's offset in seconds.
fn offset(zone: &str) -> Option<i64> {
    let (sign, clock) = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => return Some(0),
        ("+", clock) => (1, clock),
        ("-", clock) => (-1, clock),
        _ => return None,
    };
    let [hours, minutes, _] = numbers(&[clock, ":00"].concat(), ':', [2, 2, 2])?;
    let seconds = hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?;
    (hours <= 23 && minutes <= 59).then_some(seconds.saturating_mul(sign))
}

/// The decimals of a second; digits after the ninth are cut off.
fn nanoseconds(fraction: &str) -> Option<u64> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    fraction.chars().chain(core::iter::repeat('0')).take(9).collect::<String>().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn moments_are_read() {
        for (text, milliseconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600_000),
            ("2026-12-31T23:59:59Z", 1_798_761_599_000),
            ("2027-01-01T01:59:59.25+02:00", 1_798_761_599_250),
            ("2026-12-31t18:29:59.1234567891-05:30", 1_798_761_599_123),
            ("2100-03-01 00:00:00z", 4_107_542_400_000),
        ] {
            assert_eq!(parse(text).map(|time| time.as_millis()), Some(milliseconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "x",
            "2026-12-31",
            "2026-12-31T23:59:59",
            "2026-12-31T23:59Z",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.xZ",
            "2026-01-01T00:00:00+2",
            "2026-01-01T00:00:00+99:00",
            "26-01-01T00:00:00Z",
            "2026-1-1T00:00:00Z",
            "+026-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-01-01T00:00:00Zx",
            "2026-01-01-01T00:00:00Z",
            "ü",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
