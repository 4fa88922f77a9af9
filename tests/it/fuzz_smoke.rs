//! The fuzz bodies over the corpus and some thousand seeded changes of it, with every test run.
//!
//! `FUZZ_SEED` and `FUZZ_ROUNDS` replay a failure or make it a longer run; the seed is printed.

#[path = "../../fuzz/bodies.rs"]
mod bodies;

use remora::resp::request::{Parser, RequestLimits};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

/// The allocator of the program, which counts what each thread asks for.
#[global_allocator]
static ALLOCATOR: remora::allocator::Allocator = remora::allocator::Allocator;

/// Bytes that a body may ask for in all, whatever its input says: mostly the room that the size hint of a snapshot
/// may claim (`SNAPSHOT_RESERVE_KEYS_MAX`), then segments and scratch space.
const ALLOCATED_MAX: u64 = 320 << 20;
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

/// Sizes of 2^63 keys in the first database, behind the facts of a file.
fn with_huge_sizes(snapshot: &[u8]) -> Option<Vec<u8>> {
    const HUGE: &[u8] = b"\xfe\x00\xfb\x81\x80\0\0\0\0\0\0\0\x00";
    let sizes = snapshot.windows(3).position(|bytes| bytes == b"\xfe\x00\xfb")?;
    Some([&snapshot[..sizes], HUGE, &snapshot[sizes + 5..]].concat())
}

#[test]
fn sizes_and_lengths_that_are_merely_stated() {
    let mut tried = 0;
    for (name, whole) in corpus() {
        let Some(lie) = with_huge_sizes(&whole) else { continue };
        run(bodies::endless_snapshot, &lie, &name);
        tried += 1;
    }
    run(bodies::endless_snapshot, &with_huge_sizes(b"REDIS0012\xfe\x00\xfb\x00\x00\xff").unwrap(), "no facts");
    assert!(tried > 0);
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

/// The writes of the shared sample dataset, each as a master would send it.
fn sample_writes() -> Vec<Vec<u8>> {
    let text = include_str!("../data/sample.txt");
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|line| encode(&split(line))).collect()
}

/// Words of a line as redis-cli splits them: the inline parser does just that.
fn split(line: &str) -> Vec<Vec<u8>> {
    let mut bytes = [line.as_bytes(), b"\n"].concat();
    let (mut parser, mut spans) = (Parser::default(), Vec::new());
    parser.parse(&mut bytes, 0, &mut spans, &RequestLimits::CLIENT).unwrap().expect("a whole line");
    spans.iter().map(|span| span.of(&bytes).to_vec()).collect()
}

fn encode(words: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Changes words instead of bytes, so that most of what comes out is still a command.
fn change_words(random: &mut fastrand::Rng, words: &mut Vec<Vec<u8>>) {
    const ODD: [&[u8]; 14] = [
        b"",
        b"0",
        b"-1",
        b"1",
        b"9223372036854775807",
        b"-9223372036854775808",
        b"inf",
        b"-0",
        b"1e400",
        b"(1",
        b"+",
        b"99999999999999999999",
        b"$",
        b"*",
    ];
    let at = random.usize(..words.len());
    match random.u8(..5) {
        0 if words.len() > 1 => drop(words.remove(at)),
        1 => words.insert(at, words[at].clone()),
        2 if at > 0 => words[at] = random.choice(ODD).unwrap().to_vec(),
        3 if at > 0 => words[at] = change(random, &words[at]),
        _ => words.push(random.choice(ODD).unwrap().to_vec()),
    }
}

#[test]
fn requests_and_changes_of_them() {
    let mut random = fastrand::Rng::with_seed(seed());
    let requests: [&[u8]; 4] = [
        b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nPING\r\n",
        b"SET \"a b\\x41\" 'it\\'s'\r\nPING\n\n",
        b"*3\r\n$3\r\nSET\r\n$10\r\n0123456789\r\n$0\r\n\r\n*-1\r\n*0\r\n",
        b"*11\r\n$16385\r\n",
    ];
    for request in requests {
        for round in 0..rounds(1000) {
            run(bodies::request, &change(&mut random, request), &format!("request change {round}"));
        }
    }
}

#[test]
fn streams_and_changes_of_them() {
    let mut random = fastrand::Rng::with_seed(seed());
    let writes = sample_writes();
    run(bodies::stream, &writes.concat(), "the sample dataset");
    let lines: Vec<Vec<Vec<u8>>> = include_str!("../data/sample.txt")
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(split)
        .collect();
    for round in 0..rounds(1000) {
        let mut input = Vec::new();
        for _ in 0..random.usize(1..12) {
            let mut words = random.choice(&lines).unwrap().clone();
            if words.iter().map(Vec::len).sum::<usize>() > INPUT_MAX {
                continue;
            }
            if random.bool() {
                change_words(&mut random, &mut words);
            }
            input.extend_from_slice(&encode(&words));
        }
        run(bodies::stream, &input, &format!("stream {round}"));
        run(bodies::stream, &change(&mut random, &input), &format!("stream change {round}"));
    }
}
