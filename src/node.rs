//! Builds everything once, starts the threads, waits for the end, takes everything down in order.
//!
//! Threads: `link` (follows the master, the only writer), `worker-N` (clients), `loader` while a snapshot loads,
//! `reaper` (frees what is big), `feeder` (sub-replicas), and the caller's: accepting clients, probes and metrics,
//! signals.

use crate::admin::Admin;
use crate::clock::{self, UnixMs};
use crate::command::session::Server;
use crate::config::{Config, ConfigError, LiveConfig, Master};
use crate::dataset::Dataset;
use crate::dataset::gate::{Reader, Writer, gate};
use crate::descriptors;
use crate::disk::Saver;
use crate::downstream::Feeder;
use crate::hub::Hub;
use crate::position::{DbIndex, Offset, Position, ReplId};
use crate::progress::{self, Screen};
use crate::repl::backlog::Backlog;
use crate::script::{self, ScriptThread};
use crate::serve::{Listeners, WorkerHandle, serve, start_worker};
use crate::status::{LagLimits, Status};
use crate::tls::Tls;
use crate::upstream::{Link, Reaper, Report, Ties, probe_master, watch_sentinels};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// How often keys are looked for that have expired, and whether the data are too old.
const TICK_INTERVAL: Duration = Duration::from_millis(100);
/// How often rates are sampled.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the program until `stop` resolves or a client says SHUTDOWN. Errors are about starting (an address that cannot be
/// bound, a thread that cannot be made), or say that `stop` has cut the end after a SHUTDOWN short or that the last save
/// hangs. Must be called inside a runtime.
pub async fn run(
    config: Arc<LiveConfig>,
    master: Master,
    screen: &Screen,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    config.guard(descriptors::check);
    let settings = config.get();
    let status = Arc::new(Status::new(UnixMs::now()));
    let tls = start_tls(&config, &status)?;
    let listeners = Listeners::bind(&settings)?;

    let nowhere = Position::fresh(ReplId::ZERO, Offset(0), DbIndex(0));
    let empty = Dataset::new(settings.databases, nowhere, settings.encodings.into());
    let (writer, mut readers) = gate(empty, settings.io_threads.max(1) + 5);
    let backlog = backlog(&config, &status);
    let server = Arc::new(Server::new(config, Arc::clone(&status), master).map_err(io::Error::other)?);
    let admin = readers.pop().map(|reader| bind_admin(&settings, &server, reader)).transpose()?.flatten();
    let reader = readers.pop().expect("a reader for the feeder was made");
    let (feeder, downstream) = Feeder::start(reader, Arc::clone(&backlog), &server.config, Arc::clone(&status))?;
    let saver = readers.pop().map(|reader| start_saver(&settings, &server, reader)).transpose()?.flatten();
    let scripts = readers.pop().map(|reader| script::start(reader, Arc::clone(&server))).transpose()?;
    let greeter = readers.pop().expect("a reader for who accepts was made");
    let start = |(n, reader)| start_worker(n, reader, Arc::clone(&server), downstream.clone());
    let started: Vec<_> = readers.into_iter().enumerate().map(start).collect::<io::Result<_>>()?;
    let (workers, worker_threads): (Vec<WorkerHandle>, Vec<JoinHandle<()>>) = started.into_iter().unzip();
    let masters = server.master.subscribe();
    let link = LinkThread::start(writer, &server, backlog, masters, Arc::clone(&tls))?;

    for (address, encrypted) in listeners.addresses() {
        tracing::info!(%address, tls = encrypted, workers = workers.len(), "ready to take clients");
    }
    let mut stop = std::pin::pin!(stop);
    // `None`: not by a client.
    let unsaved = tokio::select! {
        failed = serve(listeners, workers, Arc::clone(&server), Arc::clone(&tls), greeter) => { failed?; None }
        () = serve_admin(admin) => None,
        () = sample(&status) => None,
        () = refresh(&tls, &server.config) => None,
        () = tick(&server.hub) => None,
        () = judge_lag(&server) => None,
        never = probe_master(Arc::clone(&server.config), &tls, &status, server.master.subscribe()) => match never {},
        () = progress::show(&status, screen) => None,
        () = watch_sentinels(Arc::clone(&server.config), &tls, &server.master) => None,
        () = &mut stop => None,
        unsaved = server.shutdown.asked() => Some(unsaved),
    };
    // The listeners went with their future, and with them the handles of the workers: no new clients, and the present
    // ones are cut.
    tracing::info!("stopping");
    let threads = Threads { scripts, workers: worker_threads, link, feeder, saver };
    // On another thread, so that a second signal is still heard. It cannot fail but by a panic that was told.
    let stopping = tokio::task::spawn_blocking(move || threads.stop(&server, unsaved != Some(true)));
    match unsaved {
        None => stopping.await.unwrap_or(Ok(())),
        // Nobody listens for signals but `stop` yet.
        Some(_) => tokio::select! {
            stopped = stopping => stopped.unwrap_or(Ok(())),
            () = stop => Err(io::Error::other("a signal has cut the end short")),
        },
    }
}

/// What is taken down at the end.
struct Threads {
    scripts: Option<ScriptThread>,
    workers: Vec<JoinHandle<()>>,
    link: LinkThread,
    feeder: Feeder,
    saver: Option<Saver>,
}

