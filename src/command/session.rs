//! Per-client state without the socket, and what commands about the server can reach.

use super::clients::{Client, Clients, Endpoint, Member};
use super::introduction::Introduction;
use super::scripting::desk::Scripts;
use super::transaction::{Queue, Watched, Watching};
use crate::clock::UnixMs;
use crate::config::{LiveConfig, Master};
use crate::dataset::Dataset;
use crate::hub::{Hub, Kind, Subscriber};
use crate::position::DbIndex;
use crate::resp::refusal::Refusal;
use crate::resp::reply::{Proto, Reply};
use crate::status::Status;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// The state of one client connection. What others may see of it is kept in step in [`Client`].
#[derive(Debug)]
pub struct Session {
    client: Member,
    db: DbIndex,
    proto: Proto,
    authenticated: bool,
    /// Speaks RESP2 and is subscribed to something: only few commands are allowed.
    listening: bool,
    subscriber: Option<Box<Subscriber>>,
    /// The queue of EXEC is running: nothing may make the client wait.
    executing: bool,
    /// What is queued since MULTI.
    queue: Option<Box<Queue>>,
    watching: Option<Box<Watching>>,
    introduction: Option<Box<Introduction>>,
    /// The reply to the last request comes from another thread, through this.
    awaited: Option<oneshot::Receiver<Vec<u8>>>,
}

impl Session {
    /// A connection that was just accepted; `authenticated` if no password is wanted.
    pub fn new(client: Member, authenticated: bool) -> Self {
        Self {
            client,
            db: DbIndex(0),
            proto: Proto::Resp2,
            authenticated,
            listening: false,
            subscriber: None,
            executing: false,
            queue: None,
            watching: None,
            introduction: None,
            awaited: None,
        }
    }

    /// The session of a script's commands: nobody sees this client, and it starts in database `db`.
    pub fn of_script(db: DbIndex, now: UnixMs) -> Self {
        let mut session = Self::new(Arc::new(Clients::default()).join(Endpoint::default(), now), true);
        session.executing = true;
        session.select(db);
        session
    }

    /// What others see of this client, and its kill switch.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// CLIENT ID, unique in this process.
    pub fn id(&self) -> u64 {
        self.client.id
    }

    /// Selected database.
    pub fn db(&self) -> DbIndex {
        self.db
    }

    /// RESP2 or RESP3.
    pub fn proto(&self) -> Proto {
        self.proto
    }

    /// AUTH succeeded or was not needed.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// Subscribed while it speaks RESP2, where a message cannot be told from a reply: only the commands marked
    /// `while_subscribed` may run.
    pub fn is_listening(&self) -> bool {
        self.listening
    }

    /// Moves what other threads have said into `out`; to be called between two replies.
    pub fn deliver_mail(&self, out: &mut Reply) {
        let mailbox = self.client.mailbox();
        if mailbox.has_mail() {
            mailbox.take(out.buffer_mut());
        }
    }

    /// Its subscriptions for changing; made at the first use. [`Session::subscriptions_changed`] must follow.
    pub(super) fn subscriber(&mut self, hub: &Arc<Hub>) -> &mut Subscriber {
        let client = &self.client;
        self.subscriber
            .get_or_insert_with(|| Box::new(Subscriber::new(Arc::clone(hub), Arc::clone(client.mailbox()))))
    }

    pub(super) fn subscriptions_changed(&mut self) {
        self.subscriber = self.subscriber.take().filter(|subscriber| subscriber.is_any());
        self.listening = self.proto == Proto::Resp2 && self.subscriber.is_some();
    }

    /// The names that it is subscribed to.
    pub(super) fn subscribed(&self, kind: Kind) -> Vec<Box<[u8]>> {
        self.subscriber.iter().flat_map(|subscriber| subscriber.names(kind)).map(Into::into).collect()
    }

    /// Ends all subscriptions.
    pub(super) fn unsubscribe_all(&mut self) {
        self.subscriber = None;
        self.listening = false;
    }

    /// What it has said of itself as a replica.
    pub(super) fn introduction(&mut self) -> &mut Introduction {
        self.introduction.get_or_insert_default()
    }

    /// The session ends because the connection becomes a sub-replica's.
    pub fn into_sub_replica(self) -> (Member, Introduction) {
        (self.client, self.introduction.map_or_else(Introduction::default, |introduction| *introduction))
    }

    /// The reply that the connection has to wait for.
    pub fn take_awaited(&mut self) -> Option<oneshot::Receiver<Vec<u8>>> {
        self.awaited.take()
    }

    pub(super) fn wait_for(&mut self, reply: oneshot::Receiver<Vec<u8>>) {
        self.awaited = Some(reply);
    }

    pub(super) fn select(&mut self, db: DbIndex) {
        self.db = db;
        self.client.set_db(db);
    }

    pub(super) fn speak(&mut self, proto: Proto) {
        self.proto = proto;
        self.client.set_proto(proto);
        self.subscriptions_changed();
    }

