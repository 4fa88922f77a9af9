//! Ranges by name. They are meant for sets with one score.
//!
//! Where scores differ the servers' walks begin at a member that is not too low behind one that is, or at one that is not
//! too high before one that is, and go on to the first that does not fit. In a listpack that is the first such place from
//! the end at which the walk begins, and so it is here. In a skiplist it is any such place, by the levels that chance has
//! given to its members; here it is any, too.

use super::{Form, LexRange, ZSet, packed};
use crate::dataset::packed::listpack::{Element, IntText};
use std::ops::Range;

impl ZSet {
    /// The rank at which a walk upwards begins; `None` if the interval holds nothing.
    pub fn lex_first(&self, range: &LexRange<'_>) -> Option<usize> {
        if !self.may_hold(range) {
            return None;
        }
        let first = match &self.0 {
            Form::Packed(pack) | Form::Shrunk(pack) => packed::count_while(pack, |_, name| range.is_below(name)),
            Form::Tree(tree) => tree.partition(|_, name| range.is_below(name)),
        };
        self.is_at(first, |name| range.reaches(name)).then_some(first)
    }

    /// The rank at which a walk downwards begins; `None` if the interval holds nothing.
    pub fn lex_last(&self, range: &LexRange<'_>) -> Option<usize> {
        if !self.may_hold(range) {
            return None;
        }
        let behind = match &self.0 {
            Form::Packed(_) | Form::Shrunk(_) => {
                self.len() - fitting(self.range_of_all().rev(), |name| !range.reaches(name))
            }
            Form::Tree(tree) => tree.partition(|_, name| range.reaches(name)),
        };
        behind.checked_sub(1).filter(|last| self.is_at(*last, |name| !range.is_below(name)))
    }

    /// Where a walk upwards from `rank` ends, after at most `limit` members. Costs as many steps where scores differ.
    pub fn lex_end(&self, rank: usize, limit: usize, range: &LexRange<'_>) -> usize {
        let reached = match &self.0 {
            Form::Tree(tree) if self.has_one_score() => {
                tree.partition(|_, name| range.reaches(name)).saturating_sub(rank).min(limit)
            }
            _ => fitting(self.range(rank..self.len()).take(limit), |name| range.reaches(name)),
        };
        rank + reached
    }

    /// Where a walk downwards that begins below `rank` ends, after at most `limit` members: the rank of the last.
    pub fn lex_start(&self, rank: usize, limit: usize, range: &LexRange<'_>) -> usize {
        let reached = match &self.0 {
            Form::Tree(tree) if self.has_one_score() => {
                rank.saturating_sub(tree.partition(|_, name| range.is_below(name))).min(limit)
            }
            _ => fitting(self.range(0..rank).rev().take(limit), |name| !range.is_below(name)),
        };
        rank - reached
    }

    /// The ranks that a walk upwards passes.
    pub fn lex_range(&self, range: &LexRange<'_>) -> Range<usize> {
        self.lex_first(range).map_or(0..0, |first| first..self.lex_end(first, usize::MAX, range))
    }

    /// How many members there are: a skiplist takes the place of the last one, where that is in the interval, and the end
    /// otherwise.
    pub fn lex_count(&self, range: &LexRange<'_>) -> usize {
        match (&self.0, self.lex_first(range)) {
            (_, None) => 0,
            (Form::Tree(_), Some(first)) => {
                self.lex_last(range).map_or(self.len(), |last| last + 1).saturating_sub(first)
            }
            (_, Some(first)) => self.lex_end(first, usize::MAX, range) - first,
        }
    }

    /// As the servers look first: nothing is found unless the last member is not too low and the first not too high.
    fn may_hold(&self, range: &LexRange<'_>) -> bool {
        let last = self.len().wrapping_sub(1);
        !range.is_empty()
            && self.is_at(last, |name| !range.is_below(name))
            && self.is_at(0, |name| range.reaches(name))
    }

    fn is_at(&self, rank: usize, fits: impl FnOnce(&[u8]) -> bool) -> bool {
        let name = self.range(rank..rank.saturating_add(1)).next();
        name.is_some_and(|(name, _)| fits(name.text(&mut IntText::default())))
    }

    fn has_one_score(&self) -> bool {
        let mut all = self.range_of_all();
        let (first, last) = (all.next(), all.next_back());
        last.is_none_or(|(_, last)| first.is_some_and(|(_, first)| first == last))
    }

    fn range_of_all(&self) -> super::Iter<'_> {
        self.range(0..self.len())
    }
}

/// How many of these fit, up to the first that does not.
fn fitting<'a>(members: impl Iterator<Item = (Element<'a>, f64)>, fits: impl Fn(&[u8]) -> bool) -> usize {
    let mut scratch = IntText::default();
    members.take_while(|(name, _)| fits(name.text(&mut scratch))).count()
}

#[cfg(test)]
mod tests {
    use super::super::LexBound::{Excluded, Highest, Included, Lowest};
    use super::*;
    use crate::config::Encodings;
    use crate::dataset::EncodingLimits;

    fn limits(entries: usize) -> EncodingLimits {
        Encodings { zset_entries: entries, ..Encodings::default() }.into()
    }

    #[test]
    fn walks_in_every_form() {
        for entries in [0, 100] {
            let mut zset = ZSet::default();
            ["a", "b", "ba", "c", "d"].iter().for_each(|name| {
                zset.insert(name.as_bytes(), 0.0, &limits(entries));
            });
            for (min, max, expected) in [
                (Lowest, Highest, 0..5),
                (Highest, Lowest, 0..0),
                (Lowest, Lowest, 0..0),
                (Included(&b"b"[..]), Included(&b"c"[..]), 1..4),
                (Excluded(b"b"), Excluded(b"c"), 2..3),
                (Included(b"c"), Included(b"b"), 0..0),
                (Included(b"b"), Excluded(b"b"), 0..0),
                (Included(b"x"), Highest, 0..0),
                (Lowest, Excluded(b"a"), 0..0),
                (Lowest, Included(b"bb"), 0..3),
            ] {
                let range = LexRange { min, max };
                assert_eq!(zset.lex_range(&range), expected, "{range:?}");
                assert_eq!(zset.lex_count(&range), expected.len(), "{range:?}");
                let down =
                    zset.lex_last(&range).map(|last| zset.lex_start(last + 1, usize::MAX, &range)..last + 1);
                assert_eq!(down.unwrap_or(0..0), expected, "{range:?}");
                if expected.len() > 1 {
                    assert_eq!(zset.lex_end(expected.start, 2, &range), expected.start + 2);
                    assert_eq!(zset.lex_start(expected.end, 2, &range), expected.end - 2);
                }
            }
        }
    }

    /// In a listpack; asked of redis 8.0 and valkey 9.1.
    #[test]
    fn walks_stop_at_the_first_that_does_not_fit_where_scores_differ() {
        let mut zset = ZSet::default();
        for (score, name) in ["b", "a", "c", "aa"].iter().enumerate() {
            zset.insert(name.as_bytes(), score as f64, &limits(100));
        }
        let range = LexRange { min: Included(b"a"), max: Included(b"b") };
        assert_eq!((zset.lex_range(&range), zset.lex_count(&range)), (0..2, 2));
        assert_eq!((zset.lex_last(&range), zset.lex_start(4, usize::MAX, &range)), (Some(3), 0));
        let range = LexRange { min: Included(b"b"), max: Highest };
        assert_eq!((zset.lex_range(&range), zset.lex_last(&range)), (0..0, None), "the last is too low");
    }
}
