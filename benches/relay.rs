//! What it costs to pass the stream on: CPU per 1000 commands, with 1, 4 and 16 sub-replicas that take it as fast as it
//! comes, at full speed and one command at a time. What applying alone costs is in it; the row with 0 shows that. And how
//! long a command is on its way through, when each is sent once the one before has come out.

#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

#[path = "common/mod.rs"]
mod common;

use common::{
    Contender, Follower, Link, Size, encode_into, key, median, print_machine, print_ratios, snapshot, value,
};
use std::time::{Duration, Instant};

/// Keys that the SETs go around in.
const KEYS: u64 = 100_000;
/// Sent once to see the stream flow.
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
/// Time between two commands that come one by one.
const PAUSE: Duration = Duration::from_micros(50);

fn main() {
    let size = Size::from_args();
    print_machine(size);
    let (commands, single) = if size.smoke { (2_000, 200) } else { (300_000, 20_000) };
    let flags = ["--client-output-buffer-limit", "replica 0 0 0", "--repl-diskless-sync-delay", "0"];
    let mut contenders = Contender::all_loaded(&snapshot(0), &flags);
    for (contender, _) in &contenders {
        common::Client::connect(contender.port).must("CONFIG SET client-output-buffer-limit \"replica 0 0 0\"");
    }
    let mut offset = 1;
    for count in [0, 1, 4, 16] {
        let mut followers: Vec<Vec<Follower>> =
            contenders.iter_mut().map(|(contender, link)| attach(contender, link, count)).collect();
        offset += PING.len() as u64;
        for (what, commands, one_by_one) in [("full speed", commands, false), ("one by one", single, true)] {
            let mut figures: Vec<Vec<f64>> = vec![Vec::new(); contenders.len()];
            for round in 0..size.rounds.min(3) {
                let stream = stream(commands, round as u64);
                let bytes: usize = stream.iter().map(Vec::len).sum();
                offset += bytes as u64;
                for (at, (contender, link)) in contenders.iter_mut().enumerate() {
                    let before = contender.cpu();
                    relay(link, &stream, one_by_one, &mut followers[at], bytes);
                    contender.wait_applied(offset);
                    let ms = (contender.cpu() - before).as_secs_f64() * 1000.0;
                    figures[at].push(ms.max(1.0) / commands as f64 * 1000.0);
                }
            }
            let named: Vec<(String, f64)> = contenders
                .iter()
                .zip(figures)
                .map(|((contender, _), all)| (contender.name.clone(), median(all)))
                .collect();
            print_ratios(&format!("CPU per 1000 commands to {count} sub-replicas, {what}"), "ms", &named);
        }
        if count > 0 {
            let stream = stream(if size.smoke { 100 } else { 5_000 }, 0);
            offset += stream.iter().map(|command| command.len() as u64).sum::<u64>();
            let measured = contenders.iter_mut().zip(&mut followers).map(|((contender, link), followers)| {
                let ms = delay(link, &stream, followers);
                contender.wait_applied(offset);
                (contender.name.clone(), ms)
            });
            print_ratios(&format!("time on the way to {count} sub-replicas"), "ms", &measured.collect::<Vec<_>>());
        }
    }
}

/// So many sub-replicas that have had their snapshot and are fed.
fn attach(contender: &Contender, link: &mut Link, count: usize) -> Vec<Follower> {
    let capabilities = ["REPLCONF capa eof capa psync2"];
    let introduced = |_| Follower::introduced_as(contender.port, &capabilities);
    let mut followers: Vec<Follower> = (0..count).map(introduced).collect();
    followers.iter_mut().for_each(|follower| follower.say("PSYNC ? -1"));
    // Side by side: the slowest sets the pace of a snapshot that several share.
    let offsets: Vec<u64> = std::thread::scope(|scope| {
        let all: Vec<_> = followers.iter_mut().map(|follower| scope.spawn(|| follower.synced().offset)).collect();
        all.into_iter().map(|thread| thread.join().expect("a snapshot")).collect()
    });
    link.say(PING);
    for (follower, offset) in followers.iter_mut().zip(offsets) {
        follower.ack_until_stream(offset);
        follower.drain(PING.len());
    }
    followers
}

/// Sends the stream and waits until every sub-replica has all of it.
fn relay(link: &mut Link, stream: &[Vec<u8>], one_by_one: bool, followers: &mut [Follower], bytes: usize) {
    std::thread::scope(|scope| {
        for follower in followers {
            scope.spawn(move || follower.drain(bytes));
        }
        if one_by_one {
            for command in stream {
                link.say(command);
                std::thread::sleep(PAUSE);
            }
        } else {
            link.say(stream.concat());
        }
    });
}

/// Median time from sending a command until the last sub-replica has it, in milliseconds.
fn delay(link: &mut Link, stream: &[Vec<u8>], followers: &mut [Follower]) -> f64 {
    let passes = stream.iter().map(|command| {
        std::thread::sleep(PAUSE);
        let sent = Instant::now();
        link.say(command);
        followers.iter_mut().for_each(|follower| follower.drain(command.len()));
        sent.elapsed().as_secs_f64() * 1000.0
    });
    median(passes.collect())
}

/// A stream of this many SETs, in the order of a seed.
fn stream(commands: u64, seed: u64) -> Vec<Vec<u8>> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let set = |n: u64| {
        let mut bytes = Vec::new();
        encode_into(&mut bytes, &[&b"SET"[..], &key(rng.u64(..KEYS)), &value(n)]);
        bytes
    };
    (0..commands).map(set).collect()
}
