//! A full sync of sub-replicas beside 10 000 writes a second: every read is answered, and rightly, and no second copy of the
//! data is held. What it costs in time is shown by `benches/sync.rs`, with millions of keys.

use super::limits::resident_bytes;
use super::load::{Load, WRITES_PER_SECOND};
use super::{assert_all_equal, wait_linked};
use crate::support::chance;
use crate::support::follower::Follower;
use crate::support::real::Real;
use crate::support::remora::{Remora, SOON};
use crate::support::wait::{self, Finally};
use crate::workload::generate::{Request, request};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

const KEYS: u32 = 100_000;
const VALUE_BYTES: usize = 500;
/// What the slow one takes at a time, each in the time of 1500 writes, ...
const PIECE_BYTES: usize = 2 << 20;
/// ... and how often: what is left is more than sockets hold.
const PIECES: usize = KEYS as usize * VALUE_BYTES / PIECE_BYTES - 8;

#[test]
fn during_a_full_sync_every_read_is_right_and_memory_is_bounded() {
    let Some(master) = Real::start("redis-8.0", &["--repl-backlog-size 64mb"]) else { return };
    let mut rng = chance::seeded("during_a_full_sync_every_read_is_right_and_memory_is_bounded");
    let mut filling: Vec<Request> =
        (0..KEYS).map(|n| request!["SET", format!("key:{n}"), value(n, &mut rng)]).collect();
    master.client().pipeline(&filling);
    filling.clear();
    let remora = Remora::follow(master.port, &["--repl-diskless-sync-delay", "0", "--io-threads", "2"]);
    remora.wait_caught_up(&mut master.client());
    let (load, over) = (Load::default(), AtomicBool::new(false));
    let before = resident_bytes(remora.pid(), "VmRSS:");
    let offset = || remora.replication("slave_repl_offset").parse::<u64>().expect("an offset");
    let (reads, real, stream) = std::thread::scope(|scope| {
        let (_during, _finally) = (load.during(), Finally(&over));
        let mut changes = rng.fork();
        let change = move |out: &mut Vec<Request>| {
            let n = changes.u32(..KEYS);
            out.push(request!["SET", format!("key:{n}"), value(n, &mut changes)]);
        };
        scope.spawn(|| load.write("beside a full sync", master.client(), change));
        let readers = [rng.fork(), rng.fork()].map(|rng| scope.spawn(|| read(&remora, rng, &over)));
        load.seconds(0.2);
        let (begun, stream_begun) = (load.written(), offset());
        let mut slow = Follower::introduced(remora.port);
        slow.say("PSYNC ? -1");
        for _ in 0..PIECES {
            slow.drain(PIECE_BYTES);
            load.seconds(0.15);
        }
        assert!(remora.replication("slave0").contains("state=send_bulk"), "{}", remora.replication("slave0"));
        let real =
            Real::start("redis-8.0", &[&format!("--replicaof 127.0.0.1 {}", remora.port)]).expect("it is here");
        drop(slow);
        wait_linked("the real one", &mut real.client());
        assert!(load.written() - begun > 2 * WRITES_PER_SECOND, "{} writes meanwhile", load.written() - begun);
        over.store(true, SeqCst);
        let reads: usize = readers.map(|reader| reader.join().expect("no read fails")).iter().sum();
        (reads, real, offset() - stream_begun)
    });
    let grown = resident_bytes(remora.pid(), "VmHWM:").saturating_sub(before);
    eprintln!(
        "{reads} reads; {} MiB at first, {} MiB more at the peak, {} MiB of stream meanwhile",
        before >> 20,
        grown >> 20,
        stream >> 20
    );
    assert!(reads > 1_000, "{reads} reads");
    // What is kept of the stream for who is behind, and no second copy of the data.
    assert!(grown < stream + before / 3, "{grown} bytes more than {before}, {stream} of stream");
    wait::until("the slow one is gone", SOON, || remora.metric("remora_subreplicas") == 1.0);
    let mut below = [("remora", remora.client()), ("the real one", real.client())];
    assert_all_equal(&mut master.client(), &mut below);
}

/// Says of which key it is; the rest does not compress.
fn value(n: u32, rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut value = format!("value of {n}:").into_bytes();
    value.resize_with(VALUE_BYTES, || rng.u8(..));
    value
}

/// Reads one key after the other until it is over; answers how many.
fn read(remora: &Remora, mut rng: fastrand::Rng, over: &AtomicBool) -> usize {
    let (mut client, mut reads) = (remora.client(), 0);
    while !over.load(SeqCst) {
        let n = rng.u32(..KEYS);
        let reply = client.command(&["GET", &format!("key:{n}")]);
        assert!(reply.bytes().starts_with(format!("value of {n}:").as_bytes()), "key:{n}: {reply:?}");
        assert_eq!(reply.bytes().len(), VALUE_BYTES);
        reads += 1;
    }
    reads
}
