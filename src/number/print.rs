//! Doubles to text.

use super::grisu::Decimal;
use std::fmt::Write;

/// One printed double; no allocation.
#[derive(Clone, Copy, Debug)]
pub struct DoubleText {
    bytes: [u8; DOUBLE_BYTES_MAX],
    len: usize,
}

/// Longer than any of the spellings: 18 digits, a sign, a point, five zeros or an exponent, or 25 places.
const DOUBLE_BYTES_MAX: usize = 40;

/// Doubles below the second number that are multiples of one part in the first have six digits before the point and
/// these behind it at most.
const BINARY_FRACTION: f64 = 1024.0;
const BINARY_FRACTION_DIGITS: usize = 10;
const BINARY_FRACTION_BELOW: f64 = 1e6;

impl DoubleText {
    fn new() -> Self {
        Self { bytes: [0; DOUBLE_BYTES_MAX], len: 0 }
    }

    /// As C's `%.17g` (redis 6 and 7).
    pub fn percent_17g(value: f64) -> Self {
        let mut text = Self::new();
        if !text.special(value) {
            text.percent_17g_digits(value);
        }
        text
    }

    /// Grisu2 digits (DEBUG DIGEST of redis 8 and valkey 8).
    pub fn shortest(value: f64) -> Self {
        let mut text = Self::new();
        if !text.special(value) {
            text.shortest_digits(value);
        }
        text
    }

    /// Whole numbers within 2^62 as integers, else Grisu2 digits (replies of redis 8 and valkey 8). What is no number has no
    /// sign there, whatever the processor has given it.
    pub fn shortest_reply(value: f64) -> Self {
        match whole(value) {
            _ if value.is_nan() => Self::shortest(f64::NAN),
            Some(n) if !(n == 0 && value.is_sign_negative()) => Self::integer(n),
            _ => Self::shortest(value),
        }
    }

    /// An integer (scores that are packed as such).
    pub fn integer(n: i64) -> Self {
        let mut text = Self::new();
        text.extend(itoa::Buffer::new().format(n).as_bytes());
        text
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, byte: u8) {
        self.extend(&[byte]);
    }

    fn extend(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }

    fn zeros(&mut self, n: usize) {
        (0..n).for_each(|_| self.push(b'0'));
    }

    /// Writes what has no digits.
    fn special(&mut self, value: f64) -> bool {
        let sign = if value.is_sign_negative() { "-" } else { "" };
        let word = match value {
            _ if value.is_nan() => "nan",
            _ if value.is_infinite() => "inf",
            _ if value == 0.0 => "0",
            _ => return false,
        };
        self.extend(sign.as_bytes());
        self.extend(word.as_bytes());
        true
    }

    fn percent_17g_digits(&mut self, value: f64) {
        if value.abs() < 1e15 && value.trunc() == value {
            return self.extend(itoa::Buffer::new().format(value as i64).as_bytes());
        }
        if value.abs() < BINARY_FRACTION_BELOW && (value * BINARY_FRACTION).trunc() == value * BINARY_FRACTION {
            return self.binary_fraction(value);
        }
        let mut exact = Self::new(); // d.dddddddddddddddde-123
        write!(exact, "{:.16e}", value.abs()).expect("23 bytes fit");
        let exact = exact.as_bytes();
        let split = exact.iter().position(|&c| c == b'e').unwrap_or(exact.len());
        let exponent = super::parse_integer(exact.get(split + 1..).unwrap_or_default()).unwrap_or(0) as i32;
        let mut digits = [0_u8; 17];
        digits[0] = exact[0];
        digits[1..].copy_from_slice(&exact[2..18]);
        let n = digits.iter().rposition(|&c| c != b'0').map_or(1, |last| last + 1);
        if value.is_sign_negative() {
            self.push(b'-');
        }
        if (-4..17).contains(&exponent) {
            self.plain(&digits[..n], exponent + 1);
        } else {
            self.scientific(&digits[..n], exponent, 2);
        }
    }

    /// A multiple of 1/1024 with all of its digits, 16 at most, so nothing is rounded. Scores like 7.5 are frequent,
    /// and the general way is at its slowest with them (ten of them cost 3 µs).
    fn binary_fraction(&mut self, value: f64) {
        if value.is_sign_negative() {
            self.push(b'-');
        }
        self.extend(itoa::Buffer::new().format(value.abs() as u64).as_bytes());
        let parts = (value.abs().fract() * BINARY_FRACTION) as u64;
        let mut decimals = [b'0'; BINARY_FRACTION_DIGITS];
        let mut left = parts * 10_u64.pow(BINARY_FRACTION_DIGITS as u32) / BINARY_FRACTION as u64;
        for digit in decimals.iter_mut().rev() {
            *digit += (left % 10) as u8;
            left /= 10;
        }
        let n = decimals.iter().rposition(|&c| c != b'0').map_or(0, |last| last + 1);
        self.push(b'.');
        self.extend(&decimals[..n]);
    }

