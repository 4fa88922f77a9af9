//! The link: the handshake to the byte, every refusal, silence, and REPLICAOF at run time.

use crate::support::client::{Value, encode};
use crate::support::fixture::Fixture;
use crate::support::ports;
use crate::support::real::Real;
use crate::support::remora::Remora;
use crate::support::script::{Link, Master, REPLID};
use crate::support::wait::{self, Finally};
use std::io::Write;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);

fn empty() -> Vec<u8> {
    Fixture::load("handmade-empty.rdb").bytes
}

/// Everything of the first handshake, as text.
#[track_caller]
fn handshake(flags: &[&str]) -> (Vec<String>, Remora, Link) {
    let master = Master::listen();
    let remora = Remora::follow(master.port, flags);
    let mut link = master.accept();
    link.handshake();
    (link.heard_text(), remora, link)
}

#[test]
fn introduces_itself_as_a_replica_does() {
    let (said, remora, _link) = handshake(&[]);
    let port = format!("REPLCONF listening-port {}", remora.port);
    assert_eq!(said[..3], ["PING".to_string(), port, "REPLCONF capa eof capa psync2 capa remora".to_string()]);
    // A valkey 9 master that does not hear a version of 9 or more sends a format that cannot hold field expiry.
    let version = said[3].strip_prefix("REPLCONF version ").expect("its version");
    assert!(version.starts_with("9."), "{version}");
    assert_eq!(said[4..], ["PSYNC ? -1"]);
}

#[test]
fn gives_user_and_password_before_anything_else_of_its_own() {
    let (said, ..) = handshake(&["--masteruser", "usr", "--masterauth", "pw"]);
    assert_eq!(said[..2], ["PING", "AUTH usr pw"]);
    let (said, ..) = handshake(&["--masterauth", "pw"]);
    assert_eq!(said[..2], ["PING", "AUTH pw"]);
}

#[test]
fn announces_the_address_it_is_told_to() {
    let (said, ..) = handshake(&["--replica-announce-ip", "remora-pod-7", "--replica-announce-port", "7777"]);
    assert!(said.contains(&"REPLCONF listening-port 7777".to_string()), "{said:?}");
    assert!(said.contains(&"REPLCONF ip-address remora-pod-7".to_string()), "{said:?}");
}

#[test]
fn a_noauth_to_ping_is_answered_with_credentials() {
    let master = Master::listen();
    let _remora = Remora::follow(master.port, &["--masterauth", "pw"]);
    let mut link = master.accept();
    assert_eq!(link.command(), ["PING"]);
    link.say("-NOAUTH Authentication required.\r\n");
    assert_eq!(link.command(), ["AUTH", "pw"]);
}

/// A master that answers one word of the handshake with `answer`: remora gives up this try, says why in its log,
/// keeps answering, and comes again.
#[track_caller]
fn check_refused(at: &str, answer: &str, logged: &[&str]) {
    let master = Master::listen();
    let remora = Remora::follow(master.port, &["--masterauth", "pw"]);
    let mut link = master.accept();
    loop {
        let words = link.command();
        if words[0] == at {
            break link.say(answer);
        }
        link.say(if words[0] == "PING" { "+PONG\r\n" } else { "+OK\r\n" });
    }
    link.wait_closed(SOON);
    remora.wait_logged(logged);
    assert_eq!(remora.replication("master_link_status"), "down", "after {answer:?} to {at}");
    let mut again = master.serve(&empty(), 10);
    again.wait_ack(10);
    remora.wait_linked();
    assert_eq!(remora.replication("master_link_status"), "up", "after the next try");
}

#[test]
fn a_master_that_is_loading_is_asked_again() {
    check_refused("PING", "-LOADING Redis is loading the dataset in memory\r\n", &["LOADING"]);
    check_refused("PSYNC", "-LOADING Redis is loading the dataset in memory\r\n", &["LOADING"]);
}

#[test]
fn a_master_without_a_master_link_is_asked_again() {
    check_refused("PSYNC", "-NOMASTERLINK Can't SYNC while not connected with my master\r\n", &["NOMASTERLINK"]);
}

#[test]
fn a_refused_password_is_named() {
    check_refused("AUTH", "-WRONGPASS invalid username-password pair or user is disabled.\r\n", &["WRONGPASS"]);
}

#[test]
fn a_missing_right_is_named() {
    let answer = "-NOPERM User default has no permissions to run the 'psync' command\r\n";
    check_refused("PSYNC", answer, &["NOPERM"]);
}

#[test]
fn a_master_that_does_not_know_psync_is_asked_again() {
    check_refused("PSYNC", "-ERR unknown command 'PSYNC'\r\n", &["unknown command"]);
}

#[test]
fn garbage_instead_of_a_reply_ends_the_try() {
    check_refused("PING", "HTTP/1.1 400 Bad Request\r\n\r\n", &["400 Bad Request"]);
    check_refused("PSYNC", "+WHATEVER\r\n", &["WHATEVER"]);
    check_refused("PSYNC", "+FULLRESYNC short x\r\n", &["FULLRESYNC"]);
}

/// It would go on from nothing.
#[test]
fn a_continuation_that_nobody_asked_for_ends_the_try() {
    check_refused("PSYNC", &format!("+CONTINUE {REPLID}\r\n"), &["unexpected answer", "+CONTINUE"]);
    check_refused("PSYNC", "+CONTINUE\r\n", &["unexpected answer", "+CONTINUE"]);
}

