//! The threads beside the link: the loader parses a snapshot into a dataset that nobody sees yet, the reaper frees
//! what is too big to free on the link's thread. Both rest while clients are served.

use crate::allocator;
use crate::breather::Breather;
use crate::dataset::{Dataset, Trash};
use crate::rdb::LoadError;
use crate::rdb::load::{LoadSettings, Loaded, Progress, load};
use crate::rdb::source::{Aborted, Source};
use crate::status::Status;
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Pieces of a snapshot that may wait for the loader. A piece is one read of up to 256 KiB.
const WAITING_PIECES_MAX: usize = 16;
/// What is parsed between two looks whether a rest is due: some 50 µs of work.
const STEP_BYTES: usize = 16 << 10;

/// What goes to the loader: a piece, or the end. Dropping the sender without `End` aborts.
enum Feed {
    Piece(Bytes),
    End,
}

/// A running loader.
pub(super) struct Loader {
    feed: mpsc::Sender<Feed>,
    result: oneshot::Receiver<Result<Loaded, LoadError>>,
}

impl Loader {
    /// Starts the loader's thread. `total`: the snapshot's length, where the master states it.
    pub(super) fn start(
        settings: LoadSettings,
        total: Option<u64>,
        progress: Arc<Progress>,
        status: Arc<Status>,
    ) -> io::Result<Self> {
        let (feed, mut pieces) = mpsc::channel(WAITING_PIECES_MAX);
        let (done, result) = oneshot::channel();
        let work = move || {
            let (mut breather, mut piece) = (Breather::new(&status), Bytes::new());
            let mut source = Source::new(move || {
                // Without old data to serve, nothing is more urgent than the new ones.
                if status.is_loaded() {
                    breather.take(&status);
                }
                if piece.is_empty() {
                    match pieces.blocking_recv() {
                        Some(Feed::Piece(bytes)) => piece = bytes,
                        Some(Feed::End) => return Ok(None),
                        None => return Err(Aborted),
                    }
                }
                Ok(Some(piece.split_to(piece.len().min(STEP_BYTES))))
            });
            if let Some(total) = total {
                source = source.expecting(total);
            }
            let loaded = load(&mut source, &settings, &progress);
            // Nobody waits any more when the link went away meanwhile; the dataset is then freed here.
            drop(done.send(loaded));
        };
        std::thread::Builder::new().name("loader".into()).spawn(work)?;
        Ok(Self { feed, result })
    }

    /// Hands on a piece; waits while too many are waiting. `Some`: the loader has ended before the snapshot did, and
    /// its result says why (`None` inside: its thread died).
    pub(super) async fn feed(&mut self, piece: Bytes) -> Option<Option<Result<Loaded, LoadError>>> {
        if piece.is_empty() {
            return None;
        }
        let ended = tokio::select! {
            biased;
            sent = self.feed.send(Feed::Piece(piece)) => sent.is_err(),
            result = &mut self.result => return Some(result.ok()),
        };
        if ended { Some(self.result().await) } else { None }
    }

    /// The snapshot is complete.
    pub(super) async fn end(&self) {
        drop(self.feed.send(Feed::End).await);
    }

    /// The dataset, or why there is none. `None`: the loader's thread died.
    pub(super) async fn result(&mut self) -> Option<Result<Loaded, LoadError>> {
        (&mut self.result).await.ok()
    }
}

/// Hands what has been dropped to a thread of its own.
#[derive(Clone)]
pub struct Reaper(std::sync::mpsc::Sender<Junk>);

enum Junk {
    Trash(Trash),
    /// And whom to tell when it is freed.
    Dataset(Box<Dataset>, Option<oneshot::Sender<()>>),
}

impl Reaper {
    /// Starts the reaper's thread; it ends when the last handle is gone.
    pub fn start(status: Arc<Status>) -> io::Result<Self> {
        let (sender, junk) = std::sync::mpsc::channel::<Junk>();
        let work = move || {
            for junk in junk {
                let mut breather = Breather::new(&status);
                let rest = || breather.take(&status);
                match junk {
                    Junk::Trash(trash) => trash.free(rest),
                    Junk::Dataset(dataset, freed) => {
                        dataset.free(rest);
                        // Its pages would wait for reuse, and the next full sync would not use them: its loader is
                        // another thread, with another arena.
                        allocator::purge();
                        if let Some(freed) = freed {
                            // Nobody waits any more when the link has gone another way.
                            let _ = freed.send(());
                        }
                    }
                }
            }
        };
        std::thread::Builder::new().name("reaper".into()).spawn(work)?;
        Ok(Self(sender))
    }

    /// Frees dropped values; nothing to free costs nothing.
    pub(super) fn trash(&self, trash: Trash) {
        if !trash.is_empty() {
            drop(self.0.send(Junk::Trash(trash)));
        }
    }

    /// Frees a replaced dataset.
    pub(super) fn dataset(&self, dataset: Dataset) {
        drop(self.0.send(Junk::Dataset(Box::new(dataset), None)));
    }

    /// The same; the answer comes when it is freed, or the reaper is gone.
    pub(super) fn dataset_told(&self, dataset: Dataset) -> oneshot::Receiver<()> {
        let (tell, freed) = oneshot::channel();
        drop(self.0.send(Junk::Dataset(Box::new(dataset), Some(tell))));
        freed
    }
}
