//! Per-client state without the socket, and what commands about the server can reach.

use super::clients::{Client, Clients, Member};
use crate::config::{LiveConfig, Master};
use crate::position::DbIndex;
use crate::resp::reply::Proto;
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
}

impl Session {
    /// A connection that was just accepted; `authenticated` if no password is wanted.
    pub fn new(client: Member, authenticated: bool) -> Self {
        Self { client, db: DbIndex(0), proto: Proto::Resp2, authenticated }
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

    pub(super) fn select(&mut self, db: DbIndex) {
        self.db = db;
        self.client.set_db(db);
    }

    pub(super) fn speak(&mut self, proto: Proto) {
        self.proto = proto;
        self.client.set_proto(proto);
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
    /// The master to follow. REPLICAOF changes it; the link holds the receiver and goes where it says.
    pub master: watch::Sender<Master>,
}

impl Server {
    /// The server of a process that starts to follow `master`.
    pub fn new(config: Arc<LiveConfig>, status: Arc<Status>, master: Master) -> Self {
        Self { config, status, clients: Arc::default(), master: watch::Sender::new(master) }
    }
}

/// What the connection does once the reply is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum After {
    /// Goes on.
    #[default]
    Continue,
    /// Closes when all has been sent (QUIT, CLIENT KILL of itself).
    Close,
    /// Waits before it sends the reply and looks at the next request (DEBUG SLEEP). Nobody else waits.
    Sleep(Duration),
}