/// A master that sees no acks for some seconds counts the replica as gone (min-replicas-max-lag).
#[test]
fn a_master_that_never_pauses_gets_its_acks_all_the_same() {
    let master = Master::listen();
    let _remora = Remora::follow(master.port, &[]);
    let mut link = master.serve(&empty(), 10);
    link.wait_ack(10);
    let command = encode(&["SET".into(), "key".into(), "v".repeat(4096)]);
    let (mut pen, done) = (link.pen(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(SeqCst) {
                let _ = pen.write_all(&command);
            }
        });
        let _until = Finally(&done);
        // The first come before anything has arrived.
        wait::until("the first of the stream is applied", SOON, || link.ack() > 10);
        let acks: Vec<u64> = (0..4).map(|_| link.ack()).collect();
        assert!(acks.is_sorted_by(|a, b| a < b), "{acks:?}");
    });
}

#[test]
fn an_endless_line_ends_the_try() {
    check_refused("PING", &"x".repeat(70_000), &[]);
}

#[test]
fn a_silent_master_is_left_after_the_timeout() {
    let master = Master::listen();
    let started = Instant::now();
    let remora = Remora::follow(master.port, &["--repl-timeout", "5"]);
    let mut link = master.accept();
    assert_eq!(link.command(), ["PING"]);
    link.wait_closed(SOON);
    assert!(started.elapsed() >= Duration::from_secs(5), "left after {:?}", started.elapsed());
    let mut link = master.serve(&empty(), 10);
    link.wait_ack(10);
    // The same in the steady state: no byte for the timeout, and the link counts as dead.
    link.wait_closed(SOON);
    let (replid, offset) = master.accept().handshake();
    assert_eq!((replid.as_str(), offset), (REPLID, 11));
    drop(remora);
}

#[test]
fn tries_come_further_and_further_apart() {
    let master = Master::listen();
    let remora = Remora::follow(master.port, &[]);
    let mut cuts = Vec::new();
    for _ in 0..6 {
        let link = master.accept();
        cuts.push(Instant::now());
        drop(link);
    }
    // A wait begins behind the cut: it is never shorter than it may be, however slow the machine is.
    for (n, pair) in cuts.windows(2).enumerate() {
        let (gap, least) = (pair[1] - pair[0], Duration::from_millis(50 << n));
        assert!(gap >= least, "try {n} came after {gap:?}, not {least:?}");
    }
    // Nor was it meant to be longer.
    let log = remora.log();
    let number =
        |line: &str| line.split("retry_ms=").nth(1)?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
    let waits: Vec<u64> = log.lines().filter_map(number).take(5).collect();
    assert_eq!(waits.len(), 5, "{log}");
    for (n, wait) in waits.iter().enumerate() {
        assert!((50 << n..=100 << n).contains(wait), "waits between tries: {waits:?}");
    }
}

#[test]
fn follows_another_master_when_told_to() {
    let (first, second) = (Master::listen(), Master::listen());
    let remora = Remora::follow(first.port, &[]);
    let _link = first.serve(&empty(), 10);
    remora.wait_linked();
    let mut client = remora.client();
    assert_eq!(client.must(&format!("REPLICAOF 127.0.0.1 {}", second.port)), Value::Status("OK".into()));
    let mut link = second.serve(&Fixture::load("redis-8.0.rdb").bytes, 20);
    link.wait_ack(20);
    remora.wait_linked();
    assert_eq!(remora.replication("master_port"), second.port.to_string());
    assert!(client.must("DBSIZE").int() > 0, "the second master's data");
    let role = client.must("ROLE");
    assert_eq!(role.items()[0].text(), "slave");
    assert_eq!(role.items()[2], Value::Int(second.port.into()));
    assert_eq!(role.items()[3].text(), "connected");
    assert_eq!(role.items()[4], Value::Int(20));
}

#[test]
fn is_never_a_master_of_its_own() {
    let master = Master::listen();
    let remora = Remora::follow(master.port, &[]);
    let mut link = master.serve(&empty(), 10);
    link.wait_ack(10);
    remora.wait_linked();
    let mut client = remora.client();
    for line in ["REPLICAOF NO ONE", "SLAVEOF no one"] {
        assert!(client.call(line).is_error(), "{line}");
    }
    assert_eq!(remora.replication("role"), "slave");
    let length = link.stream(&["SELECT 0", "SET still linked"]);
    link.wait_ack(10 + length);
    // FAILOVER towards remora would take the master down: refused, so that the master aborts it.
    client.send_raw(&encode(&["PSYNC", REPLID, "11", "FAILOVER"]));
    assert!(client.reply().is_error());
}

#[test]
fn a_master_whose_port_is_closed_is_tried_until_it_opens() {
    let port = ports::free();
    let remora = Remora::follow(port, &[]);
    wait::until("ROLE says that it is not connected", SOON, || {
        let role = remora.client().must("ROLE");
        let state = role.items()[3].text();
        assert_ne!(state, "connected");
        state == "connect" || state == "connecting"
    });
    let Some(master) = Real::start_at("redis-7.0", port, &[]) else { return };
    master.client().must("SET k v");
    remora.wait_linked();
    wait::until("the data is there", SOON, || remora.client().call("GET k").text_is("v"));
}

#[test]
fn acl_users_and_passwords_of_a_real_master_are_enough() {
    let Some(master) = Real::start("redis-7.0", &[]) else { return };
    let mut client = master.client();
    client.must("ACL SETUSER repl on >secret +psync +replconf +ping");
    client.must("ACL SETUSER default resetpass >root");
    client.must("AUTH root");
    client.must("SET k v");
    let url = format!("redis://repl:secret@127.0.0.1:{}", master.port);
    let remora = Remora::start(&["--replicaof", &url]);
    remora.wait_linked();
    assert_eq!(remora.client().must("GET k").text(), "v");
    assert!(!remora.log().contains("secret"), "the password is in the log");
}