impl Threads {
    /// Ends them in order, each in bounded time.
    fn stop(self, server: &Server, save: bool) -> io::Result<()> {
        // A script of a transaction holds its worker, and the link with it.
        server.scripts.end_all();
        if let Some(scripts) = self.scripts {
            scripts.stop();
        }
        self.workers.into_iter().for_each(|worker| drop(worker.join()));
        self.link.stop();
        // Behind the link: sub-replicas take the rest of what was applied.
        self.feeder.stop();
        self.saver.map_or(Ok(()), |saver| saver.stop(save))
    }
}

/// Our own snapshot, if there is a folder for it.
fn start_saver(settings: &Config, server: &Server, reader: Reader) -> io::Result<Option<Saver>> {
    let Some(dir) = settings.dir.clone() else { return Ok(None) };
    Saver::start(dir, reader, Arc::clone(&server.config), Arc::clone(&server.status)).map(Some)
}

/// Reads certificates and keys; CONFIG SET of what cannot be used is refused from now on.
fn start_tls(config: &Arc<LiveConfig>, status: &Arc<Status>) -> io::Result<Arc<Tls>> {
    let tls = Tls::start(&config.get(), Arc::clone(status));
    let tls = tls.map_err(|fault| io::Error::new(io::ErrorKind::InvalidInput, ConfigError::from(fault)))?;
    let tls = Arc::new(tls);
    config.guard(Tls::check);
    let changed = Arc::clone(&tls);
    config.on_change(move |config| changed.follow(config));
    Ok(tls)
}

/// Looks for changed certificates each `tls-auto-reload-interval`.
async fn refresh(tls: &Arc<Tls>, config: &LiveConfig) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut passed_s = 0;
    loop {
        second.tick().await;
        passed_s += 1;
        let config = config.get();
        if config.tls.auto_reload_interval_s == 0 || passed_s < config.tls.auto_reload_interval_s {
            continue;
        }
        passed_s = 0;
        let tls = Arc::clone(tls);
        // The file system may be slow. A panic there would be ours, and shows itself.
        drop(tokio::task::spawn_blocking(move || tls.refresh(&config)).await);
    }
}

/// The kept part of the stream, with bounds that follow the settings.
fn backlog(config: &LiveConfig, status: &Arc<Status>) -> Arc<Backlog> {
    let bounds = |config: &Config| (config.repl_backlog_size_bytes, config.sub_replica_hard_limit_bytes());
    let (size, held_max) = bounds(&config.get());
    let backlog = Arc::new(Backlog::new(size, held_max, Arc::clone(status)));
    let resized = Arc::clone(&backlog);
    config.on_change(move |config| {
        let (size, held_max) = bounds(config);
        resized.resize(size, held_max);
    });
    backlog
}

/// Probes and metrics, unless `metrics-addr` is `none`.
fn bind_admin(settings: &Config, server: &Arc<Server>, reader: Reader) -> io::Result<Option<Admin>> {
    let Some(address) = settings.metrics_addr else { return Ok(None) };
    let admin = Admin::bind(address, Arc::clone(server), reader)
        .map_err(|error| io::Error::new(error.kind(), format!("metrics-addr {address}: {error}")))?;
    tracing::info!(address = %admin.address()?, "ready for probes and metrics");
    Ok(Some(admin))
}

async fn serve_admin(admin: Option<Admin>) {
    match admin {
        Some(admin) => admin.serve().await,
        None => std::future::pending().await,
    }
}

/// Tells of keys that expire.
async fn tick(hub: &Hub) {
    let mut tick = tokio::time::interval(TICK_INTERVAL);
    loop {
        tick.tick().await;
        hub.tick(UnixMs::now());
    }
}

/// Looks whether the data are older than they may be.
async fn judge_lag(server: &Server) {
    let (mut tick, mut before) = (tokio::time::interval(TICK_INTERVAL), None);
    loop {
        tick.tick().await;
        let (config, status, now) = (server.config.get(), &server.status, clock::instant());
        let limits = LagLimits { seconds: config.replica_max_lag_s, bytes: config.replica_max_lag_bytes };
        status.judge_lag(limits, now, UnixMs::now());
        let exceeded = status.lag_exceeded();
        if exceeded != before {
            let lag = status.lag(now, UnixMs::now());
            match exceeded {
                Some(stale) => tracing::warn!(limit = stale.setting(), %lag, "reads are refused from now on"),
                None => tracing::info!(%lag, "reads are answered again"),
            }
        }
        if exceeded.is_some() {
            // At each tick: one that was let through a moment ago may have begun to wait meanwhile.
            server.hub.look_again();
        }
        before = exceeded;
    }
}

async fn sample(status: &Status) {
    let mut tick = tokio::time::interval(SAMPLE_INTERVAL);
    loop {
        tick.tick().await;
        status.sample(UnixMs::now());
    }
}

/// The link's thread and the way to end it.
struct LinkThread {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl LinkThread {
    fn start(
        writer: Writer,
        server: &Server,
        backlog: Arc<Backlog>,
        masters: watch::Receiver<Master>,
        tls: Arc<Tls>,
    ) -> io::Result<Self> {
        let report = Report::new(Arc::clone(&server.status));
        let (hub, watched) = (Arc::clone(&server.hub), Arc::clone(&server.watched));
        let ties = Ties { tls, hub, watched, backlog };
        let link = Link::new(
            writer,
            Arc::clone(&server.config),
            report,
            Reaper::start(Arc::clone(&server.status))?,
            ties,
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let work = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = link.run(masters) => {}
                    _ = stopped => {}
                }
            });
            // A name lookup may hang in a thread of the runtime; the end does not wait for it.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("link".into()).spawn(work)?;
        Ok(Self { stop, thread })
    }

    fn stop(self) {
        let _ = self.stop.send(());
        drop(self.thread.join());
    }
}
