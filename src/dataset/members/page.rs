//! One page of a table of members: some dozens of entries packed in one block of bytes.
//!
//! ```text
//! tags: 8 bits of each entry's hash · places: u16 of each entry · entries: length of key, key, payload
//! ```
//!
//! A search looks for the tag first and then, as a rule, at one entry. A place is an offset into the entries, or
//! names one of the blocks outside: long entries have a block of their own, so that changing a page never moves much.

use super::payload::{self, Payload};
use std::marker::PhantomData;

/// Longer entries are kept outside the page's block.
const INLINE_BYTES_MAX: usize = 192;
/// Bytes of a tag and a place.
const SLOT_BYTES: usize = 3;
const OUTSIDE_BIT: u16 = 1 << 15;
/// Entries that would begin behind this byte are kept outside, too: a place could not say where they are.
const OFFSET_MAX: usize = OUTSIDE_BIT as usize - 1;

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const TOP_BITS: u64 = LOW_BITS << 7;

#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    block: Vec<u8>,
    len: usize,
    outside: Box<[Box<[u8]>]>,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Its first byte behind the tags and places.
    Inline(usize),
    /// Its index among the blocks outside.
    Outside(usize),
}

impl Place {
    fn from_bits(bits: u16) -> Self {
        let at = usize::from(bits & !OUTSIDE_BIT);
        if bits & OUTSIDE_BIT == 0 { Self::Inline(at) } else { Self::Outside(at) }
    }

    fn bits(self) -> u16 {
        let (Self::Inline(at) | Self::Outside(at)) = self;
        let at = u16::try_from(at).ok().filter(|at| *at < OUTSIDE_BIT);
        let at = at.expect("offsets end at the maximum, and no page has thousands of entries");
        if let Self::Outside(_) = self { at | OUTSIDE_BIT } else { at }
    }
}

/// The part of a hash that a page keeps: bits that choose no page.
fn tag(hash: u64) -> u8 {
    (hash >> 56) as u8
}

