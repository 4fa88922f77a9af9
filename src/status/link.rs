//! The link to the master as others see it. Written by `upstream` alone.

use super::{Moment, Tally};
use crate::clock::UnixMs;
use crate::position::Offset;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use tokio::sync::Notify;

/// Where the link stands. The words are those of ROLE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum LinkPhase {
    /// Nothing is open; the next try waits for its time.
    #[default]
    Connect,
    /// Name resolution and connection are under way.
    Connecting,
    /// From PING to the reply to PSYNC.
    Handshake,
    /// From `+FULLRESYNC` until the new dataset is in place.
    Sync,
    /// The stream flows.
    Connected,
}

impl LinkPhase {
    const ALL: [Self; 5] = [Self::Connect, Self::Connecting, Self::Handshake, Self::Sync, Self::Connected];

    /// The word in ROLE and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Connecting => "connecting",
            Self::Handshake => "handshake",
            Self::Sync => "sync",
            Self::Connected => "connected",
        }
    }

    /// All phases.
    pub fn all() -> [Self; 5] {
        Self::ALL
    }
}

/// The master that the link follows or tries to reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MasterName {
    /// Host or path of the socket.
    pub host: String,
    /// Port; 0 for a unix socket.
    pub port: u16,
}

/// A full sync under way, or the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncProgress {
    /// Size of the snapshot, where the master has said it.
    pub total_bytes: Option<u64>,
    /// Bytes of it that have arrived.
    pub read_bytes: u64,
    /// Bytes of it that have been loaded.
    pub loaded_bytes: u64,
    /// Keys that have been loaded.
    pub keys: u64,
    /// When `+FULLRESYNC` came.
    pub started: Option<UnixMs>,
}

/// The link's numbers.
#[derive(Debug, Default)]
pub struct LinkStatus {
    phase: AtomicU8,
    moved: Notify,
    master: Mutex<MasterName>,
    last_error: Mutex<Option<String>>,
    above: Mutex<Arc<[String]>>,
    down_since: Moment,
    last_io: Moment,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    received: AtomicU64,
    applied: AtomicU64,
    acked: AtomicU64,
    applied_commands: AtomicU64,
    sync_started: Moment,
    sync_total: AtomicU64,
    sync_read: AtomicU64,
    sync_loaded: AtomicU64,
    sync_keys: AtomicU64,
    /// Full syncs begun, by reason: `first`, `refused` (no partial resync), `apply-error`, `new-master` ...
    pub full_syncs: Tally,
    /// Partial resyncs asked for, by result: `ok`, `refused`.
    pub partial_syncs: Tally,
    /// Links lost or never made, by cause: `connect`, `timeout`, `closed`, `refused`, `snapshot`, `apply` ...
    pub disconnects: Tally,
    /// Commands of the stream that could not be applied, by name.
    pub apply_errors: Tally,
}

impl LinkStatus {
    /// The link has moved on. Remembers since when it is down.
    pub fn set_phase(&self, phase: LinkPhase, now: UnixMs) {
        let before = self.phase();
        self.phase.store(phase as u8, Relaxed);
        self.moved.notify_one();
        if phase == LinkPhase::Connected {
            self.down_since.set(None);
            *self.last_error.lock() = None;
        } else if before == LinkPhase::Connected {
            self.down_since.set(Some(now));
        }
    }

    /// Where the link stands.
    pub fn phase(&self) -> LinkPhase {
        LinkPhase::ALL.get(usize::from(self.phase.load(Relaxed))).copied().unwrap_or_default()
    }

    /// Waits until the link has moved on; at once if it has since this was last waited for. For one task.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Where the link stands towards this master: nowhere yet, while it has not heard that it is to leave another one.
    pub fn phase_towards(&self, host: &str, port: u16) -> LinkPhase {
        let followed = self.master();
        // It takes the new name behind the end of the old link's phase.
        let another = !followed.host.is_empty() && (followed.host != host || followed.port != port);
        if another { LinkPhase::Connect } else { self.phase() }
    }

    /// The stream flows.
    pub fn is_up(&self) -> bool {
        self.phase() == LinkPhase::Connected
    }

    /// Since when the stream does not flow; `None` while it does and before it ever did.
    pub fn down_since(&self) -> Option<UnixMs> {
        self.down_since.get()
    }

    /// The link is about to follow this master.
    pub fn set_master(&self, host: &str, port: u16) {
        *self.master.lock() = MasterName { host: host.to_owned(), port };
    }

    /// The master that the link follows or tries to reach.
    pub fn master(&self) -> MasterName {
        self.master.lock().clone()
    }

    /// Why the last try failed, for people; never a secret. Cleared when the link is up.
    pub fn set_last_error(&self, why: impl Into<String>) {
        *self.last_error.lock() = Some(why.into());
    }

    /// Why the last try failed.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }

