//! A table of about a thousand entries in 64-byte buckets: seven tags and seven words in one cache line.
//!
//! A segment covers one contiguous range of hashes: those whose top `depth` bits are its `prefix`. An entry's home
//! bucket is the next seven bits, so walking buckets in order is walking hashes in order; SCAN cursors rest on
//! that. A full bucket spills to the ones behind it, and counts what passed, so that a lookup knows when to stop.
//!
//! It knows nothing of databases; `keyspace` owns the directory of segments and decides when to split.

use super::entry::{Entry, prefetch};
use std::hash::Hasher;
use std::sync::LazyLock;

/// Buckets of a segment; the home bucket is seven bits of the hash.
pub const BUCKETS: usize = 128;
const BUCKET_BITS: u32 = 7;
const SLOTS: usize = 7;
/// A segment splits at this many entries: 89% of its slots, where a miss looks at 1.2 buckets on average.
pub const ENTRIES_MAX: usize = 800;
/// `passed` stays here once reached: the true count is lost, lookups only go on longer.
const PASSED_STICKY: u8 = u8::MAX;

const _: () = assert!(BUCKETS == 1 << BUCKET_BITS && ENTRIES_MAX < BUCKETS * SLOTS);
const _: () = assert!(size_of::<Bucket>() == 64 && align_of::<Bucket>() == 64);

/// Tags of 0 mark empty slots; a full slot's tag has its top bit set.
#[derive(Debug, Default)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u8; SLOTS],
    /// Entries that found this bucket full and went on.
    passed: u8,
    entries: [Option<Entry>; SLOTS],
}

/// One segment.
#[derive(Debug)]
pub struct Segment {
    buckets: Box<[Bucket; BUCKETS]>,
    /// The top `depth` bits of all hashes in here, the other bits 0.
    pub prefix: u64,
    /// How many bits of the prefix count.
    pub depth: u32,
    count: usize,
}

/// A place in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    bucket: usize,
    slot: usize,
}

/// The hash of a key, seeded once per process so that nobody outside can choose colliding keys.
pub fn hash(key: &[u8]) -> u64 {
    static SEED: LazyLock<foldhash::fast::FixedState> =
        LazyLock::new(|| foldhash::fast::FixedState::with_seed(fastrand::u64(..)));
    let mut hasher = std::hash::BuildHasher::build_hasher(&*SEED);
    hasher.write(key);
    hasher.finish()
}

fn tag(hash: u64) -> u8 {
    (hash & 0x7f) as u8 | 0x80
}

impl Segment {
    /// An empty segment for one range of hashes. Costs one allocation of 8 KiB.
    pub fn new(prefix: u64, depth: u32) -> Self {
        let buckets: Vec<Bucket> = (0..BUCKETS).map(|_| Bucket::default()).collect();
        let buckets = buckets.into_boxed_slice().try_into().expect("made with that many buckets");
        Self { buckets, prefix, depth, count: 0 }
    }

