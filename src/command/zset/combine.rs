//! Unions, intersections and differences: of sorted sets, and of sets as if every member had score 1.
//!
//! The same for reads (ZUNION) and applies (ZUNIONSTORE). Scores are summed in the order in which the servers do it,
//! because floating point sums depend on it: inputs by ascending cardinality.

use crate::command::args::Args;
use crate::dataset::packed::listpack::IntText;
use crate::dataset::set::Set;
use crate::dataset::zset::{Pairs, ZSet};
use crate::dataset::{Dialect, ValueRef};
use crate::resp::refusal::Refusal;
use hashbrown::HashMap;

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What becomes of the scores of a member that is in more than one input.
#[derive(Clone, Copy, Debug, Default)]
enum Aggregate {
    #[default]
    Sum,
    Min,
    Max,
}

/// One of the sets that are combined.
#[derive(Clone, Copy, Debug)]
pub(super) enum Input<'a> {
    Missing,
    ZSet(&'a ZSet),
    Set(&'a Set),
}

/// The options behind the keys.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// One for every input, or none: all 1.
    weights: Vec<f64>,
    aggregate: Aggregate,
    /// Scores are wanted too.
    pub(super) with_scores: bool,
}

/// Reads `numkeys key [key ...]`.
pub(super) fn keys<'a>(args: &mut Args<'a>, command: &str) -> Result<Vec<&'a [u8]>, Refusal> {
    let count = args.integer()?;
    if count < 1 {
        return Err(Refusal::text(format!("ERR at least 1 input key is needed for '{command}' command")));
    }
    let count = usize::try_from(count).ok().filter(|count| *count <= args.remaining()).ok_or(Refusal::SYNTAX)?;
    (0..count).map(|_| args.require()).collect()
}

impl Options {
    /// Reads the options for `inputs` inputs up to the end of the request.
    pub(super) fn parse(
        args: &mut Args<'_>,
        operation: Operation,
        inputs: usize,
        may_have_scores: bool,
        dialect: Dialect,
    ) -> Result<Self, Refusal> {
        let mut options = Self::default();
        let combines_scores = operation != Operation::Difference;
        while !args.is_empty() {
            if combines_scores && args.remaining() > inputs && args.take("weights") {
                options.weights.clear();
                for _ in 0..inputs {
                    let weight =
                        args.float_as(dialect).map_err(|_| Refusal::text("ERR weight value is not a float"))?;
                    options.weights.push(weight);
                }
            } else if combines_scores && args.remaining() >= 2 && args.take("aggregate") {
                options.aggregate = Aggregate::parse(args)?;
            } else if may_have_scores && args.take("withscores") {
                options.with_scores = true;
            } else {
                return Err(Refusal::SYNTAX);
            }
        }
        Ok(options)
    }

    fn weight(&self, input: usize) -> f64 {
        self.weights.get(input).copied().unwrap_or(1.0)
    }
}

impl Aggregate {
    fn parse(args: &mut Args<'_>) -> Result<Self, Refusal> {
        if args.take("sum") {
            Ok(Self::Sum)
        } else if args.take("min") {
            Ok(Self::Min)
        } else if args.take("max") {
            Ok(Self::Max)
        } else {
            Err(Refusal::SYNTAX)
        }
    }

    /// Infinity and minus infinity sum up to 0, as on the servers.
    fn join(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Sum => number_or_zero(a + b),
            Self::Min if b < a => b,
            Self::Max if b > a => b,
            Self::Min | Self::Max => a,
        }
    }
}

fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

impl<'a> Input<'a> {
    /// What a key holds, as an input.
    pub(super) fn of(value: Option<ValueRef<'a>>) -> Result<Self, Refusal> {
        match value {
            None => Ok(Self::Missing),
            Some(ValueRef::ZSet(zset)) => Ok(Self::ZSet(zset)),
            Some(ValueRef::Set(set)) => Ok(Self::Set(set)),
            Some(_) => Err(Refusal::WRONG_TYPE),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Missing => 0,
            Self::ZSet(zset) => zset.len(),
            Self::Set(set) => set.len(),
        }
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Missing => None,
            Self::ZSet(zset) => zset.score(member),
            Self::Set(set) => set.contains(member).then_some(1.0),
        }
    }

    /// Hands every member to `visit` until it answers `false`.
    fn each(&self, mut visit: impl FnMut(&[u8], f64) -> bool) {
        let mut scratch = IntText::default();
        match self {
            Self::Missing => {}
            Self::ZSet(zset) => {
                zset.iter().all(|(member, score)| visit(member.text(&mut scratch), score));
            }
            Self::Set(set) => {
                set.iter().all(|member| visit(member.text(&mut scratch), 1.0));
            }
        }
    }
}

