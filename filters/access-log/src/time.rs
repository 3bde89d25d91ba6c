//! Times, durations and numbers as text.

use host::Host;

const PER_SECOND: i64 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Current time in nanoseconds since 1970.
pub fn nanoseconds(host: &impl Host) -> i64 {
    host.wall_time().and_then(|time| i64::try_from(time.as_nanos()).ok()).unwrap_or(0)
}

/// RFC 3339 in UTC, from nanoseconds since 1970, with `digits` of a second; the rest is cut off:
/// `2018-11-26T09:00:46.541292Z`.
pub fn rfc3339(output: &mut Vec<u8>, nanoseconds: i64, digits: usize) {
    let seconds = nanoseconds.div_euclid(PER_SECOND);
    let fraction = nanoseconds.rem_euclid(PER_SECOND);
    let (year, month, day) = date(seconds.div_euclid(SECONDS_PER_DAY));
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    padded(output, year, 4);
    for (separator, number) in [
        (b'-', month),
        (b'-', day),
        (b'T', of_day.div_euclid(3600)),
        (b':', of_day.div_euclid(60).rem_euclid(60)),
        (b':', of_day.rem_euclid(60)),
    ] {
        output.push(separator);
        padded(output, number, 2);
    }
    if digits > 0 {
        output.push(b'.');
        let start = output.len();
        padded(output, fraction, 9);
        output.truncate(start.saturating_add(digits));
    }
    output.push(b'Z');
}

/// A duration in Go's form: `0s`, `100ns`, `150µs`, `2.245269ms`, `1.5s`, `1m2.5s`, `1h0m0s`.
pub fn go_duration(output: &mut Vec<u8>, nanoseconds: i64) {
    if nanoseconds < 0 {
        output.push(b'-');
    }
    let nanoseconds = nanoseconds.saturating_abs();
    let (unit, per_unit) = match nanoseconds {
        0 => ("s", PER_SECOND),
        1..1_000 => ("ns", 1),
        1_000..1_000_000 => ("µs", 1_000),
        1_000_000..PER_SECOND => ("ms", 1_000_000),
        _ => {
            let minutes = nanoseconds.div_euclid(60 * PER_SECOND);
            if minutes >= 60 {
                integer(output, minutes.div_euclid(60));
                output.push(b'h');
            }
            if minutes > 0 {
                integer(output, minutes.rem_euclid(60));
                output.push(b'm');
            }
            decimal(output, nanoseconds.rem_euclid(60 * PER_SECOND), PER_SECOND);
            output.push(b's');
            return;
        }
    };
    decimal(output, nanoseconds, per_unit);
    output.extend_from_slice(unit.as_bytes());
}

/// `number / per_unit`, exactly; `per_unit` is a power of ten.
pub fn decimal(output: &mut Vec<u8>, number: i64, per_unit: i64) {
    if number < 0 {
        output.push(b'-');
    }
    let number = number.saturating_abs();
    integer(output, number.checked_div(per_unit).unwrap_or(number));
    let mut rest = number.checked_rem(per_unit).unwrap_or(0);
    let mut unit = per_unit;
    if rest > 0 {
        output.push(b'.');
    }
    while rest > 0 {
        unit = unit.div_euclid(10).max(1);
        let digit = rest.div_euclid(unit).rem_euclid(10);
        output.push(b'0'.saturating_add(u8::try_from(digit).unwrap_or(0)));
        rest = rest.rem_euclid(unit);
    }
}

/// A number with at most nine decimals. Numbers too large for that have none; a value that is not a number is `null`. The
/// standard library would write all digits, but its code for that is larger than the rest of this crate's.
pub fn double(output: &mut Vec<u8>, number: f64) {
    const LARGEST: f64 = 9.0e18;
    let (small, whole) = (number * 1e9, number.round());
    if small.abs() < LARGEST {
        decimal(output, small.round() as i64, PER_SECOND);
    } else if whole.abs() < LARGEST {
        integer(output, whole as i64);
    } else {
        output.extend_from_slice(b"null");
    }
}

/// An integer.
pub fn integer(output: &mut Vec<u8>, number: i64) {
    let mut digits = [0u8; 20];
    let mut rest = number.unsigned_abs();
    let mut used = 0usize;
    for place in digits.iter_mut().rev() {
        *place = b'0'.saturating_add(u8::try_from(rest.rem_euclid(10)).unwrap_or(0));
        rest = rest.div_euclid(10);
        used = used.saturating_add(1);
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        output.push(b'-');
    }
    output.extend_from_slice(digits.get(digits.len().saturating_sub(used)..).unwrap_or_default());
}

