//! MULTI, EXEC, WATCH: replies as a real replica's, answers of one moment.

use crate::support::beside::{Beside, whole};
use crate::support::client::{Value, words};
use crate::support::real::{Real, for_each_master};
use crate::support::remora::{Remora, SOON};
use crate::support::wait;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

for_each_master!(transactions_answer_as_on_a_real_replica);

/// Errors and queueing; then what watches see of the master's stream.
const SCRIPT: &str = "
    EXEC
    EXEC x
    DISCARD
    DISCARD x
    UNWATCH
    WATCH
    MULTI
    EXEC
    MULTI
    PING
    PING hello
    GET s
    LRANGE s 0 -1
    HGETALL h
    ECHO a b
    EXEC
    EXEC
    MULTI
    PING
    GET s
    LRANGE s 0 -1
    HGETALL h
    SMEMBERS set
    ZSCORE z a
    KEYS *nothing*
    KEYS s
    SELECT 3
    DBSIZE
    SELECT 0
    EXISTS s nosuch
    XREAD BLOCK 0 STREAMS x $
    OBJECT ENCODING s
    UNWATCH
    ECHO \"\"
    EXEC
    MULTI
    SET a b
    GET s
    EXEC
    MULTI
    nosuch command
    EXEC
    MULTI
    GET
    EXEC
    MULTI
    MULTI
    PING
    EXEC
    DISCARD
    MULTI
    WATCH s
    PING
    EXEC
    DISCARD
    MULTI
    PING
    DISCARD
    DISCARD
    MULTI
    EXEC x
    EXEC
    MULTI
    CONFIG GET maxclients
    CLIENT SETNAME me
    CLIENT GETNAME
    SELECT 99
    EXEC
    CLIENT GETNAME
    WATCH s
    MULTI
    GET s
    EXEC
    WATCH s
    master:SET s 2
    MULTI
    GET s
    EXEC
    GET s
    WATCH s nosuch
    master:SET other 3
    MULTI
    GET s
    EXEC
    WATCH s
    master:SET s 2
    UNWATCH
    MULTI
    GET s
    EXEC
    WATCH s
    master:SET s 2
    MULTI
    nosuch
    EXEC
    WATCH s
    master:SET s 2
    MULTI
    DISCARD
    MULTI
    GET s
    EXEC
    WATCH nosuch
    master:FLUSHDB
    MULTI
    GET s
    EXEC
    master:SET s 4
    WATCH s
    master:FLUSHALL
    MULTI
    GET s
    EXEC
    WATCH s
    master:SWAPDB 0 1
    MULTI
    GET s
    EXEC
    WATCH s
    master:RPUSH l 1 2
    master:RPOPLPUSH l s
    MULTI
    LRANGE s 0 -1
    EXEC
    WATCH s
    SELECT 1
    master:DEL s
    MULTI
    PING
    EXEC
";

/// Only with servers that have RESET, XGROUP CREATECONSUMER and SSUBSCRIBE.
const SINCE_REDIS_7: &str = "
    MULTI
    SSUBSCRIBE shard
    SUBSCRIBE channel
    UNSUBSCRIBE
    EXEC
    master:XADD x 1-1 f v
    WATCH x
    master:XGROUP CREATE x g 0
    master:XGROUP CREATECONSUMER x g c
    master:XREADGROUP GROUP g c STREAMS x >
    master:XACK x g 1-1
    master:XGROUP SETID x g 0
    master:XSETID x 5-5
    MULTI
    GET s
    EXEC
    WATCH x
    master:XADD x 6-6 f v
    MULTI
    GET s
    EXEC
    MULTI
    OBJECT HELPME
    EXEC
    WATCH s
    MULTI
    GET s
    RESET
    DISCARD
    master:SET s 9
    MULTI
    GET s
    EXEC
";

fn transactions_answer_as_on_a_real_replica(server: &str) {
    let Some(beside) = Beside::start(server, &[], &[]) else { return };
    let mut wrong = Vec::new();
    for resp3 in [false, true] {
        for line in ["FLUSHALL", "SET s 1", "HSET h f v", "SADD set a", "ZADD z 1.5 a", "XADD x 1-1 f v"] {
            beside.master.client().must(line);
        }
        beside.settle();
        let seen = |line: &str, reply: &[u8]| seen(server, line, reply);
        wrong.extend(beside.differences(SCRIPT, resp3, seen));
        if server != "redis-6.0" {
            wrong.extend(beside.differences(SINCE_REDIS_7, resp3, seen));
        }
    }
    assert!(wrong.is_empty(), "{server}: {}", wrong.join("\n"));
}

/// Texts of errors inside of replies are younger than Redis 6.0 and 7.0; there only the kind is compared.
fn seen(server: &str, line: &str, reply: &[u8]) -> String {
    let text = whole(line, reply);
    let old = matches!(server, "redis-6.0" | "redis-7.0");
    let young = ["Unknown subcommand", "unknown subcommand", "unknown command"]
        .iter()
        .find(|words| text.contains(**words));
    match young {
        Some(at) if old => text.split(at).next().unwrap_or_default().to_string(),
        _ => text,
    }
}

