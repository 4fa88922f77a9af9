//! fred: ordinary use of a replica, the same as of a real one of the same master, in RESP2 and RESP3.

use crate::support::beside::Beside;
use crate::support::remora::SOON;
use crate::support::{client, folder};
use fred::prelude::*;
use fred::types::{InfoKind, RespVersion, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

const LIBRARY: &str = "#!lua name=mylib\nredis.register_function{function_name='len', callback=function(keys) return \
                       redis.call('STRLEN', keys[1]) end, flags={'no-writes'}}";

#[test]
fn against_redis_8_0() {
    fred_finds_the_same_as_at_a_real_replica("redis-8.0");
}

#[test]
fn against_valkey_9_1() {
    fred_finds_the_same_as_at_a_real_replica("valkey-9.1");
}

fn fred_finds_the_same_as_at_a_real_replica(server: &str) {
    let Some(beside) = Beside::start(server, &[], &[]) else { return };
    fill(&beside);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for version in [RespVersion::RESP2, RespVersion::RESP3] {
        let used = |port| {
            beside.settle();
            runtime.block_on(used(port, beside.master.port, version.clone()))
        };
        let (expected, found) = (used(beside.replica.port), used(beside.remora.port));
        let differ: Vec<_> = expected.iter().zip(&found).filter(|(real, ours)| real != ours).collect();
        assert!(
            differ.is_empty() && expected.len() == found.len(),
            "{server} {version:?}: real, ours: {differ:#?}"
        );
    }
}

/// The dataset of the samples, and a function.
fn fill(beside: &Beside) {
    let text = std::fs::read_to_string(folder::data("sample.txt")).expect("the sample");
    let mut master = beside.master.client();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        // Not every server knows every command.
        master.call(line);
    }
    master.must("SELECT 0");
    master.command(&["FUNCTION", "LOAD", LIBRARY]);
    beside.settle();
}

/// What was asked and what came, as text.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn note(&mut self, what: &str, came: impl Debug) {
        self.0.push(format!("{what}: {came:?}"));
    }
}

async fn connected(port: u16, version: RespVersion) -> Client {
    let server = ServerConfig::new_centralized("127.0.0.1", port);
    let mut builder = Builder::from_config(Config { server, version, ..Config::default() });
    builder.with_connection_config(|limits| {
        (limits.connection_timeout, limits.internal_command_timeout) = (SOON, SOON);
    });
    let client = builder.build().expect("a client");
    client.init().await.expect("a connection");
    client
}

async fn used(port: u16, master: u16, version: RespVersion) -> Vec<String> {
    let client = connected(port, version.clone()).await;
    let mut notes = Notes::default();
    values(&client, &mut notes).await;
    collections(&client, &mut notes).await;
    sorted_sets_and_streams(&client, &mut notes).await;
    together(&client, &mut notes).await;
    scripts(&client, &mut notes).await;
    refusals(&client, &mut notes).await;
    let hears = connected(port, version.clone()).await;
    messages(&hears, port, master, &mut notes).await;
    if version == RespVersion::RESP3 {
        invalidations(&client, master, &mut notes).await;
    }
    client.quit().await.expect("QUIT");
    hears.quit().await.expect("QUIT");
    notes.0
}

async fn values(client: &Client, notes: &mut Notes) {
    notes.note("PING", client.ping::<String>(None).await);
    notes.note("GET", client.get::<Value, _>("s:a").await);
    notes.note("GET of bytes", client.get::<Value, _>("s:bin").await);
    notes.note("GET of nothing", client.get::<Option<String>, _>("none").await);
    notes.note("GET as a number", client.get::<i64, _>("s:int").await);
    notes.note("GET of a list", client.get::<Value, _>("l:small").await);
    notes.note("MGET", client.mget::<Value, _>(vec!["s:a", "none", "l:small", "s:neg"]).await);
    notes.note("STRLEN", client.strlen::<i64, _>("s:long").await);
    notes.note("GETRANGE", client.getrange::<String, _>("s:a", 1, 4).await);
    notes.note("EXISTS", client.exists::<i64, _>(vec!["s:a", "none", "s:a"]).await);
    notes.note("EXPIRETIME", client.pexpire_time::<i64, _>("s:ttl").await);
    notes.note("TTL", client.ttl::<i64, _>("s:a").await);
    notes.note("DBSIZE", client.dbsize::<i64>().await);
    let info: String = client.info(Some(InfoKind::Replication)).await.expect("INFO");
    notes.note("INFO replication", info.contains("role:slave"));
    notes.note("INFO keyspace", client.info::<String>(Some(InfoKind::Keyspace)).await.map(|text| text.len() > 20));
}

