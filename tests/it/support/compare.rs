//! Are master and remora equal? The digest first, then what the digest is blind for.

use super::client::{Client, Value};
use super::real::Real;
use super::remora::{Remora, master_offset};
use super::wait;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Waits until remora has all that the master wrote, and checks that DEBUG DIGEST is the same on both at one
/// offset. Fails with the keys that differ. The master may still delete expired keys meanwhile.
#[track_caller]
pub fn assert_same_digest(master: &Real, remora: &Remora) {
    let (mut ours, mut theirs) = (remora.client(), master.client());
    let start = Instant::now();
    loop {
        let offset = remora.wait_caught_up(&mut theirs);
        let (expected, found) = (theirs.digest(), ours.digest());
        if expected == found {
            return;
        }
        // Equal offsets around both digests: nothing moved, they really differ. Valkey 9 leaves expired fields out
        // of its digest, so there two digests taken one after the other may differ for a moment.
        let still = master_offset(&mut theirs) == offset;
        let by_time = master.name == "valkey-9.1" && start.elapsed() < Duration::from_secs(5);
        if still && !by_time {
            let keys = differing_keys(&mut theirs, &mut ours).join("\n");
            panic!("at offset {offset} {} has digest {expected}, remora {found}; keys:\n{keys}", master.name);
        }
        assert!(start.elapsed() < Duration::from_secs(120), "no quiet moment to compare digests");
    }
}

/// One line for each key whose DIGEST-VALUE, expiry or presence differs, at most twenty.
pub fn differing_keys(master: &mut Client, remora: &mut Client) -> Vec<String> {
    let mut lines = Vec::new();
    for db in 0..16 {
        for client in [&mut *master, &mut *remora] {
            client.must(&format!("SELECT {db}"));
        }
        let mut keys: BTreeSet<Vec<u8>> = all_keys(master).into_iter().collect();
        keys.extend(all_keys(remora));
        for key in keys {
            let request = [&b"DEBUG"[..], b"DIGEST-VALUE", &key];
            let (expected, found) = (master.command(&request), remora.command(&request));
            if expected != found {
                let kind = master.command(&[&b"TYPE"[..], &key]).text();
                lines.push(format!("db {db} {kind} {}: {expected:?}, not {found:?}", key.escape_ascii()));
            }
        }
    }
    if lines.is_empty() {
        lines.push("none by DIGEST-VALUE: expiry, or keys that are expired already".to_string());
    }
    lines.truncate(20);
    lines
}

/// All keys of the selected database that a client can see.
pub fn all_keys(client: &mut Client) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let mut cursor = "0".to_string();
    loop {
        let reply = client.must(&format!("SCAN {cursor} COUNT 1000"));
        let [next, part] = reply.items() else { panic!("SCAN: {reply:?}") };
        keys.extend(part.items().iter().map(|key| key.bytes().to_vec()));
        cursor = next.text();
        if cursor == "0" {
            return keys;
        }
    }
}

/// Checks what the digest does not see, key by key: expiry in milliseconds, field expiry, streams with their groups,
/// and the function libraries.
#[track_caller]
pub fn assert_same_details(master: &Real, remora: &Remora) {
    let (mut theirs, mut ours) = (master.client(), remora.client());
    for db in 0..16 {
        theirs.must(&format!("SELECT {db}"));
        ours.must(&format!("SELECT {db}"));
        let keys = all_keys(&mut theirs);
        let types = theirs.pipeline(&about(&keys, &["TYPE"], &[]));
        if !master.is_before_redis_7() {
            assert_same_replies(&mut theirs, &mut ours, &about(&keys, &["PEXPIRETIME"], &[]));
        }
        assert_same_encodings(&mut theirs, &mut ours, &keys);
        let of = |kind: &str| -> Vec<Vec<u8>> {
            let typed = keys.iter().zip(&types).filter(|(_, found)| found.text() == kind);
            typed.map(|(key, _)| key.clone()).collect()
        };
        if master.has_field_expiry() {
            for hash in of("hash") {
                assert_same_field_expiry(&mut theirs, &mut ours, &hash);
            }
        }
        for stream in of("stream") {
            assert_same_stream(master, &mut theirs, &mut ours, &stream);
        }
    }
    if !master.is_before_redis_7() {
        assert_same_functions(&mut theirs, &mut ours);
    }
}

