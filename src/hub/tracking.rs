//! Client-side caching: which client has read which key, and who wants to hear of every key with a prefix.
//!
//! As in the servers there is one table for all databases: a key that changes in one is invalid by its name. A key is
//! told once and then forgotten until it is read again.

use super::Hub;
use super::mailbox::Mailbox;
use crate::clock::UnixMs;
use crate::resp::reply::{Proto, Reply};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

/// Where RESP2 clients hear of invalid keys.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// How a client wants to track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackingOptions {
    /// Hears of all keys with its prefixes, whether it has read them or not.
    pub bcast: bool,
    /// Only what is read behind CLIENT CACHING YES is remembered.
    pub optin: bool,
    /// What is read behind CLIENT CACHING NO is not remembered.
    pub optout: bool,
    /// Does not want to hear of what it changes itself: nothing, here.
    pub noloop: bool,
    /// Another client that gets the messages; 0 is none.
    pub redirect: u64,
}

/// Counts for INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackingCounts {
    /// Clients that track.
    pub clients: usize,
    /// Keys that are remembered.
    pub keys: usize,
    /// Pairs of a key and a client.
    pub items: usize,
    /// Prefixes of clients that hear of all.
    pub prefixes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Tracking {
    clients: AtomicUsize,
    /// When the next remembered key expires, milliseconds; `i64::MAX` if none does.
    next_expiry: AtomicI64,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    clients: BTreeMap<u64, Listener>,
    keys: BTreeMap<Box<[u8]>, Remembered>,
    items: usize,
    prefixes: BTreeMap<Box<[u8]>, Prefix>,
    expiring: BTreeSet<(UnixMs, Box<[u8]>)>,
}

/// Where a client's messages go.
#[derive(Debug)]
struct Listener {
    mailbox: Arc<Mailbox>,
    redirect: Option<(u64, Weak<Mailbox>)>,
}

#[derive(Debug, Default)]
struct Remembered {
    clients: SmallVec<[u64; 2]>,
    expiry: Option<UnixMs>,
}

#[derive(Debug, Default)]
struct Prefix {
    clients: BTreeSet<u64>,
    /// Keys that changed in this batch.
    changed: BTreeSet<Box<[u8]>>,
}

impl Tracking {
    pub(super) fn is_any(&self) -> bool {
        self.clients.load(Relaxed) > 0
    }

    pub(super) fn counts(&self) -> TrackingCounts {
        let table = self.table.lock();
        TrackingCounts {
            clients: table.clients.len(),
            keys: table.keys.len(),
            items: table.items,
            prefixes: table.prefixes.len(),
        }
    }

    /// A key was changed: who has read it hears of it now, who listens to prefixes at the end of the batch.
    pub(super) fn invalidate(&self, hub: &Hub, key: &[u8], now: UnixMs) {
        if !self.is_any() {
            return;
        }
        let mut table = self.table.lock();
        let Table { prefixes, .. } = &mut *table;
        for (prefix, state) in prefixes.iter_mut().filter(|(prefix, _)| key.starts_with(prefix)) {
            debug_assert!(key.starts_with(prefix));
            state.changed.insert(key.into());
        }
        table.forget_and_tell(hub, key, now);
        self.schedule(&table);
    }

    /// Everything is invalid.
    pub(super) fn invalidate_all(&self, hub: &Hub, now: UnixMs) {
        if !self.is_any() {
            return;
        }
        let mut table = self.table.lock();
        table.keys.clear();
        table.expiring.clear();
        table.items = 0;
        self.schedule(&table);
        table.clients.values().for_each(|listener| listener.tell(hub, None, now));
    }

    /// Tells what a batch has changed to those who listen to prefixes: one message for each prefix.
    pub(super) fn broadcast(&self, hub: &Hub, now: UnixMs) {
        if !self.is_any() {
            return;
        }
        let mut table = self.table.lock();
        let Table { prefixes, clients, .. } = &mut *table;
        for state in prefixes.values_mut().filter(|state| !state.changed.is_empty()) {
            let changed = std::mem::take(&mut state.changed);
            let keys: Vec<&[u8]> = changed.iter().map(|key| &key[..]).collect();
            for listener in state.clients.iter().filter_map(|id| clients.get(id)) {
                listener.tell(hub, Some(&keys), now);
            }
        }
    }

    /// Tells of keys that have expired: for a client they are gone, whenever the master deletes them. In the very
    /// millisecond of its expiry a key is still there.
    pub(super) fn expire(&self, hub: &Hub, now: UnixMs) {
        if self.next_expiry.load(Relaxed) >= now.0 || !self.is_any() {
            return;
        }
        let mut table = self.table.lock();
        while let Some((_, key)) = table.expiring.first().filter(|(at, _)| *at < now).cloned() {
            table.forget_and_tell(hub, &key, now);
        }
        self.schedule(&table);
    }

