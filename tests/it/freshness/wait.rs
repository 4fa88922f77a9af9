//! WAITOFFSET.

use super::{age, position};
use crate::support::client::{Client, Value};
use crate::support::fixture::Fixture;
use crate::support::proxy::Proxy;
use crate::support::real::{Real, for_each_master};
use crate::support::remora::{Remora, SOON};
use crate::support::script::{Framing, Link, Master, OTHER_REPLID, REPLID};
use crate::support::wait;
use std::time::{Duration, Instant};

fn reads_its_own_writes(server: &str) {
    let Some(master) = Real::start(server, &[]) else { return };
    let remora = Remora::follow(master.port, &[]);
    remora.wait_linked();
    let (mut writer, mut reader) = (master.client(), remora.client());
    for n in 0..1000 {
        writer.must(&format!("SET own {n}"));
        let (id, offset) = position(&mut writer);
        let reached = reader.must(&format!("WAITOFFSET {id} {offset} 60000"));
        assert_eq!((reached, reader.must("GET own").int()), (Value::Int(1), n));
    }
}

for_each_master!(reads_its_own_writes);

/// A scripted master at offset 10, and remora that has its data.
fn scripted() -> (Master, Link, Remora) {
    let master = Master::listen();
    let remora = Remora::follow(master.port, &[]);
    let mut link = master.serve(&Fixture::load("handmade-empty.rdb").bytes, 10);
    link.wait_ack(10);
    remora.wait_linked();
    (master, link, remora)
}

fn blocked(remora: &Remora) -> usize {
    remora.client().info("clients")["blocked_clients"].parse().expect("a number")
}

/// A client that waits for an offset of the scripted master.
#[track_caller]
fn waiting(remora: &Remora, offset: u64) -> (Client, i64) {
    let mut client = remora.client();
    let (id, before) = (client.must("CLIENT ID").int(), blocked(remora));
    client.send(&["WAITOFFSET", REPLID, &offset.to_string(), "0"]);
    wait::until("the client waits", SOON, || blocked(remora) > before);
    (client, id)
}

#[test]
fn is_woken_when_the_offset_is_applied_and_not_before() {
    let (_master, mut link, remora) = scripted();
    let set = link.stream(&["SELECT 0", "SET a 1"]);
    let (mut near, _) = waiting(&remora, 10 + set + 27);
    let (mut far, _) = waiting(&remora, 10 + set + 28);
    assert_eq!(link.stream(&["SET a 2"]), 27);
    assert_eq!(near.reply(), Value::Int(1));
    assert_eq!(near.must("GET a").text(), "2");
    assert_eq!((blocked(&remora), near.must("PING").text()), (1, "PONG".to_string()));
    link.stream(&["SET a 3"]);
    assert_eq!(far.reply(), Value::Int(1));
    wait::until("nobody waits", SOON, || blocked(&remora) == 0);
}

#[test]
fn many_clients_wait_for_many_offsets() {
    let (_master, mut link, remora) = scripted();
    link.stream(&["SELECT 0"]);
    link.wait_ack(33);
    let mut clients: Vec<_> = (0..60).map(|n| waiting(&remora, 33 + 27 * (1 + n % 20))).collect();
    for n in 0..20_u64 {
        link.stream(&[&format!("SET a {}", n % 10)]);
        for (client, _) in clients.iter_mut().skip(usize::try_from(n).expect("small")).step_by(20) {
            assert_eq!(client.reply(), Value::Int(1));
        }
    }
    assert_eq!(blocked(&remora), 0);
}

