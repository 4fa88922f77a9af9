//! Ranges of a string's bytes.

use std::ops::Range;

/// The bytes from `start` to `end`, both included, negative ones counted from the end, as GETRANGE and BITCOUNT
/// understand them: what lies before the string counts as its first byte, what lies behind as its last. Empty
/// where the start is behind the end, also if both lie before the string.
pub fn byte_range(start: i64, end: i64, len: usize) -> Range<usize> {
    if start < 0 && end < 0 && start > end { 0..0 } else { clamped_range(start, end, len) }
}

/// The same as BITPOS understands it: two ends before the string are both its first byte, in either order.
pub fn clamped_range(start: i64, end: i64, len: usize) -> Range<usize> {
    let (start, end) = (from_end(start, len), from_end(end, len).min(len.saturating_sub(1)));
    if start > end || len == 0 { 0..0 } else { start..end + 1 }
}

/// A position, counted from the end if it is negative, not before 0.
fn from_end(position: i64, len: usize) -> usize {
    match usize::try_from(position) {
        Ok(position) => position,
        Err(_) => len.saturating_sub(usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clamped_as_getrange_does() {
        let check = |start, end, expected| assert_eq!(byte_range(start, end, 5), expected, "{start} {end}");
        check(0, -1, 0..5);
        check(1, 3, 1..4);
        check(-2, -1, 3..5);
        check(-1, -2, 0..0);
        check(0, -100, 0..1);
        check(-100, 100, 0..5);
        check(5, 9, 0..0);
        check(i64::MIN, i64::MAX, 0..5);
        check(i64::MAX, i64::MIN, 0..0);
        check(-7, -9, 0..0);
        assert_eq!(byte_range(0, -1, 0), 0..0);
        assert_eq!(clamped_range(-7, -9, 5), 0..1);
        assert_eq!(clamped_range(-1, -2, 5), 0..0);
        assert_eq!(clamped_range(0, -1, 0), 0..0);
    }
}
