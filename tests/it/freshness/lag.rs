//! The measured age of the data.

use super::{Stopped, age, staleness};
use crate::support::client::{Client, Value};
use crate::support::proxy::Proxy;
use crate::support::real::{Real, for_each_master};
use crate::support::remora::{Remora, SOON};
use crate::support::wait;
use std::time::{Duration, Instant};

const FAST: [&str; 2] = ["--repl-lag-probe-interval-ms", "50"];

/// Waits until the data are measured to be young.
#[track_caller]
fn wait_fresh(remora: &Remora) {
    wait::until("the data are fresh", SOON, || {
        let (age, source) = age(remora);
        source == "probe" && (0..300).contains(&age)
    });
}

/// Waits until they are measured to be older than this.
#[track_caller]
fn wait_older(remora: &Remora, ms: i64, source: &str) {
    wait::until(&format!("the data are older than {ms} ms"), SOON, || {
        let (age, told) = age(remora);
        told == source && age > ms
    });
}

fn grows_while_the_master_stands_still_and_falls_afterwards(server: &str) {
    let Some(master) = Real::start(server, &[]) else { return };
    let remora = Remora::follow(master.port, &FAST);
    wait_fresh(&remora);
    master.client().must("SET k v");
    let began = Instant::now();
    let stopped = Stopped::stop(&master);
    wait_older(&remora, 1000, "probe");
    let (age, passed) = (age(&remora).0, began.elapsed().as_millis());
    assert!(i128::from(age) <= passed as i128 + 5000, "{age} ms after {passed} ms");
    let metric = remora.metric("remora_replication_staleness_seconds");
    assert!(metric >= 1.0, "{metric}");
    drop(stopped);
    wait_fresh(&remora);
    assert_eq!(remora.metric("remora_replication_staleness_source{source=\"probe\"}"), 1.0);
}

for_each_master!(grows_while_the_master_stands_still_and_falls_afterwards);

#[test]
fn grows_while_the_link_is_cut_and_falls_when_the_rest_is_applied() {
    let Some(master) = Real::start("redis-8.0", &[]) else { return };
    let proxy = Proxy::to(master.port);
    let remora = Remora::follow(proxy.port, &FAST);
    wait_fresh(&remora);
    proxy.refuse(true);
    proxy.cut();
    wait::until("the link is down", SOON, || remora.replication("master_link_status") == "down");
    master.client().must("SET k v");
    wait_older(&remora, 800, "probe");
    // At times it is trying.
    wait::until("it waits for its next try", SOON, || staleness(&mut remora.client())["link"].text_is("connect"));
    proxy.refuse(false);
    wait_fresh(&remora);
    assert_eq!(remora.client().must("GET k").text(), "v");
}

/// The stream stands while a script runs; the probe goes on and says how far.
#[test]
fn grows_in_seconds_and_bytes_while_nothing_is_applied() {
    let Some(master) = Real::start("valkey-9.1", &[]) else { return };
    let remora = Remora::follow(master.port, &FAST);
    wait_fresh(&remora);
    let mut script = remora.client();
    script.send(&["EVAL", "while true do end", "0"]);
    let mut writer = master.client();
    // Until the script has begun, what is written is applied.
    wait::until("bytes are missing", SOON, || {
        writer.command(&["SET", "big", &"x".repeat(10_000)]);
        staleness(&mut remora.client())["lag-bytes"].int() >= 100_000
    });
    wait_older(&remora, 500, "probe");
    wait::until("the script is killed", SOON, || !remora.client().call("SCRIPT KILL").is_error());
    wait_fresh(&remora);
    // Only the master's pings are on their way at times.
    wait::until("no byte is missing", SOON, || staleness(&mut remora.client())["lag-bytes"].int() == 0);
}

/// Whatever was written before the age that is told must be here, also while the link is held up now and then.
#[test]
fn is_an_upper_bound_under_writes() {
    let Some(master) = Real::start("redis-7.0", &[]) else { return };
    let proxy = Proxy::to(master.port);
    let remora = Remora::follow(proxy.port, &["--repl-lag-probe-interval-ms", "20"]);
    wait_fresh(&remora);
    let (mut writer, mut reader) = (master.client(), remora.client());
    let start = Instant::now();
    // When each write was done; the value is its place here.
    let mut done: Vec<Duration> = Vec::new();
    let (mut told, mut oldest) = (0, 0);
    let enough = |told: i32, oldest: u64| told > 5 && oldest > 100;
    while start.elapsed() < Duration::from_secs(3) || (!enough(told, oldest) && start.elapsed() < SOON) {
        proxy.stall(start.elapsed().as_millis() % 400 > 200);
        writer.must(&format!("SET n {}", done.len()));
        done.push(start.elapsed());
        let asked = start.elapsed();
        let age = staleness(&mut reader)["staleness-ms"].int();
        let seen = reader.must("GET n");
        let Ok(age) = u64::try_from(age) else { continue };
        let Some(bound) = asked.checked_sub(Duration::from_millis(age)) else { continue };
        let expected = done.partition_point(|done| *done <= bound);
        let seen = if seen == Value::Null { 0 } else { seen.int() + 1 };
        assert!(seen >= i64::try_from(expected).expect("small"), "{seen} writes seen of {expected}, age {age} ms");
        (told, oldest) = (told + 1, age.max(oldest));
    }
    assert!(enough(told, oldest), "{told} answers, the oldest of {oldest} ms");
}

