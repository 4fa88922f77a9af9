//! Numbers of JSON as C's printf and strtod have them.

/// Appends `value` as `%.*g` prints it, with `precision` digits (1 or more).
pub(super) fn percent_g(value: f64, precision: i32, out: &mut Vec<u8>) {
    if !value.is_finite() {
        let sign = if value.is_sign_negative() { "-" } else { "" };
        let word = if value.is_nan() { "nan" } else { "inf" };
        return out.extend_from_slice(format!("{sign}{word}").as_bytes());
    }
    let digits = usize::try_from(precision).unwrap_or(1).max(1);
    let text = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    let text = if exponent < -4 || exponent >= precision {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim(mantissa), exponent.unsigned_abs())
    } else {
        let places = usize::try_from(precision - 1 - exponent).unwrap_or(0);
        trim(&format!("{value:.places$}"))
    };
    out.extend_from_slice(text.as_bytes());
}

/// The number at the beginning of `text` and how many bytes it takes, as C's strtod reads it (behind no space).
pub(super) fn strtod(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let negative = text.first() == Some(&b'-');
    let rest = &text[sign..];
    let signed = |value: f64, length: usize| Some((if negative { -value } else { value }, sign + length));
    let starts =
        |word: &str| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()));
    if starts("infinity") {
        return signed(f64::INFINITY, 8);
    }
    if starts("inf") {
        return signed(f64::INFINITY, 3);
    }
    if starts("nan") {
        return signed(f64::NAN, 3);
    }
    if starts("0x")
        && let Some((value, length)) = hexadecimal(&rest[2..])
    {
        return signed(value, 2 + length);
    }
    let length = decimal_length(rest)?;
    let text = std::str::from_utf8(&rest[..length]).ok()?;
    signed(text.parse().ok()?, length)
}

/// Bytes of a decimal number with fraction and exponent; `None` if there is no digit.
fn decimal_length(text: &[u8]) -> Option<usize> {
    let digits =
        |from: usize| text.get(from..).unwrap_or_default().iter().take_while(|c| c.is_ascii_digit()).count();
    let whole = digits(0);
    let mut length = whole;
    if text.get(length) == Some(&b'.') {
        let places = digits(length + 1);
        if whole == 0 && places == 0 {
            return None;
        }
        length += 1 + places;
    } else if whole == 0 {
        return None;
    }
    if matches!(text.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(length + 1), Some(b'-' | b'+')));
        let exponent = digits(length + 1 + sign);
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    Some(length)
}

/// A hexadecimal number behind its `0x`, with fraction and binary exponent.
fn hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let digit = |c: u8| char::from(c).to_digit(16);
    let (mut value, mut places, mut length, mut digits, mut fraction) = (0_f64, 0_i32, 0, 0, false);
    for &c in text {
        match digit(c) {
            Some(n) => {
                value = value * 16.0 + f64::from(n);
                places += i32::from(fraction);
                digits += 1;
            }
            None if c == b'.' && !fraction => fraction = true,
            None => break,
        }
        length += 1;
    }
    if digits == 0 {
        return None;
    }
    let mut exponent = 0_i32;
    if matches!(text.get(length), Some(b'p' | b'P')) {
        let sign = usize::from(matches!(text.get(length + 1), Some(b'-' | b'+')));
        let from = length + 1 + sign;
        let count = text.get(from..).unwrap_or_default().iter().take_while(|c| c.is_ascii_digit()).count();
        if count > 0 {
            let digits = std::str::from_utf8(&text[from..from + count]).ok()?;
            exponent = digits.parse().unwrap_or(10_000);
            if text[length + 1] == b'-' {
                exponent = -exponent;
            }
            length = from + count;
        }
    }
    Some((value * 2_f64.powi(exponent.saturating_sub(places * 4)), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_c_prints_them() {
        for (value, precision, expected) in [
            (0.1, 14, "0.1"),
            (1e15, 14, "1e+15"),
            (1e14, 14, "1e+14"),
            (12_345_678_901_234.0, 14, "12345678901234"),
            (123_456_789_012_345_678.0, 14, "1.2345678901235e+17"),
            (-0.0, 14, "-0"),
            (0.0001, 14, "0.0001"),
            (0.00001, 14, "1e-05"),
            (1.0 / 3.0, 14, "0.33333333333333"),
            (1.0 / 3.0, 3, "0.333"),
            (1234.5, 2, "1.2e+03"),
            (9.99, 1, "1e+01"),
            (100.0, 14, "100"),
            (f64::INFINITY, 14, "inf"),
        ] {
            let mut out = Vec::new();
            percent_g(value, precision, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{value} {precision}");
        }
    }

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        for (text, expected) in [
            ("12,", Some((12.0, 2))),
            ("-1.5e3x", Some((-1500.0, 6))),
            ("1e", Some((1.0, 1))),
            (".5", Some((0.5, 2))),
            ("5.", Some((5.0, 2))),
            ("0x10", Some((16.0, 4))),
            ("0x1.8p1", Some((3.0, 7))),
            ("0x10p-4", Some((1.0, 7))),
            ("0x", Some((0.0, 1))),
            ("Infinity", Some((f64::INFINITY, 8))),
            ("-inf", Some((f64::NEG_INFINITY, 4))),
            ("-", None),
            ("x", None),
            (".", None),
        ] {
            assert_eq!(strtod(text.as_bytes()), expected, "{text}");
        }
        assert!(strtod(b"nan").unwrap().0.is_nan());
    }
}
