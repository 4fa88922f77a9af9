//! A sorted set: members with scores, ordered by score, then bytewise by member.
//!
//! Small ones are listpacks as the snapshot had them (`packed`), big ones a table and a counting B-tree (`tree`).
//! When one becomes the other follows the masters, so that OBJECT ENCODING and DEBUG DIGEST agree: a listpack that
//! outgrows its limits becomes a tree, a tree never goes back; what a STORE command makes is packed if it fits.
//! A skiplist of the master that is small in a snapshot, since it has shrunk, is a listpack here too, but one that answers
//! as a skiplist and keeps the sign of minus zero, so that nothing parts (a real replica makes a listpack of it).
//! Scores are never NaN: commands and snapshots are checked before they come here.

mod handles;
mod lex;
mod order;
mod packed;
mod range;
mod tree;

pub use range::{LexBound, LexRange, ScoreBound, ScoreRange};

use super::EncodingLimits;
use super::packed::Corrupt;
use super::packed::listpack::{Element, IntText, Listpack};
use crate::allocator::taken;
use crate::config::Encodings;
use packed::ScoreTexts;
use std::ops::Range;
use tree::{Builder, Tree, TreeIter};

/// A sorted set.
#[derive(Clone, Debug)]
pub struct ZSet(Form);

#[derive(Clone, Debug)]
enum Form {
    Packed(Listpack),
    /// In the place of a small skiplist of the master.
    Shrunk(Listpack),
    Tree(Box<Tree>),
}

/// Members with their scores, owned: what a STORE command has worked out.
pub type Pairs = Vec<(Vec<u8>, f64)>;

/// Puts members in the order of sorted sets.
pub fn sort(pairs: &mut Pairs) {
    pairs.sort_unstable_by(|(member, score), (other, other_score)| {
        tree::compare(*score, member, *other_score, other)
    });
}

impl Default for ZSet {
    fn default() -> Self {
        Self(Form::Packed(Listpack::new()))
    }
}

impl ZSet {
    /// A set of these members, which differ; the order is made here. Packed if it fits the limits.
    pub fn of(pairs: Pairs, limits: &EncodingLimits) -> Self {
        Self::made(pairs, limits, ScoreTexts::of_listpacks(limits.dialect))
    }

    /// The same for the members of a skiplist that a master holds, however few.
    pub fn of_skiplist(pairs: Pairs, limits: &EncodingLimits) -> Self {
        match Self::made(pairs, limits, ScoreTexts::Exact).0 {
            Form::Packed(pack) => Self(Form::Shrunk(pack)),
            form => Self(form),
        }
    }

    fn made(mut pairs: Pairs, limits: &EncodingLimits, texts: ScoreTexts) -> Self {
        sort(&mut pairs);
        let pairs = pairs.iter().map(|(member, score)| (member.as_slice(), *score));
        let fits =
            pairs.len() <= limits.zset_entries && pairs.clone().all(|(m, _)| m.len() <= limits.zset_value_bytes);
        if fits { Self(Form::Packed(packed::build(pairs, texts))) } else { Self::tree_of(pairs) }
    }

    /// A skiplist that fits the limits becomes a listpack (what RESTORE brings, on all servers).
    pub fn pack(&mut self, limits: &EncodingLimits) {
        if !matches!(self.0, Form::Packed(_)) && self.len() <= limits.zset_entries {
            *self = Self::of(self.iter().map(|(member, score)| (member.to_vec(), score)).collect(), limits);
        }
    }

    /// A listpack counts as a skiplist from now on, however small it is (what SORT has read, on all servers).
    pub fn count_as_skiplist(&mut self) {
        if let Form::Packed(pack) = &mut self.0 {
            self.0 = Form::Shrunk(std::mem::take(pack));
        }
    }

