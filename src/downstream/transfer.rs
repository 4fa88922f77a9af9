//! One snapshot on its way to all sub-replicas that share it: they join while it waits, and each takes the chunks at
//! its own pace. A chunk goes when the slowest has it; while too many wait, no more are made.

use super::bell::{Bell, Ear};
use super::cut::Cut;
use super::spool::Spool;
use crate::limits::SNAPSHOT_WAITING_BYTES_MAX;
use crate::position::Position;
use crate::repl::backlog::Cursor;
use crate::repl::receiver::Receiver;
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

/// How the snapshot is wrapped on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// An end mark behind it: it can be sent while it is made.
    EndMark,
    /// Its length before it: it has to be made first.
    Length,
}

/// A snapshot and those who take it.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) receiver: Receiver,
    pub(super) framing: Framing,
    /// When the first of them asked.
    pub(super) asked_at: Instant,
    inner: RefCell<Inner>,
    /// Rung when there is room for more chunks.
    room: Bell,
}

#[derive(Debug, Default)]
struct Inner {
    start: Option<Start>,
    stage: Stage,
    chunks: VecDeque<Bytes>,
    /// Number of the first chunk that is still there.
    first: u64,
    waiting_bytes: usize,
    /// The next chunk of each member, by the number of its connection.
    members: BTreeMap<u64, u64>,
    spool: Option<Spool>,
}

/// The moment that the snapshot shows.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) position: Position,
    /// Before the first byte of the stream behind the snapshot.
    pub(super) cursor: Cursor,
    /// 40 random characters.
    pub(super) mark: String,
}

#[derive(Clone, Debug, Default)]
enum Stage {
    /// Others may join.
    #[default]
    Waiting,
    /// It is being made.
    Begun,
    /// All of it was made.
    Finished,
    /// It will not be.
    Failed(Failure),
}

/// Why a snapshot was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The receivers cannot hold the data.
    Unfit(String),
    /// It could not be made.
    Broken(String),
    /// Our history has changed meanwhile.
    History(&'static str),
    /// Our data have become no good for it before it began: its receivers are to come again.
    Unsound,
    /// Nobody wants it any more.
    Unwanted,
}

/// What a member finds when it looks for the next chunk.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Chunk(Bytes),
    NotYet,
    End,
}

impl Transfer {
    /// A snapshot that nobody has joined yet.
    pub(super) fn new(receiver: Receiver, framing: Framing, asked_at: Instant) -> Self {
        Self { receiver, framing, asked_at, inner: RefCell::default(), room: Bell::default() }
    }

    /// May others still join?
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.inner.borrow().stage, Stage::Waiting)
    }

    /// How many take it.
    pub(super) fn members(&self) -> usize {
        self.inner.borrow().members.len()
    }

    /// Connection `id` takes it too.
    pub(super) fn join(self: &Rc<Self>, id: u64) -> Membership {
        let mut inner = self.inner.borrow_mut();
        let next = inner.first;
        inner.members.insert(id, next);
        Membership { transfer: Rc::clone(self), id }
    }

    /// Nobody joins any more.
    pub(super) fn close(&self) {
        self.inner.borrow_mut().stage = Stage::Begun;
    }

    /// The moment is taken.
    pub(super) fn begin(&self, start: Start) {
        self.inner.borrow_mut().start = Some(start);
    }

    /// Adds a chunk for all members.
    pub(super) fn push(&self, chunk: Bytes) {
        if !chunk.is_empty() {
            let mut inner = self.inner.borrow_mut();
            inner.waiting_bytes += chunk.len();
            inner.chunks.push_back(chunk);
        }
    }

    /// All of it is in this file.
    pub(super) fn spooled(&self, spool: Spool) {
        self.inner.borrow_mut().spool = Some(spool);
    }

    /// That was the last chunk.
    pub(super) fn finish(&self) {
        self.inner.borrow_mut().stage = Stage::Finished;
    }

    /// It is given up.
    pub(super) fn fail(&self, why: Failure) {
        let mut inner = self.inner.borrow_mut();
        inner.stage = Stage::Failed(why);
        inner.chunks.clear();
        inner.start = None;
    }

    /// Why our own history ended since the beginning, if it did.
    pub(super) fn cut(&self) -> Option<&'static str> {
        self.inner.borrow().start.as_ref().and_then(|start| start.cursor.cut())
    }

    /// Bytes of chunks that wait for the slowest.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.inner.borrow().waiting_bytes
    }

    /// Ready while few enough bytes wait; else the task is woken by the next that are taken.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>, ear: &mut Ear) -> Poll<()> {
        loop {
            if self.inner.borrow().waiting_bytes < SNAPSHOT_WAITING_BYTES_MAX {
                return Poll::Ready(());
            }
            if self.room.poll(cx, ear).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn leave(&self, id: u64) {
        self.inner.borrow_mut().members.remove(&id);
        self.forget();
    }

    /// Drops the chunks that all members have.
    fn forget(&self) {
        let mut inner = self.inner.borrow_mut();
        let slowest = inner.members.values().copied().min().unwrap_or(u64::MAX);
        let mut room = false;
        while inner.first < slowest
            && let Some(chunk) = inner.chunks.pop_front()
        {
            inner.first += 1;
            inner.waiting_bytes -= chunk.len();
            room = true;
        }
        drop(inner);
        if room {
            self.room.ring();
        }
    }
}

