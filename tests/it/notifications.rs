//! Keyspace notifications beside a real replica of the same master under a random workload: the same events in the
//! same order, told on the same channels.

use super::pubsub::{Trio, conversation};
use super::support::chance;
use super::support::client::{Client, Value};
use super::support::real::for_each_master;
use super::workload::generate::{Features, Generator, Request, request};

for_each_master!(events_are_those_of_a_real_replica);

const CLASSES: [&str; 2] = ["--notify-keyspace-events", "KEg$lshzxetn"];

fn events_are_those_of_a_real_replica(server: &str) {
    let classes = if server == "redis-6.0" { ["--notify-keyspace-events", "KEA"] } else { CLASSES };
    let Some(trio) = Trio::start(server, &classes) else { return };
    let rng = chance::seeded("events_are_those_of_a_real_replica");
    let commands = chance::size("REMORA_TEST_EVENTS", 6000);
    let mut generator = Generator::new(rng, Features::of(server));
    let [mut real, mut ours] = trio.connect(2);
    for client in [&mut real, &mut ours] {
        conversation(client, "PSUBSCRIBE __key*__:*");
        conversation(client, "SUBSCRIBE mark");
    }
    let mut master = trio.master.client();
    let mut heard = 0;
    for _ in 0..commands.div_ceil(1000) {
        let mut requests: Vec<Request> = Vec::new();
        while requests.len() < 1000 {
            let first = requests.len();
            generator.step(&mut requests);
            let shown: Vec<String> = requests[first].iter().map(|word| shown(word)).collect();
            requests.insert(first, request!["PUBLISH", "mark", shown.join(" ")]);
        }
        requests.push(request!["PUBLISH", "mark", "end"]);
        master.pipeline(&requests);
        let [expected, got] = [&mut real, &mut ours].map(events);
        heard += expected.len();
        if let Some(at) = (0..expected.len().max(got.len())).find(|at| expected.get(*at) != got.get(*at)) {
            let around = |events: &[String]| {
                let from = events[..at.min(events.len())].iter().rposition(|event| event.contains(" mark "));
                events
                    .iter()
                    .skip(from.unwrap_or(0))
                    .take(14)
                    .map(|event| format!("  {event}\n"))
                    .collect::<String>()
            };
            panic!("{server}: event {at} differs\nreal\n{}ours\n{}", around(&expected), around(&got));
        }
    }
    assert!(heard > commands, "{server}: only {heard} events");
}

fn shown(word: &[u8]) -> String {
    word.get(..30).unwrap_or(word).escape_ascii().to_string()
}

/// The messages up to the end mark, a line each.
fn events(client: &mut Client) -> Vec<String> {
    let mut events = Vec::new();
    loop {
        let Value::Array(words) = client.reply() else { panic!("no message") };
        if words.last().is_some_and(|word| word.text_is("end")) {
            return events;
        }
        events.push(words.iter().map(|word| shown(word.bytes())).collect::<Vec<_>>().join(" "));
    }
}

#[test]
fn a_key_that_a_client_misses_is_told_of() {
    let Some(trio) = Trio::start("redis-8.0", &["--notify-keyspace-events", "KEm"]) else { return };
    trio.master.client().must("SET there 1");
    trio.settle();
    let heard = [trio.real.port, trio.ours.port].map(|port| {
        let (mut listener, mut client) = (Client::connect(port), Client::connect(port));
        conversation(&mut listener, "PSUBSCRIBE *");
        for line in
            ["GET no", "GET there", "MGET a there b", "EXISTS c", "TTL d", "TYPE e", "LLEN f", "SINTER g h"]
        {
            client.must(line);
        }
        client.must("EVAL \"redis.call('get', 'j') return redis.call('mget', 'there', 'k')\" 0");
        // These ask without a word.
        ["OBJECT ENCODING l", "OBJECT IDLETIME m", "MEMORY USAGE n"]
            .iter()
            .for_each(|line| drop(client.call(line)));
        client.must("SELECT 2");
        client.must("HGETALL i");
        client.must("PUBLISH x end");
        events(&mut listener)
    });
    assert_eq!(heard[1], heard[0]);
}

#[test]
fn only_the_classes_and_forms_that_are_wanted_are_told() {
    let Some(trio) = Trio::start("redis-8.0", &[]) else { return };
    let [mut real, mut ours] = trio.connect(3);
    let mut master = trio.master.client();
    for client in [&mut real, &mut ours] {
        conversation(client, "PSUBSCRIBE *");
    }
    for classes in ["", "K$", "E$", "KEg", "Kl", "Knz", "EA"] {
        let [mut a, mut b] = trio.connect(2);
        for client in [&mut a, &mut b] {
            client.must(&format!("CONFIG SET notify-keyspace-events \"{classes}\""));
        }
        for line in
            ["SELECT 3", "SET a v EX 100", "RPUSH l 1 2", "ZADD z 1 m", "LPOP l 2", "RENAME a b", "DEL b z"]
        {
            master.must(line);
        }
        master.must("PUBLISH x end");
        let [expected, got] = [&mut real, &mut ours].map(|client| {
            let mut all = Vec::new();
            loop {
                let message = client.reply();
                if message.items().last().is_some_and(|word| word.text_is("end")) {
                    return all;
                }
                all.push(format!("{message:?}"));
            }
        });
        assert_eq!(got, expected, "{classes:?}");
    }
}
