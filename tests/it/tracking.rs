//! Client-side tracking, MONITOR and blocking reads beside a real replica of the same master.

use super::pubsub::{Trio, conversation};
use super::support::chance;
use super::support::client::{Client, Ending, Value};
use super::support::real::Real;
use super::support::remora::{Remora, SOON};
use super::support::wait;
use super::workload::generate::{Features, Generator, Request, request};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A line that starts with `> ` is for the master; its effects have arrived before the next line.
const LINES: &[&str] = &[
    "CLIENT TRACKINGINFO",
    "CLIENT GETREDIR",
    "CLIENT CACHING YES",
    "CLIENT TRACKING ON",
    "CLIENT TRACKINGINFO",
    "CLIENT GETREDIR",
    "GET k1",
    "MGET k1 k2 nokey",
    "CLIENT TRACKING ON",
    "CLIENT TRACKING ON BCAST",
    "> SET k1 w",
    "> SET k1 w",
    "> SET nokey x",
    "> MSET k1 a k2 b",
    "MULTI\r\nGET k1\r\nHGETALL h\r\nEXEC",
    "> HSET h f v",
    "> RENAME k1 k9",
    "XREAD STREAMS x 0",
    "> XADD x 1-1 f v",
    "SELECT 3",
    "GET k2",
    "> SET k2 other",
    "SELECT 0",
    "> FLUSHDB",
    "> FLUSHALL",
    "CLIENT TRACKING OFF",
    "CLIENT TRACKING OFF",
    "CLIENT TRACKING ON BCAST PREFIX foo: PREFIX bar:",
    "CLIENT TRACKING ON BCAST PREFIX foo:x",
    "CLIENT TRACKING ON BCAST PREFIX new PREFIX newer",
    "CLIENT TRACKING ON BCAST PREFIX zed",
    "CLIENT TRACKINGINFO",
    "> SET foo:1 w",
    "> MSET foo:2 a foo:1 a bar:1 c x 1",
    "> FLUSHALL",
    "CLIENT TRACKING OFF",
    "CLIENT TRACKING ON BCAST",
    "CLIENT TRACKINGINFO",
    "> MSET foo:2 a foo:1 a bar:1 c",
    "CLIENT TRACKING OFF",
    "CLIENT TRACKING ON OPTIN",
    "GET foo:1",
    "CLIENT CACHING YES",
    "CLIENT TRACKINGINFO",
    "GET foo:2",
    "GET bar:1",
    "CLIENT CACHING NO",
    "CLIENT CACHING FOO",
    "CLIENT CACHING YES",
    "MULTI\r\nGET k5\r\nGET k6\r\nEXEC",
    "GET k7",
    "CLIENT CACHING YES",
    "NOSUCH",
    "GET k8",
    "CLIENT CACHING YES",
    "GET",
    "GET k9",
    "> MSET foo:1 1 foo:2 1 bar:1 2 k5 1 k6 1 k7 1 k8 1 k9 1",
    "CLIENT TRACKING ON OPTOUT",
    "CLIENT TRACKING OFF",
    "CLIENT TRACKING ON OPTOUT",
    "GET k1",
    "CLIENT CACHING NO",
    "CLIENT TRACKINGINFO",
    "GET k2",
    "CLIENT CACHING YES",
    "> MSET k1 1 k2 1",
    "RESET",
    "CLIENT TRACKINGINFO",
    "CLIENT UNBLOCK 99999",
    "CLIENT UNBLOCK x",
    "CLIENT UNBLOCK 99999 FOO",
    "CLIENT TRACKING",
    "CLIENT GETREDIR x",
];

#[test]
fn every_answer_and_every_invalidation_is_that_of_a_real_replica() {
    for server in ["redis-8.0", "valkey-9.1"] {
        let Some(trio) = Trio::start(server, &[]) else { continue };
        let mut master = trio.master.client();
        for proto in [2, 3] {
            master.must("MSET k1 v k2 v foo:1 v bar:1 v");
            trio.settle();
            let [mut real, mut ours] = trio.connect(proto);
            for line in LINES {
                let line = match line.strip_prefix("> ") {
                    None => *line,
                    Some(write) => {
                        master.must(write);
                        trio.settle();
                        "ECHO wrote"
                    }
                };
                let [expected, got] = [&mut real, &mut ours].map(|client| conversation(client, line));
                assert_eq!(got, expected, "{server} RESP{proto} {line}");
            }
        }
    }
}

