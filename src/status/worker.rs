//! What a worker thread counts: per row of the command table calls, time, refusals; errors by code word; hits
//! and misses; bytes. One writer, so an add is a plain load and store in the worker's own cache lines.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::runtime::RuntimeMetrics;

/// The counters of one worker thread. Only that thread may call the counting methods.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerStats {
    commands: Box<[CommandStat]>,
    hits: AtomicU64,
    misses: AtomicU64,
    net_in: AtomicU64,
    net_out: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    /// The worker's number, and what its runtime counts by itself.
    runtime: OnceLock<(usize, RuntimeMetrics)>,
    unknown: AtomicU64,
    errors: Mutex<BTreeMap<Box<str>, u64>>,
}

/// Buckets of a histogram of times: the first up to 1.024 us, each next one twice as long, the last open (8 s).
pub(super) const BUCKETS: usize = 24;

#[derive(Debug, Default)]
struct CommandStat {
    busy_ns: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    /// Calls by how long they took; their sum is the number of calls.
    buckets: [AtomicU64; BUCKETS],
}

/// The bucket of a time.
fn bucket(busy_ns: u64) -> usize {
    let doublings = u64::BITS - (busy_ns.saturating_sub(1) >> 10).leading_zeros();
    (doublings as usize).min(BUCKETS - 1)
}

/// An add by the only writer: readers see the old or the new value, and no bus lock is needed.
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

impl WorkerStats {
    pub(super) fn new(commands: usize) -> Self {
        Self {
            commands: (0..commands).map(|_| CommandStat::default()).collect(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            net_in: AtomicU64::new(0),
            net_out: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            runtime: OnceLock::new(),
            unknown: AtomicU64::new(0),
            errors: Mutex::default(),
        }
    }

    /// Row `index` ran and answered, in so many nanoseconds.
    #[inline]
    pub fn ran(&self, index: usize, busy_ns: u64) {
        if let Some(stat) = self.commands.get(index) {
            add(&stat.buckets[bucket(busy_ns)], 1);
            add(&stat.busy_ns, busy_ns);
        }
    }

    /// Row `index` ran and answered an error with this text.
    #[cold]
    pub fn failed(&self, index: usize, busy_ns: u64, error: &str) {
        self.ran(index, busy_ns);
        if let Some(stat) = self.commands.get(index) {
            add(&stat.failed, 1);
        }
        self.error(error);
    }

    /// Row `index` was refused before it ran (arity, READONLY, NOAUTH, LOADING), with this text; `None` for a
    /// command that does not exist.
    #[cold]
    pub fn rejected(&self, index: Option<usize>, error: &str) {
        match index.and_then(|index| self.commands.get(index)) {
            Some(stat) => add(&stat.rejected, 1),
            None => add(&self.unknown, 1),
        }
        self.error(error);
    }

    fn error(&self, text: &str) {
        let code = text.split(' ').next().unwrap_or("ERR");
        let mut errors = self.errors.lock();
        match errors.get_mut(code) {
            Some(count) => *count += 1,
            None => drop(errors.insert(code.into(), 1)),
        }
    }

    /// Keys that reads have found and not found.
    #[inline]
    pub fn lookups(&self, hits: u64, misses: u64) {
        add(&self.hits, hits);
        add(&self.misses, misses);
    }

    /// This is worker `number`, and runs on this runtime, whose turns and working time count as its own. Threads that serve
    /// no clients (scripts) have no number.
    pub fn run_on(&self, number: usize, runtime: RuntimeMetrics) {
        drop(self.runtime.set((number, runtime)));
    }

    /// Bytes read from clients and written to them, by one call for each read and write.
    #[inline]
    pub fn net(&self, read: u64, written: u64) {
        add(&self.reads, u64::from(read > 0));
        add(&self.writes, u64::from(written > 0));
        add(&self.net_in, read);
        add(&self.net_out, written);
    }

    pub(super) fn input_bytes(&self) -> u64 {
        self.net_in.load(Relaxed)
    }

    pub(super) fn add_to(&self, sum: &mut Totals) {
        if sum.commands.len() < self.commands.len() {
            sum.commands.resize_with(self.commands.len(), CommandTotals::default);
        }
        for (sum, stat) in sum.commands.iter_mut().zip(&self.commands) {
            for (sum_bucket, bucket) in sum.buckets.iter_mut().zip(&stat.buckets) {
                let count = bucket.load(Relaxed);
                *sum_bucket += count;
                sum.calls += count;
            }
            sum.busy_ns += stat.busy_ns.load(Relaxed);
            sum.rejected += stat.rejected.load(Relaxed);
            sum.failed += stat.failed.load(Relaxed);
        }
        sum.hits += self.hits.load(Relaxed);
        sum.misses += self.misses.load(Relaxed);
        sum.net_in += self.net_in.load(Relaxed);
        sum.net_out += self.net_out.load(Relaxed);
        sum.unknown += self.unknown.load(Relaxed);
        if let Some((number, runtime)) = self.runtime.get() {
            if sum.threads.len() <= *number {
                sum.threads.resize_with(number + 1, ThreadTotals::default);
            }
            sum.threads[*number] = ThreadTotals {
                reads: self.reads.load(Relaxed),
                writes: self.writes.load(Relaxed),
                turns: runtime.worker_park_count(0),
                busy: runtime.worker_total_busy_duration(0),
            };
        }
        for (code, count) in self.errors.lock().iter() {
            *sum.errors.entry(code.to_string()).or_insert(0) += count;
        }
    }
}

/// The counters of one command, summed over the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandTotals {
    /// Times it ran, with an error or without.
    pub calls: u64,
    /// Time it ran, nanoseconds.
    pub busy_ns: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it ran and answered an error.
    pub failed: u64,
    /// Calls by how long they took, see [`CommandTotals::bound_usec`].
    pub buckets: [u64; BUCKETS],
}

