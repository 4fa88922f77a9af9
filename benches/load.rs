//! How long a replica takes to load a snapshot: from `+FULLRESYNC` until the link is up, and the CPU it costs.
//!
//! The master is a script that sends at full speed from memory; the real servers load from the socket, without a file.

#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

#[path = "common/mod.rs"]
mod common;

use common::{
    Contender, Framing, Master, REPLID, Size, median, print_machine, print_ratios, real_names, snapshot,
};
use std::time::Instant;

fn main() {
    let size = Size::from_args();
    print_machine(size);
    let snapshot = snapshot(size.keys);
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for name in real_names().into_iter().chain(["remora"]) {
        let (mut walls, mut cpus) = (Vec::new(), Vec::new());
        for _ in 0..size.rounds.min(3) {
            let (seconds, cpu_seconds) = load(name, &snapshot);
            walls.push(seconds);
            cpus.push(cpu_seconds);
        }
        wall.push((name.to_string(), median(walls)));
        cpu.push((name.to_string(), median(cpus)));
    }
    print_ratios("time to load", "s", &wall);
    print_ratios("CPU to load", "s", &cpu);
}

/// Wall and CPU seconds of one load by a fresh server.
fn load(name: &str, snapshot: &[u8]) -> (f64, f64) {
    let master = Master::listen();
    let contender = match name {
        "remora" => Contender::remora(master.port, &[]),
        real => Contender::real(real, master.port),
    };
    let mut link = master.accept();
    link.handshake();
    let (started, before) = (Instant::now(), contender.cpu());
    // Sent from another thread: the load is over when the replica says so, not when the last byte is sent.
    std::thread::scope(|scope| {
        scope.spawn(|| link.full_resync(REPLID, 1, snapshot, Framing::Length));
        contender.wait_loaded();
    });
    (started.elapsed().as_secs_f64(), (contender.cpu() - before).as_secs_f64())
}
