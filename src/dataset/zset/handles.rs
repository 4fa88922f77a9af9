//! From a member's hash to its handle: linear hashing over small pages.
//!
//! A page is split or joined with every two dozen changes, so growth never stops for long. The hash is kept beside
//! the handle: neither splitting nor most misses look at a member. A scan walks the pages in the order of their
//! reversed hash bits, which splitting and joining do not disturb; the hash is seeded once per process, so cursors
//! stay good across a resync.

/// Handles of an average page.
const PAGE_HANDLES: usize = 24;
/// Pages are joined when they hold half as much on average, so that growth and shrinking don't alternate.
const PAGE_HANDLES_MIN: usize = PAGE_HANDLES / 2;
/// Room that a full page takes for more.
const PAGE_GROWTH: usize = 4;

/// A table of handles.
#[derive(Clone, Debug)]
pub(super) struct Handles {
    pages: Vec<Vec<Slot>>,
    len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    hash: u32,
    handle: u32,
}

impl Default for Handles {
    fn default() -> Self {
        Self { pages: vec![Vec::new()], len: 0 }
    }
}

impl Handles {
    /// An empty table that will hold `len` handles.
    pub(super) fn with_capacity(len: usize) -> Self {
        let pages = (len / PAGE_HANDLES).max(1);
        Self { pages: vec![Vec::new(); pages], len: 0 }
    }

    /// The handle under this hash for which `is` is true.
    pub(super) fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let page = &self.pages[self.address(hash)];
        page.iter().find(|slot| slot.hash == hash && is(slot.handle)).map(|slot| slot.handle)
    }

    /// Puts in a handle that is not there.
    pub(super) fn insert(&mut self, hash: u32, handle: u32) {
        let address = self.address(hash);
        push(&mut self.pages[address], Slot { hash, handle });
        self.len += 1;
        if self.len > self.pages.len() * PAGE_HANDLES {
            self.split();
        }
    }

    /// Takes out a handle.
    pub(super) fn remove(&mut self, hash: u32, handle: u32) {
        let address = self.address(hash);
        let page = &mut self.pages[address];
        let Some(at) = page.iter().position(|slot| *slot == Slot { hash, handle }) else { return };
        page.swap_remove(at);
        if page.capacity() - page.len() > PAGE_HANDLES {
            page.shrink_to_fit();
        }
        self.len -= 1;
        if self.pages.len() > 1 && self.len < self.pages.len() * PAGE_HANDLES_MIN {
            self.join();
        }
    }

    /// A member has moved from one handle to another.
    pub(super) fn replace(&mut self, hash: u32, old: u32, new: u32) {
        let address = self.address(hash);
        if let Some(slot) = self.pages[address].iter_mut().find(|slot| slot.hash == hash && slot.handle == old) {
            slot.handle = new;
        }
    }

    /// One step of a scan from `cursor` (0 at the start, any value is valid): hands whole pages to `visit` until it
    /// got `count` handles; answers the next cursor, 0 at the end. A handle that is there from the first step to
    /// the last is handed out at least once.
    pub(super) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(u32)) -> u64 {
        let mut cursor = cursor as u32;
        let mut seen = 0;
        loop {
            let address = self.address(cursor);
            self.pages[address].iter().for_each(|slot| visit(slot.handle));
            seen += self.pages[address].len();
            cursor = next_cursor(cursor, self.depth(address));
            if cursor == 0 || seen >= count {
                return u64::from(cursor);
            }
        }
    }

    /// Bytes of memory behind this.
    pub(super) fn heap_bytes(&self) -> usize {
        let slots = self.pages.iter().map(Vec::capacity).sum::<usize>();
        slots * size_of::<Slot>() + self.pages.capacity() * size_of::<Vec<Slot>>()
    }

    /// The page of a hash: its lowest bits, one less where that page is not split off yet.
    fn address(&self, hash: u32) -> usize {
        let mask = self.pages.len().next_power_of_two() - 1;
        let address = hash as usize & mask;
        if address < self.pages.len() { address } else { address & (mask >> 1) }
    }

    /// How many low bits the hashes of a page have in common.
    fn depth(&self, address: usize) -> u32 {
        let bits = self.pages.len().next_power_of_two().trailing_zeros();
        let Some(half) = bits.checked_sub(1) else { return 0 };
        if (address | 1 << half) < self.pages.len() { bits } else { half }
    }

    /// Adds a page by moving part of an old one into it.
    fn split(&mut self) {
        let new = self.pages.len();
        let bit = 1_usize << new.ilog2();
        let old = std::mem::take(&mut self.pages[new - bit]);
        let (go, stay) = old.into_iter().partition(|slot| slot.hash as usize & bit != 0);
        self.pages[new - bit] = stay;
        if new == self.pages.capacity() {
            self.pages.reserve_exact(1 + new / 4);
        }
        self.pages.push(go);
    }

    /// Takes away the last page by moving its handles to where they came from.
    fn join(&mut self) {
        let Some(page) = self.pages.pop() else { return };
        let last = self.pages.len();
        let home = &mut self.pages[last - (1 << last.ilog2())];
        page.into_iter().for_each(|slot| push(home, slot));
        if self.pages.capacity() > 2 * last {
            self.pages.shrink_to_fit();
        }
    }
}