impl Page {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let outside: usize = self.outside.iter().map(|entry| size_of::<Box<[u8]>>() + entry.len()).sum();
        self.block.capacity() + outside
    }

    /// The slot of a key.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        // Eight tags at a time: a byte of `equal` has its top bit set where the tag is the one looked for (and, rarely,
        // one above it, which the comparison of keys finds out).
        let (pattern, tags) = (LOW_BITS * u64::from(tag(hash)), &self.block[..self.len]);
        for (group, chunk) in tags.chunks(8).enumerate() {
            let differ = word(chunk) ^ pattern;
            let mut equal = differ.wrapping_sub(LOW_BITS) & !differ & TOP_BITS;
            while equal != 0 {
                let slot = group * 8 + equal.trailing_zeros() as usize / 8;
                if slot < self.len && key_of(self.raw(slot)).0 == key {
                    return Some(slot);
                }
                equal &= equal - 1;
            }
        }
        None
    }

    /// The entry in a slot.
    #[inline]
    pub(super) fn entry<P: Payload>(&self, slot: usize) -> (&[u8], P::Item<'_>) {
        let (key, rest) = key_of(self.raw(slot));
        (key, P::read(rest).0)
    }

    /// All entries.
    pub(super) fn entries<P: Payload>(&self) -> Entries<'_, P> {
        Entries { page: self, slots: 0..self.len, payload: PhantomData }
    }

    /// Adds an entry; its key must not be there.
    pub(super) fn push<P: Payload>(&mut self, hash: u64, key: &[u8], item: P::Item<'_>) {
        let len = payload::length_len(key.len()) + key.len() + P::encoded_len(item);
        let offset = self.block.len() - self.head();
        if len > INLINE_BYTES_MAX || offset > OFFSET_MAX {
            let mut entry = Vec::with_capacity(len);
            write_entry::<P>(key, item, &mut entry);
            self.push_slot(tag(hash), Place::Outside(self.outside.len()), 0);
            self.push_outside(entry.into_boxed_slice());
        } else {
            self.push_slot(tag(hash), Place::Inline(offset), len);
            write_entry::<P>(key, item, &mut self.block);
        }
    }

    /// Replaces the payload of the entry in a slot, which has this key. The entry may get another slot.
    pub(super) fn replace<P: Payload>(&mut self, slot: usize, hash: u64, key: &[u8], item: P::Item<'_>) {
        let raw = self.raw(slot);
        let (_, rest) = key_of(raw);
        let (start, len) = (raw.len() - rest.len(), P::read(rest).1);
        match self.place(slot) {
            Place::Inline(at) if len == P::encoded_len(item) => {
                // Written behind the last entry, then moved into the old one's place.
                let (start, end) = (self.head() + at + start, self.block.len());
                P::write(item, &mut self.block);
                self.block.copy_within(end.., start);
                self.block.truncate(end);
            }
            _ => {
                self.remove::<P>(slot);
                self.push::<P>(hash, key, item);
            }
        }
    }

    /// Removes the entry in a slot; those behind it move up.
    pub(super) fn remove<P: Payload>(&mut self, slot: usize) {
        let place = self.place(slot);
        match place {
            Place::Inline(at) => {
                let (start, len) = (self.head() + at, encoded_len::<P>(self.raw(slot)));
                self.block.drain(start..start + len);
                self.move_down(at, len);
            }
            Place::Outside(at) => {
                let mut outside = std::mem::take(&mut self.outside).into_vec();
                outside.remove(at);
                self.outside = outside.into_boxed_slice();
                self.move_down(OUTSIDE_BIT as usize + at, 1);
            }
        }
        let bits = self.bits_at(slot);
        self.block.drain(bits..bits + 2);
        self.block.remove(slot);
        self.len -= 1;
        if self.block.capacity() > 2 * self.block.len() + INLINE_BYTES_MAX {
            self.block.shrink_to_fit();
        }
    }

    /// Two pages with the entries of this one, which is empty afterwards: those whose key doesn't go, and those whose
    /// key does.
    pub(super) fn split<P: Payload>(&mut self, goes: impl Fn(&[u8]) -> bool) -> (Self, Self) {
        let (mut stay, mut go) = (Vec::with_capacity(self.len), Vec::with_capacity(self.len));
        for slot in 0..self.len {
            if goes(key_of(self.raw(slot)).0) { go.push(slot) } else { stay.push(slot) }
        }
        let pages = (self.part::<P>(&stay), self.part::<P>(&go));
        *self = Self::default();
        pages
    }

    /// Takes over the entries of another page.
    pub(super) fn append<P: Payload>(&mut self, other: &Self, hash: impl Fn(&[u8]) -> u64) {
        other.entries::<P>().for_each(|(key, item)| self.push::<P>(hash(key), key, item));
    }

    /// A page of some of the entries, without room to spare. Blocks outside are moved to it.
    fn part<P: Payload>(&mut self, slots: &[usize]) -> Self {
        let lens = slots.iter().map(|slot| self.inline_len::<P>(*slot));
        let mut block = Vec::with_capacity(slots.len() * SLOT_BYTES + lens.sum::<usize>());
        block.extend(slots.iter().map(|slot| self.block[*slot]));
        let (mut offset, mut outside) = (0, Vec::new());
        for slot in slots {
            let place = match self.place(*slot) {
                Place::Inline(_) => Place::Inline(offset),
                Place::Outside(at) => {
                    outside.push(std::mem::take(&mut self.outside[at]));
                    Place::Outside(outside.len() - 1)
                }
            };
            if let Place::Inline(_) = place {
                offset += self.inline_len::<P>(*slot);
            }
            block.extend_from_slice(&place.bits().to_le_bytes());
        }
        for slot in slots.iter().filter(|slot| matches!(self.place(**slot), Place::Inline(_))) {
            block.extend_from_slice(&self.raw(*slot)[..self.inline_len::<P>(*slot)]);
        }
        Self { block, len: slots.len(), outside: outside.into_boxed_slice() }
    }

    /// Makes a slot, and room for an entry of `entry_bytes` at the end.
    fn push_slot(&mut self, tag: u8, place: Place, entry_bytes: usize) {
        let (len, old) = (self.len, self.block.len());
        reserve(&mut self.block, SLOT_BYTES + entry_bytes);
        self.block.resize(old + SLOT_BYTES, 0);
        self.block.copy_within(len * SLOT_BYTES..old, (len + 1) * SLOT_BYTES);
        self.block.copy_within(len..len * SLOT_BYTES, len + 1);
        self.block[len] = tag;
        self.len += 1;
        self.put_place(len, place);
    }

    fn push_outside(&mut self, entry: Box<[u8]>) {
        let mut outside = std::mem::take(&mut self.outside).into_vec();
        outside.reserve_exact(1);
        outside.push(entry);
        self.outside = outside.into_boxed_slice();
    }

    /// Lowers by `by` all places of one kind above a place of that kind, which is gone.
    fn move_down(&mut self, gone: usize, by: usize) {
        let is_outside = gone >= OUTSIDE_BIT as usize;
        for slot in 0..self.len {
            let at = self.bits_at(slot);
            let bits = usize::from(u16::from_le_bytes([self.block[at], self.block[at + 1]]));
            if bits > gone && (bits >= OUTSIDE_BIT as usize) == is_outside {
                self.put_place(slot, Place::from_bits((bits - by) as u16));
            }
        }
    }

    /// Where the tags and places end and the entries begin.
    #[inline]
    fn head(&self) -> usize {
        self.len * SLOT_BYTES
    }

    #[inline]
    fn bits_at(&self, slot: usize) -> usize {
        self.len + 2 * slot
    }

    #[inline]
    fn place(&self, slot: usize) -> Place {
        let at = self.bits_at(slot);
        Place::from_bits(u16::from_le_bytes([self.block[at], self.block[at + 1]]))
    }

    fn put_place(&mut self, slot: usize, place: Place) {
        let at = self.bits_at(slot);
        self.block[at..at + 2].copy_from_slice(&place.bits().to_le_bytes());
    }

    /// The bytes of an entry, and whatever follows it.
    #[inline]
    fn raw(&self, slot: usize) -> &[u8] {
        match self.place(slot) {
            Place::Inline(at) => &self.block[self.head() + at..],
            Place::Outside(at) => &self.outside[at],
        }
    }

    /// Bytes that an entry takes in the block.
    fn inline_len<P: Payload>(&self, slot: usize) -> usize {
        match self.place(slot) {
            Place::Inline(_) => encoded_len::<P>(self.raw(slot)),
            Place::Outside(_) => 0,
        }
    }
}

