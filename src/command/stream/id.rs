//! Ids as they are written in requests: `ms`, `ms-seq`, and the special forms of ranges.

use crate::dataset::stream::StreamId;
use crate::resp::number;
use crate::resp::refusal::Refusal;

/// Longest text of an id (as redis: the buffer of `streamGenericParseIDOrReply`).
const ID_BYTES_MAX: usize = 127;

pub(super) const INVALID_ID: Refusal =
    Refusal(std::borrow::Cow::Borrowed("ERR Invalid stream ID specified as stream command argument"));

/// An id without special forms; a missing sequence is 0.
pub(super) fn strict(text: &[u8]) -> Result<StreamId, Refusal> {
    parse(text, 0).ok_or(INVALID_ID)
}

/// The lower end of a range: `-`, `+`, an id, or `(` and an id that is not part of it.
pub(super) fn range_start(text: &[u8]) -> Result<StreamId, Refusal> {
    let (id, excluded) = range_end(text, 0)?;
    if excluded { id.next().ok_or(Refusal::text("ERR invalid start ID for the interval")) } else { Ok(id) }
}

/// The upper end of a range. A missing sequence is the greatest.
pub(super) fn range_stop(text: &[u8]) -> Result<StreamId, Refusal> {
    let (id, excluded) = range_end(text, u64::MAX)?;
    if excluded { id.previous().ok_or(Refusal::text("ERR invalid end ID for the interval")) } else { Ok(id) }
}

fn range_end(text: &[u8], missing_seq: u64) -> Result<(StreamId, bool), Refusal> {
    let (id, excluded) = match text {
        [b'(', rest @ ..] if !rest.is_empty() => (parse(rest, missing_seq), true),
        b"-" => (Some(StreamId::MIN), false),
        b"+" => (Some(StreamId::MAX), false),
        _ => (parse(text, missing_seq), false),
    };
    id.map(|id| (id, excluded)).ok_or(INVALID_ID)
}

fn parse(text: &[u8], missing_seq: u64) -> Option<StreamId> {
    if text.len() > ID_BYTES_MAX {
        return None;
    }
    // The servers see a C string here.
    let text = text.split(|&c| c == 0).next()?;
    let mut parts = text.splitn(2, |&c| c == b'-');
    let ms = number_of(parts.next()?)?;
    let seq = parts.next().map_or(Some(missing_seq), number_of)?;
    Some(StreamId { ms, seq })
}

/// A number as the servers' `string2ull` reads it. Ids arrive in the stream as the client wrote them, so what C's
/// `strtoull` takes must be taken here: white space in front, a sign, leading zeros.
fn number_of(text: &[u8]) -> Option<u64> {
    if let Some(n) = number::parse_integer(text) {
        return u64::try_from(n).ok();
    }
    let text = match text.iter().position(|c| !matches!(c, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r'))? {
        0 => text,
        blank => text.get(blank..)?,
    };
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let n = digits.iter().try_fold(0_u64, |sum, c| {
        let digit = c.checked_sub(b'0').filter(|digit| *digit < 10)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })?;
    Some(if negative { n.wrapping_neg() } else { n })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ids_as_redis_8_0_does() {
        for (text, expected) in [
            ("5", Some((5, 0))),
            ("5-7", Some((5, 7))),
            ("007-08", Some((7, 8))),
            (" 5-1", Some((5, 1))),
            ("+5", Some((5, 0))),
            ("5--05", Some((5, u64::MAX - 4))),
            ("18446744073709551615-18446744073709551615", Some((u64::MAX, u64::MAX))),
            ("18446744073709551616", None),
            ("-", None),
            ("+", None),
            ("*", None),
            ("5-*", None),
            ("5-", None),
            ("-5", None),
            ("5--5", None),
            ("1-1 ", None),
            ("", None),
        ] {
            let expected = expected.map(|(ms, seq)| StreamId::new(ms, seq)).ok_or(INVALID_ID);
            assert_eq!(strict(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(strict(&[b'0'; 127]), Ok(StreamId::MIN));
        assert_eq!(strict(&[b'0'; 128]), Err(INVALID_ID));
        assert_eq!(strict(b"5-1\0x"), Ok(StreamId::new(5, 1)));
    }

    #[test]
    fn ends_of_ranges_may_be_open_or_excluded() {
        assert_eq!(range_start(b"-"), Ok(StreamId::MIN));
        assert_eq!(range_stop(b"+"), Ok(StreamId::MAX));
        assert_eq!(range_start(b"5"), Ok(StreamId::new(5, 0)));
        assert_eq!(range_stop(b"5"), Ok(StreamId::new(5, u64::MAX)));
        assert_eq!(range_start(b"(5"), Ok(StreamId::new(5, 1)));
        assert_eq!(range_stop(b"(5-0"), Ok(StreamId::new(4, u64::MAX)));
        assert!(range_start(b"(").is_err() && range_start(b"(-").is_err() && range_stop(b"(0-0").is_err());
    }
}
