//! What clients hear under a random workload of all write families: messages, keyspace events and invalidations, in each
//! mode of tracking, byte by byte and in the same order as at a real replica of the same master.
//!
//! Nothing expires meanwhile: what a key's end makes others hear, and when, differs on purpose (see `tracking`).
//! `REMORA_TEST_STEPS` makes it longer, `REMORA_TEST_SEED` repeats it.

use super::pubsub::Trio;
use super::support::chance;
use super::support::client::{Client, Value, encode, parsed};
use super::workload::generate::{Features, Generator, Request, request};

#[test]
fn clients_hear_what_those_of_a_real_replica_hear_redis() {
    clients_hear_what_those_of_a_real_replica_hear("redis-8.0");
}

#[test]
fn clients_hear_what_those_of_a_real_replica_hear_valkey() {
    clients_hear_what_those_of_a_real_replica_hear("valkey-9.1");
}

/// How a client listens.
struct Mode {
    /// The protocol of who hears.
    hears: usize,
    /// The protocol of the client that reads and redirects what it would hear; `None`: who hears reads.
    redirects: Option<usize>,
    /// CLIENT TRACKING ON with these words; `None`: messages and events only.
    tracking: Option<&'static str>,
}

const fn mode(hears: usize, redirects: Option<usize>, tracking: Option<&'static str>) -> Mode {
    Mode { hears, redirects, tracking }
}

const MODES: [Mode; 13] = [
    mode(2, None, None),
    mode(3, None, None),
    mode(3, None, Some("")),
    mode(3, None, Some("NOLOOP")),
    mode(3, None, Some("OPTIN")),
    mode(3, None, Some("OPTOUT")),
    mode(3, None, Some("BCAST")),
    mode(3, None, Some("BCAST NOLOOP PREFIX s: PREFIX h:1 PREFIX set:")),
    mode(2, Some(2), Some("")),
    mode(2, Some(3), Some("OPTIN")),
    mode(3, Some(2), Some("OPTOUT NOLOOP")),
    mode(2, Some(2), Some("BCAST")),
    mode(2, Some(3), Some("BCAST PREFIX l: PREFIX z: PREFIX x:2")),
];

/// The same client at a real replica and at remora.
struct Ear {
    mode: &'static Mode,
    hears: [Client; 2],
    /// Who reads, if it is another.
    reads: Option<[Client; 2]>,
    /// What was read, for the story of a difference.
    asked: Vec<String>,
}

impl Ear {
    fn new(trio: &Trio, mode: &'static Mode) -> Self {
        let mut hears = trio.connect(mode.hears);
        let ids = hears.each_mut().map(|client| client.must("CLIENT ID").int());
        let mut reads = mode.redirects.map(|proto| trio.connect(proto));
        if let Some(words) = mode.tracking {
            for (client, id) in reads.as_mut().unwrap_or(&mut hears).iter_mut().zip(ids) {
                let redirect = if mode.redirects.is_some() { format!("REDIRECT {id}") } else { String::new() };
                client.must(&format!("CLIENT TRACKING ON {redirect} {words}"));
            }
        }
        let ear = Self { mode, hears, reads, asked: Vec::new() };
        ear.subscribed()
    }

    /// To the marks, which part the steps, to one channel, and to patterns: one of them all keyspace events.
    fn subscribed(mut self) -> Self {
        for client in &mut self.hears {
            for line in
                ["SUBSCRIBE mark", "SUBSCRIBE news", "PSUBSCRIBE __key*__:*", "PSUBSCRIBE n*s", "SSUBSCRIBE shard"]
            {
                client.must(line);
            }
            if self.mode.hears == 2 && self.mode.redirects.is_some() {
                client.must("SUBSCRIBE __redis__:invalidate");
            }
        }
        self
    }

    fn reads(&mut self) -> &mut [Client; 2] {
        self.reads.as_mut().unwrap_or(&mut self.hears)
    }

    fn may_read(&self) -> bool {
        self.mode.hears == 3 || self.reads.is_some()
    }

    fn says(&self, word: &str) -> bool {
        self.mode.tracking.is_some_and(|words| words.contains(word))
    }