    pub(super) fn set_authenticated(&mut self, yes: bool) {
        self.authenticated = yes;
    }

    /// Between MULTI and EXEC: requests are queued.
    pub fn is_in_multi(&self) -> bool {
        self.queue.is_some()
    }

    /// A queue runs: what would wait for something answers as if the time for it had passed.
    pub fn is_executing(&self) -> bool {
        self.executing
    }

    /// This queue, taken from the session, is about to run; others still see it.
    pub fn begin_exec(&mut self, queue: &Queue) {
        self.executing = true;
        self.client.set_multi(Some(queue));
    }

    /// The queue was run.
    pub fn end_exec(&mut self) {
        self.executing = false;
        self.client.set_multi(None);
    }

    /// What is queued since MULTI.
    pub fn queue(&self) -> Option<&Queue> {
        self.queue.as_deref()
    }

    /// Changes the queue, if there is one.
    pub fn change_queue<R>(&mut self, change: impl FnOnce(&mut Queue) -> R) -> Option<R> {
        let queue = self.queue.as_mut()?;
        let result = change(queue);
        self.client.set_multi(Some(queue));
        Some(result)
    }

    /// MULTI.
    pub(super) fn begin_queue(&mut self) {
        self.queue = Some(Box::default());
        self.change_queue(|_| ());
    }

    /// Ends MULTI; answers what was queued.
    pub fn take_queue(&mut self) -> Option<Box<Queue>> {
        self.client.set_multi(None);
        self.queue.take()
    }

    /// WATCH of one key.
    pub(super) fn watch(
        &mut self,
        registry: &Arc<Watched>,
        data: &Dataset,
        db: DbIndex,
        key: &[u8],
        now: UnixMs,
    ) -> Result<(), Refusal> {
        // A transaction that will fail need not watch more (as redis).
        if self.client.is_touched() {
            return Ok(());
        }
        let client = &self.client;
        self.watching.get_or_insert_with(|| Box::new(Watching::new(registry, client))).add(data, db, key, now)
    }

    /// Was a watched key touched?
    pub(super) fn is_touched(&self, data: &Dataset, now: UnixMs) -> bool {
        self.watching.as_ref().is_some_and(|watching| watching.is_touched(data, now))
    }

    /// Watches nothing any more.
    pub fn unwatch(&mut self) {
        self.watching = None;
    }
}

/// What commands about the server can reach; one per process.
#[derive(Debug)]
pub struct Server {
    /// The settings, live.
    pub config: Arc<LiveConfig>,
    /// The numbers.
    pub status: Arc<Status>,
    /// Who is connected.
    pub clients: Arc<Clients>,
    /// Who listens to what.
    pub hub: Arc<Hub>,
    /// The master to follow. REPLICAOF changes it; the link holds the receiver and goes where it says.
    pub master: watch::Sender<Master>,
    /// Which keys clients watch; the link tells it what changes.
    pub watched: Arc<Watched>,
    /// Where scripts are handed in.
    pub scripts: Arc<Scripts>,
}

impl Server {
    /// The server of a process that starts to follow `master`.
    pub fn new(config: Arc<LiveConfig>, status: Arc<Status>, master: Master) -> Self {
        let hub = Arc::new(Hub::new(Arc::clone(&config), Arc::clone(&status)));
        let master = watch::Sender::new(master);
        Self {
            config,
            status,
            clients: Arc::default(),
            hub,
            master,
            watched: Arc::default(),
            scripts: Arc::default(),
        }
    }
}

/// What the connection does once the reply is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum After {
    /// Goes on.
    #[default]
    Continue,
    /// Goes on, after what the command has put into its own client's mailbox (a subscriber that publishes: its
    /// message comes behind the reply).
    Deliver,
    /// Closes when all has been sent (QUIT, CLIENT KILL of itself).
    Close,
    /// Waits before it sends the reply and looks at the next request (DEBUG SLEEP). Nobody else waits.
    Sleep(Duration),
    /// Gives the connection to the feeder: it is a sub-replica's from here on (PSYNC, SYNC).
    Replicate,
    /// Waits for the reply that another thread gives ([`Session::take_awaited`]), then looks at the next request.
    Await,
}

impl After {
    /// What two requests of one transaction ask for together.
    #[must_use]
    pub fn and(self, next: Self) -> Self {
        match (self, next) {
            (Self::Close, _) | (_, Self::Close) => Self::Close,
            (Self::Sleep(a), Self::Sleep(b)) => Self::Sleep(a.saturating_add(b)),
            (Self::Sleep(time), _) | (_, Self::Sleep(time)) => Self::Sleep(time),
            (Self::Deliver, _) | (_, Self::Deliver) => Self::Deliver,
            // PSYNC and SYNC cannot be queued, and scripts of a transaction run inline.
            (Self::Continue | Self::Replicate | Self::Await, Self::Continue | Self::Replicate | Self::Await) => {
                Self::Continue
            }
        }
    }
}
