//! One worker: a thread with its own runtime, its reader of the dataset, and the connections dealt to it.

use super::batch::Batch;
use super::connection::Connection;
use super::dispatch::Gates;
use crate::clock::UnixMs;
use crate::command::clients::ClientKind;
use crate::command::session::Server;
use crate::command::table;
use crate::config::Watch;
use crate::dataset::gate::Reader;
use crate::downstream::Downstream;
use crate::resp::reply::Reply;
use crate::socket::Accepted;
use crate::status::WorkerStats;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio::time::interval;

/// Room that one read of a socket is offered; shared by all connections of a worker.
pub(super) const READ_BYTES: usize = 64 * 1024;
/// A reply buffer bigger than this is given back after use.
pub(super) const REPLY_BYTES_KEPT: usize = 256 * 1024;

/// How often idle connections are looked for.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// What the connections of one worker share. Borrowed only inside one poll, never across an await.
pub(super) struct Shared {
    pub(super) reader: Reader,
    pub(super) stats: Arc<WorkerStats>,
    pub(super) config: Watch,
    pub(super) scratch: Box<[u8]>,
    pub(super) batch: Batch,
    pub(super) reply: Reply,
}

/// A worker as its connections see it, one `Rc` each: a count that threads share would be written by every request.
pub(super) struct Worker {
    pub(super) number: usize,
    pub(super) server: Arc<Server>,
    pub(super) downstream: Downstream,
    pub(super) shared: RefCell<Shared>,
}

/// A running worker: takes connections, and ends when its handle is dropped.
pub struct WorkerHandle(mpsc::UnboundedSender<Accepted>);

/// Starts worker number `number`; its thread can be waited for.
pub fn start_worker(
    number: usize,
    reader: Reader,
    server: Arc<Server>,
    downstream: Downstream,
) -> io::Result<(WorkerHandle, JoinHandle<()>)> {
    let (connections, accepted) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = move || {
        let stats = server.status.add_worker(table::rows().len());
        stats.run_on(number, runtime.metrics());
        let shared = Shared {
            reader,
            stats,
            config: server.config.watch(),
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            batch: Batch::default(),
            reply: Reply::default(),
        };
        let worker = Rc::new(Worker { number, server, downstream, shared: RefCell::new(shared) });
        LocalSet::new().block_on(&runtime, take_connections(worker, accepted));
    };
    let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(work)?;
    Ok((WorkerHandle(connections), thread))
}

/// Spawns a task for each connection that is dealt, and cuts the ones that are idle for too long; returns when the
/// handle is gone, and the rest is cut with the runtime.
async fn take_connections(worker: Rc<Worker>, mut accepted: mpsc::UnboundedReceiver<Accepted>) {
    let mut look = interval(IDLE_LOOK);
    loop {
        let accepted = tokio::select! {
            accepted = accepted.recv() => accepted,
            _ = look.tick() => {
                worker.cut_idle(UnixMs::now());
                continue;
            }
        };
        match accepted.map(Accepted::register) {
            None => return,
            Some(Ok(socket)) => drop(tokio::task::spawn_local(Connection::new(Rc::clone(&worker), socket).run())),
            Some(Err(error)) => {
                worker.server.status.clients.leave();
                tracing::warn!(%error, "a connection could not be taken");
            }
        }
    }
}

impl Worker {
    /// Cuts this worker's clients that have been silent for `timeout`.
    fn cut_idle(&self, now: UnixMs) {
        let limit_s = self.server.config.get().timeout_s;
        if limit_s == 0 {
            return;
        }
        let limit_ms = i64::try_from(limit_s.saturating_mul(1000)).unwrap_or(i64::MAX);
        for client in self.server.clients.all() {
            if client.endpoint.worker == self.number
                && client.kind() == ClientKind::Normal
                && now.0 - client.last_io().0 > limit_ms
            {
                client.kill();
            }
        }
    }
}

impl WorkerHandle {
    /// Deals a connection to this worker.
    pub(super) fn deal(&self, connection: Accepted) {
        drop(self.0.send(connection));
    }
}

impl Shared {
    /// What the checks before each request look at, as of now.
    pub(super) fn gates(&mut self, server: &Server) -> Gates {
        Gates {
            stale: server.status.stale(self.config.config().replica_serve_stale_data),
            paused: server.pause.now(UnixMs::now),
            monitored: server.hub.is_monitored(),
            compat: self.config.config().compat,
            uses: self.config.config().uses,
        }
    }
}
