//! Three remoras deep, each node killed in turn, re-parenting, and the master's failover.

use super::load::{Load, WRITES_PER_SECOND};
use super::{assert_all_equal, stat, wait_linked};
use crate::support::real::Real;
use crate::support::remora::{Remora, SOON};
use crate::support::{chance, wait};
use crate::workload::generate::{Features, Generator};
use std::time::Duration;

const FLAGS: [&str; 6] = ["--repl-diskless-sync-delay", "0", "--repl-backlog-size", "64mb", "--io-threads", "1"];

fn follow(port: u16) -> Remora {
    let remora = Remora::follow(port, &FLAGS);
    remora.wait_linked();
    remora
}

/// Points a replica elsewhere, and waits for its link.
#[track_caller]
fn follow_instead(name: &str, remora: &Remora, port: u16) {
    let mut client = remora.client();
    client.must(&format!("REPLICAOF 127.0.0.1 {port}"));
    wait::until(&format!("{name} follows {port}"), Duration::from_secs(60), || {
        let info = client.info("replication");
        info["master_port"] == port.to_string() && info["master_link_status"] == "up"
    });
}

/// Waits until a replica has what another one's backlog begins behind: one that is freshly synced remembers nothing
/// older.
#[track_caller]
fn wait_past_the_start_of(name: &str, remora: &Remora, fresh: &Remora) {
    let first: u64 = fresh.replication("repl_backlog_first_byte_offset").parse().expect("an offset");
    wait::until(&format!("{name} has come so far"), Duration::from_secs(60), || {
        remora.replication("slave_repl_offset").parse::<u64>().expect("an offset") + 1 >= first
    });
}

/// Full syncs that a remora has asked for since its first.
fn further_full_syncs(remora: &Remora) -> f64 {
    remora.metric_or_zero("remora_full_syncs_total") - 1.0
}

/// Partial resyncs that a remora has asked for and been given.
fn resumed(remora: &Remora) -> f64 {
    remora.metric_or_zero("remora_partial_syncs_total")
}

/// Three remoras one below the other, while the master takes 10 000 writes a second, and each of them killed in turn under
/// the same writes: `kill -9`, as `drop` does.
#[test]
fn three_remoras_deep_each_node_killed_in_turn_all_end_equal() {
    const NAME: &str = "three_remoras_deep_each_node_killed_in_turn_all_end_equal";
    let Some(mut master) = Real::start("redis-8.0", &["--repl-backlog-size 64mb"]) else { return };
    let mut rng = chance::seeded(NAME);
    let mut generator = || Generator::new(rng.fork(), Features::of("redis-8.0"));
    let (mut before, mut again) = (generator(), generator());
    let load = Load::default();
    let [first, second, third] = std::thread::scope(|scope| {
        let _during = load.during();
        scope.spawn(|| load.write("three remoras", master.client(), |out| before.step(out)));
        load.seconds(0.3);
        let first = follow(master.port);
        load.seconds(0.3);
        let second = follow(first.port);
        load.seconds(0.3);
        let third = follow(second.port);
        load.seconds(1.0);
        [first, second, third]
    });
    let mut below = [("first", first.client()), ("second", second.client()), ("third", third.client())];
    assert_all_equal(&mut master.client(), &mut below);
    // FLUSHALL ends the child of a sync as failed: the first has resumed then, or asked for everything once more.
    let before = ["sync_full", "sync_partial_ok"].map(|name| stat(&mut master.client(), name));
    let load = Load::default();
    let (first, third, fourth) = std::thread::scope(|scope| {
        let _during = load.during();
        scope.spawn(|| load.write("nodes killed in turn", master.client(), |out| again.step(out)));
        load.seconds(0.5);
        // The one in the middle dies: the last goes one up, and resumes there.
        drop(second);
        follow_instead("the third", &third, first.port);
        load.seconds(0.5);
        // Another takes the middle, and the last goes below it.
        let second = follow(first.port);
        wait_past_the_start_of("the third", &third, &second);
        follow_instead("the third", &third, second.port);
        load.seconds(0.5);
        // The topmost dies: the middle goes to the master, and cuts the last once, so that it hears who is above it now.
        drop(first);
        follow_instead("the second", &second, master.port);
        wait::until("the third has heard of it", SOON, || resumed(&third) == 3.0);
        load.seconds(0.5);
        // Straight to the master, and back below another remora.
        follow_instead("the third", &third, master.port);
        follow_instead("the third", &third, second.port);
        load.seconds(0.5);
        // The last of three dies and is replaced: nobody above notices.
        drop(follow(third.port));
        let fourth = follow(third.port);
        load.seconds(0.5);
        (second, third, fourth)
    });
    assert!(load.written() >= 3 * WRITES_PER_SECOND, "{} writes beside all of that", load.written());
    for (name, remora) in [("second", &first), ("third", &third), ("fourth", &fourth)] {
        assert_eq!(further_full_syncs(remora), 0.0, "the {name} was to resume each time");
    }
    // One up, below the new middle, behind the middle's move, to the master, and back; the middle to the master.
    let partial = [&first, &third, &fourth].map(resumed);
    assert_eq!(partial, [1.0, 5.0, 0.0], "partial resyncs of the second, the third and the fourth");
    let after = ["sync_full", "sync_partial_ok"].map(|name| stat(&mut master.client(), name));
    assert_eq!([after[0] - before[0], after[1] - before[1]], [0, 2], "given by the master");
    let mut below = [("second", first.client()), ("third", third.client()), ("fourth", fourth.client())];
    assert_all_equal(&mut master.client(), &mut below);
    // The master dies and comes back empty, with another history: all of them sync anew, one after the other.
    master.restart();
    master.client().must("SET after restart");
    for (name, client) in &mut below {
        wait::until(&format!("the {name} has the new data"), Duration::from_secs(90), || {
            client.call("GET after").text_is("restart")
        });
    }
    assert_all_equal(&mut master.client(), &mut below);
}

