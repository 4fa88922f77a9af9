//! The snapshots of `tests/data` against what stands beside them: databases, keys, values by digest, faults.
//!
//! The digests come from the servers' own DEBUG DIGEST, so that equal digests mean equal values.

use super::load::{LoadSettings, Loaded, Progress, load};
use super::snapshot::SnapshotWriter;
use super::source::Source;
use super::{Fault, LoadError};
use crate::clock::UnixMs;
use crate::config::UseSettings;
use crate::dataset::digest::{self, DigestStyle};
use crate::dataset::{EntryRef, ValueRef};
use crate::position::DbIndex;
use bytes::Bytes;
use serde_json::Value as Json;
use std::path::PathBuf;

/// Between the expiries that had passed when the fixtures were made and those far away.
const NOW: UnixMs = UnixMs(2_000_000_000_000);
/// Fixtures up to this size are also cut at every byte.
const SMALL: usize = 1100;

fn data(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/data", file].iter().collect()
}

fn read(file: &str) -> Vec<u8> {
    std::fs::read(data(file)).unwrap()
}

fn json(file: &str) -> Json {
    serde_json::from_slice(&read(file)).unwrap()
}

/// Names of all snapshots, without `.rdb`.
fn names() -> Vec<String> {
    let files = std::fs::read_dir(data("")).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = files.filter_map(|file| Some(file.strip_suffix(".rdb")?.to_owned())).collect();
    names.sort();
    names
}

fn settings() -> LoadSettings {
    LoadSettings { databases: 16, ..LoadSettings::default() }
}

fn load_slice(bytes: &[u8]) -> Result<Loaded, LoadError> {
    load(&mut Source::from_slice(bytes), &settings(), &Progress::default())
}

fn load_chunks(bytes: &[u8], size: usize) -> Result<Loaded, LoadError> {
    let mut chunks = bytes.chunks(size);
    let mut source = Source::new(move || Ok(chunks.next().map(Bytes::copy_from_slice)));
    load(&mut source, &settings(), &Progress::default())
}

fn digest_of(loaded: &Loaded, style: DigestStyle) -> String {
    digest::dataset(&loaded.dataset, style, NOW).to_string()
}

/// Undoes the `\xNN` of the descriptions.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&c, tail)) = rest.split_first() {
        rest = if c == b'\\' {
            out.push(u8::from_str_radix(std::str::from_utf8(&tail[1..3]).unwrap(), 16).unwrap());
            &tail[3..]
        } else {
            out.push(c);
            tail
        };
    }
    out
}

fn check_dataset(name: &str, loaded: &Loaded, told: &Json) {
    let dbsize: Vec<_> =
        loaded.dataset.dbs().filter(|(_, db)| !db.is_empty()).map(|(n, db)| (n.0.to_string(), db.len())).collect();
    let told_dbsize = told["dbsize"].as_object().unwrap();
    assert_eq!(dbsize.len(), told_dbsize.len(), "{name}: {dbsize:?}");
    for (db, len) in &dbsize {
        assert_eq!(told_dbsize[db].as_u64(), Some(*len as u64), "{name}: keys of database {db}");
    }
    for (style, told_style) in [
        (DigestStyle::Redis7, "redis-7.0"),
        (DigestStyle::Redis8, "redis-8.0"),
        (DigestStyle::Valkey, "valkey-9.1"),
    ] {
        assert_eq!(digest_of(loaded, style), told["digest"][told_style], "{name}: digest as {told_style}");
    }
}

fn check_key(name: &str, entry: EntryRef<'_>, told: &Json, style: DigestStyle) {
    let key = &told["key"];
    assert_eq!(entry.value().kind().name(), told["type"], "{name}: {key}");
    assert_eq!(entry.expiry().map(|at| at.0), told["expire_ms"].as_i64(), "{name}: expiry of {key}");
    if let Some(told) = told["digest_value"].as_str() {
        assert_eq!(digest::value(entry, style, NOW).to_string(), told, "{name}: DIGEST-VALUE of {key}");
    }
    if let Some(told) = told["len"].as_u64() {
        assert_eq!(length(entry.value()) as u64, told, "{name}: length of {key}");
    }
}

fn length(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Str(bytes, _) => bytes.len(),
        ValueRef::List(list) => list.len(),
        ValueRef::Set(set) => set.len(),
        ValueRef::ZSet(zset) => zset.len(),
        ValueRef::Hash(hash) => hash.len(),
        ValueRef::Stream(stream) => stream.len() as usize,
        ValueRef::Marked(_) => 0,
    }
}

fn style_of(maker: &str) -> DigestStyle {
    match maker {
        "redis-8.0" => DigestStyle::Redis8,
        "valkey-8.1" | "valkey-9.1" => DigestStyle::Valkey,
        _ => DigestStyle::Redis7,
    }
}

