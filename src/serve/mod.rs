//! Clients: accept, read, execute, write.
//!
//! `listener` deals connections to workers, one thread each; a worker's connections share its read buffer, its batch and
//! its reader of the dataset, so an idle connection owns almost nothing. It must not know the link to the master.

mod aftermath;
mod batch;
mod connection;
mod dispatch;
mod exec;
mod handshake;
mod held;
mod listener;
mod waiting;
mod worker;

pub use listener::{Listeners, serve};
pub use worker::{WorkerHandle, start_worker};