impl CommandTotals {
    /// The longest time in a bucket, microseconds, as LATENCY HISTOGRAM prints it: powers of two of 1.024 us and the
    /// 0.8% by which the servers' histogram rounds up (1, 2, 4, 8, 16, 33, 66 ...).
    pub fn bound_usec(index: usize) -> u64 {
        Self::bound_ns(index) / 1000
    }

    /// The same in nanoseconds.
    pub fn bound_ns(index: usize) -> u64 {
        let bound_ns = 1024_u64 << index.min(BUCKETS);
        bound_ns + bound_ns / 128
    }

    /// Time it ran, microseconds.
    pub fn usec(&self) -> u64 {
        self.busy_ns / 1000
    }
}

/// What all workers have counted.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// By index of the row.
    pub commands: Vec<CommandTotals>,
    /// Error replies by code word.
    pub errors: BTreeMap<String, u64>,
    /// Keys that reads have found.
    pub hits: u64,
    /// Keys that reads have not found.
    pub misses: u64,
    /// Bytes read from clients.
    pub net_in: u64,
    /// Bytes written to clients.
    pub net_out: u64,
    /// Requests for commands that do not exist.
    pub unknown: u64,
    /// By number of the worker.
    pub threads: Vec<ThreadTotals>,
}

/// What one worker thread has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadTotals {
    /// Reads of clients' sockets.
    pub reads: u64,
    /// Writes to them.
    pub writes: u64,
    /// Turns of its event loop: as often it has looked for something to do.
    pub turns: u64,
    /// How long it had something to do.
    pub busy: Duration,
}

impl Totals {
    /// Commands that ran.
    pub fn commands_processed(&self) -> u64 {
        self.commands.iter().map(|command| command.calls).sum()
    }

    /// How long commands ran, microseconds.
    pub fn commands_usec(&self) -> u64 {
        self.commands.iter().map(CommandTotals::usec).sum()
    }

    /// Turns of all event loops.
    pub fn turns(&self) -> u64 {
        self.threads.iter().map(|thread| thread.turns).sum()
    }

    /// How long all event loops had something to do, microseconds.
    pub fn busy_usec(&self) -> u64 {
        let busy: Duration = self.threads.iter().map(|thread| thread.busy).sum();
        u64::try_from(busy.as_micros()).unwrap_or(u64::MAX)
    }

    /// Error replies.
    pub fn error_replies(&self) -> u64 {
        self.errors.values().sum()
    }

    /// What was counted after `earlier`.
    pub(super) fn since(mut self, earlier: &Self) -> Self {
        for (now, then) in self.commands.iter_mut().zip(&earlier.commands) {
            now.calls = now.calls.saturating_sub(then.calls);
            now.busy_ns = now.busy_ns.saturating_sub(then.busy_ns);
            now.rejected = now.rejected.saturating_sub(then.rejected);
            now.failed = now.failed.saturating_sub(then.failed);
            for (now, then) in now.buckets.iter_mut().zip(&then.buckets) {
                *now = now.saturating_sub(*then);
            }
        }
        for (code, then) in &earlier.errors {
            if let Some(now) = self.errors.get_mut(code) {
                *now = now.saturating_sub(*then);
            }
        }
        self.errors.retain(|_, count| *count > 0);
        let since = |now: u64, then: u64| now.saturating_sub(then);
        self.hits = since(self.hits, earlier.hits);
        self.misses = since(self.misses, earlier.misses);
        self.net_in = since(self.net_in, earlier.net_in);
        self.net_out = since(self.net_out, earlier.net_out);
        self.unknown = since(self.unknown, earlier.unknown);
        for (now, then) in self.threads.iter_mut().zip(&earlier.threads) {
            now.reads = since(now.reads, then.reads);
            now.writes = since(now.writes, then.writes);
            now.turns = since(now.turns, then.turns);
            now.busy = now.busy.saturating_sub(then.busy);
        }
        self
    }
}

/// What of the totals was counted while `latency-tracking` was on.
#[derive(Debug, Default)]
pub(super) struct Tracked {
    /// What is not to be seen: counted before the last reset, or while it was off.
    hidden: Totals,
    /// While it is off, what was seen last.
    kept: Option<Totals>,
}

impl Tracked {
    pub(super) fn is_on(&self) -> bool {
        self.kept.is_none()
    }

    /// Off if it was on, on if it was off.
    pub(super) fn turn(&mut self, now: &Totals) {
        match self.kept.take() {
            None => self.kept = Some(now.clone().since(&self.hidden)),
            Some(kept) => self.hidden = now.clone().since(&kept),
        }
    }

    /// Nothing was counted before.
    pub(super) fn clear(&mut self, now: &Totals) {
        self.hidden = now.clone();
        self.kept = self.kept.take().map(|_| Totals::default());
    }

    /// What is seen.
    pub(super) fn times(&self, now: Totals) -> Totals {
        self.kept.clone().unwrap_or_else(|| now.since(&self.hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_buckets_of_doubled_length() {
        let check = |ns, index| assert_eq!(bucket(ns), index, "{ns}");
        check(0, 0);
        check(1024, 0);
        check(1025, 1);
        check(2048, 1);
        check(2049, 2);
        check(u64::MAX, BUCKETS - 1);
        assert_eq!([0, 4, 5, 8, 13].map(CommandTotals::bound_usec), [1, 16, 33, 264, 8454]);
    }
}
