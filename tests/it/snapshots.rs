//! Snapshots that we write, loaded by the real servers: every fixture, each in the form of every receiver.

use crate::support::client::Client;
use crate::support::fixture::Fixture;
use crate::support::real::{Real, for_each_master};
use remora::clock::UnixMs;
use remora::config::UseSettings;
use remora::dataset::digest::{self, DigestStyle};
use remora::dataset::{Dataset, Dialect, ValueRef};
use remora::rdb::load::{LoadSettings, Progress, load};
use remora::rdb::save::{dump_payload, restore_functions};
use remora::rdb::snapshot::SnapshotWriter;
use remora::rdb::source::Source;

for_each_master!(a_real_server_loads_what_we_write);

/// A replica without a master keeps what has expired.
const SETTINGS: [&str; 2] = ["--replicaof 127.0.0.1 1", "--rdbcompression no"];

fn a_real_server_loads_what_we_write(server: &str) {
    let Some(real) = Real::start(server, &SETTINGS) else { return };
    let (mut client, dialect) = (real.client(), dialect(server));
    let (mut fit, mut unfit) = (0, 0);
    for fixture in Fixture::snapshots(&["redis", "valkey", "handmade"]) {
        let (name, data) = (&fixture.name, dataset(&fixture.bytes));
        match written(&data, dialect) {
            Ok(snapshot) => {
                assert!(can_hold(&data, dialect), "{server} should not get {name}");
                real.reload(&snapshot);
                compare(&mut client, &data, dialect, &format!("{server} with {name}"));
                fit += 1;
            }
            Err(why) => {
                assert!(!can_hold(&data, dialect), "{name} is unfit for {server}: {why}");
                unfit += 1;
            }
        }
    }
    assert!(fit >= 15 && unfit >= 2, "{server}: {fit} fit, {unfit} do not");
}

fn dialect(server: &str) -> Dialect {
    match server {
        "redis-6.0" => Dialect::Redis(6, 0),
        "redis-7.0" => Dialect::Redis(7, 0),
        "redis-8.0" => Dialect::Redis(8, 0),
        "valkey-8.1" => Dialect::Valkey(8, 1),
        _ => Dialect::Valkey(9, 1),
    }
}

fn dataset(bytes: &[u8]) -> Dataset {
    let settings = LoadSettings { databases: 16, ..LoadSettings::default() };
    load(&mut Source::from_slice(bytes), &settings, &Progress::default()).expect("a fixture").dataset
}

fn can_hold(data: &Dataset, dialect: Dialect) -> bool {
    let expiring = |value| matches!(value, ValueRef::Hash(hash) if hash.expiring() > 0);
    let mut values = data.dbs().flat_map(|(_, keyspace)| keyspace.iter()).map(|entry| entry.value());
    data.marked_keys() == 0
        && (data.functions.is_empty() || dialect != Dialect::Redis(6, 0))
        && (matches!(dialect, Dialect::Redis(8, 0) | Dialect::Valkey(9, 1)) || !values.any(expiring))
}

fn written(data: &Dataset, dialect: Dialect) -> Result<Vec<u8>, String> {
    let mut capture = data.capture(SnapshotWriter::new(dialect, data, UseSettings::default()));
    while !capture.advance(data, 10) {}
    capture.sink(|writer| {
        writer.finish();
        let bytes = writer.take().to_vec();
        writer.unfit().map_or(Ok(bytes), |why| Err(why.to_owned()))
    })
}

fn compare(client: &mut Client, data: &Dataset, dialect: Dialect, what: &str) {
    let style = DigestStyle::from(dialect);
    assert_eq!(client.digest(), digest::dataset(data, style, UnixMs::now()).to_string(), "{what}");
    let keyspace = client.info("keyspace");
    for (db, keys) in data.dbs().filter(|(_, keys)| !keys.is_empty()) {
        let told = &keyspace[&format!("db{}", db.0)];
        assert!(told.starts_with(&format!("keys={},expires={},", keys.len(), keys.expires())), "{what}: {told}");
        client.must(&format!("SELECT {}", db.0));
        for entry in keys.iter().filter(|entry| !entry.is_expired(UnixMs::now())) {
            let (key, name) = (entry.key(), entry.key().escape_ascii());
            if matches!(entry.value(), ValueRef::Stream(_)) {
                // The digest knows nothing of groups; a payload holds everything.
                let told = client.command(&[b"DUMP".as_slice(), key]);
                assert_eq!(Some(told.bytes()), dump_payload(entry.value(), dialect).as_deref(), "{what}: {name}");
            }
            if dialect.has_functions() {
                let told = client.command(&[b"PEXPIRETIME".as_slice(), key]);
                assert_eq!(told.int(), entry.expiry().map_or(-1, |at| at.0), "{what}: expiry of {name}");
            }
        }
    }
    if dialect.has_functions() {
        let mut told = restore_functions(client.must("FUNCTION DUMP").bytes()).expect("a payload");
        told.sort();
        let mut ours: Vec<_> = data.functions.iter().map(|(_, source)| source.to_vec()).collect();
        ours.sort();
        assert_eq!(told, ours, "{what}: functions");
    }
}
