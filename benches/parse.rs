//! How fast a snapshot of string keys becomes a dataset: parse, check, insert, on one thread.
//!
//! `cargo bench --bench parse -- [keys] [value bytes]`, 5M and 100 unless told; `--smoke` runs a small one as a test.

#![allow(clippy::disallowed_methods, reason = "a bench measures time")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use bytes::Bytes;
use remora::rdb::crc64::checksum;
use remora::rdb::load::{LoadSettings, Progress, load};
use remora::rdb::opcode;
use remora::rdb::primitive::{put_length, put_plain};
use remora::rdb::source::Source;

#[global_allocator]
static ALLOCATOR: remora::allocator::Allocator = remora::allocator::Allocator;

/// As the link hands them on.
const CHUNK_BYTES: usize = 256 * 1024;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let smoke = arguments.iter().any(|argument| argument == "--smoke" || argument == "--test");
    let mut numbers = arguments.iter().filter_map(|argument| argument.parse().ok());
    let keys = if smoke { 1000 } else { numbers.next().unwrap_or(5_000_000) };
    let value_bytes = numbers.next().unwrap_or(100) as usize;
    let snapshot = Bytes::from(snapshot(keys, value_bytes));
    for _ in 0..if smoke { 1 } else { 3 } {
        let (mut rest, settings) = (snapshot.clone(), LoadSettings { databases: 16, ..LoadSettings::default() });
        let chunks = move || Ok((!rest.is_empty()).then(|| rest.split_to(rest.len().min(CHUNK_BYTES))));
        let mut source = Source::new(chunks).expecting(snapshot.len() as u64);
        let (start, cpu) = (remora::clock::instant(), cpu_seconds());
        let loaded = load(&mut source, &settings, &Progress::default()).expect("a snapshot of our own");
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        assert_eq!(loaded.facts.keys, keys);
        let megabytes = snapshot.len() / 1_000_000;
        println!("{keys} keys of {value_bytes} B, {megabytes} MB: {seconds:.3} s, on the processor {cpu:.3} s");
    }
}

/// Processor time of this thread so far; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// A snapshot as a master writes it: sizes, then keys of 16 bytes in no order.
fn snapshot(keys: u64, value_bytes: usize) -> Vec<u8> {
    let mut out = b"REDIS0012".to_vec();
    out.extend_from_slice(&[opcode::SELECT, 0, opcode::SIZES]);
    put_length(&mut out, keys);
    put_length(&mut out, 0);
    let mut value = vec![b'v'; value_bytes];
    for n in 0..keys {
        // An odd factor is a permutation of 2^40: every key once, scattered.
        let key = format!("key:{:012}", n.wrapping_mul(0x9e37_79b9_7f4b) % (1 << 39));
        out.push(0);
        put_plain(&mut out, key.as_bytes());
        let digits = n.to_le_bytes();
        value.iter_mut().zip(digits).for_each(|(byte, digit)| *byte = digit);
        put_plain(&mut out, &value);
    }
    out.push(opcode::END);
    let sum = checksum(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}
