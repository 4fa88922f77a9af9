//! The thread that saves: when it is time or asked for, and once more at the end.
//!
//! It is a reader like any other. Before each piece that it writes it lets the rate have its way, unless what the writer
//! hands on meanwhile would pile up.

use super::file::Unfinished;
use crate::breather::Breather;
use crate::clock::{UnixMs, instant};
use crate::config::LiveConfig;
use crate::dataset::Dataset;
use crate::dataset::capture::Capture;
use crate::dataset::gate::Reader;
use crate::limits::{SAVE_HANGS_AFTER, SAVE_WAITING_BYTES_MAX};
use crate::position::Position;
use crate::rdb::snapshot::SnapshotWriter;
use crate::status::{Status, Woken};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes that a slice should give: some 50 µs under the gate.
const SLICE_BYTES: usize = 128 * 1024;
const SLICE_ENTRIES: usize = 1024;
/// How often it looks whether it is time: `save-interval` may be changed meanwhile.
const LOOK: Duration = Duration::from_secs(1);
/// Longest sleep for the sake of the rate; then the gate is looked through again.
const NAP: Duration = Duration::from_millis(50);
/// Fewer bytes are not written at a time.
const PIECE_BYTES_MIN: usize = 4 * 1024;

/// How often the end looks whether the last save is done.
const STOP_LOOK: Duration = Duration::from_millis(5);

/// The saver's thread. Ends with a last save when it is stopped.
#[derive(Debug)]
pub struct Saver {
    config: Arc<LiveConfig>,
    status: Arc<Status>,
    thread: JoinHandle<()>,
}

impl Saver {
    /// Starts the thread; `dir` is where the file goes.
    pub fn start(dir: PathBuf, reader: Reader, config: Arc<LiveConfig>, status: Arc<Status>) -> io::Result<Self> {
        status.saves.enable();
        let work =
            Work { dir, reader, config: Arc::clone(&config), status: Arc::clone(&status), slice: SLICE_ENTRIES };
        let thread = std::thread::Builder::new().name("saver".into()).spawn(move || work.run())?;
        Ok(Self { config, status, thread })
    }

    /// Saves a last time if `save`, as fast as it goes but no longer than `save-timeout`, and ends. The link must have
    /// ended before, so that what is saved is what stays. An error: the disk hangs, and is not waited for.
    pub fn stop(self, save: bool) -> io::Result<()> {
        self.status.saves.stop(save);
        let limit = Duration::from_secs(self.config.get().save_timeout_s) + SAVE_HANGS_AFTER;
        let began = instant();
        while !self.thread.is_finished() {
            if began.elapsed() > limit {
                let why = format!("dir does not answer: the last save hangs after {} s", limit.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            std::thread::sleep(STOP_LOOK);
        }
        drop(self.thread.join());
        Ok(())
    }
}

/// How a save may go about it.
#[derive(Clone, Copy, Debug)]
struct Pace {
    began: Instant,
    /// Bytes per second; 0 is as fast as it goes.
    rate: u64,
    /// Gives up after this time.
    limit: Option<Duration>,
    /// Gives up when the program ends.
    until_stopped: bool,
}

impl Pace {
    /// Bytes that are written at a time: what the rate gives in a nap, so that they come evenly.
    fn piece_bytes(&self) -> usize {
        match self.rate {
            0 => usize::MAX,
            rate => usize::try_from(rate / 20).unwrap_or(usize::MAX).max(PIECE_BYTES_MIN),
        }
    }
}

/// Why a save has not been made.
#[derive(Debug)]
enum Failure {
    Io(io::Error),
    /// The last save took longer than `save-timeout`.
    TooLong(Duration),
    /// Another dataset has taken the place of the one that was being saved.
    Replaced,
    /// The program ends; the last save begins anew.
    Stopped,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::TooLong(limit) => write!(f, "not done within save-timeout, {} s", limit.as_secs()),
            Self::Replaced => f.write_str("a full sync has put other data in place meanwhile"),
            Self::Stopped => f.write_str("the program ends"),
        }
    }
}

struct Work {
    dir: PathBuf,
    reader: Reader,
    config: Arc<LiveConfig>,
    status: Arc<Status>,
    /// Entries of the next slice: as many as gave about `SLICE_BYTES` last time.
    slice: usize,
}

impl Work {
    fn run(mut self) {
        let mut last = instant();
        loop {
            let woken = self.status.saves.wait(LOOK);
            let config = self.config.get();
            let interval = Duration::from_secs(config.save_interval_s);
            match woken {
                Woken::Stopped => break,
                Woken::Waited if interval.is_zero() || last.elapsed() < interval || self.nothing_new() => {}
                Woken::Waited | Woken::Asked => {
                    let rate = config.save_bytes_per_second_max;
                    self.save(Pace { began: instant(), rate, limit: None, until_stopped: true });
                    last = instant();
                }
            }
        }
        if self.status.saves.is_saved_at_end() && !self.nothing_new() {
            let limit = Some(Duration::from_secs(self.config.get().save_timeout_s));
            self.save(Pace { began: instant(), rate: 0, limit, until_stopped: false });
        }
    }

