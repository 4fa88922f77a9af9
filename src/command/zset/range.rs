//! The intervals of the ZRANGE family: arguments to ranks.
//!
//! One form serves ZRANGE, its five older names, ZRANGESTORE, the counts and the removals.

use crate::command::args::Args;
use crate::dataset::Dialect;
use crate::dataset::zset::{LexBound, LexRange, ScoreBound, ScoreRange, ZSet};
use crate::number;
use crate::resp::refusal::Refusal;
use std::ops::Range;

const NOT_A_SCORE: &str = "ERR min or max is not a float";
const NOT_A_LEX_BOUND: &str = "ERR min or max not valid string range item";

/// What the numbers or texts of an interval mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Rank,
    Score,
    Lex,
}

/// What a command of the family has decided before its options are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Preset {
    /// `None`: BYSCORE or BYLEX may say it.
    pub(super) unit: Option<Unit>,
    /// `None`: REV may say it.
    pub(super) reverse: Option<bool>,
    /// WITHSCORES is known (not to ZRANGESTORE).
    pub(super) may_have_scores: bool,
    /// Whose numbers are read.
    pub(super) dialect: Dialect,
}

/// An interval.
#[derive(Clone, Copy, Debug)]
enum Interval<'a> {
    Rank(i64, i64),
    Score(ScoreRange),
    Lex(LexRange<'a>),
}

/// Which members in which order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    interval: Interval<'a>,
    /// From the highest down.
    pub(super) reverse: bool,
    offset: i64,
    /// Negative: no limit.
    limit: i64,
    /// Scores are wanted too.
    pub(super) with_scores: bool,
}

