//! The options behind SET, GETEX and MSETEX: when to store, and with which expiry.

use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::context::ApplyCx;
use crate::command::expiry::{Unit, deadline};
use crate::resp::refusal::Refusal;

/// What becomes of the key's expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// No option: SET drops it, GETEX keeps it.
    Unsaid,
    /// KEEPTTL.
    Keep,
    /// PERSIST.
    Drop,
    /// EX, PX, EXAT or PXAT.
    At(UnixMs),
}

/// When the value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition<'a> {
    Always,
    /// NX.
    Missing,
    /// XX.
    Present,
    /// IFEQ: the present string is this one.
    Equal(&'a [u8]),
    /// IFNE: there is no key, or its string is another one.
    Different(&'a [u8]),
}

/// Which of the options a command knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Set,
    GetEx,
    MSetEx,
}

/// The options as given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options<'a> {
    pub(super) condition: Condition<'a>,
    pub(super) expiry: Expiry,
}

impl<'a> Options<'a> {
    /// Reads everything up to the end of the request. Two options that exclude each other, or one that the
    /// command does not know, are syntax errors. As on the servers, the same option may come again.
    pub(super) fn parse(args: &mut Args<'a>, now: UnixMs, known: Known, command: &str) -> Result<Self, Refusal> {
        let mut options = Self { condition: Condition::Always, expiry: Expiry::Unsaid };
        let mut expiry_word = None;
        while args.remaining() > 0 {
            if known == Known::Set && args.take("get") {
                continue;
            }
            if let Some((word, expiry)) = parse_expiry(args, now, known, command)? {
                if expiry_word.is_some_and(|earlier| earlier != word) {
                    return Err(Refusal::SYNTAX);
                }
                (expiry_word, options.expiry) = (Some(word), expiry);
            } else {
                options.condition = options.condition.joined(parse_condition(args, known)?)?;
            }
        }
        Ok(options)
    }
}

/// The next option if it is one of expiry: its word, and what it means.
fn parse_expiry(
    args: &mut Args<'_>,
    now: UnixMs,
    known: Known,
    command: &str,
) -> Result<Option<(&'static str, Expiry)>, Refusal> {
    if known != Known::GetEx && args.take("keepttl") {
        return Ok(Some(("keepttl", Expiry::Keep)));
    }
    if known == Known::GetEx && args.take("persist") {
        return Ok(Some(("persist", Expiry::Drop)));
    }
    let forms = [
        ("pxat", Unit::Milliseconds, None),
        ("ex", Unit::Seconds, Some(now)),
        ("px", Unit::Milliseconds, Some(now)),
        ("exat", Unit::Seconds, None),
    ];
    for (word, unit, base) in forms {
        if args.take(word) {
            let at = deadline(args.require()?, unit, base, command)?;
            return Ok(Some((word, Expiry::At(at))));
        }
    }
    Ok(None)
}

fn parse_condition<'a>(args: &mut Args<'a>, known: Known) -> Result<Condition<'a>, Refusal> {
    if known != Known::GetEx {
        if args.take("nx") {
            return Ok(Condition::Missing);
        }
        if args.take("xx") {
            return Ok(Condition::Present);
        }
    }
    if known == Known::Set {
        if args.take("ifeq") {
            return args.require().map(Condition::Equal);
        }
        if args.take("ifne") {
            return args.require().map(Condition::Different);
        }
    }
    Err(Refusal::SYNTAX)
}

impl<'a> Condition<'a> {
    /// Both conditions of one request: NX and XX may be repeated, nothing else goes together.
    fn joined(self, next: Condition<'a>) -> Result<Condition<'a>, Refusal> {
        match (self, next) {
            (Self::Always, next) => Ok(next),
            (Self::Missing, Self::Missing) | (Self::Present, Self::Present) => Ok(next),
            _ => Err(Refusal::SYNTAX),
        }
    }

    /// Is the value to be stored under `key`?
    pub(super) fn holds(self, cx: &mut ApplyCx<'_>, key: &[u8]) -> Result<bool, Refusal> {
        Ok(match self {
            Self::Always => true,
            Self::Missing => cx.keyspace()?.get(key).is_none(),
            Self::Present => cx.keyspace()?.get(key).is_some(),
            Self::Equal(wanted) => cx.string(key)? == Some(wanted),
            Self::Different(other) => cx.string(key)? != Some(other),
        })
    }
}

impl Expiry {
    /// The expiry with which SET and its kin store `key`.
    pub(super) fn of(self, cx: &mut ApplyCx<'_>, key: &[u8]) -> Result<Option<UnixMs>, Refusal> {
        match self {
            Self::Unsaid | Self::Drop => Ok(None),
            Self::Keep => cx.expiry(key),
            Self::At(at) => Ok(Some(at)),
        }
    }
}
