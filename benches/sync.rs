//! What a sub-replica's full sync costs the server that gives it: memory on top, and what clients feel.
//!
//! 3M keys of 16 bytes with values of 100, 10k SETs a second from the master, one client that GETs one key after the
//! other. Measured quietly and from PSYNC until the sub-replica has the last byte of the snapshot, in turns, five times
//! each: the latencies of all rounds are put together. Memory is the proportional set of the process and its children,
//! since the real servers fork; of a sync of its own, without the client.

#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

#[path = "common/mod.rs"]
mod common;

use common::watch::{Phase, print, rest, watch, weigh};
use common::{Client, Contender, Follower, Link, Size, encode_into, key, print_machine, snapshot, value};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

const KEYS: u64 = 3_000_000;
const SETS_PER_SECOND: u64 = 10_000;
/// The SETs of so much time go out together.
const TICK: Duration = Duration::from_millis(5);

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
            let sync =
                || Follower::introduced_as(contender.port, &["REPLCONF capa eof capa psync2"]).full_sync_unkept();
            let (mut quiet, mut during) = (Phase::default(), Phase::default());
            weigh(&mut quiet, contender, || rest(size));
            weigh(&mut during, contender, sync);
            for _ in 0..size.rounds {
                watch(&mut quiet, contender, size.keys, || rest(size));
                watch(&mut during, contender, size.keys, sync);
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
