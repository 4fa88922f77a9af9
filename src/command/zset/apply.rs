//! Writes to sorted sets, as the stream brings them.

use super::combine::{self, Input, Operation, Options};
use super::range::{Preset, Query, lex_range, rank_range, score_range};
use crate::command::args::Args;
use crate::command::context::ApplyCx;
use crate::dataset::zset::{Pairs, ZSet};
use crate::dataset::{Dialect, Value};
use crate::resp::refusal::Refusal;
use std::ops::Range;

const NOT_A_NUMBER: &str = "ERR resulting score is not a number (NaN)";

/// The options of ZADD.
#[derive(Clone, Copy, Debug, Default)]
struct AddOptions {
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
    let members = args.remaining() / 2;
    if args.is_empty() || !args.remaining().is_multiple_of(2) || options.increment && members > 1 {
        return Err(Refusal::SYNTAX);
    }
    add(cx, key, options, args, members)
}

pub(super) fn zincrby(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    add(cx, key, AddOptions { increment: true, ..AddOptions::default() }, args, 1)
}

/// Adds `members` pairs of score and member.
fn add(
    cx: &mut ApplyCx<'_>,
    key: &[u8],
    options: AddOptions,
    args: &mut Args<'_>,
    members: usize,
) -> Result<(), Refusal> {
    let limits = cx.limits();
    let longest = longest_member(args)?;
    let mut fresh = None;
    let zset = match cx.zset(key)? {
        Some(zset) => zset,
        None if options.only_old => return Ok(()),
        None => fresh.insert(ZSet::default()),
    };
    match limits.dialect {
        Dialect::Valkey(..) => zset.expect(members, longest, &limits),
        Dialect::Redis(..) if limits.dialect.prints_shortest_doubles() => zset.expect(members, 0, &limits),
        Dialect::Redis(..) => {}
    }
    for _ in 0..members {
        let (given, member) = (args.float()?, args.require()?);
        if let Some(score) = options.score(zset.score(member), given)? {
            zset.insert(member, score, &limits);
        }
    }
    match fresh {
        Some(zset) => cx.store(key, Value::ZSet(Box::new(zset)), None),
        None => Ok(()),
    }
}

/// Reads all pairs of score and member before anything is changed; answers the length of the longest member.
fn longest_member(args: &Args<'_>) -> Result<usize, Refusal> {
    let (mut args, mut longest) = (args.clone(), 0);
    while !args.is_empty() {
        args.float()?;
        longest = longest.max(args.require()?.len());
    }
    Ok(longest)
}

pub(super) fn zrem(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    change(cx, key, |zset| {
        args.for_each(|member| {
            zset.remove(member);
        });
    })
}

pub(super) fn zremrangebyrank(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let (start, stop) = (args.integer()?, args.integer()?);
    remove_range(cx, key, |zset| rank_range(zset.len(), start, stop))
}

pub(super) fn zremrangebyscore(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let range = score_range(args.require()?, args.require()?)?;
    remove_range(cx, key, |zset| zset.score_range(&range))
}

pub(super) fn zremrangebylex(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let range = lex_range(args.require()?, args.require()?)?;
    remove_range(cx, key, |zset| zset.lex_range(&range))
}

pub(super) fn zpopmin(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, count) = pop_arguments(args)?;
    remove_range(cx, key, |zset| 0..count.min(zset.len()))
}

pub(super) fn zpopmax(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, count) = pop_arguments(args)?;
    remove_range(cx, key, |zset| zset.len() - count.min(zset.len())..zset.len())
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
    ranks: impl FnOnce(&ZSet) -> Range<usize>,
) -> Result<(), Refusal> {
    change(cx, key, |zset| zset.remove_ranks(ranks(zset)))
}

/// Changes the set at a key, if there is one; an emptied set goes.
fn change(cx: &mut ApplyCx<'_>, key: &[u8], change: impl FnOnce(&mut ZSet)) -> Result<(), Refusal> {
    let Some(zset) = cx.zset(key)? else { return Ok(()) };
    change(zset);
    if zset.is_empty() {
        cx.delete(key)?;
    }
    Ok(())
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
    command: &str,
) -> Result<(), Refusal> {
    let destination = args.require()?;
    let keys = combine::keys(args, command)?;
    let options = Options::parse(args, operation, keys.len(), false)?;
    let inputs = keys.into_iter().map(|key| Input::of(cx.peek(key)?)).collect::<Result<Vec<_>, _>>()?;
    let pairs = combine::combine(operation, &inputs, &options);
    store(cx, destination, pairs)
}

pub(super) fn zrangestore(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (destination, source) = (args.require()?, args.require()?);
    let query = Query::parse(args, Preset { unit: None, reverse: None, may_have_scores: false })?;
    let dialect = cx.limits().dialect;
    let mut pairs = cx.zset(source)?.map_or_else(Pairs::new, |zset| {
        let found = zset.range(query.ranks(zset, dialect));
        found.map(|(member, score)| (member.to_vec(), score)).collect()
    });
    if query.reverse {
        pairs.reverse();
    }
    if pairs.is_empty() {
        return store(cx, destination, pairs);
    }
    // One by one, as the servers: what goes through a listpack on its way to a tree loses the sign of minus zero.
    let (limits, mut zset) = (cx.limits(), ZSet::default());
    if query.is_by_rank() {
        zset.expect(pairs.len(), 0, &limits);
    }
    for (member, score) in &pairs {
        zset.insert(member, *score, &limits);
    }
    cx.store(destination, Value::ZSet(Box::new(zset)), None)
}

/// Puts a result in the place of what a key held: nothing if it is empty, packed if it fits.
pub(in crate::command) fn store(cx: &mut ApplyCx<'_>, key: &[u8], pairs: Pairs) -> Result<(), Refusal> {
    if pairs.is_empty() {
        cx.delete(key)?;
        return Ok(());
    }
    let zset = ZSet::of(pairs, &cx.limits());
    cx.store(key, Value::ZSet(Box::new(zset)), None)
}