    /// Asks the same of both replicas, and compares the replies.
    fn ask(&mut self, requests: &[Request]) {
        let bytes: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
        // While nothing is written nobody hears anything.
        let reply = |client: &mut Client| {
            let raw = client.raw_reply().escape_ascii().to_string();
            assert!(!raw.starts_with('>'), "{raw} at {:?}", shown(requests));
            raw
        };
        let replies = self.reads().each_mut().map(|client| {
            client.send_raw(&bytes);
            requests.iter().map(|_| reply(client)).collect::<Vec<_>>()
        });
        assert_eq!(replies[1], replies[0], "{}", shown(requests));
        self.asked.push(shown(requests));
    }

    /// What both have heard up to the mark of this number, each message as it came.
    fn heard(&mut self, mark: &str) -> [Vec<Vec<u8>>; 2] {
        self.hears.each_mut().map(|client| {
            let mut all = Vec::new();
            loop {
                let raw = client.raw_reply();
                let message = parsed(&raw);
                let words = message.items();
                match words {
                    [_, channel, text] if channel.text_is("mark") && text.text_is(mark) => return all,
                    _ => all.push(raw),
                }
            }
        })
    }
}

fn clients_hear_what_those_of_a_real_replica_hear(server: &str) {
    let Some(trio) = Trio::start(server, &["--notify-keyspace-events", "KEA"]) else { return };
    let mut chance = chance::seeded("clients_hear_what_those_of_a_real_replica_hear");
    let steps = chance::size("REMORA_TEST_STEPS", 300);
    let has = Features { expires_soon: false, ..Features::of(server) };
    let mut writes = Generator::new(chance.fork(), has);
    let mut reads = Generator::new(chance.fork(), has);
    let mut master = trio.master.client();
    let mut ears: Vec<Ear> = MODES.iter().map(|mode| Ear::new(&trio, mode)).collect();
    let mut heard = [0; MODES.len()];
    for step in 0..steps {
        for ear in ears.iter_mut().filter(|ear| ear.may_read()) {
            let requests = some_reads(&mut reads, ear);
            ear.ask(&requests);
        }
        let mut requests = Vec::new();
        // How many keys one message of a broadcast holds depends on what arrived together, so mostly one step is alone.
        let alone = chance.u8(..8) > 0;
        for _ in 0..if alone { 1 } else { 30 } {
            match chance.u8(..12) {
                0 | 1 => requests.push(request![
                    "PUBLISH",
                    chance.choice(["news", "nobodys"]).expect("one"),
                    writes.value()
                ]),
                2 => requests.push(request!["SPUBLISH", "shard", writes.value()]),
                _ => writes.step(&mut requests),
            }
        }
        master.pipeline(&requests);
        let [first, second] = ["a", "b"].map(|half| format!("{step}{half}"));
        // What is told at the end of a batch may come behind the first mark.
        master.must(&format!("PUBLISH mark {first}"));
        let mut all: Vec<_> = ears.iter_mut().map(|ear| ear.heard(&first)).collect();
        master.must(&format!("PUBLISH mark {second}"));
        for ((ear, all), count) in ears.iter_mut().zip(&mut all).zip(&mut heard) {
            for (all, rest) in all.iter_mut().zip(ear.heard(&second)) {
                all.extend(rest);
            }
            let [real, ours] = all.each_mut().map(|messages| told(messages, !alone && ear.says("BCAST")));
            *count += real.iter().filter(|line| line.contains("invalidate")).count();
            let at = (0..real.len().max(ours.len())).find(|at| real.get(*at) != ours.get(*at));
            if let Some(at) = at {
                panic!(
                    "{server} step {step}, RESP{} redirected {:?}, tracking {:?}: message {at} differs\nreal\n{}remora\n{}\
                     read\n{}written\n{}",
                    ear.mode.hears,
                    ear.mode.redirects,
                    ear.mode.tracking,
                    around(&real, at),
                    around(&ours, at),
                    ear.asked.iter().rev().take(30).rev().cloned().collect::<String>(),
                    shown(&requests)
                );
            }
        }
    }
    for (mode, heard) in MODES.iter().zip(heard) {
        let least = if mode.tracking.is_some() { steps / 20 } else { 0 };
        assert!(heard >= least, "{server} {:?}: only {heard} invalidations", mode.tracking);
    }
}

