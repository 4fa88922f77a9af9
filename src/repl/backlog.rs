//! The last bytes of the stream by offset, exactly as the master sent them: what sub-replicas are fed from.
//!
//! The link appends inside the gate, in the same step in which the position moves, so whoever is inside the gate sees
//! a backlog that ends at the dataset's offset. Each sub-replica has a [`Cursor`]; a block stays while a cursor has yet
//! to read it, up to a bound. Full blocks are handed out without a copy; of the block that is being filled one copy is
//! made and shared by all cursors that stand at the same place.
//!
//! It knows no sockets and no tasks: [`Backlog::poll_news`] is how the feeder sleeps.

use crate::position::Offset;
use crate::status::Status;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

/// Bytes of a block: what is allocated and freed at a time, and the longest piece that a cursor takes.
pub const BLOCK_BYTES: usize = 64 * 1024;

/// Why a cursor's place is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The history was replaced or renamed, for this reason.
    Cut(&'static str),
    /// More than the bound lay before it, and the oldest was given up.
    Overrun,
}

/// The ring and whoever waits for it. Shared by `Arc`.
pub struct Backlog {
    ring: Mutex<Ring>,
    /// Offset up to which the feeder was told.
    published: AtomicU64,
    /// Grows when all cursors are cut.
    generation: AtomicU64,
    /// The feeder sleeps, or is about to.
    asleep: AtomicBool,
    waker: Mutex<Option<Waker>>,
    status: Arc<Status>,
}

/// What the feeder has seen of a backlog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    published: u64,
    generation: u64,
}

struct Ring {
    block_bytes: usize,
    /// Bytes that are kept whether or not somebody reads them.
    size: u64,
    /// Bytes that cursors may hold.
    held_max: u64,
    generation: u64,
    /// Why the last generation ended.
    cut: &'static str,
    sealed: VecDeque<Block>,
    /// Offset of the first byte of `tail`, whether or not it is there yet. `None` before any history.
    tail_first: Option<u64>,
    tail: Vec<u8>,
    /// The last copy made of a part of `tail`.
    copied: Option<Block>,
    /// Where each cursor stands: the offset of the next byte it wants.
    cursors: Vec<Option<u64>>,
}

/// Neighbouring bytes with the offset of the first.
struct Block {
    first: u64,
    bytes: Bytes,
}

impl Block {
    fn behind(&self) -> u64 {
        self.first + self.bytes.len() as u64
    }

    /// From this offset on, if that is inside.
    fn from(&self, next: u64) -> Option<Bytes> {
        let skip = usize::try_from(next.checked_sub(self.first)?).ok()?;
        (skip < self.bytes.len()).then(|| self.bytes.slice(skip..))
    }
}

impl Backlog {
    /// A backlog without a history. It keeps `size` bytes, and up to `held_max` for cursors that are behind.
    pub fn new(size: u64, held_max: u64, status: Arc<Status>) -> Self {
        Self::with_blocks(BLOCK_BYTES, size, held_max, status)
    }

    fn with_blocks(block_bytes: usize, size: u64, held_max: u64, status: Arc<Status>) -> Self {
        let ring = Ring {
            block_bytes,
            size,
            held_max: held_max.max(size),
            generation: 0,
            cut: "",
            sealed: VecDeque::new(),
            tail_first: None,
            tail: Vec::new(),
            copied: None,
            cursors: Vec::new(),
        };
        Self {
            ring: Mutex::new(ring),
            published: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
            waker: Mutex::default(),
            status,
        }
    }

    /// Other bounds from now on. What is kept beyond them goes with the next blocks.
    pub fn resize(&self, size: u64, held_max: u64) {
        let mut ring = self.ring.lock();
        (ring.size, ring.held_max) = (size, held_max.max(size));
    }

    /// Adds bytes of the stream. To be called inside the gate, in the step in which the position moves behind them.
    /// Answers the offset of the last byte.
    pub fn append(&self, bytes: &[u8]) -> Option<Offset> {
        let mut ring = self.ring.lock();
        ring.append(bytes);
        self.tell(&ring);
        ring.end().map(Offset)
    }

