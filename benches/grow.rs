//! The longest insert while a database grows key by key, without a hint of its size.
//!
//! `cargo bench --bench grow -- [keys]`, 10M unless told; `--smoke` runs a small one as a test.

#![allow(clippy::disallowed_methods, reason = "a bench measures time")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use remora::clock::instant;
use remora::dataset::{Keyspace, StrForm};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: remora::allocator::Allocator = remora::allocator::Allocator;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let smoke = arguments.iter().any(|argument| argument == "--smoke" || argument == "--test");
    let keys = arguments.iter().find_map(|argument| argument.parse().ok());
    let keys: u64 = keys.unwrap_or(if smoke { 20_000 } else { 10_000_000 });
    let mut keyspace = Keyspace::default();
    let mut longest: Vec<Duration> = Vec::new();
    for n in 0..keys {
        let key = format!("key:{n:012}");
        let start = instant();
        keyspace.set_string(key.as_bytes(), &[b'v'; 16], StrForm::Auto, None);
        let took = start.elapsed();
        if longest.len() < 10 || took > longest[0] {
            longest.push(took);
            longest.sort_unstable();
            longest.drain(..longest.len().saturating_sub(10));
        }
    }
    assert_eq!(keyspace.len() as u64, keys);
    longest.reverse();
    println!("{keys} keys; the ten longest inserts: {longest:?}");
}
