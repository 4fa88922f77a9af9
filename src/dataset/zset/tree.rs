//! A big sorted set: members and scores in slots, found by hash (`handles`) and by rank (`order`).
//!
//! A handle is the index of a slot. Slots have no holes: a removal moves the last one into the gap, so memory follows
//! the number of members. A member's bytes are stored once, in its slot.

use super::handles::Handles;
use super::order::{Key, Keys, Order};
use crate::dataset::segment;
use std::cmp::Ordering;
use std::ops::Range;

/// Slots of a chunk: slots are never moved to make room for more.
const CHUNK_SLOTS: usize = 1024;
/// Members up to this length lie in their slot.
const SHORT_BYTES_MAX: usize = 22;

/// Members by hash and by rank.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    slots: Slots,
    handles: Handles,
    order: Order,
}

#[derive(Clone, Debug)]
struct Slot {
    score: f64,
    member: Member,
}

#[derive(Clone, Debug)]
enum Member {
    Short { len: u8, bytes: [u8; SHORT_BYTES_MAX] },
    Long(Box<[u8]>),
}

const _: () = assert!(size_of::<Slot>() == 32);

/// Members on their way into a tree, in any order.
#[derive(Debug, Default)]
pub(super) struct Builder {
    slots: Slots,
    handles: Handles,
    keys: Vec<Key>,
}

impl Builder {
    /// A builder for about `members` members.
    pub(super) fn with_capacity(members: usize) -> Self {
        Self {
            slots: Slots::default(),
            handles: Handles::with_capacity(members),
            keys: Vec::with_capacity(members),
        }
    }

    /// Takes a member, unless it has come before: then the answer is `false`.
    pub(super) fn push(&mut self, member: &[u8], score: f64) -> bool {
        let hash = hash(member);
        if self.slots.find(&self.handles, hash, member).is_some() {
            return false;
        }
        let handle = self.slots.push(Slot { score, member: Member::new(member) });
        self.handles.insert(hash, handle);
        self.keys.push(Key { score, handle });
        true
    }

    /// The tree. O(n) if the members came in order or, as snapshots have them, in reverse; else O(n log n).
    pub(super) fn finish(mut self) -> Tree {
        let slots = &self.slots;
        let member = |key: &Key| slots.get(key.handle).member.bytes();
        // the sort itself notices runs in either direction
        self.keys.sort_unstable_by(|a, b| compare(a.score, member(a), b.score, member(b)));
        let order = Order::build(self.keys.into_iter());
        Tree { slots: self.slots, handles: self.handles, order }
    }
}

/// How sorted sets are ordered: by score, then bytewise by member.
pub(super) fn compare(score: f64, member: &[u8], other_score: f64, other_member: &[u8]) -> Ordering {
    score.partial_cmp(&other_score).unwrap_or(Ordering::Equal).then_with(|| member.cmp(other_member))
}

impl Tree {
    /// Number of members.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// The score of a member.
    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.find(hash(member), member).map(|handle| self.slots.get(handle).score)
    }

    /// The rank of a member that has this score.
    pub(super) fn rank_of(&self, score: f64, member: &[u8]) -> usize {
        self.partition(|other_score, other| compare(other_score, other, score, member).is_lt())
    }

    /// The rank of the first member for which `before` is false.
    pub(super) fn partition(&self, before: impl Fn(f64, &[u8]) -> bool) -> usize {
        self.order.partition(|key| before(key.score, self.slots.get(key.handle).member.bytes()))
    }

    /// The rank of the first score for which `before` is false; looks at no member.
    pub(super) fn partition_scores(&self, before: impl Fn(f64) -> bool) -> usize {
        self.order.partition(|key| before(key.score))
    }

    /// Sets the score of a member; answers its old one.
    pub(super) fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        let hash = hash(member);
        let Some(handle) = self.find(hash, member) else {
            let handle = self.slots.push(Slot { score, member: Member::new(member) });
            self.handles.insert(hash, handle);
            self.order.insert_at(self.rank_of(score, member), Key { score, handle });
            return None;
        };
        let old = self.slots.get(handle).score;
        if old != score {
            self.order.remove_at(self.rank_of(old, member));
            self.order.insert_at(self.rank_of(score, member), Key { score, handle });
            self.slots.get_mut(handle).score = score;
        }
        Some(old)
    }

    /// Removes a member; `false` if it is not there.
    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        let Some(handle) = self.find(hash(member), member) else { return false };
        let rank = self.rank_of(self.slots.get(handle).score, member);
        self.remove_slot(rank, handle);
        true
    }

    /// Removes the members at these ranks.
    pub(super) fn remove_ranks(&mut self, ranks: Range<usize>) {
        for _ in ranks.clone() {
            let Some(key) = self.order.get(ranks.start) else { return };
            self.remove_slot(ranks.start, key.handle);
        }
    }

    /// The members at these ranks, from either end.
    pub(super) fn range(&self, ranks: Range<usize>) -> TreeIter<'_> {
        TreeIter { slots: &self.slots, keys: self.order.range(ranks) }
    }

    /// One step of a scan, as `Handles::scan`.
    pub(super) fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(&'a [u8], f64)) -> u64 {
        self.handles.scan(cursor, count, |handle| {
            let slot = self.slots.get(handle);
            visit(slot.member.bytes(), slot.score);
        })
    }

    /// Bytes of memory behind this.
    pub(super) fn heap_bytes(&self, samples: usize) -> usize {
        self.slots.heap_bytes(samples) + self.handles.heap_bytes() + self.order.heap_bytes()
    }

    fn find(&self, hash: u32, member: &[u8]) -> Option<u32> {
        self.slots.find(&self.handles, hash, member)
    }

    /// Takes out the member at `rank`, which is in slot `handle`, and moves the last slot into the gap.
    fn remove_slot(&mut self, rank: usize, handle: u32) {
        self.order.remove_at(rank);
        self.handles.remove(hash(self.slots.get(handle).member.bytes()), handle);
        let last = self.slots.last();
        if handle != last {
            let Slot { score, member } = self.slots.get(last);
            let (score, hash) = (*score, hash(member.bytes()));
            let rank = self.rank_of(score, member.bytes());
            self.order.replace_at(rank, Key { score, handle });
            self.handles.replace(hash, last, handle);
        }
        self.slots.swap_remove(handle);
    }
}