    /// A new history begins behind this offset: forgets everything and cuts all cursors. Inside the gate, in the step
    /// in which the dataset is replaced.
    pub fn reset(&self, offset: Offset, why: &'static str) {
        let mut ring = self.ring.lock();
        ring.sealed.clear();
        ring.tail.clear();
        ring.copied = None;
        ring.tail_first = Some(offset.0 + 1);
        self.cut(&mut ring, why);
        self.tell(&ring);
    }

    /// The history goes on under another name: cuts all cursors and keeps the bytes. Inside the gate, in the step in
    /// which the position is renamed.
    pub fn cut_all(&self, why: &'static str) {
        self.cut(&mut self.ring.lock(), why);
    }

    fn cut(&self, ring: &mut Ring, why: &'static str) {
        ring.generation += 1;
        ring.cut = why;
        self.generation.store(ring.generation, SeqCst);
    }

    /// Numbers for INFO.
    fn tell(&self, ring: &Ring) {
        if let (Some(first), Some(end)) = (ring.first(), ring.end()) {
            self.status.downstream.backlog.set(first, (end + 1).saturating_sub(first));
        }
    }

    /// Tells the feeder, if it sleeps, that there is something new up to this offset. Costs a store and a load while it
    /// does not. Outside of the gate.
    pub fn publish(&self, offset: Offset) {
        self.published.store(offset.0, SeqCst);
        if self.asleep.load(SeqCst) && self.asleep.swap(false, SeqCst) {
            let waker = self.waker.lock().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Ready when something was published or cut since `seen`, which then is brought up to date. One task at a time.
    pub fn poll_news(&self, cx: &mut Context<'_>, seen: &mut Seen) -> Poll<()> {
        if self.look(seen) {
            return Poll::Ready(());
        }
        *self.waker.lock() = Some(cx.waker().clone());
        self.asleep.store(true, SeqCst);
        // The writer stores first and looks at `asleep` then; we the other way round: one of us sees the other.
        if self.look(seen) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn look(&self, seen: &mut Seen) -> bool {
        let now = Seen { published: self.published.load(SeqCst), generation: self.generation.load(SeqCst) };
        let news = now != *seen;
        *seen = now;
        news
    }

    /// Offset of the first byte that is still there; `None` before any history. It may be one behind the end.
    pub fn first(&self) -> Option<Offset> {
        self.ring.lock().first().map(Offset)
    }

    /// Offset of the last byte; `None` before any history.
    pub fn end(&self) -> Option<Offset> {
        self.ring.lock().end().map(Offset)
    }

    /// Grows with each cut.
    pub fn generation(&self) -> u64 {
        self.generation.load(SeqCst)
    }

    /// A cursor before the byte of this offset; `None` if that byte is not there any more, or more than one ahead.
    /// Inside the gate, where the answer holds.
    pub fn attach(self: &Arc<Self>, next: Offset) -> Option<Cursor> {
        let mut ring = self.ring.lock();
        let fits = ring.first()? <= next.0 && next.0 <= ring.end()? + 1;
        fits.then(|| Cursor { backlog: Arc::clone(self), slot: ring.occupy(next.0), generation: ring.generation })
    }
}

impl fmt::Debug for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backlog").field("first", &self.first()).field("end", &self.end()).finish_non_exhaustive()
    }
}

impl Ring {
    /// The first byte kept; without any, the next one.
    fn first(&self) -> Option<u64> {
        self.sealed.front().map(|block| block.first).or(self.tail_first)
    }

