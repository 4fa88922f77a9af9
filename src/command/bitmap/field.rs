//! BITFIELD and BITFIELD_RO: numbers of 1 to 64 bits anywhere in a string.

use super::apply::edit;
use super::parse_offset;
use crate::command::args::Args;
use crate::command::context::{ApplyCx, ReadCx};
use crate::dataset::bits;
use crate::resp::number;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

/// What happens where a number does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// A place for a number.
#[derive(Clone, Copy, Debug)]
struct Field {
    signed: bool,
    width: u32,
    offset: usize,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Get,
    Set(i64),
    Add(i64),
}

/// One part of the request.
#[derive(Clone, Copy, Debug)]
struct Part {
    field: Field,
    what: What,
    overflow: Overflow,
}

impl Field {
    /// `i5 100`, `u8 #3`: type and offset, the latter in units of the type with `#`.
    fn parse(args: &mut Args<'_>) -> Result<Self, Refusal> {
        let (kind, offset) = (args.require()?, args.require()?);
        let (signed, width) = parse_type(kind).ok_or_else(|| {
            Refusal::text(
                "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
            )
        })?;
        let offset = match offset.strip_prefix(b"#") {
            Some(index) => parse_offset(index, width as usize)?,
            None => parse_offset(offset, 1)?,
        };
        Ok(Self { signed, width, offset })
    }

    fn read(self, bytes: &[u8]) -> i64 {
        let raw = bits::read(bytes, self.offset, self.width);
        if self.signed { ((raw << (64 - self.width)) as i64) >> (64 - self.width) } else { raw as i64 }
    }

    /// Bytes that a string needs to hold it.
    fn bytes(self) -> usize {
        (self.offset + self.width as usize).div_ceil(8)
    }

    /// The number that SET means in a signed field. The servers tell an overflow by the distance to the maximum, in 64
    /// bits: where that wraps around, a very small number passes for a very big one, and SAT makes it the maximum
    /// (measured on redis 6.0, 7.0 and valkey 9.1).
    fn taken(self, value: i64) -> i128 {
        let max = i64::MAX >> (64 - self.width);
        let passes_for_big = self.width < 64 && max.checked_sub(value).is_none() && value < 0;
        i128::from(value) + if passes_for_big { 1 << 64 } else { 0 }
    }

    /// What is written for a number that may not fit; `None` if that is to fail.
    fn fitted(self, value: i128, overflow: Overflow) -> Option<u64> {
        let (min, max) = if self.signed {
            (-(1_i128 << (self.width - 1)), (1 << (self.width - 1)) - 1)
        } else {
            (0, (1 << self.width) - 1)
        };
        if (min..=max).contains(&value) {
            return Some(value as u64);
        }
        match overflow {
            Overflow::Wrap => Some(value as u64),
            Overflow::Saturate => Some(value.clamp(min, max) as u64),
            Overflow::Fail => None,
        }
    }
}

fn parse_type(text: &[u8]) -> Option<(bool, u32)> {
    let (signed, digits) = match text {
        [b'i', digits @ ..] => (true, digits),
        [b'u', digits @ ..] => (false, digits),
        _ => return None,
    };
    let width = u32::try_from(number::parse_integer(digits)?).ok()?;
    (1..=if signed { 64 } else { 63 }).contains(&width).then_some((signed, width))
}

/// All parts of a request, checked before the first is carried out.
fn parse(args: &mut Args<'_>) -> Result<Vec<Part>, Refusal> {
    let mut parts = Vec::new();
    let mut overflow = Overflow::Wrap;
    while args.remaining() > 0 {
        let values = args.remaining() - 1;
        let part = |field, what| Part { field, what, overflow };
        if values >= 2 && args.take("get") {
            parts.push(part(Field::parse(args)?, What::Get));
        } else if values >= 3 && args.take("set") {
            parts.push(part(Field::parse(args)?, What::Set(args.integer()?)));
        } else if values >= 3 && args.take("incrby") {
            parts.push(part(Field::parse(args)?, What::Add(args.integer()?)));
        } else if values >= 1 && args.take("overflow") {
            overflow = parse_overflow(args)?;
        } else {
            return Err(Refusal::SYNTAX);
        }
    }
    Ok(parts)
}

fn parse_overflow(args: &mut Args<'_>) -> Result<Overflow, Refusal> {
    let kinds = [("wrap", Overflow::Wrap), ("sat", Overflow::Saturate), ("fail", Overflow::Fail)];
    let found = kinds.into_iter().find(|(word, _)| args.take(word));
    found.map(|(_, kind)| kind).ok_or_else(|| Refusal::text("ERR Invalid OVERFLOW type specified"))
}

