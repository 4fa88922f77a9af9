//! Writes to sorted sets, as the stream brings them.

use super::combine::{self, Input, Operation, Options};
use super::range::{Preset, Query, lex_range, rank_range, score_range};
use crate::command::args::Args;
use crate::command::context::{ApplyCx, Order, Taken};
use crate::config::EventClasses;
use crate::dataset::zset::{Pairs, ZSet};
use crate::dataset::{Dialect, Value};
use crate::resp::refusal::Refusal;
use smallvec::SmallVec;
use std::ops::Range;

const NOT_A_NUMBER: &str = "ERR resulting score is not a number (NaN)";

/// The options of ZADD.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::command) struct AddOptions {
    only_new: bool,
    only_old: bool,
    only_greater: bool,
    only_less: bool,
    increment: bool,
}

impl AddOptions {
    fn parse(args: &mut Args<'_>) -> Result<Self, Refusal> {
        let mut options = Self::default();
        loop {
            if args.take("nx") {
                options.only_new = true;
            } else if args.take("xx") {
                options.only_old = true;
            } else if args.take("gt") {
                options.only_greater = true;
            } else if args.take("lt") {
                options.only_less = true;
            } else if args.take("incr") {
                options.increment = true;
            } else if !args.take("ch") {
                break;
            }
        }
        let Self { only_new, only_old, only_greater, only_less, .. } = options;
        if only_new && (only_old || only_greater || only_less) || only_greater && only_less {
            return Err(Refusal::SYNTAX);
        }
        Ok(options)
    }

    /// GEOADD knows NX, XX and CH only.
    pub(in crate::command) fn parse_of_geoadd(args: &mut Args<'_>) -> Result<Self, Refusal> {
        let options = Self::parse(args)?;
        let is_known = !(options.only_greater || options.only_less || options.increment);
        if is_known { Ok(options) } else { Err(Refusal::SYNTAX) }
    }

    /// The given score counts, whatever the old one is.
    fn is_plain(self) -> bool {
        let Self { only_new, only_old, only_greater, only_less, increment } = self;
        !(only_new || only_old || only_greater || only_less || increment)
    }

    /// The score that a member gets whose old one is this; `None`: it stays as it is.
    fn score(self, old: Option<f64>, given: f64) -> Result<Option<f64>, Refusal> {
        let Some(old) = old else { return Ok((!self.only_old).then_some(given)) };
        if self.only_new {
            return Ok(None);
        }
        let score = if self.increment { old + given } else { given };
        if score.is_nan() {
            return Err(Refusal::text(NOT_A_NUMBER));
        }
        let is_kept = self.only_less && score >= old || self.only_greater && score <= old;
        Ok((!is_kept).then_some(score))
    }
}

pub(super) fn zadd(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let options = AddOptions::parse(args)?;
    if args.is_empty() || !args.remaining().is_multiple_of(2) || options.increment && args.remaining() > 2 {
        return Err(Refusal::SYNTAX);
    }
    add_pairs(cx, key, options, &pairs(args)?)
}

pub(super) fn zincrby(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    add_pairs(cx, key, AddOptions { increment: true, ..AddOptions::default() }, &pairs(args)?)
}

/// Scores with their members; for most commands there is one.
type Given<'a> = SmallVec<[(f64, &'a [u8]); 4]>;

/// Reads `score member [score member ...]`.
fn pairs<'a>(args: &mut Args<'a>) -> Result<Given<'a>, Refusal> {
    let mut pairs = Given::with_capacity(args.remaining() / 2);
    while !args.is_empty() {
        pairs.push((args.float()?, args.require()?));
    }
    Ok(pairs)
}

/// Adds members to the set at a key, which is made if need be.
pub(in crate::command) fn add_pairs(
    cx: &mut ApplyCx<'_>,
    key: &[u8],
    options: AddOptions,
    pairs: &[(f64, &[u8])],
) -> Result<(), Refusal> {
    let (limits, mut changed) = (cx.limits(), false);
    let mut fresh = None;
    let zset = match cx.zset(key)? {
        Some(zset) => zset,
        None if options.only_old => return Ok(()),
        None => fresh.insert(ZSet::default()),
    };
    match limits.dialect {
        Dialect::Valkey(..) => {
            let longest = pairs.iter().map(|(_, member)| member.len()).max();
            zset.expect(pairs.len(), longest.unwrap_or(0), &limits);
        }
        Dialect::Redis(..) if limits.dialect.prints_shortest_doubles() => zset.expect(pairs.len(), 0, &limits),
        Dialect::Redis(..) => {}
    }
    for (given, member) in pairs {
        if options.is_plain() {
            changed |= zset.insert(member, *given, &limits) != Some(*given);
        } else if let Some(score) = options.score(zset.score(member), *given)? {
            changed |= zset.insert(member, score, &limits) != Some(score);
        }
    }
    if let Some(zset) = fresh {
        cx.store(key, Value::ZSet(Box::new(zset)), None)?;
    }
    if changed {
        cx.changed(EventClasses::ZSET, if options.increment { "zincr" } else { "zadd" }, key);
    }
    Ok(())
}

