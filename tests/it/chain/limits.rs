//! Many sub-replicas at once, and slow ones.

use super::{assert_all_equal, stat, wait_linked};
use crate::support::chance;
use crate::support::client::Client;
use crate::support::follower::Follower;
use crate::support::real::Real;
use crate::support::remora::{Remora, SOON, master_offset};
use crate::support::wait;
use crate::workload::generate::{Features, Generator};
use std::time::{Duration, Instant};

fn fill(client: &mut Client, keys: usize, bytes: usize) {
    let value = "v".repeat(bytes);
    let requests: Vec<Vec<String>> =
        (0..keys).map(|n| vec!["SET".into(), format!("key:{n}"), value.clone()]).collect();
    client.pipeline(&requests);
}

#[test]
fn fifty_sub_replicas_at_once_share_one_snapshot_and_the_master_sees_one_sync() {
    let Some(master) = Real::start("redis-8.0", &[]) else { return };
    fill(&mut master.client(), 20_000, 100);
    let remora = Remora::follow(master.port, &["--repl-diskless-sync-delay", "2", "--repl-backlog-size", "1mb"]);
    remora.wait_linked();
    let before = resident_bytes(remora.pid(), "VmRSS:");
    let started = Instant::now();
    let mut followers: Vec<Follower> = (0..50).map(|_| Follower::introduced(remora.port)).collect();
    followers.iter_mut().for_each(|follower| follower.say("PSYNC ? -1"));
    let synced: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = followers.iter_mut().map(|follower| scope.spawn(|| follower.synced())).collect();
        all.into_iter().map(|thread| thread.join().expect("a sub-replica")).collect()
    });
    assert!(synced[0].snapshot.len() > 20_000 * 100, "values that do not compress away");
    assert!(synced.iter().all(|other| *other == synced[0]), "one snapshot for all");
    assert_eq!(remora.metric("remora_subreplica_snapshots_total"), 1.0);
    assert_eq!(master.client().info("stats")["sync_full"], "1");
    let (all_have_it, grown) = (started.elapsed(), resident_bytes(remora.pid(), "VmHWM:").saturating_sub(before));
    assert!(all_have_it < SOON, "fifty snapshots took {all_have_it:?}");
    // A copy for each would be more than 100 MB.
    assert!(grown < 40 << 20, "{grown} bytes more at the peak");
    // They all get the same stream.
    followers.iter_mut().for_each(|follower| follower.ack(synced[0].offset));
    fill(&mut master.client(), 1000, 50);
    let end = remora.wait_caught_up(&mut master.client());
    let bytes = usize::try_from(end).expect("an offset") - usize::try_from(synced[0].offset).expect("an offset");
    let first = followers[0].bytes(bytes);
    assert!(followers[1..].iter_mut().all(|follower| follower.bytes(bytes) == first));
    assert_eq!(remora.metric("remora_subreplicas"), 50.0);
    drop(followers);
    wait::until("all are gone", SOON, || remora.metric("remora_subreplicas") == 0.0);
    assert_eq!(remora.client().info("clients")["connected_clients"], "1");
}

/// The same with remoras, which show that they hold the same: as many as this machine can bear.
#[test]
fn remoras_that_come_at_once_end_equal_and_the_master_sees_one_sync() {
    let Some(master) = Real::start("valkey-9.1", &[]) else { return };
    let mut generator = Generator::new(chance::seeded("remoras_that_come_at_once"), Features::of("valkey-9.1"));
    let mut write = |count| {
        let mut requests = Vec::new();
        while requests.len() < count {
            generator.step(&mut requests);
        }
        master.client().pipeline(&requests);
    };
    write(10_000);
    let remora = Remora::follow(master.port, &["--repl-diskless-sync-delay", "2"]);
    remora.wait_linked();
    let count = chance::size("REMORA_TEST_SUB_REPLICAS", 12);
    let subs: Vec<Remora> = std::thread::scope(|scope| {
        let start = || Remora::follow(remora.port, &["--io-threads", "1"]);
        let all: Vec<_> = (0..count).map(|_| scope.spawn(start)).collect();
        write(5_000);
        all.into_iter().map(|thread| thread.join().expect("a sub-replica")).collect()
    });
    write(5_000);
    let mut below: Vec<_> = subs.iter().map(|sub| ("a sub-replica", sub.client())).collect();
    assert_all_equal(&mut master.client(), &mut below);
    assert_eq!(remora.metric("remora_subreplicas"), count as f64);
    assert_eq!(stat(&mut master.client(), "sync_full"), 1, "the master saw our sync only");
}

