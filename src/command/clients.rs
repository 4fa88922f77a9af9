//! Who is connected: what CLIENT LIST shows of each client, and the switch that CLIENT KILL turns.
//!
//! The connection's own thread writes a client's numbers with relaxed stores; any thread reads them. What other
//! threads have to say to it, the order to close included, goes through its [`Mailbox`].

use super::acl::User;
use super::transaction::Queue;
use crate::clock::UnixMs;
use crate::hub::{Kind, Mailbox};
use crate::position::DbIndex;
use crate::resp::reply::Proto;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

/// What is known of a connection when it is accepted.
#[derive(Clone, Debug, Default)]
pub struct Endpoint {
    /// `ip:port` of the peer; the socket's path and `:0` for a unix socket.
    pub addr: String,
    /// `ip:port` of our side.
    pub laddr: String,
    /// The file descriptor's number.
    pub fd: i32,
    /// The peer is on this machine: loopback or unix socket.
    pub local: bool,
    /// Connected through the unix socket.
    pub unix: bool,
    /// Which worker serves it.
    pub worker: usize,
}

/// One connected client.
#[derive(Debug)]
pub struct Client {
    /// Unique in this process, ascending.
    pub id: u64,
    /// When it was accepted.
    pub created: UnixMs,
    /// Where it comes from.
    pub endpoint: Endpoint,
    /// Number of the row it ran last; `u32::MAX` before the first.
    last_row: AtomicU32,
    last_io: AtomicI64,
    db: AtomicU32,
    resp: AtomicU8,
    no_evict: AtomicBool,
    no_touch: AtomicBool,
    /// As whom it acts; none before its session began.
    user: Mutex<Option<Arc<User>>>,
    /// Requests queued since MULTI; -1 outside.
    multi: AtomicI64,
    multi_bytes: AtomicU64,
    watching: AtomicU64,
    /// CLIENT CAPA redirect, and READONLY.
    redirect: AtomicBool,
    readonly: AtomicBool,
    /// Bytes that came and are not executed, and that wait to be sent.
    input: AtomicU64,
    output: AtomicU64,
    /// A watched key was touched: EXEC will answer null.
    touched: AtomicBool,
    sub_replica: AtomicBool,
    net_in: AtomicU64,
    net_out: AtomicU64,
    requests: AtomicU64,
    names: Mutex<Names>,
    mailbox: Arc<Mailbox>,
}

/// What a client says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: Vec<u8>,
    /// CLIENT SETINFO LIB-VER.
    pub lib_ver: Vec<u8>,
}

/// An add by the only writer, the connection's thread: no bus lock is needed.
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

impl Client {
    /// Bytes came from it.
    pub fn heard(&self, bytes: u64) {
        add(&self.net_in, bytes);
    }

    /// The connection has run a batch: so many requests, bytes of replies, last of all this row.
    pub fn ran(&self, now: UnixMs, requests: u64, written: u64, row: usize) {
        self.last_io.store(now.0, Relaxed);
        add(&self.requests, requests);
        add(&self.net_out, written);
        self.last_row.store(u32::try_from(row).unwrap_or(u32::MAX), Relaxed);
    }

    /// So many bytes went to it that were no replies.
    pub fn told(&self, bytes: u64) {
        add(&self.net_out, bytes);
    }

    /// It is a sub-replica from now on.
    pub fn become_sub_replica(&self) {
        self.sub_replica.store(true, Relaxed);
    }

    pub fn is_sub_replica(&self) -> bool {
        self.sub_replica.load(Relaxed)
    }

    /// A sub-replica gave a sign of life.
    pub fn lives(&self, now: UnixMs) {
        self.last_io.store(now.0, Relaxed);
    }

    /// When bytes last came from it.
    pub fn last_io(&self) -> UnixMs {
        UnixMs(self.last_io.load(Relaxed))
    }

    /// Number of the row it ran last.
    pub fn last_row(&self) -> Option<usize> {
        usize::try_from(self.last_row.load(Relaxed)).ok()
    }

    /// The selected database.
    pub fn db(&self) -> DbIndex {
        DbIndex(self.db.load(Relaxed))
    }

    pub(super) fn set_db(&self, db: DbIndex) {
        self.db.store(db.0, Relaxed);
    }

    /// 2 or 3.
    pub fn resp(&self) -> u8 {
        self.resp.load(Relaxed)
    }

