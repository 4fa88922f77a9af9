//! Writes of sets.

use super::algebra::{self, Sets, stored};
use crate::command::args::Args;
use crate::command::context::{ApplyCx, Order, Taken};
use crate::config::EventClasses;
use crate::dataset::set::Set;
use crate::dataset::{EncodingLimits, Keyspace, Value, ValueRef};
use crate::resp::refusal::Refusal;

pub(super) fn sadd(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let first = args.peek().ok_or(Refusal::SYNTAX)?;
    let limits = cx.limits();
    let add = |set: &mut Set, args: &mut Args<'_>| args.filter(|member| set.add(member, &limits)).count();
    let added = match cx.set(key)? {
        Some(set) => {
            set.expect(args.remaining(), &limits);
            add(set, args)
        }
        None => {
            let mut set = Set::for_members(first, args.remaining(), &limits);
            let added = add(&mut set, args);
            cx.store(key, Value::Set(Box::new(set)), None)?;
            added
        }
    };
    if added > 0 {
        cx.changed(EventClasses::SET, "sadd", key);
    }
    Ok(())
}

pub(super) fn srem(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let Some(set) = cx.set(key)? else { return Ok(()) };
    let removed = args.filter(|member| set.remove(member)).count();
    let emptied = set.is_empty();
    if removed == 0 {
        return Ok(());
    }
    let taken = Taken { class: EventClasses::SET, event: "srem", order: Order::ChangeFirst };
    cx.taken(taken, key, emptied)
}

/// `SMOVE source destination member`
pub(super) fn smove(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (source, destination, member) = (args.require()?, args.require()?, args.require()?);
    // Both types are checked before anything changes.
    cx.set(destination)?;
    let Some(set) = cx.set(source)? else { return Ok(()) };
    if source == destination || !set.remove(member) {
        return Ok(());
    }
    let emptied = set.is_empty();
    let taken = Taken { class: EventClasses::SET, event: "srem", order: Order::EventsFirst };
    cx.taken(taken, source, emptied)?;
    let limits = cx.limits();
    let added = match cx.set(destination)? {
        Some(set) => set.add(member, &limits),
        None => {
            let mut set = Set::for_members(member, 1, &limits);
            set.add(member, &limits);
            cx.store(destination, Value::Set(Box::new(set)), None)?;
            true
        }
    };
    if added {
        cx.changed(EventClasses::SET, "sadd", destination);
    }
    Ok(())
}

/// Masters send SREM or DEL instead. A pop of all members is clear enough; any other takes members by chance.
pub(super) fn spop(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let count = if args.is_empty() { 1 } else { args.integer()? };
    let count = usize::try_from(count).map_err(|_| Refusal::MUST_BE_POSITIVE)?;
    args.end()?;
    let Some(set) = cx.set(key)? else { return Ok(()) };
    if count == 0 {
        return Ok(());
    }
    if count < set.len() {
        return Err(Refusal::text("ERR SPOP takes members by chance, which cannot be repeated"));
    }
    cx.changed(EventClasses::SET, "spop", key);
    cx.delete(key)?;
    Ok(())
}

pub(super) fn sinterstore(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    store(cx, args, "sinterstore", |sets, limits| algebra::collected(algebra::intersection(sets), limits))
}

pub(super) fn sunionstore(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    store(cx, args, "sunionstore", algebra::union)
}

pub(super) fn sdiffstore(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    store(cx, args, "sdiffstore", algebra::stored_difference)
}

/// Stores what comes out of the sets, whatever was at the destination; nothing removes the key.
fn store(
    cx: &mut ApplyCx<'_>,
    args: &mut Args<'_>,
    event: &'static str,
    compute: impl FnOnce(&Sets<'_>, &EncodingLimits) -> Set,
) -> Result<(), Refusal> {
    let destination = args.require()?;
    let limits = cx.limits();
    let keyspace = cx.keyspace()?;
    let sets = args.map(|key| set_at(keyspace, key)).collect::<Result<Vec<_>, _>>()?;
    match stored(compute(&sets, &limits)) {
        Some(value) => {
            cx.store(destination, value, None)?;
            cx.result_was_stored(destination)?;
            if limits.dialect.is_before_redis_7() {
                cx.told_and_changed(EventClasses::SET, event, destination);
            } else {
                cx.changed(EventClasses::SET, event, destination);
            }
            Ok(())
        }
        None => cx.delete(destination).map(drop),
    }
}

/// The set at a key, expired or not.
fn set_at<'a>(keyspace: &'a Keyspace, key: &[u8]) -> Result<Option<&'a Set>, Refusal> {
    let found = keyspace.get(key).inspect(|entry| entry.mark_used(keyspace.uses()));
    match found.map(|entry| entry.value()) {
        None => Ok(None),
        Some(ValueRef::Set(set)) => Ok(Some(set)),
        Some(ValueRef::Marked(marked)) => Err(Refusal::marked(&marked.module)),
        Some(_) => Err(Refusal::WRONG_TYPE),
    }
}
