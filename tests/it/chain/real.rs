//! Each of the five real servers below remora, while its master takes 10 000 random writes a second.

use super::load::{Load, WRITES_PER_SECOND};
use super::{assert_all_equal, stat, wait_linked};
use crate::support::client::Client;
use crate::support::folder;
use crate::support::proxy::Proxy;
use crate::support::real::{Real, for_each_master};
use crate::support::remora::{Remora, SOON};
use crate::support::wait::Finally;
use crate::support::{chance, wait};
use crate::workload::generate::{Features, Generator};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

for_each_master!(a_real_server_below_ends_equal_through_cuts_and_restarts);

/// Redis 7 cannot be told from Redis 6 by what it says.
fn flags(server: &str) -> Vec<&'static str> {
    let mut flags = vec!["--repl-diskless-sync-delay", "0", "--repl-backlog-size", "64mb"];
    if server == "redis-7.0" {
        flags.extend(["--sub-replica-dialect", "redis-7.0"]);
    }
    flags
}

fn a_real_server_below_ends_equal_through_cuts_and_restarts(server: &str) {
    let Some(master) = Real::start(server, &["--repl-backlog-size 64mb"]) else { return };
    let rng = chance::seeded("a_real_server_below_ends_equal_through_cuts_and_restarts");
    let mut generator = Generator::new(rng, Features::of(server).fit_for_a_sub_replica(server));
    let mut requests = Vec::new();
    while requests.len() < 5_000 {
        generator.step(&mut requests);
    }
    master.client().pipeline(&requests);
    let remora = Remora::follow(master.port, &flags(server));
    remora.wait_linked();
    let proxy = Proxy::to(remora.port);
    let replicaof = format!("--replicaof 127.0.0.1 {}", proxy.port);
    let load = Load::default();
    let mut sub = std::thread::scope(|scope| {
        let _during = load.during();
        scope.spawn(|| load.write(server, master.client(), |out| generator.step(out)));
        load.seconds(0.5);
        let mut sub = Real::start(server, &[&replicaof]).expect("the server is here");
        wait_linked(server, &mut sub.client());
        cut_and_resume(&load, &remora, &proxy, &sub);
        restart_and_resume(&load, &remora, &mut sub);
        load.seconds(0.5);
        sub
    });
    assert!(load.written() >= 3 * WRITES_PER_SECOND, "{} writes beside all of that", load.written());
    assert_eq!(stat(&mut remora.client(), "sync_full"), 1, "a cut or a restart must end in a partial resync");
    assert_all_equal(&mut master.client(), &mut [("remora", remora.client()), (server, sub.client())]);
    sub.kill();
}

/// Cuts the link of the sub-replica a few times within its bytes, and lets it be for half a second each time.
fn cut_and_resume(load: &Load, remora: &Remora, proxy: &Proxy, sub: &Real) {
    let mut client = remora.client();
    for n in 1..=3 {
        let resumed = stat(&mut client, "sync_partial_ok");
        proxy.cut_after(20_000 * n + 7);
        wait::until("the sub-replica resumes", Duration::from_secs(60), || {
            stat(&mut client, "sync_partial_ok") > resumed
        });
        wait_linked(&sub.name, &mut sub.client());
        load.seconds(0.5);
    }
}

/// Stops the sub-replica as an operator does, and starts it again with what it saved.
fn restart_and_resume(load: &Load, remora: &Remora, sub: &mut Real) {
    let mut client = remora.client();
    let resumed = stat(&mut client, "sync_partial_ok");
    let _ = sub.client().try_call("SHUTDOWN SAVE");
    wait::until("the sub-replica is gone", SOON, || remora.replication("connected_slaves") == "0");
    load.seconds(0.5);
    sub.restart();
    wait_linked(&sub.name, &mut sub.client());
    assert!(stat(&mut client, "sync_partial_ok") > resumed, "a restart ends in a partial resync");
}