pub(super) fn bitfield_ro(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let key = args.require()?;
    let parts = parse(args)?;
    if parts.iter().any(|part| !matches!(part.what, What::Get)) {
        return Err(Refusal::text("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    let bytes = cx.string(key)?.unwrap_or_default();
    out.array(parts.len());
    for part in parts {
        out.integer(part.field.read(bytes));
    }
    Ok(())
}

/// GET parts have no effect. The string grows for all parts that write, also for those that fail.
pub(super) fn bitfield(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let mut parts = parse(args)?;
    parts.retain(|part| !matches!(part.what, What::Get));
    let Some(len) = parts.iter().map(|part| part.field.bytes()).max() else {
        return cx.string(key).map(drop);
    };
    edit(cx, key, len, |bytes| parts.iter().for_each(|part| carry_out(part, bytes)))
}

fn carry_out(part: &Part, bytes: &mut [u8]) {
    let field = part.field;
    let value = match part.what {
        What::Get => return,
        // An unsigned field takes a negative number for a very large one.
        What::Set(value) if !field.signed => i128::from(value as u64),
        What::Set(value) => field.taken(value),
        What::Add(by) => i128::from(field.read(bytes)) + i128::from(by),
    };
    if let Some(raw) = field.fitted(value, part.overflow) {
        bits::write(bytes, field.offset, field.width, raw);
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;

    fn check(lines: &[&str], ask: &str, expected: &str) {
        assert_eq!(Bench::after(lines).ask(ask), expected, "{lines:?}");
    }

    #[test]
    fn numbers_are_written_and_read() {
        check(&["BITFIELD k SET u8 0 255 SET i5 #2 -3"], "BITFIELD_RO k GET u8 0 GET i5 10", "*2 :255 :-3");
        check(&["BITFIELD k set u8 0 300"], "BITFIELD_RO k GET u8 0", "*1 :44");
        check(&["BITFIELD k SET i64 3 -1 INCRBY i64 3 1"], "BITFIELD_RO k GET i64 3", "*1 :0");
        check(&["BITFIELD k SET u63 1 -1"], "BITFIELD_RO k GET u63 1", "*1 :9223372036854775807");
        check(&["BITFIELD k GET u8 100"], "STRLEN k", ":0");
    }

    #[test]
    fn overflow_wraps_saturates_or_fails() {
        let add = |kind: &str, by: &str| format!("BITFIELD k OVERFLOW {kind} INCRBY i5 0 {by}");
        let case =
            |line: &str, expected| check(&["BITFIELD k SET i5 0 10", line], "BITFIELD_RO k GET i5 0", expected);
        case(&add("WRAP", "10"), "*1 :-12");
        case(&add("SAT", "10"), "*1 :15");
        case(&add("sat", "-100"), "*1 :-16");
        case(&add("FAIL", "10"), "*1 :10");
        case(&add("FAIL", "5"), "*1 :15");
        check(&["BITFIELD k OVERFLOW SAT SET u8 0 -1"], "BITFIELD_RO k GET u8 0", "*1 :255");
        check(&["BITFIELD k OVERFLOW SAT INCRBY u8 0 -1"], "BITFIELD_RO k GET u8 0", "*1 :0");
        check(
            &["BITFIELD k OVERFLOW SAT INCRBY i64 0 9223372036854775807 INCRBY i64 0 5"],
            "BITFIELD_RO k GET i64 0",
            "*1 :9223372036854775807",
        );
        for (number, is) in [(i64::MIN, 127), (i64::MIN + 127, 127), (i64::MIN + 128, -128), (-1000, -128)] {
            let line = format!("BITFIELD k OVERFLOW SAT SET i8 0 {number}");
            check(&[&line], "BITFIELD_RO k GET i8 0", &format!("*1 :{is}"));
        }
        check(&["BITFIELD k OVERFLOW WRAP SET i8 0 -9223372036854775807"], "BITFIELD_RO k GET i8 0", "*1 :1");
        check(&["BITFIELD k OVERFLOW FAIL SET u8 16 256"], "STRLEN k", ":3");
    }

    #[test]
    fn what_cannot_be_applied_is_refused_before_the_first_part() {
        let kind =
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
        for (line, why) in [
            ("BITFIELD k SET u8 0 1 SET u64 0 1", kind),
            ("BITFIELD k SET u8 0 1 SET u8 0", "ERR syntax error"),
            ("BITFIELD k SET u8 -1 1", "ERR bit offset is not an integer or out of range"),
            ("BITFIELD k SET u8 0 x", "ERR value is not an integer or out of range"),
            ("BITFIELD k OVERFLOW NONE SET u8 0 1", "ERR Invalid OVERFLOW type specified"),
        ] {
            let mut bench = Bench::new();
            assert_eq!(bench.apply(line).map_err(|r| r.to_string()), Err(why.to_owned()), "{line}");
            assert_eq!(bench.ask("STRLEN k"), ":0");
        }
        assert_eq!(
            Bench::new().ask("BITFIELD_RO k SET u8 0 1"),
            "-ERR BITFIELD_RO only supports the GET subcommand"
        );
    }
}