/// One sub-replica's share in a transfer; ends when dropped.
#[derive(Debug)]
pub(super) struct Membership {
    transfer: Rc<Transfer>,
    id: u64,
}

impl Membership {
    /// Position, mark, and a cursor of its own, once the moment is taken.
    pub(super) fn start(&self) -> Result<Option<Start>, Cut> {
        let inner = self.transfer.inner.borrow();
        inner.fault()?;
        let fork = |start: &Start| Start { cursor: start.cursor.fork(), mark: start.mark.clone(), ..*start };
        Ok(inner.start.as_ref().map(fork))
    }

    /// The next chunk.
    pub(super) fn next(&self) -> Result<Next, Cut> {
        let mut inner = self.transfer.inner.borrow_mut();
        inner.fault()?;
        let next = inner.members.get(&self.id).copied().unwrap_or(u64::MAX);
        let at = usize::try_from(next.saturating_sub(inner.first)).unwrap_or(usize::MAX);
        let Some(chunk) = inner.chunks.get(at).cloned() else {
            return Ok(if matches!(inner.stage, Stage::Finished) { Next::End } else { Next::NotYet });
        };
        inner.members.insert(self.id, next + 1);
        drop(inner);
        self.transfer.forget();
        Ok(Next::Chunk(chunk))
    }

    /// The file with all of it, once that is complete.
    pub(super) fn spool(&self) -> Result<Option<Spool>, Cut> {
        let inner = self.transfer.inner.borrow();
        inner.fault()?;
        Ok(inner.spool.clone().filter(|_| matches!(inner.stage, Stage::Finished)))
    }
}

impl Inner {
    fn fault(&self) -> Result<(), Cut> {
        match &self.stage {
            Stage::Failed(Failure::Unfit(why)) => Err(Cut::Unfit(why.clone())),
            Stage::Failed(Failure::Broken(why)) => Err(Cut::Snapshot(why.clone())),
            Stage::Failed(Failure::History(why)) => Err(Cut::History(why)),
            Stage::Failed(Failure::Unsound | Failure::Unwanted) => Err(Cut::Later),
            _ => Ok(()),
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.transfer.leave(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::task::Waker;

    fn transfer() -> Rc<Transfer> {
        Rc::new(Transfer::new(Receiver::Remora, Framing::EndMark, clock::instant()))
    }

    fn text(next: Result<Next, Cut>) -> String {
        match next.unwrap() {
            Next::Chunk(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Next::NotYet => "...".into(),
            Next::End => "end".into(),
        }
    }

    #[test]
    fn all_members_get_all_chunks_and_the_slowest_keeps_them() {
        let transfer = transfer();
        let (fast, slow) = (transfer.join(1), transfer.join(2));
        transfer.close();
        transfer.push(Bytes::from_static(b"one"));
        transfer.push(Bytes::from_static(b"two"));
        assert_eq!([text(fast.next()), text(fast.next()), text(fast.next())], ["one", "two", "..."]);
        assert_eq!(transfer.inner.borrow().waiting_bytes, 6);
        assert_eq!((text(slow.next()), transfer.inner.borrow().waiting_bytes), ("one".into(), 3));
        transfer.finish();
        assert_eq!([text(fast.next()), text(slow.next()), text(slow.next())], ["end", "two", "end"]);
        assert_eq!(transfer.inner.borrow().waiting_bytes, 0);
    }

    #[test]
    fn making_pauses_for_the_slowest_until_it_goes_on_or_away() {
        let transfer = transfer();
        let (fast, slow) = (transfer.join(1), transfer.join(2));
        let (mut cx, mut ear) = (Context::from_waker(Waker::noop()), Ear::default());
        transfer.push(Bytes::from(vec![0; SNAPSHOT_WAITING_BYTES_MAX]));
        drop(fast.next().unwrap());
        assert!(transfer.poll_room(&mut cx, &mut ear).is_pending());
        drop(slow);
        assert!(transfer.poll_room(&mut cx, &mut ear).is_ready());
        assert_eq!(transfer.members(), 1);
    }

    #[test]
    fn a_failure_reaches_every_member() {
        let transfer = transfer();
        let (a, b) = (transfer.join(1), transfer.join(2));
        transfer.push(Bytes::from_static(b"one"));
        transfer.fail(Failure::Unfit("a vector set".into()));
        assert!(matches!(a.next(), Err(Cut::Unfit(_))) && matches!(b.start(), Err(Cut::Unfit(_))));
    }
}