#[test]
fn every_snapshot_holds_what_its_maker_said() {
    let described = names().into_iter().map(|name| (json(&format!("{name}.json")), name));
    let mut seen = 0;
    for (told, name) in described.filter(|(told, _)| told["digest"].is_object()) {
        let loaded = load_slice(&read(&format!("{name}.rdb"))).unwrap_or_else(|error| panic!("{name}: {error}"));
        check_dataset(&name, &loaded, &told);
        let sources: Vec<_> = loaded.dataset.functions.iter().map(|(_, source)| source.to_vec()).collect();
        let told_sources = told["functions"].as_array().into_iter().flatten();
        let mut told_sources: Vec<_> = told_sources.map(|text| unescape(text.as_str().unwrap())).collect();
        told_sources.sort();
        assert_eq!(told_sources, sources, "{name}: functions, by name");
        assert_eq!(told["rdb_version"].as_u64(), Some(u64::from(loaded.facts.version)), "{name}");
        for key in told["keys"].as_array().into_iter().flatten() {
            let db = loaded.dataset.db(DbIndex(key["db"].as_u64().unwrap() as u32)).unwrap();
            let entry = db.get(&unescape(key["key"].as_str().unwrap())).unwrap_or_else(|| panic!("{name}: {key}"));
            check_key(&name, entry, key, style_of(told["made_by"].as_str().unwrap()));
        }
        seen += 1;
    }
    assert!(seen >= 30, "only {seen} snapshots were found");
}