    fn tree_of<'m>(pairs: impl ExactSizeIterator<Item = (&'m [u8], f64)>) -> Self {
        let mut builder = ZSetBuilder::with_capacity(pairs.len());
        pairs.for_each(|(member, score)| {
            builder.push(member, score);
        });
        builder.finish()
    }

    /// A listpack of a snapshot: members and scores in turns. One that has too many members becomes a tree (as the
    /// servers: their length is not looked at here).
    pub fn from_listpack(pack: Listpack, limits: &EncodingLimits) -> Result<Self, Corrupt> {
        packed::check(&pack)?;
        let sorted = packed::is_sorted(&pack);
        let mut zset = Self(Form::Packed(pack));
        if zset.len() > limits.zset_entries {
            zset.unpack();
        } else if !sorted {
            // it was so on the master too; it is made right, for nothing could be found in it
            let pairs = zset.iter().map(|(member, score)| (member.to_vec(), score)).collect();
            let sizes = Encodings { zset_value_bytes: usize::MAX, ..limits.sizes };
            return Ok(Self::of(pairs, &EncodingLimits { sizes, ..*limits }));
        }
        Ok(zset)
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(pack) | Form::Shrunk(pack) => pack.len() / 2,
            Form::Tree(tree) => tree.len(),
        }
    }

    /// No members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(&self, limits: &EncodingLimits) -> &'static str {
        match &self.0 {
            Form::Packed(_) if limits.dialect.is_before_redis_7() => "ziplist",
            Form::Packed(_) => "listpack",
            Form::Shrunk(_) | Form::Tree(_) => "skiplist",
        }
    }

    /// The listpack of a small set that is one on the master too.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.0 {
            Form::Packed(pack) => Some(pack),
            Form::Shrunk(_) | Form::Tree(_) => None,
        }
    }

    /// Bytes of memory behind this; long members are reckoned from so many slots of the tree (0: all).
    pub fn heap_bytes(&self, samples: usize) -> usize {
        match &self.0 {
            Form::Packed(pack) | Form::Shrunk(pack) => taken(pack.byte_len()),
            Form::Tree(tree) => size_of::<Tree>() + tree.heap_bytes(samples),
        }
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.0 {
            Form::Packed(pack) | Form::Shrunk(pack) => packed::find(pack, member).map(|(_, score)| score),
            Form::Tree(tree) => tree.score(member),
        }
    }

    /// The rank of a member, from 0, and its score. O(log n) in a tree.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match &self.0 {
            Form::Packed(pack) | Form::Shrunk(pack) => packed::find(pack, member),
            Form::Tree(tree) => tree.score(member).map(|score| (tree.rank_of(score, member), score)),
        }
    }

    /// Sets the score of a member, which is not NaN; answers its old one, or `None` for a new member.
    pub fn insert(&mut self, member: &[u8], score: f64, limits: &EncodingLimits) -> Option<f64> {
        let (pack, texts) = match &mut self.0 {
            Form::Tree(tree) => return tree.insert(member, score),
            Form::Packed(pack) => (pack, ScoreTexts::of_listpacks(limits.dialect)),
            Form::Shrunk(pack) => (pack, ScoreTexts::Exact),
        };
        let old = packed::find(pack, member);
        match old {
            Some((_, old)) if old == score => {}
            Some((rank, _)) => {
                packed::remove(pack, rank, 1);
                packed::insert(pack, member, score, texts);
            }
            None if pack.len() / 2 >= limits.zset_entries || member.len() > limits.zset_value_bytes => {
                self.unpack().insert(member, score);
            }
            None => packed::insert(pack, member, score, texts),
        }
        old.map(|(_, old)| old)
    }

    /// A command is about to bring `members` members, the longest of `value_bytes`: a listpack for which they alone
    /// would be too much becomes a tree, whether or not any of them is new (as redis 7.2 and valkey).
    pub fn expect(&mut self, members: usize, value_bytes: usize, limits: &EncodingLimits) {
        if members > limits.zset_entries || value_bytes > limits.zset_value_bytes {
            self.unpack();
        }
    }

    /// Removes a member; `false` if it is not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.0 {
            Form::Tree(tree) => tree.remove(member),
            Form::Packed(pack) | Form::Shrunk(pack) => match packed::find(pack, member) {
                None => false,
                Some((rank, _)) => {
                    packed::remove(pack, rank, 1);
                    true
                }
            },
        }
    }

    /// Removes the members at these ranks; what is beyond the end is ignored.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        match &mut self.0 {
            Form::Packed(pack) | Form::Shrunk(pack) => packed::remove(pack, ranks.start, ranks.len()),
            Form::Tree(tree) => tree.remove_ranks(ranks),
        }
    }

    /// All members with their scores, from either end.
    pub fn iter(&self) -> Iter<'_> {
        self.range(0..self.len())
    }

    /// The members at these ranks, from either end.
    pub fn range(&self, ranks: Range<usize>) -> Iter<'_> {
        let len = self.len();
        let end = ranks.end.min(len);
        let ranks = ranks.start.min(end)..end;
        Iter {
            left: ranks.len(),
            inner: match &self.0 {
                Form::Packed(pack) | Form::Shrunk(pack) => {
                    IterOf::Packed { pairs: packed::pairs_from(pack, ranks.start), behind: len - ranks.end }
                }
                Form::Tree(tree) => IterOf::Tree(tree.range(ranks)),
            },
        }
    }

    /// The ranks of the scores in an interval.
    pub fn score_range(&self, range: &ScoreRange) -> Range<usize> {
        let (start, end) = match &self.0 {
            Form::Packed(pack) | Form::Shrunk(pack) => (
                packed::count_while(pack, |score, _| range.is_below(score)),
                packed::count_while(pack, |score, _| range.reaches(score)),
            ),
            Form::Tree(tree) => (
                tree.partition_scores(|score| range.is_below(score)),
                tree.partition_scores(|score| range.reaches(score)),
            ),
        };
        start..end.max(start)
    }

    /// One step of a scan from `cursor`, 0 at the start; answers the next cursor, 0 at the end. A member that is there
    /// from the first step to the last is handed to `visit` at least once. A small set comes in one step.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(Element<'a>, f64)) -> u64 {
        match &self.0 {
            Form::Tree(tree) => tree.scan(cursor, count, |member, score| visit(Element::Str(member), score)),
            Form::Packed(pack) | Form::Shrunk(pack) => {
                packed::pairs(pack).for_each(|(member, score)| visit(member, score));
                0
            }
        }
    }

    /// Makes a listpack a tree.
    fn unpack(&mut self) -> &mut Tree {
        if let Form::Packed(pack) | Form::Shrunk(pack) = &self.0 {
            let mut builder = ZSetBuilder::with_capacity(self.len());
            let mut scratch = IntText::default();
            packed::pairs(pack).for_each(|(member, score)| {
                builder.push(member.text(&mut scratch), score);
            });
            *self = builder.finish();
        }
        match &mut self.0 {
            Form::Tree(tree) => tree,
            Form::Packed(_) | Form::Shrunk(_) => unreachable!("has just been made a tree"),
        }
    }
}

