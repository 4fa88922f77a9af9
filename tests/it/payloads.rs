//! DUMP payloads across: what we make a real server restores, what a real server makes we restore, with equal
//! digests. Over every value of the server's own fixture.

use crate::support::client::Client;
use crate::support::fixture::Fixture;
use crate::support::real::{Real, for_each_master};
use remora::clock::UnixMs;
use remora::dataset::digest::{self, DigestStyle};
use remora::dataset::{Dataset, EntryRef, Keyspace};
use remora::rdb::load::{LoadSettings, Progress, load};
use remora::rdb::save::{dump_functions, dump_payload, restore_functions, restore_payload};
use remora::rdb::source::Source;

for_each_master!(a_real_server_restores_our_payloads, we_restore_the_payloads_of_a_real_server);

/// Between the expiries that had passed when the fixtures were made and those far away.
const NOW: UnixMs = UnixMs(2_000_000_000_000);

fn dataset(server: &str) -> Dataset {
    let bytes = Fixture::load(&format!("{server}.rdb")).bytes;
    let settings = LoadSettings { databases: 16, ..LoadSettings::default() };
    load(&mut Source::from_slice(&bytes), &settings, &Progress::default()).unwrap().dataset
}

/// Keys of a database that a server does not drop as expired.
fn lasting(keyspace: &Keyspace) -> impl Iterator<Item = EntryRef<'_>> {
    keyspace.iter().filter(|entry| !entry.is_expired(NOW))
}

fn told_digest(client: &mut Client, key: &[u8]) -> String {
    client.command(&[b"DEBUG".as_slice(), b"DIGEST-VALUE", key]).items()[0].text()
}

fn a_real_server_restores_our_payloads(server: &str) {
    let Some(real) = Real::start(server, &[]) else { return };
    let (data, mut client) = (dataset(server), real.client());
    let style = DigestStyle::from(data.limits.dialect);
    for (index, keyspace) in data.dbs() {
        client.must(&format!("SELECT {}", index.0));
        for entry in lasting(keyspace) {
            let name = entry.key().escape_ascii();
            let payload = dump_payload(entry.value(), data.limits.dialect).unwrap();
            let expiry = entry.expiry().map_or(0, |at| at.0).to_string();
            let reply =
                client.command(&[b"RESTORE".as_slice(), entry.key(), expiry.as_bytes(), &payload, b"ABSTTL"]);
            assert_eq!(reply.text(), "OK", "{server}: {name}");
            let ours = digest::value(entry, style, NOW).to_string();
            assert_eq!(told_digest(&mut client, entry.key()), ours, "{server}: {name}");
        }
    }
    if !real.is_before_redis_7() {
        let payload = dump_functions(&data.functions, data.limits.dialect);
        assert_eq!(client.command(&[b"FUNCTION".as_slice(), b"RESTORE", &payload]).text(), "OK");
    }
}

fn we_restore_the_payloads_of_a_real_server(server: &str) {
    let Some(real) = Real::start_with(server, &format!("{server}.rdb"), &[]) else { return };
    let (data, mut client) = (dataset(server), real.client());
    let style = DigestStyle::from(data.limits.dialect);
    for (index, keyspace) in data.dbs() {
        client.must(&format!("SELECT {}", index.0));
        for entry in lasting(keyspace) {
            let name = entry.key().escape_ascii();
            let payload = client.command(&[b"DUMP".as_slice(), entry.key()]);
            let value = restore_payload(payload.bytes(), &data.limits).unwrap_or_else(|e| panic!("{name}: {e}"));
            let mut other = Keyspace::default();
            other.insert(entry.key(), value.unwrap(), entry.expiry());
            let ours = digest::value(other.get(entry.key()).unwrap(), style, NOW).to_string();
            assert_eq!(told_digest(&mut client, entry.key()), ours, "{server}: {name}");
        }
    }
    if !real.is_before_redis_7() {
        let payload = client.must("FUNCTION DUMP");
        let mut sources = restore_functions(payload.bytes()).unwrap();
        sources.sort();
        assert!(data.functions.iter().map(|(_, source)| source).eq(sources.iter()), "{server}: functions");
    }
}