    /// The file holds what there is.
    fn nothing_new(&mut self) -> bool {
        let saved = self.status.saves.saved();
        self.reader.read(|data| saved == Some((data.position.replid, data.position.offset)))
    }

    fn save(&mut self, pace: Pace) {
        let Some((capture, position, keys)) = self.begin() else {
            tracing::info!("nothing to save: no dataset of a master is in place that can be trusted");
            self.status.saves.forget_order();
            return;
        };
        let commands = self.status.link.applied_commands();
        self.status.saves.begins(keys, UnixMs::now());
        match self.write(capture, &position, pace) {
            Ok(bytes) => {
                let saved = (position.replid, position.offset);
                self.status.saves.succeeded(saved, commands, bytes, UnixMs::now());
                let took_ms = pace.began.elapsed().as_millis();
                tracing::info!(keys, bytes, offset = %position.offset, took_ms, "saved");
            }
            Err(failure) => {
                self.status.saves.failed(UnixMs::now());
                let dir = self.dir.display();
                tracing::warn!(%dir, error = %failure, "not saved; what was saved before stays as it is");
            }
        }
    }

    /// Begins a capture of data that have a place in a master's history and are what the master sent.
    fn begin(&mut self) -> Option<(Capture<SnapshotWriter>, Position, u64)> {
        let (diverged, uses) = (self.status.diverged().is_some(), self.config.get().uses);
        self.reader.read(|data| {
            if diverged || data.is_torn() || !data.is_loaded() {
                return None;
            }
            let keys = data.dbs().map(|(_, keyspace)| keyspace.len() as u64).sum();
            Some((data.capture(SnapshotWriter::own(data, uses)), data.position, keys))
        })
    }

    fn write(
        &mut self,
        mut capture: Capture<SnapshotWriter>,
        position: &Position,
        pace: Pace,
    ) -> Result<u64, Failure> {
        let mut file = Unfinished::create(&self.dir)?;
        let mut breather = Breather::new(&self.status);
        loop {
            let done = self.advance(&mut capture, position)?;
            let chunk = capture.sink(|writer| {
                if done {
                    writer.finish();
                }
                writer.take()
            });
            self.aim(chunk.len());
            for piece in chunk.chunks(pace.piece_bytes()) {
                self.keep_pace(&capture, file.bytes() + piece.len() as u64, pace)?;
                file.write(piece)?;
            }
            if done {
                let bytes = file.bytes();
                file.finish()?;
                return Ok(bytes);
            }
            capture.tidy();
            self.status.saves.advanced(capture.sink(|writer| writer.entries()));
            if pace.until_stopped {
                breather.take(&self.status);
            }
        }
    }

    fn advance(&mut self, capture: &mut Capture<SnapshotWriter>, position: &Position) -> Result<bool, Failure> {
        let slice = self.slice;
        self.reader.read(|data: &Dataset| {
            if capture.is_of(data) {
                Ok(capture.advance(data, slice))
            } else {
                tracing::debug!(offset = %position.offset, "the dataset that is being saved was replaced");
                Err(Failure::Replaced)
            }
        })
    }

    /// Corrects the size of the next slice by what this one gave.
    fn aim(&mut self, bytes: usize) {
        let fitting = self.slice.saturating_mul(SLICE_BYTES) / bytes.max(1);
        self.slice = fitting.clamp(self.slice / 2, self.slice * 2).clamp(8, 4 * SLICE_ENTRIES);
    }

    /// Sleeps until the rate lets a file of so many bytes be, as long as not too much waits to be written.
    fn keep_pace(&self, capture: &Capture<SnapshotWriter>, bytes: u64, pace: Pace) -> Result<(), Failure> {
        loop {
            if pace.until_stopped && self.status.saves.is_stopped() {
                return Err(Failure::Stopped);
            }
            let elapsed = pace.began.elapsed();
            if let Some(limit) = pace.limit.filter(|limit| elapsed > *limit) {
                return Err(Failure::TooLong(limit));
            }
            let due = Duration::from_secs_f64(bytes as f64 / pace.rate.max(1) as f64);
            let waiting = || capture.sink(|writer| writer.pending());
            if pace.rate == 0 || due <= elapsed || waiting() > SAVE_WAITING_BYTES_MAX {
                return Ok(());
            }
            std::thread::sleep((due - elapsed).min(NAP));
        }
    }
}
