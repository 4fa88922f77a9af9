//! The feeder's thread: takes arrivals, wakes the conversations, starts snapshots when their time has come.

use super::bell::Bell;
use super::conversation::Conversation;
use super::snapshot;
use super::transfer::{Framing, Membership, Transfer};
use super::{Arrival, Downstream};
use crate::clock;
use crate::config::{Config, LiveConfig, Watch};
use crate::dataset::Dataset;
use crate::dataset::gate::Reader;
use crate::repl::backlog::{Backlog, Seen};
use crate::repl::receiver::Receiver;
use crate::status::{LinkPhase, Status};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval};

/// How often every conversation looks around at least: keep-alives and timeouts.
const TICK: Duration = Duration::from_secs(1);
/// How long the end waits for sub-replicas to take what has been applied, so that they can resume after our restart.
const DRAIN: Duration = Duration::from_secs(1);
/// A receiver that could not hold the data is told so again for this long, without another walk.
const UNFIT_REMEMBERED: Duration = Duration::from_secs(30);

/// News that come this soon one after the other are passed on together, so many times a second at most...
const TRICKLE: Duration = Duration::from_millis(1);
/// ...as a rest of this long allows. The whole thread rests: its runtime's timer knows only milliseconds.
const REST: Duration = Duration::from_micros(200);

/// What the tasks of the feeder share.
pub(super) struct Feed {
    pub(super) backlog: Arc<Backlog>,
    pub(super) status: Arc<Status>,
    /// Rung at each news of the backlog, each second, and when a snapshot moves on.
    pub(super) bell: Bell,
    config: RefCell<Watch>,
    reader: RefCell<Reader>,
    now: Cell<Instant>,
    ticks: Cell<u64>,
    draining: Cell<bool>,
    syncs: RefCell<Syncs>,
}

/// Snapshots that wait for their time, and how many are being made.
#[derive(Default)]
struct Syncs {
    waiting: Vec<Rc<Transfer>>,
    running: usize,
    unfit: Vec<(Receiver, Instant, String)>,
}

impl Feed {
    /// Looks at the data through the gate.
    pub(super) fn read<R>(&self, look: impl FnOnce(&Dataset) -> R) -> R {
        self.reader.borrow_mut().read(look)
    }

    /// Our data are no good for a snapshot: there are none, others are on their way, or they are known to differ from
    /// the master's. Inside the gate, so that data torn a moment ago are seen as such.
    pub(super) fn is_unsound(&self, data: &Dataset) -> bool {
        !data.is_loaded()
            || data.is_torn()
            || self.status.link.phase() == LinkPhase::Sync
            || self.status.diverged().is_some()
    }

    /// The settings of now.
    pub(super) fn settings(&self) -> Arc<Config> {
        Arc::clone(self.config.borrow_mut().config())
    }

    /// The time of the last stroke of the bell.
    pub(super) fn now(&self) -> Instant {
        self.now.get()
    }

    /// Seconds since the start.
    pub(super) fn ticks(&self) -> u64 {
        self.ticks.get()
    }

    /// We stop: what has been applied is sent, nothing new is begun.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Connection `id` takes the next snapshot for such receivers.
    pub(super) fn join(self: &Rc<Self>, id: u64, receiver: Receiver, framing: Framing) -> Membership {
        let fits = |transfer: &&Rc<Transfer>| {
            transfer.is_waiting() && transfer.receiver == receiver && transfer.framing == framing
        };
        let waiting = self.syncs.borrow().waiting.iter().find(fits).map(Rc::clone);
        let transfer = waiting.unwrap_or_else(|| {
            let transfer = Rc::new(Transfer::new(receiver, framing, clock::instant()));
            self.syncs.borrow_mut().waiting.push(Rc::clone(&transfer));
            transfer
        });
        let membership = transfer.join(id);
        self.start_due(clock::instant());
        membership
    }

    /// Why such receivers could not hold the data a short time ago.
    pub(super) fn unfit(&self, receiver: Receiver) -> Option<String> {
        let mut syncs = self.syncs.borrow_mut();
        let now = clock::instant();
        syncs.unfit.retain(|(_, at, _)| now.duration_since(*at) < UNFIT_REMEMBERED);
        syncs.unfit.iter().find(|(known, ..)| *known == receiver).map(|(.., why)| why.clone())
    }

    pub(super) fn remember_unfit(&self, receiver: Receiver, why: &str) {
        let mut syncs = self.syncs.borrow_mut();
        syncs.unfit.retain(|(known, ..)| *known != receiver);
        syncs.unfit.push((receiver, clock::instant(), why.to_owned()));
    }

