//! When and how often keys were used: what a real replica makes of the same snapshot, stream and requests, OBJECT and
//! our sub-replicas tell too.
//!
//! With `lfu-log-factor 0` and `lfu-decay-time 0` a counter of LFU counts each use, so that what is a use, and how many,
//! is compared exactly and without waiting.

use crate::support::beside::{Beside, whole};
use crate::support::client::{Client, Value, words};
use crate::support::folder;
use crate::support::real::{Real, for_each_master};
use crate::support::remora::{Remora, SOON};
use crate::support::wait;
use remora::command::row::Run;
use remora::command::table;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

for_each_master!(
    every_read_is_a_use_where_it_is_one_at_a_real_replica,
    every_write_is_a_use_where_it_is_one_at_a_real_replica,
    uses_come_with_the_snapshot_and_are_passed_on,
    policies_are_changed_at_run_time_as_at_a_real_replica,
);

/// Each use counts one. Only with a limit of memory keep Redis servers small integers apart, which share a counter else.
const COUNTING: [&str; 4] =
    ["--maxmemory 4gb", "--maxmemory-policy allkeys-lfu", "--lfu-log-factor 0", "--lfu-decay-time 0"];
/// The same for remora.
const OURS: [&str; 6] = ["--maxmemory-policy", "allkeys-lfu", "--lfu-log-factor", "0", "--lfu-decay-time", "0"];

/// Keys that are asked for their counters.
const KEYS: usize = 200;

fn counting(server: &str) -> Option<Beside> {
    Beside::start(server, &COUNTING, &OURS)
}

/// The dataset of the samples. Not every master knows every command.
fn fill(beside: &Beside) {
    let mut client = beside.master.client();
    let text = std::fs::read_to_string(folder::data("sample.txt")).expect("tests/data/sample.txt");
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        client.call(line);
    }
    beside.settle();
}

/// The counters of all keys on both sides.
struct Counters {
    keys: Vec<Vec<u8>>,
    real: Client,
    ours: Client,
}

impl Counters {
    fn of(beside: &Beside) -> Self {
        let mut ours = beside.remora.client();
        let all = ours.call("SCAN 0 COUNT 100000");
        let keys: Vec<_> = all.items()[1].items().iter().map(|key| key.bytes().to_vec()).take(KEYS).collect();
        Self { keys, real: beside.replica.client(), ours }
    }

    /// What a look at both shows; a key that is not there is left out.
    fn look(&mut self) -> [BTreeMap<String, i64>; 2] {
        let requests: Vec<Vec<&[u8]>> = self.keys.iter().map(|key| vec![&b"OBJECT"[..], b"FREQ", key]).collect();
        [&mut self.real, &mut self.ours].map(|client| {
            let counters = client.pipeline(&requests).into_iter().zip(&self.keys);
            let numbers = counters.filter_map(|(reply, key)| match reply {
                Value::Int(number) => Some((key.escape_ascii().to_string(), number)),
                Value::Null => None,
                other => panic!("{other:?}"),
            });
            numbers.collect()
        })
    }
}

/// By how much each counter has grown.
fn growth(before: &BTreeMap<String, i64>, after: &BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    let grown = after.iter().map(|(key, now)| (key.clone(), now - before.get(key).copied().unwrap_or(0)));
    grown.filter(|(_, by)| *by != 0).collect()
}

/// Reads in scripts and transactions, and of a client that makes none.
const UNDER_OTHER_CIRCUMSTANCES: [&str; 13] = [
    "EVAL \"redis.call('get', KEYS[1]) return redis.call('ttl', KEYS[1])\" 1 s:a",
    "MULTI",
    "GET s:a",
    "EXISTS s:a",
    "EXEC",
    "CLIENT NO-TOUCH ON",
    "GET s:a",
    "TOUCH s:a",
    "EVAL \"return redis.call('get', KEYS[1])\" 1 s:a",
    "EVAL \"return redis.call('touch', KEYS[1])\" 1 s:a",
    "SORT_RO l:num BY w:* GET w:*",
    "CLIENT NO-TOUCH OFF",
    "GET s:a",
];

