//! Text to numbers.

/// Reads a canonical decimal integer as the servers do: no sign but `-`, no leading zeros, no spaces.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    match text {
        [b'0'] => return Some(0),
        [b'1'..=b'9', ..] | [b'-', b'1'..=b'9', ..] if text.len() <= 20 => {}
        _ => return None,
    }
    let (negative, digits) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    digits.iter().try_fold(0_i64, |sum, c| {
        let digit = i64::from(c.checked_sub(b'0').filter(|d| *d < 10)?);
        let sum = sum.checked_mul(10)?;
        if negative { sum.checked_sub(digit) } else { sum.checked_add(digit) }
    })
}

/// Reads a double as the servers' `strtod` does: decimal with or without exponent, `inf` and `infinity` in any
/// case, hexadecimal floats. Nothing may stand before or behind it; NaN, and finite text that overflows to
/// infinity or vanishes to zero, are refused (as redis 6.0 to valkey 9.1; the last no longer reads hexadecimal).
pub fn parse_float(text: &[u8]) -> Option<f64> {
    let (negative, size) = unsigned(text);
    let value = match size {
        [b'0', b'x' | b'X', digits @ ..] => hexadecimal(digits)?,
        _ if is_infinity(size) => f64::INFINITY,
        _ => decimal(size).filter(|value| value.is_finite() && (*value != 0.0 || is_zero(size)))?,
    };
    Some(if negative { -value } else { value })
}

/// The same without hexadecimal floats.
pub fn parse_decimal_float(text: &[u8]) -> Option<f64> {
    let (_, size) = unsigned(text);
    if matches!(size, [b'0', b'x' | b'X', ..]) { None } else { parse_float(text) }
}

/// Reads the end of an interval of scores as redis 8.0 and valkey 9.1: overflow is infinity, what vanishes is zero, an
/// empty text is zero, a zero byte ends it. No spaces, no hexadecimal.
pub fn parse_decimal_bound(text: &[u8]) -> Option<f64> {
    let text = up_to_zero_byte(text);
    if text.is_empty() {
        return Some(0.0);
    }
    let (negative, size) = unsigned(text);
    parse_decimal_float(text).or_else(|| decimal(size).map(|value| if negative { -value } else { value }))
}

/// Reads the end of an interval of scores, with which the older servers are less strict: overflow is infinity, what vanishes
/// is zero, an empty text is zero, spaces in front are skipped (as redis 7.0 and valkey 8.1, not by 8.0 and 9.1).
pub fn parse_float_bound(text: &[u8]) -> Option<f64> {
    let text = up_to_zero_byte(text);
    if text.is_empty() {
        return Some(0.0);
    }
    let text = &text[text.iter().take_while(|c| c.is_ascii_whitespace() || **c == 0x0b).count()..];
    let (negative, size) = unsigned(text);
    parse_float(text).or_else(|| decimal(size).map(|value| if negative { -value } else { value }))
}

