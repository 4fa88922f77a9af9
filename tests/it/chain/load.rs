//! A master under load: writes, mostly random ones of all families, paced at 10 000 a second and counted.
//!
//! What happens to the chain meanwhile happens at counts of writes, so that a slow machine takes longer and shows the same:
//! every second that the test speaks of holds 10 000 writes. The rate that was reached is printed.

use crate::support::client::Client;
use crate::support::wait;
use crate::workload::generate::Request;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// What the chain has to bear.
pub(super) const WRITES_PER_SECOND: usize = 10_000;
/// Writes of so much time go out together.
const TICK: Duration = Duration::from_millis(5);
/// Most that go out together, when it is behind.
const TOGETHER_MAX: usize = 500;

/// Writes that are going on.
#[derive(Debug, Default)]
pub(super) struct Load {
    written: AtomicUsize,
    over: AtomicBool,
}

/// Tells a load that it is over, also when the test fails.
#[derive(Debug)]
pub(super) struct During<'a>(&'a Load);

impl Drop for During<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, SeqCst);
    }
}

impl Load {
    /// It goes on as long as this is kept.
    pub(super) fn during(&self) -> During<'_> {
        During(self)
    }

    /// Writes that the master has taken so far.
    pub(super) fn written(&self) -> usize {
        self.written.load(SeqCst)
    }

    /// Waits until so many writes have been taken; fails if it takes a hundred times what it should.
    #[track_caller]
    pub(super) fn wait_for(&self, writes: usize) {
        let limit = Duration::from_secs_f64(100.0 * writes as f64 / WRITES_PER_SECOND as f64);
        wait::until(&format!("{writes} writes"), limit.max(Duration::from_secs(60)), || self.written() >= writes);
    }

    /// Waits until as many have been taken as belong to these seconds, from now on.
    #[track_caller]
    pub(super) fn seconds(&self, seconds: f64) {
        self.wait_for(self.written() + (seconds * WRITES_PER_SECOND as f64) as usize);
    }

    /// Writes what `next` adds until it is over.
    pub(super) fn write(&self, name: &str, mut client: Client, mut next: impl FnMut(&mut Vec<Request>)) {
        let begun = Instant::now();
        while !self.over.load(SeqCst) {
            let due = (begun.elapsed().as_secs_f64() * WRITES_PER_SECOND as f64) as usize;
            let mut requests = Vec::new();
            while requests.len() < due.saturating_sub(self.written()).min(TOGETHER_MAX) {
                next(&mut requests);
            }
            let replies = client.pipeline(&requests);
            let taken =
                requests.iter().zip(&replies).filter(|(request, reply)| is_write(request) && !reply.is_error());
            self.written.fetch_add(taken.count(), SeqCst);
            if requests.len() < TOGETHER_MAX {
                std::thread::sleep(TICK);
            }
        }
        let (written, took) = (self.written(), begun.elapsed());
        let rate = written as f64 / took.as_secs_f64();
        eprintln!("{name}: {written} writes in {took:.1?}, {rate:.0} a second");
    }
}

/// Not what only goes with writes.
fn is_write(request: &Request) -> bool {
    ![&b"SELECT"[..], b"MULTI", b"EXEC", b"DISCARD", b"PUBLISH"].contains(&request[0].as_slice())
}
