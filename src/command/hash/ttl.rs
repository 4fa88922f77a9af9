//! When fields expire: the reads about it, and the writes that change only that.

use super::apply::fields;
use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::context::{ApplyCx, ReadCx};
use crate::command::expiry::{Unit, moment};
use crate::config::EventClasses;
use crate::dataset::Dialect;
use crate::dataset::hash::{Entry, Hash};
use crate::number::parse_integer;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

/// Answers for a field that is missing or expired, and for one that never expires.
const NO_FIELD: i64 = -2;
const NO_EXPIRY: i64 = -1;

pub(super) fn httl(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    times(cx, args, out, |at| seconds(cx, at.0.saturating_sub(cx.now.0)))
}

pub(super) fn hpttl(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    times(cx, args, out, |at| at.0.saturating_sub(cx.now.0))
}

pub(super) fn hexpiretime(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    times(cx, args, out, |at| seconds(cx, at.0))
}

pub(super) fn hpexpiretime(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    times(cx, args, out, |at| at.0)
}

/// Redis rounds up, Valkey to the nearest second.
fn seconds(cx: &ReadCx<'_>, ms: i64) -> i64 {
    let up = if cx.dialect().is_valkey() { 500 } else { 999 };
    ms.saturating_add(up) / 1000
}

fn times(
    cx: &ReadCx<'_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    answer: impl Fn(UnixMs) -> i64,
) -> Result<(), Refusal> {
    let hash = hash_and_fields(cx, args)?;
    out.array(args.remaining());
    for field in args {
        let entry = hash.and_then(|hash| hash.get(field)).filter(|entry| !entry.is_expired(cx.now));
        out.integer(match entry {
            None => NO_FIELD,
            Some(Entry { expiry: None, .. }) => NO_EXPIRY,
            Some(Entry { expiry: Some(at), .. }) => answer(at),
        });
    }
    Ok(())
}

/// Reads `key FIELDS n`. Redis 8.0 looks at the key first and has texts of its own; Valkey 9.1 looks at the words
/// first.
fn hash_and_fields<'a>(cx: &ReadCx<'a>, args: &mut Args<'_>) -> Result<Option<&'a Hash>, Refusal> {
    let key = args.require()?;
    if cx.dialect().is_valkey() {
        fields(args, 1)?;
        return cx.hash(key);
    }
    let hash = cx.hash(key)?;
    if !args.take("fields") {
        return Err(Refusal::FIELDS_MISSING);
    }
    let count = parse_integer(args.require()?).filter(|count| *count > 0).ok_or(Refusal::FIELDS_NOT_POSITIVE)?;
    if usize::try_from(count) == Ok(args.remaining()) { Ok(hash) } else { Err(Refusal::FIELDS_MISMATCH) }
}

pub(super) fn hexpire(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let base = Some(cx.now);
    expire(cx, args, Unit::Seconds, base, "hexpire")
}

pub(super) fn hpexpire(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let base = Some(cx.now);
    expire(cx, args, Unit::Milliseconds, base, "hpexpire")
}

pub(super) fn hexpireat(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    expire(cx, args, Unit::Seconds, None, "hexpireat")
}

pub(super) fn hpexpireat(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    expire(cx, args, Unit::Milliseconds, None, "hpexpireat")
}

/// The conditions of HEXPIRE and its kin. All that are given must hold.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    fn read(args: &mut Args<'_>) -> Self {
        let mut given = Self::default();
        loop {
            let condition = if args.take("nx") {
                &mut given.nx
            } else if args.take("xx") {
                &mut given.xx
            } else if args.take("gt") {
                &mut given.gt
            } else if args.take("lt") {
                &mut given.lt
            } else {
                return given;
            };
            *condition = true;
        }
    }

    /// A field that never expires counts as one that expires after all others.
    fn hold(self, old: Option<UnixMs>, new: UnixMs) -> bool {
        !(self.nx && old.is_some()
            || self.xx && old.is_none()
            || self.gt && old.is_none_or(|old| new <= old)
            || self.lt && old.is_some_and(|old| new >= old))
    }
}

/// `key time [NX|XX|GT|LT] FIELDS n field ...`. Masters of Redis leave out the fields that failed, Valkey's don't
/// (measured), so the conditions are looked at again. A time in the past is stored: the master removes the field.
fn expire(
    cx: &mut ApplyCx<'_>,
    args: &mut Args<'_>,
    unit: Unit,
    base: Option<UnixMs>,
    command: &str,
) -> Result<(), Refusal> {
    let key = args.require()?;
    let at = moment(args.require()?, unit, base, command)?;
    let conditions = Conditions::read(args);
    fields(args, 1)?;
    let limits = cx.limits();
    let Some(mut hash) = cx.hash(key)? else { return Ok(()) };
    let mut set = false;
    for field in args {
        if hash.get(field).is_some_and(|entry| conditions.hold(entry.expiry, at)) {
            set |= hash.set_expiry(field, Some(at), &limits);
        }
    }
    drop(hash);
    if set {
        if matches!(limits.dialect, Dialect::Valkey(..)) {
            cx.told_and_changed(EventClasses::HASH, "hexpire", key);
        } else {
            cx.changed(EventClasses::HASH, "hexpire", key);
        }
    }
    Ok(())
}

/// `HPERSIST key FIELDS n field ...`
pub(super) fn hpersist(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    fields(args, 1)?;
    let limits = cx.limits();
    let Some(mut hash) = cx.hash(key)? else { return Ok(()) };
    let mut dropped = false;
    for field in args {
        if hash.get(field).is_some_and(|entry| entry.expiry.is_some()) {
            dropped |= hash.set_expiry(field, None, &limits);
        }
    }
    drop(hash);
    if dropped {
        cx.told_and_changed(EventClasses::HASH, "hpersist", key);
    }
    Ok(())
}
