//! Writes to lists, as the stream brings them. A list without elements is removed.

use super::read::position;
use crate::command::args::Args;
use crate::command::context::{ApplyCx, Order, Taken};
use crate::config::EventClasses;
use crate::dataset::list::{End, List, index_range};
use crate::dataset::{EncodingLimits, Value};
use crate::resp::refusal::Refusal;

pub(super) fn lpush(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    push(cx, args.require()?, End::Left, args.clone(), true)
}

pub(super) fn rpush(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    push(cx, args.require()?, End::Right, args.clone(), true)
}

pub(super) fn lpushx(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    push(cx, args.require()?, End::Left, args.clone(), false)
}

pub(super) fn rpushx(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    push(cx, args.require()?, End::Right, args.clone(), false)
}

fn push<'a>(
    cx: &mut ApplyCx<'_>,
    key: &[u8],
    end: End,
    texts: impl Iterator<Item = &'a [u8]> + Clone,
    create: bool,
) -> Result<(), Refusal> {
    let limits = cx.limits();
    if let Some(list) = cx.list(key)? {
        list.push(end, texts, &limits);
    } else if create {
        let mut list = List::new();
        list.push(end, texts, &limits);
        cx.store(key, Value::List(Box::new(list)), None)?;
    } else {
        return Ok(());
    }
    cx.changed(EventClasses::LIST, if end == End::Left { "lpush" } else { "rpush" }, key);
    Ok(())
}

/// Takes from the list at a key, if there is one, and removes it if it is empty then. `change` says whether there is
/// anything to tell of.
fn take(
    cx: &mut ApplyCx<'_>,
    key: &[u8],
    (event, order): (&'static str, Order),
    change: impl FnOnce(&mut List, &EncodingLimits) -> bool,
) -> Result<(), Refusal> {
    let limits = cx.limits();
    let Some(list) = cx.list(key)? else { return Ok(()) };
    if !change(list, &limits) {
        return Ok(());
    }
    let emptied = list.is_empty();
    cx.taken(Taken { class: EventClasses::LIST, event, order }, key, emptied)
}

fn popped(end: End) -> &'static str {
    if end == End::Left { "lpop" } else { "rpop" }
}

pub(super) fn lpop(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    pop(cx, args, End::Left)
}

pub(super) fn rpop(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    pop(cx, args, End::Right)
}

fn pop(cx: &mut ApplyCx<'_>, args: &mut Args<'_>, end: End) -> Result<(), Refusal> {
    let key = args.require()?;
    let count = if args.remaining() > 0 { args.integer()? } else { 1 };
    let count = usize::try_from(count).map_err(|_| Refusal::MUST_BE_POSITIVE)?;
    args.end()?;
    take(cx, key, (popped(end), Order::EventsFirst), |list, limits| {
        list.drop_from(end, count, limits);
        count > 0
    })
}

pub(super) fn linsert(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let behind = args.take("after");
    if !behind && !args.take("before") {
        return Err(Refusal::SYNTAX);
    }
    let (pivot, text) = (args.require()?, args.require()?);
    let limits = cx.limits();
    if cx.list(key)?.is_some_and(|list| list.insert(pivot, behind, text, &limits)) {
        cx.changed(EventClasses::LIST, "linsert", key);
    }
    Ok(())
}

pub(super) fn lset(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, index, text) = (args.require()?, args.integer()?, args.require()?);
    let limits = cx.limits();
    let list = cx.list(key)?.ok_or(Refusal::NO_SUCH_KEY)?;
    let there = position(index, list.len()).is_some_and(|index| list.set(index, text, &limits));
    if !there {
        return Err(Refusal::INDEX_OUT_OF_RANGE);
    }
    cx.changed(EventClasses::LIST, "lset", key);
    Ok(())
}

/// Positive counts remove the first matches, negative ones the last, 0 all.
pub(super) fn lrem(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, count, text) = (args.require()?, args.integer()?, args.require()?);
    let end = if count < 0 { End::Right } else { End::Left };
    let most = if count == 0 { u64::MAX } else { count.unsigned_abs() };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let order = Order::events_first_if(cx.limits().dialect.tells_events_first());
    take(cx, key, ("lrem", order), |list, limits| list.remove_equal(text, end, most, limits) > 0)
}

pub(super) fn ltrim(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, start, stop) = (args.require()?, args.integer()?, args.integer()?);
    take(cx, key, ("ltrim", Order::EventsFirst), |list, limits| {
        list.trim(index_range(start, stop, list.len()), limits);
        true
    })
}

pub(super) fn rpoplpush(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (from, to) = (args.require()?, args.require()?);
    shift(cx, (from, End::Right), (to, End::Left))
}

pub(super) fn lmove(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (from, to) = (args.require()?, args.require()?);
    let (from_end, to_end) = (end(args)?, end(args)?);
    shift(cx, (from, from_end), (to, to_end))
}