fn push(page: &mut Vec<Slot>, slot: Slot) {
    if page.len() == page.capacity() {
        page.reserve_exact(PAGE_GROWTH);
    }
    page.push(slot);
}

/// The first hash behind a page in the order of reversed bits: 1 is added to the `depth` low bits from their upper
/// end, the carry going down.
fn next_cursor(cursor: u32, depth: u32) -> u32 {
    let above = u32::MAX.checked_shl(depth).unwrap_or(0);
    (cursor | above).reverse_bits().wrapping_add(1).reverse_bits()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A hash with good bits for a handle.
    fn hash(handle: u32) -> u32 {
        (u64::from(handle + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
    }

    fn table(handles: std::ops::Range<u32>) -> Handles {
        let mut table = Handles::default();
        handles.for_each(|handle| table.insert(hash(handle), handle));
        table
    }

    #[test]
    fn finds_what_was_inserted_and_not_what_was_removed() {
        let mut table = table(0..5_000);
        for handle in (0..5_000).filter(|handle| handle % 3 != 0) {
            table.remove(hash(handle), handle);
        }
        for handle in 0..5_000 {
            let found = table.find(hash(handle), |found| found == handle);
            assert_eq!(found, (handle % 3 == 0).then_some(handle));
        }
        table.replace(hash(3), 3, 77_777);
        assert_eq!(table.find(hash(3), |_| true), Some(77_777));
        assert!(table.heap_bytes() < 5_000 / 3 * 24, "shrinks: {}", table.heap_bytes());
    }

    #[test]
    fn a_scan_sees_all_that_stays_while_the_table_grows_and_shrinks() {
        for (stays, grows_to) in [(0..300, 20_000), (0..20_000, 20_000), (0..500, 500), (0..0, 1)] {
            let mut table = table(stays.clone());
            let (mut seen, mut cursor, mut next) = (BTreeSet::new(), 0, stays.end);
            loop {
                cursor = table.scan(cursor, 10, |handle| {
                    seen.insert(handle);
                });
                if cursor == 0 {
                    break;
                }
                // grows for a while, then shrinks again
                for _ in 0..200 {
                    if next < grows_to {
                        table.insert(hash(next), next);
                        next += 1;
                    }
                }
                if next == grows_to {
                    (stays.end..next).for_each(|handle| table.remove(hash(handle), handle));
                }
            }
            assert!(stays.clone().all(|handle| seen.contains(&handle)), "{stays:?}");
        }
    }
}