/// A non-negative number with at least `width` digits.
fn padded(output: &mut Vec<u8>, number: i64, width: usize) {
    let digits = core::iter::successors(Some(number.div_euclid(10)), |rest| (*rest > 0).then_some(rest.div_euclid(10)));
    let used = digits.take_while(|rest| *rest > 0).count().saturating_add(1);
    output.extend(core::iter::repeat_n(b'0', width.saturating_sub(used)));
    integer(output, number);
}

/// Year, month and day of a day since 1970, in the Gregorian calendar. Years begin in March, so that a leap day is the last
/// day of a year.
fn date(days: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097; // 400 years
    let days = days.saturating_add(719_468); // since 0000-03-01
    let era = days.div_euclid(DAYS_PER_ERA);
    let of_era = days.rem_euclid(DAYS_PER_ERA);
    let leap_days =
        of_era.div_euclid(1_460).saturating_sub(of_era.div_euclid(36_524)).saturating_add(of_era.div_euclid(146_096));
    let year_of_era = of_era.saturating_sub(leap_days).div_euclid(365);
    let days_before = year_of_era
        .saturating_mul(365)
        .saturating_add(year_of_era.div_euclid(4))
        .saturating_sub(year_of_era.div_euclid(100));
    let of_year = of_era.saturating_sub(days_before);
    let month_from_march = of_year.saturating_mul(5).saturating_add(2).div_euclid(153);
    let day =
        of_year.saturating_sub(month_from_march.saturating_mul(153).saturating_add(2).div_euclid(5)).saturating_add(1);
    let month =
        if month_from_march < 10 { month_from_march.saturating_add(3) } else { month_from_march.saturating_sub(9) };
    let year = era.saturating_mul(400).saturating_add(year_of_era).saturating_add(i64::from(month <= 2));
    (year, month, day)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut output = Vec::new();
        write(&mut output);
        String::from_utf8(output).expect("UTF-8")
    }

    #[test]
    fn times_are_utc_and_cut_off() {
        for (seconds, nanoseconds, digits, expected) in [
            (1_543_222_846, 541_292_999, 6, "2018-11-26T09:00:46.541292Z"),
            (1_543_222_846, 541_999_999, 3, "2018-11-26T09:00:46.541Z"),
            (0, 0, 0, "1970-01-01T00:00:00Z"),
            (951_782_399, 0, 3, "2000-02-28T23:59:59.000Z"),
            (951_782_400, 0, 3, "2000-02-29T00:00:00.000Z"),
            (4_107_542_400, 0, 0, "2100-03-01T00:00:00Z"),
            (-1, 0, 0, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(text(|output| rfc3339(output, seconds * PER_SECOND + nanoseconds, digits)), expected);
        }
    }

    #[test]
    fn durations_are_written_as_go_does() {
        for (nanoseconds, expected) in [
            (0, "0s"),
            (100, "100ns"),
            (150_000, "150µs"),
            (1_500, "1.5µs"),
            (2_245_269, "2.245269ms"),
            (1_500_000_000, "1.5s"),
            (62_500_000_000, "1m2.5s"),
            (3_723_004_000_000, "1h2m3.004s"),
            (3_600_000_000_000, "1h0m0s"),
            (-1_000_000, "-1ms"),
        ] {
            assert_eq!(text(|output| go_duration(output, nanoseconds)), expected);
        }
    }

    #[test]
    fn numbers_are_exact() {
        for number in [0, 7, -7, 1_234_567_890, i64::MAX, i64::MIN] {
            assert_eq!(text(|output| integer(output, number)), number.to_string());
        }
        assert_eq!(text(|output| decimal(output, 1_000_000_001, PER_SECOND)), "1.000000001");
        assert_eq!(text(|output| decimal(output, -2_500, 1_000)), "-2.5");
        for (number, expected) in [
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (1.0, "1"),
            (1e-10, "0"),
            (1.0 / 3.0, "0.333333333"),
            (12_345_678_901.5, "12345678902"),
            (1e300, "null"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(text(|output| double(output, number)), expected);
        }
    }
}
