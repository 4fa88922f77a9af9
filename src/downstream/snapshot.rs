//! Makes a snapshot for the sub-replicas of one transfer: walks the dataset in short slices through the gate, while the
//! link goes on applying and the readers go on reading.

use super::bell::Ear;
use super::feeder::Feed;
use super::spool::Spool;
use super::transfer::{Failure, Framing, Start, Transfer};
use crate::breather::Breather;
use crate::clock;
use crate::dataset::capture::Capture;
use crate::rdb::snapshot::SnapshotWriter;
use crate::repl::receiver::Receiver;
use bytes::Bytes;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// Bytes of a chunk, if there is no other reason to hand one on.
const CHUNK_BYTES: usize = 64 * 1024;
/// How long a slice through the gate may last: as long as a batch of the applier.
const SLICE_TIME: Duration = Duration::from_micros(100);
const SLICE_ENTRIES_FIRST: usize = 64;
const SLICE_ENTRIES_MAX: usize = 4096;
/// Pause after a slice that brought nothing: a flushed database is still on its way to whoever frees it.
const IDLE: Duration = Duration::from_millis(1);

/// Makes the snapshot of this transfer, whatever comes of it.
pub(super) async fn make(feed: Rc<Feed>, transfer: Rc<Transfer>) {
    if let Err(why) = Making::of(&feed, &transfer).run().await {
        match &why {
            Failure::Unwanted => tracing::info!("a snapshot is given up: no sub-replica wants it any more"),
            why => tracing::warn!(?why, receiver = ?transfer.receiver, "a snapshot for sub-replicas is given up"),
        }
        if let Failure::Unfit(why) = &why {
            feed.remember_unfit(transfer.receiver, why);
        }
        transfer.fail(why);
    }
    feed.snapshot_done();
}

struct Making<'a> {
    feed: &'a Feed,
    transfer: &'a Transfer,
    ear: Ear,
    room: Ear,
    slice_entries: usize,
    /// Length of the snapshot so far.
    bytes: u64,
}

impl<'a> Making<'a> {
    fn of(feed: &'a Feed, transfer: &'a Transfer) -> Self {
        Self {
            feed,
            transfer,
            ear: Ear::default(),
            room: Ear::default(),
            slice_entries: SLICE_ENTRIES_FIRST,
            bytes: 0,
        }
    }

    async fn run(mut self) -> Result<(), Failure> {
        let began = clock::instant();
        let mut capture = self.begin()?;
        let made = self.walk(&mut capture).await;
        // It may own whole databases that were flushed meanwhile.
        drop(tokio::task::spawn_blocking(move || drop(capture)));
        made?;
        let bytes = self.bytes;
        tracing::info!(bytes, ms = began.elapsed().as_millis(), "a snapshot for sub-replicas is made");
        Ok(())
    }

    /// Takes the moment: data, position and place in the backlog in one look through the gate.
    fn begin(&self) -> Result<Capture<SnapshotWriter>, Failure> {
        let uses = self.feed.settings().uses;
        let begun = self.feed.read(|data| {
            if self.feed.is_unsound(data) {
                return None;
            }
            let capture = match self.transfer.receiver {
                Receiver::Remora => data.capture(SnapshotWriter::own(data, uses)),
                Receiver::Server(dialect, contents) => {
                    let writer = SnapshotWriter::of(dialect, contents, data, uses);
                    if contents.keys { data.capture(writer) } else { data.capture_nothing(writer) }
                }
            };
            let next = data.position.offset.advanced(1);
            let cursor = self.feed.backlog.attach(next);
            let mark = (0..40).map(|_| fastrand::alphanumeric().to_ascii_lowercase()).collect();
            Some((capture, cursor.map(|cursor| Start { position: data.position, cursor, mark })))
        });
        let (capture, start) = begun.ok_or(Failure::Unsound)?;
        if let Some(why) = capture.sink(|writer| writer.unfit().map(str::to_owned)) {
            return Err(Failure::Unfit(why));
        }
        let start =
            start.ok_or_else(|| Failure::Broken("the backlog does not end where the data stand".into()))?;
        let (members, offset) = (self.transfer.members(), start.position.offset);
        tracing::info!(members, %offset, receiver = ?self.transfer.receiver, "a snapshot for sub-replicas begins");
        self.feed.status.downstream.snapshots.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.transfer.begin(start);
        self.feed.bell.ring();
        Ok(capture)
    }

