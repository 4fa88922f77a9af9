//! The first sync: what a master sends as a snapshot is held exactly.

use crate::support::client::{Client, Value};
use crate::support::compare::{all_keys, assert_same_details, assert_same_digest, assert_same_reply};
use crate::support::fixture::{Fixture, unescape};
use crate::support::real::{Real, for_each_master};
use crate::support::remora::Remora;
use crate::support::script::{Framing, Master, REPLID};
use std::time::{Duration, Instant};

for_each_master!(
    a_snapshot_sent_from_memory_is_held_exactly,
    a_snapshot_sent_from_a_file_is_held_exactly,
    a_sorted_set_that_has_shrunk_keeps_its_scores,
    an_empty_master_gives_an_empty_dataset,
    what_is_written_after_the_sync_is_held_too,
);

fn a_snapshot_sent_from_memory_is_held_exactly(server: &str) {
    follows_a_full_master(server, "--repl-diskless-sync yes");
}

fn a_snapshot_sent_from_a_file_is_held_exactly(server: &str) {
    follows_a_full_master(server, "--repl-diskless-sync no");
}

fn follows_a_full_master(server: &str, framing: &str) {
    let Some(master) = Real::start_with(server, &format!("{server}.rdb"), &[framing]) else { return };
    let remora = Remora::follow(master.port, &[]);
    remora.wait_linked();
    assert_same_digest(&master, &remora);
    assert_same_details(&master, &remora);
    let (mut theirs, mut ours) = (master.client(), remora.client());
    for db in [0, 1, 2, 9, 15] {
        theirs.must(&format!("SELECT {db}"));
        ours.must(&format!("SELECT {db}"));
        assert_eq!(theirs.must("DBSIZE"), ours.must("DBSIZE"), "DBSIZE of database {db}");
        for key in all_keys(&mut theirs) {
            assert_same_reply(&mut theirs, &mut ours, &[b"OBJECT".to_vec(), b"ENCODING".to_vec(), key.clone()]);
            assert_same_reply(&mut theirs, &mut ours, &[b"TYPE".to_vec(), key]);
        }
    }
}

/// The sign of a zero that a skiplist holds which has become small: real replicas lose it.
fn a_sorted_set_that_has_shrunk_keeps_its_scores(server: &str) {
    let Some(master) = Real::start(server, &[]) else { return };
    let mut client = master.client();
    let many: String = (0..200).map(|n| format!(" {n} m{n}")).collect();
    client.must(&format!("ZADD z -0 a 0 b 1e-7 c{many}"));
    client.must("ZREMRANGEBYRANK z 5 -1");
    client.must("ZADD small -0 a 0 b");
    let remora = Remora::follow(master.port, &[]);
    remora.wait_linked();
    assert_same_digest(&master, &remora);
    client.must("ZINCRBY z 5 a");
    client.must("ZADD z -0 d");
    assert_same_digest(&master, &remora);
}

fn an_empty_master_gives_an_empty_dataset(server: &str) {
    let Some(master) = Real::start(server, &[]) else { return };
    let remora = Remora::follow(master.port, &[]);
    remora.wait_linked();
    assert_same_digest(&master, &remora);
    assert_eq!(remora.client().must("DBSIZE"), Value::Int(0));
}

fn what_is_written_after_the_sync_is_held_too(server: &str) {
    let Some(master) = Real::start(server, &[]) else { return };
    let mut client = master.client();
    client.must("SET before 1");
    let remora = Remora::follow(master.port, &[]);
    remora.wait_linked();
    client.must("SELECT 3");
    client.must("SET behind 2");
    client.must("RPUSH list a b c");
    assert_same_digest(&master, &remora);
    let mut ours = remora.client();
    assert_eq!(ours.must("GET before"), Value::Bulk(b"1".to_vec()));
    ours.must("SELECT 3");
    assert_eq!(ours.must("LRANGE list 0 -1").items().len(), 3);
}

/// Serves a snapshot and waits until it is loaded.
fn served(fixture: &Fixture, framing: Framing) -> (Remora, crate::support::script::Link) {
    let master = Master::listen();
    let remora = Remora::follow(master.port, &[]);
    let mut link = master.accept();
    link.handshake();
    link.full_resync(REPLID, 1000, &fixture.bytes, framing);
    link.wait_ack(1000);
    remora.wait_linked();
    (remora, link)
}

#[test]
fn every_snapshot_of_the_five_servers_has_the_digest_of_its_maker() {
    for fixture in Fixture::snapshots(&["redis-", "valkey-", "handmade-v", "handmade-empty"]) {
        if fixture.name.contains("vectorset") {
            continue;
        }
        eprintln!("{}", fixture.name);
        let (remora, _link) = served(&fixture, Framing::Mark);
        let mut client = remora.client();
        let expected = fixture.get(&["digest", fixture.digest_style()]).as_str().expect("a digest");
        assert_eq!(client.digest(), expected, "DEBUG DIGEST of {}", fixture.name);
        for (db, keys) in fixture.sizes() {
            client.must(&format!("SELECT {db}"));
            assert_eq!(client.must("DBSIZE"), Value::Int(keys), "keys of database {db} in {}", fixture.name);
        }
        assert_keys_as_described(&mut client, &fixture);
    }
}