#[test]
fn invalidations_go_where_they_are_redirected_to() {
    let Some(trio) = Trio::start("redis-8.0", &[]) else { return };
    let mut master = trio.master.client();
    for target_proto in [2, 3] {
        let mut seen = Vec::new();
        for (port, proto) in [(trio.real.port, 2), (trio.ours.port, 2), (trio.real.port, 3), (trio.ours.port, 3)] {
            let connect = |proto| if proto == 3 { Client::connect_resp3(port) } else { Client::connect(port) };
            let (mut target, mut client) = (connect(target_proto), connect(proto));
            let id = target.must("CLIENT ID").int();
            client.must(&format!("CLIENT TRACKING ON REDIRECT {id}"));
            let mut all = Vec::new();
            for subscribe in [false, true] {
                if subscribe {
                    conversation(&mut target, "SUBSCRIBE __redis__:invalidate");
                }
                conversation(&mut client, "GET k");
                master.must("INCR k");
                trio.settle();
                all.push(conversation(&mut target, ""));
                all.push(conversation(&mut client, ""));
            }
            master.must("FLUSHALL");
            trio.settle();
            all.push(conversation(&mut target, ""));
            conversation(&mut client, "GET k");
            drop(target);
            let mut other = Client::connect(port);
            wait::until("the target is gone", SOON, || {
                !other.must("CLIENT LIST").text().lines().any(|line| line.starts_with(&format!("id={id} ")))
            });
            master.must("INCR k");
            trio.settle();
            let broken = conversation(&mut client, "CLIENT TRACKINGINFO");
            all.push(broken.replace(&format!(":{id}\r\n"), ":ID\r\n"));
            seen.push(all);
        }
        assert_eq!(seen[1], seen[0], "RESP2 to RESP{target_proto}");
        assert_eq!(seen[3], seen[2], "RESP3 to RESP{target_proto}");
    }
}

/// Clients that read the same keys at the same offsets hear the same invalidations in the same order. Nothing expires:
/// who tells of that, and when, is compared below.
#[test]
fn invalidations_of_a_random_workload_are_those_of_a_real_replica() {
    for server in ["redis-8.0", "valkey-9.1"] {
        let Some(trio) = Trio::start(server, &[]) else { continue };
        let mut chance = chance::seeded("invalidations");
        let has = Features { expires_soon: false, ..Features::of(server) };
        let mut generator = Generator::new(chance.fork(), has);
        let mut master = trio.master.client();
        let mut clients = [trio.connect(3), trio.connect(3)];
        let [reader, broadcast] = &mut clients;
        reader.iter_mut().for_each(|client| drop(client.must("CLIENT TRACKING ON")));
        for client in broadcast.iter_mut() {
            client.must("CLIENT TRACKING ON BCAST PREFIX s: PREFIX h:1");
        }
        let mut heard = 0;
        for round in 0..30 {
            for key in some_keys(&mut generator) {
                let read = request!["TYPE", key];
                reader.iter_mut().for_each(|client| drop(client.command(&read)));
            }
            let requests = some_writes(&mut generator);
            master.pipeline(&requests);
            trio.settle();
            let [expected, got] = reader.each_mut().map(pushes);
            assert_eq!(got, expected, "{server} round {round}: {}", shown(&requests));
            heard += expected.len();
            // One message may hold the keys of several, as the batches are: the keys are the same.
            let [expected, got] = broadcast.each_mut().map(|client| {
                let mut keys: Vec<String> = pushes(client).concat();
                keys.sort();
                keys.dedup();
                keys
            });
            assert_eq!(got, expected, "{server} round {round}, prefixes");
        }
        assert!(heard > 100, "{server}: only {heard} invalidations");
    }
}

