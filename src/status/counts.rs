//! Counters that INFO shows since the last CONFIG RESETSTAT. What keeps them goes on counting, since `/metrics` shows them
//! since the start; what was there at the reset is taken off.

use super::Status;
use std::sync::atomic::Ordering::Relaxed;

/// What connections, links and saves have brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Clients that were admitted.
    pub accepted: u64,
    /// Clients that were refused.
    pub rejected: u64,
    /// Clients that were cut because they did not read.
    pub cut: u64,
    /// Bytes from the master.
    pub link_in: u64,
    /// Bytes to the master.
    pub link_out: u64,
    /// Bytes to sub-replicas.
    pub downstream_out: u64,
    /// Full syncs of sub-replicas.
    pub syncs_full: u64,
    /// Partial syncs of sub-replicas.
    pub syncs_partial: u64,
    /// Full syncs among them that had asked for a partial one.
    pub syncs_refused: u64,
    /// Snapshots of ours that were saved.
    pub saves: u64,
}

impl Status {
    /// Counted since the last [`Status::reset`].
    pub fn counts(&self) -> Counts {
        self.lifetime_counts().since(&self.counts_before.lock())
    }

    pub(super) fn lifetime_counts(&self) -> Counts {
        let Self { clients, link, downstream, saves, .. } = self;
        Counts {
            accepted: clients.accepted(),
            rejected: clients.rejected(),
            cut: clients.evicted(),
            link_in: link.bytes_in(),
            link_out: link.bytes_out(),
            downstream_out: downstream.bytes_out(),
            syncs_full: downstream.syncs.of("full"),
            syncs_partial: downstream.syncs.of("partial"),
            syncs_refused: downstream.partial_refused.load(Relaxed),
            saves: saves.results.of("ok"),
        }
    }
}

impl Counts {
    fn since(self, before: &Self) -> Self {
        let since = |now: u64, before: u64| now.saturating_sub(before);
        Self {
            accepted: since(self.accepted, before.accepted),
            rejected: since(self.rejected, before.rejected),
            cut: since(self.cut, before.cut),
            link_in: since(self.link_in, before.link_in),
            link_out: since(self.link_out, before.link_out),
            downstream_out: since(self.downstream_out, before.downstream_out),
            syncs_full: since(self.syncs_full, before.syncs_full),
            syncs_partial: since(self.syncs_partial, before.syncs_partial),
            syncs_refused: since(self.syncs_refused, before.syncs_refused),
            saves: since(self.saves, before.saves),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;

    #[test]
    fn a_reset_takes_off_what_was_counted_and_the_counters_go_on() {
        let status = Status::new(UnixMs(0));
        let happens = || {
            assert!(status.clients.admit(9));
            status.clients.count_evicted();
            status.downstream.wrote(7);
            status.downstream.syncs.count("full");
            status.downstream.partial_refused.fetch_add(1, Relaxed);
            status.saves.results.count("ok");
        };
        happens();
        happens();
        status.reset(UnixMs(0));
        assert_eq!(status.counts(), Counts::default());
        happens();
        let once = Counts {
            accepted: 1,
            cut: 1,
            downstream_out: 7,
            syncs_full: 1,
            syncs_refused: 1,
            saves: 1,
            ..Counts::default()
        };
        assert_eq!((status.counts(), status.clients.accepted()), (once, 3));
    }
}
