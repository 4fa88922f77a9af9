//! Partial resync: after any cut the stream goes on where the data stands, and the offsets are the master's.

use crate::support::client::Value;
use crate::support::fixture::Fixture;
use crate::support::remora::Remora;
use crate::support::script::{Link, Master, OTHER_REPLID, REPLID, Said};
use crate::support::wait;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);

fn empty() -> Vec<u8> {
    Fixture::load("handmade-empty.rdb").bytes
}

/// A remora that has loaded an empty snapshot at offset 1000.
fn follower() -> (Master, Remora, Link) {
    let master = Master::listen();
    let remora = Remora::follow(master.port, &[]);
    let mut link = master.serve(&empty(), 1000);
    link.wait_ack(1000);
    remora.wait_linked();
    (master, remora, link)
}

/// Sends `whole`, then `broken`, ends the connection, and checks what the next PSYNC asks for.
#[track_caller]
fn check_resumes_behind(whole: &[&str], broken: &[u8]) -> (Master, Remora, Link) {
    let (master, remora, mut link) = follower();
    let length = link.stream(whole);
    link.say(broken);
    link.finish();
    let mut link = master.accept();
    let (replid, wanted) = link.handshake();
    assert_eq!(
        (replid.as_str(), wanted),
        (REPLID, 1000 + length as i64 + 1),
        "cut behind {}",
        broken.escape_ascii()
    );
    link.resume(REPLID);
    (master, remora, link)
}

