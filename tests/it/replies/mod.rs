//! Requests of clients, asked of remora and of a real replica of the same master: the replies agree byte by byte, in
//! RESP2 and RESP3. Where the servers promise no order, the elements agree as a set; where chance picks, in what is
//! determined (`agree`, `undetermined`).
//!
//! `mod` asks the samples of the rows, of all five masters. `generated` asks what is made from the real servers' own
//! syntax, `refused` every write in all the places where a client can try it.

mod agree;
mod generated;
mod grammar;
mod lexicon;
mod reasons;
mod refused;
mod report;
mod sessions;
mod undetermined;

use crate::support::client::{Client, Value, encode, parsed as value, words};
use crate::support::folder;
use crate::support::real::{Real, for_each_master};
use crate::support::remora::Remora;
use crate::support::wait;
use agree::{Agree, agreement, form, is_part_of, iterated, nearly, sorted};
use remora::command::row::{Row, Run};
use remora::command::table;
use std::time::Duration;

for_each_master!(read_rows_answer_as_a_real_replica_of_the_same_master);

/// Reads with which a real replica changes how it holds a value: a HyperLogLog's cached count, a sorted set's encoding.
/// They come last.
const REAL_REPLICAS_CHANGE: [&str; 3] = ["pfcount", "sort", "sort_ro"];

/// Session rows whose samples say something about the one server: not compared.
const OWN: [&str; 8] = ["info", "time", "lolwut", "hello", "config", "command", "client", "role"];

/// What Redis 6.0 answers in a shape that all later servers have left: shorter maps of XINFO, other flags of SRANDMEMBER
/// and XGROUP, last digits of distances by another libm. Remora answers as the later ones do.
const LEFT_BEHIND_BY_6: [&str; 9] = [
    "xinfo stream",
    "xinfo groups",
    "xinfo consumers",
    "xpending",
    "xgroup help",
    "srandmember",
    "geodist",
    "georadius_ro",
    "georadiusbymember_ro",
];

fn compared(row: &Row) -> bool {
    match row.run {
        Run::Read(_) | Run::Wait(_) => true,
        Run::Session(_) => !OWN.contains(&row.name.split(' ').next().unwrap_or_default()),
        _ => false,
    }
}

