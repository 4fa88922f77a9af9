//! The only place that asks for the time. Everyone else is handed `now`.
#![allow(clippy::disallowed_methods, reason = "this is the place")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, UTC. Expiries of keys and hash fields are of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// This moment by the system's clock.
    pub fn now() -> Self {
        Self(unix_us() / 1000)
    }

    /// `self + ms`, or `None` where the sum leaves the range.
    pub fn checked_add(self, ms: i64) -> Option<Self> {
        self.0.checked_add(ms).map(Self)
    }
}

/// Microseconds since 1970, UTC, by the system's clock (TIME, INFO `server_time_usec`).
#[allow(clippy::disallowed_methods, reason = "this file is the one that may ask")]
pub fn unix_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// A point of the monotonic clock, for durations.
#[allow(clippy::disallowed_methods, reason = "this file is the one that may ask")]
pub fn instant() -> Instant {
    Instant::now()
}
