//! remora: a replica-only sidecar for Redis and Valkey.
//!
//! ```text
//!                 raw bytes                                  &mut Dataset             &Dataset
//!   master ──► upstream ─┬─► rdb::load ────────────────────────► dataset ──► command (read rows) ──► serve ──► clients
//!     ▲                  └─► repl::stream ─► command (apply rows) ─┘
//!     └── acks, offsets
//!
//!   beside the way:  config  limits  clock  position  status  metrics     above it:  node  admin  main
//! ```
//!
//! Modules stand in floor order: a module may use the floors below it, never its own floor or one above. A test
//! reads the floors from this file.

// floor 0
pub mod allocator;
pub mod cgroup;
pub mod clock;
pub mod glob;
pub mod limits;
pub mod number;
pub mod panics;
pub mod position;
pub mod process;

// floor 1
pub mod config;
pub mod status;

// floor 2
pub mod breather;
pub mod dataset;
pub mod demo;
pub mod descriptors;
pub mod metrics;
pub mod progress;
pub mod resp;
pub mod socket;
pub mod tls;

// floor 3
pub mod hub;
pub mod logging;
pub mod rdb;

// floor 4
pub mod command;

// floor 5
pub mod disk;
pub mod repl;
pub mod script;

// floor 6
pub mod admin;
pub mod downstream;
pub mod upstream;

// floor 7
pub mod serve;

// floor 8
pub mod node;
