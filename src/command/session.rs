//! Per-client state without the socket, and what commands about the server can reach.

use super::acl::{BadUsers, Login, User, Users};
use super::clients::{Client, Clients, Endpoint, Member};
use super::introduction::Introduction;
use super::pause::Pause;
use super::row::{Await, Until};
use super::scripting::desk::Scripts;
use super::server::Shutdown;
use super::table::Indexed;
use super::transaction::{Queue, Watched, Watching};
use crate::clock::UnixMs;
use crate::config::{LiveConfig, Master};
use crate::dataset::Dataset;
use crate::hub::{Hub, Kind, Monitor, Subscriber, Tracker, Wait};
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
    /// As whom it acts.
    login: Login,
    /// Speaks RESP2 and is subscribed to something: only few commands are allowed.
    listening: bool,
    subscriber: Option<Box<Subscriber>>,
    /// Replies are not sent.
    muted: Muted,
    /// It wants to be sent to the master instead of being answered (CLIENT CAPA redirect), unless it said READONLY.
    redirected: bool,
    readonly: bool,
    tracker: Option<Box<Tracker>>,
    monitor: Option<Monitor>,
    asked: Option<Box<Await>>,
    pending: Option<Box<Pending>>,
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
    /// A connection that was just accepted.
    pub fn new(client: Member, users: &Users) -> Self {
        let login = Login::new(users);
        client.set_user(login.user());
        Self {
            client,
            db: DbIndex(0),
            proto: Proto::Resp2,
            login,
            listening: false,
            subscriber: None,
            muted: Muted::No,
            redirected: false,
            readonly: false,
            tracker: None,
            monitor: None,
            asked: None,
            pending: None,
            executing: false,
            queue: None,
            watching: None,
            introduction: None,
            awaited: None,
        }
    }

    /// The session of a script's commands: nobody sees this client; it acts as `user` and starts in database `db`.
    pub fn of_script(users: &Users, user: &Arc<User>, db: DbIndex, now: UnixMs) -> Self {
        let mut session = Self::new(Arc::new(Clients::default()).join(Endpoint::default(), now), users);
        session.login.log_in(Arc::clone(user), users);
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
        self.login.is_authenticated()
    }

    /// Its user may do everything: no request needs to be checked.
    pub fn is_unlimited(&self) -> bool {
        self.login.is_unlimited()
    }

    /// As whom it acts.
    pub fn user(&self) -> &Arc<User> {
        self.login.user()
    }

    /// Looks again if the users have changed; to be called once a batch. A client whose user is gone is cut.
    pub fn follow_users(&mut self, users: &Users) {
        if !self.login.follow(users) {
            self.client.set_user(self.login.user());
            self.client.kill();
        }
    }

    /// It has proved to be this user.
    pub fn log_in(&mut self, user: Arc<User>, users: &Users) {
        self.login.log_in(user, users);
        self.client.set_user(self.login.user());
    }

    /// As if it had just connected.
    pub(super) fn log_out(&mut self, users: &Users) {
        self.login = Login::new(users);
        self.client.set_user(self.login.user());
    }

    /// Subscribed while it speaks RESP2, where a message cannot be told from a reply: only the commands marked
    /// `while_subscribed` may run.
    pub fn is_listening(&self) -> bool {
        self.listening
    }

    /// Not all commands are allowed: it is listening, or monitors.
    pub fn is_restricted(&self) -> bool {
        self.listening || self.monitor.is_some()
    }

    /// MONITOR; `false` if it did so already.
    pub(super) fn begin_monitor(&mut self, hub: &Arc<Hub>) -> bool {
        let begins = self.monitor.is_none();
        if begins {
            self.monitor = Some(Monitor::new(hub, self.client.mailbox()));
        }
        begins
    }

    /// Does it see every command?
    pub fn is_monitor(&self) -> bool {
        self.monitor.is_some()
    }

    pub(super) fn end_monitor(&mut self) {
        self.monitor = None;
    }

    /// Are the keys that it reads remembered, or may they be?
    pub fn is_tracking(&self) -> bool {
        self.tracker.is_some()
    }

    /// Its tracking, if it tracks.
    pub fn tracker(&self) -> Option<&Tracker> {
        self.tracker.as_deref()
    }

    /// Its tracking for changing.
    pub fn tracker_mut(&mut self) -> Option<&mut Tracker> {
        self.tracker.as_deref_mut()
    }

    /// Begins to track, or ends it. One that tracks already is changed instead.
    pub(super) fn track(&mut self, tracker: Option<Tracker>) {
        self.tracker = tracker.map(Box::new);
    }

    /// A request asks to wait; [`Session::begin_wait`] must follow.
    pub fn ask_to_wait(&mut self, asked: Await) -> After {
        self.asked = Some(Box::new(asked));
        After::Wait
    }

    /// Begins the wait that was asked for. To be called under the entry of the gate under which nothing was found.
    pub fn begin_wait(&mut self, hub: &Arc<Hub>, row: Indexed) {
        if let Some(asked) = self.asked.take() {
            let mailbox = self.client.mailbox();
            let wait = match &asked.until {
                Until::Changed(keys) => Wait::for_keys(hub, mailbox, self.db, keys.iter().map(Vec::as_slice)),
                Until::Reached(offset) => Wait::for_offset(hub, mailbox, *offset),
            };
            self.pending = Some(Box::new(Pending { asked: *asked, row, wait }));
        }
    }

    /// What it waits with; taken to end the wait.
    pub fn take_pending(&mut self) -> Option<Box<Pending>> {
        self.pending.take()
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

    /// The reply to the present request is not to be sent.
    pub fn is_muted(&self) -> bool {
        self.muted != Muted::No
    }

    /// A reply was left out: is the next one, too?
    pub fn left_out(&mut self) {
        self.muted = match self.muted {
            Muted::Twice => Muted::Once,
            Muted::Once | Muted::No => Muted::No,
            Muted::Always => Muted::Always,
        };
    }

    pub(super) fn set_muted(&mut self, muted: Muted) {
        self.muted = muted;
    }

    /// CLIENT REPLY SKIP: its own reply and the next one.
    pub(super) fn skip_replies(&mut self) {
        if self.muted != Muted::Always {
            self.muted = Muted::Twice;
        }
    }

    /// Writes, and reads without READONLY, are answered with the master's address.
    pub fn is_redirected(&self) -> bool {
        self.redirected
    }

    /// READONLY was said.
    pub fn is_readonly(&self) -> bool {
        self.readonly
    }

    pub(super) fn set_redirect(&mut self, on: bool) {
        self.redirected = on;
        self.client.set_redirect(on);
    }

    pub(super) fn set_readonly(&mut self, on: bool) {
        self.readonly = on;
        self.client.set_readonly(on);
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

/// A request that waits.
#[derive(Debug)]
pub struct Pending {
    /// What to ask again, and until when.
    pub asked: Await,
    /// The row that is asked.
    pub row: Indexed,
    /// The wait itself.
    pub wait: Wait,
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
    /// Who may do what.
    pub users: Users,
    /// CLIENT PAUSE.
    pub pause: Pause,
    /// Where scripts are handed in.
    pub scripts: Arc<Scripts>,
    /// SHUTDOWN.
    pub shutdown: Shutdown,
}

impl Server {
    /// The server of a process that starts to follow `master`. An error is about the users that the settings name.
    pub fn new(config: Arc<LiveConfig>, status: Arc<Status>, master: Master) -> Result<Self, BadUsers> {
        let users = Users::load(&config)?;
        let hub = Arc::new(Hub::new(Arc::clone(&config), Arc::clone(&status)));
        let master = watch::Sender::new(master);
        status.track_times(config.get().latency_tracking);
        let tracks = Arc::clone(&status);
        config.on_change(move |config| tracks.track_times(config.latency_tracking));
        Ok(Self {
            config,
            status,
            clients: Arc::default(),
            hub,
            master,
            watched: Arc::default(),
            users,
            pause: Pause::default(),
            scripts: Arc::default(),
            shutdown: Shutdown::default(),
        })
    }

    /// `REDIRECT host:port` of the master (as valkey 8.1).
    #[cold]
    pub fn redirection(&self) -> Refusal {
        let address = &self.master.borrow().address;
        Refusal::text(format!("REDIRECT {}:{}", address.host(), address.port()))
    }

    /// What a client that must not write hears of a write.
    pub fn refused_write(&self, client: &Client) -> Refusal {
        if client.is_redirected() { self.redirection() } else { Refusal::READ_ONLY }
    }
}

/// CLIENT REPLY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Muted {
    /// Replies are sent.
    #[default]
    No,
    /// All but this one.
    Once,
    /// All but this and the next one.
    Twice,
    /// None.
    Always,
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
    /// Waits for keys or an offset, then answers; the session has what is pending (XREAD BLOCK, WAITOFFSET).
    Wait,
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
            // PSYNC and SYNC cannot be queued, scripts of a transaction run inline, and nothing waits inside one.
            (
                Self::Continue | Self::Replicate | Self::Await | Self::Wait,
                Self::Continue | Self::Replicate | Self::Await | Self::Wait,
            ) => Self::Continue,
        }
    }
}
