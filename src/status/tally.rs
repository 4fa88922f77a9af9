//! Counters by a label that is known only when it happens: reasons, causes, names of commands.

use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Counts by label. For what is rare: each count takes a lock.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<Cow<'static, str>, u64>>);

impl Tally {
    /// Counts one. Labels must be few: words of ours or names of commands, never text of a peer.
    pub fn count(&self, label: impl Into<Cow<'static, str>>) {
        *self.0.lock().entry(label.into()).or_insert(0) += 1;
    }

    /// The sum of all labels.
    pub fn total(&self) -> u64 {
        self.0.lock().values().sum()
    }

    /// The count of one label.
    pub fn of(&self, label: &str) -> u64 {
        self.0.lock().get(label).copied().unwrap_or(0)
    }

    /// All labels with their counts, by label.
    pub fn all(&self) -> BTreeMap<Cow<'static, str>, u64> {
        self.0.lock().clone()
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}
