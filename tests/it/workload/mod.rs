//! A random workload of all write families against each of the five masters, with the link cut again and again at
//! random bytes: at its end master and remora hold the same.
//!
//! `REMORA_TEST_COMMANDS` and `REMORA_TEST_CUTS` make it longer, `REMORA_TEST_SEED` repeats it.

mod collections;
pub mod generate;
mod keyspace;
mod streams;
mod strings;

use crate::support::chance;
use crate::support::client::{Client, Value};
use crate::support::compare::{assert_same_details, assert_same_digest};
use crate::support::proxy::Proxy;
use crate::support::real::{Real, for_each_master};
use crate::support::recorder::Recorder;
use crate::support::remora::{Remora, SOON};
use crate::support::wait::{self, Finally};
use generate::{Features, Generator, Request, request};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

for_each_master!(a_random_workload_with_cut_links_ends_equal);

fn a_random_workload_with_cut_links_ends_equal(server: &str) {
    let Some(master) = Real::start(server, &["--repl-backlog-size 512mb", "--repl-ping-replica-period 1"]) else {
        return;
    };
    let _recorder = Recorder::of(master.port, server);
    let rng = chance::seeded("a_random_workload_with_cut_links_ends_equal");
    let commands = chance::size("REMORA_TEST_COMMANDS", 100_000);
    let cuts = chance::size("REMORA_TEST_CUTS", 20);
    let proxies = [Proxy::to(master.port), Proxy::to(master.port)];
    let remora = Remora::follow(proxies[0].port, &["--repl-timeout", "10"]);
    remora.wait_linked();

    let started = Instant::now();
    let done = AtomicBool::new(false);
    let generator = Generator::new(rng, Features::of(server));
    let mut run = Run {
        master: &master,
        remora: &remora,
        proxies: &proxies,
        used: 0,
        resumed: 0,
        generator,
        counts: BTreeMap::new(),
    };
    std::thread::scope(|scope| {
        scope.spawn(|| blocked_client(master.client(), &done));
        let _until = Finally(&done);
        run.chunks(commands, cuts);
        run.evictions();
    });
    let written = started.elapsed();

    assert_same_digest(&master, &remora);
    assert_same_details(&master, &remora);
    let cut: u64 = proxies.iter().map(Proxy::cuts).sum();
    let partial = remora.metric("remora_partial_syncs_total");
    let full = remora.metric("remora_full_syncs_total");
    eprintln!(
        "{server}: {commands} commands of {} kinds and {} cuts in {written:?}, equal after {:?}; {partial} partial and {full} full syncs",
        run.counts.len(),
        cut,
        started.elapsed(),
    );
    assert!(cut >= cuts as u64, "{cut} cuts, not {cuts}");
    assert!(partial >= cuts as f64, "{partial} partial syncs after {cuts} cuts");
    assert!(full <= 1.0, "{full} full syncs: a cut must end in a partial one");
}

struct Run<'a> {
    master: &'a Real,
    remora: &'a Remora,
    /// Two ways to the same master.
    proxies: &'a [Proxy; 2],
    /// The one that remora takes.
    used: usize,
    /// Partial resyncs so far.
    resumed: usize,
    generator: Generator,
    /// How often each command was sent and not refused.
    counts: BTreeMap<String, usize>,
}