async fn collections(client: &Client, notes: &mut Notes) {
    notes.note("HGET", client.hget::<Value, _, _>("h:small", "name").await);
    notes.note("HMGET", client.hmget::<Value, _, _>("h:small", vec!["name", "none", "empty"]).await);
    notes.note("HGETALL", client.hgetall::<BTreeMap<String, String>, _>("h:one").await);
    notes.note("HGETALL", client.hgetall::<BTreeMap<String, Value>, _>("h:small").await);
    notes.note("HKEYS", client.hkeys::<BTreeSet<String>, _>("h:big").await);
    notes.note("HLEN", client.hlen::<i64, _>("h:big").await);
    notes.note("HEXISTS", client.hexists::<bool, _, _>("h:small", "number").await);
    notes.note("SMEMBERS", client.smembers::<BTreeSet<String>, _>("set:big").await);
    notes.note("SISMEMBER", client.sismember::<bool, _, _>("set:int", 3).await);
    notes.note("SMISMEMBER", client.smismember::<Value, _, _>("set:int", vec![3, 4]).await);
    notes.note("SINTER", client.sinter::<BTreeSet<String>, _>(vec!["set:small", "set:other"]).await);
    notes.note("SCARD", client.scard::<i64, _>("set:big").await);
    notes.note("LRANGE", client.lrange::<Value, _>("l:small", 0, -1).await);
    notes.note("LINDEX", client.lindex::<Value, _>("l:large", -1).await);
    notes.note("LLEN", client.llen::<i64, _>("none").await);
}

async fn sorted_sets_and_streams(client: &Client, notes: &mut Notes) {
    notes.note("ZRANGE", client.zrange::<Value, _, _, _>("z:small", 0, -1, None, false, None, false).await);
    let scored = client.zrange::<Value, _, _, _>("z:small", 0, -1, None, false, None, true).await;
    let scored = scored.and_then(Value::into_zset_result);
    notes.note("ZRANGE WITHSCORES", scored);
    notes.note("ZSCORE", client.zscore::<Value, _, _>("z:one", "only").await);
    notes.note("ZSCORE of nobody", client.zscore::<Option<f64>, _, _>("z:one", "nobody").await);
    notes.note("ZRANK", client.zrank::<Value, _, _>("z:small", "one", false).await);
    notes.note("ZCARD", client.zcard::<i64, _>("z:big").await);
    notes.note("ZCOUNT", client.zcount::<i64, _>("z:big", 10.0, 20.0).await);
    notes.note("XLEN", client.xlen::<i64, _>("x:a").await);
    let entries = client.xrange_values::<String, String, String, _, _, _>("x:a", "-", "+", Some(3)).await;
    notes.note("XRANGE", entries.map(|all| all.into_iter().map(in_order).collect::<Vec<_>>()));
    let read = client.xread_map::<String, String, String, String, _, _>(Some(2), None, "x:a", "2-1").await;
    let read = read.map(|all| all.into_iter().map(|(key, all)| (key, all.into_iter().map(in_order).collect())));
    notes.note("XREAD", read.map(Iterator::collect::<Vec<(String, Vec<_>)>>));
    // Blocks, and nothing comes.
    let none = client.xread::<Value, _, _>(None, Some(20), "x:a", "$").await;
    notes.note("XREAD BLOCK", none);
}

/// Fields come in the order of a hash table of the client's.
fn in_order(
    (id, fields): (String, std::collections::HashMap<String, String>),
) -> (String, BTreeMap<String, String>) {
    (id, fields.into_iter().collect())
}

/// Walks, pipelines, transactions, other databases.
async fn together(client: &Client, notes: &mut Notes) {
    let (mut cursor, mut keys) = ("0".to_owned(), BTreeSet::new());
    loop {
        let page: (String, Vec<String>) =
            client.scan_page(cursor.clone(), "s*", Some(5), None).await.expect("SCAN");
        keys.extend(page.1);
        cursor = page.0;
        if cursor == "0" {
            break;
        }
    }
    notes.note("SCAN", keys);
    let pipeline = client.pipeline();
    for key in ["s:a", "none", "l:small"] {
        pipeline.get::<(), _>(key).await.expect("queued");
    }
    pipeline.hget::<(), _, _>("h:one", "field").await.expect("queued");
    notes.note("a pipeline", pipeline.try_all::<Value>().await);
    for key in ["set:big", "s:a"] {
        let transaction = client.multi();
        transaction.get::<(), _>("s:a").await.expect("queued");
        transaction.scard::<(), _>(key).await.expect("queued");
        notes.note("a transaction", transaction.exec::<Value>(false).await);
    }
    notes.note("SELECT", client.select(5).await);
    notes.note("DBSIZE there", client.dbsize::<i64>().await);
    notes.note("SELECT", client.select(0).await);
}

