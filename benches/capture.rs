//! What a snapshot of one moment costs while random SETs go on: memory beyond the dataset, and how long writer and walk
//! keep each other waiting.
//!
//! `cargo bench --bench capture -- [keys]`, 1M unless told; `--smoke` runs a small one as a test.

#![allow(clippy::disallowed_methods, reason = "a bench measures time")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use remora::allocator::memory;
use remora::clock::instant;
use remora::config::UseSettings;
use remora::dataset::capture::Capture;
use remora::dataset::gate::{Reader, gate};
use remora::dataset::{Dataset, Dialect, EncodingLimits, StrForm};
use remora::position::{DbIndex, Offset, Position, ReplId};
use remora::process::resident_bytes;
use remora::rdb::snapshot::SnapshotWriter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: remora::allocator::Allocator = remora::allocator::Allocator;

/// Entries of one slice under the gate.
const SLICE: usize = 500;

fn key(n: u64) -> Vec<u8> {
    format!("key:{n:012}").into_bytes()
}

fn filled(keys: u64) -> Dataset {
    let position = Position::fresh(ReplId::ZERO, Offset(0), DbIndex(0));
    let mut data = Dataset::new(1, position, EncodingLimits::default());
    let keyspace = data.db_mut(DbIndex(0)).expect("database 0");
    for n in 0..keys {
        keyspace.set_string(&key(n), &[b'v'; 100], StrForm::Auto, None);
    }
    data
}

/// What a run has seen.
#[derive(Debug, Default)]
struct Seen {
    bytes: usize,
    took: Duration,
    resident_peak: u64,
    allocated_peak: usize,
    touched_peak: usize,
    longest_slice: Duration,
}

/// Takes a snapshot, handing its bytes on at `bytes_per_s` (0: at once).
fn snapshot(reader: &mut Reader, bytes_per_s: u64) -> Seen {
    let mut seen = Seen::default();
    let began = instant();
    let mut capture: Capture<SnapshotWriter> =
        reader.read(|data| data.capture(SnapshotWriter::new(Dialect::default(), data, UseSettings::default())));
    loop {
        let start = instant();
        let done = reader.read(|data| capture.advance(data, SLICE));
        seen.longest_slice = seen.longest_slice.max(start.elapsed());
        seen.touched_peak = seen.touched_peak.max(capture.touched_bytes());
        seen.bytes += capture.sink(|writer| writer.take().len());
        if seen.bytes.is_multiple_of(7) || done {
            seen.resident_peak = seen.resident_peak.max(resident_bytes());
            seen.allocated_peak = seen.allocated_peak.max(memory().allocated);
        }
        if done {
            seen.took = began.elapsed();
            return seen;
        }
        let due = Duration::from_secs_f64(seen.bytes as f64 / bytes_per_s.max(1) as f64);
        if bytes_per_s > 0 && due > began.elapsed() {
            std::thread::sleep(due - began.elapsed());
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let smoke = arguments.iter().any(|argument| argument == "--smoke" || argument == "--test");
    let keys = arguments.iter().find_map(|argument| argument.parse().ok());
    let keys: u64 = keys.unwrap_or(if smoke { 20_000 } else { 1_000_000 });
    let empty = resident_bytes();
    let (mut writer, mut readers) = gate(filled(keys), 1);
    let mut reader = readers.remove(0);
    let dataset = resident_bytes() - empty;
    println!("{keys} keys of 16 B with values of 100 B: {:.1} MiB resident", mib(dataset));
    for (sets_per_s, bytes_per_s) in
        [(0, 0), (10_000, 0), (10_000, 50 << 20), (10_000, 10 << 20), (100_000, 10 << 20)]
    {
        let (resident, allocated) = (resident_bytes(), memory().allocated);
        let stop = AtomicBool::new(false);
        let mut longest_write = Duration::ZERO;
        let mut written = 0_u64;
        let seen = std::thread::scope(|scope| {
            let walk = scope.spawn(|| {
                let seen = snapshot(&mut reader, bytes_per_s);
                stop.store(true, Ordering::SeqCst);
                seen
            });
            let (mut rng, began) = (fastrand::Rng::with_seed(1), instant());
            while sets_per_s > 0 && !stop.load(Ordering::SeqCst) {
                let start = instant();
                writer.apply(|data| {
                    let keyspace = data.db_mut(DbIndex(0)).expect("database 0");
                    for _ in 0..20 {
                        keyspace.set_string(&key(rng.u64(..keys)), &[b'w'; 100], StrForm::Auto, None);
                    }
                });
                longest_write = longest_write.max(start.elapsed());
                written += 20;
                let due = Duration::from_secs_f64(written as f64 / f64::from(sets_per_s));
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
            walk.join().expect("the walk")
        });
        assert!(seen.bytes as u64 > keys * 100, "a whole snapshot");
        let growth = seen.resident_peak.saturating_sub(resident);
        println!(
            "{sets_per_s} SETs/s, {} MiB/s: {:.2} s, {written} SETs; resident +{:.1} MiB ({:.1}%), allocated +{:.1} MiB, \
             touched keys {:.2} MiB; longest slice {:?}, longest write batch {longest_write:?}",
            bytes_per_s >> 20,
            seen.took.as_secs_f64(),
            mib(growth),
            growth as f64 * 100.0 / dataset as f64,
            mib(seen.allocated_peak.saturating_sub(allocated) as u64),
            mib(seen.touched_peak as u64),
            seen.longest_slice,
        );
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
