//! `replica-serve-stale-data no` beside a real replica: the same commands are refused with the same words.

use crate::support::beside::{Beside, whole};
use crate::support::client::{Client, Value};
use crate::support::real::for_each_master;
use crate::support::remora::SOON;
use crate::support::wait;

/// What is refused here at any time, and by real servers by the state of the link.
const STEERING: [&str; 6] = ["replicaof", "slaveof", "failover", "psync", "sync", "replconf"];

/// What redis 6.0 says otherwise: flags that changed with 7.0, and containers that were single commands.
const OTHERWISE_IN_6_0: [&str; 13] = [
    "ping",
    "asking",
    "readonly",
    "readwrite",
    "echo",
    "evalsha",
    "xtrim",
    "object",
    "xinfo",
    "xgroup",
    "memory",
    "module",
    "script",
];

/// Commands of a server that may not run without a master, with as many words as they need.
fn requests(real: &mut Client, ours: &mut Client) -> Vec<String> {
    let known = ours.must("COMMAND LIST");
    let known: Vec<String> = known.items().iter().map(Value::text).collect();
    let mut found = Vec::new();
    for entry in real.must("COMMAND").items() {
        let subs = entry.items().get(9).map_or(&[][..], Value::items);
        for command in std::iter::once(entry).chain(subs) {
            let (name, arity) = (command.items()[0].text(), command.items()[1].int());
            let stale = command.items()[2].items().iter().any(|flag| flag.text_is("stale"));
            if stale || STEERING.contains(&name.as_str()) || !known.contains(&name) || !subs_of(command).is_empty()
            {
                continue;
            }
            let words: Vec<&str> = name.split('|').collect();
            let count = usize::try_from(arity.abs()).expect("small").max(words.len());
            let more = std::iter::repeat_n("1", count - words.len());
            found.push(words.into_iter().chain(more).collect::<Vec<_>>().join(" "));
        }
    }
    found
}

fn subs_of(command: &Value) -> &[Value] {
    command.items().get(9).map_or(&[][..], Value::items)
}

fn refused_and_allowed_as_by_a_real_replica(server: &str) {
    let no = ["--replica-serve-stale-data", "no"];
    let old = server == "redis-6.0";
    let Some(mut beside) = Beside::start(server, &["--replica-serve-stale-data no"], &no) else { return };
    beside.master.client().must("SET k v");
    beside.settle();
    let mut twins = beside.twins(false);
    for line in ["GET k", "MULTI", "GET k", "SET k v"] {
        twins.compare(line, &whole);
    }
    beside.master.kill();
    let down = |client: &mut Client| client.info("replication")["master_link_status"] == "down";
    wait::until("both links are down", SOON, || {
        down(&mut beside.replica.client()) && down(&mut beside.remora.client())
    });
    twins.compare("EXEC", &whole);
    for line in ["MULTI", "DBSIZE", "EXEC", "MULTI", "SELECT 0", "EXEC", "WATCH k", "UNWATCH", "DISCARD"] {
        twins.compare(line, &whole);
    }
    let requests = requests(&mut beside.replica.client(), &mut beside.remora.client());
    assert!(requests.len() > 150, "{} requests", requests.len());
    for line in &requests {
        let name = line.split(' ').next().expect("a word");
        // Valkey 9.1 shows scripts, and words errors inside of them, as 8.1 does not.
        let otherwise =
            old && OTHERWISE_IN_6_0.contains(&name) || server == "valkey-8.1" && line == "script show 1";
        if !otherwise {
            twins.compare(line, &whole);
        }
    }
    for line in ["SELECT 1", "PUBLISH a b", "CLIENT GETNAME", "CONFIG GET port-nosuch", "GET"] {
        twins.compare(line, &whole);
    }
    twins.compare("EVAL \"return 1\" 0", &whole);
    if !old && server != "valkey-8.1" {
        for body in ["return 1", "return redis.call('GET', 'k')", "return redis.pcall('SELECT', 0)"] {
            let flags = ["no-writes", "allow-stale,no-writes"];
            for flags in flags {
                twins.compare(&format!("EVAL \"#!lua flags={flags}\\n{body}\" 0"), &whole);
            }
        }
    }
    let wrong = twins.wrong;
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), requests.len(), wrong.join("\n"));
}

for_each_master!(refused_and_allowed_as_by_a_real_replica);