impl<'a> Query<'a> {
    /// Reads `min max [options]` up to the end of the request.
    pub(super) fn parse(args: &mut Args<'a>, preset: Preset) -> Result<Self, Refusal> {
        let (first, second) = (args.require()?, args.require()?);
        let (mut unit, mut reverse) = (preset.unit, preset.reverse);
        let (mut limit, mut with_scores) = (None, false);
        while !args.is_empty() {
            if preset.may_have_scores && args.take("withscores") {
                with_scores = true;
            } else if args.remaining() >= 3 && args.take("limit") {
                limit = Some((args.integer()?, args.integer()?));
            } else if reverse.is_none() && args.take("rev") {
                reverse = Some(true);
            } else if unit.is_none() && args.take("bylex") {
                unit = Some(Unit::Lex);
            } else if unit.is_none() && args.take("byscore") {
                unit = Some(Unit::Score);
            } else {
                return Err(Refusal::SYNTAX);
            }
        }
        let (unit, reverse) = (unit.unwrap_or(Unit::Rank), reverse.unwrap_or(false));
        // A limit of -1 is none to the servers, so that it goes with everything.
        if limit.is_some_and(|(_, count)| count != -1) && unit == Unit::Rank {
            return Err(Refusal::text(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && unit == Unit::Lex {
            return Err(Refusal::text("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        let (offset, limit) = limit.unwrap_or((0, -1));
        let interval = Interval::parse(unit, first, second, reverse, preset.dialect)?;
        Ok(Self { interval, reverse, offset, limit, with_scores })
    }

    /// Ranks were given, so that the number of members is known before they are looked at.
    pub(super) fn is_by_rank(&self) -> bool {
        matches!(self.interval, Interval::Rank(..))
    }

    /// The ranks of the chosen members, to be walked from the end if `reverse`.
    pub(super) fn ranks(&self, zset: &ZSet, dialect: Dialect) -> Range<usize> {
        let all = match self.interval {
            Interval::Rank(start, stop) => {
                let ranks = rank_range(zset.len(), start, stop);
                return if self.reverse { mirrored(ranks, zset.len()) } else { ranks };
            }
            Interval::Score(range) => zset.score_range(&range),
            Interval::Lex(range) => return self.lex_ranks(zset, &range, dialect).unwrap_or(0..0),
        };
        let Some(skip) = self.skip(zset, all.len(), dialect) else { return 0..0 };
        let skip = skip.min(all.len());
        let taken = usize::try_from(self.limit).unwrap_or(usize::MAX).min(all.len() - skip);
        if self.reverse {
            let end = all.end - skip;
            end - taken..end
        } else {
            let start = all.start + skip;
            start..start + taken
        }
    }

    /// How many members LIMIT skips; `None`: all.
    fn skip(&self, zset: &ZSet, found: usize, dialect: Dialect) -> Option<usize> {
        if self.offset >= 0 {
            return Some(self.offset_size());
        }
        if counts_from_the_end(zset, dialect) { found.checked_sub(self.offset_size()) } else { None }
    }

    /// The walk of a range by name: LIMIT passes over members without a look at them.
    fn lex_ranks(&self, zset: &ZSet, range: &LexRange<'_>, dialect: Dialect) -> Option<Range<usize>> {
        let from_the_end = self.offset < 0;
        if from_the_end && !counts_from_the_end(zset, dialect) {
            return None;
        }
        let skip = self.offset_size() - usize::from(from_the_end);
        let begin = if self.reverse == from_the_end {
            zset.lex_first(range)?.checked_add(skip).filter(|rank| *rank < zset.len())?
        } else {
            zset.lex_last(range)?.checked_sub(skip)?
        };
        // Counted from the other end, it has to fit that end as well.
        let fits = match (from_the_end, self.reverse) {
            (false, _) => true,
            (true, true) => zset.lex_end(begin, 1, range) > begin,
            (true, false) => zset.lex_start(begin + 1, 1, range) <= begin,
        };
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        fits.then(|| match self.reverse {
            true => zset.lex_start(begin + 1, limit, range)..begin + 1,
            false => begin..zset.lex_end(begin, limit, range),
        })
    }

    fn offset_size(&self) -> usize {
        usize::try_from(self.offset.unsigned_abs()).unwrap_or(usize::MAX)
    }
}

/// Since 7.2 a skiplist counts a negative offset from the other end (a listpack does not); before, it skips everything.
fn counts_from_the_end(zset: &ZSet, dialect: Dialect) -> bool {
    zset.as_listpack().is_none() && dialect.prints_shortest_doubles()
}

impl<'a> Interval<'a> {
    fn parse(
        unit: Unit,
        first: &'a [u8],
        second: &'a [u8],
        reverse: bool,
        dialect: Dialect,
    ) -> Result<Self, Refusal> {
        let (min, max) = if reverse { (second, first) } else { (first, second) };
        Ok(match unit {
            Unit::Rank => Self::Rank(rank(first)?, rank(second)?),
            Unit::Score => Self::Score(score_range(min, max, dialect)?),
            Unit::Lex => Self::Lex(lex_range(min, max)?),
        })
    }
}

fn rank(text: &[u8]) -> Result<i64, Refusal> {
    number::parse_integer(text).ok_or(Refusal::NOT_AN_INTEGER)
}

/// `start` and `stop` as ranks of a set of `len` members: negative ones count from the end, both belong to it.
pub(super) fn rank_range(len: usize, start: i64, stop: i64) -> Range<usize> {
    let len_signed = i64::try_from(len).unwrap_or(i64::MAX);
    let place = |rank: i64| if rank < 0 { rank.saturating_add(len_signed) } else { rank };
    let (start, stop) = (place(start).max(0), place(stop).min(len_signed - 1));
    if start > stop {
        return 0..0;
    }
    // both lie within 0..len now
    start as usize..stop as usize + 1
}

fn mirrored(ranks: Range<usize>, len: usize) -> Range<usize> {
    if ranks.is_empty() { ranks } else { len - ranks.end..len - ranks.start }
}

/// `min max` as scores: `(` in front of one that does not belong to it.
pub(super) fn score_range(min: &[u8], max: &[u8], dialect: Dialect) -> Result<ScoreRange, Refusal> {
    let read =
        if dialect.reads_bounds_strictly() { number::parse_decimal_bound } else { number::parse_float_bound };
    let bound = |text: &[u8]| {
        let (score, is_exclusive) = match text {
            [b'(', rest @ ..] => (rest, true),
            _ => (text, false),
        };
        let score = read(score).ok_or_else(|| Refusal::text(NOT_A_SCORE))?;
        Ok::<_, Refusal>(ScoreBound { score, is_exclusive })
    };
    Ok(ScoreRange { min: bound(min)?, max: bound(max)? })
}

/// `min max` as members: `[a`, `(a`, `-` or `+`.
pub(super) fn lex_range<'a>(min: &'a [u8], max: &'a [u8]) -> Result<LexRange<'a>, Refusal> {
    let bound = |text: &'a [u8]| match text {
        b"-" => Ok(LexBound::Lowest),
        b"+" => Ok(LexBound::Highest),
        [b'[', member @ ..] => Ok(LexBound::Included(member)),
        [b'(', member @ ..] => Ok(LexBound::Excluded(member)),
        _ => Err(Refusal::text(NOT_A_LEX_BOUND)),
    };
    Ok(LexRange { min: bound(min)?, max: bound(max)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_count_from_either_end() {
        for (len, start, stop, expected) in [
            (5, 0, -1, 0..5),
            (5, 1, 2, 1..3),
            (5, -2, -1, 3..5),
            (5, -100, 0, 0..1),
            (5, 4, 100, 4..5),
            (5, 5, 6, 0..0),
            (5, 3, 2, 0..0),
            (5, 0, -6, 0..0),
            (0, 0, -1, 0..0),
            (5, i64::MIN, i64::MAX, 0..5),
            (5, i64::MAX, i64::MIN, 0..0),
        ] {
            assert_eq!(rank_range(len, start, stop), expected, "{start} {stop} of {len}");
        }
    }
}