impl Run<'_> {
    /// The commands in as many parts as there are cuts, each part cut somewhere within its bytes.
    fn chunks(&mut self, commands: usize, cuts: usize) {
        let mut client = self.master.client();
        let mut chunk_bytes = 20_000;
        for _ in 0..cuts {
            let mut chunk = Vec::new();
            while chunk.len() < commands.div_ceil(cuts) {
                self.generator.step(&mut chunk);
            }
            let proxy = &self.proxies[self.used];
            let (cuts, passed) = (proxy.cuts(), proxy.down_bytes());
            proxy.cut_after(self.generator.rng.u64(1..chunk_bytes));
            self.send(&mut client, &chunk);
            self.dump_and_restore(&mut client);
            if proxy.cuts() == cuts {
                proxy.cut();
            }
            chunk_bytes = (proxy.down_bytes() - passed).max(20_000);
            self.wait_resumed();
        }
    }

    /// Waits until the stream goes on. With so many cuts the back-off soon grows beyond a second: then remora is told
    /// to go the other way, at once.
    fn wait_resumed(&mut self) {
        self.resumed += 1;
        let resumed = || self.remora.metric_or_zero("remora_partial_syncs_total") >= self.resumed as f64;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(1) {
            if resumed() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.used = 1 - self.used;
        let other = &self.proxies[self.used];
        self.remora.client().must(&format!("REPLICAOF 127.0.0.1 {}", other.port));
        wait::until("the link comes back and resumes", SOON, resumed);
    }

    fn send(&mut self, client: &mut Client, requests: &[Request]) {
        let replies = client.pipeline(requests);
        for (request, reply) in requests.iter().zip(replies) {
            if !reply.is_error() {
                let name = String::from_utf8_lossy(&request[0]).into_owned();
                *self.counts.entry(name).or_default() += 1;
            } else if !expected_error(&reply.text()) {
                let shown: Vec<String> = request.iter().map(|word| word.escape_ascii().to_string()).collect();
                panic!("{}: {shown:?}: {}", self.master.name, reply.text());
            }
        }
    }

    /// Values and functions that travel as DUMP payloads.
    fn dump_and_restore(&mut self, client: &mut Client) {
        for _ in 0..10 {
            let family = self.generator.pick(&["s", "h", "l", "set", "z", "x", "p"]);
            let payload = client.command(&[&b"DUMP"[..], &self.generator.key(family)]);
            let Value::Bulk(payload) = payload else { continue };
            let ttl = if self.generator.chance(50) { 0 } else { self.generator.soon_ms() };
            let restore = request!["RESTORE", self.generator.key(family), ttl, payload, "REPLACE"];
            self.send(client, &[restore]);
        }
        if self.generator.has.seven {
            let payload = client.must("FUNCTION DUMP").bytes().to_vec();
            let policy = self.generator.pick(&["FLUSH", "REPLACE"]);
            self.send(client, &[request!["FUNCTION", "RESTORE", payload, policy]]);
        }
    }

    /// A short time with too little memory: the master evicts.
    fn evictions(&mut self) {
        let mut client = self.master.client();
        client.must("CONFIG SET maxmemory-policy allkeys-random");
        let mut keys = 0..;
        // More than once where the memory in use has not only data: buffers of replicas do not count for the limit, and what
        // was flushed may be on its way out.
        wait::until("something is evicted", SOON, || {
            let used: u64 = client.info("memory")["used_memory"].parse().expect("a number");
            client.must(&format!("CONFIG SET maxmemory {}", used + 300_000));
            let set = |n: u32| request!["SET", format!("evicted:{n}"), self.generator.text(400)];
            let requests: Vec<Request> = keys.by_ref().take(3000).map(set).collect();
            client.pipeline(&requests);
            client.must("CONFIG SET maxmemory 0");
            client.info("stats")["evicted_keys"] != "0"
        });
    }
}

/// Random requests meet wrong types, missing groups and the like; but they are never malformed.
fn expected_error(text: &str) -> bool {
    const MALFORMED: [&str; 4] =
        ["unknown command", "wrong number of arguments", "syntax error", "nknown subcommand"];
    !MALFORMED.iter().any(|mistake| text.contains(mistake))
}

/// A second client that waits for elements and entries.
fn blocked_client(mut client: Client, done: &AtomicBool) {
    let lines = [
        "BLPOP l:0 l:1 l:2 0.05",
        "BRPOP l:3 l:1 0.05",
        "BRPOPLPUSH l:2 l:5 0.05",
        "BZPOPMIN z:0 z:1 0.05",
        "BZPOPMAX z:2 0.05",
        "XREADGROUP GROUP alpha waiting BLOCK 50 COUNT 3 STREAMS x:0 >",
        "XREADGROUP GROUP beta waiting BLOCK 50 STREAMS x:1 x:2 > >",
    ];
    for line in lines.iter().cycle() {
        if done.load(Ordering::SeqCst) {
            return;
        }
        client.call(line);
    }
}
