//! A snapshot that cannot be loaded: the old data stays and answers, the log says what is wrong, the next try works.

use crate::support::fixture::Fixture;
use crate::support::remora::Remora;
use crate::support::script::{Framing, Link, Master, OTHER_REPLID, REPLID};
use crate::support::wait;
use std::time::Duration;

/// A remora that holds the snapshot of redis 8.0 and has just lost its link.
fn with_old_data(flags: &[&str]) -> (Master, Remora, String) {
    let master = Master::listen();
    let remora = Remora::follow(master.port, flags);
    let mut link = master.serve(&Fixture::load("redis-8.0.rdb").bytes, 1000);
    link.wait_ack(1000);
    remora.wait_linked();
    let digest = remora.client().digest();
    link.cut();
    (master, remora, digest)
}

/// The next try ends in this bad snapshot; then a good one is taken.
#[track_caller]
fn check_refused(serve: impl FnOnce(&mut Link), logged: &[&str]) {
    let (master, remora, digest) = with_old_data(&["--repl-timeout", "10"]);
    let mut link = master.accept();
    link.handshake();
    serve(&mut link);
    link.wait_closed(Duration::from_secs(30));
    remora.wait_logged(logged);
    let mut client = remora.client();
    assert_eq!(client.digest(), digest, "the old data stays");
    assert!(!client.call("GET s:text").is_error(), "reads still answer");
    assert_eq!(remora.replication("master_link_status"), "down");
    let mut link = master.accept();
    let (replid, _) = link.handshake();
    assert_eq!(replid, REPLID, "the old data keeps its position");
    link.full_resync(OTHER_REPLID, 7, &Fixture::load("handmade-empty.rdb").bytes, Framing::Mark);
    link.wait_ack(7);
    remora.wait_linked();
    assert_eq!(client.must("DBSIZE").int(), 0, "a good snapshot replaces it");
}

fn check_file_refused(name: &str, logged: &[&str]) {
    eprintln!("{name}");
    let fixture = Fixture::load(name);
    check_refused(|link| link.full_resync(OTHER_REPLID, 5, &fixture.bytes, Framing::Length), logged);
}

#[test]
fn a_wrong_checksum_is_refused() {
    check_file_refused("bad-crc.rdb", &["checksum"]);
}

#[test]
fn an_unknown_version_is_refused() {
    check_file_refused("bad-version.rdb", &["version"]);
}

#[test]
fn an_unknown_value_type_is_refused_by_its_number() {
    check_file_refused("bad-type.rdb", &["byte 14", "8 is not known"]);
}

#[test]
fn a_file_of_another_kind_is_refused() {
    check_file_refused("bad-magic.rdb", &["snapshot"]);
}

#[test]
fn corrupt_values_are_refused_with_their_place() {
    for name in ["bad-listpack.rdb", "bad-lzf.rdb", "bad-length.rdb", "bad-huge-length.rdb"] {
        check_file_refused(name, &["byte"]);
    }
}

#[test]
fn a_snapshot_that_ends_early_is_refused() {
    check_file_refused("bad-truncated.rdb", &["snapshot"]);
}

#[test]
fn a_connection_cut_inside_the_snapshot_changes_nothing() {
    let snapshot = Fixture::load("redis-7.0.rdb").bytes;
    check_refused(
        |link| {
            link.say(format!("+FULLRESYNC {OTHER_REPLID} 5\r\n${}\r\n", snapshot.len()));
            link.say(&snapshot[..snapshot.len() / 2]);
            link.finish();
        },
        &["snapshot"],
    );
}

#[test]
fn a_master_that_falls_silent_inside_the_snapshot_is_left() {
    let snapshot = Fixture::load("redis-7.0.rdb").bytes;
    check_refused(
        |link| {
            link.say(format!("+FULLRESYNC {OTHER_REPLID} 5\r\n${}\r\n", snapshot.len()));
            link.say(&snapshot[..snapshot.len() / 2]);
        },
        &[],
    );
}