/// Walks the entries of one page.
#[derive(Clone, Debug)]
pub(super) struct Entries<'a, P> {
    page: &'a Page,
    slots: std::ops::Range<usize>,
    payload: PhantomData<P>,
}

impl<'a, P: Payload> Iterator for Entries<'a, P> {
    type Item = (&'a [u8], P::Item<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.page.entry::<P>(self.slots.next()?))
    }
}

/// Up to eight bytes as a word, zeros behind them.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    if let Ok(bytes) = bytes.try_into() {
        return u64::from_le_bytes(bytes);
    }
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn write_entry<P: Payload>(key: &[u8], item: P::Item<'_>, out: &mut Vec<u8>) {
    payload::write_length(key.len(), out);
    out.extend_from_slice(key);
    P::write(item, out);
}

/// The key of an entry, and what is behind it.
#[inline]
fn key_of(raw: &[u8]) -> (&[u8], &[u8]) {
    let (len, at) = payload::read_length(raw);
    raw[at..].split_at(len)
}

/// Bytes of the whole entry at the start of `raw`.
fn encoded_len<P: Payload>(raw: &[u8]) -> usize {
    let (_, rest) = key_of(raw);
    raw.len() - rest.len() + P::read(rest).1
}

/// Makes room for `more` bytes, with an eighth to spare: pages are many, so doubling would waste.
fn reserve(block: &mut Vec<u8>, more: usize) {
    if block.capacity() - block.len() < more {
        block.reserve_exact(more.max(block.len() / 8));
    }
}
