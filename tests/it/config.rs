//! CONFIG beside real replicas: GET and SET with names, patterns and pairs, what RESETSTAT resets; and REWRITE.

use crate::support::beside::Beside;
use crate::support::client::{Client, Value, words};
use crate::support::folder;
use crate::support::follower::Follower;
use crate::support::remora::Remora;
use crate::support::script::Master;
use crate::support::wait;
use std::collections::BTreeMap;
use std::time::Duration;

/// A reply whose order does not matter where it is a map.
fn seen(line: &str, reply: &[u8]) -> String {
    if !line.starts_with("CONFIG GET") {
        return reply.escape_ascii().to_string();
    }
    let reply = crate::support::client::parsed(reply);
    let mut pairs: Vec<String> = match &reply {
        Value::Array(items) => items.chunks(2).map(|pair| format!("{pair:?}")).collect(),
        Value::Map(pairs) => pairs.iter().map(|pair| format!("{pair:?}")).collect(),
        other => return format!("{other:?}"),
    };
    pairs.sort_unstable();
    pairs.join(" ")
}

/// What differs on purpose is not in it: settings that remora fixes at its start (port, bind, tls-port, io-threads,
/// dir), a backlog below 16 KiB, values of `save`, `maxmemory` and their like that remora does not have.
const SCRIPT: &str = r#"
    CONFIG
    CONFIG foo
    CONFIG GET
    CONFIG GET ""
    CONFIG GET nosuch
    CONFIG GET MAXCLIENTS
    CONFIG GET MaxClients maxclients
    CONFIG GET maxclients maxclients maxclient*
    CONFIG GET maxclient* MAXCLIENTS
    CONFIG GET max[c]lients
    CONFIG GET MAX[C]LIENTS
    CONFIG GET "\\maxclients"
    CONFIG GET ma?clients
    CONFIG GET nosuch maxclients timeout tcp-keepalive
    CONFIG GET hash-max-ziplist-entries HASH-MAX-LISTPACK-ENTRIES
    CONFIG GET *-serve-stale-data
    CONFIG GET save appendonly maxmemory hz databases repl-timeout slave-read-only replica-read-only
    CONFIG GET slowlog-* client-output-buffer-limit proto-max-bulk-len notify-keyspace-events
    CONFIG GET daemonize supervised tcp-backlog cluster-enabled activedefrag min-replicas-to-write rdbchecksum
    CONFIG GET repl-diskless-sync lua-time-limit busy-reply-threshold latency-* *-max-listpack-* list-compress-depth
    CONFIG SET
    CONFIG SET timeout
    CONFIG SET timeout 1 maxclients
    CONFIG SET timeout 1 timeout 2
    CONFIG SET timeout 1 TIMEOUT 2
    CONFIG SET slave-serve-stale-data no replica-serve-stale-data yes
    CONFIG GET *-serve-stale-data
    CONFIG SET nosuch 1
    CONFIG SET NoSuch 1
    CONFIG SET "" x
    CONFIG SET timeout 5 nosuch 1
    CONFIG SET timeout x nosuch 1
    CONFIG SET nosuch 1 timeout x
    CONFIG SET databases 4
    CONFIG SET DATABASES 4
    CONFIG SET timeout 7 databases 3
    CONFIG SET timeout 1 timeout 2 databases 5
    CONFIG SET databases 5 timeout 1 timeout 1
    CONFIG SET databases 5 nosuch 1
    CONFIG SET timeout 9 maxclients x
    CONFIG SET TimeOut x
    CONFIG SET timeout -1
    CONFIG SET timeout 1.5
    CONFIG SET timeout 99999999999
    CONFIG GET timeout
    CONFIG SET notify-keyspace-events xyz
    CONFIG SET notify-keyspace-events ""
    CONFIG SET loglevel foo
    CONFIG SET LOGLEVEL NOTICE
    CONFIG GET loglevel
    CONFIG SET maxclients 0
    CONFIG SET maxclients 4294967296
    CONFIG SET repl-timeout 0
    CONFIG SET tcp-keepalive -1
    CONFIG SET slowlog-log-slower-than -5
    CONFIG SET slowlog-max-len -1
    CONFIG SET acllog-max-len -1
    CONFIG SET repl-backlog-size 0
    CONFIG SET repl-backlog-size 1mbb
    CONFIG SET repl-backlog-size -1
    CONFIG SET repl-backlog-size 1MB
    CONFIG SET repl-backlog-size 2m
    CONFIG GET repl-backlog-size
    CONFIG SET protected-mode maybe
    CONFIG SET hash-max-listpack-entries -1
    CONFIG SET hash-max-listpack-entries 9999999999999999999
    CONFIG SET list-max-listpack-size 99999999999
    CONFIG SET stream-node-max-bytes -1
    CONFIG SET busy-reply-threshold -1
    CONFIG SET lua-time-limit x
    CONFIG SET acl-pubsub-default foo
    CONFIG SET tracking-table-max-keys -1
    CONFIG SET replica-announce-port 65536
    CONFIG SET replica-announced maybe
    CONFIG SET client-output-buffer-limit foo
    CONFIG SET client-output-buffer-limit ""
    CONFIG SET client-output-buffer-limit "normal 0 0"
    CONFIG SET client-output-buffer-limit "foo 0 0 0"
    CONFIG SET client-output-buffer-limit "normal x 0 0"
    CONFIG SET client-output-buffer-limit "normal 1 2 -3"
    CONFIG SET client-output-buffer-limit "pubsub 1mb 2mb 3 replica 4 5 6"
    CONFIG GET client-output-buffer-limit
    CONFIG SET replicaof a
    CONFIG SET enable-debug-command yes
    CONFIG SET unixsocket /x
    CONFIG SET daemonize no
    CONFIG SET supervised no
    CONFIG SET tcp-backlog 511
    CONFIG SET cluster-enabled no
    CONFIG SET save ""
    CONFIG SET appendonly no
    CONFIG SET appendonly NO timeout 3000
    CONFIG SET hz 10
    CONFIG SET replica-read-only yes slave-read-only yes
    CONFIG SET proto-max-bulk-len 512mb
    CONFIG GET timeout
    CONFIG SET timeout 0 repl-backlog-size 1mb
    CONFIG RESETSTAT x
    CONFIG RESETSTAT
    CONFIG REWRITE x
    CONFIG REWRITE
    CONFIG HELP"#;