    fn schedule(&self, table: &Table) {
        self.next_expiry.store(table.expiring.first().map_or(i64::MAX, |(at, _)| at.0), Relaxed);
    }

    fn remember(&self, hub: &Hub, id: u64, key: &[u8], expiry: Option<UnixMs>, now: UnixMs) {
        let most = hub.config.get().tracking_table_max_keys;
        let mut table = self.table.lock();
        table.remember(id, key, expiry);
        while most > 0 && table.keys.len() > most {
            let Some(key) = table.some_key() else { break };
            table.forget_and_tell(hub, &key, now);
        }
        self.schedule(&table);
    }
}

impl Table {
    fn remember(&mut self, id: u64, key: &[u8], expiry: Option<UnixMs>) {
        if !self.keys.contains_key(key) {
            self.keys.insert(key.into(), Remembered::default());
        }
        let Some(remembered) = self.keys.get_mut(key) else { return };
        if !remembered.clients.contains(&id) {
            remembered.clients.push(id);
            self.items += 1;
        }
        let sooner = [remembered.expiry, expiry].into_iter().flatten().min();
        if sooner != remembered.expiry {
            if let Some(old) = remembered.expiry {
                self.expiring.remove(&(old, key.into()));
            }
            self.expiring.extend(sooner.map(|at| (at, key.into())));
            remembered.expiry = sooner;
        }
    }

    /// Takes a key out of the table and tells those who have read it.
    fn forget_and_tell(&mut self, hub: &Hub, key: &[u8], now: UnixMs) {
        let Some(remembered) = self.keys.remove(key) else { return };
        self.items -= remembered.clients.len();
        if let Some(at) = remembered.expiry {
            self.expiring.remove(&(at, key.into()));
        }
        for listener in remembered.clients.iter().filter_map(|id| self.clients.get(id)) {
            listener.tell(hub, Some(&[key]), now);
        }
    }

    /// Any key; by chance, so that a full table does not always lose the same ones.
    fn some_key(&self) -> Option<Box<[u8]>> {
        let from = fastrand::u64(..).to_be_bytes();
        let behind = (Bound::Included(&from[..]), Bound::Unbounded);
        let mut keys = self.keys.range::<[u8], _>(behind).chain(&self.keys);
        keys.next().map(|(key, _)| key.clone())
    }
}

impl Listener {
    /// Sends the keys that are invalid, `None` being all, in the form that the one who hears it understands.
    fn tell(&self, hub: &Hub, keys: Option<&[&[u8]]>, now: UnixMs) {
        let own = self.mailbox.proto();
        let Some((id, redirect)) = &self.redirect else {
            if own == Proto::Resp3 {
                hub.post_one(&self.mailbox, &mut invalidate(own, keys, own), now);
            }
            return;
        };
        match redirect.upgrade().filter(|mailbox| !mailbox.is_killed()) {
            Some(mailbox) if mailbox.proto() == Proto::Resp3 => {
                hub.post_one(&mailbox, &mut invalidate(Proto::Resp3, keys, own), now);
            }
            Some(mailbox) if mailbox.is_subscriber() => {
                hub.post_one(&mailbox, &mut invalidate(Proto::Resp2, keys, own), now);
            }
            Some(_) => {}
            None => self.tell_broken(hub, *id, now),
        }
    }

    fn tell_broken(&self, hub: &Hub, id: u64, now: UnixMs) {
        self.mailbox.set_redirect_broken();
        if self.mailbox.proto() == Proto::Resp3 {
            let mut reply = Reply::new(Proto::Resp3);
            reply.push(2);
            reply.bulk("tracking-redir-broken");
            reply.integer(i64::try_from(id).unwrap_or(i64::MAX));
            hub.post_one(&self.mailbox, reply.buffer_mut(), now);
        }
    }
}

/// In RESP3 a push of its own, in RESP2 a message of the channel. That all keys are meant is said in the version that
/// the tracking client speaks, whoever hears it (as redis 8.0).
fn invalidate(proto: Proto, keys: Option<&[&[u8]]>, own: Proto) -> Vec<u8> {
    let mut reply = Reply::new(proto);
    match proto {
        Proto::Resp3 => {
            reply.push(2);
            reply.bulk("invalidate");
        }
        Proto::Resp2 => {
            reply.push(3);
            reply.bulk("message");
            reply.bulk(CHANNEL);
        }
    }
    match keys {
        None => {
            reply.proto = own;
            reply.null();
        }
        Some(keys) => {
            reply.array(keys.len());
            keys.iter().for_each(|key| reply.bulk(key));
        }
    }
    std::mem::take(reply.buffer_mut())
}

