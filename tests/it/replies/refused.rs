//! Every write that a real server knows is refused as a real replica refuses it, and changes nothing: asked directly,
//! between MULTI and EXEC, and from scripts.

use super::Servers;
use super::grammar::{self, Maker};
use super::lexicon::Lexicon;
use super::report::Report;
use crate::support::chance::{seeded, size};
use crate::support::client::{Client, Value, encode_into};
use remora::command::table;
use std::collections::BTreeSet;

/// Requests of each write; `REMORA_TEST_REFUSALS` makes it more.
const REQUESTS: usize = 12;

#[test]
fn redis_8_0() {
    writes_are_refused_as_by_a_real_replica("redis-8.0");
}

#[test]
fn valkey_9_1() {
    writes_are_refused_as_by_a_real_replica("valkey-9.1");
}

/// Makes the requests of a place out of one.
type Place = fn(&[Vec<u8>]) -> Vec<Vec<Vec<u8>>>;

/// Where a client can try a write: each makes a sequence of requests of one, with as many replies.
const PLACES: [(&str, Place); 4] = [
    ("", |request| vec![request.to_vec()]),
    ("in MULTI", |request| vec![vec![b"MULTI".to_vec()], request.to_vec(), vec![b"EXEC".to_vec()]]),
    ("by call", |request| vec![in_script("return redis.call(unpack(ARGV))", request)]),
    ("by pcall", |request| vec![in_script("return redis.pcall(unpack(ARGV))", request)]),
];

fn in_script(source: &str, request: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let head = ["EVAL", source, "0"].map(|word| word.as_bytes().to_vec());
    head.into_iter().chain(request.iter().cloned()).collect()
}

fn writes_are_refused_as_by_a_real_replica(server: &str) {
    let Some(servers) = Servers::start(server) else { return };
    let mut real = servers.replica.client();
    let (syntaxes, lexicon) = (grammar::ask(&mut real), Lexicon::of(&mut real));
    let mut random = seeded("replies::refused");
    let mut report = Report::default();
    let mut ours = servers.remora.client();
    let before = ours.digest();
    let writes = writes(&mut real);
    assert!(writes.len() > 100, "writes of {server}: {writes:?}");
    for command in &writes {
        let Some(syntax) = syntaxes.get(command) else { continue };
        // Without CLUSTER there is no CLUSTER FLUSHSLOT; the table's own test says that no other write is missing.
        let name = command.split(' ').next().unwrap_or_default();
        if name == "cluster" && table::find(name.as_bytes(), None).is_none() {
            continue;
        }
        let requests: Vec<_> = {
            let mut maker = Maker::new(&mut random, &lexicon);
            (0..size("REMORA_TEST_REFUSALS", REQUESTS)).map(|_| maker.request(command, syntax)).collect()
        };
        for (place, sequence) in PLACES {
            let sequences: Vec<_> = requests.iter().map(|request| sequence(request)).collect();
            let (expected, found) = (answers(&mut real, &sequences), answers(&mut ours, &sequences));
            for ((request, expected), found) in requests.iter().zip(expected).zip(found) {
                if expected == found {
                    report.agrees(command);
                } else {
                    let words: Vec<String> = request.iter().map(|word| word.escape_ascii().to_string()).collect();
                    let told = format!("{place} {words:?}\n  real   {expected}\n  remora {found}");
                    report.differs(command, told);
                }
            }
        }
        assert!(report.compared(command) > 0, "{command} was not compared");
    }
    assert_eq!(ours.digest(), before, "nothing was written");
    report.conclude(&format!("refused writes, remora against a replica of {server}"));
}

/// The commands and subcommands that this server flags as writes.
fn writes(client: &mut Client) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut entries: Vec<Value> = client.must("COMMAND").items().to_vec();
    while let Some(entry) = entries.pop() {
        let fields = entry.items();
        if fields[2].items().iter().any(|flag| flag.text_is("write")) {
            found.insert(fields[0].text().replace('|', " "));
        }
        entries.extend(fields.get(9).map(|subcommands| subcommands.items().to_vec()).unwrap_or_default());
    }
    found
}

/// The replies to each sequence, as one text.
fn answers(client: &mut Client, sequences: &[Vec<Vec<Vec<u8>>>]) -> Vec<String> {
    let mut bytes = Vec::new();
    sequences.iter().flatten().for_each(|request| encode_into(&mut bytes, request));
    client.send_raw(&bytes);
    let mut answer = |sequence: &Vec<_>| {
        let replies: Vec<_> = sequence.iter().map(|_| client.raw_reply().escape_ascii().to_string()).collect();
        replies.join(" ")
    };
    sequences.iter().map(&mut answer).collect()
}
