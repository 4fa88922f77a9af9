//! The link to our master: one task that connects, resumes or loads, follows, and tries again.
//!
//! Owns the `Writer`, the only right to change the dataset. Comes in: bytes of one master at a time, and orders
//! (REPLICAOF). Goes out: the dataset behind the gate, acks, status. It must not know clients.

mod connect;
mod follow;
mod handshake;
mod loader;
mod probe;
mod report;
mod restore;
mod room;
mod sentinel;
mod snapshot;
mod wire;

use crate::clock::{self, UnixMs};
use crate::command::transaction::Watched;
use crate::config::{LiveConfig, Master, Watch};
use crate::dataset::Dataset;
use crate::dataset::gate::Writer;
use crate::hub::Hub;
use crate::position::{Offset, Position, ReplId};
use crate::rdb::LoadError;
use crate::repl::apply::Unapplied;
use crate::repl::backlog::Backlog;
use crate::repl::psync::{PsyncReply, Turned};
use crate::repl::retry::{Backoff, Distrust, Verdict, diverged_pause};
use crate::repl::stream::Stream;
use crate::resp::request::RequestError;
use crate::tls::{self, Tls};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use wire::Wire;

pub use loader::Reaper;
pub use probe::probe_master;
pub use report::Report;
pub use sentinel::watch_sentinels;

/// Why an attempt or a standing link ended.
#[derive(Debug)]
pub enum LinkError {
    /// No connection.
    Connect(std::io::Error),
    /// TLS with the master failed: its certificate, ours, or no TLS at all.
    Tls(String),
    /// The connection broke.
    Io(std::io::Error),
    /// The master closed the connection.
    Closed,
    /// Nothing came for `repl-timeout`.
    Silent,
    /// The master said no.
    Turned(Turned),
    /// The master follows us, itself or through others, by what it told of the remoras above it.
    Ring,
    /// The master said something that makes no sense at this point.
    Unexpected { step: &'static str, line: String },
    /// The snapshot cannot be loaded.
    Snapshot(LoadError),
    /// The stream is no stream of commands.
    Stream(RequestError),
    /// A command cannot be applied.
    Unapplied(Unapplied),
}

impl LinkError {
    /// A standing connection broke. With TLS 1.3 a master refuses our certificate only after the handshake.
    fn broken(error: std::io::Error) -> Self {
        tls::explain(&error).map_or(Self::Io(error), Self::Tls)
    }

    /// A short word for metrics and INFO.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::Io(_) => "io",
            Self::Closed => "closed",
            Self::Silent => "timeout",
            Self::Turned(Turned::Loading(_)) => "loading",
            Self::Turned(Turned::NoMasterLink(_)) => "nomasterlink",
            Self::Turned(Turned::Credentials(_)) => "credentials",
            Self::Turned(Turned::Permission(_)) => "permission",
            Self::Turned(_) => "refused",
            Self::Ring => "ring",
            Self::Unexpected { .. } => "protocol",
            Self::Snapshot(_) => "snapshot",
            Self::Stream(_) => "stream",
            Self::Unapplied(_) => "unapplied",
        }
    }
}

impl std::fmt::Display for LinkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "no connection: {error}"),
            Self::Tls(why) => write!(f, "TLS with the master failed: {why}"),
            Self::Io(error) => write!(f, "the connection broke: {error}"),
            Self::Closed => f.write_str("the master closed the connection"),
            Self::Silent => f.write_str("nothing came from the master for repl-timeout"),
            Self::Turned(turned) => turned.fmt(f),
            Self::Ring => {
                f.write_str("the master is this remora, or follows it: nobody in this ring has data of a master")
            }
            Self::Unexpected { step, line } => write!(f, "unexpected answer to {step}: {line}"),
            Self::Snapshot(error) => write!(f, "the snapshot was refused: {error}"),
            Self::Stream(error) => write!(f, "the stream makes no sense: {error}"),
            Self::Unapplied(unapplied) => unapplied.fmt(f),
        }
    }
}

/// What the link shares with other threads.
pub struct Ties {
    /// Certificates and keys towards the master.
    pub tls: Arc<Tls>,
    /// Takes messages for subscribers.
    pub hub: Arc<Hub>,
    /// Is told of every change, for WATCH.
    pub watched: Arc<Watched>,
    /// What sub-replicas are fed from.
    pub backlog: Arc<Backlog>,
}

/// The link with everything it owns.
pub struct Link {
    writer: Writer,
    config: Arc<LiveConfig>,
    /// The same, for whoever looks at each batch.
    settings: Watch,
    tls: Arc<Tls>,
    report: Report,
    hub: Arc<Hub>,
    reaper: Reaper,
    /// Told of every change.
    watched: Arc<Watched>,
    /// What sub-replicas are fed from.
    backlog: Arc<Backlog>,
    /// What the feeder was told of.
    published: Offset,
    /// Received and not yet applied; emptied at each new attempt.
    stream: Stream,
    /// A dataset of a master is in place: reads are served, a partial resync can be asked.
    loaded: bool,
    /// The copy cannot be trusted: ask for everything.
    distrusted: bool,
    distrust: Distrust,
    /// When the link last became connected.
    connected_at: Option<Instant>,
}

impl Link {
    /// A link that has not tried anything yet.
    pub fn new(writer: Writer, config: Arc<LiveConfig>, report: Report, reaper: Reaper, ties: Ties) -> Self {
        let Ties { tls, hub, watched, backlog } = ties;
        Self {
            writer,
            settings: config.watch(),
            config,
            tls,
            report,
            hub,
            reaper,
            watched,
            backlog,
            published: Offset::default(),
            stream: Stream::default(),
            loaded: false,
            distrusted: false,
            distrust: Distrust::default(),
            connected_at: None,
        }
    }