pub(super) fn zrem(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    change(cx, key, ("zrem", Order::EventsFirst), |zset| args.filter(|member| zset.remove(member)).count())
}

pub(super) fn zremrangebyrank(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let (start, stop) = (args.integer()?, args.integer()?);
    remove_range(cx, key, ("zremrangebyrank", Order::ChangeFirst), |zset| rank_range(zset.len(), start, stop))
}

pub(super) fn zremrangebyscore(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let range = score_range(args.require()?, args.require()?, cx.limits().dialect)?;
    remove_range(cx, key, ("zremrangebyscore", Order::ChangeFirst), |zset| zset.score_range(&range))
}

pub(super) fn zremrangebylex(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let range = lex_range(args.require()?, args.require()?)?;
    remove_range(cx, key, ("zremrangebylex", Order::ChangeFirst), |zset| zset.lex_range(&range))
}

pub(super) fn zpopmin(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, count) = pop_arguments(args)?;
    remove_range(cx, key, ("zpopmin", Order::EventsFirst), |zset| 0..count.min(zset.len()))
}

pub(super) fn zpopmax(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, count) = pop_arguments(args)?;
    remove_range(cx, key, ("zpopmax", Order::EventsFirst), |zset| zset.len() - count.min(zset.len())..zset.len())
}

/// Reads `key [count]`.
fn pop_arguments<'a>(args: &mut Args<'a>) -> Result<(&'a [u8], usize), Refusal> {
    let key = args.require()?;
    let count = if args.is_empty() { 1 } else { args.integer()? };
    args.end()?;
    Ok((key, usize::try_from(count).map_err(|_| Refusal::MUST_BE_POSITIVE)?))
}