#[test]
fn a_sub_replica_that_cannot_hold_the_data_is_refused_with_the_reason() {
    let Some(master) = Real::start("redis-8.0", &[]) else { return };
    let mut client = master.client();
    client.must("HSET h f 1 g 2");
    client.must("HEXPIRE h 1000 FIELDS 1 f");
    let remora = Remora::follow(master.port, &["--repl-diskless-sync-delay", "0"]);
    remora.wait_linked();
    let replicaof = format!("--replicaof 127.0.0.1 {}", remora.port);
    let Some(sub) = Real::start("redis-6.0", &[&replicaof]) else { return };
    wait::until("it is cut", SOON, || {
        remora.metric_or_zero("remora_subreplica_cuts_total{reason=\"unfit\"}") > 0.0
    });
    remora.wait_logged(&["sub-replica is cut", "cannot hold the data"]);
    assert_eq!(sub.client().info("replication")["master_link_status"], "down");
    // Without the field's expiry it can.
    client.must("HPERSIST h FIELDS 1 f");
    remora.wait_caught_up(&mut client);
    let Some(sub) = Real::start("valkey-8.1", &[&replicaof]) else { return };
    wait_linked("valkey-8.1", &mut sub.client());
    assert_all_equal(&mut client, &mut [("valkey-8.1", sub.client())]);
}

/// A real replica passes over what it does not know and goes on with other data. So it is not sent it.
#[test]
fn a_sub_replica_that_is_too_old_for_what_comes_is_cut_before() {
    let Some(master) = Real::start("redis-8.0", &[]) else { return };
    let mut client = master.client();
    client.must("HSET h f 1");
    let remora = Remora::follow(master.port, &["--repl-diskless-sync-delay", "0"]);
    remora.wait_linked();
    let replicaof = format!("--replicaof 127.0.0.1 {}", remora.port);
    let below = ["redis-7.0", "valkey-8.1", "redis-8.0", "valkey-9.1"];
    let mut subs = below.map(|name| Real::start(name, &[&replicaof]).expect("the peers are here"));
    for (sub, name) in subs.iter().zip(below) {
        wait_linked(name, &mut sub.client());
    }
    assert_all_equal(&mut client, &mut subs.each_mut().map(|sub| ("below", sub.client())));
    let older = [subs[0].client().digest(), subs[1].client().digest()];
    // Redis 8.0 tells of it as HSETEX.
    client.must("HINCRBYFLOAT h f 1.5");
    wait::until("the two old ones are cut", SOON, || {
        remora.metric_or_zero("remora_subreplica_cuts_total{reason=\"unfit\"}") >= 2.0
    });
    remora.wait_logged(&["sub-replica is cut", "the stream has HSETEX"]);
    remora.wait_caught_up(&mut client);
    for (sub, digest) in subs[..2].iter_mut().zip(older) {
        let mut sub = sub.client();
        wait::until("it knows that it is cut off", SOON, || {
            sub.info("replication")["master_link_status"] == "down"
        });
        assert_eq!(sub.digest(), digest, "old data, but none that never were");
    }
    assert_all_equal(&mut client, &mut subs[2..].iter().map(|sub| ("newer", sub.client())).collect::<Vec<_>>());
}

/// `redis-cli --rdb`, `--functions-rdb` and `--replica` against remora and against a real replica.
#[test]
fn redis_cli_takes_a_snapshot() {
    let delay = "--repl-diskless-sync-delay 0";
    let Some(master) = Real::start("redis-8.0", &[delay]) else { return };
    let mut client = master.client();
    client.must("SET a 1");
    let library = "#!lua name=l\nredis.register_function('f', function() return 1 end)";
    assert!(!client.command(&["FUNCTION", "LOAD", library]).is_error());
    let remora = Remora::follow(master.port, &["--repl-diskless-sync-delay", "0"]);
    remora.wait_linked();
    let Some(real) = Real::start("redis-8.0", &[&format!("--replicaof 127.0.0.1 {}", master.port), delay]) else {
        return;
    };
    wait_linked("redis-8.0", &mut real.client());
    for name in ["redis-7.0", "redis-8.0", "valkey-9.1"] {
        for flag in ["--rdb", "--functions-rdb"] {
            let Some(ours) = taken(name, flag, remora.port) else { continue };
            let theirs = taken(name, flag, real.port).expect("the same program");
            assert_eq!(data_of(&ours), data_of(&theirs), "{name} {flag}");
            assert_eq!(ours[..9], theirs[..9], "{name} {flag}: the version");
        }
        follows_the_stream(name, &remora, &mut client);
    }
    wait::until("all are gone", SOON, || remora.replication("connected_slaves") == "0");
}

