//! A full resync: receive the snapshot, load it aside, swap it in.
//!
//! The old dataset answers until the new one is complete and its checksum right. The master is kept patient with
//! newlines all the while, as real replicas do; the first ack is sent when the data are in place.

use super::handshake::{answer, unexpected};
use super::loader::Loader;
use super::room::Head;
use super::wire::Wire;
use super::{Link, LinkError};
use crate::clock::UnixMs;
use crate::limits::STREAM_BEHIND_SNAPSHOT_BYTES_MAX;
use crate::position::{Offset, Position, ReplId};
use crate::rdb::load::{LoadSettings, Loaded, Progress};
use crate::rdb::{Fault, LoadError};
use crate::repl::envelope::Envelope;
use crate::repl::psync;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often the master hears of us.
const KEEPALIVE: Duration = Duration::from_secs(1);

impl Link {
    /// Receives and loads the snapshot that follows `+FULLRESYNC`, and puts it in place.
    pub(super) async fn full_resync(
        &mut self,
        wire: &mut Wire,
        replid: ReplId,
        offset: Offset,
    ) -> Result<(), LinkError> {
        tracing::info!(%replid, %offset, "full resync: the master prepares a snapshot");
        let progress = Arc::new(Progress::default());
        self.report.full_sync_begins();
        let mut envelope = first_line(wire).await?;
        self.report.snapshot_begins(envelope.total());
        let settings = LoadSettings::new(&self.config.get(), UnixMs::now());
        let (total, status) = (envelope.total(), self.report.status());
        let mut loader = Loader::start(settings, total, Arc::clone(&progress), status).map_err(LinkError::Io)?;
        self.receive(wire, &mut envelope, &mut loader, &progress).await?;
        let loaded = self.wait_for_loader(wire, &mut loader, &progress).await?;
        self.report.loading(&progress);
        self.put_in_place(loaded, replid, offset);
        Ok(())
    }

    /// Takes the snapshot off the wire as fast as it comes and feeds the loader.
    async fn receive(
        &mut self,
        wire: &mut Wire,
        envelope: &mut Envelope,
        loader: &mut Loader,
        progress: &Progress,
    ) -> Result<(), LinkError> {
        let mut tick = interval(KEEPALIVE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut last_byte, mut head, total) = (Instant::now(), Head::default(), envelope.total());
        loop {
            let unread = wire.take_unread();
            if !unread.is_empty() || envelope.total() == Some(0) {
                last_byte = Instant::now();
                self.report.snapshot_bytes(unread.len(), progress);
                let piece = envelope.feed(unread);
                let is_last = piece.rest.is_some();
                let ready = self.past_head(wire, &mut head, piece.snapshot, total, is_last).await?;
                if let Some(result) = loader.feed(ready).await {
                    return Err(refused(result));
                }
                if let Some(rest) = piece.rest {
                    loader.end().await;
                    self.stream.extend(&rest);
                    return Ok(());
                }
            }
            tokio::select! {
                read = wire.read() => read?,
                result = loader.result() => return Err(refused(result)),
                _ = tick.tick() => {
                    wire.set_timeout(self.patience());
                    if last_byte.elapsed() > wire.timeout() {
                        return Err(LinkError::Silent);
                    }
                    wire.send(b"\n").await?;
                }
            }
        }
    }

    /// The snapshot has come whole; the loader may need a while. Newlines keep the master patient: an ack now would
    /// count data for WAIT that nobody can read yet. Behind a snapshot by length the stream comes at once; it is
    /// collected up to a bound, beyond which the socket is left to fill.
    async fn wait_for_loader(
        &mut self,
        wire: &mut Wire,
        loader: &mut Loader,
        progress: &Progress,
    ) -> Result<Loaded, LinkError> {
        let mut tick = interval(KEEPALIVE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let room = self.stream.pending_bytes() < STREAM_BEHIND_SNAPSHOT_BYTES_MAX;
            tokio::select! {
                result = loader.result() => return result.unwrap_or_else(dead_loader).map_err(LinkError::Snapshot),
                read = wire.read_into(self.stream.buffer_mut()), if room => {
                    self.report.heard(read?, self.stream.pending_bytes());
                }
                _ = tick.tick() => {
                    wire.send(b"\n").await?;
                    self.report.loading(progress);
                }
            }
        }
    }

    /// One step for readers: the new dataset is there.
    fn put_in_place(&mut self, loaded: Loaded, replid: ReplId, offset: Offset) {
        let mut dataset = loaded.dataset;
        let selected = loaded.facts.stream_db.unwrap_or_default();
        dataset.grow_to(selected);
        dataset.position = Position::fresh(replid, offset, selected);
        let (position, marked) = (dataset.position, dataset.marked_keys());
        let old = self.install(dataset);
        self.reaper.dataset(old);
        self.loaded = true;
        self.distrusted = false;
        let (keys, bytes) = (loaded.facts.keys, loaded.facts.bytes);
        tracing::info!(keys, marked, %offset, bytes, "full resync: the snapshot is in place");
        self.report.fully_synced(&position, marked);
    }
}

/// The line that says how the snapshot is wrapped. Empty lines before it are keep-alives.
async fn first_line(wire: &mut Wire) -> Result<Envelope, LinkError> {
    let line = answer(wire).await?;
    if let Some(error) = line.strip_prefix(b"-") {
        return Err(LinkError::Turned(psync::turned(error)));
    }
    Envelope::parse(&line).ok_or_else(|| unexpected("the snapshot's first line", &line))
}

/// The loader ended before the snapshot did: it was refused, or holds less than its envelope says.
fn refused(result: Option<Result<Loaded, LoadError>>) -> LinkError {
    match result.unwrap_or_else(dead_loader) {
        Err(error) => LinkError::Snapshot(error),
        Ok(_) => LinkError::Snapshot(LoadError::at(0, Fault::Corrupt("it ends before its envelope does"))),
    }
}

fn dead_loader() -> Result<Loaded, LoadError> {
    Err(LoadError::at(0, Fault::Corrupt("the loader's thread died")))
}
