//! Names of stream entries: `milliseconds-sequence`, ordered by time, then by sequence.

use std::fmt;

/// The name of one entry, such as `1526919030474-55`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds since 1970 as a rule; any number is allowed.
    pub ms: u64,
    /// Counts within one millisecond.
    pub seq: u64,
}

impl StreamId {
    /// `0-0`: below every entry.
    pub const MIN: Self = Self { ms: 0, seq: 0 };
    /// The greatest id.
    pub const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    /// `ms-seq`.
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The id right after this one; `None` after the greatest.
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => self.ms.checked_add(1).map(|ms| Self { ms, seq: 0 }),
        }
    }

    /// The id right before this one; `None` before `0-0`.
    pub fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => self.ms.checked_sub(1).map(|ms| Self { ms, seq: u64::MAX }),
        }
    }

    /// 16 bytes, big endian, as snapshots have it.
    pub fn to_bytes(self) -> [u8; 16] {
        ((u128::from(self.ms) << 64) | u128::from(self.seq)).to_be_bytes()
    }

    /// From the 16 bytes of a snapshot.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self { ms: (both >> 64) as u64, seq: both as u64 }
    }

    /// The id as text in scratch space, without an allocation.
    pub fn text(self, scratch: &mut IdText) -> &[u8] {
        let mut digits = itoa::Buffer::new();
        let ms = digits.format(self.ms).as_bytes();
        let at = ms.len();
        scratch.0[..at].copy_from_slice(ms);
        scratch.0[at] = b'-';
        let seq = digits.format(self.seq).as_bytes();
        let end = at + 1 + seq.len();
        scratch.0[at + 1..end].copy_from_slice(seq);
        &scratch.0[..end]
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// Scratch space for the text of one id: two numbers of at most 20 digits and the dash.
#[derive(Debug)]
pub struct IdText([u8; 41]);

impl Default for IdText {
    fn default() -> Self {
        Self([0; 41])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_cross_the_millisecond_and_stop_at_the_ends() {
        assert_eq!(StreamId::new(1, 1).next(), Some(StreamId::new(1, 2)));
        assert_eq!(StreamId::new(1, u64::MAX).next(), Some(StreamId::new(2, 0)));
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(StreamId::new(2, 0).previous(), Some(StreamId::new(1, u64::MAX)));
        assert_eq!(StreamId::MIN.previous(), None);
    }

    #[test]
    fn text_and_bytes_show_the_whole_range() {
        let mut scratch = IdText::default();
        for id in [StreamId::MIN, StreamId::MAX, StreamId::new(1_526_919_030_474, 55)] {
            assert_eq!(id.text(&mut scratch), id.to_string().as_bytes());
            assert_eq!(StreamId::from_bytes(id.to_bytes()), id);
        }
    }
}
