//! Replication decided, without sockets.
//!
//! ```text
//!   the link to our master                          (upstream drives it, status shows it)
//!
//!   connect ──► connecting ──► handshake ──┬─ +FULLRESYNC ─► sync ──► connected
//!      ▲            │              │       │                  │           │
//!      │            │              │       └─ +CONTINUE ──────┼─────────► │
//!      └────────────┴──────────────┴── any fault, back-off ───┴───────────┘
//! ```
//!
//! ```text
//!   a sub-replica                                   (downstream drives it, status shows it)
//!
//!   PSYNC ──┬─ on our history, within the backlog ── +CONTINUE ─────────────────────────► online
//!           ├─ else ── wait_bgsave ── +FULLRESYNC ── send_bulk ── end mark ── first ACK ──►  │
//!           │           (shared by those that come within the delay)                      any fault, a change
//!           └─ ahead of us, or our data will change ── -NOMASTERLINK                       of our history: cut
//! ```
//!
//! `backlog` keeps the last bytes of the stream, `receiver` says which snapshot a sub-replica can load. `psync` reads
//! what a master answers and decides what a sub-replica gets, `envelope` unwraps the snapshot, `stream` cuts the
//! stream into atomic units, `apply` runs a unit through its rows, `retry` decides how long to wait and when to stop
//! trusting a master, `young` knows which sub-replicas are too old for what comes.

pub mod apply;
pub mod backlog;
pub mod envelope;
pub mod probe;
pub mod psync;
pub mod receiver;
pub mod retry;
pub mod room;
pub mod stream;
pub mod young;
