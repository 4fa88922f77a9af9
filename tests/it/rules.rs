//! The rules of the stream that are easy to break, one line each: what a master sends, what a client then asks, and
//! what it must hear. Each was measured on real replicas.

use crate::support::client::{Client, Value};
use crate::support::fixture::Fixture;
use crate::support::remora::{Remora, SOON};
use crate::support::script::{Link, Master, REPLID};
use crate::support::wait;

/// A master's stream behind the snapshot of a file.
struct Stream {
    _remora: Remora,
    link: Link,
    client: Client,
    offset: u64,
}

impl Stream {
    fn behind(snapshot: &str) -> Self {
        let master = Master::listen();
        let remora = Remora::follow(master.port, &[]);
        let link = master.serve(&Fixture::load(snapshot).bytes, 1000);
        remora.wait_linked();
        let client = remora.client();
        let mut stream = Self { _remora: remora, link, client, offset: 1000 };
        stream.send(&["SELECT 0"]);
        stream
    }

    /// Sends commands and waits until they are applied.
    #[track_caller]
    fn send(&mut self, lines: &[&str]) {
        self.offset += self.link.stream(lines);
        let expected = self.offset.to_string();
        wait::until(&format!("{lines:?} are applied"), SOON, || {
            self.client.info("replication")["slave_repl_offset"] == expected
        });
    }

    /// Sends commands, then asks each question.
    #[track_caller]
    fn check(&mut self, lines: &[&str], answers: &[(&str, &str)]) {
        self.send(&["FLUSHALL"]);
        self.send(lines);
        for (question, expected) in answers {
            let found = self.client.call(question);
            assert_eq!(&format!("{found:?}"), expected, "{question} behind {lines:?}");
        }
    }
}