    fn end(&self) -> Option<u64> {
        Some(self.tail_first? + self.tail.len() as u64 - 1)
    }

    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.tail.capacity() == 0 {
                self.tail.reserve_exact(self.block_bytes);
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.block_bytes - self.tail.len()));
            self.tail.extend_from_slice(now);
            bytes = later;
            if self.tail.len() == self.block_bytes {
                self.seal();
                self.trim();
            }
        }
    }

    /// The block is full: from now on it is shared instead of copied.
    fn seal(&mut self) {
        let Some(first) = self.tail_first else { return };
        let bytes = Bytes::from(std::mem::take(&mut self.tail));
        self.tail_first = Some(first + bytes.len() as u64);
        self.copied = None;
        self.sealed.push_back(Block { first, bytes });
    }

    /// Gives up blocks that neither the size nor a cursor within its bound asks for.
    fn trim(&mut self) {
        let Some(end) = self.end() else { return };
        let next = end + 1;
        let held = self.cursors.iter().copied().flatten().min().unwrap_or(next);
        let held = held.max(next.saturating_sub(self.held_max));
        let wanted = held.min(next.saturating_sub(self.size));
        while self.sealed.front().is_some_and(|block| block.behind() <= wanted) {
            self.sealed.pop_front();
        }
    }

    fn occupy(&mut self, next: u64) -> usize {
        match self.cursors.iter().position(Option::is_none) {
            Some(slot) => {
                self.cursors[slot] = Some(next);
                slot
            }
            None => {
                self.cursors.push(Some(next));
                self.cursors.len() - 1
            }
        }
    }

    /// The bytes at this offset, as many as lie together; `None` at the end.
    fn piece(&mut self, next: u64) -> Option<Bytes> {
        let tail_first = self.tail_first?;
        if next < tail_first {
            let at = self.sealed.partition_point(|block| block.behind() <= next);
            return self.sealed.get(at)?.from(next);
        }
        if let Some(piece) = self.copied.as_ref().and_then(|copied| copied.from(next)) {
            return Some(piece);
        }
        let skip = usize::try_from(next - tail_first).ok()?;
        let rest = self.tail.get(skip..).filter(|rest| !rest.is_empty())?;
        let bytes = Bytes::copy_from_slice(rest);
        self.copied = Some(Block { first: next, bytes: bytes.clone() });
        Some(bytes)
    }
}

/// A reader's place in a backlog. While it exists the bytes before it are kept, within the bound.
pub struct Cursor {
    backlog: Arc<Backlog>,
    slot: usize,
    generation: u64,
}

impl Cursor {
    /// Takes the next bytes, at most a block; `None` if there are none yet.
    pub fn take(&mut self) -> Result<Option<Bytes>, Lost> {
        let mut ring = self.backlog.ring.lock();
        if ring.generation != self.generation {
            return Err(Lost::Cut(ring.cut));
        }
        let next = ring.cursors[self.slot].unwrap_or_default();
        if ring.first().is_none_or(|first| next < first) {
            return Err(Lost::Overrun);
        }
        let piece = ring.piece(next);
        if let Some(piece) = &piece {
            ring.cursors[self.slot] = Some(next + piece.len() as u64);
        }
        Ok(piece)
    }

