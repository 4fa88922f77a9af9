//! Per-client state without the socket, and what commands about the server can reach.

use super::clients::{Client, Clients, Member};
use crate::config::{LiveConfig, Master};
use crate::hub::{Hub, Kind, Subscriber};
use crate::position::DbIndex;
use crate::resp::reply::{Proto, Reply};
use crate::status::Status;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

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
}

impl Session {
    /// A connection that was just accepted; `authenticated` if no password is wanted.
    pub fn new(client: Member, authenticated: bool) -> Self {
        Self { client, db: DbIndex(0), proto: Proto::Resp2, authenticated, listening: false, subscriber: None }
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
}

impl Server {
    /// The server of a process that starts to follow `master`.
    pub fn new(config: Arc<LiveConfig>, status: Arc<Status>, master: Master) -> Self {
        let hub = Arc::new(Hub::new(Arc::clone(&config), Arc::clone(&status)));
        Self { config, status, clients: Arc::default(), hub, master: watch::Sender::new(master) }
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
}
