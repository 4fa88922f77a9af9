//! The numbers anybody may read: the link, the sync, offsets, clients, commands. INFO, ROLE, the probes and
//! `/metrics` read them; the link, the loader, the listener and the workers write them.
//!
//! Writing is a relaxed store or add; what a worker counts per request stands in its own [`WorkerStats`] and is
//! summed up by whoever reads. Nothing here decides anything, and nothing here knows data or protocol.

mod commandlog;
mod counts;
mod downstream;
mod freshness;
mod lag;
mod latency;
mod link;
mod saves;
mod tally;
mod tls;
mod worker;

pub use commandlog::{CommandLog, LoggedCommand};
pub use counts::Counts;
pub use downstream::{BacklogNumbers, DownstreamStatus, SubReplica, SubReplicaPhase};
pub use freshness::{Freshness, Probing};
pub use lag::{Lag, LagLimits, LagSample, Source, Stale};
pub use latency::{LatencyEvents, LatencySample, LatencySeries, Spike};
pub use link::{LinkPhase, LinkStatus, MasterName, SyncProgress};
pub use saves::{Restore, SaveStatus, Woken};
pub use tally::Tally;
pub use tls::TlsStatus;
pub use worker::{CommandTotals, ThreadTotals, Totals, WorkerStats};

use crate::allocator;
use crate::clock::UnixMs;
use crate::position::Position;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;
use worker::Tracked;

/// All of them; one per process, shared by `Arc`.
#[derive(Debug)]
pub struct Status {
    /// When the process started.
    pub started: UnixMs,
    /// 40 random hexadecimal characters: another run has another one.
    pub run_id: String,
    /// The link to the master.
    pub link: LinkStatus,
    /// How far the data are behind the master's.
    pub freshness: Freshness,
    /// Sub-replicas and the backlog.
    pub downstream: DownstreamStatus,
    /// Clients: connected, refused.
    pub clients: ClientCounts,
    /// Our own snapshot on disk.
    pub saves: SaveStatus,
    /// Slow commands of all workers.
    pub slowlog: CommandLog,
    /// Commands with large requests.
    pub large_requests: CommandLog,
    /// Commands with large replies.
    pub large_replies: CommandLog,
    /// Spikes above `latency-monitor-threshold`.
    pub latency: LatencyEvents,
    /// Certificates, handshakes.
    pub tls: TlsStatus,
    loaded: AtomicBool,
    caught_up: AtomicBool,
    diverged: Mutex<Option<String>>,
    marked_keys: AtomicUsize,
    workers: Mutex<Vec<Arc<WorkerStats>>>,
    baseline: Mutex<Totals>,
    tracked: Mutex<Tracked>,
    counts_before: Mutex<Counts>,
    samples: Mutex<[Sample; 2]>,
    memory_at_start: usize,
    memory_peak: AtomicUsize,
}

/// Counts of client connections.
#[derive(Debug, Default)]
pub struct ClientCounts {
    connected: AtomicUsize,
    accepted: AtomicU64,
    rejected: AtomicU64,
    blocked: AtomicUsize,
    evicted: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    at: UnixMs,
    commands: u64,
    net_in: u64,
    net_out: u64,
    repl_in: u64,
    turns: u64,
    busy_usec: u64,
}

/// Speeds over the last second or two.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Commands of clients per second.
    pub ops: f64,
    /// Bytes read from clients per second.
    pub net_in: f64,
    /// Bytes written to clients per second.
    pub net_out: f64,
    /// Bytes read from the master per second.
    pub repl_in: f64,
    /// Turns of the workers' event loops per second.
    pub turns: f64,
    /// How long a turn takes, microseconds.
    pub turn_usec: f64,
}

