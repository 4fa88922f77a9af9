//! What a sub-replica's full sync costs the server that gives it: memory on top, and what clients feel.
//!
//! 3M keys of 16 bytes with values of 100, 10k SETs a second from the master, one client that GETs one key after the
//! other. Measured quietly and from PSYNC until the sub-replica has the last byte of the snapshot, in turns, five times
//! each: the latencies of all rounds are put together. Memory is the proportional set of the process and its children,
//! since the real servers fork.

#![allow(clippy::disallowed_methods, reason = "a bench measures time")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "common/mod.rs"]
mod common;

use common::{Client, Contender, Follower, Link, Size, encode_into, key, median, print_machine, snapshot, value};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

const KEYS: u64 = 3_000_000;
const SETS_PER_SECOND: u64 = 10_000;
/// The SETs of so much time go out together.
const TICK: Duration = Duration::from_millis(5);
/// How long a quiet phase lasts.
const QUIET: Duration = Duration::from_secs(3);

/// What happened in the phases of one kind.
#[derive(Default)]
struct Phase {
    /// Of each.
    took: Vec<f64>,
    /// Of each GET, ascending.
    latencies: Vec<Duration>,
    /// Highest memory seen, bytes.
    memory: u64,
}

fn main() {
    let size = Size::from_args();
    let size = if size.smoke { size } else { Size { keys: size.keys.min(KEYS), ..size } };
    print_machine(size);
    let mut contenders = Contender::all_loaded(&snapshot(size.keys), &["--repl-diskless-sync-delay", "0"]);
    for (contender, link) in &mut contenders {
        let mut client = Client::connect(contender.port);
        client.must("CONFIG SET client-output-buffer-limit \"replica 0 0 0\"");
        client.must("CONFIG SET repl-diskless-sync-delay 0");
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| write(link, size.keys, &stop));
            let (mut quiet, mut during) = (Phase::default(), Phase::default());
            for _ in 0..size.rounds {
                watch(&mut quiet, contender, size.keys, |_| {
                    std::thread::sleep(if size.smoke { Duration::from_millis(200) } else { QUIET });
                });
                watch(&mut during, contender, size.keys, |port| {
                    drop(Follower::introduced_as(port, &["REPLCONF capa eof capa psync2"]).full_sync());
                });
            }
            stop.store(true, Relaxed);
            print(contender, &quiet, &during);
        });
    }
}

/// SETs by chance at the wanted rate, until told to stop.
fn write(link: &mut Link, keys: u64, stop: &AtomicBool) {
    let mut rng = fastrand::Rng::with_seed(1);
    let (started, mut sent) = (Instant::now(), 0);
    while !stop.load(Relaxed) {
        let due = (started.elapsed().as_secs_f64() * SETS_PER_SECOND as f64) as u64;
        let mut bytes = Vec::new();
        for _ in sent..due {
            encode_into(&mut bytes, &[&b"SET"[..], &key(rng.u64(..keys)), &value(rng.u64(..))]);
        }
        sent = due;
        link.say(bytes);
        std::thread::sleep(TICK);
    }
}

/// Looks at a server while something happens to it.
fn watch(phase: &mut Phase, contender: &Contender, keys: u64, event: impl FnOnce(u16)) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reads = scope.spawn(|| read(contender.port, keys, &over));
        let memory = scope.spawn(|| highest_memory(contender.pid, &over));
        let began = Instant::now();
        event(contender.port);
        let took = began.elapsed();
        over.store(true, Relaxed);
        phase.took.push(took.as_secs_f64());
        phase.latencies.extend(reads.join().expect("the reader"));
        phase.latencies.sort_unstable();
        phase.memory = phase.memory.max(memory.join().expect("the watcher"));
    });
}

fn read(port: u16, keys: u64, over: &AtomicBool) -> Vec<Duration> {
    let (mut client, mut rng) = (Client::connect(port), fastrand::Rng::with_seed(2));
    let mut latencies = Vec::new();
    while !over.load(Relaxed) {
        let key = key(rng.u64(..keys));
        let asked = Instant::now();
        let reply = client.command(&[&b"GET"[..], &key]);
        latencies.push(asked.elapsed());
        assert_eq!(reply.bytes().len(), 100, "a value");
        std::thread::sleep(Duration::from_micros(200));
    }
    latencies
}

fn highest_memory(pid: u32, over: &AtomicBool) -> u64 {
    let mut highest = 0;
    while !over.load(Relaxed) {
        highest = highest.max(memory(pid));
        std::thread::sleep(Duration::from_millis(100));
    }
    highest
}

/// The proportional set of a process and its children.
fn memory(pid: u32) -> u64 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let all = children.split_whitespace().filter_map(|child| child.parse().ok()).chain([pid]);
    all.map(|pid| {
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = rollup.lines().find(|line| line.starts_with("Pss:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    })
    .sum()
}

fn print(contender: &Contender, quiet: &Phase, during: &Phase) {
    let at = |phase: &Phase, share: f64| {
        let index = (phase.latencies.len() as f64 * share) as usize;
        phase.latencies.get(index.min(phase.latencies.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!("\n{}: sync in {:.2} s", contender.name, median(during.took.clone()));
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("longest", 1.0)] {
        let (quiet, during) = (ms(at(quiet, share)), ms(at(during, share)));
        println!(
            "  GET {name:<8} {quiet:>9.3} ms quiet {during:>9.3} ms during the sync   {:.2}x",
            during / quiet
        );
    }
    let mib = |bytes: u64| bytes / (1 << 20);
    let growth = during.memory.saturating_sub(quiet.memory) as f64 / quiet.memory.max(1) as f64;
    println!(
        "  memory       {:>9} MiB quiet {:>8} MiB at most        +{:.1}%",
        mib(quiet.memory),
        mib(during.memory),
        growth * 100.0
    );
}
