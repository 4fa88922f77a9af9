//! Publish and subscribe beside a real replica of the same master: every reply and every message byte by byte.

use super::support::chance;
use super::support::client::{Client, Ending, Value};
use super::support::real::Real;
use super::support::remora::{Remora, SOON};
use super::support::wait;
use std::time::Duration;

/// A master with two replicas: a real one and remora.
pub struct Trio {
    pub master: Real,
    pub real: Real,
    pub ours: Remora,
}

impl Trio {
    /// Both replicas have caught up with an empty master. `None` if this peer is not here.
    pub fn start(server: &str, flags: &[&str]) -> Option<Self> {
        let master = Real::start(server, &["--repl-ping-replica-period 3600"])?;
        let settings: Vec<String> = flags.chunks(2).map(|pair| pair.join(" ")).collect();
        let mut settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let followed = format!("--replicaof 127.0.0.1 {}", master.port);
        settings.push(&followed);
        let real = Real::start(server, &settings)?;
        let ours = Remora::follow(master.port, flags);
        let trio = Self { master, real, ours };
        trio.wait_caught_up();
        Some(trio)
    }

    /// Waits until both replicas have applied everything that the master has written.
    #[track_caller]
    pub fn wait_caught_up(&self) -> i64 {
        let offset = self.ours.wait_caught_up(&mut self.master.client());
        let mut client = self.real.client();
        wait::until("the real replica has caught up", SOON, || {
            let info = client.info("replication");
            info["master_link_status"] == "up"
                && info["slave_repl_offset"].parse().is_ok_and(|own: i64| own >= offset)
        });
        offset
    }

    /// Waits until everything that the master has written is applied and told at both replicas: what they say to
    /// clients comes behind the data.
    #[track_caller]
    pub fn settle(&self) {
        let mut master = self.master.client();
        let mut listeners = self.connect(2).map(|mut client| {
            client.must("SUBSCRIBE settled");
            client
        });
        // What is told at the end of a batch comes behind the first one.
        for _ in 0..2 {
            master.must("PUBLISH settled now");
            listeners.iter_mut().for_each(|client| drop(client.reply()));
        }
    }

    /// A connection to each replica, the real one first, in this version of the protocol.
    pub fn connect(&self, proto: usize) -> [Client; 2] {
        [self.real.port, self.ours.port].map(|port| match proto {
            3 => Client::connect_resp3(port),
            _ => Client::connect(port),
        })
    }
}

/// Everything that answers a line: what comes until the reply to a PING behind it.
#[track_caller]
pub fn conversation(client: &mut Client, line: &str) -> String {
    client.send_raw(format!("{line}\r\nPING end-of-answer\r\n").as_bytes());
    until(client, "end-of-answer")
}

/// Everything that comes until a reply or a message that holds `word`, without that one.
#[track_caller]
pub fn until(client: &mut Client, word: &str) -> String {
    let mut all = String::new();
    loop {
        let raw = String::from_utf8_lossy(&client.raw_reply()).into_owned();
        if raw.contains(word) {
            return all;
        }
        all.push_str(&raw);
    }
}

const LINES: &[&str] = &[
    "SUBSCRIBE a b a",
    "PSUBSCRIBE x* a*",
    "SSUBSCRIBE sh1 sh2",
    "GET x",
    "PING",
    "PING hi",
    "PING a b",
    "PUBLISH a m",
    "PUBLISH xyz m",
    "PUBLISH nobody m",
    "SPUBLISH sh1 m",
    "PUBSUB CHANNELS",
    "PUBSUB CHANNELS a*",
    "PUBSUB CHANNELS a b",
    "PUBSUB NUMSUB a zz",
    "PUBSUB NUMPAT",
    "PUBSUB SHARDCHANNELS",
    "PUBSUB SHARDNUMSUB sh1 sh2 sh3",
    "PUBSUB",
    "PUBSUB FOO",
    "PUBSUB NUMPAT x",
    "SUBSCRIBE",
    "SET a b",
    "FOO",
    "GET",
    "UNSUBSCRIBE a",
    "UNSUBSCRIBE nosuch",
    "PUNSUBSCRIBE x*",
    "PUNSUBSCRIBE",
    "SUNSUBSCRIBE sh2 sh1",
    "UNSUBSCRIBE",
    "UNSUBSCRIBE",
    "PUNSUBSCRIBE",
    "SUNSUBSCRIBE",
    "GET x",
    "SUBSCRIBE q",
    "PUBSUB CHANNELS",
    "RESET",
    "PING",
    "PUBSUB CHANNELS",
];

#[test]
fn every_answer_is_that_of_a_real_replica() {
    for server in ["redis-8.0", "valkey-9.1"] {
        let Some(trio) = Trio::start(server, &[]) else { continue };
        for proto in [2, 3] {
            let [mut real, mut ours] = trio.connect(proto);
            for line in LINES {
                let [expected, got] = [&mut real, &mut ours].map(|client| conversation(client, line));
                let same = sorted_if_names(line, &got) == sorted_if_names(line, &expected);
                assert!(same, "{server} RESP{proto} {line}\nreal {expected:?}\nours {got:?}");
            }
        }
    }
}

/// PUBSUB CHANNELS has no order.
fn sorted_if_names(line: &str, reply: &str) -> Vec<String> {
    let mut words: Vec<String> = reply.split("\r\n").map(str::to_owned).collect();
    if line.starts_with("PUBSUB") {
        words.sort();
    }
    words
}

