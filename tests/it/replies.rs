//! Every read row's samples, asked of remora and of a real replica of the same master: the replies agree byte by
//! byte, in RESP2 and RESP3. Where the servers promise no order, the elements agree as a set.

use crate::support::client::{Client, Value, encode, words};
use crate::support::folder;
use crate::support::real::{Real, for_each_master};
use crate::support::remora::Remora;
use crate::support::wait;
use remora::command::row::{Row, Run};
use remora::command::table;
use std::time::Duration;

for_each_master!(read_rows_answer_as_a_real_replica_of_the_same_master);

/// How two replies to a sample are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Agree {
    /// Byte by byte.
    Exactly,
    /// The same elements in any order.
    AsSet,
    /// The same pairs in any order.
    AsPairs,
    /// Whatever comes, in the same form and number: chance or the server's own clock decides.
    InForm,
    /// Numbers that run with the clock.
    Nearly,
    /// The whole iteration, as a set; the cursor is this argument.
    Iterated(usize),
    /// A payload: put back on the master, it has the digest of the original.
    Restored,
}

fn agreement(row: &str) -> Agree {
    match row {
        "keys" | "smembers" | "sinter" | "sunion" | "sdiff" | "hkeys" | "hvals" => Agree::AsSet,
        "hgetall" => Agree::AsPairs,
        "randomkey" | "srandmember" | "hrandfield" | "zrandmember" | "object idletime" | "object freq" => {
            Agree::InForm
        }
        "ttl" | "pttl" | "httl" | "hpttl" => Agree::Nearly,
        "scan" => Agree::Iterated(1),
        "hscan" | "sscan" | "zscan" => Agree::Iterated(2),
        "dump" => Agree::Restored,
        _ => Agree::Exactly,
    }
}

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
    let Some(master) = Real::start(server, &["--repl-ping-replica-period 1"]) else { return };
    fill(&master);
    let followed = format!("--replicaof 127.0.0.1 {}", master.port);
    let Some(replica) = Real::start(server, &[&followed]) else { return };
    let remora = Remora::follow(master.port, &[]);
    let offset = remora.wait_caught_up(&mut master.client());
    wait::until("the real replica has caught up", Duration::from_secs(60), || {
        let info = replica.client().info("replication");
        info["master_link_status"] == "up" && info["slave_repl_offset"].parse().is_ok_and(|own: i64| own >= offset)
    });

    let connect = |port| [Client::connect(port), Client::connect_resp3(port)];
    let mut sides =
        Sides { server, real: connect(replica.port), ours: connect(remora.port), master: master.client() };
    let mut wrong = Vec::new();
    let mut asked = 0;
    let (last, first): (Vec<&Row>, Vec<&Row>) =
        table::rows().filter(|row| compared(row)).partition(|row| REAL_REPLICAS_CHANGE.contains(&row.name));
    for row in first.into_iter().chain(last) {
        for sample in row.samples {
            for protocol in [0, 1] {
                asked += 1;
                if let Err(difference) = sides.compare(row, sample, protocol) {
                    wrong.push(format!("RESP{} {sample}\n{difference}", protocol + 2));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{server}: {} of {asked} replies differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(asked > 200, "only {asked} samples");
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
    fn compare(&mut self, row: &Row, sample: &str, protocol: usize) -> Result<(), String> {
        let request = words(sample);
        let (real, ours) = (&mut self.real[protocol], &mut self.ours[protocol]);
        let expected = ask(real, &request);
        if expected.to_ascii_lowercase().starts_with(b"-err unknown") {
            return Ok(());
        }
        if self.server == "redis-6.0" && (LEFT_BEHIND_BY_6.contains(&row.name) || expected.starts_with(b"-")) {
            return Ok(());
        }
        let found = ask(ours, &request);
        if expected == found {
            return Ok(());
        }
        let both = (value(&expected), value(&found));
        let agree = match agreement(row.name) {
            _ if both.0.is_error() => self.same_error(&both.0, &both.1),
            Agree::Exactly => !self.is_newest() && same_but_for_age(row.name, both),
            Agree::AsSet => sorted(both.0, 1) == sorted(both.1, 1),
            Agree::AsPairs => sorted(both.0, 2) == sorted(both.1, 2),
            Agree::InForm => form(&both.0) == form(&both.1),
            Agree::Nearly => nearly(&both.0, &both.1),
            Agree::Iterated(at) => iterated(real, &request, at) == iterated(ours, &request, at),
            Agree::Restored => self.restored(&request[1], &both.1),
        };
        let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
        if agree { Ok(()) } else { Err(format!("  real   {}\n  remora {}", shown(&expected), shown(&found))) }
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
        let scratch: [&[u8]; 5] = [b"RESTORE", b"scratch:dump", b"0", payload, b"REPLACE"];
        let restored = self.master.command(&scratch);
        if restored.is_error() {
            eprintln!("RESTORE of the payload of {}: {}", key.escape_ascii(), restored.text());
            return false;
        }
        let digests = self.master.command(&[&b"DEBUG"[..], b"DIGEST-VALUE", key, b"scratch:dump"]);
        self.master.must("DEL scratch:dump");
        digests.items()[0] == digests.items()[1]
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

fn value(raw: &[u8]) -> Value {
    crate::support::client::parsed(raw)
}

/// Elements in groups of `by`, sorted.
fn sorted(value: Value, by: usize) -> Value {
    match value {
        Value::Array(items) => {
            let mut groups: Vec<Vec<Value>> = items.chunks(by).map(<[Value]>::to_vec).collect();
            groups.sort_by_key(|group| format!("{group:?}"));
            Value::Array(groups.concat())
        }
        other => other.sorted(),
    }
}

fn form(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("array of {} {}", items.len(), items.first().map(form).unwrap_or_default()),
        Value::Null => "null".into(),
        Value::Int(_) => "integer".into(),
        Value::Bulk(_) => "bulk".into(),
        Value::Double(_) => "double".into(),
        other => format!("{other:?}"),
    }
}

fn nearly(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a == b || (*a > 0 && *b > 0 && (a - b).abs() < 5000),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| nearly(a, b)),
        _ => a == b,
    }
}

/// All elements of an iteration from its beginning, each as often as one likes, as a set.
fn iterated(client: &mut Client, request: &[Vec<u8>], cursor_at: usize) -> std::collections::BTreeSet<String> {
    let mut found = std::collections::BTreeSet::new();
    let mut request = request.to_vec();
    request[cursor_at] = b"0".to_vec();
    let pairs = matches!(request[0].to_ascii_lowercase().as_slice(), b"hscan" | b"zscan")
        && !request.iter().any(|word| word.eq_ignore_ascii_case(b"novalues"));
    loop {
        let reply = client.command(&request);
        let [cursor, items] = reply.items() else { panic!("{reply:?}") };
        found.extend(items.items().chunks(if pairs { 2 } else { 1 }).map(|group| format!("{group:?}")));
        request[cursor_at] = cursor.bytes().to_vec();
        if request[cursor_at] == b"0" {
            return found;
        }
    }
}