#[test]
fn ends_without_the_offset_when_the_time_is_over_or_somebody_says_so() {
    let (_master, _link, remora) = scripted();
    let mut client = remora.client();
    let started = Instant::now();
    assert_eq!(client.must(&format!("WAITOFFSET {REPLID} 11 150")), Value::Int(0));
    assert!(started.elapsed() >= Duration::from_millis(140), "after {:?}", started.elapsed());
    for (how, reply) in [
        ("UNBLOCK {}", Value::Int(0)),
        ("UNBLOCK {} TIMEOUT", Value::Int(0)),
        ("UNBLOCK {} ERROR", Value::Error("UNBLOCKED client unblocked via CLIENT UNBLOCK".into())),
    ] {
        let (mut waits, id) = waiting(&remora, 11);
        assert_eq!(client.must(&format!("CLIENT {}", how.replace("{}", &id.to_string()))), Value::Int(1));
        assert_eq!(waits.reply(), reply, "{how}");
    }
    let (mut waits, id) = waiting(&remora, 11);
    client.must(&format!("CLIENT KILL ID {id}"));
    assert!(waits.try_reply().is_err(), "killed");
    let (gone, _) = waiting(&remora, 11);
    drop(gone);
    wait::until("nobody waits", SOON, || blocked(&remora) == 0);
}

#[test]
fn does_not_wait_in_a_transaction_and_is_not_for_scripts() {
    let (_master, _link, remora) = scripted();
    let mut client = remora.client();
    client.must("MULTI");
    client.must(&format!("WAITOFFSET {REPLID} 11 0"));
    client.must(&format!("WAITOFFSET {REPLID} 10 0"));
    assert_eq!(client.must("EXEC"), Value::Array(vec![Value::Int(0), Value::Int(1)]));
    let reply = client.command(&["EVAL", &format!("return redis.call('WAITOFFSET', '{REPLID}', 0, 0)"), "0"]);
    assert!(reply.text_starts("ERR This Redis command is not allowed from script"), "{reply:?}");
}

#[test]
fn another_history_is_an_error_that_names_ours() {
    let (_master, _link, remora) = scripted();
    let reply = remora.client().call(&format!("WAITOFFSET {OTHER_REPLID} 1 0"));
    let text = format!("WRONGHISTORY the data here are of history {REPLID} at offset 10, not of {OTHER_REPLID}");
    assert_eq!(reply, Value::Error(text));
    assert!(remora.client().call("WAITOFFSET abc 1 0").text_starts("ERR a replication id is 40"));
}

#[test]
fn who_waits_hears_that_the_history_became_another() {
    let (master, link, remora) = scripted();
    // A partial resync under another id: offset 11 of the former one will never come.
    let (mut waits, _) = waiting(&remora, 11);
    link.cut();
    let mut link = master.accept();
    assert_eq!(link.handshake(), (REPLID.to_string(), 11));
    link.resume(OTHER_REPLID);
    let text = format!(
        "WRONGHISTORY history {REPLID} went on here as {OTHER_REPLID} behind offset 10: offset 11 of it never came"
    );
    assert_eq!(waits.reply(), Value::Error(text.clone()));
    let mut client = remora.client();
    assert_eq!(client.must(&format!("WAITOFFSET {REPLID} 10 0")), Value::Int(1), "what was before is here");
    assert_eq!(client.call(&format!("WAITOFFSET {REPLID} 11 0")), Value::Error(text));
    // A full resync with the same id and more.
    client.send(&["WAITOFFSET", OTHER_REPLID, "500", "0"]);
    wait::until("the client waits", SOON, || blocked(&remora) == 1);
    link.cut();
    let mut link = master.accept();
    link.handshake();
    link.full_resync(OTHER_REPLID, 400, &Fixture::load("handmade-empty.rdb").bytes, Framing::Length);
    link.wait_ack(400);
    assert_eq!(blocked(&remora), 1, "it is not there yet");
    link.stream(&["SELECT 0", "SET a 1", "SET a 2", "SET a 3", "SET a 4"]);
    assert_eq!(client.reply(), Value::Int(1));
    // And with another one.
    client.send(&["WAITOFFSET", OTHER_REPLID, "5000", "0"]);
    wait::until("the client waits", SOON, || blocked(&remora) == 1);
    link.cut();
    let mut link = master.accept();
    link.handshake();
    link.full_resync(REPLID, 9000, &Fixture::load("handmade-empty.rdb").bytes, Framing::Length);
    assert!(client.reply().text_starts("WRONGHISTORY the data here are of history"));
}

#[test]
fn is_refused_while_nothing_is_loaded() {
    let master = Master::listen();
    let remora = Remora::follow(master.port, &[]);
    assert!(remora.client().call(&format!("WAITOFFSET {REPLID} 1 0")).text_starts("LOADING"));
}