/// Each key that the description names: type, length, expiry, its own digest.
fn assert_keys_as_described(client: &mut Client, fixture: &Fixture) {
    for key in fixture.get(&["keys"]).as_array().into_iter().flatten() {
        let name = unescape(key["key"].as_str().expect("a name"));
        let at = format!("{} in {}", name.escape_ascii(), fixture.name);
        client.must(&format!("SELECT {}", key["db"]));
        // This one is logically expired: it counts, and is hidden.
        let hidden = name == b"e:past";
        let kind = client.command(&[&b"TYPE"[..], &name]).text();
        assert_eq!(kind, if hidden { "none" } else { key["type"].as_str().expect("a type") }, "TYPE of {at}");
        if let (Some(expiry), false) = (key["pexpiretime"].as_i64(), hidden) {
            assert_eq!(client.command(&[&b"PEXPIRETIME"[..], &name]), Value::Int(expiry), "expiry of {at}");
        }
        if let (Some(digest), false) = (key["digest_value"].as_str(), hidden) {
            let found = client.command(&[&b"DEBUG"[..], b"DIGEST-VALUE", &name]);
            assert_eq!(found.items()[0].text(), digest, "DEBUG DIGEST-VALUE of {at}");
        }
    }
}

#[test]
fn a_snapshot_by_length_is_loaded_too() {
    let fixture = Fixture::load("redis-8.0.rdb");
    let (remora, _link) = served(&fixture, Framing::Length);
    let expected = fixture.get(&["digest", "redis-8.0"]).as_str().expect("a digest");
    assert_eq!(remora.client().digest(), expected);
}

#[test]
fn a_module_value_is_stepped_over_and_its_key_says_so() {
    let (remora, _link) = served(&Fixture::load("handmade-module.rdb"), Framing::Length);
    let mut client = remora.client();
    assert_eq!(client.must("DBSIZE"), Value::Int(3));
    for key in ["before", "after"] {
        assert!(!client.must(&format!("GET {key}")).text().is_empty(), "{key} is readable");
    }
    let refusal = client.call("GET mod");
    assert!(
        refusal.is_error() && refusal.text().contains("fixture-m"),
        "reading it names the module: {refusal:?}"
    );
    assert_eq!(remora.metric("remora_skipped_keys"), 1.0, "marked keys are counted");
}

#[test]
fn a_vector_set_marks_its_key_and_the_rest_goes_on() {
    let (remora, mut link) = served(&Fixture::load("redis-8.0.vectorset.rdb"), Framing::Length);
    let mut client = remora.client();
    let refusal = client.call("GET vs");
    assert!(refusal.is_error() && refusal.text().contains("vectorset"), "{refusal:?}");
    let lines =
        ["SELECT 0", "VADD vs VALUES 3 1 2 3 element", "VADD new VALUES 3 1 2 3 element", "SET after-vadd yes"];
    let length = link.stream(&lines);
    link.wait_ack(1000 + length);
    assert_eq!(client.must("GET after-vadd").text(), "yes");
    assert!(client.call("TYPE new").is_error() || client.call("GET new").is_error(), "a new vector set is marked");
    assert_eq!(remora.metric("remora_skipped_keys"), 2.0);
    let length = length + link.stream(&["DEL vs new"]);
    link.wait_ack(1000 + length);
    assert_eq!(remora.metric("remora_skipped_keys"), 0.0, "deleting them unmarks them");
}

#[test]
fn the_database_selected_in_the_snapshot_is_where_the_stream_goes_on() {
    // handmade-v9 says repl-stream-db 5: an unselected write lands there.
    let (remora, mut link) = served(&Fixture::load("handmade-v9.rdb"), Framing::Length);
    let length = link.stream(&["SET unselected here"]);
    link.wait_ack(1000 + length);
    let mut client = remora.client();
    assert_eq!(client.must("GET unselected"), Value::Null);
    client.must("SELECT 5");
    assert_eq!(client.must("GET unselected").text(), "here");
}

#[test]
fn nothing_is_served_before_the_first_load() {
    let master = Master::listen();
    let remora = Remora::follow(master.port, &[]);
    let mut client = remora.client();
    for line in ["GET k", "DBSIZE", "PING", "SCAN 0"] {
        let refusal = client.call(line);
        assert!(refusal.is_error() && refusal.text().starts_with("LOADING"), "{line}: {refusal:?}");
    }
    assert!(!client.call("INFO replication").is_error(), "INFO works while loading");
    let _link = master.serve(&Fixture::load("handmade-empty.rdb").bytes, 7);
}

/// A real master passes over what comes before it has noticed that its child is done.
#[test]
fn the_first_acknowledgements_come_sooner_than_each_second() {
    let master = Master::listen();
    let _remora = Remora::follow(master.port, &[]);
    let mut link = master.serve(&Fixture::load("redis-8.0.rdb").bytes, 10);
    assert_eq!(link.ack(), 10);
    let first = Instant::now();
    (0..5).for_each(|_| assert_eq!(link.ack(), 10));
    assert!(first.elapsed() < Duration::from_secs(4), "five more in {:?}", first.elapsed());
}