async fn scripts(client: &Client, notes: &mut Notes) {
    let source = "return {KEYS[1], ARGV[1], redis.call('GET', KEYS[1]), 3.7, false}";
    notes.note("EVAL", client.eval::<Value, _, _, _>(source, vec!["s:a"], vec!["x"]).await);
    let hash: String = client.script_load("return redis.call('LLEN', KEYS[1])").await.expect("SCRIPT LOAD");
    notes.note("SCRIPT EXISTS", client.script_exists::<Value, _>(hash.clone()).await);
    notes.note("EVALSHA", client.evalsha::<Value, _, _, _>(hash, vec!["l:small"], Vec::<String>::new()).await);
    let unknown = client.evalsha::<Value, _, _, _>("0".repeat(40), vec!["l:small"], Vec::<String>::new()).await;
    notes.note("EVALSHA of an unknown one", unknown);
    notes.note("FCALL_RO", client.fcall_ro::<Value, _, _, _>("len", vec!["s:a"], Vec::<String>::new()).await);
}

async fn refusals(client: &Client, notes: &mut Notes) {
    notes.note("SET", client.set::<(), _, _>("k", "v", None, None, false).await);
    notes.note("DEL", client.del::<i64, _>("s:a").await);
    notes.note("HSET", client.hset::<i64, _, _>("h:one", ("field", "other")).await);
    let transaction = client.multi();
    transaction.incr::<(), _>("s:int").await.expect("queued");
    notes.note("INCR in a transaction", transaction.exec::<Value>(false).await);
    let source = "return redis.call('SET', KEYS[1], 'v')";
    let written = client.eval::<Value, _, _, _>(source, vec!["k"], Vec::<String>::new()).await;
    notes.note("SET in a script", written.map_err(|error| error.details().contains("READONLY")));
    notes.note("GET afterwards", client.get::<Value, _>("s:a").await);
}

/// What the master publishes arrives, on channels and patterns.
async fn messages(client: &Client, port: u16, master: u16, notes: &mut Notes) {
    let mut heard = client.message_rx();
    client.subscribe("news").await.expect("SUBSCRIBE");
    client.psubscribe("we*").await.expect("PSUBSCRIBE");
    // fred goes on before the server has heard of the pattern.
    let mut replica = client::Client::connect(port);
    let heard_of = async {
        while replica.must("PUBSUB NUMPAT").int() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(SOON, heard_of).await.expect("a subscription");
    let mut master = client::Client::connect(master);
    for line in
        ["PUBLISH news fresh", "PUBLISH other unheard", "PUBLISH weather \"sun and rain\"", "PUBLISH news last"]
    {
        master.must(line);
    }
    for _ in 0..3 {
        let message = tokio::time::timeout(SOON, heard.recv()).await.expect("a message").expect("a message");
        notes.note("a message", (message.kind, message.channel, message.value));
    }
    client.unsubscribe("news").await.expect("UNSUBSCRIBE");
    client.punsubscribe("we*").await.expect("PUNSUBSCRIBE");
}

/// A key that was read is told of once the master changes it.
async fn invalidations(client: &Client, master: u16, notes: &mut Notes) {
    let mut told = client.invalidation_rx();
    client.start_tracking(Vec::<String>::new(), false, false, false, false).await.expect("CLIENT TRACKING");
    notes.note("a tracked GET", client.get::<Value, _>("w:10").await);
    let mut master = client::Client::connect(master);
    let before = master.must("GET w:10").text();
    master.must("SET w:10 changed");
    let told = tokio::time::timeout(SOON, told.recv()).await.expect("word of it").expect("word of it");
    notes.note("an invalidation", told.keys);
    notes.note("the key then", client.get::<Value, _>("w:10").await);
    client.stop_tracking().await.expect("CLIENT TRACKING");
    master.must(&format!("SET w:10 {before}"));
    // The next one finds it as it was.
    let caught_up = tokio::time::timeout(SOON, async {
        while client.get::<Option<String>, _>("w:10").await.expect("GET") != Some(before.clone()) {
            tokio::task::yield_now().await;
        }
    });
    caught_up.await.expect("the old value again");
}