    /// Bytes of the buckets of one segment.
    pub const BYTES: usize = BUCKETS * size_of::<Bucket>();
    /// Bytes of the table that one key takes: its share of a bucket.
    pub const BYTES_PER_KEY: usize = size_of::<Bucket>().div_ceil(SLOTS);

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.count
    }

    /// No entries.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn home(&self, hash: u64) -> usize {
        ((hash << self.depth) >> (64 - BUCKET_BITS)) as usize
    }

    /// Asks the processor for the home bucket of a hash.
    pub fn prefetch_bucket(&self, hash: u64) {
        prefetch(&raw const self.buckets[self.home(hash)]);
    }

    /// Asks the processor for the first entry of the home bucket that has the hash's tag.
    pub fn prefetch_entry(&self, hash: u64) {
        let bucket = &self.buckets[self.home(hash)];
        if let Some(entry) = bucket.candidates(tag(hash)).next().and_then(|slot| bucket.entries[slot].as_ref()) {
            entry.prefetch();
        }
    }

    /// Where a key is.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<Place> {
        let tag = tag(hash);
        let mut at = self.home(hash);
        for _ in 0..BUCKETS {
            let bucket = &self.buckets[at];
            for slot in bucket.candidates(tag) {
                if bucket.entries[slot].as_ref().is_some_and(|entry| entry.key() == key) {
                    return Some(Place { bucket: at, slot });
                }
            }
            if bucket.passed == 0 {
                return None;
            }
            at = (at + 1) % BUCKETS;
        }
        None
    }

    /// All entries of this hash: those that `find` would look at, without a look at the key.
    pub fn with_hash(&self, wanted: u64) -> impl Iterator<Item = &Entry> {
        let (home, mut passed) = (self.home(wanted), true);
        (0..BUCKETS)
            .map(move |distance| &self.buckets[(home + distance) % BUCKETS])
            .take_while(move |bucket| std::mem::replace(&mut passed, bucket.passed > 0))
            .flat_map(move |bucket| {
                bucket.candidates(tag(wanted)).filter_map(|slot| bucket.entries[slot].as_ref())
            })
            .filter(move |entry| hash(entry.key()) == wanted)
    }

    /// The entry at a place that `find` answered.
    #[inline]
    pub fn at(&self, place: Place) -> Option<&Entry> {
        self.buckets[place.bucket].entries[place.slot].as_ref()
    }

    /// The slot of an entry at a place that `find` answered. The key must stay the same.
    pub fn slot_mut(&mut self, place: Place) -> &mut Option<Entry> {
        &mut self.buckets[place.bucket].entries[place.slot]
    }

    /// Puts in an entry whose key is not there. The caller keeps `len` below `ENTRIES_MAX`, so there is room.
    pub fn insert(&mut self, hash: u64, entry: Entry) {
        let mut at = self.home(hash);
        for _ in 0..BUCKETS {
            let bucket = &mut self.buckets[at];
            if let Some(slot) = bucket.tags.iter().position(|tag| *tag == 0) {
                bucket.tags[slot] = tag(hash);
                bucket.entries[slot] = Some(entry);
                self.count += 1;
                return;
            }
            bucket.passed = bucket.passed.saturating_add(1);
            at = (at + 1) % BUCKETS;
        }
        unreachable!("a segment splits before it is full");
    }

    /// Takes the entry at a place out.
    pub fn remove(&mut self, hash: u64, place: Place) -> Option<Entry> {
        let entry = self.buckets[place.bucket].entries[place.slot].take()?;
        self.buckets[place.bucket].tags[place.slot] = 0;
        self.count -= 1;
        let mut at = self.home(hash);
        while at != place.bucket {
            let passed = &mut self.buckets[at].passed;
            *passed -= u8::from(*passed != PASSED_STICKY);
            at = (at + 1) % BUCKETS;
        }
        Some(entry)
    }

    /// Splits by the next bit of the hash: the lower half stays, the upper half is answered. Costs two new tables
    /// and a look at every key.
    #[must_use]
    pub fn split(&mut self) -> Self {
        let depth = self.depth + 1;
        let bit = 1 << (63 - self.depth);
        let mut upper = Self::new(self.prefix | bit, depth);
        let old = std::mem::replace(self, Self::new(self.prefix, depth));
        for entry in old.into_entries() {
            let hash = hash(entry.key());
            if hash & bit == 0 { self.insert(hash, entry) } else { upper.insert(hash, entry) }
        }
        upper
    }

    /// Takes in all entries of the neighbour that covers the other half of the range one bit shorter.
    pub fn merge(&mut self, neighbour: Self) {
        debug_assert!(neighbour.depth == self.depth && self.len() + neighbour.len() <= ENTRIES_MAX);
        let depth = self.depth - 1;
        let lower = std::mem::replace(self, Self::new(self.prefix & neighbour.prefix, depth));
        for entry in lower.into_entries().chain(neighbour.into_entries()) {
            self.insert(hash(entry.key()), entry);
        }
    }

    /// All entries, owned; the ones ahead are asked from memory early, since each is a cache miss.
    fn into_entries(self) -> impl Iterator<Item = Entry> {
        const AHEAD: usize = 8;
        let buckets: Box<[Bucket]> = self.buckets;
        let entries: Vec<Entry> = buckets.into_iter().flat_map(|bucket| bucket.entries).flatten().collect();
        let mut rest = entries.into_iter();
        std::iter::from_fn(move || {
            if let Some(entry) = rest.as_slice().get(AHEAD) {
                entry.prefetch();
            }
            rest.next()
        })
    }

    /// All entries in bucket order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.buckets.iter().flat_map(|bucket| bucket.entries.iter().flatten())
    }

    /// The entries whose home is `bucket`, wherever they have spilled to, each once.
    pub fn at_home(&self, bucket: usize) -> impl Iterator<Item = &Entry> {
        let mut passed = true;
        (0..BUCKETS)
            .map(move |distance| &self.buckets[(bucket + distance) % BUCKETS])
            .take_while(move |bucket| std::mem::replace(&mut passed, bucket.passed > 0))
            .flat_map(|bucket| bucket.entries.iter().flatten())
            .filter(move |entry| self.home(hash(entry.key())) == bucket)
    }

    /// Asks the processor for the entries of the next bucket: a walk will want them soon.
    pub fn prefetch_entries_behind(&self, bucket: usize) {
        let next = &self.buckets[(bucket + 1) % BUCKETS];
        next.entries.iter().flatten().for_each(Entry::prefetch);
    }

    /// The bucket in which a walk that has reached `hash` goes on.
    pub fn bucket_of(&self, hash: u64) -> usize {
        self.home(hash)
    }

    /// The first hash behind `bucket`; `None` at the end of all hashes.
    pub fn hash_behind(&self, bucket: usize) -> Option<u64> {
        let width = 1_u64 << (64 - BUCKET_BITS - self.depth);
        self.prefix.checked_add((bucket as u64).checked_add(1)?.checked_mul(width)?)
    }

    /// Any entry of one bucket, picked by two random numbers; `None` if that slot is empty.
    pub fn pick(&self, random: u64) -> Option<&Entry> {
        let bucket = &self.buckets[(random % BUCKETS as u64) as usize];
        bucket.entries[((random >> 32) % SLOTS as u64) as usize].as_ref()
    }
}

impl Bucket {
    /// Slots whose tag is `tag`.
    #[inline]
    fn candidates(&self, tag: u8) -> impl Iterator<Item = usize> + use<> {
        let [a, b, c, d, e, f, g] = self.tags;
        let tags = u64::from_le_bytes([a, b, c, d, e, f, g, 0]);
        // Zero bytes of `x` are hits, found exactly: the usual shorter trick also reports neighbours of a hit,
        // and a false hit on an empty slot is what crashed the first sketch of this table.
        let x = tags ^ (u64::from(tag) * 0x0101_0101_0101_0101);
        let low = 0x7f7f_7f7f_7f7f_7f7f_u64;
        let mut hits = !(((x & low) + low) | x | low);
        std::iter::from_fn(move || {
            if hits == 0 {
                return None;
            }
            let slot = hits.trailing_zeros() / 8;
            hits &= hits - 1;
            Some(slot as usize)
        })
    }
}