#[test]
fn a_failover_of_the_master_goes_down_the_chain_as_partial_resyncs() {
    for server in ["redis-7.0", "valkey-9.1"] {
        // No ping: one between the other's promotion and this one's end would be of a history that nobody goes on with.
        let settings = ["--repl-backlog-size 16mb", "--repl-ping-replica-period 3600"];
        let Some(old) = Real::start(server, &settings) else { return };
        let replicaof = format!("--replicaof 127.0.0.1 {}", old.port);
        let new = Real::start(server, &["--repl-backlog-size 16mb", &replicaof]).expect("the server is here");
        wait_linked("the other server", &mut new.client());
        old.client().must("SET before 1");
        let first = follow(old.port);
        let second = follow(first.port);
        let sub = Real::start(server, &[&format!("--replicaof 127.0.0.1 {}", second.port)]).expect("here");
        wait_linked("the real one at the end", &mut sub.client());

        assert_all_equal(&mut old.client(), &mut [("the other server", new.client())]);
        new.client().must("REPLICAOF NO ONE");
        old.client().must(&format!("REPLICAOF 127.0.0.1 {}", new.port));
        follow_instead("the first", &first, new.port);
        new.client().must("SET after 2");
        let id = new.client().info("replication")["master_replid"].clone();
        let mut below = [("first", first.client()), ("second", second.client()), ("last", sub.client())];
        for (name, client) in &mut below {
            wait::until(&format!("the {name} has the new id"), Duration::from_secs(60), || {
                client.info("replication")["master_replid"] == id
            });
        }
        assert_all_equal(&mut new.client(), &mut below);
        for remora in [&first, &second] {
            assert_eq!(further_full_syncs(remora), 0.0, "{server}: {}", remora.log());
            assert!(stat(&mut remora.client(), "sync_partial_ok") >= 1, "{server}");
        }
        assert!(first.metric("remora_subreplica_cuts_total{reason=\"new-id\"}") >= 1.0);
    }
}

#[test]
fn a_real_replica_moves_between_master_and_remoras_without_a_full_sync() {
    let server = "valkey-9.1";
    let Some(master) = Real::start(server, &["--repl-backlog-size 64mb"]) else { return };
    let rng = chance::seeded("a_real_replica_moves_between_master_and_remoras_without_a_full_sync");
    let (first, second) = (follow(master.port), follow(master.port));
    let replicaof = format!("--replicaof 127.0.0.1 {}", first.port);
    let sub = Real::start(server, &[&replicaof]).expect("the server is here");
    wait_linked(server, &mut sub.client());
    let load = Load::default();
    let mut generator = Generator::new(rng, Features::of(server));
    std::thread::scope(|scope| {
        let _during = load.during();
        scope.spawn(|| load.write("a real replica moves", master.client(), |out| generator.step(out)));
        load.seconds(0.3);
        // From the master to a remora it may come with more than the remora has yet.
        for port in [second.port, master.port, first.port, master.port, second.port] {
            let mut client = sub.client();
            client.must(&format!("REPLICAOF 127.0.0.1 {port}"));
            wait::until(&format!("it follows {port}"), Duration::from_secs(60), || {
                let info = client.info("replication");
                info["master_port"] == port.to_string() && info["master_link_status"] == "up"
            });
            load.seconds(0.3);
        }
    });
    assert_all_equal(&mut master.client(), &mut [("the replica", sub.client()), ("second", second.client())]);
    let full = [&first, &second].map(|remora| stat(&mut remora.client(), "sync_full"));
    assert_eq!(full, [1, 0], "full syncs that the remoras gave: the first one only");
    assert_eq!(stat(&mut master.client(), "sync_full"), 2, "full syncs that the master gave: the remoras");
}