#[test]
fn one_that_does_not_read_is_cut_alone_and_the_limit_is_named() {
    let Some(master) = Real::start("redis-8.0", &[]) else { return };
    let limit = ["--client-output-buffer-limit", "replica 4mb 0 0", "--repl-diskless-sync-delay", "0"];
    let remora = Remora::follow(master.port, &limit);
    remora.wait_linked();
    let (mut slow, mut fast) = (Follower::introduced(remora.port), Follower::introduced(remora.port));
    for follower in [&mut slow, &mut fast] {
        let offset = follower.full_sync().offset;
        follower.ack(offset);
    }
    let mut client = master.client();
    let (start, mut read) = (master_offset(&mut client), 0);
    // A megabyte at a time, which the one takes and the other does not.
    let mut write_and_read = || {
        fill(&mut client, 1000, 1000);
        let written = remora.wait_caught_up(&mut client) - start;
        fast.drain(usize::try_from(written - read).expect("a length"));
        read = written;
        assert!(written < 60 << 20, "it still is not cut after {written} bytes");
    };
    while remora.metric_or_zero("remora_subreplica_cuts_total{reason=\"output-buffer-hard\"}") < 1.0 {
        write_and_read();
    }
    remora.wait_logged(&["sub-replica is cut", "hard limit of client-output-buffer-limit replica (4194304)"]);
    (0..5).for_each(|_| write_and_read());
    assert_eq!(remora.replication("connected_slaves"), "1", "the other one stays");
}

#[test]
fn the_soft_limit_cuts_after_its_time() {
    let Some(master) = Real::start("redis-8.0", &[]) else { return };
    let limit = ["--client-output-buffer-limit", "replica 1gb 1mb 2", "--repl-diskless-sync-delay", "0"];
    let remora = Remora::follow(master.port, &limit);
    remora.wait_linked();
    let mut slow = Follower::introduced(remora.port);
    let offset = slow.full_sync().offset;
    slow.ack(offset);
    let mut client = master.client();
    fill(&mut client, 20_000, 1000);
    wait::until("it is cut", Duration::from_secs(30), || {
        remora.metric_or_zero("remora_subreplica_cuts_total{reason=\"output-buffer-soft\"}") >= 1.0
    });
    remora.wait_logged(&["sub-replica is cut", "soft limit", "for 2 s"]);
}

#[test]
fn one_that_says_nothing_is_cut_after_the_timeout() {
    let Some(master) = Real::start("redis-8.0", &["--repl-ping-replica-period 1"]) else { return };
    let remora = Remora::follow(master.port, &["--repl-timeout", "3", "--repl-diskless-sync-delay", "0"]);
    remora.wait_linked();
    let mut mute = Follower::introduced(remora.port);
    mute.full_sync();
    let mut alive = Follower::introduced(remora.port);
    let offset = alive.full_sync().offset;
    wait::until("the mute one is cut", SOON, || {
        alive.ack(offset);
        remora.metric_or_zero("remora_subreplica_cuts_total{reason=\"timeout\"}") >= 1.0
    });
    assert_eq!(remora.replication("connected_slaves"), "1");
}

