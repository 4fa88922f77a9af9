//! What is remembered of the use of keys: the settings `maxmemory-policy`, `lfu-log-factor` and `lfu-decay-time`.
//!
//! remora evicts nothing, as a replica does not (`replica-ignore-maxmemory`). Of the policy only remains which statistic
//! of use is kept, passed on to sub-replicas and answered by OBJECT.

use super::table::{number, put, text};
use super::value::words;
use super::{Config, Setting};

words! {
    /// `maxmemory-policy`, in the words and the order of the real servers.
    MaxmemoryPolicy {
        /// When a key was last used, passed on.
        VolatileLru = "volatile-lru",
        /// How often, passed on.
        VolatileLfu = "volatile-lfu",
        /// When, not passed on.
        VolatileRandom = "volatile-random",
        /// When, not passed on.
        VolatileTtl = "volatile-ttl",
        /// When, passed on.
        AllkeysLru = "allkeys-lru",
        /// How often, passed on.
        AllkeysLfu = "allkeys-lfu",
        /// When, not passed on.
        AllkeysRandom = "allkeys-random",
        /// Whichever the master's snapshot brings, passed on; when, if it brings none.
        NoEviction = "noeviction",
    }
}

/// The settings that say what is remembered of the use of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UseSettings {
    /// `maxmemory-policy`.
    pub policy: MaxmemoryPolicy,
    /// `lfu-log-factor`: how slowly the counters grow.
    pub lfu_log_factor: u32,
    /// `lfu-decay-time`: minutes without use that take one from a counter; 0 is never.
    pub lfu_decay_minutes: u32,
}

impl Default for UseSettings {
    /// As the servers.
    fn default() -> Self {
        Self { policy: MaxmemoryPolicy::NoEviction, lfu_log_factor: 10, lfu_decay_minutes: 1 }
    }
}

/// The rows of the table.
pub(super) const ROWS: &[Setting] = &[
    Setting::new(
        "maxmemory-policy",
        "POLICY",
        "Whether OBJECT IDLETIME (*-lru) or OBJECT FREQ (*-lfu) is kept and passed on; noeviction is what the master's \
         snapshot has. Nothing is ever evicted",
        |c, w| put(&mut c.uses.policy, text(w).and_then(MaxmemoryPolicy::parse)),
        |c| c.uses.policy.as_str().into(),
    )
    .live(),
    Setting::new(
        "lfu-log-factor",
        "N",
        "How slowly the counters of OBJECT FREQ grow",
        |c: &mut Config, w| put(&mut c.uses.lfu_log_factor, number(w, 0, i32::MAX.into())),
        |c| c.uses.lfu_log_factor.to_string().into(),
    )
    .live(),
    Setting::new(
        "lfu-decay-time",
        "MINUTES",
        "Time without use that takes one from a counter of OBJECT FREQ; 0 is never",
        |c: &mut Config, w| put(&mut c.uses.lfu_decay_minutes, number(w, 0, i32::MAX.into())),
        |c| c.uses.lfu_decay_minutes.to_string().into(),
    )
    .live(),
];
