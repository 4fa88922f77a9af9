//! Numbers to and from text exactly as the servers do.
//!
//! Pure functions over bytes: the wire (`resp`) and the data (`dataset`) both stand on them and cannot see each
//! other. Text comes from clients, masters and snapshots, so nothing here panics on any input.
//!
//! Doubles have three spellings: `percent_17g` (redis 6 and 7, everywhere), `shortest` (redis 8 and valkey, in
//! DEBUG DIGEST) and `DoubleText::shortest_reply` (the same servers towards clients: whole numbers as integers).

mod grisu;
mod parse;
mod print;

pub use parse::{parse_decimal_bound, parse_decimal_float, parse_float, parse_float_bound, parse_integer};
pub use print::{DoubleText, percent_17g, shortest, whole};