fn hash(member: &[u8]) -> u32 {
    segment::hash(member) as u32
}

impl Member {
    fn new(bytes: &[u8]) -> Self {
        let mut short = [0; SHORT_BYTES_MAX];
        match short.get_mut(..bytes.len()) {
            None => Self::Long(bytes.into()),
            Some(room) => {
                room.copy_from_slice(bytes);
                Self::Short { len: bytes.len() as u8, bytes: short }
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => &bytes[..usize::from(*len)],
            Self::Long(bytes) => bytes,
        }
    }
}

/// Slots without holes, in chunks.
#[derive(Clone, Debug, Default)]
struct Slots {
    chunks: Vec<Vec<Slot>>,
}

impl Slots {
    fn get(&self, handle: u32) -> &Slot {
        let (chunk, at) = place(handle);
        &self.chunks[chunk][at]
    }

    fn find(&self, handles: &Handles, hash: u32, member: &[u8]) -> Option<u32> {
        handles.find(hash, |handle| self.get(handle).member.bytes() == member)
    }

    fn get_mut(&mut self, handle: u32) -> &mut Slot {
        let (chunk, at) = place(handle);
        &mut self.chunks[chunk][at]
    }

    fn len(&self) -> usize {
        let full = self.chunks.len().saturating_sub(1) * CHUNK_SLOTS;
        full + self.chunks.last().map_or(0, Vec::len)
    }

    fn last(&self) -> u32 {
        handle(self.len() - 1)
    }

    fn push(&mut self, slot: Slot) -> u32 {
        let new = self.len();
        if new.is_multiple_of(CHUNK_SLOTS) {
            // the first chunk grows, so that a small tree is small
            self.chunks.push(Vec::with_capacity(if new == 0 { 0 } else { CHUNK_SLOTS }));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            if chunk.len() == chunk.capacity() {
                chunk.reserve_exact(CHUNK_SLOTS / 16);
            }
            chunk.push(slot);
        }
        handle(new)
    }

    /// Drops the slot and puts the last one in its place.
    fn swap_remove(&mut self, handle: u32) {
        let Some(chunk) = self.chunks.last_mut() else { return };
        let Some(last) = chunk.pop() else { return };
        if chunk.is_empty() {
            self.chunks.pop();
        }
        if (handle as usize) < self.len() {
            *self.get_mut(handle) = last;
        }
    }

    /// Long members are reckoned from the first chunks with together `samples` slots (0: all).
    fn heap_bytes(&self, samples: usize) -> usize {
        let slots = self.chunks.iter().map(Vec::capacity).sum::<usize>() * size_of::<Slot>();
        let all: usize = self.chunks.iter().map(Vec::len).sum();
        let sampled = if samples == 0 { all } else { samples.min(all) };
        let long = self.chunks.iter().flatten().take(sampled).map(|slot| match &slot.member {
            Member::Long(bytes) => bytes.len(),
            Member::Short { .. } => 0,
        });
        slots + (long.sum::<usize>() as u128 * all as u128 / sampled.max(1) as u128) as usize
    }
}

fn place(handle: u32) -> (usize, usize) {
    (handle as usize / CHUNK_SLOTS, handle as usize % CHUNK_SLOTS)
}

fn handle(index: usize) -> u32 {
    u32::try_from(index).expect("a sorted set of four thousand million members does not fit in memory")
}

/// Members with their scores at a range of ranks.
#[derive(Clone, Debug)]
pub(super) struct TreeIter<'a> {
    slots: &'a Slots,
    keys: Keys<'a>,
}

impl<'a> TreeIter<'a> {
    fn pair(&self, key: Key) -> (&'a [u8], f64) {
        (self.slots.get(key.handle).member.bytes(), key.score)
    }
}

impl<'a> Iterator for TreeIter<'a> {
    type Item = (&'a [u8], f64);

    fn next(&mut self) -> Option<Self::Item> {
        self.keys.next().map(|key| self.pair(key))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.keys.size_hint()
    }
}

impl DoubleEndedIterator for TreeIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.keys.next_back().map(|key| self.pair(key))
    }
}

impl ExactSizeIterator for TreeIter<'_> {}
