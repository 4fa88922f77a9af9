//! What clients can ask of sorted sets.

use super::combine::{self, Input, Operation, Options};
use super::range::{Preset, Query, Unit, lex_range, score_range};
use crate::command::args::Args;
use crate::command::context::ReadCx;
use crate::command::scan::{self, ScanOf};
use crate::dataset::packed::listpack::{Element, IntText};
use crate::dataset::zset::{self, Pairs, ZSet};
use crate::limits::RANDOM_MEMBERS_MAX;
use crate::number::DoubleText;
use crate::resp::number;
use crate::resp::refusal::Refusal;
use crate::resp::reply::{Proto, Reply};

pub(super) fn zcard(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.count(cx.zset(args.require()?)?.map_or(0, ZSet::len));
    Ok(())
}

pub(super) fn zscore(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let (key, member) = (args.require()?, args.require()?);
    score_or_null(out, cx.zset(key)?.and_then(|zset| zset.score(member)));
    Ok(())
}

pub(super) fn zmscore(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let zset = cx.zset(args.require()?)?;
    out.array(args.remaining());
    args.for_each(|member| score_or_null(out, zset.and_then(|zset| zset.score(member))));
    Ok(())
}

fn score_or_null(out: &mut Reply, score: Option<f64>) {
    match score {
        Some(score) => out.double(score),
        None => out.null(),
    }
}

pub(super) fn zrank(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    rank(cx, args, out, "zrank")
}

pub(super) fn zrevrank(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    rank(cx, args, out, "zrevrank")
}

fn rank(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply, command: &str) -> Result<(), Refusal> {
    let (key, member) = (args.require()?, args.require()?);
    if args.remaining() > 1 {
        return Err(Refusal::wrong_arity(command));
    }
    let with_score = args.take("withscore");
    args.end()?;
    let found = cx.zset(key)?.and_then(|zset| {
        let (rank, score) = zset.rank(member)?;
        Some((if command == "zrevrank" { zset.len() - 1 - rank } else { rank }, score))
    });
    match found {
        Some((rank, score)) if with_score => {
            out.array(2);
            out.count(rank);
            out.double(score);
        }
        Some((rank, _)) => out.count(rank),
        None if with_score => out.null_array(),
        None => out.null(),
    }
    Ok(())
}

pub(super) fn zcount(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let key = args.require()?;
    let range = score_range(args.require()?, args.require()?, cx.dialect())?;
    out.count(cx.zset(key)?.map_or(0, |zset| zset.score_range(&range).len()));
    Ok(())
}

pub(super) fn zlexcount(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let key = args.require()?;
    let range = lex_range(args.require()?, args.require()?)?;
    out.count(cx.zset(key)?.map_or(0, |zset| zset.lex_count(&range)));
    Ok(())
}

pub(super) fn zrange(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    range(cx, args, out, None, None)
}

pub(super) fn zrevrange(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    range(cx, args, out, Some(Unit::Rank), Some(true))
}

pub(super) fn zrangebyscore(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    range(cx, args, out, Some(Unit::Score), Some(false))
}

pub(super) fn zrevrangebyscore(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    range(cx, args, out, Some(Unit::Score), Some(true))
}

pub(super) fn zrangebylex(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    range(cx, args, out, Some(Unit::Lex), Some(false))
}

pub(super) fn zrevrangebylex(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    range(cx, args, out, Some(Unit::Lex), Some(true))
}

fn range(
    cx: &ReadCx<'_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    unit: Option<Unit>,
    reverse: Option<bool>,
) -> Result<(), Refusal> {
    let key = args.require()?;
    let query = Query::parse(args, Preset { unit, reverse, may_have_scores: true, dialect: cx.dialect() })?;
    let Some(zset) = cx.zset(key)? else {
        out.array(0);
        return Ok(());
    };
    let found = zset.range(query.ranks(zset, cx.dialect()));
    if query.reverse {
        pairs(out, found.rev(), query.with_scores)
    } else {
        pairs(out, found, query.with_scores)
    }
    Ok(())
}

/// Members, with scores if wanted: in RESP2 in turns, in RESP3 pair by pair.
fn pairs<'a>(out: &mut Reply, pairs: impl ExactSizeIterator<Item = (Element<'a>, f64)>, with_scores: bool) {
    let mut scratch = IntText::default();
    let in_turns = with_scores && out.proto == Proto::Resp2;
    out.array(if in_turns { pairs.len() * 2 } else { pairs.len() });
    for (member, score) in pairs {
        if with_scores && !in_turns {
            out.array(2);
        }
        out.bulk(member.text(&mut scratch));
        if with_scores {
            out.double(score);
        }
    }
}

