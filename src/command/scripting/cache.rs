//! Sources of scripts by their SHA-1. What SCRIPT LOAD brought stays; of what only EVAL brought, the most recent are
//! kept (as redis 7.4 and valkey 8).

use crate::limits::{SCRIPTS_BYTES_MAX, SCRIPTS_EVALUATED_MAX};
use sha1::{Digest, Sha1};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A hash in lower-case hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sha([u8; 40]);

impl Sha {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 40];
        for (pair, byte) in text.chunks_exact_mut(2).zip(Sha1::digest(bytes)) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        Self(text)
    }

    /// A hash as a client writes it, in either case; `None` if it has another length than hashes have.
    pub fn parse(text: &[u8]) -> Option<Self> {
        Some(Self(text.to_ascii_lowercase().try_into().ok()?))
    }

    /// The forty digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Display for Sha {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// How a script came, and so how long it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// EVAL: until others push it out.
    Evaluated,
    /// SCRIPT LOAD: until SCRIPT FLUSH.
    Loaded,
}

#[derive(Debug)]
struct Cached {
    source: Arc<[u8]>,
    /// Its place among the evaluated ones; `None` for a loaded one.
    turn: Option<u64>,
}

/// All scripts known.
#[derive(Debug, Default)]
pub struct Cache {
    scripts: HashMap<Sha, Cached>,
    /// The evaluated ones, the one unused for longest first.
    turns: BTreeMap<u64, Sha>,
    next_turn: u64,
    bytes: usize,
    evicted: u64,
    flushes: u64,
}

impl Cache {
    /// The source of a script. Counts as a use.
    pub fn get(&mut self, sha: &Sha) -> Option<Arc<[u8]>> {
        let cached = self.scripts.get_mut(sha)?;
        if let Some(turn) = cached.turn {
            self.turns.remove(&turn);
            self.next_turn += 1;
            self.turns.insert(self.next_turn, *sha);
            cached.turn = Some(self.next_turn);
        }
        Some(Arc::clone(&cached.source))
    }

    /// The source of a script, without using it.
    pub fn peek(&self, sha: &Sha) -> Option<&[u8]> {
        self.scripts.get(sha).map(|cached| &*cached.source)
    }

    /// Is it known?
    pub fn contains(&self, sha: &Sha) -> bool {
        self.scripts.contains_key(sha)
    }

    /// Adds a script; one that was evaluated and is now loaded stays from now on. `false` if the cache is full of
    /// loaded ones.
    pub fn insert(&mut self, sha: Sha, source: &[u8], origin: Origin) -> bool {
        if let Some(cached) = self.scripts.get_mut(&sha) {
            if origin == Origin::Loaded
                && let Some(turn) = cached.turn.take()
            {
                self.turns.remove(&turn);
            }
            return true;
        }
        let evaluated = origin == Origin::Evaluated;
        while self.bytes + source.len() > SCRIPTS_BYTES_MAX
            || evaluated && self.turns.len() >= SCRIPTS_EVALUATED_MAX
        {
            if !self.evict() {
                return false;
            }
        }
        let turn = evaluated.then(|| {
            self.next_turn += 1;
            self.turns.insert(self.next_turn, sha);
            self.next_turn
        });
        self.bytes += source.len();
        self.scripts.insert(sha, Cached { source: source.into(), turn });
        true
    }

    fn evict(&mut self) -> bool {
        let Some((_, sha)) = self.turns.pop_first() else { return false };
        if let Some(gone) = self.scripts.remove(&sha) {
            self.bytes -= gone.source.len();
        }
        self.evicted += 1;
        true
    }

    /// Forgets all.
    pub fn flush(&mut self) {
        *self = Self { evicted: self.evicted, flushes: self.flushes + 1, ..Self::default() };
    }

    /// Number of scripts.
    pub fn len(&self) -> usize {
        self.scripts.len()
    }

    /// No script at all.
    pub fn is_empty(&self) -> bool {
        self.scripts.is_empty()
    }

    /// Bytes of all sources.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// None has had to make room (CONFIG RESETSTAT).
    pub fn forget_evicted(&mut self) {
        self.evicted = 0;
    }

    /// How many had to make room.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// How often it was emptied: whoever keeps something by hash compares it.
    pub fn flushes(&self) -> u64 {
        self.flushes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_servers() {
        let sha = Sha::of(b"return 1");
        assert_eq!(sha.to_string(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        assert_eq!(Sha::parse(b"E0E1F9FABFC9D4800C877A703B823AC0578FF8DB"), Some(sha));
        assert_eq!(Sha::parse(b"e0"), None);
    }

    #[test]
    fn the_evaluated_script_unused_for_longest_makes_room_and_loaded_ones_stay() {
        let mut cache = Cache::default();
        let sha = |n: usize| Sha::of(&n.to_le_bytes());
        assert!(cache.insert(sha(0), b"loaded", Origin::Loaded));
        for n in 1..=SCRIPTS_EVALUATED_MAX {
            assert!(cache.insert(sha(n), b"evaluated", Origin::Evaluated));
        }
        assert!(cache.get(&sha(1)).is_some());
        cache.insert(sha(2), b"evaluated", Origin::Loaded);
        for n in 1000..1002 {
            cache.insert(sha(n), b"evaluated", Origin::Evaluated);
        }
        for (n, there) in [(0, true), (1, true), (2, true), (3, false), (4, true)] {
            assert_eq!(cache.contains(&sha(n)), there, "{n}");
        }
        assert_eq!((cache.evicted(), cache.len()), (1, SCRIPTS_EVALUATED_MAX + 2));
        cache.flush();
        assert_eq!((cache.len(), cache.bytes(), cache.evicted(), cache.flushes()), (0, 0, 1, 1));
    }

    #[test]
    fn the_bytes_of_loaded_scripts_are_bounded() {
        let mut cache = Cache::default();
        let big = vec![b' '; SCRIPTS_BYTES_MAX / 2];
        for (n, fits) in [(1_u8, true), (2, true), (3, false)] {
            assert_eq!(cache.insert(Sha::of(&[n]), &big, Origin::Loaded), fits, "{n}");
        }
        assert!(!cache.insert(Sha::of(&[4]), b"x", Origin::Evaluated));
    }
}
