//! The fuzz bodies over the corpus and some thousand seeded changes of it, with every test run.
//!
//! `FUZZ_SEED` and `FUZZ_ROUNDS` replay a failure or make it a longer run; the seed is printed.

#[path = "../../fuzz/bodies.rs"]
mod bodies;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

/// The allocator of the program, which counts what each thread asks for.
#[global_allocator]
static ALLOCATOR: remora::allocator::Allocator = remora::allocator::Allocator;

/// Bytes that a body may ask for in all, whatever its input says; segments and scratch space included.
const ALLOCATED_MAX: u64 = 64 << 20;
/// Inputs are cut to this before they are changed: long ones take long and reach nothing new.
const INPUT_MAX: usize = 4096;

fn seed() -> u64 {
    let seed = std::env::var("FUZZ_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("FUZZ_SEED={seed}");
    seed
}

fn rounds(default: usize) -> usize {
    std::env::var("FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rdb"));
    files.sort();
    files.into_iter().map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect()
}

/// Runs a body; says on what input it failed, and looks at what it has allocated.
fn run(body: fn(&[u8]), input: &[u8], what: &str) {
    let before = tikv_jemalloc_ctl::thread::allocatedp::read().unwrap().get();
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(input))) {
        eprintln!("failed on {what}: {}", input.escape_ascii());
        resume_unwind(panic);
    }
    let asked = tikv_jemalloc_ctl::thread::allocatedp::read().unwrap().get() - before;
    let allowed = ALLOCATED_MAX + 200 * input.len() as u64;
    assert!(asked <= allowed, "{asked} bytes were asked for by {what}: {}", input.escape_ascii());
}

/// One to four small changes of the kinds that parsers stumble over.
fn change(random: &mut fastrand::Rng, input: &[u8]) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..random.u8(1..=4) {
        let at = random.usize(..=out.len());
        let end = (at + random.usize(..20)).min(out.len());
        match random.u8(..7) {
            0 => out.truncate(at),
            1 => drop(out.drain(at..end)),
            2 => {
                let copy = out[at..end].to_vec();
                let to = random.usize(..=out.len());
                out.splice(to..to, copy);
            }
            3 => out.insert(at, random.u8(..)),
            4 => out[at..end].fill(*random.choice(&[0, 0xff, 0x7f, 0x80]).unwrap()),
            5 if at < out.len() => out[at] ^= 1 << random.u8(..8),
            _ if at < out.len() => out[at] = random.u8(..),
            _ => {}
        }
    }
    out
}

/// Sets the checksum to "none computed", so that changes inside are not all refused at the end.
fn without_checksum(mut snapshot: Vec<u8>) -> Vec<u8> {
    if let Some(checksum) = snapshot.last_chunk_mut::<8>() {
        checksum.fill(0);
    }
    snapshot
}

#[test]
fn snapshots_and_changes_of_them() {
    let mut random = fastrand::Rng::with_seed(seed());
    for (name, whole) in corpus() {
        run(bodies::snapshot, &whole, &name);
        let input = without_checksum(whole);
        let rounds = rounds(if input.len() <= INPUT_MAX { 150 } else { 4 });
        for round in 0..rounds {
            run(bodies::snapshot, &change(&mut random, &input), &format!("{name}, change {round}"));
        }
    }
}

#[test]
fn packed_blobs_and_changes_of_them() {
    let mut random = fastrand::Rng::with_seed(seed());
    let blobs: [&[u8]; 5] = [
        b"\x1f\0\0\0\x05\0\x85field\x06\x0c\x01\xd0\x60\x02\x85value\x06\xf1\x0f\x27\x03\xff",
        b"\x04\0\0\0\x03\0\0\0\xff\xff\xff\xff\x05\0\0\0\x70\x11\x01\0",
        b"\x14\0\0\0\x0d\0\0\0\x03\0\0\x01a\x03\xf3\x02\xc0\x10\x27\xff",
        b"\x02\x03foo\x03\x02bar--\x01n\xfe\x02\0\0\0\x0012\xff",
        b"\x07\0\x01ab\x60\x01",
    ];
    for blob in blobs {
        for round in 0..rounds(2000) {
            run(bodies::packed, &change(&mut random, blob), &format!("blob change {round}"));
        }
    }
    for (name, whole) in corpus() {
        for blob in whole.windows(300).step_by(97) {
            run(bodies::packed, blob, &name);
        }
    }
}
