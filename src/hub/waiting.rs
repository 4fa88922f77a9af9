//! Clients that wait: for a key to change (XREAD BLOCK), or for the stream to reach an offset (WAITOFFSET).

use super::Hub;
use super::mailbox::Mailbox;
use crate::position::{DbIndex, Offset};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

type Waiters = BTreeMap<u64, Arc<Mailbox>>;
/// A key of a database.
type Place = (DbIndex, Box<[u8]>);
/// What nobody waits for.
const NOWHERE: u64 = u64::MAX;

/// Who waits for which key, and for which offset.
#[derive(Debug)]
pub(super) struct Waiting {
    clients: AtomicUsize,
    keys: Mutex<HashMap<Place, Waiters>>,
    /// The lowest offset that somebody waits for: what a batch of the stream is compared with.
    lowest: AtomicU64,
    offsets: Mutex<BTreeMap<(Offset, u64), Arc<Mailbox>>>,
}

impl Default for Waiting {
    fn default() -> Self {
        let lowest = AtomicU64::new(NOWHERE);
        Self { clients: AtomicUsize::new(0), keys: Mutex::default(), lowest, offsets: Mutex::default() }
    }
}

impl Waiting {
    /// Does anybody wait for a key?
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
            mailbox.look_again();
        }
    }

    /// Everybody who waits for a key looks again.
    pub(super) fn wake_all(&self) {
        self.keys.lock().values().flat_map(Waiters::values).for_each(|mailbox| mailbox.look_again());
    }

    /// Nobody waits for a key any more.
    pub(super) fn force_all(&self) {
        self.keys.lock().values().flat_map(Waiters::values).for_each(|mailbox| mailbox.force());
    }

    /// The stream is applied up to here: those who waited for it look, once.
    #[inline]
    pub(super) fn reached(&self, offset: Offset) {
        if offset.0 >= self.lowest.load(Relaxed) {
            self.wake_up_to(offset);
        }
    }

    /// Everybody who waits for an offset looks again, once.
    #[cold]
    pub(super) fn wake_up_to(&self, offset: Offset) {
        let mut offsets = self.offsets.lock();
        let later = offsets.split_off(&(offset.advanced(1), 0));
        let reached = std::mem::replace(&mut *offsets, later);
        self.set_lowest(&offsets);
        drop(offsets);
        reached.into_values().for_each(|mailbox| mailbox.look_again());
    }

    fn set_lowest(&self, offsets: &BTreeMap<(Offset, u64), Arc<Mailbox>>) {
        let lowest = offsets.first_key_value().map_or(NOWHERE, |((offset, _), _)| offset.0);
        self.lowest.store(lowest, Relaxed);
    }

    /// Keys that somebody waits for.
    pub(super) fn keys(&self) -> usize {
        self.keys.lock().len()
    }
}

/// What a client waits for.
#[derive(Debug)]
enum What {
    Keys(DbIndex, Vec<Box<[u8]>>),
    Offset(Offset),
}

/// One client's wait; ends when dropped.
#[derive(Debug)]
pub struct Wait {
    hub: Arc<Hub>,
    mailbox: Arc<Mailbox>,
    what: What,
}

