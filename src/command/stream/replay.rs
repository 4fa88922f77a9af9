//! Replays what real servers did with streams and compares every DUMP and every reply.
//!
//! `tests/data/streams/*.rec` were recorded by writing random commands to a real server with small nodes. Lines:
//! `server name node-bytes node-entries`, then `> write`, `! write that the server refused`, `= DUMP of x in hex
//! without its footer`, and `? read` followed by `: reply` with spaces for line ends.

use crate::clock::UnixMs;
use crate::command::testing::Bench;
use crate::config::Encodings;
use crate::dataset::stream::Stream;
use crate::dataset::{Dialect, EncodingLimits, Value, ValueRef};
use crate::rdb::object::stream::{load, save};
use crate::rdb::source::Source;
use std::path::Path;

#[test]
fn every_record_of_a_real_server_replays_to_the_same_bytes_and_replies() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/streams");
    let mut records = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        records += 1;
        replay(&path.display().to_string(), &text);
    }
    assert!(records >= 5, "a record of each server");
}

fn replay(name: &str, text: &str) {
    let mut bench = Bench::new();
    let mut asked = String::new();
    for (number, line) in text.lines().enumerate() {
        let at = format!("{name}:{}", number + 1);
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "server" => bench.data.limits = limits(rest),
            ">" => bench.apply(rest).unwrap_or_else(|why| panic!("{at}: {rest}: {why}")),
            "!" => assert!(bench.apply(rest).is_err(), "{at}: {rest}: not refused"),
            "=" => compare(&bench, &unhex(rest), &at),
            "?" => asked = bench.ask(rest),
            ":" => assert_eq!(asked.trim_end(), rest, "{at}"),
            _ => {}
        }
    }
}

fn limits(words: &str) -> EncodingLimits {
    let mut words = words.split(' ');
    let dialect = match words.next().unwrap() {
        "redis-6.0" => Dialect::Redis(6, 0),
        "redis-7.0" => Dialect::Redis(7, 0),
        "redis-8.0" => Dialect::Redis(8, 0),
        "valkey-8.1" => Dialect::Valkey(8, 1),
        "valkey-9.1" => Dialect::Valkey(9, 1),
        other => panic!("{other}"),
    };
    let mut size = || words.next().unwrap().parse().unwrap();
    let sizes = Encodings { stream_node_bytes: size(), stream_node_entries: size(), ..Encodings::default() };
    EncodingLimits { sizes, dialect }
}

fn compare(bench: &Bench, dump: &[u8], at: &str) {
    let (type_byte, body) = dump.split_first().unwrap();
    let Ok(Some(Value::Stream(theirs))) = load(&mut Source::from_slice(body), *type_byte, &bench.data.limits)
    else {
        panic!("{at}: DUMP is refused");
    };
    let mut written = Vec::new();
    assert_eq!(save(&theirs, bench.data.limits.dialect, &mut written), *type_byte, "{at}");
    assert_eq!(written, body, "{at}: DUMP does not come back as it was");
    let entry = bench.data.db(bench.db).and_then(|db| db.get(b"x")).expect("x is there");
    let ValueRef::Stream(ours) = entry.value() else { panic!("{at}: no stream") };
    let older = *type_byte == 15;
    let (ours, theirs) = (comparable(ours, older), comparable(&theirs, older));
    assert_eq!(ours.counters(), theirs.counters(), "{at}");
    assert!(
        ours.groups().eq(theirs.groups()),
        "{at}: {:#?}\n{:#?}",
        ours.groups().collect::<Vec<_>>(),
        theirs.groups().collect::<Vec<_>>()
    );
    assert!(ours == theirs, "{at}: nodes");
}

/// Without the times at which consumers asked; without the counters that a stream of redis 6.0 does not have.
fn comparable(stream: &Stream, older: bool) -> Stream {
    let mut stream = stream.clone();
    let names: Vec<Vec<u8>> = stream.groups().map(|(name, _)| name.to_vec()).collect();
    for name in names {
        let group = stream.group_mut(&name).unwrap();
        let consumers: Vec<Vec<u8>> = group.consumers().map(|(name, _)| name.to_vec()).collect();
        for consumer in consumers {
            let consumer = group.consumer_mut(&consumer).unwrap();
            (consumer.seen, consumer.active) = (UnixMs(0), None);
        }
        if older {
            group.entries_read = None;
        }
    }
    if older {
        let mut counters = stream.counters();
        counters.max_deleted_id = Default::default();
        counters.entries_added = 0;
        stream.set_counters(counters);
    }
    stream
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