    /// Walks to the end.
    async fn walk(&mut self, capture: &mut Capture<SnapshotWriter>) -> Result<(), Failure> {
        let mut spool = match self.transfer.framing {
            Framing::EndMark => None,
            Framing::Length => Some(self.spool().await?),
        };
        let mut breather = Breather::new(&self.feed.status);
        loop {
            self.wait_for_room(capture).await?;
            let before = capture.sink(|writer| writer.pending());
            let done = self.slice(capture)?;
            let (chunk, pending) = collect(capture, done)?;
            let idle = !done && chunk.is_empty() && pending == before;
            self.hand_on(chunk, spool.as_mut()).await?;
            if done {
                break;
            }
            if idle {
                tokio::time::sleep(IDLE).await;
            } else {
                // The sub-replicas' sockets take the chunk, then the whole thread rests.
                tokio::task::yield_now().await;
                breather.take(&self.feed.status);
            }
        }
        if let Some(spool) = spool {
            self.transfer.spooled(spool);
        }
        self.transfer.finish();
        self.feed.bell.ring();
        Ok(())
    }

    async fn spool(&self) -> Result<Spool, Failure> {
        let folder = self.feed.settings().dir.clone().unwrap_or_else(|| ".".into());
        let failed =
            |error| Failure::Broken(format!("no file can be made in dir ({}): {error}", folder.display()));
        // The process has moved into `dir`.
        Spool::create(std::path::Path::new(".")).await.map_err(failed)
    }

    /// One look through the gate. How much of the walk fits into its time is learnt from the one before.
    fn slice(&mut self, capture: &mut Capture<SnapshotWriter>) -> Result<bool, Failure> {
        let entries = self.slice_entries;
        let (transfer, began) = (self.transfer, clock::instant());
        let done = self.feed.read(|data| match transfer.cut() {
            Some(why) => Err(Failure::History(why)),
            None => Ok(capture.advance(data, entries)),
        });
        let took = clock::instant() - began;
        if took > SLICE_TIME {
            self.slice_entries = (entries / 2).max(1);
        } else if took < SLICE_TIME / 2 {
            self.slice_entries = (entries * 2).min(SLICE_ENTRIES_MAX);
        }
        done
    }

    async fn hand_on(&mut self, chunk: Bytes, spool: Option<&mut Spool>) -> Result<(), Failure> {
        self.bytes += chunk.len() as u64;
        match spool {
            _ if chunk.is_empty() => {}
            None => {
                self.transfer.push(chunk);
                self.feed.bell.ring();
            }
            Some(spool) => {
                let failed = |error| Failure::Broken(format!("writing into a file in dir: {error}"));
                spool.append(chunk).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Waits until the slowest sub-replica has taken enough. What the applier adds meanwhile is moved out of its way,
    /// and bounded as what else waits for a sub-replica is.
    async fn wait_for_room(&mut self, capture: &Capture<SnapshotWriter>) -> Result<(), Failure> {
        poll_fn(|cx| {
            loop {
                if self.transfer.members() == 0 {
                    return Poll::Ready(Err(Failure::Unwanted));
                }
                if let Some(why) = self.transfer.cut() {
                    return Poll::Ready(Err(Failure::History(why)));
                }
                let limit_bytes = self.feed.settings().sub_replica_hard_limit_bytes();
                let waiting_bytes = self.transfer.waiting_bytes() + capture.touched_bytes();
                if waiting_bytes as u64 > limit_bytes {
                    return Poll::Ready(Err(too_much(waiting_bytes, limit_bytes)));
                }
                if self.transfer.poll_room(cx, &mut self.room).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                let (chunk, _) = collect(capture, false)?;
                self.bytes += chunk.len() as u64;
                self.transfer.push(chunk);
                if self.feed.bell.poll(cx, &mut self.ear).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}

/// Takes what was written, if it is worth a chunk; and how much is left.
fn collect(capture: &Capture<SnapshotWriter>, done: bool) -> Result<(Bytes, usize), Failure> {
    capture.sink(|writer| {
        if let Some(why) = writer.unfit() {
            return Err(Failure::Unfit(why.to_owned()));
        }
        if done {
            writer.finish();
        }
        let chunk = if done || writer.pending() >= CHUNK_BYTES { writer.take() } else { Bytes::new() };
        Ok((chunk, writer.pending()))
    })
}

fn too_much(waiting_bytes: usize, limit_bytes: u64) -> Failure {
    Failure::Broken(format!(
        "{waiting_bytes} bytes that changed ahead of it wait: over the hard limit of client-output-buffer-limit \
         replica ({limit_bytes})"
    ))
}