    /// Follows the master that `masters` names until the task is dropped. Every fault ends in a state that INFO shows
    /// and in another try after a wait; another name ends the present attempt at once.
    pub async fn run(mut self, mut masters: watch::Receiver<Master>) {
        let mut backoff = Backoff::default();
        self.restore().await;
        loop {
            let master = masters.borrow_and_update().clone();
            if !master.is_known() {
                // The Sentinels have not named it yet. Without a sender nothing will come, nor will it end.
                if masters.changed().await.is_err() {
                    return;
                }
                continue;
            }
            self.report.following(&master);
            self.hub.set_master(&format!("{}:{}", master.address.host(), master.address.port()));
            let fault = tokio::select! {
                error = self.attempt(&master) => Some(error),
                _ = masters.changed() => None,
            };
            let wait = fault.map(|error| self.after_fault(&error, &mut backoff));
            let turned = match wait {
                None => true,
                Some(wait) => tokio::time::timeout(wait, masters.changed()).await.is_ok(),
            };
            if turned {
                self.turn_away(&mut backoff);
            }
        }
    }

    /// Another master is to be followed from now on.
    fn turn_away(&mut self, backoff: &mut Backoff) {
        tracing::info!("following another master");
        self.report.disconnected();
        self.report.below(Vec::new());
        self.hub.master_changed();
        self.distrust.forget();
        self.connected_at = None;
        backoff.reset();
    }

    /// One attempt, from connecting until a fault.
    async fn attempt(&mut self, master: &Master) -> LinkError {
        self.stream = Stream::default();
        self.connected_at = None;
        let ended = self.try_once(master).await;
        self.publish();
        match ended {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn try_once(&mut self, master: &Master) -> Result<std::convert::Infallible, LinkError> {
        let config = self.config.get();
        self.report.connecting();
        let io = connect::connect(master, &config, &self.tls).await?;
        let mut wire = Wire::new(io, Duration::from_secs(config.repl_timeout_s.max(1)));
        let have = (self.loaded && !self.distrusted).then(|| self.writer.peek(|data| data.position));
        self.report.handshaking(have.is_some());
        let above = handshake::introduce(&mut wire, master, &config).await?;
        if above.iter().any(|id| id == self.report.run_id()) {
            self.report.below(Vec::new());
            return Err(LinkError::Ring);
        }
        self.report.below(above);
        match handshake::ask(&mut wire, have.as_ref()).await? {
            PsyncReply::Full { replid, offset } => self.full_resync(&mut wire, replid, offset).await?,
            PsyncReply::Continue { .. } if have.is_none() => {
                let line = "+CONTINUE, of which nothing is here".to_string();
                return Err(LinkError::Unexpected { step: "PSYNC ? -1", line });
            }
            PsyncReply::Continue { replid } => {
                let position = self.continue_as(replid);
                tracing::info!(replid = %position.replid, offset = %position.offset, "partial resync");
                self.report.partially_synced(&position);
                let rest = wire.take_unread();
                self.stream.extend(&rest);
            }
        }
        self.connected_at = Some(clock::instant());
        self.follow(&mut wire).await
    }

    /// The history goes on, maybe under another id. Sub-replicas are cut then: they come back with the old id, get
    /// `+CONTINUE` with the new one, and so learn it.
    fn continue_as(&mut self, replid: Option<ReplId>) -> Position {
        let backlog = &self.backlog;
        let position = self.writer.apply(|data| {
            let before = data.position;
            data.position = replid.map_or(before, |id| before.continued_as(id));
            if data.position.replid != before.replid {
                backlog.cut_all("new-id");
            }
            data.position
        });
        backlog.publish(position.offset);
        self.hub.history_changed();
        position
    }

    /// Puts another dataset in place in one step, for readers and sub-replicas: the latter are cut and have to resync.
    /// Answers the old one.
    fn install(&mut self, dataset: Dataset) -> Dataset {
        let (backlog, watched, offset) = (&self.backlog, &self.watched, dataset.position.offset);
        let old = self.writer.replace(dataset, |old, new| {
            backlog.reset(offset, "full-resync");
            if !watched.is_empty() {
                watched.replaced(old, |db| new.db(db), UnixMs::now());
            }
        });
        backlog.publish(offset);
        self.hub.replaced(UnixMs::now());
        old
    }

    /// Logs a fault, once, and says how long to wait before the next try.
    fn after_fault(&mut self, error: &LinkError, backoff: &mut Backoff) -> Duration {
        let stood = self.connected_at.map_or(Duration::ZERO, |at| clock::instant() - at);
        let mut wait = backoff.after_fault(stood, fastrand::f64());
        if let LinkError::Unapplied(unapplied) = error {
            self.distrusted = true;
            let verdict = self.distrust.unapplied(&unapplied.command);
            let lasting = verdict == Verdict::Diverged;
            self.report.unapplied(&unapplied.command, unapplied.to_string(), lasting);
            if lasting {
                wait = diverged_pause(fastrand::f64());
            }
            tracing::error!(error = %error, retry_ms = wait.as_millis(), lasting, "diverged from the master");
        } else {
            tracing::warn!(error = %error, retry_ms = wait.as_millis(), "link to the master is down");
        }
        if matches!(error, LinkError::Stream(_)) {
            self.distrusted = true;
        }
        self.report.fault(error);
        wait
    }
}