/// A real replica tells of a key that expires when its master deletes it, which is left to chance. remora tells at once,
/// so a key that was read may be told earlier, but never later; and earlier only if it is gone for all who look.
#[test]
fn keys_that_expire_under_a_random_workload_are_told_no_later_than_by_a_real_replica() {
    for server in ["redis-8.0", "valkey-9.1"] {
        let Some(trio) = Trio::start(server, &[]) else { continue };
        let mut generator = Generator::new(chance::seeded("keys_that_expire"), Features::of(server));
        let mut master = trio.master.client();
        // It deletes only what it is asked for.
        master.must("DEBUG SET-ACTIVE-EXPIRE 0");
        let mut looking = trio.ours.client();
        let mut readers = trio.connect(3);
        readers.iter_mut().for_each(|client| drop(client.must("CLIENT TRACKING ON")));
        // The keys that each replica is still to tell of.
        let mut untold = [BTreeSet::new(), BTreeSet::new()];
        let (mut earlier, started) = (0, Instant::now());
        for round in 0.. {
            // Longer than keys live that expire soon.
            if earlier > 0 && started.elapsed() > Duration::from_secs(3) {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "{server}: nothing expired");
            for key in some_keys(&mut generator) {
                for (client, untold) in readers.iter_mut().zip(&mut untold) {
                    client.send(&[&b"TYPE"[..], &key]);
                    hear(client, untold, Some(&key));
                }
            }
            let mut requests = some_writes(&mut generator);
            // It gives names to other keys and tells nobody: what is told then may be of the key that had the name before.
            requests.retain(|request| request[0] != b"SWAPDB");
            master.pipeline(&requests);
            trio.settle();
            for (client, untold) in readers.iter_mut().zip(&mut untold) {
                hear(client, untold, None);
            }
            let [real, ours] = &untold;
            let late: Vec<&String> = ours.difference(real).collect();
            assert!(late.is_empty(), "{server} round {round}: not told {late:?}: {}", shown(&requests));
            for key in real.difference(ours).filter(|key| !key.contains('\\')) {
                assert!(
                    looking.must(&format!("TYPE {key}")).text_is("none"),
                    "{server} round {round}: {key} is there"
                );
                earlier += 1;
            }
        }
    }
}

/// Notes what is told up to now, and the key that was read, if any, between what is told before and behind its reply.
fn hear(client: &mut Client, untold: &mut BTreeSet<String>, mut read: Option<&Vec<u8>>) {
    client.send_raw(b"PING end-of-pushes\r\n");
    loop {
        match client.reply() {
            Value::Push(items) if items[1] == Value::Null => untold.clear(),
            Value::Push(items) => items[1].items().iter().for_each(|key| {
                untold.remove(&key.bytes().escape_ascii().to_string());
            }),
            reply if reply.text_is("end-of-pushes") => return,
            _ => untold.extend(read.take().map(|key| key.escape_ascii().to_string())),
        }
    }
}

fn some_writes(generator: &mut Generator) -> Vec<Request> {
    let mut requests: Vec<Request> = Vec::new();
    while requests.len() < 60 {
        generator.step(&mut requests);
    }
    requests
}

fn some_keys(generator: &mut Generator) -> Vec<Vec<u8>> {
    let family = |generator: &mut Generator| generator.pick(&["s", "h", "l", "set", "z", "x"]);
    (0..60)
        .map(|_| {
            let family = family(generator);
            generator.key(family)
        })
        .collect()
}

fn shown(requests: &[Request]) -> String {
    let line = |request: &Request| request.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>();
    requests.iter().map(|request| line(request).join(" ") + "\n").collect()
}

/// The keys of each invalidation up to now; a flush is `null`.
fn pushes(client: &mut Client) -> Vec<Vec<String>> {
    client.send_raw(b"PING end-of-pushes\r\n");
    let mut all = Vec::new();
    loop {
        match client.reply() {
            Value::Push(items) => all.push(match &items[1] {
                Value::Null => vec!["null".to_owned()],
                keys => keys.items().iter().map(|key| key.bytes().escape_ascii().to_string()).collect(),
            }),
            reply if reply.text_is("end-of-pushes") => return all,
            _ => {}
        }
    }
}

#[test]
fn a_key_that_expires_is_invalid_at_once() {
    let Some(master) = Real::start("redis-8.0", &["--repl-ping-replica-period 3600"]) else { return };
    let remora = Remora::follow(master.port, &[]);
    let mut writer = master.client();
    writer.must("DEBUG SET-ACTIVE-EXPIRE 0");
    // On a busy machine it may be gone before it is read.
    let client = (1..10).find_map(|seconds| {
        writer.must(&format!("SET soon v EX {seconds}"));
        remora.wait_caught_up(&mut writer);
        let mut client = Client::connect_resp3(remora.port);
        client.must("CLIENT TRACKING ON");
        client.must("GET soon").text_is("v").then_some(client)
    });
    let mut client = client.expect("it is read in time");
    let Value::Push(items) = client.reply() else { panic!("no push") };
    assert!(items[1].items()[0].text_is("soon"), "{items:?}");
    assert_eq!(client.must("GET soon"), Value::Null);
    let stats = client.info("stats");
    assert_eq!(
        (stats["tracking_total_keys"].as_str(), client.info("clients")["tracking_clients"].as_str()),
        ("1", "1")
    );
}

