//! Requests about the connection and the server (`tests/data/session.txt`), where the answer is determined.

use super::agree::sorted;
use super::reasons::{self, Case};
use super::report::Report;
use super::{Servers, ask};
use crate::support::client::{Client, parsed, words};
use crate::support::folder;

#[test]
fn redis_8_0() {
    session_rows_answer_as_a_real_replica("redis-8.0");
}

#[test]
fn valkey_9_1() {
    session_rows_answer_as_a_real_replica("valkey-9.1");
}

fn session_rows_answer_as_a_real_replica(server: &str) {
    let Some(servers) = Servers::start(server) else { return };
    let text = std::fs::read_to_string(folder::data("session.txt")).expect("tests/data/session.txt");
    let mut report = Report::default();
    for protocol in [2, 3] {
        let connect = |port| if protocol == 2 { Client::connect(port) } else { Client::connect_resp3(port) };
        for block in text.split("\n\n") {
            let (mut real, mut ours) = (connect(servers.replica.port), connect(servers.remora.port));
            for line in block.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
                let request = words(line);
                let (expected, found) = (ask(&mut real, &request), ask(&mut ours, &request));
                let command = String::from_utf8_lossy(&request[0]).to_ascii_lowercase();
                let command = command.as_str();
                let case = Case { server, request: &request, real: &expected, ours: &found };
                if expected == found || in_any_order(line) && sorted_reply(&expected) == sorted_reply(&found) {
                    report.agrees(command);
                } else if reasons::excused(&case) {
                    report.excused(command);
                } else {
                    let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
                    let (real, ours) = (shown(&expected), shown(&found));
                    report.differs(command, format!("RESP{protocol} {line}\n  real   {real}\n  remora {ours}"));
                }
            }
        }
    }
    report.conclude(&format!("session rows, remora against a replica of {server}"));
}

/// Lists of names come in the order of a hash table.
fn in_any_order(line: &str) -> bool {
    ["COMMAND LIST", "ACL CAT", "CONFIG GET"].iter().any(|start| line.starts_with(start))
}

fn sorted_reply(raw: &[u8]) -> String {
    format!("{:?}", sorted(parsed(raw).sorted(), if raw.starts_with(b"%") { 2 } else { 1 }))
}
