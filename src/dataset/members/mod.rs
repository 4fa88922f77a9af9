//! The table behind big hashes and sets: byte-string keys, each with a payload.
//!
//! Entries lie packed in small pages (`page.rs`), some two dozen in each, so that an entry costs its own bytes
//! and little more: 2M members of 14 bytes take 27 resident bytes each, in a hash map of boxes 80. A search costs about
//! twice as much as there. Pages are addressed by linear hashing: a page that is one too few for the number of
//! entries is made by splitting one old page, so growth never stops for long and memory follows the entries.
//! A scan walks the pages in the order of their reversed hash bits, which neither splitting nor merging pages
//! disturbs. Knows no type, no expiry rule and no clock.

mod page;
mod payload;

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use page::{Entries, Page};
pub use payload::{Field, FieldValue, Nothing, Payload};
use std::hash::{BuildHasher, Hasher};
use std::marker::PhantomData;

/// Entries of an average page. More make the table tighter and its changes slower: an insertion moves at most
/// the slots of one page, a removal also its bytes.
const PAGE_ENTRIES: usize = 24;
/// Pages are merged when they hold half as much on average, so that growth and shrinking don't alternate.
const PAGE_ENTRIES_MIN: usize = PAGE_ENTRIES / 2;
/// Pages that one scan step looks at for every entry it was asked for (as redis: a sparse table must not
/// hold up everyone).
const SCAN_PAGES_PER_ENTRY: usize = 10;
/// Tries of `random` before it takes the nearest entry.
const RANDOM_TRIES: usize = 64;

/// A hash table of byte strings with payload `P`.
#[derive(Clone, Debug)]
pub struct Members<P> {
    pages: Vec<Page>,
    len: usize,
    payload: PhantomData<P>,
}

impl<P: Payload> Members<P> {
    /// An empty table.
    pub fn new() -> Self {
        Self { pages: vec![Page::default()], len: 0, payload: PhantomData }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No entry at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The payload of a key.
    pub fn get(&self, key: &[u8]) -> Option<P::Item<'_>> {
        self.entry(key).map(|(_, item)| item)
    }

    /// A key as the table has it, and its payload.
    pub fn entry(&self, key: &[u8]) -> Option<(&[u8], P::Item<'_>)> {
        let hash = hash(key);
        let page = &self.pages[self.address(hash)];
        page.find(hash, key).map(|slot| page.entry::<P>(slot))
    }

    /// Is the key there?
    pub fn contains(&self, key: &[u8]) -> bool {
        let hash = hash(key);
        self.pages[self.address(hash)].find(hash, key).is_some()
    }

    /// Sets the payload of a key; `true` if the key is new.
    pub fn insert(&mut self, key: &[u8], item: P::Item<'_>) -> bool {
        let hash = hash(key);
        let address = self.address(hash);
        let page = &mut self.pages[address];
        if let Some(slot) = page.find(hash, key) {
            page.replace::<P>(slot, hash, key, item);
            return false;
        }
        page.push::<P>(hash, key, item);
        self.len += 1;
        if self.len > self.pages.len() * PAGE_ENTRIES {
            self.split();
        }
        true
    }

