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
//! `psync` reads what a master answers, `envelope` unwraps the snapshot, `stream` cuts the stream into atomic units,
//! `apply` runs a unit through its rows, `retry` decides how long to wait and when to stop trusting a master.

pub mod apply;
pub mod envelope;
pub mod psync;
pub mod retry;
pub mod stream;