/// One client's tracking; ends when dropped.
#[derive(Debug)]
pub struct Tracker {
    hub: Arc<Hub>,
    mailbox: Arc<Mailbox>,
    options: TrackingOptions,
    prefixes: BTreeSet<Box<[u8]>>,
    /// CLIENT CACHING was the command before.
    caching: bool,
}

impl Tracker {
    /// Tracks from now on. `redirect` is the mailbox of the client that the options name.
    pub fn new(
        hub: &Arc<Hub>,
        mailbox: &Arc<Mailbox>,
        options: TrackingOptions,
        redirect: Option<&Arc<Mailbox>>,
        prefixes: BTreeSet<Box<[u8]>>,
    ) -> Self {
        hub.tracking.clients.fetch_add(1, Relaxed);
        let (hub, mailbox) = (Arc::clone(hub), Arc::clone(mailbox));
        let mut tracker =
            Self { hub, mailbox, options: options.clone(), prefixes: BTreeSet::new(), caching: false };
        tracker.change(options, redirect, prefixes);
        tracker
    }

    /// Tracks otherwise from now on; what was read stays remembered. `prefixes` are added to those of before.
    pub fn change(
        &mut self,
        options: TrackingOptions,
        redirect: Option<&Arc<Mailbox>>,
        prefixes: BTreeSet<Box<[u8]>>,
    ) {
        let listener = Listener {
            mailbox: Arc::clone(&self.mailbox),
            redirect: redirect.map(|mailbox| (mailbox.id, Arc::downgrade(mailbox))),
        };
        let mut table = self.hub.tracking.table.lock();
        table.clients.insert(self.mailbox.id, listener);
        for prefix in &prefixes {
            table.prefixes.entry(prefix.clone()).or_default().clients.insert(self.mailbox.id);
        }
        drop(table);
        self.mailbox.set_tracking(Some(&options));
        self.prefixes.extend(prefixes);
        self.options = options;
    }

    /// How it tracks.
    pub fn options(&self) -> &TrackingOptions {
        &self.options
    }

    /// Prefixes of a client that hears of all, in order.
    pub fn prefixes(&self) -> &BTreeSet<Box<[u8]>> {
        &self.prefixes
    }

    /// Was CLIENT CACHING the command before?
    pub fn is_caching(&self) -> bool {
        self.caching
    }

    /// CLIENT CACHING, or the end of the command behind it.
    pub fn set_caching(&mut self, caching: bool) {
        self.caching = caching;
    }

    /// What enters the keys that the present command reads; `None` if they are not to be remembered.
    pub fn memory(&self) -> Option<Memory> {
        let TrackingOptions { bcast, optin, optout, .. } = self.options;
        let remembers = !bcast && (!optin || self.caching) && (!optout || !self.caching);
        remembers.then(|| Memory { hub: Arc::clone(&self.hub), client: self.mailbox.id })
    }
}

/// Enters the keys that one command of a client reads, be it on another thread.
#[derive(Clone, Debug)]
pub struct Memory {
    hub: Arc<Hub>,
    client: u64,
}

