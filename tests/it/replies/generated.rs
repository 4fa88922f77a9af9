//! Requests made by chance from the real servers' own syntax, well formed and spoilt, for every read row and for the
//! session rows whose answers are determined.

use super::grammar::{self, Maker, Syntax};
use super::lexicon::Lexicon;
use super::reasons::{self, Case};
use super::report::Report;
use super::{REAL_REPLICAS_CHANGE, Servers, Sides};
use crate::support::chance::{seeded, size};
use crate::support::client::{Value, encode_into};
use remora::command::row::{Row, Run};
use remora::command::table;
use std::collections::BTreeMap;

/// Requests of each row in each protocol; `REMORA_TEST_REQUESTS` makes it more.
const REQUESTS: usize = 120;
/// Reads of Redis' module of vector sets.
const VECTOR_SETS: [&str; 9] =
    ["vcard", "vdim", "vemb", "vgetattr", "vinfo", "vismember", "vlinks", "vrandmember", "vsim"];
/// Requests under way at once.
const PIPELINED: usize = 40;

#[test]
fn redis_8_0() {
    read_rows_answer_generated_requests_as_a_real_replica("redis-8.0");
}

#[test]
fn valkey_9_1() {
    read_rows_answer_generated_requests_as_a_real_replica("valkey-9.1");
}

fn is_read(row: &Row) -> bool {
    matches!(row.run, Run::Read(_) | Run::Wait(_) | Run::Walk(_))
}

fn read_rows_answer_generated_requests_as_a_real_replica(server: &str) {
    let Some(servers) = Servers::start(server) else { return };
    let syntaxes = grammar::ask(&mut servers.replica.client());
    let lexicon = Lexicon::of(&mut servers.replica.client());
    let mut random = seeded("replies::generated");
    let mut report = Report::default();
    let mut sides = servers.sides();
    let (last, first): (Vec<&Row>, Vec<&Row>) =
        table::rows().filter(|row| is_read(row)).partition(|row| REAL_REPLICAS_CHANGE.contains(&row.name));
    for row in first.into_iter().chain(last) {
        let Some(requests) = requests(row.name, &syntaxes, &lexicon, &mut random) else {
            // The module of vector sets, which are not kept here, documents nothing: its rows' samples must do.
            let known = servers.replica.client().command(&["COMMAND", "INFO", &row.name.replace(' ', "|")]);
            let is_here = known.items() != [Value::Null];
            assert!(!is_here || VECTOR_SETS.contains(&row.name), "{} of {server} is not compared", row.name);
            continue;
        };
        assert!(!row.samples.is_empty(), "{} has no samples", row.name);
        for protocol in [0, 1] {
            sides.compare_all(row.name, &requests, protocol, &mut report);
        }
        assert!(report.compared(row.name) > 0, "{} was not compared", row.name);
    }
    report.conclude(&format!("generated requests, remora against a replica of {server}"));
}

/// Requests of a command, or `None` if this server does not know it.
fn requests(
    command: &str,
    syntaxes: &BTreeMap<String, Syntax>,
    lexicon: &Lexicon,
    random: &mut fastrand::Rng,
) -> Option<Vec<Vec<Vec<u8>>>> {
    let syntax = syntaxes.get(command)?;
    let mut maker = Maker::new(random, lexicon);
    let wanted = size("REMORA_TEST_REQUESTS", REQUESTS);
    // Without arguments there is little to vary, and PFSELFTEST alone takes half a second.
    let wanted = if syntax.has_arguments() { wanted } else { wanted.min(4) };
    Some((0..wanted).map(|_| tamed(command, maker.request(command, syntax))).collect())
}

/// The same request, if it would make a real server busy for ever: samples of billions, waits without an end.
fn tamed(command: &str, mut request: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let integer = |word: &[u8]| std::str::from_utf8(word).ok()?.parse::<i64>().ok();
    match command {
        "srandmember" | "hrandfield" | "zrandmember" => {
            for word in request.iter_mut().filter(|word| integer(word).is_some_and(|n| n < -1000 && n > i64::MIN))
            {
                *word = i64::MIN.to_string().into_bytes();
            }
        }
        "xread" => {
            for at in 1..request.len() {
                let blocks = request[at - 1].eq_ignore_ascii_case(b"block");
                if blocks && integer(&request[at]).is_some_and(|n| (0..i64::MAX).contains(&n)) {
                    request[at] = b"1".to_vec();
                }
            }
        }
        _ => {}
    }
    request
}

impl Sides<'_> {
    /// Asks both for all of the requests, and reports how the replies compare.
    pub(super) fn compare_all(
        &mut self,
        command: &str,
        requests: &[Vec<Vec<u8>>],
        protocol: usize,
        report: &mut Report,
    ) {
        for some in requests.chunks(PIPELINED) {
            let mut bytes = Vec::new();
            some.iter().for_each(|request| encode_into(&mut bytes, request));
            let sides = [("the real replica", &mut self.real[protocol]), ("remora", &mut self.ours[protocol])];
            let [expected, found] = sides.map(|(side, client)| {
                client.send_raw(&bytes);
                let answer = |request: &Vec<Vec<u8>>| {
                    let _asked = Asked { side, request };
                    client.raw_reply()
                };
                some.iter().map(answer).collect::<Vec<_>>()
            });
            for ((request, expected), found) in some.iter().zip(&expected).zip(&found) {
                match self.compare(command, request, protocol, [expected, found]) {
                    Ok(()) => report.agrees(command),
                    Err(difference) => {
                        let server = self.server;
                        let case = Case { server, request, real: expected, ours: found };
                        if reasons::excused(&case) {
                            report.excused(command);
                        } else {
                            report.differs(command, told(request, protocol, &difference));
                        }
                    }
                }
            }
        }
    }
}

/// A request whose reply is waited for: says who was asked what if none comes.
struct Asked<'a> {
    side: &'a str,
    request: &'a [Vec<u8>],
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let words: Vec<String> = self.request.iter().map(|word| word.escape_ascii().to_string()).collect();
            eprintln!("no reply of {} to {words:?}", self.side);
        }
    }
}

fn told(request: &[Vec<u8>], protocol: usize, difference: &str) -> String {
    let words: Vec<String> = request.iter().map(|word| format!("\"{}\"", word.escape_ascii())).collect();
    format!("RESP{} {}\n{difference}", protocol + 2, words.join(" "))
}