impl Status {
    /// Nothing has happened yet.
    pub fn new(now: UnixMs) -> Self {
        Self {
            started: now,
            run_id: (0..40).map(|_| char::from_digit(fastrand::u32(..16), 16).unwrap_or('0')).collect(),
            link: LinkStatus::default(),
            freshness: Freshness::default(),
            downstream: DownstreamStatus::default(),
            clients: ClientCounts::default(),
            saves: SaveStatus::default(),
            slowlog: CommandLog::default(),
            large_requests: CommandLog::default(),
            large_replies: CommandLog::default(),
            latency: LatencyEvents::default(),
            tls: TlsStatus::default(),
            loaded: AtomicBool::new(false),
            caught_up: AtomicBool::new(false),
            diverged: Mutex::default(),
            marked_keys: AtomicUsize::new(0),
            workers: Mutex::default(),
            baseline: Mutex::default(),
            tracked: Mutex::default(),
            counts_before: Mutex::default(),
            samples: Mutex::new([Sample { at: now, ..Sample::default() }; 2]),
            memory_at_start: allocator::memory().allocated,
            memory_peak: AtomicUsize::new(0),
        }
    }

    /// The data were dropped before a snapshot is loaded in their place (`repl-diskless-load flush`).
    pub fn set_unloaded(&self) {
        self.loaded.store(false, Relaxed);
    }

    /// A dataset is there: set by the link when a snapshot is in place.
    pub fn set_loaded(&self) {
        self.loaded.store(true, Relaxed);
    }

