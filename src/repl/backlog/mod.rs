//! The last bytes of the stream by offset, exactly as the master sent them: what sub-replicas are fed from.
//!
//! The link appends inside the gate, in the same step in which the position moves, so whoever is inside the gate sees
//! a backlog that ends at the dataset's offset. Each sub-replica has a [`Cursor`]; a block stays while a cursor has yet
//! to read it, up to a bound. Full blocks are handed out without a copy; of the block that is being filled one copy is
//! made and shared by all cursors that stand at the same place.
//!
//! It knows no sockets and no tasks: [`Backlog::poll_news`] is how the feeder sleeps.

use super::young::YoungCommands;
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
    /// What not every sub-replica can take of this history.
    pub young: YoungCommands,
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
            young: YoungCommands::default(),
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
        self.young.forget();
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

    /// Before any history there is nothing to add to.
    fn append(&mut self, mut bytes: &[u8]) {
        if self.tail_first.is_none() {
            return;
        }
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
mod tests;
