//! Times in arguments: seconds or milliseconds, relative to now or absolute.

use crate::clock::UnixMs;
use crate::resp::number;
use crate::resp::refusal::Refusal;

/// What a time is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Milliseconds,
}

impl Unit {
    fn in_ms(self, value: i64) -> Option<i64> {
        match self {
            Self::Seconds => value.checked_mul(1000),
            Self::Milliseconds => Some(value),
        }
    }
}

/// The time that an option such as `EX 100` or `PXAT 1700000000000` names; `base` is the time it counts from, or
/// `None` for absolute ones. Zero, negative and overflowing times are refused; times in the past are not.
pub fn deadline(text: &[u8], unit: Unit, base: Option<UnixMs>, command: &str) -> Result<UnixMs, Refusal> {
    let value = number::parse_integer(text).ok_or(Refusal::NOT_AN_INTEGER)?;
    if value <= 0 {
        return Err(invalid(command));
    }
    sum(value, unit, base).ok_or_else(|| invalid(command))
}

/// The time that EXPIRE and its kin name: as [`deadline`], but any integer is good, and what lies before 1970
/// counts as 1970 (both have passed).
pub fn moment(text: &[u8], unit: Unit, base: Option<UnixMs>, command: &str) -> Result<UnixMs, Refusal> {
    let value = number::parse_integer(text).ok_or(Refusal::NOT_AN_INTEGER)?;
    let at = sum(value, unit, base).ok_or_else(|| invalid(command))?;
    Ok(at.max(UnixMs(0)))
}

fn sum(value: i64, unit: Unit, base: Option<UnixMs>) -> Option<UnixMs> {
    base.unwrap_or(UnixMs(0)).checked_add(unit.in_ms(value)?)
}

fn invalid(command: &str) -> Refusal {
    Refusal::text(format!("ERR invalid expire time in '{command}' command"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_summed_without_overflow() {
        let now = UnixMs(1_000_000);
        let check = |text: &str, unit, base, expected: Option<i64>| {
            assert_eq!(deadline(text.as_bytes(), unit, base, "set").ok(), expected.map(UnixMs), "{text}");
        };
        check("100", Unit::Seconds, Some(now), Some(1_100_000));
        check("100", Unit::Milliseconds, Some(now), Some(1_000_100));
        check("100", Unit::Seconds, None, Some(100_000));
        check("0", Unit::Seconds, Some(now), None);
        check("-1", Unit::Milliseconds, None, None);
        check("x", Unit::Milliseconds, None, None);
        check("9223372036854775807", Unit::Seconds, None, None);
        check("9223372036854775807", Unit::Milliseconds, Some(now), None);
        check("9223372036854775807", Unit::Milliseconds, None, Some(i64::MAX));
    }

    #[test]
    fn expire_takes_times_of_the_past() {
        let now = UnixMs(1_000_000);
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(moment(text.as_bytes(), Unit::Seconds, Some(now), "expire").ok(), expected.map(UnixMs));
        };
        check("-1", Some(999_000));
        check("-5000", Some(0));
        check("9223372036854775807", None);
        check("-9223372036854775808", None);
    }
}