    /// Is a complete dataset there? Without one reads answer LOADING.
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Relaxed)
    }

    /// The link has been connected with the dataset at the master's offset once: set by the link, never taken back.
    pub fn set_caught_up(&self) {
        self.caught_up.store(true, Relaxed);
    }

    /// Has the dataset been at the master's offset once?
    pub fn is_caught_up(&self) -> bool {
        self.caught_up.load(Relaxed)
    }

    /// The stream goes on from here: with the same data, maybe under another id (`goes_on`), or with other data.
    pub fn set_position(&self, position: &Position, goes_on: bool) {
        self.freshness.enter(position.replid, goes_on, || {
            self.link.set_received(position.offset);
            self.link.set_applied(position.offset, 0);
        });
    }

    /// How far the data are behind the master's. Takes a short lock.
    pub fn lag(&self, now: Instant, unix: UnixMs) -> Lag {
        self.freshness.lag(&self.link, now, unix)
    }

    /// To be called some times a second: compares the lag with the limits.
    pub fn judge_lag(&self, limits: LagLimits, now: Instant, unix: UnixMs) {
        self.freshness.judge(&self.lag(now, unix), limits);
    }

    /// The limit that is exceeded. Without data there is nothing to refuse.
    pub fn lag_exceeded(&self) -> Option<Stale> {
        if self.is_loaded() { self.freshness.exceeded() } else { None }
    }

    /// Why the data are too stale to be shown, if they are. Costs a few relaxed loads.
    pub fn stale(&self, serve_stale: bool) -> Option<Stale> {
        if !serve_stale && !self.link.is_up() {
            return Some(Stale::LinkDown);
        }
        self.lag_exceeded()
    }

    /// The dataset is known not to be the master's, and why; `None` once a new snapshot is in place.
    pub fn set_diverged(&self, reason: Option<String>) {
        *self.diverged.lock() = reason;
    }

    /// Why the dataset is known not to be the master's.
    pub fn diverged(&self) -> Option<String> {
        self.diverged.lock().clone()
    }

    /// How many keys are marked as not kept.
    pub fn set_marked_keys(&self, keys: usize) {
        self.marked_keys.store(keys, Relaxed);
    }

    /// How many keys are marked as not kept.
    pub fn marked_keys(&self) -> usize {
        self.marked_keys.load(Relaxed)
    }

    /// New counters for a worker thread, for `commands` rows. The thread keeps the `Arc` and is the only writer.
    pub fn add_worker(&self, commands: usize) -> Arc<WorkerStats> {
        let worker = Arc::new(WorkerStats::new(commands));
        self.workers.lock().push(Arc::clone(&worker));
        worker
    }

    /// What all workers have counted since the start or the last [`Status::reset`]. Costs workers times rows.
    pub fn totals(&self) -> Totals {
        self.lifetime_totals().since(&self.baseline.lock())
    }

    /// CONFIG RESETSTAT: what is counted for INFO starts anew, and speeds are 0 until the next samples.
    pub fn reset(&self, now: UnixMs) {
        let totals = self.lifetime_totals();
        self.tracked.lock().clear(&totals);
        *self.baseline.lock() = totals;
        *self.counts_before.lock() = self.lifetime_counts();
        self.sample(now);
        self.sample(now);
    }

    /// `latency-tracking`: whether the times of commands count for [`Status::tracked_times`] from now on.
    pub fn track_times(&self, on: bool) {
        let mut tracked = self.tracked.lock();
        if tracked.is_on() != on {
            tracked.turn(&self.lifetime_totals());
        }
    }

    /// How long commands took while `latency-tracking` was on, since the last [`Status::reset`]: their calls and
    /// buckets, by index of the row.
    pub fn tracked_times(&self) -> Vec<CommandTotals> {
        self.tracked.lock().times(self.lifetime_totals()).commands
    }

    /// What all workers have counted since the start. Costs workers times rows.
    pub fn lifetime_totals(&self) -> Totals {
        self.workers.lock().iter().fold(Totals::default(), |mut sum, worker| {
            worker.add_to(&mut sum);
            sum
        })
    }

    /// Bytes that clients have sent since the start: a sign of life that costs one load a worker and leaves the counters
    /// of commands alone, which are in use there.
    pub fn client_input_bytes(&self) -> u64 {
        self.workers.lock().iter().map(|worker| worker.input_bytes()).sum()
    }

    /// Clients connected now; sub-replicas are none, though `maxclients` counts them.
    pub fn connected_clients(&self) -> usize {
        self.clients.connected().saturating_sub(self.downstream.count())
    }

    /// What the allocator holds now, and the most bytes that were allocated at a sample or a question.
    pub fn memory(&self) -> (allocator::Memory, usize) {
        let memory = allocator::memory();
        let peak = self.memory_peak.fetch_max(memory.allocated, Relaxed).max(memory.allocated);
        (memory, peak)
    }

    /// What was allocated when the process started.
    pub fn memory_at_start(&self) -> usize {
        self.memory_at_start
    }

    /// To be called each second: remembers the counters for [`Status::rates`] and the peak of memory.
    pub fn sample(&self, now: UnixMs) {
        self.memory();
        let totals = self.lifetime_totals();
        let sample = Sample {
            at: now,
            commands: totals.commands_processed(),
            net_in: totals.net_in,
            net_out: totals.net_out,
            repl_in: self.link.bytes_in(),
            turns: totals.turns(),
            busy_usec: totals.busy_usec(),
        };
        let mut samples = self.samples.lock();
        *samples = [samples[1], sample];
    }

    /// Speeds between the last two samples.
    pub fn rates(&self) -> Rates {
        let [old, new] = *self.samples.lock();
        let seconds = (new.at.0 - old.at.0) as f64 / 1000.0;
        let rate = |old: u64, new: u64| {
            if seconds > 0.0 { new.saturating_sub(old) as f64 / seconds } else { 0.0 }
        };
        Rates {
            ops: rate(old.commands, new.commands),
            net_in: rate(old.net_in, new.net_in),
            net_out: rate(old.net_out, new.net_out),
            repl_in: rate(old.repl_in, new.repl_in),
            turns: rate(old.turns, new.turns),
            turn_usec: match new.turns.saturating_sub(old.turns) {
                0 => 0.0,
                turns => new.busy_usec.saturating_sub(old.busy_usec) as f64 / turns as f64,
            },
        }
    }
}

impl ClientCounts {
    /// Admits one more if there are fewer than `max`; counts it as accepted, or as rejected.
    pub fn admit(&self, max: usize) -> bool {
        let admitted = self.connected.fetch_update(Relaxed, Relaxed, |n| (n < max).then_some(n + 1)).is_ok();
        let counter = if admitted { &self.accepted } else { &self.rejected };
        counter.fetch_add(1, Relaxed);
        admitted
    }

    /// An admitted client is gone.
    pub fn leave(&self) {
        self.connected.fetch_sub(1, Relaxed);
    }

    /// A client that was admitted is refused after all (protected-mode).
    pub fn turned_away(&self) {
        self.leave();
        self.accepted.fetch_sub(1, Relaxed);
        self.rejected.fetch_add(1, Relaxed);
    }

    /// A client was cut because it did not read (client-output-buffer-limit).
    pub fn count_evicted(&self) {
        self.evicted.fetch_add(1, Relaxed);
    }

