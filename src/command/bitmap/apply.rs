//! SETBIT and BITOP.

use super::offset;
use crate::command::args::Args;
use crate::command::context::ApplyCx;
use crate::config::EventClasses;
use crate::dataset::bits;
use crate::dataset::{StrForm, ValueMut};
use crate::resp::refusal::Refusal;

pub(super) fn setbit(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, offset) = (args.require()?, offset(args)?);
    let bit = match args.require()? {
        b"0" => false,
        b"1" => true,
        _ => return Err(Refusal::text("ERR bit is not an integer or out of range")),
    };
    edit(cx, key, offset / 8 + 1, |bytes| bits::set(bytes, offset, bit))
}

/// Changes the bytes of a string that is at least `len` long then: zeros are appended as needed, a missing one is
/// made. What need not grow is changed in place, however long it is.
pub(super) fn edit(
    cx: &mut ApplyCx<'_>,
    key: &[u8],
    len: usize,
    change: impl FnOnce(&mut [u8]),
) -> Result<(), Refusal> {
    match cx.value(key)? {
        Some(ValueMut::Str(bytes)) if bytes.len() >= len => {
            change(bytes);
            cx.keyspace()?.set_form(key, StrForm::Raw);
            cx.changed(EventClasses::STRING, "setbit", key);
            return Ok(());
        }
        Some(ValueMut::Str(_)) => {}
        None => {
            cx.keyspace()?.set_string(key, b"", StrForm::Raw, None);
            cx.made(key);
        }
        Some(_) => return Err(Refusal::WRONG_TYPE),
    }
    cx.keyspace()?.edit_string(key, |bytes| {
        bytes.resize(len, 0);
        change(bytes);
    });
    cx.changed(EventClasses::STRING, "setbit", key);
    Ok(())
}

/// How BITOP joins strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Join {
    And,
    Or,
    Xor,
    Not,
    /// In the first and in no other (Redis 8.2).
    Diff,
    /// In one of the others and not in the first.
    Diff1,
    /// In the first and in one of the others.
    AndOr,
    /// In exactly one.
    One,
}

impl Join {
    fn parse(args: &mut Args<'_>) -> Result<Self, Refusal> {
        let names = [
            ("and", Self::And),
            ("or", Self::Or),
            ("xor", Self::Xor),
            ("not", Self::Not),
            ("diff", Self::Diff),
            ("diff1", Self::Diff1),
            ("andor", Self::AndOr),
            ("one", Self::One),
        ];
        names.into_iter().find(|(name, _)| args.take(name)).map(|(_, join)| join).ok_or(Refusal::SYNTAX)
    }

    fn check(self, sources: usize) -> Result<(), Refusal> {
        match self {
            Self::Not if sources != 1 => {
                Err(Refusal::text("ERR BITOP NOT must be called with a single source key."))
            }
            Self::Diff | Self::Diff1 | Self::AndOr if sources < 2 => {
                let name = format!("{self:?}").to_uppercase();
                Err(Refusal::text(format!("ERR BITOP {name} must be called with at least two source keys.")))
            }
            _ => Ok(()),
        }
    }

    /// Takes one more source into the result, which is as long or longer. `twice` gathers what several have.
    fn fold(self, result: &mut [u8], twice: &mut [u8], source: &[u8]) {
        let (head, tail) = result.split_at_mut(source.len());
        let pairs = head.iter_mut().zip(source);
        match self {
            Self::And => {
                pairs.for_each(|(into, byte)| *into &= byte);
                tail.fill(0);
            }
            Self::Xor => pairs.for_each(|(into, byte)| *into ^= byte),
            Self::One => pairs.zip(twice).for_each(|((into, byte), twice)| {
                *twice |= *into & byte;
                *into |= byte;
            }),
            Self::Or | Self::Not | Self::Diff | Self::Diff1 | Self::AndOr => {
                pairs.for_each(|(into, byte)| *into |= byte);
            }
        }
    }