/// In either case: a 7.0 master writes `left` where the client had been waiting.
fn end(args: &mut Args<'_>) -> Result<End, Refusal> {
    if args.take("left") {
        Ok(End::Left)
    } else if args.take("right") {
        Ok(End::Right)
    } else {
        Err(Refusal::SYNTAX)
    }
}

/// Moves one element from an end to an end, also of the same list.
fn shift(cx: &mut ApplyCx<'_>, from: (&[u8], End), to: (&[u8], End)) -> Result<(), Refusal> {
    let Some(element) = cx.list(from.0)?.and_then(|list| list.last(from.1).map(|element| element.to_vec())) else {
        return Ok(());
    };
    cx.list(to.0)?;
    let limits = cx.limits();
    if from.0 != to.0 {
        push(cx, to.0, to.1, std::iter::once(&element[..]), true)?;
    }
    if from.0 == to.0 {
        let Some(list) = cx.list(from.0)? else { return Ok(()) };
        list.drop_from(from.1, 1, &limits);
        push(cx, to.0, to.1, std::iter::once(&element[..]), true)?;
        cx.changed(EventClasses::LIST, popped(from.1), from.0);
        return Ok(());
    }
    take(cx, from.0, (popped(from.1), Order::EventsFirst), |list, _| {
        list.drop_from(from.1, 1, &limits);
        true
    })
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;

    fn check(lines: &[&str], expected: &str) {
        assert_eq!(Bench::after(lines).ask("LRANGE l 0 -1"), expected, "{lines:?}");
    }

    #[test]
    fn ends_are_pushed_and_popped() {
        check(&["LPUSH l a b", "RPUSH l c"], "*3 $1 b $1 a $1 c");
        check(&["LPUSHX l a", "RPUSHX l a"], "*0");
        check(&["RPUSH l a", "RPUSHX l b", "LPUSHX l c d"], "*4 $1 d $1 c $1 a $1 b");
        check(&["RPUSH l a b c d", "LPOP l", "RPOP l 2"], "*1 $1 b");
        check(&["RPUSH l a b c d", "LPOP l 0"], "*4 $1 a $1 b $1 c $1 d");
        check(&["RPOP l"], "*0");
    }

    #[test]
    fn a_list_without_elements_is_gone() {
        for line in ["LPOP l 9", "LTRIM l 5 6", "LREM l 0 a", "LMOVE l m LEFT left", "RPOPLPUSH l m"] {
            let bench = Bench::after(&["RPUSH l a", line]);
            assert!(bench.data.db(bench.db).expect("db 0").get(b"l").is_none(), "{line}");
        }
    }

    #[test]
    fn elements_in_the_middle() {
        check(&["RPUSH l a b c", "LINSERT l before b x", "LINSERT l AFTER c y"], "*5 $1 a $1 x $1 b $1 c $1 y");
        check(&["RPUSH l a", "LINSERT l before z x"], "*1 $1 a");
        check(&["RPUSH l a b c", "LSET l -1 x"], "*3 $1 a $1 b $1 x");
        check(&["RPUSH l a b a a", "LREM l -2 a"], "*2 $1 a $1 b");
        check(&["RPUSH l a b a a", "LREM l 1 a"], "*3 $1 b $1 a $1 a");
        check(&["RPUSH l a b c d", "LTRIM l 1 -2"], "*2 $1 b $1 c");
    }

    #[test]
    fn elements_move_between_lists_and_within_one() {
        check(&["RPUSH k a b", "RPOPLPUSH k l"], "*1 $1 b");
        check(&["RPUSH l a b c", "RPOPLPUSH l l"], "*3 $1 c $1 a $1 b");
        check(&["RPUSH l a", "RPOPLPUSH l l"], "*1 $1 a");
        check(&["RPUSH k a b", "RPUSH l c", "LMOVE k l LEFT right"], "*2 $1 c $1 a");
        check(&["LMOVE missing l LEFT RIGHT"], "*0");
    }

    #[test]
    fn what_cannot_be_applied_is_refused_and_changes_nothing() {
        let wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value";
        let refusals = [
            ("RPUSH s a", wrong_type),
            ("RPOPLPUSH l s", wrong_type),
            ("LMOVE l m UP LEFT", "ERR syntax error"),
            ("LSET l 9 x", "ERR index out of range"),
            ("LSET missing 0 x", "ERR no such key"),
            ("LINSERT l near a x", "ERR syntax error"),
            ("LPOP l -1", "ERR value is out of range, must be positive"),
            ("BLPOP l 0", "ERR blpop is not applied"),
        ];
        for (line, why) in refusals {
            let mut bench = Bench::after(&["RPUSH l a b", "SET s v"]);
            assert_eq!(bench.apply(line).map_err(|r| r.to_string()), Err(why.to_owned()), "{line}");
            assert_eq!(bench.ask("LRANGE l 0 -1"), "*2 $1 a $1 b", "{line}");
        }
    }
}