/// `kill -STOP`: its kernel acknowledges everything, and it takes nothing.
#[test]
fn a_real_replica_that_is_stopped_is_cut_and_comes_back_when_it_goes_on() {
    let Some(master) = Real::start("valkey-9.1", &["--repl-ping-replica-period 1"]) else { return };
    let flags = ["--repl-diskless-sync-delay", "0", "--repl-backlog-size", "4mb", "--repl-timeout", "3"];
    let limit = ["--client-output-buffer-limit", "replica 4mb 0 0"];
    let remora = Remora::follow(master.port, &[&flags[..], &limit].concat());
    remora.wait_linked();
    let sub = Real::start("redis-8.0", &[&format!("--replicaof 127.0.0.1 {}", remora.port)]).expect("it is here");
    wait_linked("the real one", &mut sub.client());
    let cuts =
        |reason: &str| remora.metric_or_zero(&format!("remora_subreplica_cuts_total{{reason=\"{reason}\"}}"));
    let mut client = master.client();
    sub.signal("STOP");
    wait::until("it is cut", SOON, || cuts("timeout") == 1.0);
    remora.wait_logged(&["sub-replica is cut", "nothing was heard of it for repl-timeout (3 s)"]);
    sub.signal("CONT");
    wait::until("it resumes", SOON, || stat(&mut remora.client(), "sync_partial_ok") == 1);
    wait_linked("the real one", &mut sub.client());

    remora.client().must("CONFIG SET repl-timeout 60");
    sub.signal("STOP");
    wait::until("it is cut", SOON, || {
        fill(&mut client, 1000, 1000);
        cuts("output-buffer-hard") == 1.0
    });
    remora.wait_logged(&["sub-replica is cut", "hard limit of client-output-buffer-limit replica (4194304)"]);
    sub.signal("CONT");
    assert_all_equal(&mut client, &mut [("remora", remora.client()), ("the real one", sub.client())]);
}

#[test]
fn snapshots_beyond_the_limit_wait_with_keep_alives() {
    let Some(master) = Real::start("redis-8.0", &[]) else { return };
    let value = || (0..10_000).map(|_| fastrand::alphanumeric()).collect::<String>();
    let requests: Vec<Vec<String>> = (0..3000).map(|n| vec!["SET".into(), format!("key:{n}"), value()]).collect();
    master.client().pipeline(&requests);
    let flags = ["--max-concurrent-syncs", "1", "--repl-diskless-sync-delay", "0"];
    let remora = Remora::follow(master.port, &flags);
    remora.wait_linked();
    // It takes some megabytes into its socket and then nothing: its snapshot cannot go on.
    let mut stuck = Follower::introduced(remora.port);
    stuck.say("PSYNC ? -1");
    wait::until("its snapshot begins", SOON, || remora.metric("remora_subreplica_snapshots_total") == 1.0);
    let mut other = Follower::introduced_as(remora.port, &["REPLCONF capa eof capa psync2"]);
    other.say("PSYNC ? -1");
    wait::until("the other one waits", SOON, || remora.replication("connected_slaves") == "2");
    assert!(remora.replication("slave1").contains("state=wait_bgsave"), "{}", remora.replication("slave1"));
    let resident = resident_bytes(remora.pid(), "VmRSS:");
    master.client().pipeline(&requests);
    remora.wait_caught_up(&mut master.client());
    assert!(remora.replication("slave0").contains("state=send_bulk"), "{}", remora.replication("slave0"));
    let grown = resident_bytes(remora.pid(), "VmRSS:").saturating_sub(resident);
    assert!(grown < 120 << 20, "the pre-images of 30 MB take {grown} bytes");
    let seen = Instant::now();
    wait::until("two seconds have passed", SOON, || seen.elapsed() > Duration::from_secs(2));
    drop(stuck);
    let synced = other.synced();
    assert!(synced.snapshot.len() > 30_000_000 && synced.snapshot.starts_with(b"REDIS0009"));
    assert!(other.newlines >= 2, "{} keep-alives", other.newlines);
}

/// Resident memory, now (`VmRSS:`) or at its highest (`VmHWM:`).
pub(super) fn resident_bytes(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process");
    let line = status.lines().find(|line| line.starts_with(field)).expect("the field");
    line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok()).expect("a number") * 1024
}