#[test]
fn a_marked_snapshot_without_its_mark_is_refused() {
    let snapshot = Fixture::load("redis-7.0.rdb").bytes;
    check_refused(
        |link| {
            link.say(format!("+FULLRESYNC {OTHER_REPLID} 5\r\n$EOF:{}\r\n", "m".repeat(40)));
            link.say(&snapshot);
            link.finish();
        },
        &[],
    );
}

#[test]
fn an_error_instead_of_the_snapshot_is_refused() {
    check_refused(
        |link| link.say(format!("+FULLRESYNC {OTHER_REPLID} 5\r\n-ERR no fork today\r\n")),
        &["no fork today"],
    );
}

#[test]
fn a_command_that_cannot_be_applied_leads_to_a_full_resync_and_not_to_a_storm() {
    let (master, remora, _) = with_old_data(&[]);
    let mut link = master.accept();
    link.handshake();
    link.resume(REPLID);
    link.stream(&["SELECT 0", "NOSUCHWRITE a b"]);
    link.wait_closed(Duration::from_secs(30));
    remora.wait_logged(&["NOSUCHWRITE"]);
    assert_eq!(remora.metric("remora_apply_errors_total"), 1.0);
    // The copy is not trusted any more: everything is asked for anew.
    let mut link = master.accept();
    assert_eq!(link.handshake().0, "?", "a full resync is asked for");
    link.full_resync(REPLID, 5000, &Fixture::load("redis-8.0.rdb").bytes, Framing::Length);
    link.wait_ack(5000);
    remora.wait_linked();
    link.stream(&["SELECT 0", "NOSUCHWRITE a b"]);
    link.wait_closed(Duration::from_secs(30));
    wait::until("the second fault is counted", Duration::from_secs(30), || {
        remora.metric("remora_apply_errors_total") == 2.0
    });
    assert!(!remora.client().call("GET s:text").is_error(), "reads go on with the old data");
    let (status, _) = crate::support::http::get(remora.metrics_port, "/ready");
    assert_eq!(status, 503, "a diverged copy is not ready");
    let again = master.accept_within(Duration::from_secs(3));
    assert!(again.is_none(), "the second fault at the same command waits for the longest back-off");
}

#[test]
fn two_commands_that_fail_in_turn_are_no_storm_either() {
    let (master, remora, _) = with_old_data(&[]);
    for (n, command) in ["NOSUCHWRITE", "NORTHIS", "NOSUCHWRITE"].iter().enumerate() {
        let mut link = master.accept();
        if link.handshake().0 == "?" {
            link.full_resync(REPLID, 5000, &Fixture::load("redis-8.0.rdb").bytes, Framing::Length);
            link.wait_ack(5000);
        } else {
            link.resume(REPLID);
        }
        link.stream(&["SELECT 0", &format!("{command} a b")]);
        link.wait_closed(Duration::from_secs(30));
        let faults = (n + 1) as f64;
        wait::until("the fault is counted", Duration::from_secs(30), || {
            remora.metric_or_zero("remora_apply_errors_total") == faults
        });
    }
    let again = master.accept_within(Duration::from_secs(3));
    assert!(again.is_none(), "the third fault is one at a command that has failed before");
    assert_eq!(crate::support::http::get(remora.metrics_port, "/ready").0, 503);
    remora.wait_logged(&["diverged from the master", "lasting=true"]);
    // Another master is tried at once, and its snapshot is trusted.
    let other = Master::listen();
    remora.client().must(&format!("REPLICAOF 127.0.0.1 {}", other.port));
    let mut link = other.serve(&Fixture::load("redis-8.0.rdb").bytes, 7);
    link.wait_ack(7);
    remora.wait_linked();
    assert_eq!(remora.metric("remora_diverged"), 0.0);
    assert_eq!(crate::support::http::get(remora.metrics_port, "/ready").0, 200);
}
