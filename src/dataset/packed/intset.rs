//! Intset: a sorted blob of integers of one width: `u32 width (2, 4, 8), u32 count, integers`.

use super::Corrupt;

const HEADER: usize = 8;

/// A valid intset: strictly ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intset(Vec<u8>);

impl Default for Intset {
    fn default() -> Self {
        Self::new()
    }
}

impl Intset {
    /// No members: 8 bytes.
    pub fn new() -> Self {
        Self(vec![2, 0, 0, 0, 0, 0, 0, 0])
    }

    /// Checks a foreign blob (width, length, order) in one pass and copies it.
    pub fn parse(bytes: &[u8]) -> Result<Self, Corrupt> {
        let corrupt = |what, at| Err(Corrupt { what, at });
        let (Some(width), Some(count)) = (u32_at(bytes, 0), u32_at(bytes, 4)) else {
            return corrupt("intset: header is cut", bytes.len());
        };
        if !matches!(width, 2 | 4 | 8) {
            return corrupt("intset: unknown width", 0);
        }
        if width.checked_mul(count).and_then(|body| body.checked_add(HEADER)) != Some(bytes.len()) {
            return corrupt("intset: count disagrees with the blob", 4);
        }
        let set = Self(bytes.to_vec());
        if let Some(i) = (1..count).find(|&i| set.get(i - 1) >= set.get(i)) {
            return corrupt("intset: not in ascending order", HEADER + i * width);
        }
        Ok(set)
    }

    /// The blob as the wire has it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        u32_at(&self.0, 4).unwrap_or(0)
    }

    /// No members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The member at `index` in ascending order.
    #[inline]
    pub fn get(&self, index: usize) -> Option<i64> {
        let at = |width: usize| self.0.get(HEADER + index.checked_mul(width)?..);
        Some(match self.width() {
            2 => i64::from(i16::from_le_bytes(*at(2)?.first_chunk()?)),
            4 => i64::from(i32::from_le_bytes(*at(4)?.first_chunk()?)),
            _ => i64::from_le_bytes(*at(8)?.first_chunk()?),
        })
    }

    /// The members, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + '_ {
        (0..self.len()).map(|index| self.get(index).unwrap_or_default())
    }

    /// Whether `n` is a member. Binary search.
    pub fn contains(&self, n: i64) -> bool {
        self.search(n).is_ok()
    }

    /// Adds a member, widening all if need be; `false` if it was there.
    pub fn insert(&mut self, n: i64) -> bool {
        let Err(index) = self.search(n) else { return false };
        let width = width_of(n);
        if width > self.width() {
            self.widen(width);
        }
        let width = self.width();
        let at = HEADER + index * width;
        let len = self.0.len();
        self.0.reserve_exact(width);
        self.0.resize(len + width, 0);
        self.0.copy_within(at..len, at + width);
        self.0[at..at + width].copy_from_slice(&n.to_le_bytes()[..width]);
        self.set_count(self.len() + 1);
        true
    }

    /// Removes a member; `false` if it was not there. The width stays, as in the servers.
    pub fn remove(&mut self, n: i64) -> bool {
        let Ok(index) = self.search(n) else { return false };
        let at = HEADER + index * self.width();
        self.0.drain(at..at + self.width());
        if self.0.capacity() - self.0.len() > self.0.len() / 4 + 64 {
            self.0.shrink_to_fit();
        }
        self.set_count(self.len() - 1);
        true
    }

    /// Where `n` is, or where it would be put.
    fn search(&self, n: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle).unwrap_or(i64::MAX).cmp(&n) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    fn widen(&mut self, width: usize) {
        let mut wide = Vec::with_capacity(HEADER + (self.len() + 1) * width);
        wide.extend_from_slice(&[width as u8, 0, 0, 0]);
        wide.extend_from_slice(&self.0[4..HEADER]);
        self.iter().for_each(|n| wide.extend_from_slice(&n.to_le_bytes()[..width]));
        self.0 = wide;
    }

    fn width(&self) -> usize {
        usize::from(self.0.first().copied().unwrap_or(8))
    }

    fn set_count(&mut self, count: usize) {
        let count = u32::try_from(count).expect("an intset has at most a few thousand members");
        self.0[4..HEADER].copy_from_slice(&count.to_le_bytes());
    }
}

fn width_of(n: i64) -> usize {
    if i16::try_from(n).is_ok() {
        2
    } else if i32::try_from(n).is_ok() {
        4
    } else {
        8
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn agrees_with_a_sorted_set_of_integers() {
        let seed = 11;
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut set, mut model) = (Intset::new(), BTreeSet::new());
        for step in 0..4000 {
            let n = match step {
                0..1000 => random.i64(-300..300),
                1000..2000 => random.i64(-70_000..70_000),
                _ => random.i64(-300..300) << random.u32(..56),
            };
            if random.bool() {
                assert_eq!(set.insert(n), model.insert(n), "insert {n}");
            } else {
                assert_eq!(set.remove(n), model.remove(&n), "remove {n}");
            }
            assert_eq!((set.contains(n), set.len()), (model.contains(&n), model.len()));
        }
        assert!(set.iter().eq(model.iter().copied()));
        assert_eq!(Intset::parse(set.as_bytes()), Ok(set));
    }

    #[test]
    fn bytes_are_those_of_the_servers() {
        let mut set = Intset::new();
        assert!(set.insert(5) && set.insert(-1) && !set.insert(5));
        assert_eq!(set.as_bytes(), b"\x02\0\0\0\x02\0\0\0\xff\xff\x05\0");
        assert!(set.insert(70_000));
        assert_eq!(set.as_bytes(), b"\x04\0\0\0\x03\0\0\0\xff\xff\xff\xff\x05\0\0\0\x70\x11\x01\0");
    }

    #[test]
    fn refuses_what_is_not_an_intset() {
        for (blob, what) in [
            (&b"\x02\0\0\0\0\0\0"[..], "header"),
            (b"\x03\0\0\0\0\0\0\0", "width"),
            (b"\x02\0\0\0\x01\0\0\0", "count"),
            (b"\x02\0\0\0\xff\xff\xff\xff", "count"),
            (b"\x02\0\0\0\x02\0\0\0\x05\0\x05\0", "order"),
            (b"\x02\0\0\0\x02\0\0\0\x05\0\xff\xff", "order"),
        ] {
            let error = Intset::parse(blob).expect_err("refused");
            assert!(error.what.contains(what), "{blob:?}: {error}");
        }
    }
}