    /// Removes a key; `true` if it was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let hash = hash(key);
        let address = self.address(hash);
        let page = &mut self.pages[address];
        let Some(slot) = page.find(hash, key) else { return false };
        page.remove::<P>(slot);
        self.len -= 1;
        if self.pages.len() > 1 && self.len < self.pages.len() * PAGE_ENTRIES_MIN {
            self.merge();
        }
        true
    }

    /// All entries, in no order.
    pub fn iter(&self) -> Iter<'_, P> {
        Iter { pages: self.pages.iter(), entries: None, left: self.len }
    }

    /// One step of a scan from `cursor` (0 at the start): hands whole pages to `visit` until it got `count`
    /// entries; answers the cursor of the next step, 0 at the end. An entry that is there from the first to the
    /// last step is handed out at least once, whatever is inserted or removed between them. Any cursor is
    /// valid.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(&'a [u8], P::Item<'a>)) -> u64 {
        let mut cursor = cursor;
        let (mut seen, mut pages) = (0_usize, 0_usize);
        loop {
            let address = self.address(cursor);
            let page = &self.pages[address];
            page.entries::<P>().for_each(|(key, item)| visit(key, item));
            seen += page.len();
            pages += 1;
            cursor = next_cursor(cursor, self.depth(address));
            if cursor == 0 || seen >= count || pages / SCAN_PAGES_PER_ENTRY >= count {
                return cursor;
            }
        }
    }

    /// An entry by chance, each as likely as any other; `None` if there is none.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<(&[u8], P::Item<'_>)> {
        let mut page = &self.pages[0];
        for _ in 0..RANDOM_TRIES {
            page = &self.pages[below(random(), self.pages.len())];
            // A page is taken as often as its share of the entries, up to four times the average.
            let slot = below(random(), page.len().max(4 * PAGE_ENTRIES));
            if slot < page.len() {
                return Some(page.entry::<P>(slot));
            }
        }
        let nearest = if page.len() > 0 { page } else { self.pages.iter().find(|page| page.len() > 0)? };
        Some(nearest.entry::<P>(below(random(), nearest.len())))
    }

    /// Bytes of memory that the table holds, itself excluded.
    pub fn heap_bytes(&self) -> usize {
        let pages = self.pages.iter().map(Page::heap_bytes).sum::<usize>();
        pages + self.pages.capacity() * size_of::<Page>()
    }

    /// The page of a hash: the lowest bits, one less where that page is not split off yet.
    fn address(&self, hash: u64) -> usize {
        let mask = self.pages.len().next_power_of_two() - 1;
        let address = usize::try_from(hash & mask as u64).expect("is not above a mask that is a usize");
        if address < self.pages.len() { address } else { address & (mask >> 1) }
    }

    /// How many low bits the hashes in a page have in common.
    fn depth(&self, address: usize) -> u32 {
        let bits = self.pages.len().next_power_of_two().trailing_zeros();
        let Some(half) = bits.checked_sub(1) else { return 0 };
        let is_split = (address | 1 << half) < self.pages.len();
        if is_split { bits } else { half }
    }

    /// Adds a page by moving half of an old one into it.
    fn split(&mut self) {
        let new = self.pages.len();
        let bit = 1_usize << new.ilog2();
        let (stay, go) = self.pages[new - bit].split::<P>(|key| hash(key) & bit as u64 != 0);
        self.pages[new - bit] = stay;
        if self.pages.len() == self.pages.capacity() {
            self.pages.reserve_exact(1 + new / 4);
        }
        self.pages.push(go);
    }

    /// Takes away the last page by moving its entries to where they came from.
    fn merge(&mut self) {
        let Some(page) = self.pages.pop() else { return };
        let last = self.pages.len();
        self.pages[last - (1 << last.ilog2())].append::<P>(&page, hash);
        if self.pages.capacity() > 2 * last {
            self.pages.shrink_to_fit();
        }
    }
}

impl<P: Payload> Default for Members<P> {
    fn default() -> Self {
        Self::new()
    }
}

/// Walks all entries.
#[derive(Clone, Debug)]
pub struct Iter<'a, P> {
    pages: std::slice::Iter<'a, Page>,
    entries: Option<Entries<'a, P>>,
    left: usize,
}