/// Requests about each key: words, the key, further words.
fn about(keys: &[Vec<u8>], before: &[&str], behind: &[&str]) -> Vec<Vec<Vec<u8>>> {
    let bytes = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    keys.iter().map(|key| [bytes(before), vec![key.clone()], bytes(behind)].concat()).collect()
}

/// OBJECT ENCODING of all keys. A faithful replica may differ where it receives the result instead of the command: a
/// number that INCRBYFLOAT made is text there, a set that lost most members by SPOP still a table here. And where it
/// receives nothing: redis 8.0 prepares a small hash for expiring fields, then finds none of those that HEXPIRE names, and
/// tells nobody. Likewise LINSERT without its pivot and LSET beyond the end: the master has made room for the element by
/// then, as a quicklist, and its replicas hear nothing (seen on valkey 8.1 and its replica).
#[track_caller]
fn assert_same_encodings(master: &mut Client, remora: &mut Client, keys: &[Vec<u8>]) {
    let requests = about(keys, &["OBJECT", "ENCODING"], &[]);
    let (expected, found) = (master.pipeline(&requests), remora.pipeline(&requests));
    for ((request, expected), found) in requests.iter().zip(expected).zip(found) {
        let free =
            [["embstr", "int"], ["listpack", "hashtable"], ["intset", "hashtable"], ["listpackex", "listpack"]];
        let either = |pair: &[&str; 2]| pair.iter().all(|name| expected.text_is(name) || found.text_is(name));
        let made_room = expected.text_is("quicklist") && found.text_is("listpack");
        if expected != found && !made_room && !free.iter().any(either) {
            assert_same_reply(master, remora, request);
        }
    }
}

/// Keys may expire between the two questions: a difference is asked again.
#[track_caller]
fn assert_same_replies(master: &mut Client, remora: &mut Client, requests: &[Vec<Vec<u8>>]) {
    let (expected, found) = (master.pipeline(requests), remora.pipeline(requests));
    for ((request, expected), found) in requests.iter().zip(expected).zip(found) {
        if expected != found {
            assert_same_reply(master, remora, request);
        }
    }
}

/// One request, asked again for a while as long as the replies differ.
#[track_caller]
pub fn assert_same_reply(master: &mut Client, remora: &mut Client, request: &[Vec<u8>]) {
    let shown: Vec<String> = request.iter().map(|word| word.escape_ascii().to_string()).collect();
    let mut last = None;
    wait::until(&format!("the same reply to {shown:?}; see below"), Duration::from_secs(5), || {
        let (expected, found) = (master.command(request), remora.command(request));
        let same = expected == found;
        if last.as_ref() != Some(&(expected.clone(), found.clone())) && !same {
            eprintln!("{shown:?}\n  master {expected:?}\n  remora {found:?}");
        }
        last = Some((expected, found));
        same
    });
}

#[track_caller]
fn assert_same_field_expiry(master: &mut Client, remora: &mut Client, hash: &[u8]) {
    let fields = master.command(&[b"HKEYS", hash]);
    let fields: Vec<Vec<u8>> = fields.items().iter().map(|field| field.bytes().to_vec()).collect();
    if fields.is_empty() {
        return;
    }
    let count = fields.len().to_string().into_bytes();
    let head = vec![b"HPEXPIRETIME".to_vec(), hash.to_vec(), b"FIELDS".to_vec(), count];
    assert_same_reply(master, remora, &[head, fields].concat());
}