/// What this program has stored.
fn taken(name: &str, flag: &str, port: u16) -> Option<Vec<u8>> {
    let program = folder::peer(&format!("{name}-cli"))?;
    let folder = folder::temporary();
    let file = folder.path().join("taken.rdb");
    let taken = Command::new(program)
        .args(["-p", &port.to_string(), flag])
        .arg(&file)
        .output()
        .expect("running redis-cli");
    assert!(taken.status.success(), "{name} {flag}: {taken:?}");
    Some(std::fs::read(&file).expect("a file"))
}

/// Functions and keys of a snapshot: what is behind the last fact and before the checksum.
fn data_of(snapshot: &[u8]) -> &[u8] {
    let last = b"aof-base\xc0\0";
    let at = snapshot.windows(last.len()).position(|window| window == last).expect("the last fact");
    &snapshot[at + last.len()..snapshot.len() - 8]
}

/// `--replica` asks for an empty snapshot and prints the stream.
fn follows_the_stream(name: &str, remora: &Remora, master: &mut Client) {
    let Some(program) = folder::peer(&format!("{name}-cli")) else { return };
    let mut cli = Command::new(program)
        .args(["-p", &remora.port.to_string(), "--replica"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("running redis-cli");
    let online =
        |info: BTreeMap<String, String>| info.get("slave0").is_some_and(|line| line.contains("state=online"));
    wait::until("it gets the stream", SOON, || online(remora.client().info("replication")));
    // It takes the first command for the answer to its acknowledgement.
    master.must("PUBLISH told nothing");
    master.must(&format!("PUBLISH told {name}"));
    let mut lines = BufReader::new(cli.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("told") && line.contains(name)), "{name}");
    cli.kill().and_then(|()| cli.wait()).expect("it is ours");
}

#[test]
fn a_snapshot_taken_under_heavy_writes_is_exact() {
    let Some(master) = Real::start("redis-8.0", &["--repl-backlog-size 64mb"]) else { return };
    let mut client = master.client();
    client.must("DEBUG POPULATE 150000 key 50");
    let remora = Remora::follow(master.port, &flags("redis-8.0"));
    remora.wait_linked();
    let done = AtomicBool::new(false);
    let subs = std::thread::scope(|scope| {
        scope.spawn(|| churn(master.client(), &done));
        let _until = Finally(&done);
        let begun = remora.wait_caught_up(&mut client);
        let subs = [0, 1].map(|_| Remora::follow(remora.port, &["--io-threads", "1"]));
        subs.iter().for_each(Remora::wait_linked);
        let changed = remora.wait_caught_up(&mut client) - begun;
        assert!(changed > 100_000, "{changed} bytes of stream during the syncs");
        subs
    });
    let mut below = [("first", subs[0].client()), ("second", subs[1].client())];
    assert_all_equal(&mut client, &mut below);
}

/// Changes, deletes and makes keys all over the place, and empties a database now and then.
fn churn(mut client: Client, done: &AtomicBool) {
    let mut rng = chance::seeded("a_snapshot_taken_under_heavy_writes_is_exact");
    while !done.load(std::sync::atomic::Ordering::SeqCst) {
        let requests: Vec<Vec<String>> = (0..200)
            .map(|n| {
                let key = format!("key:{}", rng.u32(..200_000));
                match rng.u32(..40) {
                    0..15 => vec!["SET".into(), key, format!("changed {n}")],
                    15..25 => vec!["DEL".into(), key],
                    25..30 => vec!["APPEND".into(), key, "more".into()],
                    30..34 => vec!["RENAME".into(), key, format!("key:{}", rng.u32(..200_000))],
                    34..37 => vec!["RPUSH".into(), format!("list:{}", rng.u32(..100)), "v".repeat(100)],
                    37 => vec!["EXPIRE".into(), key, "1000".into()],
                    38 => vec!["COPY".into(), key, format!("copy:{n}"), "DB".into(), "1".into()],
                    _ => vec!["SWAPDB".into(), "1".into(), "2".into()],
                }
            })
            .collect();
        client.pipeline(&requests);
    }
}