    pub(super) fn set_proto(&self, proto: Proto) {
        self.resp.store(if proto == Proto::Resp3 { 3 } else { 2 }, Relaxed);
        self.mailbox.set_proto(proto);
    }

    /// What it says of itself.
    pub fn names(&self) -> Names {
        self.names.lock().clone()
    }

    pub(super) fn change_names(&self, change: impl FnOnce(&mut Names)) {
        change(&mut self.names.lock());
    }

    /// CLIENT NO-EVICT, shown without another meaning (nothing is evicted), and NO-TOUCH.
    pub(super) fn set_flags(&self, no_evict: Option<bool>, no_touch: Option<bool>) {
        if let Some(on) = no_evict {
            self.no_evict.store(on, Relaxed);
        }
        if let Some(on) = no_touch {
            self.no_touch.store(on, Relaxed);
        }
    }

    /// What it reads is no use of the keys.
    #[inline]
    pub fn is_no_touch(&self) -> bool {
        self.no_touch.load(Relaxed)
    }

    pub(super) fn set_user(&self, user: &Arc<User>) {
        *self.user.lock() = Some(Arc::clone(user));
    }

    /// The name under which it acts.
    pub fn user_name(&self) -> Box<[u8]> {
        self.user.lock().as_ref().map_or_else(|| b"default"[..].into(), |user| user.name.clone())
    }

    /// What is queued since MULTI.
    pub(super) fn set_multi(&self, queue: Option<&Queue>) {
        self.multi.store(queue.map_or(-1, |queue| queue.len() as i64), Relaxed);
        self.multi_bytes.store(queue.map_or(0, |queue| queue.cost() as u64), Relaxed);
    }

    /// Requests queued since MULTI (`None` outside) and their bytes.
    pub fn multi(&self) -> (Option<u64>, u64) {
        (u64::try_from(self.multi.load(Relaxed)).ok(), self.multi_bytes.load(Relaxed))
    }

    pub(super) fn set_watching(&self, keys: usize) {
        self.watching.store(keys as u64, Relaxed);
    }

    /// Keys that it watches; none once one was touched (as redis).
    pub fn watching(&self) -> u64 {
        self.watching.load(Relaxed)
    }

    /// A watched key was touched. Said inside the gate, as it is asked.
    pub(super) fn set_touched(&self) {
        self.touched.store(true, Relaxed);
        self.set_watching(0);
    }

    /// Was a watched key touched?
    pub fn is_touched(&self) -> bool {
        self.touched.load(Relaxed)
    }

    /// It watches nothing any more.
    pub(super) fn unwatched(&self) {
        self.touched.store(false, Relaxed);
        self.set_watching(0);
    }

    pub(super) fn set_redirect(&self, on: bool) {
        self.redirect.store(on, Relaxed);
    }

    pub(super) fn set_readonly(&self, on: bool) {
        self.readonly.store(on, Relaxed);
    }

    /// It wants to be sent to the master where a write is refused.
    pub fn is_redirected(&self) -> bool {
        self.redirect.load(Relaxed)
    }

    /// The letters of what it said that it can (CLIENT CAPA).
    pub fn capabilities(&self) -> &'static str {
        if self.is_redirected() { "r" } else { "" }
    }

    /// What its connection holds between two batches.
    pub fn set_buffers(&self, input: usize, output: usize) {
        self.input.store(input as u64, Relaxed);
        self.output.store(output as u64, Relaxed);
    }

    /// Bytes that came and are not executed, and that wait to be sent.
    pub fn buffers(&self) -> (u64, u64) {
        (self.input.load(Relaxed), self.output.load(Relaxed))
    }

    /// The letters of `flags=`.
    pub fn flags(&self) -> String {
        let mailbox = &self.mailbox;
        let letters = [
            (self.is_sub_replica(), 'S'),
            (mailbox.is_monitor(), 'O'),
            (mailbox.is_subscriber(), 'P'),
            (self.multi().0.is_some(), 'x'),
            (mailbox.is_waiting(), 'b'),
            (mailbox.is_tracking(), 't'),
            (mailbox.is_redirect_broken(), 'R'),
            (mailbox.is_broadcast_to(), 'B'),
            (self.is_touched(), 'd'),
            (self.endpoint.unix, 'U'),
            (self.readonly.load(Relaxed), 'r'),
            (self.no_evict.load(Relaxed), 'e'),
            (self.no_touch.load(Relaxed), 'T'),
        ];
        let set: String = letters.iter().filter(|(on, _)| *on).map(|(_, letter)| *letter).collect();
        if set.is_empty() { "N".into() } else { set }
    }

    /// Bytes read, bytes written, requests.
    pub fn traffic(&self) -> (u64, u64, u64) {
        (self.net_in.load(Relaxed), self.net_out.load(Relaxed), self.requests.load(Relaxed))
    }

    /// Its class, as filters and output limits know it.
    pub fn kind(&self) -> ClientKind {
        match (self.is_sub_replica(), self.mailbox.is_subscriber()) {
            (true, _) => ClientKind::Replica,
            (false, true) => ClientKind::Pubsub,
            (false, false) => ClientKind::Normal,
        }
    }

    /// Channels, patterns and shard channels that it is subscribed to.
    pub fn subscriptions(&self) -> [usize; Kind::COUNT] {
        [Kind::Channel, Kind::Pattern, Kind::Shard].map(|kind| self.mailbox.subscriptions(kind))
    }

    /// What other threads have to say to it.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Asks the connection to close, and wakes it.
    pub fn kill(&self) {
        self.mailbox.kill();
    }

    /// Was it asked to close?
    pub fn is_killed(&self) -> bool {
        self.mailbox.is_killed()
    }
}

