//! The integration tests: one binary, a module per behaviour.
//!
//! They run the built program against real servers (brought by `tests/peers`) and against scripted masters.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what it sees, and fails by panicking")]

mod documents;
mod floors;
mod fuzz_smoke;