pub(super) fn zrandmember(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let key = args.require()?;
    if args.is_empty() {
        let mut scratch = IntText::default();
        let zset = cx.zset(key)?;
        let picked = zset.and_then(|zset| zset.range(random_rank(zset)..zset.len()).next());
        out.bulk_or_null(picked.map(|(member, _)| member.text(&mut scratch).to_vec()));
        return Ok(());
    }
    let (count, with_scores) = random_options(args)?;
    let Some(zset) = cx.zset(key)?.filter(|_| count != 0) else {
        out.array(0);
        return Ok(());
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count > 0 && wanted >= zset.len() {
        pairs(out, zset.iter().rev(), with_scores);
    } else if count > 0 {
        pairs(out, at_ranks(zset, &distinct_ranks(zset.len(), wanted)), with_scores);
    } else if wanted <= RANDOM_MEMBERS_MAX {
        let ranks: Vec<usize> = (0..wanted).map(|_| random_rank(zset)).collect();
        pairs(out, at_ranks(zset, &ranks), with_scores);
    } else {
        return Err(Refusal::OUT_OF_RANGE);
    }
    Ok(())
}

/// Reads `count [WITHSCORES]`.
fn random_options(args: &mut Args<'_>) -> Result<(i64, bool), Refusal> {
    let count = args.integer()?;
    if count == i64::MIN {
        return Err(Refusal::text(format!(
            "ERR value is out of range, value must between {} and {}",
            -i64::MAX,
            i64::MAX
        )));
    }
    let with_scores = args.take("withscores");
    args.end()?;
    if with_scores && !(-i64::MAX / 2..=i64::MAX / 2).contains(&count) {
        return Err(Refusal::OUT_OF_RANGE);
    }
    Ok((count, with_scores))
}

fn random_rank(zset: &ZSet) -> usize {
    if zset.is_empty() { 0 } else { fastrand::usize(..zset.len()) }
}

/// `wanted` different ranks below `len`, which is more, in ascending order (Floyd's sampling).
fn distinct_ranks(len: usize, wanted: usize) -> Vec<usize> {
    let mut ranks = std::collections::BTreeSet::new();
    for last in len - wanted..len {
        if !ranks.insert(fastrand::usize(..=last)) {
            ranks.insert(last);
        }
    }
    ranks.into_iter().collect()
}

fn at_ranks<'a>(zset: &'a ZSet, ranks: &[usize]) -> impl ExactSizeIterator<Item = (Element<'a>, f64)> {
    ranks.iter().map(|&rank| {
        let found = zset.range(rank..rank + 1).next();
        found.expect("ranks were drawn below the length, and nobody else can change the set meanwhile")
    })
}

pub(super) fn zscan(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let key = args.require()?;
    let cursor = scan::cursor(args, cx.dialect())?;
    let Some(zset) = cx.zset(key)? else {
        scan::empty_page(out);
        return Ok(());
    };
    let options = scan::options(args, ScanOf::ZSet, cx.dialect())?;
    let (mut page, mut scratch) = (Vec::new(), IntText::default());
    let next = zset.scan(cursor, options.count, |member, score| {
        if options.accepts(member.text(&mut scratch)) {
            page.push((member, score));
        }
    });
    out.array(2);
    out.bulk(next.to_string());
    out.array(if options.names_only { page.len() } else { page.len() * 2 });
    let is_packed = zset.as_listpack().is_some();
    for (member, score) in page {
        out.bulk(member.text(&mut scratch));
        if !options.names_only {
            scanned_score(out, score, is_packed);
        }
    }
    Ok(())
}

/// Scores of a scan are texts in both protocols; all servers print those of a skiplist as `%.17g`.
fn scanned_score(out: &mut Reply, score: f64, is_packed: bool) {
    if is_packed {
        let mut text = number::DoubleText::default();
        out.bulk(text.format(score, out.doubles));
    } else {
        out.bulk(DoubleText::percent_17g(score).as_bytes());
    }
}

pub(super) fn zunion(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    combined(cx, args, out, Operation::Union, "zunion")
}

pub(super) fn zinter(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    combined(cx, args, out, Operation::Intersection, "zinter")
}

pub(super) fn zdiff(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    combined(cx, args, out, Operation::Difference, "zdiff")
}

fn combined(
    cx: &ReadCx<'_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    operation: Operation,
    command: &str,
) -> Result<(), Refusal> {
    let inputs = inputs(cx, args, command)?;
    let options = Options::parse(args, operation, inputs.len(), true, cx.dialect())?;
    let mut found: Pairs = combine::combine(operation, &inputs, &options);
    zset::sort(&mut found);
    let found = found.iter().map(|(member, score)| (Element::Str(member), *score));
    pairs(out, found, options.with_scores);
    Ok(())
}

pub(super) fn zintercard(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let inputs = inputs(cx, args, "zintercard")?;
    let mut limit = usize::MAX;
    while !args.is_empty() {
        if args.remaining() < 2 || !args.take("limit") {
            return Err(Refusal::SYNTAX);
        }
        let given = args.integer().ok().and_then(|limit| usize::try_from(limit).ok());
        limit = given.ok_or_else(|| Refusal::text("ERR LIMIT can't be negative"))?;
    }
    let limit = if limit == 0 { usize::MAX } else { limit };
    out.count(combine::intersection_len(&inputs, limit));
    Ok(())
}

fn inputs<'a>(cx: &ReadCx<'a>, args: &mut Args<'_>, command: &str) -> Result<Vec<Input<'a>>, Refusal> {
    let keys = combine::keys(args, command)?;
    keys.into_iter().map(|key| Input::of(cx.lookup(key)?.map(|entry| entry.value()))).collect()
}
