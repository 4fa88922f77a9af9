//! One page of a table of members: some dozens of entries packed in one block of bytes.
//!
//! A slot per entry holds eight bits of its hash and where it begins, so that a search reads the slots and, as a
//! rule, one entry. Long entries have a block of their own, so that changing a page never moves much.

use super::payload::{self, Payload};
use std::marker::PhantomData;

/// Longer entries are kept outside the page's block.
const INLINE_BYTES_MAX: usize = 256;
/// Entries that begin behind this byte are kept outside, too: a slot could not say where they are.
const OFFSET_MAX: usize = (1 << (32 - OFFSET_SHIFT)) - 1;
const OFFSET_SHIFT: u32 = 9;
const OUTSIDE_BIT: u32 = 1 << 8;

/// Entries as `length of key · key · payload`, and a slot for each.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    slots: Vec<Slot>,
    bytes: Vec<u8>,
    outside: Vec<Box<[u8]>>,
}

/// Low 8 bits: a part of the hash. Next bit: the entry is outside. Upper bits: its first byte in `bytes`, or
/// its index in `outside`.
#[derive(Clone, Copy, Debug)]
struct Slot(u32);

impl Slot {
    fn new(hash: u64, outside: bool, at: usize) -> Self {
        let at = u32::try_from(at).ok().filter(|at| *at as usize <= OFFSET_MAX);
        let at = at.expect("bytes end at the maximum, and no page has millions of entries");
        Self(at << OFFSET_SHIFT | if outside { OUTSIDE_BIT } else { 0 } | u32::from(tag(hash)))
    }

    fn tag(self) -> u8 {
        self.0 as u8
    }

    fn is_outside(self) -> bool {
        self.0 & OUTSIDE_BIT != 0
    }

    fn at(self) -> usize {
        (self.0 >> OFFSET_SHIFT) as usize
    }

    fn moved_down(self, by: usize) -> Self {
        Self(self.0 - ((by as u32) << OFFSET_SHIFT))
    }
}

/// The part of a hash that a slot keeps: bits that choose no page.
fn tag(hash: u64) -> u8 {
    (hash >> 56) as u8
}

