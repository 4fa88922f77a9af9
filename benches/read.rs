//! What a GET costs: CPU of the server per request and requests per second, at pipeline depths 1 and 16.
//!
//! Fifty connections, keys by chance. The servers stand on the first core, the load on the others; remora with one worker, as the others
//! answer from one thread.

#[path = "common/mod.rs"]
mod common;

use common::{Contender, Size, key, median, pin, print_machine, print_ratios, snapshot};
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECTIONS: usize = 50;
/// `$100`, the value, two line ends.
const REPLY_BYTES: usize = 6 + 100 + 2;

fn main() {
    let size = Size::from_args();
    let size = if size.smoke { size } else { Size { keys: size.keys.min(1_000_000), ..size } };
    print_machine(size);
    let contenders = Contender::all_loaded(&snapshot(size.keys), &["--io-threads", "1"]);
    if !size.smoke {
        contenders.iter().for_each(|(contender, _)| contender.pin("0"));
        pin(
            std::process::id(),
            &format!("1-{}", std::thread::available_parallelism().map_or(1, |cores| cores.get() - 1).max(1)),
        );
    }
    for (depth, requests) in [(1, 400_000), (16, 3_000_000)] {
        let requests = if size.smoke { 5_000 } else { requests };
        let (mut cpu, mut rate) = (vec![Vec::new(); contenders.len()], vec![Vec::new(); contenders.len()]);
        for round in 0..size.rounds {
            for (at, (contender, _)) in contenders.iter().enumerate() {
                let before = contender.cpu();
                let started = Instant::now();
                let done = load(contender.port, depth, requests, size.keys, round as u64);
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

/// Asks from all connections until about `requests` are answered, and returns how many were.
fn load(port: u16, depth: usize, requests: usize, keys: u64, seed: u64) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let each = (requests / CONNECTIONS / depth).max(1);
        let batches = Arc::new(batches(depth, keys, seed));
        let mut tasks = Vec::new();
        for connection in 0..CONNECTIONS {
            let batches = Arc::clone(&batches);
            tasks.push(tokio::spawn(async move {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("connecting");
                stream.set_nodelay(true).expect("a socket");
                let mut replies = vec![0; REPLY_BYTES * depth];
                for turn in 0..each {
                    stream.write_all(&batches[(connection * 7919 + turn) % batches.len()]).await.expect("sending");
                    stream.read_exact(&mut replies).await.expect("replies");
                    assert_eq!(&replies[..6], b"$100\r\n", "a value");
                }
                each * depth
            }));
        }
        let mut done = 0;
        for task in tasks {
            done += task.await.expect("a connection");
        }
        done
    })
}

/// Some thousand batches of requests, made before the clock runs.
fn batches(depth: usize, keys: u64, seed: u64) -> Vec<Vec<u8>> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut batch = || {
        let mut bytes = Vec::new();
        for _ in 0..depth {
            common::encode_into(&mut bytes, &[&b"GET"[..], &key(rng.u64(..keys))]);
        }
        bytes
    };
    (0..20_000).map(|_| batch()).collect()
}