    /// A client waits in a blocking command from now on.
    pub fn block(&self) {
        self.blocked.fetch_add(1, Relaxed);
    }

    /// It waits no more.
    pub fn unblock(&self) {
        self.blocked.fetch_sub(1, Relaxed);
    }

    /// Connected now.
    pub fn connected(&self) -> usize {
        self.connected.load(Relaxed)
    }

    /// Waiting in a blocking command now.
    pub fn blocked(&self) -> usize {
        self.blocked.load(Relaxed)
    }

    /// Admitted since the start.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// Refused because of `maxclients`.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Relaxed)
    }

    /// Cut because they did not read.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Relaxed)
    }
}

/// A moment that may not have been yet: milliseconds since 1970, or -1.
#[derive(Debug)]
struct Moment(AtomicI64);

impl Default for Moment {
    fn default() -> Self {
        Self(AtomicI64::new(-1))
    }
}

impl Moment {
    fn set(&self, at: Option<UnixMs>) {
        self.0.store(at.map_or(-1, |at| at.0), Relaxed);
    }

    fn get(&self) -> Option<UnixMs> {
        Some(self.0.load(Relaxed)).filter(|ms| *ms >= 0).map(UnixMs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_the_sum_of_the_workers_since_the_reset() {
        let status = Status::new(UnixMs(0));
        let (a, b) = (status.add_worker(3), status.add_worker(3));
        a.ran(1, 5_000);
        b.ran(1, 7_000);
        b.failed(2, 1_000, "WRONGTYPE Operation");
        b.net(10, 20);
        let totals = status.totals();
        assert_eq!((totals.commands[1].calls, totals.commands[1].usec()), (2, 12));
        assert_eq!((totals.commands[2].failed, totals.errors.get("WRONGTYPE").copied()), (1, Some(1)));
        assert_eq!((totals.net_in, totals.net_out, totals.commands_processed()), (10, 20, 3));
        status.reset(UnixMs(0));
        a.ran(1, 1_000);
        let totals = status.totals();
        assert_eq!((totals.commands[1].calls, totals.commands_processed(), totals.errors.len()), (1, 1, 0));
    }

    #[test]
    fn times_are_seen_that_were_tracked() {
        let status = Status::new(UnixMs(0));
        let worker = status.add_worker(1);
        let calls = || status.tracked_times().iter().map(|times| times.calls).sum::<u64>();
        let run = |times: usize| (0..times).for_each(|_| worker.ran(0, 5_000));
        run(1);
        assert_eq!(calls(), 1);
        status.track_times(false);
        run(2);
        assert_eq!((calls(), status.totals().commands[0].calls), (1, 3));
        status.track_times(true);
        status.track_times(true);
        run(4);
        assert_eq!((calls(), status.tracked_times()[0].buckets[3]), (5, 5));
        status.track_times(false);
        status.reset(UnixMs(0));
        run(8);
        assert_eq!(calls(), 0);
        status.track_times(true);
        run(16);
        assert_eq!((calls(), status.totals().commands[0].calls), (16, 24));
    }

    #[test]
    fn admission_ends_at_the_limit() {
        let clients = ClientCounts::default();
        assert!(clients.admit(2) && clients.admit(2) && !clients.admit(2));
        clients.leave();
        assert!(clients.admit(2));
        assert_eq!((clients.connected(), clients.accepted(), clients.rejected()), (2, 3, 1));
    }

    #[test]
    fn rates_are_between_the_last_two_samples() {
        let status = Status::new(UnixMs(0));
        let worker = status.add_worker(1);
        status.sample(UnixMs(1_000));
        (0..50).for_each(|_| worker.ran(0, 1));
        worker.net(1024, 0);
        status.sample(UnixMs(1_500));
        let rates = status.rates();
        assert_eq!((rates.ops, rates.net_in), (100.0, 2048.0));
    }

    #[test]
    fn a_run_id_is_forty_hex_characters_and_different_each_time() {
        let [a, b] = [Status::new(UnixMs(0)).run_id, Status::new(UnixMs(0)).run_id];
        assert!(crate::position::ReplId::parse(a.as_bytes()).is_some());
        assert_ne!(a, b);
    }
}
