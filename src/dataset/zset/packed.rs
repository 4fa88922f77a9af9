//! A small sorted set: a listpack of member, score, member, score, in order. Every operation walks.

use super::tree::compare;
use crate::dataset::packed::Corrupt;
use crate::dataset::packed::listpack::{Element, IntText, Iter, Listpack};
use crate::dataset::{Dialect, segment};
use crate::number::{self, DoubleText};
use smallvec::SmallVec;

/// Checks a foreign blob of pairs: scores are numbers, members differ.
pub(super) fn check(pack: &Listpack) -> Result<(), Corrupt> {
    let corrupt = |what| Corrupt { what, at: 0 };
    if !pack.len().is_multiple_of(2) {
        return Err(corrupt("sorted set: a member without a score"));
    }
    let (mut hashes, mut scratch) = (SmallVec::<[u64; 128]>::new(), IntText::default());
    let mut rest = pack.iter();
    while let (Some(member), Some(score)) = (rest.next(), rest.next()) {
        let is_number = match score {
            Element::Int(_) => true,
            Element::Str(text) => number::parse_float(text).is_some(),
        };
        if !is_number {
            return Err(corrupt("sorted set: a score that is no number"));
        }
        hashes.push(segment::hash(member.text(&mut scratch)));
    }
    hashes.sort_unstable();
    let may_repeat = hashes.windows(2).any(|pair| pair[0] == pair[1]);
    if may_repeat && repeats(pack) {
        return Err(corrupt("sorted set: a member twice"));
    }
    Ok(())
}

/// Whether a member is there twice; slow, asked only when two hashes agree.
fn repeats(pack: &Listpack) -> bool {
    let mut members: Vec<Vec<u8>> = pairs(pack).map(|(member, _)| member.to_vec()).collect();
    members.sort_unstable();
    members.windows(2).any(|pair| pair[0] == pair[1])
}

/// Whether the pairs are in order.
pub(super) fn is_sorted(pack: &Listpack) -> bool {
    pairs(pack).is_sorted_by(|(member, score), (next, next_score)| {
        let (mut scratch, mut next_scratch) = (IntText::default(), IntText::default());
        compare(*score, member.text(&mut scratch), *next_score, next.text(&mut next_scratch)).is_lt()
    })
}

/// All pairs, from either end.
pub(super) fn pairs(pack: &Listpack) -> Pairs<'_> {
    Pairs { elements: pack.iter() }
}

/// The pairs from `rank` on.
pub(super) fn pairs_from(pack: &Listpack, rank: usize) -> Pairs<'_> {
    Pairs { elements: pack.iter_from(rank.saturating_mul(2)) }
}

/// The rank and the score of a member.
pub(super) fn find(pack: &Listpack, member: &[u8]) -> Option<(usize, f64)> {
    let at = pack.find(member, 2)?;
    Some((at / 2, score_of(pack.get(at + 1)?)))
}

/// Number of pairs in front for which `before` is true.
pub(super) fn count_while(pack: &Listpack, before: impl Fn(f64, &[u8]) -> bool) -> usize {
    let mut scratch = IntText::default();
    pairs(pack).take_while(|(member, score)| before(*score, member.text(&mut scratch))).count()
}

/// Puts in a member that is not there.
pub(super) fn insert(pack: &mut Listpack, member: &[u8], score: f64, texts: ScoreTexts) {
    let rank = count_while(pack, |other_score, other| compare(other_score, other, score, member).is_lt());
    pack.insert(rank * 2, member);
    pack.insert(rank * 2 + 1, texts.text(score).as_bytes());
}

/// Removes the pairs at `count` ranks from `rank` on.
pub(super) fn remove(pack: &mut Listpack, rank: usize, count: usize) {
    pack.remove(rank * 2, count * 2);
}

/// A listpack of pairs that are in order and differ.
pub(super) fn build<'m>(pairs: impl Iterator<Item = (&'m [u8], f64)>, texts: ScoreTexts) -> Listpack {
    let mut pack = Listpack::new();
    for (member, score) in pairs {
        pack.push(member);
        pack.push(texts.text(score).as_bytes());
    }
    pack
}

/// How scores are packed.
#[derive(Clone, Copy, Debug)]
pub(super) enum ScoreTexts {
    /// As redis before 7.0, text by `%.17g`, minus zero with its sign.
    Percent17g,
    /// As later servers: whole numbers as integers, which takes the sign of minus zero away (their digests of the same
    /// data differ by that).
    Short,
    /// The same, but minus zero keeps its sign: in the place of a skiplist.
    Exact,
}

impl ScoreTexts {
    /// As listpacks and ziplists of masters of this dialect have them.
    pub(super) fn of_listpacks(dialect: Dialect) -> Self {
        if dialect.is_before_redis_7() { Self::Percent17g } else { Self::Short }
    }

    fn text(self, score: f64) -> DoubleText {
        match (self, number::whole(score)) {
            (Self::Percent17g, _) => DoubleText::percent_17g(score),
            (Self::Exact, Some(0)) if score.is_sign_negative() => DoubleText::shortest(score),
            (Self::Short | Self::Exact, Some(n)) => DoubleText::integer(n),
            (Self::Short | Self::Exact, None) => DoubleText::shortest(score),
        }
    }
}

fn score_of(element: Element<'_>) -> f64 {
    match element {
        Element::Int(n) => n as f64,
        // every blob was checked when it came in
        Element::Str(text) => number::parse_float(text).unwrap_or_default(),
    }
}

/// Members with their scores.
#[derive(Clone, Debug)]
pub(super) struct Pairs<'a> {
    elements: Iter<'a>,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Element<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.elements.next()?, score_of(self.elements.next()?)))
    }
}

impl DoubleEndedIterator for Pairs<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let score = score_of(self.elements.next_back()?);
        Some((self.elements.next_back()?, score))
    }
}