/// A real failover: the second id is good up to the point where the new master took over.
fn goes_on_behind_a_failover(server: &str) {
    // A ping of the old one behind the promotion would be history that the new one never had.
    let Some(old) = Real::start(server, &["--repl-ping-replica-period 3600"]) else { return };
    let Some(new) = Real::start(server, &[&format!("--replicaof 127.0.0.1 {}", old.port)]) else { return };
    let remora = Remora::follow(old.port, &[]);
    remora.wait_linked();
    let (mut writer, mut promoted, mut reader) = (old.client(), new.client(), remora.client());
    writer.must("SET k 1");
    let (first, offset) = position(&mut writer);
    assert_eq!(reader.must(&format!("WAITOFFSET {first} {offset} 60000")), Value::Int(1));
    wait::until("the other replica has it", SOON, || {
        let info = promoted.info("replication");
        info["master_link_status"] == "up"
            && info["slave_repl_offset"].parse::<i64>().is_ok_and(|own| own >= offset)
    });
    promoted.must("REPLICAOF NO ONE");
    promoted.must("SET k 2");
    let (second, later) = position(&mut promoted);
    assert_ne!(first, second);
    assert!(reader.call(&format!("WAITOFFSET {second} {later} 1")).text_starts("WRONGHISTORY"));
    reader.must(&format!("REPLICAOF 127.0.0.1 {}", new.port));
    wait::until("the new history", SOON, || remora.replication("master_replid") == second);
    assert_eq!(reader.must(&format!("WAITOFFSET {second} {later} 60000")), Value::Int(1));
    assert_eq!(reader.must("GET k").int(), 2);
    assert_eq!(reader.must(&format!("WAITOFFSET {first} {offset} 0")), Value::Int(1));
    assert!(reader.call(&format!("WAITOFFSET {first} {} 0", later + 1000)).text_starts("WRONGHISTORY"));
    assert_eq!(remora.metric("remora_full_syncs_total"), 1.0, "the failover took a partial resync");
    wait::until("the new master is measured", SOON, || age(&remora).1 == "probe");
}

for_each_master!(goes_on_behind_a_failover);

#[test]
fn others_are_served_and_writes_arrive_while_a_client_waits() {
    let Some(master) = Real::start("valkey-9.1", &[]) else { return };
    let proxy = Proxy::to(master.port);
    let remora = Remora::follow(proxy.port, &["--io-threads", "1"]);
    remora.wait_linked();
    let (mut writer, mut reader) = (master.client(), remora.client());
    writer.must("SET k 1");
    remora.wait_caught_up(&mut writer);
    proxy.stall(true);
    writer.must("SET k 2");
    let (id, offset) = position(&mut writer);
    reader.send(&["WAITOFFSET", &id, &offset.to_string(), "0"]);
    wait::until("the client waits", SOON, || blocked(&remora) == 1);
    assert_eq!(remora.client().must("GET k").int(), 1);
    proxy.stall(false);
    assert_eq!((reader.reply(), reader.must("GET k").int()), (Value::Int(1), 2));
}

#[test]
fn both_commands_are_told_by_command_and_by_the_program() {
    let (_master, _link, remora) = scripted();
    let mut client = remora.client();
    let info = client.must("COMMAND INFO waitoffset client|staleness");
    let names: Vec<String> = info.items().iter().map(|entry| entry.items()[0].text()).collect();
    assert_eq!(names, ["waitoffset", "client|staleness"]);
    let docs = client.must("COMMAND DOCS waitoffset");
    assert!(docs.items()[1].items().iter().any(|field| field.text_is("generic")), "{docs:?}");
    assert!(client.must("ACL CAT blocking").items().iter().any(|name| name.text_is("waitoffset")));
    let shown = crate::support::remora::program().arg("--commands").output().expect("the program runs");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for name in ["WAITOFFSET", "CLIENT STALENESS"] {
        assert!(shown.lines().any(|line| line.contains(name)), "{name} is not in\n{shown}");
    }
}
