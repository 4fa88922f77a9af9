//! Intervals of scores and of members.

/// One end of an interval of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreBound {
    /// Where it ends; never NaN.
    pub score: f64,
    /// The score itself does not belong to it.
    pub is_exclusive: bool,
}

/// An interval of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRange {
    pub min: ScoreBound,
    pub max: ScoreBound,
}

impl ScoreRange {
    /// Is a score too low?
    pub fn is_below(&self, score: f64) -> bool {
        if self.min.is_exclusive { score <= self.min.score } else { score < self.min.score }
    }

    /// Is a score not too high?
    pub fn reaches(&self, score: f64) -> bool {
        if self.max.is_exclusive { score < self.max.score } else { score <= self.max.score }
    }
}

/// One end of an interval of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// `-`: before every member.
    Lowest,
    /// `+`: behind every member.
    Highest,
    /// `[member`.
    Included(&'a [u8]),
    /// `(member`.
    Excluded(&'a [u8]),
}

/// An interval of members, compared bytewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LexRange<'a> {
    pub min: LexBound<'a>,
    pub max: LexBound<'a>,
}

impl LexRange<'_> {
    /// Is a member too low?
    pub fn is_below(&self, member: &[u8]) -> bool {
        match self.min {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Included(min) => member < min,
            LexBound::Excluded(min) => member <= min,
        }
    }

    /// Is a member not too high?
    pub fn reaches(&self, member: &[u8]) -> bool {
        match self.max {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Included(max) => member <= max,
            LexBound::Excluded(max) => member < max,
        }
    }

    /// Holds no member whatever the set is.
    pub(super) fn is_empty(&self) -> bool {
        use LexBound::{Excluded, Highest, Included, Lowest};
        match (self.min, self.max) {
            (Highest, _) | (_, Lowest) => true,
            (Lowest, _) | (_, Highest) => false,
            (Included(min), Included(max)) => min > max,
            (Included(min) | Excluded(min), Included(max) | Excluded(max)) => min >= max,
        }
    }
}