#[test]
fn a_watched_key_that_expires_makes_exec_answer_null() {
    let Some(beside) = Beside::start("valkey-9.1", &[], &[]) else { return };
    let mut master = beside.master.client();
    for resp3 in [false, true] {
        master.must("DEBUG SET-ACTIVE-EXPIRE 0");
        // On a busy machine it may be gone before it is watched.
        let twins = (1..10).find_map(|seconds| {
            master.must(&format!("SET k 1 PX {}", seconds * seconds * 150));
            beside.settle();
            let mut twins = beside.twins(resp3);
            twins.compare("WATCH k", &whole);
            let there = [&mut twins.real, &mut twins.ours].map(|client| client.must("EXISTS k").int());
            (there == [1, 1]).then_some(twins)
        });
        let mut twins = twins.expect("it is watched in time");
        wait::until("the key has expired on both", SOON, || {
            beside.replica.client().must("EXISTS k").int() == 0
                && beside.remora.client().must("EXISTS k").int() == 0
        });
        ["MULTI", "PING", "EXEC"].iter().for_each(|line| twins.compare(line, &whole));
        // It is watched as expired now: that the master deletes it is no change.
        ["WATCH k", "MULTI", "PING"].iter().for_each(|line| twins.compare(line, &whole));
        master.must("DEL k");
        beside.settle();
        twins.compare("EXEC", &whole);
        assert!(twins.wrong.is_empty(), "{}", twins.wrong.join("\n"));
    }
}

#[test]
fn a_full_resync_touches_what_was_watched() {
    let Some(beside) = Beside::start("redis-8.0", &[], &[]) else { return };
    let Some(other) = Real::start("redis-8.0", &[]) else { return };
    beside.master.client().must("SET k 1");
    beside.settle();
    let mut client = beside.remora.client();
    for line in ["WATCH k", "WATCH absent", "MULTI", "GET k"] {
        client.must(line);
    }
    let mut bystander = beside.remora.client();
    for line in ["WATCH absent", "MULTI", "GET k"] {
        bystander.must(line);
    }
    beside.remora.client().must(&format!("REPLICAOF 127.0.0.1 {}", other.port));
    wait::until("the other master's data are there", SOON, || beside.remora.client().must("DBSIZE").int() == 0);
    assert_eq!(client.must("EXEC"), Value::Null);
    assert_eq!(bystander.must("EXEC").items(), [Value::Null]);
}

#[test]
fn all_answers_of_a_transaction_are_of_one_moment() {
    let Some(master) = Real::start("redis-8.0", &[]) else { return };
    let remora = Remora::follow(master.port, &[]);
    remora.wait_linked();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = master.client();
            for n in 0.. {
                // Half a transfer is never to be seen: two commands, each visible on its own.
                let requests: Vec<_> = ["a", "b"].iter().map(|key| words(&format!("SET {key} {n}"))).collect();
                writer.pipeline(&requests);
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let mut client = remora.client();
        let mut seen = std::collections::BTreeSet::new();
        wait::until("five hundred different states were seen", Duration::from_secs(60), || {
            let requests: Vec<_> =
                ["MULTI", "GET a", "GET b", "KEYS *", "GET a", "GET b", "EXEC"].map(words).into_iter().collect();
            let replies = client.pipeline(&requests);
            let items = replies[6].items();
            assert_eq!((&items[0], &items[1]), (&items[3], &items[4]), "the data moved inside a transaction");
            seen.insert(format!("{:?}", items[0]));
            seen.len() >= 500
        });
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn the_list_of_clients_shows_who_is_in_a_transaction() {
    let Some(beside) = Beside::start("redis-8.0", &[], &[]) else { return };
    let fields = |line: &str| {
        let wanted = ["flags=", "multi=", "watch=", "cmd="];
        line.split(' ')
            .filter(|field| wanted.iter().any(|name| field.starts_with(name)))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let seen = |line: &str, reply: &[u8]| match line {
        "CLIENT INFO" | "EXEC" => fields(&String::from_utf8_lossy(reply)),
        _ => whole(line, reply),
    };
    let script = "
        CLIENT INFO
        WATCH a b
        CLIENT INFO
        MULTI
        CLIENT INFO
        PING
        EXEC
        CLIENT INFO
        WATCH a b
        master:SET a 1
        CLIENT INFO
        UNWATCH
        CLIENT INFO";
    let wrong = beside.differences(script, false, seen);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut client = beside.remora.client();
    client.must("WATCH a b");
    let counts = |field: &str| beside.remora.client().info("clients")[field].clone();
    assert_eq!((counts("watching_clients"), counts("total_watched_keys")), ("1".into(), "2".into()));
    drop(client);
    wait::until("what a client watched goes with it", SOON, || counts("total_watched_keys") == "0");
}

#[test]
fn the_block_with_which_sentinel_turns_a_replica_works() {
    let Some(first) = Real::start("redis-8.0", &[]) else { return };
    let Some(second) = Real::start("redis-8.0", &[]) else { return };
    second.client().must("SET who second");
    let remora = Remora::follow(first.port, &[]);
    remora.wait_linked();
    let mut bystander = remora.client();
    bystander.must("PING");
    let mut sentinel = remora.client();
    let slaveof = format!("SLAVEOF 127.0.0.1 {}", second.port);
    let block =
        ["MULTI", &slaveof, "CONFIG REWRITE", "CLIENT KILL TYPE normal", "CLIENT KILL TYPE pubsub", "EXEC"];
    let replies = sentinel.pipeline(&block.map(words));
    assert!(replies[1..5].iter().all(|reply| reply.text_is("QUEUED")), "{replies:?}");
    let items = replies[5].items();
    assert!(items[0].text_is("OK") && items[1].is_error(), "{items:?}");
    assert!(items[2].int() >= 1 && items[3] == Value::Int(0), "{items:?}");
    assert!(bystander.try_call("PING").is_err(), "the others were closed");
    wait::until("the new master is followed", SOON, || {
        remora.client().try_call("GET who").is_ok_and(|reply| reply.text_is("second"))
    });
}