fn a_master_that_does_not_let_us_ask_is_told(server: &str) {
    let Some(master) = Real::start(server, &["--repl-ping-replica-period 1"]) else { return };
    let mut client = master.client();
    client.must("ACL SETUSER repl on >secret +psync +replconf +ping");
    let url = format!("redis://repl:secret@127.0.0.1:{}", master.port);
    let remora = Remora::start(&["--replicaof", &url, "--repl-lag-probe-interval-ms", "50"]);
    remora.wait_linked();
    remora.wait_logged(&["does not let us ask INFO", "NOPERM", "+info"]);
    wait::until("only the silence is known", SOON, || age(&remora).1 == "last-io");
    assert!(remora.client().info("remora")["remora_lag_probe_error"].starts_with("NOPERM"));
    client.must("ACL SETUSER repl +info");
    // It would be asked again within a minute; a changed setting is followed at once.
    remora.client().must("CONFIG SET repl-lag-probe-interval-ms 40");
    wait_fresh(&remora);
    assert_eq!(remora.client().info("remora")["remora_lag_probe_error"], "");
    remora.client().must("CONFIG SET repl-lag-probe-interval-ms 0");
    wait::until("only the silence is known", SOON, || age(&remora).1 == "last-io");
    assert_eq!(remora.client().info("remora")["remora_lag_probe_error"], "");
}

for_each_master!(a_master_that_does_not_let_us_ask_is_told);

#[test]
fn the_silence_of_the_master_is_shown_where_nothing_is_measured() {
    let Some(master) = Real::start("redis-6.0", &["--repl-ping-replica-period 1"]) else { return };
    let remora = Remora::follow(master.port, &["--repl-lag-probe-interval-ms", "0"]);
    remora.wait_linked();
    wait::until("the silence is short", SOON, || age(&remora) < (2000, "last-io".into()));
    let _stopped = Stopped::stop(&master);
    wait_older(&remora, 2500, "last-io");
}

/// Below a remora ages add up; below a real replica only its own link is known.
#[test]
fn ages_add_up_along_a_chain() {
    let Some(master) = Real::start("valkey-8.1", &[]) else { return };
    let upper = Remora::follow(master.port, &FAST);
    wait_fresh(&upper);
    let lower = Remora::follow(upper.port, &FAST);
    wait_fresh(&lower);
    let Some(replica) = Real::start("valkey-8.1", &[&format!("--replicaof 127.0.0.1 {}", master.port)]) else {
        return;
    };
    let beside = Remora::follow(replica.port, &FAST);
    wait::until("a real replica is asked", SOON, || {
        let (age, source) = age(&beside);
        source == "upstream" && (0..300).contains(&age)
    });
    let stopped = Stopped::stop(&master);
    wait_older(&lower, 1000, "probe");
    wait_older(&upper, 1000, "probe");
    assert_eq!(lower.replication("master_link_status"), "up", "only its master's master is gone");
    drop(stopped);
    wait_fresh(&lower);
    drop(master);
    wait_older(&beside, 1000, "upstream");
}

#[test]
fn another_master_is_measured_anew() {
    let Some(first) = Real::start("redis-8.0", &[]) else { return };
    let Some(second) = Real::start("redis-8.0", &[]) else { return };
    let remora = Remora::follow(first.port, &FAST);
    wait_fresh(&remora);
    second.client().must("SET k v");
    remora.client().must(&format!("REPLICAOF 127.0.0.1 {}", second.port));
    wait::until("the second master's data", SOON, || remora.client().call("GET k").text_is("v"));
    wait_fresh(&remora);
    let stopped = Stopped::stop(&first);
    let mut client: Client = remora.client();
    wait::until("the first one does not matter", SOON, || staleness(&mut client)["staleness-ms"].int() < 300);
    drop(stopped);
}