/// What C takes for the text.
fn up_to_zero_byte(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Takes one sign off; `true` for a minus.
fn unsigned(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

fn is_infinity(text: &[u8]) -> bool {
    text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity")
}

fn decimal(text: &[u8]) -> Option<f64> {
    let starts_well = matches!(text, [b'0'..=b'9' | b'.', ..]);
    std::str::from_utf8(text).ok().filter(|_| starts_well)?.parse().ok()
}

/// Whether a decimal number has no digit but zeros.
fn is_zero(text: &[u8]) -> bool {
    text.iter().take_while(|c| !matches!(c, b'e' | b'E')).all(|c| matches!(c, b'0' | b'.'))
}

/// `digits[.digits][p[+-]decimal]`, at least one digit, rounded half to even.
fn hexadecimal(text: &[u8]) -> Option<f64> {
    let mut mantissa = 0_u64;
    let mut lost = false; // anything but zeros behind the 64 bits of `mantissa`
    let mut exponent = 0_i64;
    let (mut digits, mut point) = (0_usize, false);
    let mut rest = text;
    while let [c, tail @ ..] = rest {
        match (char::from(*c).to_digit(16), *c) {
            (Some(digit), _) => {
                digits += 1;
                if mantissa >> 60 == 0 {
                    mantissa = mantissa << 4 | u64::from(digit);
                    exponent -= if point { 4 } else { 0 };
                } else {
                    lost |= digit != 0;
                    exponent += if point { 0 } else { 4 };
                }
            }
            (None, b'.') if !point => point = true,
            _ => break,
        }
        rest = tail;
    }
    if digits == 0 {
        return None;
    }
    let exponent = exponent.saturating_add(binary_exponent(rest)?);
    if mantissa == 0 { Some(0.0) } else { scale(mantissa, lost, exponent) }
}

/// `p12`, `P-3`, or nothing; sizes beyond any double are cut.
fn binary_exponent(text: &[u8]) -> Option<i64> {
    let digits = match text {
        [] => return Some(0),
        [b'p' | b'P', b'+' | b'-', digits @ ..] | [b'p' | b'P', digits @ ..] => digits,
        _ => return None,
    };
    if digits.is_empty() {
        return None;
    }
    let size = digits.iter().try_fold(0_i64, |sum, c| {
        let digit = i64::from(c.checked_sub(b'0').filter(|d| *d < 10)?);
        Some((sum * 10 + digit).min(1 << 40))
    })?;
    Some(if text.get(1) == Some(&b'-') { -size } else { size })
}

/// `mantissa` (not zero, a little more if `lost`) times 2^`exponent`; `None` if it overflows or vanishes.
fn scale(mantissa: u64, lost: bool, exponent: i64) -> Option<f64> {
    let shift = mantissa.leading_zeros();
    let exponent = exponent.saturating_sub(i64::from(shift));
    let top = exponent.saturating_add(63);
    // 64 bits are at hand; 53 can be kept, fewer below the smallest normal number
    let drop = 11 + (-1022 - top).max(0);
    if drop > 64 {
        return None;
    }
    let wide = u128::from(mantissa << shift) << 1 | u128::from(lost);
    let drop = u32::try_from(drop).ok()? + 1;
    let (kept, rest) = (wide >> drop, wide & ((1 << drop) - 1));
    let half = 1_u128 << (drop - 1);
    let kept = kept + u128::from(rest > half || (rest == half && kept & 1 == 1));
    let unit = i32::try_from(exponent + i64::from(drop) - 1).ok().filter(|unit| *unit <= 1023)?;
    let value = kept as f64 * power_of_two(unit);
    (value.is_finite() && value != 0.0).then_some(value)
}

/// 2^`exponent` for -1074 to 1023.
fn power_of_two(exponent: i32) -> f64 {
    let bits = if exponent < -1022 { 1 << (exponent + 1074) } else { ((exponent + 1023) as u64) << 52 };
    f64::from_bits(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_canonical_text_only() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-0", None),
            ("+1", None),
            ("01", None),
            (" 1", None),
            ("1 ", None),
            ("", None),
            ("-", None),
            ("1e3", None),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), expected, "{text:?}");
        }
    }

    /// What redis 6.0 to 8.0 answered to `ZADD k INCR <text> m`.
    #[test]
    fn floats_are_read_as_the_servers_read_them() {
        for (text, expected) in [
            ("1e3", 1000.0),
            ("1E3", 1000.0),
            ("inf", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
            ("Infinity", f64::INFINITY),
            ("+5", 5.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("00012", 12.0),
            ("1e05", 100_000.0),
            ("0e999999", 0.0),
            ("1e-320", 1e-320),
            ("5e-324", 5e-324),
            ("2.4703282292062328e-324", 5e-324),
            ("0x10", 16.0),
            ("0X1F", 31.0),
            ("0x1p4", 16.0),
            ("0x.8p1", 1.0),
            ("-0x1p-2", -0.25),
            ("0x1.fffffffffffff8p0", 2.0),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080000000000001p0", 1.0 + f64::EPSILON),
            ("0x1p-1074", 5e-324),
            ("0x1.8p-1075", 5e-324),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("0x10000000000000000000p-76", 1.0),
            ("0x0p99999", 0.0),
        ] {
            assert_eq!(parse_float(text.as_bytes()), Some(expected), "{text:?}");
        }
        assert!(parse_float(b"-0").is_some_and(|zero| zero == 0.0 && zero.is_sign_negative()));
    }

    /// What redis 7.0 answered to `ZCOUNT k <text> 2`.
    #[test]
    fn bounds_are_read_less_strictly() {
        for (text, expected) in [
            ("", Some(0.0)),
            (" 1", Some(1.0)),
            ("\t-inf", Some(f64::NEG_INFINITY)),
            ("1e400", Some(f64::INFINITY)),
            ("-1e400", Some(f64::NEG_INFINITY)),
            ("1e-400", Some(0.0)),
            ("0x10", Some(16.0)),
            (" ", None),
            ("1 ", None),
            ("nan", None),
            ("-", None),
            ("+-1", None),
        ] {
            assert_eq!(parse_float_bound(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn floats_that_the_servers_refuse_are_refused() {
        for text in [
            "",
            ".",
            "nan",
            "-nan",
            "nan(1)",
            "1e",
            "1e+",
            "1e400",
            "-1e400",
            "1e-400",
            "2e-324",
            " 1",
            "1 ",
            "1_0",
            "1f",
            "in",
            "infin",
            "infinityx",
            "+-1",
            "0x",
            "0x.",
            "0x1p",
            "0x1p+",
            "0x1.g",
            "0x1p5000",
            "0x1p-2000",
            "0x1p-1075",
            "0x1p1024",
            "0x1.fffffffffffff8p1023",
            "0b1",
            "e5",
            "0x1p99999999999999999999",
            "1\0",
        ] {
            assert_eq!(parse_float(text.as_bytes()), None, "{text:?}");
        }
    }
}