impl Page {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let outside: usize = self.outside.iter().map(|entry| entry.len()).sum();
        self.bytes.capacity()
            + self.slots.capacity() * size_of::<Slot>()
            + self.outside.capacity() * size_of::<Box<[u8]>>()
            + outside
    }

    /// The slot of a key.
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let tag = tag(hash);
        self.slots.iter().position(|slot| slot.tag() == tag && key_of(self.raw(*slot)).0 == key)
    }

    /// The entry in a slot.
    pub(super) fn entry<P: Payload>(&self, slot: usize) -> (&[u8], P::Item<'_>) {
        let (key, rest) = key_of(self.raw(self.slots[slot]));
        (key, P::read(rest).0)
    }

    /// All entries.
    pub(super) fn entries<P: Payload>(&self) -> Entries<'_, P> {
        Entries { page: self, slots: 0..self.slots.len(), payload: PhantomData }
    }

    /// Adds an entry; its key must not be there.
    pub(super) fn push<P: Payload>(&mut self, hash: u64, key: &[u8], item: P::Item<'_>) {
        let len = payload::length_len(key.len()) + key.len() + P::encoded_len(item);
        let slot = if len > INLINE_BYTES_MAX || self.bytes.len() > OFFSET_MAX {
            let mut entry = Vec::with_capacity(len);
            write_entry::<P>(key, item, &mut entry);
            self.outside.reserve_exact(1);
            self.outside.push(entry.into_boxed_slice());
            Slot::new(hash, true, self.outside.len() - 1)
        } else {
            reserve(&mut self.bytes, len);
            let at = self.bytes.len();
            write_entry::<P>(key, item, &mut self.bytes);
            Slot::new(hash, false, at)
        };
        reserve(&mut self.slots, 1);
        self.slots.push(slot);
    }

    /// Replaces the payload of the entry in a slot, which has this key. The entry may get another slot.
    pub(super) fn replace<P: Payload>(&mut self, slot: usize, hash: u64, key: &[u8], item: P::Item<'_>) {
        let place = self.slots[slot];
        let raw = self.raw(place);
        let (_, rest) = key_of(raw);
        let (start, len) = (raw.len() - rest.len(), P::read(rest).1);
        if place.is_outside() || len != P::encoded_len(item) {
            self.remove::<P>(slot);
            return self.push::<P>(hash, key, item);
        }
        // Written behind the last entry, then moved into the old one's place.
        let (start, end) = (place.at() + start, self.bytes.len());
        P::write(item, &mut self.bytes);
        self.bytes.copy_within(end.., start);
        self.bytes.truncate(end);
    }

    /// Removes the entry in a slot; the last slot takes its place.
    pub(super) fn remove<P: Payload>(&mut self, slot: usize) {
        let place = self.slots.swap_remove(slot);
        if place.is_outside() {
            self.outside.swap_remove(place.at());
            let moved = self.outside.len();
            let owner = self.slots.iter_mut().find(|slot| slot.is_outside() && slot.at() == moved);
            if let Some(owner) = owner {
                *owner = owner.moved_down(moved - place.at());
            }
        } else {
            let len = encoded_len::<P>(self.raw(place));
            self.bytes.drain(place.at()..place.at() + len);
            let behind = self.slots.iter_mut().filter(|slot| !slot.is_outside() && slot.at() > place.at());
            behind.for_each(|slot| *slot = slot.moved_down(len));
        }
        if self.bytes.capacity() > 2 * self.bytes.len() + INLINE_BYTES_MAX {
            self.bytes.shrink_to_fit();
            self.slots.shrink_to_fit();
        }
    }

    /// Two pages with the entries of this one: those whose key doesn't go, and those whose key does.
    pub(super) fn split<P: Payload>(&mut self, goes: impl Fn(&[u8]) -> bool) -> (Self, Self) {
        let sides: Vec<bool> = self.slots.iter().map(|slot| goes(key_of(self.raw(*slot)).0)).collect();
        let mut outside: Vec<_> = std::mem::take(&mut self.outside).into_iter().map(Some).collect();
        let mut pages = [false, true].map(|side| self.empty_for::<P>(&sides, side));
        for (slot, side) in self.slots.iter().zip(sides) {
            let page = &mut pages[usize::from(side)];
            if !slot.is_outside() {
                let raw = self.raw(*slot);
                page.push_raw(slot.tag(), &raw[..encoded_len::<P>(raw)]);
            } else if let Some(entry) = outside.get_mut(slot.at()).and_then(Option::take) {
                page.push_outside(slot.tag(), entry);
            }
        }
        pages.into()
    }

    /// Takes over the entries of another page.
    pub(super) fn append<P: Payload>(&mut self, other: &Self, hash: impl Fn(&[u8]) -> u64) {
        other.entries::<P>().for_each(|(key, item)| self.push::<P>(hash(key), key, item));
    }

    /// An empty page with room for exactly the entries on one side.
    fn empty_for<P: Payload>(&self, sides: &[bool], side: bool) -> Self {
        let (mut slots, mut bytes) = (0, 0);
        for slot in self.slots.iter().zip(sides).filter(|(_, s)| **s == side).map(|(slot, _)| slot) {
            slots += 1;
            bytes += if slot.is_outside() { 0 } else { encoded_len::<P>(self.raw(*slot)) };
        }
        Self { slots: Vec::with_capacity(slots), bytes: Vec::with_capacity(bytes), outside: Vec::new() }
    }

    fn push_raw(&mut self, tag: u8, entry: &[u8]) {
        self.slots.push(Slot::new(u64::from(tag) << 56, false, self.bytes.len()));
        self.bytes.extend_from_slice(entry);
    }

    fn push_outside(&mut self, tag: u8, entry: Box<[u8]>) {
        self.slots.push(Slot::new(u64::from(tag) << 56, true, self.outside.len()));
        self.outside.reserve_exact(1);
        self.outside.push(entry);
    }

    /// The bytes of an entry, and whatever follows it.
    fn raw(&self, slot: Slot) -> &[u8] {
        if slot.is_outside() { &self.outside[slot.at()] } else { &self.bytes[slot.at()..] }
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

fn write_entry<P: Payload>(key: &[u8], item: P::Item<'_>, out: &mut Vec<u8>) {
    payload::write_length(key.len(), out);
    out.extend_from_slice(key);
    P::write(item, out);
}

/// The key of an entry, and what is behind it.
fn key_of(raw: &[u8]) -> (&[u8], &[u8]) {
    let (len, at) = payload::read_length(raw);
    raw[at..].split_at(len)
}

/// Bytes of the whole entry at the start of `raw`.
fn encoded_len<P: Payload>(raw: &[u8]) -> usize {
    let (_, rest) = key_of(raw);
    raw.len() - rest.len() + P::read(rest).1
}

/// Makes room for `more` elements, with an eighth to spare: pages are many, so doubling would waste.
fn reserve<T>(vec: &mut Vec<T>, more: usize) {
    if vec.capacity() - vec.len() < more {
        vec.reserve_exact(more.max(vec.len() / 8));
    }
}