#[test]
fn messages_of_the_master_arrive_as_at_a_real_replica() {
    for server in ["redis-7.0", "redis-8.0", "valkey-9.1"] {
        let Some(trio) = Trio::start(server, &[]) else { continue };
        let mut listeners = [2, 3].map(|proto| trio.connect(proto));
        for client in listeners.as_flattened_mut() {
            for line in ["SUBSCRIBE c1 c2 end", "PSUBSCRIBE c*", "SSUBSCRIBE s1"] {
                conversation(client, line);
            }
        }
        publish_at_random(&mut trio.master.client());
        for [real, ours] in &mut listeners {
            let [expected, got] = [real, ours].map(|client| until(client, "the last message"));
            assert!(expected.len() > 10_000, "{server}: only {} bytes", expected.len());
            assert_eq!(got, expected, "{server}");
        }
        if server != "redis-7.0" {
            assert_eq!(trio.ours.client().info("clients")["pubsub_clients"], "2");
        }
    }
}

fn publish_at_random(master: &mut Client) {
    let mut chance = chance::seeded("publish");
    let mut open = false;
    for n in 0..600 {
        let channel = ["c1", "c2", "c3", "other"][chance.usize(..4)];
        match chance.usize(..10) {
            0 if !open => {
                master.must("MULTI");
                open = true;
            }
            0 | 1 if open => {
                master.must("EXEC");
                open = false;
            }
            2 => drop(master.must(&format!("SPUBLISH s1 shard-{n}"))),
            3 => drop(master.must(&format!("SET key-{n} value"))),
            4 => drop(master.must(&format!("PUBLISH {channel} \"{}\"", "long ".repeat(chance.usize(..400))))),
            _ => drop(master.must(&format!("PUBLISH {channel} message-{n}"))),
        }
    }
    if open {
        master.must("EXEC");
    }
    master.must("PUBLISH end \"the last message\"");
}

#[test]
fn messages_never_tear_a_reply() {
    let Some(master) = Real::start("redis-8.0", &[]) else { return };
    let remora = Remora::follow(master.port, &[]);
    let mut writer = master.client();
    writer.must(&format!("SET big {}", "x".repeat(100_000)));
    remora.wait_caught_up(&mut writer);
    let mut client = Client::connect_resp3(remora.port);
    client.must("SUBSCRIBE news");
    let publisher = std::thread::spawn(move || {
        for n in 0..2000 {
            writer.must(&format!("PUBLISH news {n}"));
        }
        writer.must("PUBLISH news end");
    });
    let (mut heard, mut replies, mut ended) = (0, 0, false);
    while !ended || replies < 20 {
        client.send_raw(b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n*1\r\n$4\r\nPING\r\n");
        let mut awaited = 2;
        while awaited > 0 {
            match client.reply() {
                Value::Push(items) if items[2].text_is("end") => ended = true,
                Value::Push(items) => {
                    assert_eq!(items[2].int(), heard, "messages come in order");
                    heard += 1;
                }
                reply => {
                    assert!(reply.text_is("PONG") || reply.bytes().len() == 100_000, "a torn reply");
                    (awaited, replies) = (awaited - 1, replies + 1);
                }
            }
        }
    }
    assert_eq!(heard, 2000);
    publisher.join().expect("the publisher");
}

#[test]
fn a_subscriber_that_does_not_read_is_cut_and_counted() {
    let Some(master) = Real::start("redis-8.0", &[]) else { return };
    let remora = Remora::follow(master.port, &["--client-output-buffer-limit", "pubsub 1mb 0 0"]);
    remora.wait_linked();
    let [mut lazy, mut other] = [remora.client(), remora.client()];
    lazy.must("SUBSCRIBE news");
    let message = "x".repeat(64 * 1024);
    wait::until("the lazy one is cut", SOON, || {
        other.must(&format!("PUBLISH news {message}"));
        remora.metric("remora_clients_cut_total") > 0.0
    });
    assert_eq!(other.info("stats")["client_output_buffer_limit_disconnections"], "1");
    let (_, ending) = lazy.rest(Duration::from_secs(20));
    assert_eq!(ending, Ending::Closed);
    wait::until("its subscription is gone", SOON, || other.info("stats")["pubsub_channels"] == "0");
    assert_eq!(remora.metric("remora_pubsub_clients"), 0.0);
}

#[test]
fn clients_show_what_they_listen_to_and_can_be_killed_by_class() {
    let Some(master) = Real::start("redis-8.0", &[]) else { return };
    let remora = Remora::follow(master.port, &[]);
    remora.wait_linked();
    let [mut listener, mut other] = [remora.client(), remora.client()];
    conversation(&mut listener, "SUBSCRIBE a b");
    conversation(&mut listener, "PSUBSCRIBE p*");
    conversation(&mut listener, "SSUBSCRIBE s");
    let line = other.must("CLIENT LIST TYPE pubsub").text();
    assert!(line.contains(" flags=P ") && line.contains(" sub=2 psub=1 ssub=1 "), "{line}");
    assert_eq!(other.must("CLIENT KILL TYPE pubsub").int(), 1);
    assert_eq!(listener.rest(SOON).1, Ending::Closed);
}