    /// Was its history replaced or renamed, and why?
    pub fn cut(&self) -> Option<&'static str> {
        if self.backlog.generation() == self.generation {
            return None;
        }
        Some(self.backlog.ring.lock().cut)
    }

    /// The generation that it belongs to.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Offset of the last byte taken.
    pub fn taken(&self) -> Offset {
        let next = self.backlog.ring.lock().cursors[self.slot].unwrap_or_default();
        Offset(next.saturating_sub(1))
    }

    /// Bytes that are there and not taken.
    pub fn behind(&self) -> u64 {
        let ring = self.backlog.ring.lock();
        let next = ring.cursors[self.slot].unwrap_or_default();
        ring.end().map_or(0, |end| (end + 1).saturating_sub(next))
    }

    /// Another cursor at the same place.
    #[must_use]
    pub fn fork(&self) -> Self {
        let mut ring = self.backlog.ring.lock();
        let next = ring.cursors[self.slot].unwrap_or_default();
        let slot = ring.occupy(next);
        Self { backlog: Arc::clone(&self.backlog), slot, generation: self.generation }
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").field("taken", &self.taken()).finish_non_exhaustive()
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.backlog.ring.lock().cursors[self.slot] = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    fn backlog(block: usize, size: u64, held_max: u64) -> Arc<Backlog> {
        Arc::new(Backlog::with_blocks(block, size, held_max, Arc::new(Status::new(UnixMs(0)))))
    }

    fn at(next: u64) -> Offset {
        Offset(next)
    }

    /// Everything a cursor can take now.
    fn drain(cursor: &mut Cursor) -> Result<Vec<u8>, Lost> {
        let mut all = Vec::new();
        while let Some(bytes) = cursor.take()? {
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }

    #[test]
    fn there_is_nothing_to_attach_to_before_a_history() {
        let log = backlog(4, 8, 16);
        assert_eq!((log.first(), log.end()), (None, None));
        assert!(log.attach(at(0)).is_none() && log.attach(at(1)).is_none());
        log.reset(at(100), "full-resync");
        assert_eq!((log.first(), log.end()), (Some(at(101)), Some(at(100))));
        assert!(log.attach(at(101)).is_some());
        assert!(log.attach(at(100)).is_none() && log.attach(at(102)).is_none());
    }

    #[test]
    fn every_place_between_first_and_end_can_be_read_from_whatever_the_batches() {
        let text = b"abcdefghijklmnopqrstuvwxyz";
        for piece in 1..=text.len() {
            let log = backlog(4, 10, 1000);
            log.reset(at(100), "full-resync");
            for bytes in text.chunks(piece) {
                log.append(bytes);
            }
            let (first, end) = (log.first().unwrap().0, log.end().unwrap().0);
            assert_eq!(end, 126, "in pieces of {piece}");
            assert!((10..=14).contains(&(end + 1 - first)), "{first} to {end}, in pieces of {piece}");
            for next in first..=end + 1 {
                let mut cursor = log.attach(at(next)).unwrap();
                assert_eq!(cursor.behind(), end + 1 - next);
                assert_eq!(drain(&mut cursor).unwrap(), &text[(next - 101) as usize..], "from {next}");
                assert_eq!((cursor.behind(), cursor.taken()), (0, at(end)));
            }
            assert!(log.attach(at(first - 1)).is_none() && log.attach(at(end + 2)).is_none());
        }
    }

    #[test]
    fn cursors_at_the_same_place_share_one_copy() {
        let log = backlog(64, 64, 64);
        log.reset(at(0), "full-resync");
        let (mut a, mut b) = (log.attach(at(1)).unwrap(), log.attach(at(1)).unwrap());
        log.append(b"hello");
        let (x, y) = (a.take().unwrap().unwrap(), b.take().unwrap().unwrap());
        assert_eq!((&x[..], x.as_ptr()), (&b"hello"[..], y.as_ptr()));
        log.append(b" you");
        let mut late = log.attach(at(3)).unwrap();
        assert_eq!(drain(&mut late).unwrap(), b"llo you");
        assert_eq!(drain(&mut a).unwrap(), b" you");
    }

    #[test]
    fn a_cursor_holds_its_bytes_up_to_the_bound_and_is_then_overrun() {
        let log = backlog(4, 4, 12);
        log.reset(at(0), "full-resync");
        let mut slow = log.attach(at(1)).unwrap();
        log.append(&[b'x'; 12]);
        assert_eq!((log.first(), slow.behind()), (Some(at(1)), 12));
        log.append(&[b'y'; 4]);
        assert_eq!(log.first(), Some(at(5)), "one block more than the bound");
        assert_eq!(slow.take(), Err(Lost::Overrun));
        drop(slow);
        log.append(&[b'z'; 4]);
        assert_eq!(log.first(), Some(at(17)), "nobody holds more than the size");
    }

    #[test]
    fn a_reset_or_a_new_name_cuts_all_cursors_and_says_why() {
        let log = backlog(4, 100, 100);
        log.reset(at(0), "full-resync");
        log.append(b"abcdef");
        let mut old = log.attach(at(1)).unwrap();
        let fork = old.fork();
        log.cut_all("new-id");
        assert_eq!((old.take(), fork.cut()), (Err(Lost::Cut("new-id")), Some("new-id")));
        let mut new = log.attach(at(1)).unwrap();
        assert_eq!((drain(&mut new).unwrap(), new.cut()), (b"abcdef".to_vec(), None));
        log.reset(at(500), "full-resync");
        assert_eq!(new.take(), Err(Lost::Cut("full-resync")));
        assert_eq!((log.first(), log.end()), (Some(at(501)), Some(at(500))));
    }

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn the_feeder_is_woken_once_for_what_it_has_not_seen() {
        let log = backlog(4, 100, 100);
        let counter = Arc::new(Counter::default());
        let waker = Waker::from(Arc::clone(&counter));
        let (mut cx, mut seen) = (Context::from_waker(&waker), Seen::default());
        assert!(log.poll_news(&mut cx, &mut seen).is_pending());
        log.publish(at(5));
        log.publish(at(6));
        assert_eq!(counter.0.load(SeqCst), 1);
        assert!(log.poll_news(&mut cx, &mut seen).is_ready() && log.poll_news(&mut cx, &mut seen).is_pending());
        log.cut_all("new-id");
        log.publish(at(6));
        assert_eq!(counter.0.load(SeqCst), 2);
        assert!(log.poll_news(&mut cx, &mut seen).is_ready());
        log.publish(at(7));
        assert_eq!(counter.0.load(SeqCst), 2, "nobody sleeps, nobody is woken");
    }

    /// The same operations on a ring and on a plain vector that forgets nothing.
    #[test]
    fn it_agrees_with_a_plain_vector() {
        let seed = fastrand::u64(..);
        eprintln!("seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..20 {
            let (block, size) = (rng.usize(1..40), rng.u64(1..200));
            let held_max = rng.u64(1..600).max(size);
            let log = backlog(block, size, held_max);
            let start = rng.u64(0..1000);
            log.reset(at(start), "full-resync");
            let mut all: Vec<u8> = Vec::new();
            let mut cursors: Vec<(Cursor, u64)> = Vec::new();
            for _ in 0..400 {
                match rng.u32(..10) {
                    0..4 => {
                        let bytes: Vec<u8> = (0..rng.usize(..90)).map(|_| rng.u8(..)).collect();
                        log.append(&bytes);
                        all.extend(bytes);
                    }
                    4 => {
                        let next = rng.u64(start.saturating_sub(2)..start + all.len() as u64 + 4);
                        let there = (log.first().unwrap().0..=start + all.len() as u64 + 1).contains(&next);
                        let cursor = log.attach(at(next));
                        assert_eq!(cursor.is_some(), there, "attaching at {next}");
                        cursors.extend(cursor.map(|cursor| (cursor, next)));
                    }
                    5 if !cursors.is_empty() => drop(cursors.swap_remove(rng.usize(..cursors.len()))),
                    _ if !cursors.is_empty() => {
                        let at = rng.usize(..cursors.len());
                        let (cursor, next) = &mut cursors[at];
                        match cursor.take() {
                            Ok(None) => assert_eq!(*next, start + all.len() as u64 + 1),
                            Ok(Some(bytes)) => {
                                let from = (*next - start - 1) as usize;
                                assert_eq!(bytes, all[from..from + bytes.len()]);
                                *next += bytes.len() as u64;
                            }
                            Err(lost) => {
                                assert_eq!(lost, Lost::Overrun);
                                assert!(start + all.len() as u64 - *next >= held_max.saturating_sub(block as u64));
                                drop(cursors.swap_remove(at));
                            }
                        }
                    }
                    _ => {}
                }
                let end = start + all.len() as u64;
                assert_eq!(log.end(), Some(at(end)));
                let kept = end + 1 - log.first().unwrap().0;
                assert!(kept >= size.min(all.len() as u64), "{kept} bytes kept of {size}");
                assert!(kept <= held_max + 2 * block as u64, "{kept} bytes kept, {held_max} may be held");
            }
        }
    }
}