impl Memory {
    /// The client has read a key, which expires then. Must be called under the entry of the gate under which it was
    /// read.
    pub fn remember(&self, key: &[u8], expiry: Option<UnixMs>, now: UnixMs) {
        self.hub.tracking.remember(&self.hub, self.client, key, expiry, now);
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.mailbox.set_tracking(None);
        let id = self.mailbox.id;
        let mut table = self.hub.tracking.table.lock();
        table.clients.remove(&id);
        for prefix in &self.prefixes {
            if let Some(state) = table.prefixes.get_mut(prefix) {
                state.clients.remove(&id);
                if state.clients.is_empty() {
                    table.prefixes.remove(prefix);
                }
            }
        }
        // Keys that it has read stay until they change, as in the servers; nobody is told then. The last one out
        // leaves nothing behind.
        if table.clients.is_empty() {
            *table = Table::default();
        }
        drop(table);
        self.hub.tracking.clients.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{hub, mail};
    use super::*;

    fn client(hub: &Arc<Hub>, id: u64, options: TrackingOptions, prefixes: &[&str]) -> (Tracker, Arc<Mailbox>) {
        let mailbox = Arc::new(Mailbox::new(id));
        mailbox.set_proto(Proto::Resp3);
        let prefixes = prefixes.iter().map(|prefix| prefix.as_bytes().into()).collect();
        (Tracker::new(hub, &mailbox, options, None, prefixes), mailbox)
    }

    fn memory(tracker: &Tracker) -> Memory {
        tracker.memory().expect("it remembers")
    }

    #[test]
    fn a_key_is_told_once_to_those_who_have_read_it() {
        let hub = hub();
        let (a, a_box) = client(&hub, 1, TrackingOptions::default(), &[]);
        let (b, b_box) = client(&hub, 2, TrackingOptions::default(), &[]);
        memory(&a).remember(b"k", None, UnixMs(0));
        memory(&b).remember(b"other", None, UnixMs(0));
        for _ in 0..2 {
            hub.tracking.invalidate(&hub, b"k", UnixMs(0));
        }
        assert_eq!(mail(&a_box), ">2 $10 invalidate *1 $1 k ");
        assert!(!b_box.has_mail());
        hub.flushed(UnixMs(0));
        assert_eq!(mail(&b_box), ">2 $10 invalidate _ ");
        let expected = TrackingCounts { clients: 2, ..TrackingCounts::default() };
        assert_eq!(hub.tracking.counts(), expected);
    }

    #[test]
    fn prefixes_are_told_together_at_the_end() {
        let hub = hub();
        let bcast = TrackingOptions { bcast: true, ..TrackingOptions::default() };
        let (_a, a_box) = client(&hub, 1, bcast.clone(), &["foo:", "bar:"]);
        let (_b, b_box) = client(&hub, 2, bcast, &[""]);
        for key in ["foo:2", "foo:1", "bar:1", "x"] {
            hub.tracking.invalidate(&hub, key.as_bytes(), UnixMs(0));
        }
        assert!(!a_box.has_mail());
        hub.tracking.broadcast(&hub, UnixMs(0));
        assert_eq!(mail(&a_box), ">2 $10 invalidate *1 $5 bar:1 >2 $10 invalidate *2 $5 foo:1 $5 foo:2 ");
        assert_eq!(mail(&b_box), ">2 $10 invalidate *4 $5 bar:1 $5 foo:1 $5 foo:2 $1 x ");
    }

    #[test]
    fn a_key_that_expires_is_told_then() {
        let hub = hub();
        let (a, a_box) = client(&hub, 1, TrackingOptions::default(), &[]);
        memory(&a).remember(b"late", Some(UnixMs(200)), UnixMs(0));
        memory(&a).remember(b"soon", Some(UnixMs(100)), UnixMs(0));
        hub.tick(UnixMs(100));
        assert!(!a_box.has_mail());
        hub.tick(UnixMs(101));
        assert_eq!(mail(&a_box), ">2 $10 invalidate *1 $4 soon ");
        hub.tracking.invalidate(&hub, b"late", UnixMs(150));
        a_box.take(&mut Vec::new());
        hub.tick(UnixMs(300));
        assert!(!a_box.has_mail(), "told once");
    }

    #[test]
    fn a_full_table_forgets_and_tells() {
        let hub = hub();
        hub.config.change(|config| config.tracking_table_max_keys = 2);
        let (a, a_box) = client(&hub, 1, TrackingOptions::default(), &[]);
        for key in ["a", "b", "c"] {
            memory(&a).remember(key.as_bytes(), None, UnixMs(0));
        }
        assert_eq!((hub.tracking.counts().keys, hub.tracking.counts().items), (2, 2));
        assert!(mail(&a_box).starts_with(">2 $10 invalidate *1 $1 "));
    }

    #[test]
    fn messages_go_where_they_are_redirected_to() {
        let hub = hub();
        let (own, target) = (Arc::new(Mailbox::new(1)), Arc::new(Mailbox::new(2)));
        own.set_proto(Proto::Resp3);
        let options = TrackingOptions { redirect: 2, ..TrackingOptions::default() };
        let tracker = Tracker::new(&hub, &own, options, Some(&target), BTreeSet::new());
        memory(&tracker).remember(b"k", None, UnixMs(0));
        hub.tracking.invalidate(&hub, b"k", UnixMs(0));
        assert!(!target.has_mail(), "a RESP2 client that is not subscribed cannot hear it");
        target.set_proto(Proto::Resp3);
        memory(&tracker).remember(b"k", None, UnixMs(0));
        hub.tracking.invalidate(&hub, b"k", UnixMs(0));
        assert_eq!(mail(&target), ">2 $10 invalidate *1 $1 k ");
        target.kill();
        memory(&tracker).remember(b"k", None, UnixMs(0));
        hub.tracking.invalidate(&hub, b"k", UnixMs(0));
        assert_eq!(mail(&own), ">2 $21 tracking-redir-broken :2 ");
    }
}