/// The messages as lines. If broadcasts are `apart`, their keys come sorted behind everything else.
fn told(messages: &[Vec<u8>], apart: bool) -> Vec<String> {
    let (mut lines, mut keys) = (Vec::new(), Vec::new());
    for raw in messages {
        let message = parsed(raw);
        match message.items() {
            [kind, .., Value::Array(of)] if apart && (kind.text_is("invalidate") || kind.text_is("message")) => {
                keys.extend(of.iter().map(|key| format!("invalidate {}", key.bytes().escape_ascii())));
            }
            _ => lines.push(raw.escape_ascii().to_string()),
        }
    }
    keys.sort();
    keys.dedup();
    lines.extend(keys);
    lines
}

fn around(lines: &[String], at: usize) -> String {
    let line = |line: &String| format!("  {}\n", line.get(..200).unwrap_or(line));
    lines.iter().skip(at.saturating_sub(2)).take(8).map(line).collect()
}

fn shown(requests: &[Request]) -> String {
    let word = |word: &Vec<u8>| word.get(..60).unwrap_or(word).escape_ascii().to_string();
    let line = |request: &Request| request.iter().map(word).collect::<Vec<_>>().join(" ") + "\n";
    requests.iter().map(line).collect()
}

/// Some reads of a client, at times in a transaction or a script, in another database, or chosen by CLIENT CACHING.
fn some_reads(g: &mut Generator, ear: &Ear) -> Vec<Request> {
    let mut requests = Vec::new();
    for _ in 0..g.rng.usize(..4) {
        let chosen = if ear.says("OPTIN") { Some("YES") } else { Some("NO").filter(|_| ear.says("OPTOUT")) };
        if let Some(answer) = chosen.filter(|_| g.chance(60)) {
            requests.push(request!["CLIENT", "CACHING", answer]);
        }
        match g.rng.u32(..20) {
            0 => requests.push(request!["SELECT", g.pick(&[0, 0, 0, 1, 2, 9])]),
            1 | 2 => {
                requests.push(request!["MULTI"]);
                for _ in 0..g.rng.usize(1..4) {
                    requests.push(read(g));
                }
                requests.push(request!["EXEC"]);
            }
            3 if g.has.seven => requests.push(request![
                "EVAL_RO",
                "return {redis.call('TYPE', KEYS[1]).ok, redis.call('EXISTS', KEYS[2], 'n:1')}",
                "2",
                g.key("s"),
                g.key("h")
            ]),
            _ => requests.push(read(g)),
        }
    }
    requests
}

/// A read whose reply has an order, of keys that may be missing or of another type.
fn read(g: &mut Generator) -> Request {
    let family = g.pick(&["s", "s", "n", "b", "h", "l", "set", "z", "x"]);
    let key = g.key(family);
    match (g.rng.u32(..4), family) {
        (0, _) => request!["TYPE", key],
        (1, _) => request!["EXISTS", key, g.key("s"), g.key("h")],
        (2, "s" | "n") => request!["MGET", key, g.key("s"), g.key("s")],
        (2, "h") => request!["HMGET", key, g.member(), g.member()],
        (2, "set") => request!["SINTERCARD", "2", key, g.key("set")],
        (2, "x") => request!["XREAD", "COUNT", "1", "STREAMS", key, g.key("x"), "0", "0"],
        (2, _) => request!["TOUCH", key, g.key("l")],
        (_, "s" | "n") => request!["GET", key],
        (_, "b") => request!["BITCOUNT", key],
        (_, "h") => request!["HLEN", key],
        (_, "l") => request!["LRANGE", key, "0", "3"],
        (_, "set") => request!["SISMEMBER", key, g.member()],
        (_, "z") => request!["ZRANGE", key, "0", "3", "WITHSCORES"],
        _ => request!["XLEN", key],
    }
}