#[test]
fn a_full_resync_makes_everything_invalid() {
    let Some(mut master) = Real::start("redis-8.0", &[]) else { return };
    let remora = Remora::follow(master.port, &[]);
    master.client().must("SET k v");
    remora.wait_caught_up(&mut master.client());
    let mut client = Client::connect_resp3(remora.port);
    client.must("CLIENT TRACKING ON");
    client.must("GET k");
    master.restart();
    let Value::Push(items) = client.reply() else { panic!("no push") };
    assert_eq!(items[1], Value::Null);
}

/// Lines of MONITOR without time and ports.
fn lines(text: &str, own: &str) -> Vec<String> {
    let line = |line: &str| {
        let (_, rest) = line.split_once(' ').unwrap_or_default();
        let rest = rest.replace(own, "OWN");
        rest.split_once(':').filter(|_| !rest.contains("OWN]")).map_or(rest.clone(), |(head, tail)| {
            let tail = tail.split_once(']').map_or(tail, |(_, tail)| tail);
            format!("{head}:PORT]{tail}")
        })
    };
    text.lines().filter(|line| !line.contains("\"ping\"") && !line.contains("\"REPLCONF\"")).map(line).collect()
}

#[test]
fn monitors_see_what_those_of_a_real_replica_see() {
    for server in ["redis-8.0", "valkey-9.1"] {
        let Some(trio) = Trio::start(server, &[]) else { continue };
        let mut master = trio.master.client();
        let monitors = trio.connect(2).map(|mut client| {
            client.must("MONITOR");
            client
        });
        let mut asking = trio.connect(2);
        for line in [
            "GET x",
            "SELECT 3",
            "HELLO 3 AUTH default pw",
            "AUTH foo",
            "CONFIG GET save",
            "INFO server",
            "CLIENT ID",
            "FOO bar",
            "GET",
            "SET a b",
            "MULTI\r\nGET q\r\nEXEC",
            "SUBSCRIBE ch",
            "RESET",
            "ECHO \"a\\\"\\x00\\n\\xff b\"",
            "ROLE",
            "OBJECT ENCODING k",
            "EVAL \"return redis.call('GET', KEYS[1])\" 1 k",
            "EVAL_RO \"redis.call('SELECT', 4) return redis.call('TTL', KEYS[1])\" 1 k",
            "EVAL \"return redis.pcall('SET', KEYS[1], 1)\" 1 k",
            "EVAL \"return redis.pcall('GET')\" 1 k",
            "MULTI\r\nEVAL \"return redis.call('EXISTS', KEYS[1])\" 1 k\r\nEXEC",
        ] {
            asking.iter_mut().for_each(|client| drop(conversation(client, line)));
        }
        for line in ["SELECT 2", "SET k v", "MULTI", "INCR n", "LPUSH l \"a b\"", "EXEC", "PUBLISH c m", "FLUSHDB"]
        {
            master.must(line);
        }
        // Lines of the stream come behind the data.
        trio.settle();
        asking.iter_mut().for_each(|client| drop(client.must("ECHO the-last-line")));
        let seen = monitors.map(|mut client| until_line(&mut client, "the-last-line"));
        let own = ["127.0.0.1", "127.0.0.1"];
        let [expected, got] = [0, 1].map(|at| lines(&seen[at], own[at]));
        let of_this_test = |line: &String| !line.contains("\"settled\"");
        let [expected, got] =
            [expected, got].map(|lines| lines.into_iter().filter(of_this_test).collect::<Vec<_>>());
        assert_eq!(got, expected, "{server}");
    }
}

/// Simple lines up to one that holds `word`.
fn until_line(client: &mut Client, word: &str) -> String {
    let mut all = String::new();
    loop {
        let raw = String::from_utf8_lossy(&client.raw_reply()).into_owned();
        if raw.contains(word) {
            return all;
        }
        all.push_str(&raw);
    }
}

#[test]
fn a_monitor_sees_its_own_commands_behind_their_replies_and_may_not_read() {
    let Some(trio) = Trio::start("redis-8.0", &[]) else { return };
    let seen = trio.connect(3).map(|mut client| {
        client.must("MONITOR");
        let lines = ["PING", "GET x", "MONITOR", "RESET", "GET y"];
        lines.map(|line| {
            let text = conversation(&mut client, line);
            text.lines()
                .map(|line| line.split_once("] ").map_or(line, |(_, words)| words))
                .collect::<Vec<_>>()
                .join("|")
        })
    });
    assert_eq!(seen[1], seen[0]);
}

