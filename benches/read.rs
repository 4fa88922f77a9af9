//! What a GET costs: CPU of the server per request and requests per second, at pipeline depths 1 and 16.
//!
//! Fifty connections, keys by chance. The servers stand on the first core, the load on the others; remora with one worker, as the others
//! answer from one thread.

#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

#[path = "common/mod.rs"]
mod common;

use common::drive::{batches, drive};
use common::{Contender, Size, encode_into, key, median, print_machine, print_ratios, share_cores, snapshot};
use std::time::Instant;

fn main() {
    let size = Size::from_args();
    let size = if size.smoke { size } else { Size { keys: size.keys.min(1_000_000), ..size } };
    print_machine(size);
    let contenders = Contender::all_loaded(&snapshot(size.keys), &["--io-threads", "1"]);
    if !size.smoke {
        share_cores(contenders.iter().map(|(contender, _)| contender));
    }
    for (depth, requests) in [(1, 400_000), (16, 3_000_000)] {
        let requests = if size.smoke { 5_000 } else { requests };
        let (mut cpu, mut rate) = (vec![Vec::new(); contenders.len()], vec![Vec::new(); contenders.len()]);
        for round in 0..size.rounds {
            for (at, (contender, _)) in contenders.iter().enumerate() {
                let gets = batches(depth, round as u64, |rng, out| {
                    encode_into(out, &[&b"GET"[..], &key(rng.u64(..size.keys))]);
                });
                let (before, started) = (contender.cpu(), Instant::now());
                let done = drive(contender.port, depth, requests, gets);
                rate[at].push(done as f64 / started.elapsed().as_secs_f64());
                cpu[at].push((contender.cpu() - before).as_secs_f64() * 1e6 / done as f64);
            }
        }
        let named = |figures: Vec<Vec<f64>>| -> Vec<(String, f64)> {
            contenders
                .iter()
                .zip(figures)
                .map(|((contender, _), all)| (contender.name.clone(), median(all)))
                .collect()
        };
        print_ratios(&format!("CPU per GET at pipeline {depth}"), "µs", &named(cpu));
        print_ratios(&format!("GETs per second at pipeline {depth}"), "1/s", &named(rate));
    }
}
