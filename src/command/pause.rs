//! CLIENT PAUSE: clients wait with what they ask until it ends. Workers look at one word a batch; connections that wait
//! are woken when it ends or is ended.

use crate::clock::UnixMs;
use crate::command::row::Row;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use tokio::sync::watch;

/// Who waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Paused {
    /// Nobody.
    #[default]
    Nobody,
    /// Requests that a master would replicate: on a replica those that are no refused writes (PUBLISH, EVAL, PFCOUNT).
    Writes,
    /// Every request.
    All,
}

/// No writes, and yet a master may send them on (as redis 7.0: MAY_REPLICATE, which COMMAND does not show).
const MAY_REPLICATE: [&str; 6] = ["publish", "spublish", "pfcount", "eval", "evalsha", "fcall"];

impl Paused {
    /// Does a request to this row wait?
    pub fn holds(self, row: &Row) -> bool {
        match self {
            Self::Nobody => false,
            Self::Writes => MAY_REPLICATE.contains(&row.name),
            Self::All => true,
        }
    }
}

/// The pause of the process.
#[derive(Debug)]
pub struct Pause {
    /// The same as in `state`, for a cheap look.
    who: AtomicU8,
    state: watch::Sender<(Paused, UnixMs)>,
}

impl Default for Pause {
    fn default() -> Self {
        Self { who: AtomicU8::new(0), state: watch::Sender::new((Paused::Nobody, UnixMs(0))) }
    }
}

impl Pause {
    /// Who waits now. While there is no pause this costs a relaxed load, and the time is not asked.
    pub fn now(&self, time: impl FnOnce() -> UnixMs) -> Paused {
        if self.who.load(Relaxed) == 0 {
            return Paused::Nobody;
        }
        let (who, until) = *self.state.borrow();
        if time() < until { who } else { Paused::Nobody }
    }

    /// Who waits and for how many milliseconds more, if there is a pause.
    pub(super) fn rest(&self, now: UnixMs) -> Option<(Paused, i64)> {
        let (who, until) = *self.state.borrow();
        (self.now(|| now) != Paused::Nobody).then_some((who, until.0 - now.0))
    }

    /// CLIENT PAUSE: a pause is neither shortened nor made milder by another one (as redis 7.0).
    pub(super) fn begin(&self, who: Paused, until: UnixMs, now: UnixMs) {
        self.state.send_modify(|state| {
            let present = if state.1 > now { *state } else { (Paused::Nobody, UnixMs(0)) };
            *state = (who.max(present.0), until.max(present.1));
            self.who.store(state.0 as u8, Relaxed);
        });
    }

    /// CLIENT UNPAUSE.
    pub(super) fn end(&self) {
        self.who.store(0, Relaxed);
        self.state.send_replace((Paused::Nobody, UnixMs(0)));
    }

    /// Waits until the pause is over. The time is asked again after each change.
    pub async fn over(&self, time: impl Fn() -> UnixMs) {
        let mut state = self.state.subscribe();
        loop {
            let (who, until) = *state.borrow_and_update();
            let left = until.0 - time().0;
            if who == Paused::Nobody || left <= 0 {
                return;
            }
            let left = std::time::Duration::from_millis(left.unsigned_abs());
            let _ = tokio::time::timeout(left, state.changed()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table;

    #[test]
    fn a_pause_is_not_shortened_and_ends_by_itself_or_by_order() {
        let pause = Pause::default();
        let at = |ms: i64| pause.now(|| UnixMs(ms));
        assert_eq!(at(0), Paused::Nobody);
        pause.begin(Paused::All, UnixMs(100), UnixMs(0));
        pause.begin(Paused::Writes, UnixMs(50), UnixMs(0));
        assert_eq!((at(99), at(100)), (Paused::All, Paused::Nobody));
        pause.begin(Paused::Writes, UnixMs(200), UnixMs(150));
        assert_eq!((at(150), at(200)), (Paused::Writes, Paused::Nobody));
        pause.end();
        assert_eq!(at(150), Paused::Nobody);
    }

    #[test]
    fn writes_are_what_a_master_would_replicate() {
        let holds = |name: &str| Paused::Writes.holds(table::find(name.as_bytes(), None).expect("a row").0.row);
        assert!(holds("publish") && holds("pfcount") && !holds("get") && !holds("ping"));
        assert!(Paused::All.holds(table::find(b"get", None).expect("a row").0.row));
    }
}