/// Builds a big set from members in any order, such as a snapshot's.
#[derive(Debug)]
pub struct ZSetBuilder(Builder);

impl ZSetBuilder {
    /// For about this many members.
    pub fn with_capacity(members: usize) -> Self {
        Self(Builder::with_capacity(members))
    }

    /// Takes a member with its score, which is not NaN; `false` if it has come before.
    pub fn push(&mut self, member: &[u8], score: f64) -> bool {
        self.0.push(member, score)
    }

    /// The set, as a tree.
    pub fn finish(self) -> ZSet {
        ZSet(Form::Tree(Box::new(self.0.finish())))
    }
}

/// Members with their scores, in order.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    inner: IterOf<'a>,
    left: usize,
}

#[derive(Clone, Debug)]
enum IterOf<'a> {
    /// `behind`: pairs at the end that do not belong to the range, dropped when somebody comes from there.
    Packed {
        pairs: packed::Pairs<'a>,
        behind: usize,
    },
    Tree(TreeIter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Element<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        match &mut self.inner {
            IterOf::Packed { pairs, .. } => pairs.next(),
            IterOf::Tree(pairs) => pairs.next().map(|(member, score)| (Element::Str(member), score)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        match &mut self.inner {
            IterOf::Packed { pairs, behind } => pairs.nth_back(std::mem::take(behind)),
            IterOf::Tree(pairs) => pairs.next_back().map(|(member, score)| (Element::Str(member), score)),
        }
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests;
