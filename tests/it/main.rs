//! The integration tests: one binary, a module per behaviour.
//!
//! They run the built program against real servers (brought by `tests/peers`) and against scripted masters.

#![allow(clippy::disallowed_methods, reason = "tests wait and look at their surroundings")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    reason = "a test says what it sees, fails by panicking, and is no library"
)]

mod support;

mod acl;
mod bad_snapshots;
mod chain;
mod client_commands;
mod clients;
mod commandlog;
mod compat;
mod config;
mod descriptors;
mod disk;
mod documents;
mod failover;
mod family;
mod floors;
mod freshness;
mod full_sync;
mod fuzz_smoke;
mod heard;
mod latency;
mod limits;
mod link;
mod load_room;
mod notifications;
mod operate;
mod own_restart;
mod payloads;
mod probes;
mod pubsub;
mod read_only;
mod replies;
mod restart;
mod resume;
mod rules;
mod scripts;
mod sentinel;
mod sessions;
mod settings;
mod shutdown;
mod snapshots;
mod ties;
mod tls;
mod tracking;
mod transactions;
mod uses;
mod workload;