#[test]
fn names_and_keywords_come_in_either_case() {
    let mut stream = Stream::behind("handmade-empty.rdb");
    stream.check(&["zadd z 1 a", "ZADD z nx 2 b", "ping"], &[("ZRANGE z 0 -1", r#"["a", "b"]"#)]);
    stream.check(
        &["RPUSH l a b", "LMOVE l m left right"],
        &[("LRANGE l 0 -1", r#"["b"]"#), ("LRANGE m 0 -1", r#"["a"]"#)],
    );
    stream.check(&["SET k v", "pexpireat k 4102444800000 nx"], &[("PEXPIRETIME k", "4102444800000")]);
}

#[test]
fn relative_times_count_from_the_moment_of_applying() {
    let mut stream = Stream::behind("redis-6.0.plain.rdb");
    stream.send(&["FLUSHALL", "SET a v EX 100", "SET b v", "EXPIRE b 200", "SETEX c 300 v", "PSETEX d 400000 v"]);
    for (key, seconds) in [("a", 100), ("b", 200), ("c", 300), ("d", 400)] {
        let left = stream.client.must(&format!("TTL {key}")).int();
        assert!((seconds - 20..=seconds).contains(&left), "{key} has {left} s left of {seconds}");
    }
}

#[test]
fn what_is_expired_is_there_for_the_stream_and_hidden_from_clients() {
    let mut stream = Stream::behind("handmade-empty.rdb");
    let hidden = [("GET k", "null"), ("EXISTS k", "0"), ("TYPE k", "+none"), ("TTL k", "-2"), ("KEYS *", "[]")];
    stream.check(&["SET k v PXAT 1000"], &hidden);
    assert_eq!(stream.client.must("DBSIZE"), Value::Int(1), "it counts until the master deletes it");
    assert_ne!(stream.client.digest(), "0".repeat(40), "the digest has it too");
    stream.check(&["SET k v PXAT 1000", "APPEND k w", "PERSIST k"], &[("GET k", "\"vw\"")]);
    stream.check(&["SET k v PXAT 1000", "RENAME k l", "PERSIST l"], &[("GET l", "\"v\"")]);
    stream.check(&["SET k v PXAT 1000", "DEL k"], &[("DBSIZE", "0")]);
}

#[test]
fn expired_fields_are_there_for_the_stream_and_hidden_from_clients() {
    let mut stream = Stream::behind("redis-8.0.plain.rdb");
    let expire = "HPEXPIREAT h 1000 FIELDS 1 f";
    stream.check(
        &["HSET h f v g w", expire],
        &[("HGET h f", "null"), ("HLEN h", "2"), ("HGETALL h", r#"["g", "w"]"#), ("HEXISTS h f", "0")],
    );
    stream.check(&["HSET h f 5", expire, "HINCRBY h f 2", "HPERSIST h FIELDS 1 f"], &[("HGET h f", "\"7\"")]);
    stream.check(&["HSET h f v", expire, "HDEL h f"], &[("EXISTS h", "0")]);
}

#[test]
fn a_count_asked_by_a_client_is_not_written_back() {
    let mut stream = Stream::behind("handmade-empty.rdb");
    stream.send(&["PFADD p a b c"]);
    let before = stream.client.digest();
    assert_eq!(stream.client.must("PFCOUNT p"), Value::Int(3));
    assert_eq!(stream.client.digest(), before, "the bytes are still the master's");
    stream.send(&["PFCOUNT p"]);
    assert_ne!(stream.client.digest(), before, "the master's own count is");
}

#[test]
fn a_limit_of_an_exact_trimming_is_no_error_here() {
    let mut stream = Stream::behind("handmade-empty.rdb");
    stream.check(
        &[
            "XADD x 1-1 f v",
            "XADD x 2-1 f v",
            "XADD x MAXLEN = 1 LIMIT 100 3-1 f v",
            "XTRIM x MINID = 3-1 LIMIT 5",
        ],
        &[("XLEN x", "1")],
    );
}

#[test]
fn empty_collections_disappear_but_streams_stay() {
    let mut stream = Stream::behind("handmade-empty.rdb");
    let emptied =
        ["SADD s a", "SREM s a", "RPUSH l a", "LPOP l", "HSET h f v", "HDEL h f", "ZADD z 1 a", "ZREM z a"];
    stream.check(&emptied, &[("DBSIZE", "0")]);
    stream.check(&["XADD x 1-1 f v", "XDEL x 1-1"], &[("DBSIZE", "1"), ("XLEN x", "0")]);
}

#[test]
fn a_selection_inside_a_transaction_stays() {
    let mut stream = Stream::behind("handmade-empty.rdb");
    stream.check(&["MULTI", "SET a 0", "SELECT 3", "SET b 3", "EXEC", "SET c 3"], &[("DBSIZE", "1")]);
    stream.client.must("SELECT 3");
    assert_eq!(stream.client.must("DBSIZE"), Value::Int(2));
}

#[test]
fn databases_change_places_and_keys_move() {
    let mut stream = Stream::behind("handmade-empty.rdb");
    stream.check(
        &["SET a 0", "SET m 0", "SELECT 1", "SET b 1", "SWAPDB 0 1", "MOVE a 0", "COPY m m DB 0", "SELECT 0"],
        &[("MGET a b m", r#"["0", "1", "0"]"#), ("DBSIZE", "3")],
    );
}

#[test]
fn a_link_lost_right_behind_the_snapshot_resumes_there() {
    // FLUSHALL on the master kills the child that has just sent the snapshot, and the connection with it.
    let master = Master::listen();
    let remora = Remora::follow(master.port, &[]);
    let mut link = master.accept();
    link.handshake();
    let snapshot = Fixture::load("redis-8.0.rdb").bytes;
    link.full_resync(REPLID, 1000, &snapshot, crate::support::script::Framing::Mark);
    remora.wait_linked();
    link.cut();
    let mut link = master.accept();
    assert_eq!(link.handshake(), (REPLID.to_string(), 1001));
    link.resume(REPLID);
    let length = link.stream(&["SELECT 0", "FLUSHALL"]);
    link.wait_ack(1000 + length);
    assert_eq!(remora.client().must("DBSIZE"), Value::Int(0));
}
