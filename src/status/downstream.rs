//! Sub-replicas as others see them. Written by `downstream` and, for the backlog, by the link.

use super::{Moment, Tally};
use crate::clock::UnixMs;
use crate::position::Offset;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};

/// Where a sub-replica stands. The words are those of INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum SubReplicaPhase {
    /// Its snapshot has not begun.
    #[default]
    WaitSnapshot,
    /// Its snapshot is being sent.
    SendSnapshot,
    /// It is fed with the stream, or will be with its first acknowledgement.
    Online,
}

impl SubReplicaPhase {
    const ALL: [Self; 3] = [Self::WaitSnapshot, Self::SendSnapshot, Self::Online];

    /// The word in INFO.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WaitSnapshot => "wait_bgsave",
            Self::SendSnapshot => "send_bulk",
            Self::Online => "online",
        }
    }
}

/// One sub-replica's numbers.
#[derive(Debug, Default)]
pub struct SubReplica {
    /// The number of its connection.
    pub id: u64,
    /// The address it announced, or the one it came from.
    pub ip: String,
    /// The port it announced; 0 if it did not.
    pub port: u32,
    phase: AtomicU8,
    acked: AtomicU64,
    acked_at: Moment,
    sent: AtomicU64,
    waiting_bytes: AtomicU64,
}

impl SubReplica {
    /// A sub-replica that just came.
    pub fn new(id: u64, ip: String, port: u32) -> Self {
        Self { id, ip, port, ..Self::default() }
    }

    /// It has moved on.
    pub fn set_phase(&self, phase: SubReplicaPhase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// Where it stands.
    pub fn phase(&self) -> SubReplicaPhase {
        SubReplicaPhase::ALL.get(usize::from(self.phase.load(Relaxed))).copied().unwrap_or_default()
    }

    /// It has acknowledged this offset.
    pub fn set_acked(&self, offset: Offset, now: UnixMs) {
        self.acked.store(offset.0, Relaxed);
        self.acked_at.set(Some(now));
    }

    /// What it has acknowledged; 0 before.
    pub fn acked(&self) -> Offset {
        Offset(self.acked.load(Relaxed))
    }

    /// Whole seconds since it acknowledged anything; 0 while it is not online, as the servers show it.
    pub fn lag_s(&self, now: UnixMs) -> i64 {
        let online = self.phase() == SubReplicaPhase::Online;
        self.acked_at.get().filter(|_| online).map_or(0, |at| (now.0 - at.0).max(0) / 1000)
    }

    /// The stream was sent up to here, and so many bytes wait to be sent.
    pub fn set_sent(&self, offset: Offset, waiting_bytes: u64) {
        self.sent.store(offset.0, Relaxed);
        self.waiting_bytes.store(waiting_bytes, Relaxed);
    }

    /// The stream was sent up to here.
    pub fn sent(&self) -> Offset {
        Offset(self.sent.load(Relaxed))
    }

    /// Bytes that wait to be sent.
    pub fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes.load(Relaxed)
    }
}

/// What is kept of the stream.
#[derive(Debug, Default)]
pub struct BacklogNumbers {
    active: AtomicBool,
    first: AtomicU64,
    bytes: AtomicU64,
}

impl BacklogNumbers {
    /// The first byte kept, and how many are.
    pub fn set(&self, first: u64, bytes: u64) {
        self.first.store(first, Relaxed);
        self.bytes.store(bytes, Relaxed);
        self.active.store(true, Relaxed);
    }

    /// There is a history.
    pub fn is_active(&self) -> bool {
        self.active.load(Relaxed)
    }

    /// Offset of the first byte kept; 0 before any history.
    pub fn first(&self) -> Offset {
        Offset(self.first.load(Relaxed))
    }

    /// Bytes kept.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

/// All sub-replicas, and what was done for them.
#[derive(Debug, Default)]
pub struct DownstreamStatus {
    all: Mutex<Vec<Arc<SubReplica>>>,
    /// The kept part of the stream.
    pub backlog: BacklogNumbers,
    /// Syncs asked for by sub-replicas, by what they got: `full`, `partial`, `later`.
    pub syncs: Tally,
    /// Full syncs among them that had asked to continue.
    pub partial_refused: AtomicU64,
    /// Snapshots begun; several sub-replicas may share one.
    pub snapshots: AtomicU64,
    /// Sub-replicas that are gone, by reason.
    pub cuts: Tally,
    bytes_out: AtomicU64,
}

impl DownstreamStatus {
    /// A sub-replica came. It is listed until the answer is dropped by its owner and [`DownstreamStatus::left`].
    pub fn joined(&self, sub_replica: Arc<SubReplica>) {
        self.all.lock().push(sub_replica);
    }

    /// The sub-replica of this connection is gone.
    pub fn left(&self, id: u64) {
        self.all.lock().retain(|sub_replica| sub_replica.id != id);
    }

    /// All of them, in the order in which they came.
    pub fn all(&self) -> Vec<Arc<SubReplica>> {
        self.all.lock().clone()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.lock().len()
    }

    /// Bytes were written to sub-replicas.
    pub fn wrote(&self, bytes: u64) {
        self.bytes_out.fetch_add(bytes, Relaxed);
    }

    /// Bytes written to sub-replicas since the start.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_counted_from_the_last_acknowledgement_while_online() {
        let sub = SubReplica::new(7, "10.0.0.1".into(), 6379);
        assert_eq!((sub.phase().as_str(), sub.lag_s(UnixMs(9_000))), ("wait_bgsave", 0));
        sub.set_acked(Offset(5), UnixMs(1_000));
        assert_eq!(sub.lag_s(UnixMs(9_000)), 0);
        sub.set_phase(SubReplicaPhase::Online);
        assert_eq!((sub.phase().as_str(), sub.lag_s(UnixMs(9_900)), sub.acked()), ("online", 8, Offset(5)));
    }

    #[test]
    fn sub_replicas_come_and_go() {
        let status = DownstreamStatus::default();
        for id in [3, 5] {
            status.joined(Arc::new(SubReplica::new(id, String::new(), 0)));
        }
        status.left(3);
        assert_eq!((status.count(), status.all()[0].id), (1, 5));
    }
}
