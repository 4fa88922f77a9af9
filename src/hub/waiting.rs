//! Clients that wait for a key to change: XREAD BLOCK.

use super::Hub;
use super::mailbox::Mailbox;
use crate::position::DbIndex;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

type Waiters = BTreeMap<u64, Arc<Mailbox>>;
/// A key of a database.
type Place = (DbIndex, Box<[u8]>);

/// Who waits for which key.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    clients: AtomicUsize,
    keys: Mutex<HashMap<Place, Waiters>>,
}

impl Waiting {
    pub(super) fn is_any(&self) -> bool {
        self.clients.load(Relaxed) > 0
    }

    /// A key was changed: those who wait for it look again.
    pub(super) fn wake(&self, db: DbIndex, key: &[u8]) {
        if !self.is_any() {
            return;
        }
        let keys = self.keys.lock();
        for mailbox in keys.get(&(db, key.into())).into_iter().flat_map(Waiters::values) {
            mailbox.key_changed();
        }
    }

    /// Everybody looks again.
    pub(super) fn wake_all(&self) {
        self.keys.lock().values().flat_map(Waiters::values).for_each(|mailbox| mailbox.key_changed());
    }

    /// Keys that somebody waits for.
    pub(super) fn keys(&self) -> usize {
        self.keys.lock().len()
    }
}

/// One client's wait; ends when dropped.
#[derive(Debug)]
pub struct Wait {
    hub: Arc<Hub>,
    mailbox: Arc<Mailbox>,
    db: DbIndex,
    keys: Vec<Box<[u8]>>,
}

impl Wait {
    /// Begins to wait. Must be called under the entry of the gate under which the keys were looked at: then no change
    /// is missed.
    pub fn new<'a>(
        hub: &Arc<Hub>,
        mailbox: &Arc<Mailbox>,
        db: DbIndex,
        keys: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        let keys: Vec<Box<[u8]>> = keys.into_iter().map(Into::into).collect();
        mailbox.begin_wait();
        hub.waiting.clients.fetch_add(1, Relaxed);
        let mut all = hub.waiting.keys.lock();
        for key in &keys {
            all.entry((db, key.clone())).or_default().insert(mailbox.id, Arc::clone(mailbox));
        }
        drop(all);
        hub.status.clients.block();
        Self { hub: Arc::clone(hub), mailbox: Arc::clone(mailbox), db, keys }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.mailbox.end_wait();
        let mut all = self.hub.waiting.keys.lock();
        for key in self.keys.drain(..) {
            let key = (self.db, key);
            if let Some(waiters) = all.get_mut(&key) {
                waiters.remove(&self.mailbox.id);
                if waiters.is_empty() {
                    all.remove(&key);
                }
            }
        }
        drop(all);
        self.hub.waiting.clients.fetch_sub(1, Relaxed);
        self.hub.status.clients.unblock();
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::hub;
    use super::*;

    #[test]
    fn who_waits_for_a_key_is_woken_by_its_change_alone() {
        let hub = hub();
        let mailbox = Arc::new(Mailbox::new(1));
        let wait = Wait::new(&hub, &mailbox, DbIndex(2), [&b"a"[..], b"b", b"a"]);
        assert!(mailbox.is_waiting() && hub.waiting.keys() == 2);
        hub.waiting.wake(DbIndex(0), b"a");
        hub.waiting.wake(DbIndex(2), b"c");
        assert_eq!(mailbox.take_wake(), None);
        hub.waiting.wake(DbIndex(2), b"b");
        assert_eq!(mailbox.take_wake(), Some(super::super::Wake::Changed));
        assert_eq!((mailbox.take_wake(), hub.status.clients.blocked()), (None, 1));
        drop(wait);
        assert!(!mailbox.is_waiting() && !hub.waiting.is_any() && hub.waiting.keys() == 0);
        assert_eq!(hub.status.clients.blocked(), 0);
    }
}