/// Fields of XINFO STREAM that a faithful replica may have otherwise.
const STREAM_FIELDS_FREE: [&str; 4] = ["radix-tree-keys", "radix-tree-nodes", "seen-time", "active-time"];
/// On 7.0 the stream does not carry these.
const STREAM_FIELDS_FREE_BEFORE_8: [&str; 2] = ["entries-read", "lag"];
/// 6.0 does not know these.
const STREAM_FIELDS_SINCE_7: [&str; 3] = ["max-deleted-entry-id", "entries-added", "recorded-first-entry-id"];

/// XINFO STREAM FULL without what a faithful replica may have otherwise (protocol: consumers that only exist on the
/// master, times; on 7.0 entries read and lag, since its stream carries no SETID).
#[track_caller]
fn assert_same_stream(server: &Real, master: &mut Client, remora: &mut Client, key: &[u8]) {
    let request: Vec<Vec<u8>> =
        [b"XINFO", b"STREAM" as &[u8], key, b"FULL", b"COUNT", b"0"].map(<[u8]>::to_vec).into();
    let mut free = STREAM_FIELDS_FREE.to_vec();
    if matches!(server.name.as_str(), "redis-6.0" | "redis-7.0") {
        free.extend(STREAM_FIELDS_FREE_BEFORE_8);
    }
    if server.is_before_redis_7() {
        free.extend(STREAM_FIELDS_SINCE_7);
    }
    let (expected, found) = (master.command(&request), remora.command(&request));
    let (expected, found) = (comparable(&expected, &free), comparable(&found, &free));
    assert_eq!(expected, found, "XINFO STREAM {} FULL: left the master, right remora", key.escape_ascii());
}

/// A reply of XINFO STREAM FULL reduced to what must agree.
fn comparable(value: &Value, free: &[&str]) -> Value {
    let Value::Array(items) = value else { return value.clone() };
    let named = items.len() % 2 == 0 && items.iter().step_by(2).all(|item| matches!(item, Value::Bulk(_)));
    if !named {
        let items = items.iter().map(|item| comparable(item, free));
        return Value::Array(items.filter(|item| *item != Value::Null).collect());
    }
    let mut kept = Vec::new();
    for pair in items.chunks(2) {
        if !free.contains(&pair[0].text().as_str()) {
            kept.extend([pair[0].clone(), comparable(&pair[1], free)]);
        }
    }
    // A consumer without pending entries may exist on the master alone.
    let idle = kept.windows(2).any(|pair| pair[0].text_is("pel-count") && pair[1] == Value::Int(0));
    if idle && !kept.iter().any(|item| item.text_is("last-delivered-id")) {
        Value::Null
    } else {
        Value::Array(kept)
    }
}

#[track_caller]
fn assert_same_functions(master: &mut Client, remora: &mut Client) {
    let libraries = |client: &mut Client| -> Vec<Value> {
        let reply = client.must("FUNCTION LIST WITHCODE");
        let mut libraries = reply.items().to_vec();
        libraries.sort_by_key(|library| format!("{library:?}"));
        libraries
    };
    let code = |library: &Value| {
        let fields = library.items();
        fields
            .chunks(2)
            .filter(|pair| matches!(pair[0].text().as_str(), "library_name" | "library_code"))
            .map(|pair| pair[1].text())
            .collect::<Vec<_>>()
    };
    let counts = [&mut *master, &mut *remora].map(|client| client.info("memory")["number_of_libraries"].clone());
    assert_eq!(counts[0], counts[1], "number of function libraries: left the master, right remora");
    if remora.call("FUNCTION LIST").text_starts("ERR unknown") {
        return eprintln!("remora does not list its functions: only their number was compared");
    }
    let expected: Vec<_> = libraries(master).iter().map(code).collect();
    let found: Vec<_> = libraries(remora).iter().map(code).collect();
    assert_eq!(expected, found, "function libraries: left the master, right remora");
}
