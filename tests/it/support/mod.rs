//! What the tests stand on: real servers, the built remora, a proxy that cuts, a scripted master, a client.
//!
//! The benches use it too, so each part is free of test macros. Nothing here sleeps for a fixed time: whoever
//! waits, waits for a condition with a limit.

#![allow(dead_code, reason = "each test binary and bench uses a part")]

pub mod beside;
pub mod certificates;
pub mod chance;
pub mod client;
pub mod compare;
pub mod fixture;
pub mod folder;
pub mod follower;
pub mod http;
pub mod ports;
pub mod proxy;
pub mod real;
pub mod recorder;
pub mod remora;
pub mod script;
pub mod wait;