fn read_rows_answer_as_a_real_replica_of_the_same_master(server: &str) {
    let Some(servers) = Servers::start(server) else { return };
    let mut sides = servers.sides();
    let mut wrong = Vec::new();
    let mut asked = 0;
    let (last, first): (Vec<&Row>, Vec<&Row>) =
        table::rows().filter(|row| compared(row)).partition(|row| REAL_REPLICAS_CHANGE.contains(&row.name));
    for row in first.into_iter().chain(last) {
        for sample in row.samples {
            for protocol in [0, 1] {
                asked += 1;
                if let Err(difference) = sides.ask_both(row, sample, protocol) {
                    wrong.push(format!("RESP{} {sample}\n{difference}", protocol + 2));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{server}: {} of {asked} replies differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(asked > 200, "only {asked} samples");
}

/// A master with the data of `sample.txt`, a real replica of it, and remora.
struct Servers {
    master: Real,
    replica: Real,
    remora: Remora,
}

impl Servers {
    /// All three, with the same data; `None` if the peer is not here.
    fn start(name: &str) -> Option<Self> {
        let master = Real::start(name, &["--repl-ping-replica-period 1"])?;
        fill(&master);
        let replica = Real::start(name, &[&format!("--replicaof 127.0.0.1 {}", master.port)])?;
        let remora = Remora::follow(master.port, &[]);
        let offset = remora.wait_caught_up(&mut master.client());
        wait::until("the real replica has caught up", Duration::from_secs(60), || {
            let info = replica.client().info("replication");
            info["master_link_status"] == "up"
                && info["slave_repl_offset"].parse().is_ok_and(|own: i64| own >= offset)
        });
        Some(Self { master, replica, remora })
    }

    /// New connections to all.
    fn sides(&self) -> Sides<'_> {
        let connect = |port| [Client::connect(port), Client::connect_resp3(port)];
        let (real, ours) = (connect(self.replica.port), connect(self.remora.port));
        Sides { server: &self.master.name, real, ours, master: self.master.client() }
    }
}

/// The dataset that the samples ask about. Commands that this server does not know are left out.
fn fill(master: &Real) {
    let text = std::fs::read_to_string(folder::data("sample.txt")).expect("tests/data/sample.txt");
    let mut client = master.client();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let reply = client.call(line);
        // What needs a line that an old server did not take fails there too: a group made with ENTRIESREAD.
        let lacking = ["nknown", "syntax", "nsupported", "NOGROUP"];
        let known = !reply.is_error() || lacking.iter().any(|word| reply.text().contains(word));
        assert!(known, "{}: {line}: {reply:?}", master.name);
    }
    client.must("SELECT 0");
}

struct Sides<'a> {
    server: &'a str,
    /// Connections in RESP2 and RESP3.
    real: [Client; 2],
    ours: [Client; 2],
    master: Client,
}

impl Sides<'_> {
    /// Asks both for a sample.
    fn ask_both(&mut self, row: &Row, sample: &str, protocol: usize) -> Result<(), String> {
        let request = words(sample);
        let expected = ask(&mut self.real[protocol], &request);
        if expected.to_ascii_lowercase().starts_with(b"-err unknown") {
            return Ok(());
        }
        if self.server == "redis-6.0" && (LEFT_BEHIND_BY_6.contains(&row.name) || expected.starts_with(b"-")) {
            return Ok(());
        }
        let found = ask(&mut self.ours[protocol], &request);
        self.compare(row.name, &request, protocol, [&expected, &found])
    }

    /// Compares two replies to a request of this row.
    fn compare(
        &mut self,
        row: &str,
        request: &[Vec<u8>],
        protocol: usize,
        [expected, found]: [&[u8]; 2],
    ) -> Result<(), String> {
        if expected == found {
            return Ok(());
        }
        let both = (value(expected), value(found));
        let agree = match agreement(row) {
            _ if both.0.is_error() => self.same_error(&both.0, &both.1),
            Agree::Exactly => {
                let left_to_chance = self.is_left_to_chance(request, protocol, (&both.0, &both.1));
                left_to_chance || !self.is_newest() && same_but_for_age(row, both)
            }
            Agree::AsSet => sorted(both.0, 1) == sorted(both.1, 1),
            Agree::AsPairs => sorted(both.0, 2) == sorted(both.1, 2),
            Agree::InForm => form(&both.0) == form(&both.1),
            Agree::Picked => form(&both.0) == form(&both.1) && self.is_of_key(&request[1], protocol, &both.1),
            Agree::Nearly => nearly(&both.0, &both.1),
            Agree::Iterated(at) => {
                let [real, ours] = [&mut self.real[protocol], &mut self.ours[protocol]];
                !both.1.is_error() && iterated(real, request, at) == iterated(ours, request, at)
            }
            Agree::Restored => self.restored(&request[1], &both.1),
        };
        let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
        if agree { Ok(()) } else { Err(format!("  real   {}\n  remora {}", shown(expected), shown(found))) }
    }

    /// Is all of a reply in the collection at this key?
    fn is_of_key(&mut self, key: &[u8], protocol: usize, picked: &Value) -> bool {
        let client = &mut self.real[protocol];
        let whole = match client.command(&[&b"TYPE"[..], key]).text().as_str() {
            "set" => client.command(&[&b"SMEMBERS"[..], key]),
            "hash" => client.command(&[&b"HGETALL"[..], key]),
            _ => client.command(&[&b"ZRANGE"[..], key, b"0", b"-1", b"WITHSCORES"]),
        };
        is_part_of(picked, &whole)
    }

    fn is_newest(&self) -> bool {
        matches!(self.server, "redis-8.0" | "valkey-9.1")
    }

    /// Error texts changed between releases: remora has those of the newest ones. With the others an error of the same
    /// code will do, and options that they do not know yet are not their business.
    fn same_error(&self, expected: &Value, found: &Value) -> bool {
        let code = |value: &Value| value.text().split(' ').next().unwrap_or_default().to_string();
        let newer = ["syntax error", "wrong number of arguments", "Invalid stream ID"];
        let unknown = newer.iter().any(|words| expected.text().contains(words));
        !self.is_newest() && (if found.is_error() { code(expected) == code(found) } else { unknown })
    }

    fn restored(&mut self, key: &[u8], payload: &Value) -> bool {
        let Value::Bulk(payload) = payload else { return false };
        // In a database of its own, so that nobody else's answers change.
        let digest = |master: &mut Client, key: &[u8]| master.command(&[&b"DEBUG"[..], b"DIGEST-VALUE", key]);
        let expected = digest(&mut self.master, key);
        self.master.must("SELECT 15");
        let restored = self.master.command(&[&b"RESTORE"[..], b"scratch", b"0", payload, b"REPLACE"]);
        let found = digest(&mut self.master, b"scratch");
        self.master.must("DEL scratch");
        self.master.must("SELECT 0");
        if restored.is_error() {
            eprintln!("RESTORE of the payload of {}: {}", key.escape_ascii(), restored.text());
            return false;
        }
        expected == found
    }
}

/// What is known to differ with older servers: help texts; and where SORT's locale takes two elements for equal (it stops
/// at a zero byte), their order, which there is the one of a hash table.
fn same_but_for_age(row: &str, (expected, found): (Value, Value)) -> bool {
    match row {
        "sort" | "sort_ro" => sorted(expected, 1) == sorted(found, 1),
        _ => row.ends_with(" help"),
    }
}

fn ask(client: &mut Client, request: &[Vec<u8>]) -> Vec<u8> {
    client.send_raw(&encode(request));
    client.raw_reply()
}
