//! What can be done: one file or folder per family, each starting with its rows.
//!
//! To add a command: one row in the family's `ROWS` (name lower case, arity as the servers count it: negative
//! is "at least", where its keys are) and one function. `read` rows get `&Dataset` and write a reply; `write`
//! rows get `&mut Dataset` and write none (clients get READONLY, the stream applies them); `session` rows get
//! the connection's state. Read rows bring `samples`, from which the tests compare replies with a real server.
//! A subcommand is a row named `"object encoding"`. Nothing else needs to be touched.

pub mod acl;
pub mod args;
pub mod chance;
pub mod clients;
pub mod context;
pub mod expiry;
pub mod facts;
mod freshness;
pub use crate::glob;

mod help;
pub mod introduction;
pub mod keys_of;
pub mod logged;
mod partial_sort;
pub mod pause;
pub mod remember;
pub mod row;
pub mod scan;
pub mod table;

pub mod bitmap;
pub mod cluster;
pub mod connection;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
pub mod keys;
pub mod list;
pub mod pubsub;
pub mod replication;
pub mod scripting;
pub mod server;
pub mod session;
pub mod set;
pub mod stream;
pub mod string;
pub mod transaction;
pub mod vectorset;
pub mod zset;

#[cfg(test)]
pub(crate) mod testing;
