//! Reads of bits.

use super::offset;
use crate::command::args::Args;
use crate::command::context::ReadCx;
use crate::dataset::bits;
use crate::dataset::string::{byte_range, clamped_range};
use crate::number;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use std::ops::Range;

pub(super) fn getbit(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let (key, offset) = (args.require()?, offset(args)?);
    out.flag(bits::get(cx.string(key)?.unwrap_or_default(), offset));
    Ok(())
}

/// A range as given: start, end, and whether both count bits.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: i64,
    end: Option<i64>,
    in_bits: bool,
}

impl Span {
    /// `[start [end [BYTE|BIT]]]`; without any, the whole string. A wrong unit is told of before a wrong end if
    /// `unit_first`, and too many words before all.
    fn parse(args: &mut Args<'_>, unit_first: bool) -> Result<Self, Refusal> {
        let mut span = Self { start: 0, end: None, in_bits: false };
        if args.remaining() > 3 {
            return Err(Refusal::SYNTAX);
        }
        if args.remaining() > 0 {
            span.start = args.integer()?;
        }
        if let Some(end) = args.optional() {
            let end = number::parse_integer(end).ok_or(Refusal::NOT_AN_INTEGER);
            if !unit_first {
                end.clone()?;
            }
            span.in_bits = args.take("bit");
            if !span.in_bits && !args.is_empty() && !args.take("byte") {
                return Err(Refusal::SYNTAX);
            }
            span.end = Some(end?);
        }
        Ok(span)
    }

    /// The bits that are meant in a string of `len` bytes, where `range` says what is within a length.
    fn bits(self, len: usize, range: fn(i64, i64, usize) -> Range<usize>) -> Range<usize> {
        let end = self.end.unwrap_or(-1);
        if self.in_bits {
            range(self.start, end, len * 8)
        } else {
            let bytes = range(self.start, end, len);
            bytes.start * 8..bytes.end * 8
        }
    }
}

pub(super) fn bitcount(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let key = args.require()?;
    let valkey = cx.dialect().is_valkey();
    // Valkey 8 made the end optional.
    if args.remaining() == 1 && !valkey {
        return Err(Refusal::SYNTAX);
    }
    let span = Span::parse(args, valkey)?;
    let bytes = cx.string(key)?.unwrap_or_default();
    let ones = bits::count(bytes, span.bits(bytes.len(), byte_range));
    out.integer(i64::try_from(ones).unwrap_or(i64::MAX));
    Ok(())
}

/// Where no end is given, the string goes on with zeros for ever.
pub(super) fn bitpos(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let (key, bit) = (args.require()?, args.integer()?);
    if !(0..=1).contains(&bit) {
        return Err(Refusal::text("ERR The bit argument must be 1 or 0."));
    }
    let (bit, span) = (bit == 1, Span::parse(args, true)?);
    let Some(bytes) = cx.string(key)? else {
        out.integer(if bit { -1 } else { 0 });
        return Ok(());
    };
    let range = span.bits(bytes.len(), clamped_range);
    match bits::find(bytes, bit, range.clone()) {
        Some(offset) => out.count(offset),
        None if !bit && span.end.is_none() && !range.is_empty() => out.count(bytes.len() * 8),
        None => out.integer(-1),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;

    #[test]
    fn reads_answer_as_redis_does() {
        let bench = Bench::after(&[
            "SET k \"\\x0f\\xff\\x00\\x80\"",
            "SET ones \"\\xff\\xff\"",
            "SET e \"\"",
            "RPUSH l a",
        ]);
        let check = |line: &str, expected: &str| assert_eq!(bench.ask(line), expected, "{line}");
        check("GETBIT k 4", ":1");
        check("GETBIT k 3", ":0");
        check("GETBIT k 1000", ":0");
        check("GETBIT k -1", "-ERR bit offset is not an integer or out of range");
        check("GETBIT k 4294967296", "-ERR bit offset is not an integer or out of range");
        check("BITCOUNT k", ":13");
        check("BITCOUNT k 1 1", ":8");
        check("BITCOUNT k 5 8 BIT", ":4");
        check("BITCOUNT k 1", "-ERR syntax error");
        check("BITCOUNT missing 0 1", ":0");
        check("BITPOS k 1", ":4");
        check("BITPOS k 0 1", ":16");
        check("BITPOS k 1 2 2", ":-1");
        check("BITPOS k 1 17 -1 BIT", ":24");
        check("BITPOS ones 0", ":16");
        check("BITPOS ones 0 0 -1", ":-1");
        check("BITPOS ones 0 2", ":-1");
        check("BITPOS ones 1 -5 -9", ":0");
        check("BITCOUNT ones -5 -9", ":0");
        check("BITPOS missing 0", ":0");
        check("BITPOS missing 1", ":-1");
        // Servers up to 7.0 look the key up first.
        check("BITCOUNT missing 0 x", "-ERR value is not an integer or out of range");
        check("BITPOS k 2", "-ERR The bit argument must be 1 or 0.");
        check("BITPOS l 1", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    }
}
