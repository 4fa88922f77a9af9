//! What a master counts on us for, in both ack modes: WAIT, and a FAILOVER that it begins towards us.

use crate::support::real::{Real, for_each_master};
use crate::support::remora::{Remora, SOON};
use crate::support::wait;

fn below(master: &Real, ack_mode: &str) -> Remora {
    let remora = Remora::follow(master.port, &["--ack-mode", ack_mode]);
    remora.wait_linked();
    remora
}

fn an_observer_never_counts_for_wait(server: &str) {
    let Some(master) = Real::start(server, &[]) else { return };
    let remora = below(&master, "observer");
    let mut client = master.client();
    client.must("SET k 1");
    remora.wait_caught_up(&mut client);
    // Acks have gone out behind the write by then: one that counted would end this at once.
    assert_eq!(client.must("WAIT 1 2500").int(), 0, "{server}: as an observer");
    remora.client().must("CONFIG SET ack-mode exact");
    client.must("SET k 2");
    assert_eq!(client.must("WAIT 1 30000").int(), 1, "{server}: as a replica");
}

for_each_master!(an_observer_never_counts_for_wait);

/// The master pauses its writers, hands over, is refused or waits in vain, and is a master again that takes writes.
#[track_caller]
fn check_recovers(server: &str, ack_mode: &str) {
    let Some(master) = Real::start(server, &[]) else { return };
    let remora = below(&master, ack_mode);
    let mut client = master.client();
    client.must("SET before 1");
    remora.wait_caught_up(&mut client);
    client.must(&format!("FAILOVER TO 127.0.0.1 {} TIMEOUT 3000", remora.port));
    wait::until("the master is a master and no failover is under way", SOON, || {
        let info = client.info("replication");
        info["role"] == "master" && info["master_failover_state"] == "no-failover"
    });
    client.must("SET after 1");
    remora.wait_linked();
    remora.wait_caught_up(&mut client);
    assert_eq!(remora.client().digest(), client.digest(), "{server} {ack_mode}");
    assert_eq!(remora.replication("role"), "slave");
}

#[test]
fn redis_7_0_recovers_from_a_failover_towards_a_replica() {
    check_recovers("redis-7.0", "exact");
}

#[test]
fn redis_7_0_recovers_from_a_failover_towards_an_observer() {
    check_recovers("redis-7.0", "observer");
}

#[test]
fn valkey_9_1_recovers_from_a_failover_towards_a_replica() {
    check_recovers("valkey-9.1", "exact");
}

#[test]
fn valkey_9_1_recovers_from_a_failover_towards_an_observer() {
    check_recovers("valkey-9.1", "observer");
}