/// The classes that filters know. The master's connection is not in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// Asks and is answered.
    Normal,
    /// A sub-replica.
    Replica,
    /// Is subscribed to something.
    Pubsub,
    /// The master.
    Master,
}

/// How many locks the clients are spread over.
const SHARDS: u64 = 16;

/// All connected clients.
#[derive(Debug, Default)]
pub struct Clients {
    next_id: AtomicU64,
    shards: [Mutex<BTreeMap<u64, Arc<Client>>>; SHARDS as usize],
}

impl Clients {
    /// Adds a client that was just accepted. It leaves when the answer is dropped.
    pub fn join(self: &Arc<Self>, endpoint: Endpoint, now: UnixMs) -> Member {
        let id = self.next_id.fetch_add(1, Relaxed) + 1;
        let client = Arc::new(Client {
            id,
            created: now,
            endpoint,
            last_row: AtomicU32::new(u32::MAX),
            last_io: AtomicI64::new(now.0),
            db: AtomicU32::new(0),
            resp: AtomicU8::new(2),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            user: Mutex::default(),
            multi: AtomicI64::new(-1),
            multi_bytes: AtomicU64::new(0),
            watching: AtomicU64::new(0),
            redirect: AtomicBool::new(false),
            readonly: AtomicBool::new(false),
            input: AtomicU64::new(0),
            output: AtomicU64::new(0),
            touched: AtomicBool::new(false),
            sub_replica: AtomicBool::new(false),
            net_in: AtomicU64::new(0),
            net_out: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            names: Mutex::default(),
            mailbox: Arc::new(Mailbox::new(id)),
        });
        self.shard(client.id).lock().insert(client.id, Arc::clone(&client));
        Member { clients: Arc::clone(self), client }
    }

    /// All clients by ascending id. Costs a copy of the list.
    pub fn all(&self) -> Vec<Arc<Client>> {
        let mut all: Vec<_> =
            self.shards.iter().flat_map(|s| s.lock().values().cloned().collect::<Vec<_>>()).collect();
        all.sort_unstable_by_key(|client| client.id);
        all
    }

    /// The client of this id.
    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.shard(id).lock().get(&id).cloned()
    }

    fn shard(&self, id: u64) -> &Mutex<BTreeMap<u64, Arc<Client>>> {
        &self.shards[(id % SHARDS) as usize]
    }
}

/// A client's membership; ends when dropped.
#[derive(Debug)]
pub struct Member {
    clients: Arc<Clients>,
    client: Arc<Client>,
}

impl std::ops::Deref for Member {
    type Target = Arc<Client>;

    fn deref(&self) -> &Arc<Client> {
        &self.client
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Whoever still has it knows that nobody reads its mail any more.
        self.client.kill();
        self.clients.shard(self.client.id).lock().remove(&self.client.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_come_and_go() {
        let clients = Arc::new(Clients::default());
        let members: Vec<_> = (0..40).map(|_| clients.join(Endpoint::default(), UnixMs(1))).collect();
        let ids: Vec<u64> = clients.all().iter().map(|client| client.id).collect();
        assert_eq!(ids, (1..=40).collect::<Vec<_>>());
        drop(members);
        assert!(clients.all().is_empty() && clients.get(3).is_none());
    }
}
