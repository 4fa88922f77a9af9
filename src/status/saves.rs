//! Our own snapshot on disk as others see it: saves, the load at start, and the way to ask for a save. Written by
//! `disk` and `upstream`, asked by BGSAVE.

use super::{Moment, Tally};
use crate::clock::UnixMs;
use crate::position::{Offset, ReplId};
use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What the saver is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Order {
    #[default]
    None,
    Save,
    Stop,
}

/// Why the saver was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Somebody asked for a save.
    Asked,
    /// The time was over.
    Waited,
    /// The program ends.
    Stopped,
}

/// How the file of the last run was found at start.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Restore {
    /// `dir` is not set, or there was no file.
    #[default]
    None,
    /// It is being loaded.
    Loading,
    /// Its data are in place, or were until the first full sync.
    Done,
    /// It was not used, and why.
    Refused(String),
}

/// The numbers.
#[derive(Debug, Default)]
pub struct SaveStatus {
    order: Mutex<Order>,
    ordered: Condvar,
    enabled: AtomicBool,
    /// Nothing is saved at the end.
    dropped: AtomicBool,
    started: Moment,
    keys_done: AtomicU64,
    keys_total: AtomicU64,
    last_at: Moment,
    last_ms: AtomicU64,
    last_bytes: AtomicU64,
    last_failed: AtomicBool,
    /// Where in the master's history the file stands.
    saved: Mutex<Option<(ReplId, Offset)>>,
    /// Commands that had been applied when the last good save began.
    commands_saved: AtomicU64,
    /// Saves by result: `ok`, `failed`.
    pub results: Tally,
    restore: Mutex<Restore>,
    /// Files of the last run found at start, by result: `ok`, `refused`.
    pub restores: Tally,
}

impl SaveStatus {
    /// There is a folder for the file.
    pub fn enable(&self) {
        self.enabled.store(true, Relaxed);
    }

    /// Is there a folder for the file?
    pub fn is_enabled(&self) -> bool {
        self.enabled.load(Relaxed)
    }

    /// Asks for a save now; `false` if one is running.
    pub fn ask(&self) -> bool {
        let mut order = self.order.lock();
        if self.is_running() || *order != Order::None {
            return false;
        }
        *order = Order::Save;
        self.ordered.notify_all();
        true
    }

    /// The program ends: a running save is to give up, and a last one is made or not.
    pub fn stop(&self, save: bool) {
        self.dropped.store(!save, Relaxed);
        *self.order.lock() = Order::Stop;
        self.ordered.notify_all();
    }

    /// Is a last save made when the program ends?
    pub fn is_saved_at_end(&self) -> bool {
        !self.dropped.load(Relaxed)
    }

    /// Is the program ending?
    pub fn is_stopped(&self) -> bool {
        *self.order.lock() == Order::Stop
    }

    /// Waits for an order, at most this long. For the saver alone.
    pub fn wait(&self, limit: Duration) -> Woken {
        let mut order = self.order.lock();
        if *order == Order::None {
            self.ordered.wait_for(&mut order, limit);
        }
        match *order {
            Order::None => Woken::Waited,
            Order::Save => Woken::Asked,
            Order::Stop => Woken::Stopped,
        }
    }

    /// A save of so many keys begins; the order for it is done with.
    pub fn begins(&self, keys: u64, now: UnixMs) {
        self.keys_done.store(0, Relaxed);
        self.keys_total.store(keys, Relaxed);
        self.started.set(Some(now));
        self.forget_order();
    }

    /// There is nothing to save: an order for it is done with.
    pub fn forget_order(&self) {
        let mut order = self.order.lock();
        if *order == Order::Save {
            *order = Order::None;
        }
    }

    /// So many keys are written.
    pub fn advanced(&self, keys: u64) {
        self.keys_done.store(keys, Relaxed);
    }

    /// The save is done: its file stands at `at` and holds everything up to `commands` applied.
    pub fn succeeded(&self, at: (ReplId, Offset), commands: u64, bytes: u64, now: UnixMs) {
        *self.saved.lock() = Some(at);
        self.commands_saved.store(commands, Relaxed);
        self.last_bytes.store(bytes, Relaxed);
        self.last_at.set(Some(now));
        self.ended(false, now);
    }

