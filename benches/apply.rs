//! How fast a replica applies its master's stream: SETs of 16 byte keys and 100 byte values, per second of CPU.

#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

#[path = "common/mod.rs"]
mod common;

use common::{Contender, Size, encode_into, key, median, print_machine, print_ratios, snapshot, value};
use std::time::Instant;

/// Keys that the SETs go around in.
const KEYS: u64 = 1_000_000;

fn main() {
    let size = Size::from_args();
    print_machine(size);
    let commands: u64 = if size.smoke { 5_000 } else { 2_000_000 };
    let mut contenders = Contender::all_loaded(&snapshot(0), &[]);
    let mut offset = 1;
    let mut cpu = vec![Vec::new(); contenders.len()];
    let mut rate = vec![Vec::new(); contenders.len()];
    for round in 0..size.rounds {
        let stream = stream(commands, round as u64);
        offset += stream.len() as u64;
        for (at, (contender, link)) in contenders.iter_mut().enumerate() {
            let (started, before) = (Instant::now(), contender.cpu());
            link.say(&stream);
            contender.wait_applied(offset);
            rate[at].push(commands as f64 / started.elapsed().as_secs_f64());
            let seconds = (contender.cpu() - before).as_secs_f64().max(0.01);
            cpu[at].push(commands as f64 / seconds);
        }
    }
    let named = |figures: Vec<Vec<f64>>| -> Vec<(String, f64)> {
        contenders.iter().zip(figures).map(|((contender, _), all)| (contender.name.clone(), median(all))).collect()
    };
    print_ratios("SETs applied per CPU second", "1/s", &named(cpu));
    print_ratios("SETs applied per second", "1/s", &named(rate));
}

/// A stream of this many SETs, in the order of a seed.
fn stream(commands: u64, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut bytes = Vec::new();
    encode_into(&mut bytes, &["SELECT", "0"]);
    for n in 0..commands {
        encode_into(&mut bytes, &[&b"SET"[..], &key(rng.u64(..KEYS)), &value(n)]);
    }
    bytes
}