    /// The making of a snapshot has ended.
    pub(super) fn snapshot_done(self: &Rc<Self>) {
        self.syncs.borrow_mut().running -= 1;
        self.start_due(clock::instant());
        self.bell.ring();
    }

    /// Starts the snapshots whose delay is over, as many as may be made at once.
    fn start_due(self: &Rc<Self>, now: Instant) {
        let settings = self.settings();
        let mut syncs = self.syncs.borrow_mut();
        syncs.waiting.retain(|transfer| transfer.members() > 0);
        while syncs.running < settings.max_concurrent_syncs
            && let Some(at) = syncs.waiting.iter().position(|transfer| now >= due(transfer, &settings))
        {
            let transfer = syncs.waiting.remove(at);
            transfer.close();
            syncs.running += 1;
            drop(tokio::task::spawn_local(snapshot::make(Rc::clone(self), transfer)));
        }
    }

    /// When the next snapshot is due, unless it has to wait for another to end.
    fn next_due(&self) -> Option<Instant> {
        let (settings, syncs) = (self.settings(), self.syncs.borrow());
        if syncs.running >= settings.max_concurrent_syncs {
            return None;
        }
        syncs.waiting.iter().map(|transfer| due(transfer, &settings)).min()
    }

    /// Everybody looks around.
    fn stroke(self: &Rc<Self>) {
        self.now.set(clock::instant());
        self.start_due(self.now.get());
        self.bell.ring();
    }

    /// News of the stream. Each time costs a wake-up and a write per sub-replica: where commands come one by one, some are
    /// waited for. The first after a pause goes at once.
    async fn pass_on(self: &Rc<Self>, last: &mut Instant) {
        self.stroke();
        let (now, before) = (self.now.get(), std::mem::replace(last, self.now.get()));
        if now.duration_since(before) < TRICKLE && self.syncs.borrow().running == 0 {
            tokio::task::yield_now().await;
            std::thread::sleep(REST);
        }
    }

    /// The feeder's loop; ends when it is told to stop.
    async fn run(self: Rc<Self>, mut arrivals: mpsc::UnboundedReceiver<Arrival>, mut stop: oneshot::Receiver<()>) {
        let mut conversations = JoinSet::new();
        let (mut tick, mut seen, mut trickle) = (interval(TICK), Seen::default(), clock::instant());
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.next_due();
            tokio::select! {
                biased;
                _ = &mut stop => break,
                Some(arrival) = arrivals.recv() => {
                    conversations.spawn_local(Conversation::new(&self, arrival).run());
                }
                () = poll_fn(|cx| self.backlog.poll_news(cx, &mut seen)), if !conversations.is_empty() => {
                    self.pass_on(&mut trickle).await;
                    continue;
                }
                Some(_) = conversations.join_next() => {}
                _ = tick.tick() => self.ticks.set(self.ticks.get() + 1),
                () = until(due), if due.is_some() => {}
            }
            self.stroke();
        }
        self.draining.set(true);
        self.stroke();
        let ended = async { while conversations.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, ended).await.is_err() {
            tracing::info!("some sub-replicas did not take everything in time");
        }
    }
}

fn due(transfer: &Transfer, settings: &Config) -> Instant {
    transfer.asked_at + Duration::from_secs(settings.repl_diskless_sync_delay_s)
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// The feeder's thread and the way to end it.
#[derive(Debug)]
pub struct Feeder {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Feeder {
    /// Starts it. Sub-replicas are handed to the second of the answer.
    pub fn start(
        reader: Reader,
        backlog: Arc<Backlog>,
        config: &Arc<LiveConfig>,
        status: Arc<Status>,
    ) -> io::Result<(Self, Downstream)> {
        let (arrivals, arrived) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let watch = config.watch();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || {
            // While the processor is taken from it inside the gate it must not keep the readers out.
            let reader = reader.may_stay_long();
            let feed = Feed {
                backlog,
                status,
                bell: Bell::default(),
                config: RefCell::new(watch),
                reader: RefCell::new(reader),
                now: Cell::new(clock::instant()),
                ticks: Cell::new(0),
                draining: Cell::new(false),
                syncs: RefCell::default(),
            };
            LocalSet::new().block_on(&runtime, Rc::new(feed).run(arrived, stopped));
            // A file may be written to in a thread of the runtime; the end does not wait for it.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("feeder".into()).spawn(work)?;
        Ok((Self { stop, thread }, Downstream { arrivals }))
    }

    /// Ends it, after sub-replicas have had a moment to take what has been applied.
    pub fn stop(self) {
        let _ = self.stop.send(());
        drop(self.thread.join());
    }
}