#[test]
fn field_expiries_are_those_of_the_master() {
    let mut seen = 0;
    for name in ["redis-8.0", "valkey-9.1"] {
        let loaded = load_slice(&read(&format!("{name}.rdb"))).unwrap();
        for key in json(&format!("{name}.json"))["keys"].as_array().unwrap() {
            let Some(told) = key["field_expire_ms"].as_array() else { continue };
            let db = loaded.dataset.db(DbIndex(key["db"].as_u64().unwrap() as u32)).unwrap();
            let entry = db.get(key["key"].as_str().unwrap().as_bytes()).unwrap();
            let ValueRef::Hash(hash) = entry.value() else { panic!("{key} is a hash") };
            for pair in told {
                let field = unescape(pair[0].as_str().unwrap());
                let expiry = hash.get(&field).and_then(|entry| entry.expiry);
                assert_eq!(expiry.map(|at| at.0), pair[1].as_i64(), "{name}: {key}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 8, "only {seen} fields were seen");
}

#[test]
fn snapshots_of_sessions_load_from_chunks_of_any_size() {
    for server in ["redis-6.0", "redis-7.0", "redis-8.0", "valkey-8.1", "valkey-9.1"] {
        let (told, session) = (json(&format!("{server}.session.json")), read(&format!("{server}.session.bin")));
        let magic = told["snapshot"]["magic"].as_str().unwrap().as_bytes();
        let start = session.windows(magic.len()).position(|window| window == magic).unwrap();
        let snapshot = &session[start..start + told["snapshot_bytes"].as_u64().unwrap() as usize];
        for size in [1, 7, 100, snapshot.len()] {
            let loaded = load_chunks(snapshot, size).unwrap_or_else(|error| panic!("{server}: {error}"));
            check_dataset(server, &loaded, &told["snapshot"]);
            assert_eq!(told["replid"], loaded.dataset.position.replid.as_str());
            assert_eq!(told["offset_at_snapshot"].as_u64(), Some(loaded.dataset.position.offset.0));
            assert_eq!(loaded.facts.bytes, snapshot.len() as u64);
            let dialect = loaded.facts.dialect.map(DigestStyle::from);
            assert_eq!(dialect, Some(style_of(server)), "{server}");
        }
    }
}

#[test]
fn module_values_are_stepped_over_and_marked() {
    for (name, module) in [("handmade-module", "fixture-m"), ("redis-8.0.vectorset", "vectorset")] {
        let loaded = load_slice(&read(&format!("{name}.rdb"))).unwrap();
        let entries = || loaded.dataset.dbs().flat_map(|(_, db)| db.iter());
        let marked: Vec<_> =
            entries().filter(|e| matches!(e.value(), ValueRef::Marked(m) if m.module == module)).collect();
        assert_eq!((marked.len(), loaded.dataset.marked_keys()), (1, 1), "{name}");
        assert_eq!(entries().count(), json(&format!("{name}.json"))["keys"].as_array().unwrap().len(), "{name}");
    }
}

#[test]
fn what_is_bad_is_refused_with_its_place() {
    for (name, place) in [
        ("bad-crc", "snapshot byte 1464: checksum is"),
        ("bad-huge-length", "unknown packing of a string"),
        ("bad-length", "unknown form of a length"),
        ("bad-listpack", "listpack: total bytes disagree with the blob"),
        ("bad-lzf", "LZF"),
        ("bad-magic", "snapshot byte 9: neither REDIS nor VALKEY"),
        ("bad-truncated", "snapshot byte 732: the bytes end too early"),
        ("bad-type", "type or opcode 8 is not known"),
        ("bad-version", "snapshot byte 9: version 99 is not known"),
    ] {
        let bytes = read(&format!("{name}.rdb"));
        for error in [load_slice(&bytes).map(drop), load_chunks(&bytes, 5).map(drop)] {
            let text = error.expect_err(name).to_string();
            assert!(text.starts_with("snapshot byte ") && text.contains(place), "{name}: {text}");
        }
    }
}

#[test]
fn no_cut_of_a_small_snapshot_loads() {
    for name in names() {
        let whole = read(&format!("{name}.rdb"));
        if whole.len() > SMALL || name.starts_with("bad-") {
            continue;
        }
        for end in 0..whole.len() {
            let error = load_slice(&whole[..end]).map(drop).expect_err("a cut snapshot");
            assert_eq!((error.offset, &error.fault), (end as u64, &Fault::Truncated), "{name} cut at {end}");
            if end % 16 == 0 {
                assert_eq!(load_chunks(&whole[..end], 11).map(drop), Err(error), "{name} cut at {end}");
            }
        }
        let longer = [whole, b"x".to_vec()].concat();
        assert!(load_slice(&longer).is_err(), "{name} with a byte behind it");
    }
}

#[test]
fn an_abort_ends_a_load() {
    let progress = Progress::default();
    progress.abort.store(true, std::sync::atomic::Ordering::Relaxed);
    let bytes = read("redis-8.0.plain.rdb");
    let error = load(&mut Source::from_slice(&bytes), &settings(), &progress).map(drop).expect_err("aborted");
    assert_eq!(error.fault, Fault::Aborted);
}

/// Database, key, expiry, and the payload, which shows encoding and all details.
type Detail = (u32, Vec<u8>, Option<i64>, Option<Vec<u8>>);

fn everything(loaded: &Loaded) -> Vec<Detail> {
    let dialect = loaded.dataset.limits.dialect;
    let entries = loaded.dataset.dbs().flat_map(|(db, keys)| keys.iter().map(move |entry| (db.0, entry)));
    let mut all: Vec<_> = entries
        .map(|(db, entry)| {
            let payload = super::save::dump_payload(entry.value(), dialect);
            (db, entry.key().to_vec(), entry.expiry().map(|at| at.0), payload)
        })
        .collect();
    all.sort();
    all
}

#[test]
fn nothing_is_lost_when_we_write_a_file_for_ourselves_and_load_it() {
    for name in names().iter().filter(|name| !name.starts_with("bad-")) {
        let loaded = load_slice(&read(&format!("{name}.rdb"))).unwrap();
        let mut capture = loaded.dataset.capture(SnapshotWriter::own(&loaded.dataset, UseSettings::default()));
        while !capture.advance(&loaded.dataset, 100) {}
        let bytes = capture.sink(|writer| {
            writer.finish();
            writer.take()
        });
        let again = load_slice(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(everything(&again) == everything(&loaded), "{name}");
        assert_eq!(again.dataset.functions, loaded.dataset.functions, "{name}");
        assert_eq!(again.dataset.position, loaded.dataset.position, "{name}");
        assert_eq!(again.dataset.limits.dialect, loaded.dataset.limits.dialect, "{name}");
    }
}

#[test]
fn values_come_back_from_their_payloads() {
    let mut seen = 0;
    for name in names().iter().filter(|name| !name.starts_with("bad-")) {
        let loaded = load_slice(&read(&format!("{name}.rdb"))).unwrap();
        for entry in loaded.dataset.dbs().flat_map(|(_, db)| db.iter()) {
            let Some(payload) = super::save::dump_payload(entry.value(), loaded.dataset.limits.dialect) else {
                continue;
            };
            let value = super::save::restore_payload(&payload, &loaded.dataset.limits);
            let value = value.unwrap_or_else(|error| panic!("{name}: {error}")).expect("no empty collections");
            let mut other = crate::dataset::Keyspace::default();
            other.insert(entry.key(), value, entry.expiry());
            for style in [DigestStyle::Redis7, DigestStyle::Redis8, DigestStyle::Valkey] {
                let again = digest::value(other.get(entry.key()).unwrap(), style, NOW);
                assert_eq!(again, digest::value(entry, style, NOW), "{name}: {:?}", entry.key());
            }
            seen += 1;
        }
    }
    assert!(seen > 300, "only {seen} values");
}