    /// The join of all sources, as long as the longest.
    fn join(self, sources: &[Vec<u8>]) -> Vec<u8> {
        let len = sources.iter().map(Vec::len).max().unwrap_or(0);
        let mut twice = vec![0; if self == Self::One { len } else { 0 }];
        let padded = |at: usize| {
            let mut bytes = sources.get(at).cloned().unwrap_or_default();
            bytes.resize(len, 0);
            bytes
        };
        let first_apart = matches!(self, Self::Diff | Self::Diff1 | Self::AndOr);
        let mut result = padded(usize::from(first_apart));
        for source in sources.iter().skip(1 + usize::from(first_apart)) {
            self.fold(&mut result, &mut twice, source);
        }
        if first_apart {
            for (into, first) in result.iter_mut().zip(padded(0)) {
                *into = match self {
                    Self::Diff => first & !*into,
                    Self::Diff1 => *into & !first,
                    _ => first & *into,
                };
            }
        }
        match self {
            Self::Not => result.iter_mut().for_each(|byte| *byte = !*byte),
            Self::One => result.iter_mut().zip(twice).for_each(|(byte, twice)| *byte &= !twice),
            _ => {}
        }
        result
    }
}

/// `BITOP op target sources...`; an empty result removes the target.
pub(super) fn bitop(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let join = Join::parse(args)?;
    let target = args.require()?;
    join.check(args.remaining())?;
    let mut sources = Vec::with_capacity(args.remaining());
    for key in args {
        sources.push(cx.string(key)?.unwrap_or_default().to_vec());
    }
    let result = join.join(&sources);
    if result.is_empty() {
        cx.delete(target)?;
        return Ok(());
    }
    cx.before_store(target);
    let old = cx.keyspace()?.set_string(target, &result, StrForm::Raw, None);
    cx.trash.value(old);
    cx.changed(EventClasses::STRING, "set", target);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;

    #[test]
    fn bits_are_set_in_place_and_beyond_the_end() {
        let check = |lines: &[&str], expected: &str| assert_eq!(Bench::after(lines).ask("GET k"), expected);
        check(&["SETBIT k 1 1"], "$1 @");
        check(&["SETBIT k 1 1", "SETBIT k 15 1", "SETBIT k 7 1"], "$2 A\u{1}");
        check(&["SET k A", "SETBIT k 7 0", "SETBIT k 6 1"], "$1 B");
        check(&["SETBIT k 17 0"], "$3 \0\0\0");
    }

    #[test]
    fn strings_are_joined_bit_by_bit() {
        let sources = ["SET a \"\\x0f\\x01\"", "SET b \"\\x33\"", "SET c \"\\x55\\x03\""];
        let check = |op: &str, expected: &[u8]| {
            let mut bench = Bench::after(&sources);
            bench.apply("RPUSH k old").expect("applies");
            bench.apply(op).unwrap_or_else(|why| panic!("{op}: {why}"));
            let value = bench.ask("BITFIELD_RO k GET u8 0 GET u8 8");
            assert_eq!(value, format!("*2 :{} :{}", expected[0], expected[1]), "{op}");
        };
        check("BITOP AND k a b c", &[0x01, 0]);
        check("BITOP or k a b c", &[0x7f, 0x03]);
        check("BITOP XOR k a b c", &[0x69, 0x02]);
        check("BITOP NOT k a", &[0xf0, 0xfe]);
        check("BITOP DIFF k a b c", &[0x08, 0]);
        check("BITOP DIFF1 k a b c", &[0x70, 0x02]);
        check("BITOP ANDOR k a b c", &[0x07, 0x01]);
        check("BITOP ONE k a b c", &[0x68, 0x02]);
        check("BITOP AND k a missing", &[0, 0]);
        let gone = Bench::after(&["SET k v", "BITOP AND k missing missing"]);
        assert_eq!(gone.ask("STRLEN k"), ":0");
    }

    #[test]
    fn what_cannot_be_applied_is_refused() {
        let mut bench = Bench::after(&["RPUSH l a", "SET k v"]);
        for (line, why) in [
            ("SETBIT k 1 2", "ERR bit is not an integer or out of range"),
            ("SETBIT k x 1", "ERR bit offset is not an integer or out of range"),
            ("SETBIT l 1 1", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("BITOP NOT d k k", "ERR BITOP NOT must be called with a single source key."),
            ("BITOP DIFF d k", "ERR BITOP DIFF must be called with at least two source keys."),
            ("BITOP NAND d k", "ERR syntax error"),
            ("BITOP OR d k l", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ] {
            assert_eq!(bench.apply(line).map_err(|r| r.to_string()), Err(why.to_owned()), "{line}");
        }
        assert_eq!(bench.ask("GET k"), "$1 v");
    }
}
