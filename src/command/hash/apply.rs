//! Writes of fields and values.

use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::context::ApplyCx;
use crate::command::expiry::{Unit, deadline};
use crate::config::EventClasses;
use crate::dataset::hash::{Expiry, Hash};
use crate::dataset::{EncodingLimits, Value};
use crate::number::parse_integer;
use crate::resp::refusal::Refusal;

/// HSET and HMSET.
pub(super) fn hset(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    if !args.remaining().is_multiple_of(2) {
        return Err(Refusal::wrong_arity("hset"));
    }
    set_pairs(cx, key, args, Expiry::Dropped)?;
    cx.changed(EventClasses::HASH, "hset", key);
    Ok(())
}

pub(super) fn hsetnx(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, field, value) = (args.require()?, args.require()?, args.require()?);
    if cx.hash(key)?.is_some_and(|hash| hash.contains(field)) {
        return Ok(());
    }
    edit(cx, key, |hash, limits| _ = hash.set(field, value, Expiry::Dropped, limits))?;
    cx.changed(EventClasses::HASH, "hset", key);
    Ok(())
}

/// `HSETEX key [NX|XX] [FNX|FXX] [EX|PX|EXAT|PXAT time|KEEPTTL] FIELDS n field value ...`
///
/// The conditions are not looked at: the command is only in the stream if they held on the master, where expired
/// fields don't count, while here they do.
pub(super) fn hsetex(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let mut expiry = None;
    while args.peek().is_some_and(|word| !word.eq_ignore_ascii_case(b"fields")) {
        if ["nx", "xx", "fnx", "fxx"].iter().any(|condition| args.take(condition)) {
            continue;
        }
        let given = time_option(cx.now, args)?;
        if expiry.replace(given).is_some() {
            return Err(Refusal::SYNTAX);
        }
    }
    fields(args, 2)?;
    set_pairs(cx, key, args, expiry.unwrap_or(Expiry::Dropped))?;
    cx.changed(EventClasses::HASH, "hset", key);
    if matches!(expiry, Some(Expiry::At(_))) {
        cx.changed(EventClasses::HASH, "hexpire", key);
    }
    Ok(())
}

fn time_option(now: UnixMs, args: &mut Args<'_>) -> Result<Expiry, Refusal> {
    if args.take("keepttl") {
        return Ok(Expiry::Kept);
    }
    for (option, unit, base) in [
        ("pxat", Unit::Milliseconds, None),
        ("exat", Unit::Seconds, None),
        ("px", Unit::Milliseconds, Some(now)),
        ("ex", Unit::Seconds, Some(now)),
    ] {
        if args.take(option) {
            return deadline(args.require()?, unit, base, "hsetex").map(Expiry::At);
        }
    }
    Err(Refusal::SYNTAX)
}

pub(super) fn hdel(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    remove(cx, key, args)
}

/// `HGETDEL key FIELDS n field ...`
pub(super) fn hgetdel(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    fields(args, 1)?;
    remove(cx, key, args)
}

pub(super) fn hincrby(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, field, by) = (args.require()?, args.require()?, args.integer()?);
    let old = match cx.hash(key)?.as_deref().and_then(|hash| hash.get(field)) {
        Some(entry) => entry.value.as_integer().ok_or(Refusal::HASH_NOT_AN_INTEGER)?,
        None => 0,
    };
    let new = old.checked_add(by).ok_or(Refusal::INCREMENT_OVERFLOW)?;
    edit(cx, key, |hash, limits| {
        hash.set(field, itoa::Buffer::new().format(new).as_bytes(), Expiry::Kept, limits);
    })?;
    cx.changed(EventClasses::HASH, "hincrby", key);
    Ok(())
}

/// Moves past `FIELDS n`; what follows must be exactly `n` times `words` words, and at least one.
pub(super) fn fields(args: &mut Args<'_>, words: usize) -> Result<(), Refusal> {
    if !args.take("fields") {
        return Err(Refusal::SYNTAX);
    }
    let count = parse_integer(args.require()?).ok_or(Refusal::NOT_AN_INTEGER)?;
    let given = usize::try_from(count).ok().and_then(|count| count.checked_mul(words));
    if count > 0 && given == Some(args.remaining()) { Ok(()) } else { Err(Refusal::SYNTAX) }
}

fn set_pairs(cx: &mut ApplyCx<'_>, key: &[u8], args: &mut Args<'_>, expiry: Expiry) -> Result<(), Refusal> {
    edit(cx, key, |hash, limits| {
        hash.expect(args.remaining() / 2, limits);
        while let (Some(field), Some(value)) = (args.optional(), args.optional()) {
            hash.set(field, value, expiry, limits);
        }
    })
}

fn remove(cx: &mut ApplyCx<'_>, key: &[u8], args: &mut Args<'_>) -> Result<(), Refusal> {
    let Some(mut hash) = cx.hash(key)? else { return Ok(()) };
    let removed = args.filter(|field| hash.remove(field)).count();
    let emptied = hash.is_empty();
    drop(hash);
    if removed > 0 {
        cx.changed(EventClasses::HASH, "hdel", key);
    }
    if emptied {
        cx.delete(key)?;
    }
    Ok(())
}

/// Changes the hash at a key, which is made if it is missing.
fn edit(cx: &mut ApplyCx<'_>, key: &[u8], change: impl FnOnce(&mut Hash, &EncodingLimits)) -> Result<(), Refusal> {
    let limits = cx.limits();
    if let Some(mut hash) = cx.hash(key)? {
        change(&mut hash, &limits);
        return Ok(());
    }
    let mut hash = Hash::new();
    change(&mut hash, &limits);
    cx.store(key, Value::Hash(Box::new(hash)), None)
}