impl<'a, P: Payload> Iterator for Iter<'a, P> {
    type Item = (&'a [u8], P::Item<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.entries.as_mut().and_then(Iterator::next) {
                self.left = self.left.saturating_sub(1);
                return Some(entry);
            }
            self.entries = Some(self.pages.next()?.entries());
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<P: Payload> ExactSizeIterator for Iter<'_, P> {}

/// The hash of a key: the same in all tables of this process, so that a cursor survives a resync; not to be
/// guessed from outside.
fn hash(key: &[u8]) -> u64 {
    let mut hasher = SeedableRandomState::with_seed(0, SharedSeed::global_random()).build_hasher();
    hasher.write(key);
    hasher.finish()
}

/// The first hash behind a page in the order of reversed bits: 1 is added to the `depth` low bits from their
/// upper end, the carry going down.
fn next_cursor(cursor: u64, depth: u32) -> u64 {
    let above = u64::MAX.checked_shl(depth).unwrap_or(0);
    (cursor | above).reverse_bits().wrapping_add(1).reverse_bits()
}

/// A number below `bound` from 64 random bits; 0 if the bound is 0.
pub(super) fn below(random: u64, bound: usize) -> usize {
    let scaled = (u128::from(random) * bound as u128) >> 64;
    usize::try_from(scaled).expect("is below a bound that is a usize")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn name(n: u64) -> Vec<u8> {
        format!("member:{n}").into_bytes()
    }

    fn of(range: std::ops::Range<u64>) -> Members<Nothing> {
        let mut members = Members::new();
        range.for_each(|n| assert!(members.insert(&name(n), ())));
        members
    }

    fn number(key: &[u8]) -> u64 {
        std::str::from_utf8(&key["member:".len()..]).unwrap().parse().unwrap()
    }

    #[test]
    fn agrees_with_a_map_under_random_changes() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut members = Members::<FieldValue>::new();
        let mut model = BTreeMap::<Vec<u8>, (Vec<u8>, Option<i64>)>::new();
        for step in 0..20_000_u32 {
            // Growing, then shrinking, with names and values short and long.
            let wants_insert = random.u32(0..100) < if step % 10_000 < 5_000 { 70 } else { 20 };
            let key = name(random.u64(0..2_000)).repeat(if random.u8(..) == 0 { 40 } else { 1 });
            if wants_insert {
                let value = vec![random.u8(..); random.usize(0..40) * if random.u8(..) < 5 { 30 } else { 1 }];
                let expiry = random.bool().then(|| random.i64(..));
                let is_new = members.insert(&key, Field { value: &value, expiry_ms: expiry });
                assert_eq!(is_new, model.insert(key, (value, expiry)).is_none());
            } else {
                assert_eq!(members.remove(&key), model.remove(&key).is_some());
            }
            assert_eq!(members.len(), model.len(), "after step {step}");
        }
        let seen: BTreeMap<_, _> =
            members.iter().map(|(key, field)| (key.to_vec(), (field.value.to_vec(), field.expiry_ms))).collect();
        assert_eq!(seen, model);
        for (key, (value, expiry_ms)) in &model {
            let field = members.get(key).unwrap();
            assert_eq!((field.value, &field.expiry_ms), (value.as_slice(), expiry_ms));
        }
    }

    #[test]
    fn a_scan_sees_everything_once_while_nothing_changes() {
        for len in [0, 1, 24, 25, 100, 1_000, 5_000] {
            let members = of(0..len);
            let mut seen = Vec::new();
            let mut cursor = 0;
            loop {
                let before = seen.len();
                cursor = members.scan(cursor, 10, |key, ()| seen.push(number(key)));
                assert!(seen.len() - before < 10 + 5 * PAGE_ENTRIES);
                if cursor == 0 {
                    break;
                }
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..len).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_scan_misses_nothing_while_the_table_grows_and_shrinks() {
        for seed in 0..12 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut members = of(0..600);
            let mut seen = BTreeSet::new();
            let (mut cursor, mut low, mut high) = (0, 600, 600);
            loop {
                cursor = members.scan(cursor, 7, |key, ()| {
                    seen.insert(number(key));
                });
                if cursor == 0 {
                    break;
                }
                if random.bool() {
                    let to = high + random.u64(0..3_000);
                    (high..to).for_each(|n| assert!(members.insert(&name(n), ())));
                    high = to;
                } else {
                    (low..high).for_each(|n| assert!(members.remove(&name(n))));
                    low = high;
                }
            }
            let missing: Vec<_> = (0..600).filter(|n| !seen.contains(n)).collect();
            assert!(missing.is_empty(), "seed {seed}: missing {missing:?}");
        }
    }

    #[test]
    fn any_cursor_is_valid() {
        let members = of(0..500);
        for cursor in [1, 17, u64::MAX, u64::MAX / 2, 1 << 63] {
            members.scan(cursor, 10, |_, _| {});
        }
    }

    #[test]
    fn chance_reaches_every_entry_about_equally() {
        let members = of(0..500);
        let mut random = fastrand::Rng::with_seed(3);
        let mut hits = vec![0_u32; 500];
        for _ in 0..100_000 {
            let (key, ()) = members.random(|| random.u64(..)).unwrap();
            hits[number(key) as usize] += 1;
        }
        assert!(hits.iter().all(|n| (100..320).contains(n)), "{hits:?}");
        assert!(Members::<Nothing>::new().random(|| 5).is_none());
    }

    #[test]
    fn memory_stays_close_to_the_bytes_kept() {
        let members = of(0..100_000);
        let payload: usize = members.iter().map(|(key, ())| key.len()).sum();
        let per_entry = (members.heap_bytes() - payload) as f64 / 100_000.0;
        assert!(per_entry < 12.0, "{per_entry} bytes of overhead per entry");
        let mut members = members;
        (1..100_000).for_each(|n| assert!(members.remove(&name(n))));
        assert!(members.heap_bytes() < 1_000, "{}", members.heap_bytes());
    }
}