    /// The save has failed; the file of the last one is as it was.
    pub fn failed(&self, now: UnixMs) {
        self.ended(true, now);
    }

    fn ended(&self, failed: bool, now: UnixMs) {
        let took = self.started.get().map_or(0, |began| now.0 - began.0);
        self.last_ms.store(u64::try_from(took).unwrap_or(0), Relaxed);
        self.last_failed.store(failed, Relaxed);
        self.started.set(None);
        // Last: whoever sees it may ask for another save.
        self.results.count(if failed { "failed" } else { "ok" });
    }

    /// A save is running.
    pub fn is_running(&self) -> bool {
        self.started.get().is_some()
    }

    /// When the running save began.
    pub fn running_since(&self) -> Option<UnixMs> {
        self.started.get()
    }

    /// Keys written and to be written by the running save.
    pub fn progress(&self) -> (u64, u64) {
        if self.is_running() { (self.keys_done.load(Relaxed), self.keys_total.load(Relaxed)) } else { (0, 0) }
    }

    /// Where in the master's history the file stands, if there is one that can be used.
    pub fn saved(&self) -> Option<(ReplId, Offset)> {
        *self.saved.lock()
    }

    /// When the last good save was complete.
    pub fn last_at(&self) -> Option<UnixMs> {
        self.last_at.get()
    }

    /// How long the last save took; `None` before the first.
    pub fn last_took(&self) -> Option<Duration> {
        (self.results.total() > 0).then(|| Duration::from_millis(self.last_ms.load(Relaxed)))
    }

    /// Size of the last file.
    pub fn last_bytes(&self) -> u64 {
        self.last_bytes.load(Relaxed)
    }

    /// Did the last save fail?
    pub fn last_failed(&self) -> bool {
        self.last_failed.load(Relaxed)
    }

    /// Commands applied since the last good save, of these in all.
    pub fn changes(&self, commands: u64) -> u64 {
        commands.saturating_sub(self.commands_saved.load(Relaxed))
    }

    /// The file of the last run was loaded; it stands here.
    pub fn restored(&self, at: (ReplId, Offset)) {
        *self.saved.lock() = Some(at);
        self.set_restore(Restore::Done);
    }

    /// How the load at start went on.
    pub fn set_restore(&self, restore: Restore) {
        match restore {
            Restore::Done => self.restores.count("ok"),
            Restore::Refused(_) => self.restores.count("refused"),
            Restore::None | Restore::Loading => {}
        }
        *self.restore.lock() = restore;
    }

    /// How the load at start went.
    pub fn restore(&self) -> Restore {
        self.restore.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_save_at_a_time_is_asked_for() {
        let saves = SaveStatus::default();
        assert!(saves.ask() && !saves.ask());
        assert_eq!(saves.wait(Duration::ZERO), Woken::Asked);
        saves.begins(10, UnixMs(1_000));
        assert!(!saves.ask() && saves.is_running());
        saves.advanced(4);
        assert_eq!(saves.progress(), (4, 10));
        saves.succeeded((ReplId::ZERO, Offset(5)), 7, 100, UnixMs(3_500));
        assert_eq!(saves.saved(), Some((ReplId::ZERO, Offset(5))));
        assert_eq!(
            (saves.last_took(), saves.last_at()),
            (Some(Duration::from_millis(2_500)), Some(UnixMs(3_500)))
        );
        assert_eq!((saves.changes(9), saves.progress(), saves.last_failed()), (2, (0, 0), false));
        assert!(saves.ask());
        saves.begins(10, UnixMs(4_000));
        saves.failed(UnixMs(4_001));
        assert!(saves.last_failed() && saves.last_at() == Some(UnixMs(3_500)));
    }

    #[test]
    fn the_end_wins_over_everything() {
        let saves = SaveStatus::default();
        assert_eq!(saves.wait(Duration::ZERO), Woken::Waited);
        assert!(saves.ask());
        saves.stop(true);
        saves.forget_order();
        assert_eq!((saves.wait(Duration::ZERO), saves.ask(), saves.is_stopped()), (Woken::Stopped, false, true));
    }
}