#[test]
fn blocking_reads_answer_as_a_real_replica() {
    for server in ["redis-8.0", "valkey-9.1"] {
        let Some(trio) = Trio::start(server, &[]) else { continue };
        let mut master = trio.master.client();
        for (n, (request, writes)) in [
            ("XREAD BLOCK 0 STREAMS x $", &["XADD x 5-1 f v"][..]),
            ("XREAD BLOCK 0 COUNT 1 STREAMS a b $ $", &["XADD b 7-1 f v"]),
            ("XREAD BLOCK 0 STREAMS a b 0 $", &["XADD b 8-1 f v"]),
            ("XREAD BLOCK 0 STREAMS later +", &["SET later text", "DEL later", "XADD later 1-1 f v"]),
            ("XREAD BLOCK 0 STREAMS x $", &["DEL x", "XADD x 1-1 f v", "XADD x 9-1 f v"]),
            ("XREAD BLOCK 0 STREAMS renamed $", &["XADD other 9-1 f v", "RENAME other renamed"]),
            ("XREAD BLOCK 20 STREAMS x $", &[]),
            ("XREAD BLOCK -1 STREAMS x $", &[]),
            ("XREAD BLOCK x STREAMS x $", &[]),
            ("XREAD BLOCK 0 STREAMS x 0", &[]),
        ]
        .iter()
        .enumerate()
        {
            for proto in [2, 3] {
                let mut clients = trio.connect(proto);
                clients.iter_mut().for_each(|client| client.send_raw(format!("{request}\r\n").as_bytes()));
                if !writes.is_empty() {
                    for port in [trio.real.port, trio.ours.port] {
                        let mut other = Client::connect(port);
                        wait::until("it waits", SOON, || other.info("clients")["blocked_clients"] == "1");
                    }
                }
                for write in *writes {
                    let write = write.replace("-1 f", &format!("-{} f", n * 10 + proto));
                    master.must(&write);
                }
                let [expected, got] =
                    clients.each_mut().map(|client| String::from_utf8_lossy(&client.raw_reply()).into_owned());
                assert_eq!(got, expected, "{server} RESP{proto} {request} {writes:?}");
                master.must("DEL later other renamed");
                trio.wait_caught_up();
            }
        }
    }
}

#[test]
fn who_waits_gets_messages_and_may_be_woken_or_go() {
    let Some(master) = Real::start("redis-8.0", &[]) else { return };
    let remora = Remora::follow(master.port, &[]);
    remora.wait_linked();
    let mut other = remora.client();
    let mut client = Client::connect_resp3(remora.port);
    let id = client.must("CLIENT ID").int();
    client.must("SUBSCRIBE news");
    client.send_raw(b"XREAD BLOCK 0 STREAMS x $\r\nPING behind\r\n");
    wait::until("it waits", SOON, || other.info("clients")["blocked_clients"] == "1");
    let line = other.must(&format!("CLIENT LIST ID {id}")).text();
    assert!(line.contains(" flags=Pb "), "{line}");
    assert_eq!(other.must("PUBLISH news hello").int(), 1);
    assert!(matches!(client.reply(), Value::Push(_)), "a message while it waits");
    assert_eq!(other.must(&format!("CLIENT UNBLOCK {id}")).int(), 1);
    assert_eq!(client.reply(), Value::Null);
    assert!(client.reply().text_is("behind"), "what was sent meanwhile is answered then");
    client.send_raw(b"XREAD BLOCK 0 STREAMS x $\r\n");
    wait::until("it waits", SOON, || other.must(&format!("CLIENT UNBLOCK {id} ERROR")).int() == 1);
    assert!(client.reply().text_starts("UNBLOCKED client unblocked via CLIENT UNBLOCK"));
    client.send_raw(b"XREAD BLOCK 0 STREAMS x $\r\n");
    wait::until("it waits", SOON, || other.info("clients")["blocked_clients"] == "1");
    drop(client);
    wait::until("a client that goes waits no more", SOON, || other.info("clients")["blocked_clients"] == "0");
    let mut killed = remora.client();
    let id = killed.must("CLIENT ID").int();
    killed.send_raw(b"XREAD BLOCK 0 STREAMS x $\r\n");
    wait::until("it waits", SOON, || other.info("clients")["blocked_clients"] == "1");
    other.must(&format!("CLIENT KILL ID {id}"));
    assert_eq!(killed.rest(Duration::from_secs(20)).1, Ending::Closed);
}
