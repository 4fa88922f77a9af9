//! Each of the five real servers below remora, with random writes going on.

use super::{Finally, assert_all_equal, stat, wait_linked, write_until};
use crate::support::proxy::Proxy;
use crate::support::real::{Real, for_each_master};
use crate::support::remora::{Remora, SOON};
use crate::support::{chance, wait};
use crate::workload::generate::{Features, Generator};
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
    let mut generator = Generator::new(rng, Features::of(server));
    let mut requests = Vec::new();
    while requests.len() < 5_000 {
        generator.step(&mut requests);
    }
    master.client().pipeline(&requests);
    let remora = Remora::follow(master.port, &flags(server));
    remora.wait_linked();
    let proxy = Proxy::to(remora.port);
    let replicaof = format!("--replicaof 127.0.0.1 {}", proxy.port);
    let done = AtomicBool::new(false);
    let mut sub = std::thread::scope(|scope| {
        scope.spawn(|| write_until(master.client(), generator, &done));
        let _until = Finally(&done);
        let mut sub = Real::start(server, &[&replicaof]).expect("the server is here");
        wait_linked(server, &mut sub.client());
        cut_and_resume(&remora, &proxy, &sub);
        restart_and_resume(&remora, &mut sub);
        sub
    });
    assert_eq!(stat(&mut remora.client(), "sync_full"), 1, "a cut or a restart must end in a partial resync");
    assert_all_equal(&mut master.client(), &mut [("remora", remora.client()), (server, sub.client())]);
    sub.kill();
}

/// Cuts the link of the sub-replica a few times within its bytes.
fn cut_and_resume(remora: &Remora, proxy: &Proxy, sub: &Real) {
    let mut client = remora.client();
    for n in 1..=3 {
        let resumed = stat(&mut client, "sync_partial_ok");
        proxy.cut_after(20_000 * n + 7);
        wait::until("the sub-replica resumes", Duration::from_secs(60), || {
            stat(&mut client, "sync_partial_ok") > resumed
        });
        wait_linked(&sub.name, &mut sub.client());
    }
}

/// Stops the sub-replica as an operator does, and starts it again with what it saved.
fn restart_and_resume(remora: &Remora, sub: &mut Real) {
    let mut client = remora.client();
    let resumed = stat(&mut client, "sync_partial_ok");
    let _ = sub.client().try_call("SHUTDOWN SAVE");
    wait::until("the sub-replica is gone", SOON, || remora.replication("connected_slaves") == "0");
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

#[test]
fn redis_cli_takes_a_snapshot() {
    use crate::support::folder;
    let Some(master) = Real::start("redis-7.0", &[]) else { return };
    master.client().must("SET a 1");
    let remora = Remora::follow(master.port, &["--repl-diskless-sync-delay", "0"]);
    remora.wait_linked();
    for name in ["redis-7.0", "redis-8.0", "valkey-9.1"] {
        let Some(program) = folder::peer(&format!("{name}-cli")) else { continue };
        let folder = folder::temporary();
        let file = folder.path().join("taken.rdb");
        let taken = std::process::Command::new(program)
            .args(["-p", &remora.port.to_string(), "--rdb"])
            .arg(&file)
            .output()
            .expect("running redis-cli");
        assert!(taken.status.success(), "{name}: {taken:?}");
        let bytes = std::fs::read(&file).expect("a file");
        assert!(bytes.starts_with(b"REDIS0009"), "{name}: {}", bytes[..9].escape_ascii());
    }
    wait::until("all are gone", SOON, || remora.replication("connected_slaves") == "0");
}