    /// The layout of the servers' own printer: plain where that is not much longer.
    fn shortest_digits(&mut self, value: f64) {
        let decimal = Decimal::of(value);
        let (mut digits, mut n) = ([0_u8; super::grisu::DIGITS_MAX], 0);
        for (to, digit) in digits.iter_mut().zip(decimal.digits()) {
            *to = digit + b'0';
            n += 1;
        }
        let exponent = decimal.exponent + n as i32 - 1;
        let size = exponent.unsigned_abs() as usize;
        let negative = value.is_sign_negative();
        if negative {
            self.push(b'-');
        }
        let plain = if decimal.exponent >= 0 { size < n + 7 } else { decimal.exponent > -7 || size < 4 };
        if plain {
            self.plain(&digits[..n], exponent + 1);
        } else {
            self.scientific(&digits[..n.min(18 - usize::from(negative))], exponent, 1);
        }
    }

    /// `digits` with the point behind the first `point` of them; zeros fill the gap.
    fn plain(&mut self, digits: &[u8], point: i32) {
        let before = usize::try_from(point).unwrap_or(0);
        if before >= digits.len() {
            self.extend(digits);
            return self.zeros(before - digits.len());
        }
        if before == 0 {
            self.push(b'0');
        }
        self.extend(&digits[..before]);
        self.push(b'.');
        self.zeros(point.min(0).unsigned_abs() as usize);
        self.extend(&digits[before..]);
    }

    /// `d.ddde+12`, the exponent at least `width` digits wide.
    fn scientific(&mut self, digits: &[u8], exponent: i32, width: usize) {
        self.extend(&digits[..1]);
        if digits.len() > 1 {
            self.push(b'.');
            self.extend(&digits[1..]);
        }
        self.push(b'e');
        self.push(if exponent < 0 { b'-' } else { b'+' });
        let mut size = itoa::Buffer::new();
        let size = size.format(exponent.unsigned_abs());
        self.zeros(width.saturating_sub(size.len()));
        self.extend(size.as_bytes());
    }
}

impl Default for DoubleText {
    /// The empty text.
    fn default() -> Self {
        Self::new()
    }
}

impl Write for DoubleText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.extend(text.as_bytes());
        Ok(())
    }
}

/// The integer that a double is, within 2^62 (as redis 7.2 and later: these are printed and packed as integers).
/// Minus zero is 0.
pub fn whole(value: f64) -> Option<i64> {
    const LIMIT: f64 = (1_i64 << 62) as f64;
    ((-LIMIT..=LIMIT).contains(&value) && value.trunc() == value).then_some(value as i64)
}

/// Appends `value` as C's `%.17g` prints it (redis 6 and 7: replies and digest).
pub fn percent_17g(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(DoubleText::percent_17g(value).as_bytes());
}

/// Appends `value` as DEBUG DIGEST of redis 8 and valkey 8 has it: Grisu2 digits. Replies of the same servers print
/// whole numbers as integers instead, see `DoubleText::shortest_reply`.
pub fn shortest(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(DoubleText::shortest(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by a Python model that agreed with real servers on every line (`ZADD k <score> m`, `ZSCORE`).
    const DOUBLES: &str = include_str!("../../tests/data/doubles.tsv");

    #[test]
    fn thousands_of_doubles_print_as_the_servers_print_them() {
        let mut seen = 0;
        for line in DOUBLES.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [bits, percent, digest, reply] = fields[..] else { panic!("{line}") };
            let value = f64::from_bits(u64::from_str_radix(bits, 16).expect("bits in hexadecimal"));
            let text = |text: DoubleText| String::from_utf8(text.as_bytes().to_vec()).expect("ASCII");
            assert_eq!(text(DoubleText::percent_17g(value)), percent, "%.17g of {bits}");
            assert_eq!(text(DoubleText::shortest(value)), digest, "digest form of {bits}");
            assert_eq!(text(DoubleText::shortest_reply(value)), reply, "reply form of {bits}");
            seen += 1;
        }
        assert!(seen > 2000);
    }

    #[test]
    fn binary_fractions_print_as_the_general_way_prints_them() {
        let mut random = fastrand::Rng::with_seed(10);
        for step in 0..20_000 {
            let value = random.i64(-1_023_999_999..1_024_000_000) as f64 / f64::from(1_u32 << random.u8(0..11));
            if value.trunc() == value {
                continue;
            }
            let text = String::from_utf8(DoubleText::percent_17g(value).as_bytes().to_vec()).expect("ASCII");
            let exact = format!("{value:.16e}");
            let (digits, exponent) = exact.split_once('e').expect("an exponent");
            assert_eq!(format!("{:.16e}", text.parse::<f64>().expect("a number")), exact, "step {step}");
            let significant = digits.replace(['.', '-'], "");
            let shown = text.replace(['.', '-'], "");
            assert_eq!(shown.trim_start_matches('0'), significant.trim_end_matches('0'), "{value} {exponent}");
        }
    }

    #[test]
    fn every_text_reads_back_as_the_same_double() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..20_000 {
            let value = f64::from_bits(random.u64(..));
            if value.is_nan() {
                continue;
            }
            for text in [DoubleText::percent_17g(value), DoubleText::shortest(value)] {
                let back = crate::number::parse_float(text.as_bytes());
                assert_eq!(back, Some(value), "{:?}, seed {seed}", String::from_utf8_lossy(text.as_bytes()));
            }
        }
    }
}