/// The result, in no order.
pub(super) fn combine(operation: Operation, inputs: &[Input<'_>], options: &Options) -> Pairs {
    match operation {
        Operation::Difference => difference(inputs),
        Operation::Union => union(&weighted(inputs, options), options.aggregate),
        Operation::Intersection => {
            let mut pairs = Pairs::new();
            intersect(&weighted(inputs, options), options.aggregate, |member, score| {
                pairs.push((member.to_vec(), score));
                true
            });
            pairs
        }
    }
}

/// Number of members in all inputs; counting ends at `limit`.
pub(super) fn intersection_len(inputs: &[Input<'_>], limit: usize) -> usize {
    let mut count = 0;
    intersect(&weighted(inputs, &Options::default()), Aggregate::Sum, |_, _| {
        count += 1;
        count < limit
    });
    count
}

/// The inputs by ascending cardinality, equal ones as they came.
fn weighted<'a>(inputs: &[Input<'a>], options: &Options) -> Vec<(Input<'a>, f64)> {
    let mut inputs: Vec<_> = inputs.iter().enumerate().map(|(at, input)| (*input, options.weight(at))).collect();
    inputs.sort_by_key(|(input, _)| input.len());
    inputs
}

fn union(inputs: &[(Input<'_>, f64)], aggregate: Aggregate) -> Pairs {
    let largest = inputs.last().map_or(0, |(input, _)| input.len());
    let mut union = HashMap::<Vec<u8>, f64, foldhash::fast::RandomState>::default();
    union.reserve(largest);
    for (input, weight) in inputs {
        input.each(|member, score| {
            let score = number_or_zero(weight * score);
            match union.get_mut(member) {
                Some(sum) => *sum = aggregate.join(*sum, score),
                None => drop(union.insert(member.to_vec(), score)),
            }
            true
        });
    }
    union.into_iter().collect()
}

fn intersect(inputs: &[(Input<'_>, f64)], aggregate: Aggregate, mut visit: impl FnMut(&[u8], f64) -> bool) {
    let Some(((smallest, weight), others)) = inputs.split_first() else { return };
    smallest.each(|member, score| {
        let first = number_or_zero(weight * score);
        let joined = others.iter().try_fold(first, |sum, (other, weight)| {
            // not made 0 if it is no number: the servers don't here
            other.score(member).map(|score| aggregate.join(sum, score * weight))
        });
        joined.is_none_or(|score| visit(member, score))
    });
}

fn difference(inputs: &[Input<'_>]) -> Pairs {
    let Some((first, others)) = inputs.split_first() else { return Pairs::new() };
    let mut pairs = Pairs::new();
    first.each(|member, score| {
        if others.iter().all(|other| other.score(member).is_none()) {
            pairs.push((member.to_vec(), score));
        }
        true
    });
    pairs
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;

    #[test]
    fn sets_count_as_score_one() {
        let bench = Bench::after(&["ZADD z 2 a 3 b 4 7", "SADD s a 7 c", "SADD ints 7 8", "SET t x"]);
        for (line, expected) in [
            ("ZUNION 2 z s WITHSCORES", "*8 $1 c $1 1 $1 a $1 3 $1 b $1 3 $1 7 $1 5"),
            ("ZINTER 2 s z WEIGHTS 10 1 WITHSCORES", "*4 $1 a $2 12 $1 7 $2 14"),
            ("ZINTER 3 s z ints", "*1 $1 7"),
            ("ZDIFF 2 s z WITHSCORES", "*2 $1 c $1 1"),
            ("ZDIFF 2 z ints", "*2 $1 a $1 b"),
            ("ZINTERCARD 2 z s LIMIT 1", ":1"),
            ("ZINTERCARD 3 z s missing", ":0"),
            ("ZINTER 2 z t", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ] {
            assert_eq!(bench.ask(line), expected, "{line}");
        }
    }

    /// 1e16 + 1 + 1 is 1e16 + 2 only if the small ones are added first.
    #[test]
    fn scores_are_summed_by_ascending_cardinality() {
        let bench = Bench::after(&["ZADD large 1e16 a 0 b 0 c", "ZADD middle 1 a 0 b", "ZADD small 1 a"]);
        assert_eq!(bench.ask("ZINTER 3 large middle small WITHSCORES"), "*2 $1 a $17 10000000000000002");
    }
}
