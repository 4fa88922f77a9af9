//! PSYNC, SYNC and REPLCONF as sub-replicas say them, byte by byte, below a scripted master.

use crate::support::fixture::Fixture;
use crate::support::follower::Follower;
use crate::support::remora::{Remora, SOON};
use crate::support::script::{Link, Master, OTHER_REPLID, REPLID};
use crate::support::wait;
use std::time::Duration;

fn empty() -> Vec<u8> {
    Fixture::load("handmade-empty.rdb").bytes
}

/// A remora that has loaded an empty snapshot at this offset.
fn loaded_at(offset: u64, flags: &[&str]) -> (Master, Remora, Link) {
    let master = Master::listen();
    let remora = Remora::follow(master.port, flags);
    let mut link = master.serve(&empty(), offset);
    link.wait_ack(offset);
    remora.wait_linked();
    (master, remora, link)
}

const NO_DELAY: [&str; 2] = ["--repl-diskless-sync-delay", "0"];

/// 168 bytes of stream.
fn some_stream() -> Vec<u8> {
    let mut bytes = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n".to_vec();
    for n in 0..4 {
        bytes.extend_from_slice(format!("*3\r\n$3\r\nSET\r\n$1\r\n{n}\r\n$1\r\n{n}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"*1\r\n$4\r\nPING\r\n".as_slice());
    bytes.resize(168, b'\n');
    bytes
}

#[test]
fn psync_is_answered_as_real_masters_answer_it() {
    let (master, remora, mut link) = loaded_at(0, &NO_DELAY);
    let stream = some_stream();
    link.say(&stream[..118]);
    link.cut();
    let mut link = master.accept();
    let (_, from) = link.handshake();
    let split = usize::try_from(from - 1).expect("an offset");
    link.resume(OTHER_REPLID);
    link.say(&stream[split..]);
    link.wait_ack(168);
    let check = |id: &str, from: i64, continues: bool| {
        let mut follower = Follower::introduced(remora.port);
        let line = follower.ask(&format!("PSYNC {id} {from}"));
        if !continues {
            return assert!(line.starts_with(&format!("+FULLRESYNC {OTHER_REPLID} 168")), "{id} {from}: {line}");
        }
        assert_eq!(line, format!("+CONTINUE {OTHER_REPLID}"), "{id} {from}");
        let rest = &stream[usize::try_from(from - 1).expect("an offset")..];
        assert_eq!(follower.bytes(rest.len()), rest, "{id} {from}");
    };
    let second = from;
    for (id, from, continues) in [
        (OTHER_REPLID, 169, true),
        (OTHER_REPLID, 168, true),
        (OTHER_REPLID, 1, true),
        (OTHER_REPLID, 0, false),
        (OTHER_REPLID, -1, false),
        (REPLID, second, true),
        (REPLID, 1, true),
        (REPLID, second + 1, false),
        (&REPLID.to_uppercase(), 1, true),
        ("?", -1, false),
        ("0000000000000000000000000000000000000000", 1, false),
        ("short", 1, false),
    ] {
        check(id, from, continues);
    }
}

#[test]
fn a_sub_replica_that_is_ahead_is_never_synced_anew_while_the_link_is_down() {
    let (master, remora, mut link) = loaded_at(0, &NO_DELAY);
    let stream = some_stream();
    link.say(&stream[..100]);
    // Behind what has arrived whole.
    wait::until("the stream is applied", SOON, || remora.replication("master_repl_offset") != "0");
    let ahead = format!("PSYNC {REPLID} 150");
    // The link is up: it waits until we have come so far.
    let mut waiting = Follower::introduced(remora.port);
    waiting.say(&ahead);
    link.say(&stream[100..]);
    assert_eq!(waiting.line(), format!("+CONTINUE {REPLID}"));
    assert_eq!(waiting.bytes(19), &stream[149..]);
    // The link is down: it is told to come again, while others are served.
    link.cut();
    let _refused = master.accept();
    wait::until("the link is down", SOON, || remora.replication("master_link_status") == "down");
    let mut early = Follower::introduced(remora.port);
    let line = early.ask(&format!("PSYNC {REPLID} 170"));
    assert_eq!(line, "-NOMASTERLINK Can't SYNC while not connected with my master");
    assert_eq!(early.rest(), b"");
    assert_eq!(
        Follower::introduced(remora.port).ask(&format!("PSYNC {REPLID} 169")),
        format!("+CONTINUE {REPLID}")
    );
    assert_eq!(Follower::introduced(remora.port).full_sync().offset, 168);
    waiting.silent_for(Duration::from_millis(200));
}

#[test]
fn nothing_comes_behind_an_end_mark_before_the_first_acknowledgement() {
    let (_master, remora, mut link) = loaded_at(1000, &NO_DELAY);
    let mut follower = Follower::introduced(remora.port);
    let synced = follower.full_sync();
    assert_eq!((synced.replid.as_str(), synced.offset, synced.by_mark), (REPLID, 1000, true));
    assert!(synced.snapshot.starts_with(b"REDIS0012"), "{}", synced.snapshot.escape_ascii());
    let stream = some_stream();
    link.say(&stream);
    link.wait_ack(1168);
    follower.silent_for(Duration::from_millis(1500));
    follower.ack(1000);
    assert_eq!(follower.bytes(168), stream, "byte for byte");
    let line = remora.replication("slave0");
    assert!(line.starts_with("ip=127.0.0.1,port=0,state=online,offset=1000,lag="), "{line}");
    follower.ack(1168);
    wait::until("the ACK shows", SOON, || remora.replication("slave0").contains("offset=1168"));
    // A GETACK of the master passes like everything else, and is answered to us alone.
    link.stream(&["REPLCONF GETACK *"]);
    assert_eq!(follower.bytes(37), b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n");
}

#[test]
fn old_replicas_get_the_length_and_the_stream_at_once() {
    let (_master, remora, mut link) = loaded_at(1000, &NO_DELAY);
    let mut follower =
        Follower::introduced_as(remora.port, &["REPLCONF listening-port 7777", "REPLCONF capa psync2"]);
    let synced = follower.full_sync();
    assert_eq!((synced.offset, synced.by_mark), (1000, false));
    assert!(synced.snapshot.starts_with(b"REDIS0009"), "{}", synced.snapshot.escape_ascii());
    let mut oldest = Follower::connect(remora.port);
    oldest.say("SYNC");
    let (snapshot, by_mark) = oldest.snapshot();
    assert!(snapshot.starts_with(b"REDIS0009") && !by_mark);
    let stream = some_stream();
    link.say(&stream);
    assert_eq!((follower.bytes(168), oldest.bytes(168)), (stream.clone(), stream));
    assert!(remora.replication("slave0").contains("port=7777,state=online"));
    let left = std::fs::read_dir(remora.folder()).expect("a folder").flatten();
    let names: Vec<_> = left.map(|entry| entry.file_name()).filter(|name| name != "log").collect();
    assert!(names.is_empty(), "left behind: {names:?}");
    assert_eq!(
        Follower::introduced_as(remora.port, &["REPLCONF capa eof"]).ask(&format!("PSYNC {REPLID} 1100")),
        "+CONTINUE"
    );
}

#[test]
fn newlines_keep_a_waiting_sub_replica_patient() {
    let (_master, remora, _link) = loaded_at(1000, &["--repl-diskless-sync-delay", "3"]);
    let mut follower = Follower::introduced(remora.port);
    follower.say("PSYNC ? -1");
    wait::until("it waits", SOON, || remora.replication("connected_slaves") == "1");
    assert!(remora.replication("slave0").contains("state=wait_bgsave"), "{}", remora.replication("slave0"));
    assert_eq!(follower.synced().offset, 1000);
    assert!((1..=4).contains(&follower.newlines), "{} newlines in 3 seconds", follower.newlines);
}

#[test]
fn what_each_sub_replica_says_of_itself_decides_its_snapshot() {
    let (_master, remora, _link) = loaded_at(1000, &NO_DELAY);
    let capa = "REPLCONF capa eof capa psync2";
    let with = |more: &str| format!("{capa} {more}");
    for (lines, magic) in [
        (vec![capa.to_owned()], "REDIS0009"),
        (vec![with("capa rdb-channel-repl")], "REDIS0012"),
        (vec![capa.to_owned(), "REPLCONF version 8.1.1".to_owned()], "REDIS0011"),
        (vec![capa.to_owned(), "REPLCONF version 9.1.2".to_owned()], "VALKEY080"),
        (vec![with("capa dual-channel"), "REPLCONF version 9.1.2".to_owned()], "VALKEY080"),
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let synced = Follower::introduced_as(remora.port, &lines).full_sync();
        assert!(
            synced.snapshot.starts_with(magic.as_bytes()),
            "{lines:?}: {}",
            synced.snapshot[..9].escape_ascii()
        );
    }
}

#[test]
fn a_failover_towards_us_and_unknown_options_are_refused() {
    let master = Master::listen();
    let remora = Remora::follow(master.port, &NO_DELAY);
    let mut follower = Follower::connect(remora.port);
    let early = "-NOMASTERLINK Can't SYNC while not connected with my master";
    for (line, reply) in [
        ("PING", "-LOADING"),
        ("REPLCONF listening-port 1 ip-address pod capa eof capa psync2 capa what", "+OK"),
        ("REPLCONF version 9.1.2", "+OK"),
        ("REPLCONF foo bar", "-ERR Unrecognized REPLCONF option: foo"),
        ("REPLCONF rdb-channel 1", "-ERR Unrecognized REPLCONF option: rdb-channel"),
        ("REPLCONF version abc", "-ERR Unrecognized version format: abc"),
        ("REPLCONF capa", "-ERR syntax error"),
        ("PSYNC ? -1", early),
        ("SYNC", early),
        ("PSYNC ? x", "-ERR value is not an integer or out of range"),
    ] {
        let said = follower.ask(line);
        assert!(said.starts_with(reply), "{line}: {said}");
    }
    let failover = format!("PSYNC {REPLID} 1 FAILOVER");
    assert!(follower.ask(&failover).starts_with("-ERR PSYNC FAILOVER is refused"));
}

#[test]
fn a_new_dataset_from_above_cuts_everyone_below() {
    let (master, remora, link) = loaded_at(1000, &NO_DELAY);
    let mut follower = Follower::introduced(remora.port);
    follower.full_sync();
    follower.ack(1000);
    link.cut();
    let mut link = master.accept();
    link.handshake();
    wait::until("the link is in its handshake", SOON, || remora.replication("master_link_status") == "down");
    assert_eq!(remora.replication("connected_slaves"), "1", "a lost link cuts nobody");
    link.full_resync(OTHER_REPLID, 5, &empty(), crate::support::script::Framing::Length);
    assert_eq!(follower.rest(), b"");
    wait::until("the new history is there", SOON, || remora.replication("master_replid") == OTHER_REPLID);
    remora.wait_linked();
    let mut follower = Follower::introduced(remora.port);
    let line = follower.ask(&format!("PSYNC {REPLID} 1001"));
    assert_eq!(line, format!("+FULLRESYNC {OTHER_REPLID} 5"));
    assert_eq!(remora.replication("repl_backlog_first_byte_offset"), "6");
}

#[test]
fn data_that_are_known_to_be_wrong_are_given_to_nobody() {
    let (master, remora, mut link) = loaded_at(1000, &NO_DELAY);
    let good = link.stream(&["SELECT 0", "SET a 1"]);
    link.stream(&["NOSUCHCOMMAND a b"]);
    wait::until("it has diverged", SOON, || remora.metric("remora_diverged") == 1.0);
    let mut follower = Follower::introduced(remora.port);
    assert_eq!(follower.ask("PSYNC ? -1"), "-NOMASTERLINK Can't SYNC while not connected with my master");
    // What was right before may still be asked for.
    let mut follower = Follower::introduced(remora.port);
    assert_eq!(follower.ask(&format!("PSYNC {REPLID} 1001")), format!("+CONTINUE {REPLID}"));
    follower.bytes(usize::try_from(good).expect("a length"));
    drop(master);
}

#[test]
fn while_the_old_data_are_gone_and_the_new_not_there_everyone_is_to_come_again() {
    let (master, remora, mut link) =
        loaded_at(1000, &["--repl-diskless-load", "flush", "--repl-diskless-sync-delay", "1"]);
    link.stream(&["SELECT 0", "SET a 1"]);
    let mut fed = Follower::introduced_as(remora.port, &["REPLCONF capa eof capa psync2"]);
    wait::until("the stream is applied", SOON, || remora.replication("master_repl_offset") == "1050");
    assert_eq!(fed.ask(&format!("PSYNC {REPLID} 1001")), format!("+CONTINUE {REPLID}"));
    link.cut();
    let mut link = master.accept();
    link.handshake();
    let snapshot = Fixture::load("redis-8.0.rdb").bytes;
    link.say(format!("+FULLRESYNC {OTHER_REPLID} 5\r\n"));
    wait::until("a new snapshot is on its way", SOON, || remora.replication("master_sync_in_progress") == "1");
    let later = "-NOMASTERLINK Can't SYNC while not connected with my master";
    assert_eq!(Follower::introduced(remora.port).ask("PSYNC ? -1"), later);
    link.say(format!("${}\r\n", snapshot.len()));
    link.say(&snapshot[..snapshot.len() - 10]);
    assert!(fed.rest().ends_with(b"SET\r\n$1\r\na\r\n$1\r\n1\r\n"), "it is cut when the data go");
    for psync in ["PSYNC ? -1".to_owned(), format!("PSYNC {REPLID} 1001"), format!("PSYNC {OTHER_REPLID} 6")] {
        assert_eq!(Follower::introduced(remora.port).ask(&psync), later, "{psync}");
    }
    link.say(&snapshot[snapshot.len() - 10..]);
    wait::until("the new data are there", SOON, || remora.replication("master_replid") == OTHER_REPLID);
    remora.wait_linked();
    assert_eq!(Follower::introduced(remora.port).full_sync().offset, 5);
}