#[test]
fn resumes_after_a_cut_inside_a_bulk() {
    let whole = ["SELECT 0", "SET a 1"];
    let (_master, remora, mut link) = check_resumes_behind(&whole, b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$10\r\n01234");
    link.stream(&["SET b 2"]);
    let mut client = remora.client();
    wait::until("the rest arrives", SOON, || client.must("GET b").text_is("2"));
    assert_eq!(client.must("GET a").text(), "1");
}

#[test]
fn resumes_after_a_cut_at_every_byte_of_a_command() {
    let command = b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$2\r\n12\r\n";
    for cut in [1, 2, 3, 4, 5, 9, 12, 13, 20, command.len() - 2, command.len() - 1] {
        check_resumes_behind(&["SELECT 0"], &command[..cut]);
    }
}

#[test]
fn resumes_after_a_cut_inside_a_transaction() {
    let open = b"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nt\r\n$1\r\n1\r\n";
    let (_master, remora, mut link) = check_resumes_behind(&["SELECT 0", "SET a 1"], open);
    let mut client = remora.client();
    assert_eq!(client.must("GET t"), Value::Null, "a transaction that was not closed has no effect");
    link.stream(&["MULTI", "SET t 2", "EXEC"]);
    wait::until("the transaction arrives", SOON, || client.must("GET t").text_is("2"));
}

#[test]
fn the_selected_database_survives_a_reconnect() {
    let (_master, remora, mut link) = check_resumes_behind(&["SELECT 3", "SET a 1"], b"");
    link.stream(&["SET b 2"]);
    let mut client = remora.client();
    client.must("SELECT 3");
    wait::until("the write lands in database 3", SOON, || client.must("GET b").text_is("2"));
}

#[test]
fn a_continue_with_a_new_id_makes_the_old_one_second() {
    let (master, remora, mut link) = follower();
    let length = link.stream(&["SELECT 0", "SET a 1"]);
    link.wait_ack(1000 + length);
    link.cut();
    let mut link = master.accept();
    link.handshake();
    link.resume(OTHER_REPLID);
    link.stream(&["SET b 2"]);
    let mut client = remora.client();
    wait::until("the stream goes on", SOON, || client.must("GET b").text_is("2"));
    let second = (1000 + length + 1).to_string();
    let expected =
        [("master_replid", OTHER_REPLID), ("master_replid2", REPLID), ("second_repl_offset", second.as_str())];
    for (field, value) in expected {
        assert_eq!(remora.replication(field), value, "{field}");
    }
    link.cut();
    assert_eq!(master.accept().handshake().0, OTHER_REPLID, "the new id is asked for from now on");
}

#[test]
fn a_full_resync_instead_of_a_partial_one_replaces_the_data() {
    let (master, remora, mut link) = follower();
    link.stream(&["SELECT 0", "SET old 1"]);
    link.finish();
    let mut link = master.accept();
    link.handshake();
    link.full_resync(OTHER_REPLID, 5, &empty(), crate::support::script::Framing::Mark);
    link.wait_ack(5);
    remora.wait_linked();
    assert_eq!(remora.client().must("DBSIZE"), Value::Int(0));
    assert_eq!(remora.replication("master_replid2"), "0".repeat(40));
    assert_eq!(remora.replication("second_repl_offset"), "-1");
}

#[test]
fn acknowledges_exactly_what_real_replicas_do() {
    let (_master, _remora, mut link) = follower();
    let written = link.stream(&["SELECT 0", "SET a 1"]);
    // The answer to GETACK does not contain the 37 bytes of the GETACK; the next one does.
    assert_eq!(link.stream(&["REPLCONF GETACK *"]), 37);
    assert_eq!(next_change(&mut link, 1000), 1000 + written);
    link.stream(&["REPLCONF GETACK *"]);
    assert_eq!(next_change(&mut link, 1000 + written), 1000 + written + 37);
    let before = 1000 + written + 74;
    assert_eq!(next_change(&mut link, before - 37), before, "the next tick has both");
    // A newline counts one byte, at the latest with what follows it; between MULTI and EXEC the offset does not move.
    link.say("\n");
    let open = link.stream(&["MULTI", "SET b 1"]);
    for _ in 0..2 {
        let ack = link.ack();
        assert!([before, before + 1].contains(&ack), "an ACK of {ack} inside a transaction behind {before}");
    }
    let close = link.stream(&["EXEC"]);
    link.wait_ack(before + 1 + open + close);
}

/// The first ACK that is not `old`.
#[track_caller]
fn next_change(link: &mut Link, old: u64) -> u64 {
    wait::until_some("an ACK of something new", SOON, || Some(link.ack()).filter(|ack| *ack != old))
}

#[test]
fn acknowledges_every_second_also_in_silence() {
    let (_master, _remora, mut link) = follower();
    // Behind a full sync some come sooner.
    for _ in 0..7 {
        link.ack();
    }
    let times: Vec<Instant> = (0..6)
        .map(|_| {
            link.ack();
            Instant::now()
        })
        .collect();
    let mut gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    // One that comes late when the machine stands still is followed by one that comes soon.
    assert!(gaps[2] < Duration::from_millis(1500), "{gaps:?}");
}

#[test]
fn acknowledges_or_sends_newlines_while_a_snapshot_arrives_slowly() {
    let master = Master::listen();
    let _remora = Remora::follow(master.port, &[]);
    let mut link = master.accept();
    link.handshake();
    let snapshot = Fixture::load("redis-8.0.rdb").bytes;
    link.say(format!("+FULLRESYNC {REPLID} 1000\r\n${}\r\n", snapshot.len()));
    link.say(&snapshot[..1000]);
    for _ in 0..2 {
        let said = link.next_within(SOON);
        assert!(matches!(said, Said::Newline | Said::Command(_)), "a sign of life, not {said:?}");
    }
    link.say(&snapshot[1000..]);
    link.wait_ack(1000);
}

#[test]
fn a_transaction_is_seen_whole_or_not_at_all() {
    let (_master, remora, mut link) = follower();
    link.stream(&["SELECT 0", "MSET a 0 b 0"]);
    let mut client = remora.client();
    wait::until("the keys are there", SOON, || client.must("GET b").text_is("0"));
    for n in 1..200 {
        link.stream(&["MULTI", &format!("SET a {n}")]);
        let seen = client.must("MGET a b");
        assert_eq!(seen.items()[0], seen.items()[1], "in the middle of transaction {n}");
        link.stream(&[&format!("SET b {n}"), "EXEC"]);
    }
    wait::until("the last one arrives", SOON, || client.must("GET b").text_is("199"));
}