fn answers_are_those_of_a_real_replica(server: &str) {
    let Some(beside) = Beside::start(server, &["--repl-backlog-size 1mb"], &[]) else { return };
    for resp3 in [false, true] {
        let wrong = beside.differences(SCRIPT, resp3, seen);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn answers_are_those_of_redis() {
    answers_are_those_of_a_real_replica("redis-8.0");
}

#[test]
fn answers_are_those_of_valkey() {
    answers_are_those_of_a_real_replica("valkey-9.1");
}

/// Numbers of INFO.
type Numbers = BTreeMap<String, f64>;

fn numbers(client: &mut Client) -> Numbers {
    let sections = ["stats", "persistence", "clients", "replication"].map(|section| client.info(section));
    sections.into_iter().flatten().filter_map(|(name, value)| Some((name, value.parse().ok()?))).collect()
}

/// Gives each counter something to count.
fn keep_busy(port: u16) {
    let mut client = Client::connect(port);
    for line in ["GET k", "GET missing", "SET k 1", "NOSUCH", "LPUSH k x", "CONFIG SET timeout x", "AUTH x y"] {
        client.call(line);
    }
    client.must("ACL SETUSER u on >x +get ~z resetchannels");
    client.must("AUTH u x");
    for line in ["GET k", "SET z 1", "PUBLISH c x"] {
        client.call(line);
    }
    let introduced = || Follower::introduced_as(port, &["REPLCONF capa eof capa psync2"]);
    introduced().full_sync();
    let mut unknown = introduced();
    unknown.say("PSYNC 0123456789012345678901234567890123456789 5");
    unknown.synced();
}

fn a_reset_touches_what_it_touches_at_a_real_replica(server: &str) {
    let Some(beside) = Beside::start(server, &[], &["--repl-diskless-sync-delay", "0"]) else { return };
    let mut master = beside.master.client();
    master.must("SET k 1");
    master.must("PUBLISH c x");
    beside.settle();
    let [real, ours] = [beside.replica.port, beside.remora.port].map(|port| {
        keep_busy(port);
        let mut client = Client::connect(port);
        // Otherwise the counts may move between the two questions.
        wait::until("all others are gone", Duration::from_secs(30), || {
            client.info("replication")["connected_slaves"] == "0"
                && client.must("CLIENT LIST TYPE normal").text().lines().count() == 1
        });
        let before = numbers(&mut client);
        client.must("CONFIG RESETSTAT");
        (before, numbers(&mut client))
    });
    let fell = |(before, after): &(Numbers, Numbers), name: &str| {
        let (before, after) = (*before.get(name)?, after.get(name).copied().unwrap_or(0.0));
        (before > 0.0).then_some(after < before)
    };
    // Speeds fall by themselves, and the saves of a real server are those for sub-replicas. Of times the reset's own counts
    // anew already.
    let is_free = |name: &str| {
        ["instantaneous_", "rdb_", "eventloop_duration_", "master_last_io_", "client_recent_max_"]
            .iter()
            .any(|start| name.starts_with(start))
    };
    let names = real.0.keys().filter(|name| !is_free(name));
    let both: Vec<_> = names.filter_map(|name| Some((name, fell(&real, name)?, fell(&ours, name)?))).collect();
    let wrong: Vec<_> = both.iter().filter(|(_, expected, found)| expected != found).collect();
    assert!(wrong.is_empty(), "falls at the real one, here: {wrong:?}");
    for name in ["total_net_repl_input_bytes", "total_net_repl_output_bytes", "sync_full", "sync_partial_err"] {
        assert!(both.iter().any(|(found, fell, _)| *found == name && *fell), "{name} is not compared: {both:?}");
    }
    assert!(both.len() > 20, "{both:?}");
    let mut client = beside.remora.client();
    client.must("CONFIG RESETSTAT");
    assert_eq!(client.info("errorstats").len(), 0);
    let stats = client.info("commandstats");
    let expected = ["cmdstat_config|resetstat", "cmdstat_info"];
    assert!(stats.keys().all(|name| expected.contains(&name.as_str())), "{stats:?}");
    let accepted = beside.remora.metric("remora_clients_accepted_total");
    assert!(accepted > 2.0, "metrics go on: {accepted}");
}

#[test]
fn a_reset_touches_what_it_touches_at_redis() {
    a_reset_touches_what_it_touches_at_a_real_replica("redis-8.0");
}

#[test]
fn a_reset_touches_what_it_touches_at_valkey() {
    a_reset_touches_what_it_touches_at_a_real_replica("valkey-9.1");
}

#[test]
fn a_rewritten_file_keeps_what_did_not_change_and_reads_back() {
    let (master, dir) = (Master::listen(), folder::temporary());
    let path = dir.path().join("remora.conf");
    let file = path.to_str().expect("UTF-8");
    let text = format!(
        "# mine\n\nreplicaof 127.0.0.1 {}\n  TIMEOUT 5\n# in between\nsave 3600 1\nappendfsync always\nslowlog-max-len 9\n\
         user bob on >x ~* +get\nuser eve on nopass -@all\ntimeout 6\n# the end",
        master.port
    );
    std::fs::write(&path, &text).expect("writing the file");
    let remora = Remora::start(&[file]);
    let mut client = remora.client();
    client.must("CONFIG REWRITE");
    assert_eq!(std::fs::read_to_string(&path).expect("reading"), text + "\n");
    for line in [
        "CONFIG SET timeout 7 maxmemory 0",
        "CONFIG SET latency-tracking-info-percentiles \"50 99.99\"",
        "CONFIG SET requirepass \"a \\\"b\"",
        "AUTH \"a \\\"b\"",
        "ACL SETUSER alice on nopass ~k +@read",
        "ACL DELUSER eve",
        "CONFIG REWRITE",
    ] {
        assert_eq!(
            client.command(&words(line)).text(),
            if line.contains("DELUSER") { "1" } else { "OK" },
            "{line}"
        );
    }
    let expected = format!(
        "# mine\n\nreplicaof 127.0.0.1 {}\ntimeout 7\n# in between\nsave 3600 1\nappendfsync always\nslowlog-max-len 9\n\
         user bob on >x ~* +get\n# the end\n# Generated by CONFIG REWRITE\nrequirepass \"a \\\"b\"\n\
         latency-tracking-info-percentiles 50 99.99\n\
         user alice on nopass sanitize-payload ~k resetchannels -@all +@read\n",
        master.port
    );
    assert_eq!(std::fs::read_to_string(&path).expect("reading"), expected);
    let shown = |client: &mut Client| (client.must("CONFIG GET *"), client.must("ACL LIST"));
    let before = shown(&mut client);
    let (port, metrics) = (remora.port.to_string(), format!("127.0.0.1:{}", remora.metrics_port));
    drop(remora);
    let again = Remora::start(&["--port", &port, "--metrics-addr", &metrics, file]);
    let mut client = again.client();
    client.must("AUTH \"a \\\"b\"");
    assert_eq!(shown(&mut client), before);
    client.must("CONFIG REWRITE");
    assert_eq!(std::fs::read_to_string(&path).expect("reading"), expected);
}