    /// Ids of the remoras above, the nearest first, as the master tells them. They are kept while the link is down, as
    /// long as the same master is to be followed.
    pub fn set_above(&self, ids: Vec<String>) {
        let mut above = self.above.lock();
        if above[..] != ids[..] {
            *above = ids.into();
        }
    }

    /// The remoras above: another allocation after each change. A sub-replica that was told of others must be told
    /// anew, as rings are found by it.
    pub fn above(&self) -> Arc<[String]> {
        Arc::clone(&self.above.lock())
    }

    /// Bytes came from the master (of any kind: this is what `repl-timeout` looks at).
    pub fn read(&self, bytes: u64, now: UnixMs) {
        self.bytes_in.fetch_add(bytes, Relaxed);
        self.last_io.set(Some(now));
    }

    /// Bytes went to the master.
    pub fn wrote(&self, bytes: u64) {
        self.bytes_out.fetch_add(bytes, Relaxed);
    }

    /// When bytes last came from the master.
    pub fn last_io(&self) -> Option<UnixMs> {
        self.last_io.get()
    }

    /// Bytes read from masters since the start.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Relaxed)
    }

    /// Bytes written to masters since the start.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Relaxed)
    }

    /// The stream has been received up to here.
    pub fn set_received(&self, offset: Offset) {
        self.received.store(offset.0, Relaxed);
    }

    /// The stream has been received up to here.
    pub fn received(&self) -> Offset {
        Offset(self.received.load(Relaxed))
    }

    /// The stream has been applied up to here, with so many more commands.
    pub fn set_applied(&self, offset: Offset, commands: u64) {
        self.applied.store(offset.0, Relaxed);
        self.applied_commands.fetch_add(commands, Relaxed);
    }

    /// The stream has been applied up to here.
    pub fn applied(&self) -> Offset {
        Offset(self.applied.load(Relaxed))
    }

    /// Commands of the stream applied since the start.
    pub fn applied_commands(&self) -> u64 {
        self.applied_commands.load(Relaxed)
    }

    /// This offset was acknowledged.
    pub fn set_acked(&self, offset: Offset) {
        self.acked.store(offset.0, Relaxed);
    }

    /// The offset acknowledged last.
    pub fn acked(&self) -> Offset {
        Offset(self.acked.load(Relaxed))
    }

    /// A full sync begins, of a snapshot of this size where it is known.
    pub fn sync_begins(&self, total_bytes: Option<u64>, now: UnixMs) {
        self.sync_total.store(total_bytes.unwrap_or(0), Relaxed);
        self.sync_read.store(0, Relaxed);
        self.sync_loaded.store(0, Relaxed);
        self.sync_keys.store(0, Relaxed);
        self.sync_started.set(Some(now));
    }

    /// The snapshot's size has become known.
    pub fn sync_total(&self, bytes: u64) {
        self.sync_total.store(bytes, Relaxed);
    }

    /// More bytes of the snapshot have arrived.
    pub fn sync_read(&self, bytes: u64) {
        self.sync_read.fetch_add(bytes, Relaxed);
    }

    /// The loader stands here: bytes and keys since the sync began.
    pub fn sync_loaded(&self, bytes: u64, keys: u64) {
        self.sync_loaded.store(bytes, Relaxed);
        self.sync_keys.store(keys, Relaxed);
    }

    /// The full sync under way, or the last one.
    pub fn sync(&self) -> SyncProgress {
        SyncProgress {
            total_bytes: Some(self.sync_total.load(Relaxed)).filter(|n| *n > 0),
            read_bytes: self.sync_read.load(Relaxed),
            loaded_bytes: self.sync_loaded.load(Relaxed),
            keys: self.sync_keys.load(Relaxed),
            started: self.sync_started.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_is_down_since_the_cut_and_not_since_the_last_try() {
        let link = LinkStatus::default();
        assert_eq!((link.phase(), link.down_since()), (LinkPhase::Connect, None));
        let moves = [
            (LinkPhase::Connecting, 1, None),
            (LinkPhase::Sync, 2, None),
            (LinkPhase::Connected, 3, None),
            (LinkPhase::Connect, 4, Some(4)),
            (LinkPhase::Handshake, 5, Some(4)),
            (LinkPhase::Connected, 6, None),
        ];
        for (phase, at, down_since) in moves {
            link.set_phase(phase, UnixMs(at));
            assert_eq!((link.phase(), link.down_since()), (phase, down_since.map(UnixMs)), "{phase:?}");
        }
    }

    #[test]
    fn a_second_sync_starts_from_zero() {
        let link = LinkStatus::default();
        link.sync_begins(Some(100), UnixMs(1));
        link.sync_read(60);
        link.sync_loaded(50, 3);
        let first = link.sync();
        assert_eq!((first.total_bytes, first.read_bytes, first.loaded_bytes, first.keys), (Some(100), 60, 50, 3));
        link.sync_begins(None, UnixMs(9));
        let second = SyncProgress { started: Some(UnixMs(9)), ..SyncProgress::default() };
        assert_eq!(link.sync(), second);
    }
}
