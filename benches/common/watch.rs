//! What one client and the memory of a server notice of what happens to it.

use super::support::client::Client;
use super::{Contender, Size, key, median};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What happened in the phases of one kind.
#[derive(Default)]
pub struct Phase {
    /// Of each.
    took: Vec<f64>,
    /// Of each GET, ascending.
    latencies: Vec<Duration>,
    /// Highest memory seen, bytes.
    memory: u64,
}

/// A quiet phase.
pub fn rest(size: Size) {
    std::thread::sleep(Duration::from_millis(if size.smoke { 200 } else { 3000 }));
}

/// What a client feels while something happens to a server.
pub fn watch(phase: &mut Phase, contender: &Contender, keys: u64, event: impl FnOnce()) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reads = scope.spawn(|| read(contender.port, keys, &over));
        let began = Instant::now();
        event();
        phase.took.push(began.elapsed().as_secs_f64());
        over.store(true, Relaxed);
        phase.latencies.extend(reads.join().expect("the reader"));
        phase.latencies.sort_unstable();
    });
}

/// What memory a server takes while something happens to it. To look takes the kernel milliseconds, which a client would
/// feel: so nobody reads now.
pub fn weigh(phase: &mut Phase, contender: &Contender, event: impl FnOnce()) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let memory = scope.spawn(|| highest_memory(contender.pid, &over));
        event();
        over.store(true, Relaxed);
        phase.memory = memory.join().expect("the watcher");
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

/// The figures of a server, during against quiet.
pub fn print(contender: &Contender, quiet: &Phase, during: &Phase) {
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
