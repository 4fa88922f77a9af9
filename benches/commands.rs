//! What the most used reads cost beside real servers: CPU of the server per request at pipeline depths 1 and 16.
//!
//! All are replicas of one real master (Redis 7.0, whose snapshots all of them load) with data of each type. Fifty
//! connections; the servers stand on the first core, the load on the others; remora with one worker.
//! `--only HGET` measures the commands whose name contains this.

#![allow(clippy::disallowed_methods, reason = "a bench measures time")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "common/mod.rs"]
mod common;

use common::drive::{batches, drive};
use common::{Client, Contender, Real, Size, encode_into, median, print_machine, real_names, share_cores};

/// Strings, small hashes, small sets and lists.
const KEYS: u64 = 100_000;
/// Members of the big hash, set and sorted set.
const MEMBERS: u64 = 200_000;
const LISTS: u64 = 1000;
const FIELDS: u64 = 20;
const MASTER: &str = "redis-7.0";

/// A command with its arguments by chance.
type Request = fn(&mut fastrand::Rng) -> Vec<String>;

/// The most used reads, and what they meet: small packed values, big tables, lists of several nodes.
static COMMANDS: &[(&str, Request)] = &[
    ("GET", |rng| vec!["GET".into(), string(rng)]),
    ("EXISTS", |rng| vec!["EXISTS".into(), string(rng)]),
    ("TTL", |rng| vec!["TTL".into(), string(rng)]),
    ("MGET of 10", |rng| [vec!["MGET".into()], (0..10).map(|_| string(rng)).collect()].concat()),
    ("HGET of 20 fields", |rng| vec!["HGET".into(), numbered("h", rng, KEYS), numbered("f", rng, FIELDS)]),
    ("HGET of 200k fields", |rng| vec!["HGET".into(), "big:h".into(), numbered("f", rng, MEMBERS)]),
    ("HMGET of 5", |rng| {
        let fields = (0..5).map(|_| numbered("f", rng, FIELDS)).collect();
        [vec!["HMGET".into(), numbered("h", rng, KEYS)], fields].concat()
    }),
    ("HGETALL of 20", |rng| vec!["HGETALL".into(), numbered("h", rng, KEYS)]),
    ("SISMEMBER of 200k", |rng| vec!["SISMEMBER".into(), "big:s".into(), numbered("m", rng, MEMBERS)]),
    ("SMEMBERS of 20", |rng| vec!["SMEMBERS".into(), numbered("s", rng, KEYS)]),
    ("ZSCORE of 200k", |rng| vec!["ZSCORE".into(), "big:z".into(), numbered("m", rng, MEMBERS)]),
    ("ZRANGE of 10 in 200k", |rng| {
        let from = rng.u64(..MEMBERS - 10);
        ["ZRANGE", "big:z", &from.to_string(), &(from + 9).to_string(), "WITHSCORES"].map(String::from).into()
    }),
    ("LRANGE of 10", |rng| ["LRANGE", &numbered("l", rng, LISTS), "0", "9"].map(String::from).into()),
];

fn numbered(kind: &str, rng: &mut fastrand::Rng, below: u64) -> String {
    format!("{kind}:{}", rng.u64(..below))
}

fn string(rng: &mut fastrand::Rng) -> String {
    numbered("k", rng, KEYS)
}

fn main() {
    let size = Size::from_args();
    print_machine(Size { keys: 4 * KEYS, ..size });
    let args: Vec<String> = std::env::args().collect();
    let only = args.iter().position(|arg| arg == "--only").and_then(|at| args.get(at + 1));
    let Some(master) = Real::start(MASTER, &[]) else {
        println!("{MASTER} is not here, nothing is measured: run tests/peers");
        return;
    };
    fill(&mut master.client(), if size.smoke { 100 } else { 1 });
    let names = real_names().into_iter().map(|name| Contender::real(name, master.port));
    let contenders: Vec<Contender> =
        names.chain([Contender::remora(master.port, &["--io-threads", "1"])]).collect();
    contenders.iter().for_each(Contender::wait_loaded);
    if !size.smoke {
        share_cores(contenders.iter());
    }
    for (depth, requests) in [(1, 150_000), (16, 800_000)] {
        println!("\nCPU per request at pipeline {depth}, µs (remora's ratio to each)");
        for (name, request) in COMMANDS.iter().filter(|(name, _)| only.is_none_or(|only| name.contains(only))) {
            let requests = if size.smoke { 500 } else { requests };
            print_line(name, &measure(&contenders, *request, depth, requests, size.rounds.min(3)));
        }
    }
}

/// The middle of some rounds in turns, for each contender.
fn measure(contenders: &[Contender], request: Request, depth: usize, requests: usize, rounds: usize) -> Vec<f64> {
    let mut costs = vec![Vec::new(); contenders.len()];
    for round in 0..rounds {
        for (contender, costs) in contenders.iter().zip(&mut costs) {
            let batches = batches(depth, round as u64, |rng, out| {
                let words = request(rng);
                encode_into(out, &words.iter().map(String::as_bytes).collect::<Vec<_>>());
            });
            let before = contender.cpu();
            let done = drive(contender.port, depth, requests, batches);
            costs.push((contender.cpu() - before).as_secs_f64() * 1e6 / done as f64);
        }
    }
    costs.into_iter().map(median).collect()
}

fn print_line(name: &str, costs: &[f64]) {
    let (ours, others) = costs.split_last().expect("remora is the last");
    let others: String = others.iter().map(|cost| format!("  {cost:>7.2} ({:.2}x)", ours / cost)).collect();
    println!("  {name:<22} remora {ours:>7.2}{others}");
}

/// Data of each type; a smoke run takes one of `thin` of everything.
fn fill(client: &mut Client, thin: u64) {
    let value = "v".repeat(100);
    let (keys, members) = (KEYS / thin, MEMBERS / thin);
    let mut writes: Vec<Vec<String>> = Vec::new();
    for n in 0..keys {
        writes.push(["SET", &format!("k:{n}"), &value].map(String::from).into());
        let fields = (0..FIELDS).flat_map(|field| [format!("f:{field}"), format!("value {field}")]);
        writes.push(["HSET".into(), format!("h:{n}")].into_iter().chain(fields).collect());
        let set = (0..FIELDS).map(|member| format!("member {member}"));
        writes.push(["SADD".into(), format!("s:{n}")].into_iter().chain(set).collect());
    }
    for n in 0..LISTS / thin {
        let elements = (0..200).map(|element| format!("{value}{element}"));
        writes.push(["RPUSH".into(), format!("l:{n}")].into_iter().chain(elements).collect());
    }
    for n in 0..members {
        writes.push(["HSET", "big:h", &format!("f:{n}"), &value].map(String::from).into());
        writes.push(["SADD", "big:s", &format!("m:{n}")].map(String::from).into());
        writes.push(["ZADD", "big:z", &format!("{n}.5"), &format!("m:{n}")].map(String::from).into());
    }
    for batch in writes.chunks(1000) {
        let requests: Vec<Vec<&[u8]>> =
            batch.iter().map(|words| words.iter().map(String::as_bytes).collect()).collect();
        for reply in client.pipeline(&requests) {
            assert!(!reply.is_error(), "{reply:?}");
        }
    }
}