fn every_read_is_a_use_where_it_is_one_at_a_real_replica(server: &str) {
    let Some(beside) = counting(server) else { return };
    fill(&beside);
    let mut counters = Counters::of(&beside);
    let (mut wrong, mut asked) = (Vec::new(), 0);
    let (mut real, mut ours) = (beside.replica.client(), beside.remora.client());
    let reads = table::rows().filter(|row| matches!(row.run, Run::Read(_) | Run::Wait(_) | Run::Walk(_)));
    let samples = reads.flat_map(|row| row.samples.iter().map(move |sample| (row.name, *sample)));
    let more = UNDER_OTHER_CIRCUMSTANCES.iter().map(|line| ("", *line));
    let mut before = counters.look();
    for (row, sample) in samples.chain(more) {
        let request = words(sample);
        let reply = real.command(&request);
        // An old server may not know it; and whether a key was looked at before the words were found wrong is of no
        // interest.
        if reply.is_error() && !reply.text_starts("WRONGTYPE") {
            before = counters.look();
            continue;
        }
        ours.command(&request);
        asked += 1;
        let after = counters.look();
        let grown = [0, 1].map(|side| growth(&before[side], &after[side]));
        if !agree(row, grown.each_ref()) {
            wrong.push(format!("{sample}\n  real   {:?}\n  remora {:?}", grown[0], grown[1]));
        }
        before = after;
    }
    assert!(wrong.is_empty(), "{server}: {} of {asked} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(asked > 150, "only {asked} samples");
}

/// Some commands look at a key twice at real servers, or some of them, which then counts as two uses.
fn agree(row: &str, [real, ours]: [&BTreeMap<String, i64>; 2]) -> bool {
    if ["xread", "srandmember", "getset", "pfmerge"].contains(&row) {
        real.keys().eq(ours.keys())
    } else {
        real == ours
    }
}

fn every_write_is_a_use_where_it_is_one_at_a_real_replica(server: &str) {
    let Some(beside) = counting(server) else { return };
    let mut master = beside.master.client();
    let (mut wrong, mut before) = (Vec::new(), [BTreeMap::new(), BTreeMap::new()]);
    for line in WRITES.lines().map(str::trim).filter(|line| !line.is_empty()) {
        // An old server may not know it.
        if master.call(line).is_error() {
            continue;
        }
        beside.settle();
        let after = Counters::of(&beside).look();
        let [real, ours] = [0, 1].map(|side| growth(&before[side], &after[side]));
        if !agree(&line.split(' ').next().unwrap_or_default().to_ascii_lowercase(), [&real, &ours]) {
            wrong.push(format!("{line}\n  real   {real:?}\n  remora {ours:?}"));
        }
        before = after;
    }
    assert!(wrong.is_empty(), "{server}: {} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Writes over a few keys.
const WRITES: &str = "
    SET s v
    SET s w
    SET s 5 EX 1000
    SETEX s 1000 v
    GETEX s EX 500
    GETSET s 5
    INCR s
    INCRBYFLOAT s 1
    APPEND s x
    SETRANGE s 0 y
    SETBIT s 1 1
    BITFIELD s SET u8 0 7
    MSET s a t b
    BITOP OR t s
    EXPIRE s 100
    PERSIST s
    RPUSH l 1 2 3
    LPUSH l 0
    LSET l 0 9
    LINSERT l BEFORE 9 8
    LREM l 1 8
    LTRIM l 0 2
    LPOP l
    RPOPLPUSH l l2
    LMOVE l l2 LEFT LEFT
    SADD set 1 2 3
    SADD set2 2 3
    SREM set 1
    SMOVE set set2 2
    SUNIONSTORE dest set set2
    SUNIONSTORE dest set set2
    SINTERSTORE dest set2 set2
    HSET h f v g w
    HINCRBY h n 5
    HINCRBYFLOAT h n 1.5
    HDEL h f
    HSETNX h new 1
    ZADD z 1 a 2 b 3 c
    ZINCRBY z 1 a
    ZREM z b
    ZREMRANGEBYRANK z 0 0
    ZUNIONSTORE zdest 1 z
    ZUNIONSTORE zdest 1 z
    ZRANGESTORE zdest z 0 -1
    GEOADD geo 13 38 here
    GEOSEARCHSTORE zdest geo FROMLONLAT 13 38 BYRADIUS 10 km
    XADD x 1-1 f v
    XADD x 2-1 f v
    XGROUP CREATE x group 0
    XREADGROUP GROUP group me COUNT 1 STREAMS x >
    XACK x group 1-1
    XDEL x 1-1
    XTRIM x MAXLEN 1
    PFADD hll a b c
    PFADD hll2 d
    PFMERGE hll hll2
    SORT l2 STORE sorted
    SORT l2 BY w_* GET t STORE sorted
    COPY s copied
    COPY s copied REPLACE
    RENAME copied renamed
    RENAMENX renamed again
    SELECT 1
    SET other v
    MOVE other 0
    SELECT 0
    MSETNX n1 a n2 b
    SETNX n3 c
    UNLINK n1
    DEL n2
    SET s w KEEPTTL
    SET s w XX GET
    DECRBY num 5
    DECR num
    PEXPIRE s 100000
    EXPIREAT s 4000000000 GT
    GETDEL num
    LPUSHX l2 x
    RPUSHX l2 y
    LMPOP 1 l2 LEFT
    BLPOP l2 1
    SPOP set2
    SDIFFSTORE dest set set2
    SADD set 7 8 9
    SDIFFSTORE dest set set2
    ZINTERSTORE zdest 1 z
    ZADD z 5 e 6 f
    ZDIFFSTORE zdest 1 z
    ZPOPMIN z
    ZMPOP 1 z MIN
    ZREMRANGEBYSCORE z 100 200
    ZADD z XX 7 f
    HSET h f v
    HPEXPIRE h 1000000 FIELDS 1 f
    HPERSIST h FIELDS 1 f
    HSETEX h EX 100 FIELDS 1 f v
    HGETEX h PERSIST FIELDS 1 f
    HINCRBY h n 1
    XADD x NOMKSTREAM 9-1 f v
    XADD x 9-2 f v
    XREADGROUP GROUP group me COUNT 9 STREAMS x >
    XCLAIM x group you 0 9-1
    XAUTOCLAIM x group them 0 0
    XGROUP CREATECONSUMER x group nobody
    XGROUP DELCONSUMER x group nobody
    XGROUP SETID x group 0
    XSETID x 10-1
    XACKDEL x group IDS 1 9-2
    XGROUP DESTROY x group
    BITFIELD s INCRBY u8 0 1
    SETBIT bits 7 1
    BITOP NOT bits2 bits
    GEORADIUS geo 13 38 10 km STORE zdest
    COPY s s DB 2
    COPY s s DB 2 REPLACE
    EVAL \"redis.call('set', KEYS[1], 'x') redis.call('get', KEYS[2])\" 2 s t
    FLUSHALL
    SET s v
";

fn number(client: &mut Client, line: &str) -> i64 {
    match client.call(line) {
        Value::Int(number) => number,
        other => panic!("{line}: {other:?}"),
    }
}

/// Asserts idle times at least so long, and not longer than a slow run lasts.
#[track_caller]
fn assert_idle(client: &mut Client, key: &str, seconds: i64) {
    let allowed: RangeInclusive<i64> = seconds..=seconds + 300;
    let idle = number(client, &format!("OBJECT IDLETIME {key}"));
    assert!(allowed.contains(&idle), "{key}: {idle}, not {seconds} and a little");
}

/// A key that was used like this.
fn restore(master: &mut Client, key: &str, used: &str) {
    let payload = master.call("DUMP original").bytes().to_vec();
    let mut request = words(&format!("RESTORE {key} 0"));
    request.extend([payload, b"REPLACE".to_vec()]);
    request.extend(words(used));
    assert!(!master.command(&request).is_error(), "{key} {used}");
}

fn sub_replica(name: &str, remora: &Remora, settings: &[&str]) -> Real {
    let follow = format!("--replicaof 127.0.0.1 {}", remora.port);
    let real = Real::start(name, &[&[follow.as_str()], settings].concat()).expect("its master is of this kind");
    wait::until("the sub-replica is up", SOON, || real.client().info("replication")["master_link_status"] == "up");
    real
}

/// A master of this policy with four keys that were used in different ways, one of them in the stream.
fn master(server: &str, policy: &str) -> Option<Real> {
    let setting = format!("--maxmemory-policy {policy}");
    let master = Real::start(server, &[&setting, "--lfu-decay-time 0", "--repl-diskless-sync-delay 0"])?;
    let mut client = master.client();
    client.must("SET original text");
    restore(&mut client, "a", "IDLETIME 1000");
    restore(&mut client, "b", "FREQ 99");
    client.must("RPUSH c 1 2");
    Some(master)
}

/// A remora that follows the settings of the snapshot and counts each use.
fn remora(above: u16, more: &[&str]) -> Remora {
    let flags = ["--lfu-decay-time", "0", "--lfu-log-factor", "0", "--repl-diskless-sync-delay", "0"];
    let remora = Remora::follow(above, &[&flags, more].concat());
    remora.wait_linked();
    remora
}

fn uses_come_with_the_snapshot_and_are_passed_on(server: &str) {
    for policy in ["allkeys-lfu", "volatile-lru", "noeviction"] {
        let Some(master) = master(server, policy) else { return };
        let (mut client, kept) = (master.client(), folder::temporary());
        let dir = ["--dir", kept.path().to_str().expect("a name in UTF-8")];
        let mut first = remora(master.port, &dir);
        restore(&mut client, "s", if policy == "allkeys-lfu" { "FREQ 50" } else { "IDLETIME 2000" });
        first.wait_caught_up(&mut client);
        check_uses(policy, &mut first.client());
        let settings = [&format!("--maxmemory-policy {policy}"), "--lfu-decay-time 0"];
        if policy != "noeviction" {
            let below = remora(first.port, &[]);
            check_uses(policy, &mut below.client());
            check_uses(policy, &mut sub_replica(server, &below, &settings).client());
        }
        first.signal("TERM");
        wait::until_some("remora ends", SOON, || first.ended());
        first = remora(master.port, &dir);
        if policy == "noeviction" {
            // As at a real server, whose file says nothing of it then.
            ["a", "b", "c", "s"].into_iter().for_each(|key| assert_idle(&mut first.client(), key, 0));
            continue;
        }
        check_uses(policy, &mut first.client());
        ["GET b", "TTL a"].into_iter().for_each(|line| drop(first.client().must(line)));
        let mut real = sub_replica(server, &first, &settings);
        for mut client in [first.client(), real.client()] {
            match policy {
                "allkeys-lfu" => assert_eq!(number(&mut client, "OBJECT FREQ b"), 100),
                _ => assert_idle(&mut client, "b", 0),
            }
        }
        real.kill();
    }
}

/// What all that have these data must say.
#[track_caller]
fn check_uses(policy: &str, client: &mut Client) {
    if policy == "allkeys-lfu" {
        let all = ["a", "b", "c", "s"].map(|key| number(client, &format!("OBJECT FREQ {key}")));
        assert_eq!(all, [5, 99, 5, 50]);
        assert!(client.call("OBJECT IDLETIME a").is_error());
    } else {
        let a = if policy == "noeviction" { 0 } else { 1000 };
        [("a", a), ("b", 0), ("c", 0), ("s", 2000)]
            .into_iter()
            .for_each(|(key, idle)| assert_idle(client, key, idle));
        assert!(client.call("OBJECT FREQ a").is_error());
    }
}

fn policies_are_changed_at_run_time_as_at_a_real_replica(server: &str) {
    let debug: &[&str] = if server == "redis-6.0" { &[] } else { &["--enable-debug-command yes"] };
    let Some(beside) = Beside::start(server, debug, &[]) else { return };
    let mut master = beside.master.client();
    master.must("SET original text");
    restore(&mut master, "k", "IDLETIME 1000");
    beside.settle();
    // The words of an error of CONFIG SET are those of Redis 7.
    let seen = |line: &str, reply: &[u8]| match line.starts_with("CONFIG SET") && reply.starts_with(b"-") {
        true => String::from_utf8_lossy(reply).rsplit(" - ").next().unwrap_or_default().replace("(s)", ""),
        false => whole(line, reply),
    };
    let mut wrong = beside.differences(SWITCHES, false, seen);
    // With the policy of now.
    let mut twins = beside.twins(false);
    restore(&mut master, "k", "FREQ 77");
    beside.settle();
    twins.compare("OBJECT FREQ k", &whole);
    twins.compare("CONFIG SET maxmemory-policy volatile-random", &whole);
    twins.compare("OBJECT FREQ k", &whole);
    wrong.append(&mut twins.wrong);
    assert!(wrong.is_empty(), "{server}:\n{}", wrong.join("\n"));
    // The same stamp, read in the other way; and back.
    restore(&mut master, "k", "IDLETIME 1000");
    beside.settle();
    for policy in ["noeviction", "allkeys-lfu", "volatile-lru"] {
        let mut both = [beside.replica.client(), beside.remora.client()];
        let shown = both.each_mut().map(|client| {
            client.must(&format!("CONFIG SET maxmemory-policy {policy}"));
            let shown = client.call("DEBUG OBJECT k").text();
            let names = shown.split(' ').filter_map(|word| word.split_once(':')).map(|(name, _)| name.to_owned());
            names.collect::<Vec<_>>()
        });
        assert_eq!(shown[0], shown[1], "{policy}");
        let [real, ours] = &mut both;
        if policy != "allkeys-lfu" {
            assert_idle(ours, "k", 1000);
        }
        // Valkey 9.1 has changed the stamp when it showed the counter.
        if policy != "allkeys-lfu" && (server != "valkey-9.1" || policy == "noeviction") {
            assert_idle(real, "k", 1000);
        }
    }
}

const SWITCHES: &str = "
    CONFIG GET maxmemory-policy
    CONFIG GET lfu-log-factor
    CONFIG GET lfu-decay-time
    CONFIG SET maxmemory-policy nosuch
    CONFIG SET lfu-log-factor -1
    CONFIG SET lfu-log-factor x
    CONFIG SET lfu-decay-time 2147483648
    CONFIG SET lfu-decay-time 2147483647
    CONFIG SET lfu-decay-time 1
    CONFIG SET lfu-decay-time 0
    OBJECT FREQ k
    OBJECT FREQ missing
    OBJECT IDLETIME missing
    CONFIG SET maxmemory-policy ALLKEYS-RANDOM
    OBJECT FREQ k
    CONFIG SET maxmemory-policy volatile-ttl
    OBJECT FREQ k
    CONFIG SET maxmemory-policy volatile-lfu
    CONFIG GET maxmemory-policy
    OBJECT IDLETIME k
    OBJECT IDLETIME missing
    OBJECT FREQ missing
";
