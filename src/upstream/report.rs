//! What the link tells the rest of the program, and in which words. Everything goes through here, so that phases,
//! counters and flags move together.

use super::LinkError;
use crate::clock::UnixMs;
use crate::command::logged::StreamSpikes;
use crate::config::Master;
use crate::disk::RestoreError;
use crate::position::{Offset, Position};
use crate::rdb::load::Progress;
use crate::status::{LinkPhase, LinkStatus, Restore, Status};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The link's pen.
pub struct Report {
    status: Arc<Status>,
    /// Why the next full resync will be one.
    reason: &'static str,
    /// A partial resync was asked for in this attempt.
    asked_partial: bool,
    /// Data of the master are not trusted yet: it was diverged not long ago.
    on_probation: bool,
}

impl Report {
    /// Where it writes.
    pub(super) fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Writes to `status`.
    pub fn new(status: Arc<Status>) -> Self {
        Self { status, reason: "first", asked_partial: false, on_probation: false }
    }

    fn link(&self) -> &LinkStatus {
        &self.status.link
    }

    fn phase(&self, phase: LinkPhase) {
        self.link().set_phase(phase, UnixMs::now());
    }

    /// Our own id among remoras.
    pub(super) fn run_id(&self) -> &str {
        &self.status.run_id
    }

    /// These remoras are above us now, the nearest first.
    pub(super) fn below(&self, above: Vec<String>) {
        self.link().set_above(above);
    }

    /// This master is followed from now on.
    pub(super) fn following(&self, master: &Master) {
        self.link().set_master(&master.address.host(), master.address.port());
    }

    /// Commands of the stream that took long.
    pub(super) fn took_long(&self, spikes: StreamSpikes) {
        spikes.keep(&self.status.latency);
    }

    pub(super) fn connecting(&self) {
        self.phase(LinkPhase::Connecting);
    }

    /// The connection stands; `partial`: we shall ask to continue.
    pub(super) fn handshaking(&mut self, partial: bool) {
        self.asked_partial = partial;
        self.phase(LinkPhase::Handshake);
    }

    /// An order ended the link.
    pub(super) fn disconnected(&mut self) {
        self.on_probation = false;
        self.reason = "new-master";
        self.phase(LinkPhase::Connect);
    }

    /// `+CONTINUE` came.
    pub(super) fn partially_synced(&self, position: &Position) {
        self.link().partial_syncs.count("ok");
        self.status.set_position(position, true);
        self.connected();
    }

    /// `+FULLRESYNC` came.
    pub(super) fn full_sync_begins(&self) {
        if self.asked_partial {
            self.link().partial_syncs.count("refused");
        }
        self.link().full_syncs.count(if self.asked_partial { "refused" } else { self.reason });
        self.link().sync_begins(None, UnixMs::now());
        self.phase(LinkPhase::Sync);
    }

    /// The snapshot's first line came.
    pub(super) fn snapshot_begins(&self, total: Option<u64>) {
        self.link().sync_total(total.unwrap_or(0));
    }

    /// Bytes of the snapshot came, and so far the loader has come.
    pub(super) fn snapshot_bytes(&self, bytes: usize, progress: &Progress) {
        self.link().read(bytes as u64, UnixMs::now());
        self.link().sync_read(bytes as u64);
        self.loading(progress);
    }

    /// So far the loader has come.
    pub(super) fn loading(&self, progress: &Progress) {
        self.link().sync_loaded(progress.bytes.load(Relaxed), progress.keys.load(Relaxed));
    }

    /// The old data were dropped before the new ones are here.
    pub(super) fn emptied(&self) {
        self.status.set_unloaded();
        self.status.set_marked_keys(0);
    }

    /// The new dataset is in place.
    pub(super) fn fully_synced(&mut self, position: &Position, marked: usize) {
        self.reason = "new-master";
        self.status.set_marked_keys(marked);
        if !self.on_probation {
            self.status.set_diverged(None);
        }
        self.status.set_position(position, false);
        self.status.set_loaded();
        self.connected();
    }

    /// The file of the last run is there and is being loaded.
    pub(super) fn restore_begins(&self, path: &Path, bytes: u64) {
        tracing::info!(file = %path.display(), bytes, "loading our own snapshot");
        self.status.saves.set_restore(Restore::Loading);
        self.link().sync_begins(Some(bytes), UnixMs::now());
    }

    /// It is in place; the link has not been asked yet.
    pub(super) fn restored(&self, position: &Position, marked: usize) {
        self.status.saves.restored((position.replid, position.offset));
        self.status.set_marked_keys(marked);
        self.status.set_position(position, false);
        self.status.set_loaded();
    }

    /// It cannot be used.
    pub(super) fn restore_refused(&self, path: &Path, why: &RestoreError) {
        tracing::warn!(file = %path.display(), error = %why, "our own snapshot is not used; everything is asked for");
        self.status.saves.set_restore(Restore::Refused(why.to_string()));
    }

    fn connected(&self) {
        self.phase(LinkPhase::Connected);
        self.status.set_caught_up();
    }

    /// Bytes of the stream came; `pending` of all that came are not applied yet.
    pub(super) fn heard(&self, bytes: usize, pending: usize) {
        self.link().read(bytes as u64, UnixMs::now());
        self.link().set_received(self.link().applied().advanced(pending as u64));
    }

    /// A batch was applied.
    pub(super) fn applied(&self, position: &Position, commands: usize, marked: usize) {
        self.link().set_applied(position.offset, commands as u64);
        self.status.set_marked_keys(marked);
    }

    /// An ack went out.
    pub(super) fn acknowledged(&self, offset: Offset) {
        self.link().set_acked(offset);
    }

    /// The stream has run long enough behind the last full resync.
    pub(super) fn trusted(&mut self) {
        if std::mem::take(&mut self.on_probation) {
            tracing::info!("the stream has run for a while: no longer diverged");
            self.status.set_diverged(None);
        }
    }

    /// A command could not be applied; `lasting`: the next full resync alone is not to be trusted.
    pub(super) fn unapplied(&mut self, command: &str, why: String, lasting: bool) {
        self.on_probation = lasting;
        self.reason = "apply-error";
        self.link().apply_errors.count(command.to_owned());
        self.status.set_diverged(Some(why));
    }

    /// The link ended, or was never made.
    pub(super) fn fault(&mut self, error: &LinkError) {
        self.link().disconnects.count(error.cause());
        self.phase(LinkPhase::Connect);
        self.link().set_last_error(error.to_string());
    }
}