impl Wait {
    /// Begins to wait for changes of keys. Must be called under the entry of the gate under which the keys were looked at:
    /// then no change is missed.
    pub fn for_keys<'a>(
        hub: &Arc<Hub>,
        mailbox: &Arc<Mailbox>,
        db: DbIndex,
        keys: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        let keys: Vec<Box<[u8]>> = keys.into_iter().map(Into::into).collect();
        Self::begin(hub, mailbox, What::Keys(db, keys))
    }

    /// Begins to wait for an offset; also woken when the history becomes another. Under the entry of the gate under which
    /// the offset was looked at.
    pub fn for_offset(hub: &Arc<Hub>, mailbox: &Arc<Mailbox>, offset: Offset) -> Self {
        Self::begin(hub, mailbox, What::Offset(offset))
    }

    fn begin(hub: &Arc<Hub>, mailbox: &Arc<Mailbox>, what: What) -> Self {
        mailbox.begin_wait();
        hub.status.clients.block();
        let wait = Self { hub: Arc::clone(hub), mailbox: Arc::clone(mailbox), what };
        if let What::Keys(db, keys) = &wait.what {
            hub.waiting.clients.fetch_add(1, Relaxed);
            let mut all = hub.waiting.keys.lock();
            for key in keys {
                all.entry((*db, key.clone())).or_default().insert(mailbox.id, Arc::clone(mailbox));
            }
        }
        wait.again();
        wait
    }

    /// Goes on waiting after a look in vain; who waits for an offset is woken once. Under the entry of the gate as at the
    /// beginning.
    pub fn again(&self) {
        if let What::Offset(offset) = self.what {
            let mut offsets = self.hub.waiting.offsets.lock();
            offsets.insert((offset, self.mailbox.id), Arc::clone(&self.mailbox));
            self.hub.waiting.set_lowest(&offsets);
        }
    }

    /// What was waited for when the time is over: an offset, or keys?
    pub fn is_for_offset(&self) -> bool {
        matches!(self.what, What::Offset(_))
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.mailbox.end_wait();
        let waiting = &self.hub.waiting;
        match &self.what {
            What::Keys(db, keys) => {
                let mut all = waiting.keys.lock();
                for key in keys {
                    let place = (*db, key.clone());
                    if let Some(waiters) = all.get_mut(&place) {
                        waiters.remove(&self.mailbox.id);
                        if waiters.is_empty() {
                            all.remove(&place);
                        }
                    }
                }
                drop(all);
                waiting.clients.fetch_sub(1, Relaxed);
            }
            What::Offset(offset) => {
                let mut offsets = waiting.offsets.lock();
                if offsets.remove(&(*offset, self.mailbox.id)).is_some() {
                    waiting.set_lowest(&offsets);
                }
            }
        }
        self.hub.status.clients.unblock();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Wake;
    use super::super::tests::hub;
    use super::*;

    #[test]
    fn who_waits_for_a_key_is_woken_by_its_change_alone() {
        let hub = hub();
        let mailbox = Arc::new(Mailbox::new(1));
        let wait = Wait::for_keys(&hub, &mailbox, DbIndex(2), [&b"a"[..], b"b", b"a"]);
        assert!(mailbox.is_waiting() && hub.waiting.keys() == 2);
        hub.waiting.wake(DbIndex(0), b"a");
        hub.waiting.wake(DbIndex(2), b"c");
        hub.reached(Offset(1 << 40));
        assert_eq!(mailbox.take_wake(), None);
        hub.waiting.wake(DbIndex(2), b"b");
        assert_eq!(mailbox.take_wake(), Some(Wake::Changed));
        assert_eq!((mailbox.take_wake(), hub.status.clients.blocked()), (None, 1));
        drop(wait);
        assert!(!mailbox.is_waiting() && !hub.waiting.is_any() && hub.waiting.keys() == 0);
        assert_eq!(hub.status.clients.blocked(), 0);
    }

    #[test]
    fn who_waits_for_an_offset_is_woken_once_when_it_is_reached() {
        let hub = hub();
        let [near, far, gone] = [1, 2, 3].map(|id| Arc::new(Mailbox::new(id)));
        let begin = |mailbox, offset| Wait::for_offset(&hub, mailbox, Offset(offset));
        let waits = [begin(&far, 200), begin(&near, 100)];
        drop(begin(&gone, 50));
        let lowest = || hub.waiting.lowest.load(Relaxed);
        assert_eq!((lowest(), hub.status.clients.blocked(), hub.waiting.is_any()), (100, 2, false));
        hub.reached(Offset(99));
        assert_eq!((near.take_wake(), far.take_wake()), (None, None));
        hub.reached(Offset(100));
        assert_eq!((near.take_wake(), far.take_wake(), lowest()), (Some(Wake::Changed), None, 200));
        hub.reached(Offset(150));
        assert_eq!((near.take_wake(), gone.take_wake()), (None, None));
        waits[1].again();
        assert_eq!(lowest(), 100);
        hub.history_changed();
        assert_eq!((near.take_wake(), far.take_wake()), (Some(Wake::Changed), Some(Wake::Changed)));
        drop(waits);
        assert_eq!((lowest(), hub.status.clients.blocked(), far.is_waiting()), (NOWHERE, 0, false));
    }
}