fn remove_range(
    cx: &mut ApplyCx<'_>,
    key: &[u8],
    event: (&'static str, Order),
    ranks: impl FnOnce(&ZSet) -> Range<usize>,
) -> Result<(), Refusal> {
    change(cx, key, event, |zset| {
        let before = zset.len();
        zset.remove_ranks(ranks(zset));
        before - zset.len()
    })
}

/// Takes members out of the set at a key, if there is one, and says how many; an emptied set goes.
fn change(
    cx: &mut ApplyCx<'_>,
    key: &[u8],
    (event, order): (&'static str, Order),
    change: impl FnOnce(&mut ZSet) -> usize,
) -> Result<(), Refusal> {
    let Some(zset) = cx.zset(key)? else { return Ok(()) };
    if change(zset) == 0 {
        return Ok(());
    }
    let emptied = zset.is_empty();
    cx.taken(Taken { class: EventClasses::ZSET, event, order }, key, emptied)
}

pub(super) fn zunionstore(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    store_combined(cx, args, Operation::Union, "zunionstore")
}

pub(super) fn zinterstore(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    store_combined(cx, args, Operation::Intersection, "zinterstore")
}

pub(super) fn zdiffstore(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    store_combined(cx, args, Operation::Difference, "zdiffstore")
}

fn store_combined(
    cx: &mut ApplyCx<'_>,
    args: &mut Args<'_>,
    operation: Operation,
    command: &'static str,
) -> Result<(), Refusal> {
    let destination = args.require()?;
    let keys = combine::keys(args, command)?;
    let options = Options::parse(args, operation, keys.len(), false, cx.limits().dialect)?;
    let inputs = keys.into_iter().map(|key| Input::of(cx.peek(key)?)).collect::<Result<Vec<_>, _>>()?;
    let pairs = combine::combine(operation, &inputs, &options);
    store(cx, destination, pairs, command)?;
    cx.result_was_stored(destination)
}

pub(super) fn zrangestore(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (destination, source) = (args.require()?, args.require()?);
    let query = Query::parse(
        args,
        Preset { unit: None, reverse: None, may_have_scores: false, dialect: cx.limits().dialect },
    )?;
    let dialect = cx.limits().dialect;
    let mut pairs = cx.zset(source)?.map_or_else(Pairs::new, |zset| {
        let found = zset.range(query.ranks(zset, dialect));
        found.map(|(member, score)| (member.to_vec(), score)).collect()
    });
    if query.reverse {
        pairs.reverse();
    }
    if pairs.is_empty() {
        return cx.delete(destination).map(drop);
    }
    // One by one, as the servers: what goes through a listpack on its way to a tree loses the sign of minus zero.
    let (limits, mut zset) = (cx.limits(), ZSet::default());
    if query.is_by_rank() {
        zset.expect(pairs.len(), 0, &limits);
    }
    for (member, score) in &pairs {
        zset.insert(member, *score, &limits);
    }
    cx.store(destination, Value::ZSet(Box::new(zset)), None)?;
    cx.changed(EventClasses::ZSET, "zrangestore", destination);
    Ok(())
}

/// Puts a result in the place of what a key held: nothing if it is empty, packed if it fits.
pub(in crate::command) fn store(
    cx: &mut ApplyCx<'_>,
    key: &[u8],
    pairs: Pairs,
    event: &'static str,
) -> Result<(), Refusal> {
    if pairs.is_empty() {
        cx.delete(key)?;
        return Ok(());
    }
    let zset = ZSet::of(pairs, &cx.limits());
    cx.store(key, Value::ZSet(Box::new(zset)), None)?;
    cx.changed(EventClasses::ZSET, event, key);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;
    use crate::dataset::{Dialect, ValueRef};

    fn check(lines: &[&str], expected: &str) {
        let bench = Bench::after(lines);
        assert_eq!(bench.ask("ZRANGE z 0 -1 WITHSCORES"), expected, "{lines:?}");
    }

    #[test]
    fn zadd_with_every_option() {
        let start = "ZADD z 1 a 2 b";
        for (line, expected) in [
            ("ZADD z 5 a 3 c", "*6 $1 b $1 2 $1 c $1 3 $1 a $1 5"),
            ("ZADD z NX 5 a 3 c", "*6 $1 a $1 1 $1 b $1 2 $1 c $1 3"),
            ("ZADD z XX CH 5 a 3 c", "*4 $1 b $1 2 $1 a $1 5"),
            ("ZADD z GT 0 a 3 b 3 c", "*6 $1 a $1 1 $1 b $1 3 $1 c $1 3"),
            ("ZADD z LT 0 a 3 b", "*4 $1 a $1 0 $1 b $1 2"),
            ("ZADD z XX LT 0 a 3 c", "*4 $1 a $1 0 $1 b $1 2"),
            ("ZADD z INCR 1.5 a", "*4 $1 b $1 2 $1 a $3 2.5"),
            ("ZADD z GT INCR -1 a", "*4 $1 a $1 1 $1 b $1 2"),
            ("zadd z ch -inf b", "*4 $1 b $4 -inf $1 a $1 1"),
            ("ZINCRBY z -3 b", "*4 $1 b $2 -1 $1 a $1 1"),
            ("ZINCRBY z 3 c", "*6 $1 a $1 1 $1 b $1 2 $1 c $1 3"),
        ] {
            check(&[start, line], expected);
        }
    }

    #[test]
    fn removals_of_every_kind() {
        let start = "ZADD z 1 a 2 b 3 c 4 d";
        for (line, expected) in [
            ("ZREM z b nobody d", "*4 $1 a $1 1 $1 c $1 3"),
            ("ZREMRANGEBYRANK z 1 -2", "*4 $1 a $1 1 $1 d $1 4"),
            ("ZREMRANGEBYSCORE z (1 3", "*4 $1 a $1 1 $1 d $1 4"),
            ("ZREMRANGEBYLEX z [b (d", "*4 $1 a $1 1 $1 d $1 4"),
            ("ZPOPMIN z", "*6 $1 b $1 2 $1 c $1 3 $1 d $1 4"),
            ("zpopmax z 3", "*2 $1 a $1 1"),
            ("ZPOPMIN z 0", "*8 $1 a $1 1 $1 b $1 2 $1 c $1 3 $1 d $1 4"),
        ] {
            check(&[start, line], expected);
        }
        for line in ["ZREM z a b c d", "ZREMRANGEBYRANK z 0 -1", "ZPOPMAX z 10"] {
            let bench = Bench::after(&[start, line]);
            assert!(bench.data.db(bench.db).unwrap().get(b"z").is_none(), "{line} removes the key");
        }
    }

    #[test]
    fn results_replace_what_was_there() {
        let start = ["ZADD a 1 x 2 y", "ZADD b 10 y 20 z", "SET z old"];
        for (line, expected) in [
            ("ZUNIONSTORE z 2 a b", "*6 $1 x $1 1 $1 y $2 12 $1 z $2 20"),
            ("ZUNIONSTORE z 2 a b WEIGHTS 2 -1 AGGREGATE MIN", "*6 $1 z $3 -20 $1 y $3 -10 $1 x $1 2"),
            ("ZINTERSTORE z 2 a b AGGREGATE MAX", "*2 $1 y $2 10"),
            ("ZDIFFSTORE z 2 a b", "*2 $1 x $1 1"),
            ("ZRANGESTORE z a 1 +inf BYSCORE LIMIT 1 1", "*2 $1 y $1 2"),
            ("ZRANGESTORE z a 0 0 REV", "*2 $1 y $1 2"),
            ("ZINTERSTORE z 2 a missing", "*0"),
            ("ZRANGESTORE z missing 0 -1", "*0"),
        ] {
            check(&[start[0], start[1], start[2], line], expected);
        }
    }

    #[test]
    fn infinities_sum_up_to_zero_and_never_to_a_refusal() {
        check(&["ZADD a inf x", "ZADD b -inf x", "ZUNIONSTORE z 2 a b"], "*2 $1 x $1 0");
        check(&["ZADD a inf x", "ZUNIONSTORE z 1 a WEIGHTS 0"], "*2 $1 x $1 0");
        let mut bench = Bench::after(&["ZADD z inf x"]);
        assert!(bench.apply("ZINCRBY z -inf x").is_err());
    }

    #[test]
    fn what_cannot_be_applied_changes_nothing() {
        let mut bench = Bench::after(&["ZADD z 1 a", "SET s x"]);
        for line in [
            "ZADD z 2 a x b",
            "ZADD z 2 a 3",
            "ZADD z nan a",
            "ZADD z NX XX 2 a",
            "ZADD z GT LT 2 a",
            "ZADD z INCR 1 a 2 b",
            "ZADD s 2 a",
            "ZINCRBY z x a",
            "ZREMRANGEBYRANK z 0 x",
            "ZREMRANGEBYSCORE z 0 x",
            "ZREMRANGEBYLEX z 0 1",
            "ZPOPMIN z -1",
            "ZUNIONSTORE z 2 a",
            "ZUNIONSTORE z 1 a WITHSCORES",
            "ZDIFFSTORE z 1 a WEIGHTS 1",
            "ZUNIONSTORE z 1 s",
            "ZRANGESTORE z z 0 -1 WITHSCORES",
            "ZRANGESTORE z s 0 -1",
        ] {
            assert!(bench.apply(line).is_err(), "{line}");
        }
        assert_eq!(bench.ask("ZRANGE z 0 -1 WITHSCORES"), "*2 $1 a $1 1");
    }

    /// What OBJECT ENCODING of each server answered after the same commands.
    #[test]
    fn zadd_chooses_the_form_as_its_master_does() {
        let many_times_one = format!("ZADD z{}", " 1 m".repeat(200));
        let absent_long = format!("ZADD z XX 2 a 1 {}", "x".repeat(65));
        for (dialect, line, expected) in [
            (Dialect::Redis(6, 0), &many_times_one, "ziplist"),
            (Dialect::Redis(7, 0), &many_times_one, "listpack"),
            (Dialect::Redis(8, 0), &many_times_one, "skiplist"),
            (Dialect::Valkey(9, 1), &many_times_one, "skiplist"),
            (Dialect::Redis(8, 0), &absent_long, "listpack"),
            (Dialect::Valkey(8, 1), &absent_long, "skiplist"),
        ] {
            let mut bench = Bench::after(&["ZADD z 1 a"]);
            bench.data.limits.dialect = dialect;
            bench.apply(line).unwrap();
            let entry = bench.data.db(bench.db).unwrap().get(b"z").unwrap();
            let ValueRef::ZSet(zset) = entry.value() else { panic!("a sorted set") };
            assert_eq!(zset.encoding(&bench.data.limits), expected, "{dialect:?}");
        }
    }
}
