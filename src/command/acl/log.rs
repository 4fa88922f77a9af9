//! ACL LOG: what was refused to whom, newest first, and how often of each kind.

use super::check::Denied;
use crate::clock::UnixMs;
use crate::command::connection::Portrait;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Events of the same kind within this time are one entry (as redis).
const SAME_WITHIN_MS: i64 = 60_000;
/// Entries looked at for one of the same kind (as redis).
const LOOKED_AT: usize = 10;

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Auth,
    Command,
    Key,
    Channel,
    Database,
}

impl Reason {
    /// The word that ACL LOG and INFO use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Command => "command",
            Self::Key => "key",
            Self::Channel => "channel",
            Self::Database => "database",
        }
    }
}

impl From<Denied> for Reason {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Command => Self::Command,
            Denied::Database(_) => Self::Database,
            Denied::Key(_) => Self::Key,
            Denied::Channel(_) => Self::Channel,
        }
    }
}

/// Something that was refused.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) reason: Reason,
    /// `toplevel`, `multi` or `lua`.
    pub(super) context: &'static str,
    /// The command, key or channel.
    pub(super) object: Vec<u8>,
    pub(super) user: Vec<u8>,
    /// The client as CLIENT LIST shows it.
    pub(super) client: Portrait,
    pub(super) at: UnixMs,
}

/// An entry: the last event of its kind, how many there were, and since when.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) event: Event,
    pub(super) count: u64,
    pub(super) id: u64,
    pub(super) created: UnixMs,
}

/// The log and the counters.
#[derive(Debug, Default)]
pub struct Log {
    entries: Mutex<VecDeque<Entry>>,
    next_id: AtomicU64,
    counts: [AtomicU64; 5],
}

impl Log {
    /// How often something was refused for this reason since the start.
    pub fn count(&self, reason: Reason) -> u64 {
        self.counts[reason as usize].load(Relaxed)
    }

    /// Counts an event and logs it, in at most `max` entries.
    pub(super) fn add(&self, event: Event, max: usize) {
        self.counts[event.reason as usize].fetch_add(1, Relaxed);
        let mut entries = self.entries.lock();
        let known = entries.iter().take(LOOKED_AT).position(|entry| entry.event.is_like(&event));
        match known.and_then(|at| entries.remove(at)) {
            Some(entry) => entries.push_front(Entry { event, count: entry.count + 1, ..entry }),
            None if max > 0 => {
                let id = self.next_id.fetch_add(1, Relaxed);
                entries.push_front(Entry { created: event.at, event, count: 1, id });
            }
            None => {}
        }
        entries.truncate(max);
    }

    /// The newest entries, at most `count`.
    pub(super) fn newest(&self, count: usize) -> Vec<Entry> {
        self.entries.lock().iter().take(count).cloned().collect()
    }

    /// ACL LOG RESET.
    pub(super) fn clear(&self) {
        self.entries.lock().clear();
    }
}

impl Event {
    fn is_like(&self, other: &Self) -> bool {
        self.reason == other.reason
            && self.context == other.context
            && (other.at.0 - self.at.0).abs() <= SAME_WITHIN_MS
            && self.object == other.object
            && self.user == other.user
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(reason: Reason, object: &str, at: i64) -> Event {
        let (user, client) = (b"u".to_vec(), Portrait::default());
        Event { reason, context: "toplevel", object: object.into(), user, client, at: UnixMs(at) }
    }

    #[test]
    fn the_same_within_a_minute_is_one_entry() {
        let log = Log::default();
        for (object, at) in [("a", 0), ("b", 1), ("a", 60_000), ("a", 120_001)] {
            log.add(event(Reason::Key, object, at), 10);
        }
        log.add(event(Reason::Command, "a", 120_002), 10);
        let seen: Vec<_> =
            log.newest(10).into_iter().map(|e| (e.event.object, e.count, e.id, e.created.0)).collect();
        let a = || b"a".to_vec();
        assert_eq!(seen, [(a(), 1, 3, 120_002), (a(), 1, 2, 120_001), (a(), 2, 0, 0), (b"b".to_vec(), 1, 1, 1)]);
        assert_eq!((log.count(Reason::Key), log.count(Reason::Command), log.count(Reason::Auth)), (4, 1, 0));
    }

    #[test]
    fn the_log_is_as_long_as_it_may_be() {
        let log = Log::default();
        (0..5).for_each(|n| log.add(event(Reason::Key, &n.to_string(), 0), 3));
        assert_eq!(log.newest(9).len(), 3);
        log.add(event(Reason::Key, "x", 0), 0);
        assert_eq!((log.newest(9).len(), log.count(Reason::Key)), (0, 6));
    }
}
