//! Whole snapshots, written entry by entry in the form that their receiver reads.
//!
//! Comes in: the entries of a capture, in any order of databases. Goes out: bytes, taken away chunk by chunk. What a
//! receiver cannot hold makes the whole snapshot unfit for it: a value type or opcode that a real replica does not know
//! ends its process.
//!
//! It knows no sockets and no files.

use super::crc64::Crc64;
use super::object::parts::{self, Place};
use super::object::{self, module};
use super::primitive::{put_length, put_plain, put_string};
use super::{VALKEY_VERSION, opcode, version_of};
use crate::allocator;
use crate::clock::UnixMs;
use crate::config::UseSettings;
use crate::dataset::capture::Sink;
use crate::dataset::{Dataset, Dialect, EntryRef, Statistic, Uses, ValueRef};
use crate::position::{DbIndex, Position};
use bytes::Bytes;
use std::collections::BTreeMap;

/// AUX fields of our own files: their format, the second replication id, and the first offset at which it does not
/// count any more. Real servers ignore names that they do not know.
pub const AUX_FORMAT: &str = "remora-format";
/// The format of today. Another one is not read: a full sync is always right.
pub const FORMAT: u64 = 1;
pub const AUX_REPLID2: &str = "remora-repl-id2";
pub const AUX_SECOND_OFFSET: &str = "remora-second-repl-offset";

/// Values that take more than this are written in parts of this size: some 20 µs each.
const PART_BYTES: usize = 64 * 1024;
/// Bytes that end a slice, however few the entries: some 100 µs.
const SLICE_BYTES_MAX: usize = 256 * 1024;
/// Room that a fresh chunk is given.
const CHUNK_BYTES: usize = 64 * 1024;

/// What of the data a snapshot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The keys with their values.
    pub keys: bool,
    /// The libraries of functions.
    pub functions: bool,
}

impl Contents {
    /// Everything.
    pub const ALL: Self = Self { keys: true, functions: true };
}

impl Default for Contents {
    fn default() -> Self {
        Self::ALL
    }
}

/// Writes one snapshot.
#[derive(Debug)]
pub struct SnapshotWriter {
    /// The receiver, as far as value types go.
    dialect: Dialect,
    /// For ourselves: marks are kept.
    own: bool,
    /// When or how often keys were used is written, seen from the moment of the present chunk.
    uses: Option<Uses>,
    settings: UseSettings,
    out: Vec<u8>,
    /// So much of `out` is in the checksum.
    summed: usize,
    crc: Crc64,
    selected: Option<DbIndex>,
    entries: u64,
    /// Keys, and those with an expiry, of databases that have not come yet.
    sizes: BTreeMap<DbIndex, (usize, usize)>,
    unfit: Option<String>,
    part_bytes: usize,
    /// The big value that has been begun: how far it is.
    open: Option<Place>,
    /// What has come since it was begun, to be written behind it.
    aside: Vec<u8>,
}

impl SnapshotWriter {
    /// A snapshot of `data` for a server of this dialect, up to where the first database begins: header, facts,
    /// functions. Costs a copy of the functions.
    pub fn new(dialect: Dialect, data: &Dataset, settings: UseSettings) -> Self {
        Self::of(dialect, Contents::ALL, data, settings)
    }

    /// The same, of some of the contents. Without keys it must be handed none.
    pub fn of(dialect: Dialect, contents: Contents, data: &Dataset, settings: UseSettings) -> Self {
        let mut writer = Self::empty(dialect, data, settings);
        writer.header(version_of(dialect), dialect, &data.position);
        if contents.functions && dialect.has_functions() {
            writer.functions(data);
        } else if contents.functions && !data.functions.is_empty() {
            writer.unfit = Some(format!("{} knows no functions", name(dialect)));
        }
        writer
    }

    /// A snapshot for ourselves, for after a restart: nothing is unfit, keys that are not kept stay marked, and the
    /// second replication id is in it.
    pub fn own(data: &Dataset, settings: UseSettings) -> Self {
        let master = data.limits.dialect;
        let newest = if master.is_valkey() { Dialect::Valkey(9, 1) } else { Dialect::Redis(8, 0) };
        let mut writer = Self { own: true, ..Self::empty(newest, data, settings) };
        writer.header(version_of(newest), master, &data.position);
        writer.aux(AUX_FORMAT, &FORMAT.to_string());
        if let Some(offset) = data.position.second_offset {
            writer.aux(AUX_REPLID2, data.position.replid2.as_str());
            writer.aux(AUX_SECOND_OFFSET, &offset.to_string());
        }
        writer.functions(data);
        writer
    }

    fn empty(dialect: Dialect, data: &Dataset, settings: UseSettings) -> Self {
        let filled = data.dbs().filter(|(_, keyspace)| !keyspace.is_empty());
        Self {
            dialect,
            own: false,
            uses: settings.passed_on(data.carried).map(|_| data.uses(settings, UnixMs::now())),
            settings,
            out: Vec::with_capacity(CHUNK_BYTES),
            summed: 0,
            crc: Crc64::default(),
            selected: None,
            entries: 0,
            sizes: filled.map(|(db, keyspace)| (db, (keyspace.len(), keyspace.expires()))).collect(),
            unfit: None,
            part_bytes: PART_BYTES,
            open: None,
            aside: Vec::new(),
        }
    }

    /// The bytes written since the last call, not copied.
    pub fn take(&mut self) -> Bytes {
        if self.out.is_empty() {
            return Bytes::new();
        }
        self.sum();
        self.summed = 0;
        let now = UnixMs::now();
        self.uses = self.uses.map(|uses| Uses::new(self.settings, Some(uses.statistic), now));
        std::mem::replace(&mut self.out, Vec::with_capacity(CHUNK_BYTES)).into()
    }

    /// Bytes that wait to be taken, also those that wait for a big value to be complete.
    pub fn pending(&self) -> usize {
        self.out.len() + self.aside.len()
    }

    /// Entries written or begun.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Why the receiver cannot hold the data, if it cannot. From then on nothing is written any more: give up on it.
    pub fn unfit(&self) -> Option<&str> {
        self.unfit.as_deref()
    }

    /// Writes the end mark and the checksum, after the last entry.
    pub fn finish(&mut self) {
        self.out.push(opcode::END);
        self.sum();
        self.out.extend_from_slice(&self.crc.value().to_le_bytes());
        self.summed = self.out.len();
    }

    fn sum(&mut self) {
        self.crc.update(self.out.get(self.summed..).unwrap_or_default());
        self.summed = self.out.len();
    }

    /// Magic and facts, in the order of the real servers; `maker`: who is said to have written it.
    fn header(&mut self, version: u32, maker: Dialect, position: &Position) {
        let magic =
            if version == VALKEY_VERSION { format!("VALKEY{version:03}") } else { format!("REDIS{version:04}") };
        self.out.extend_from_slice(magic.as_bytes());
        let (name, base) = match maker {
            Dialect::Valkey(..) => ("valkey-ver", "aof-base"),
            Dialect::Redis(..=6, _) => ("redis-ver", "aof-preamble"),
            Dialect::Redis(..) => ("redis-ver", "aof-base"),
        };
        let (Dialect::Redis(major, minor) | Dialect::Valkey(major, minor)) = maker;
        self.aux(name, &format!("{major}.{minor}.0"));
        self.aux("redis-bits", &usize::BITS.to_string());
        self.aux("ctime", &(UnixMs::now().0 / 1000).to_string());
        self.aux("used-mem", &allocator::memory().allocated.to_string());
        self.aux("repl-stream-db", &position.selected.0.to_string());
        self.aux("repl-id", position.replid.as_str());
        self.aux("repl-offset", &position.offset.to_string());
        self.aux(base, "0");
    }

    fn aux(&mut self, name: &str, value: &str) {
        self.out.push(opcode::AUX);
        put_string(&mut self.out, name.as_bytes());
        put_string(&mut self.out, value.as_bytes());
    }

    fn functions(&mut self, data: &Dataset) {
        for (_, source) in data.functions.iter() {
            self.out.push(opcode::FUNCTION);
            put_plain(&mut self.out, source);
        }
    }

    /// Writes what is before a value: the database if it is another one, expiry, use, type, key. The type is not known yet:
    /// answers where it stands.
    fn begin_key(&mut self, db: DbIndex, entry: EntryRef<'_>) -> usize {
        self.entries += 1;
        let changes = self.selected.replace(db) != Some(db);
        let sizes = if changes { self.sizes.remove(&db) } else { None };
        let uses = self.uses;
        let out = self.out_mut();
        if changes {
            out.push(opcode::SELECT);
            put_length(out, u64::from(db.0));
        }
        if let Some((keys, expires)) = sizes {
            out.push(opcode::SIZES);
            put_length(out, keys as u64);
            put_length(out, expires as u64);
        }
        if let Some(UnixMs(at)) = entry.expiry() {
            out.push(opcode::EXPIRE_MS);
            out.extend_from_slice(&at.to_le_bytes());
        }
        match uses {
            Some(uses @ Uses { statistic: Statistic::Idle, .. }) => {
                out.push(opcode::LRU);
                put_length(out, uses.idle_s(entry.stamp()).into());
            }
            Some(uses) => out.extend_from_slice(&[opcode::LFU, uses.frequency(entry.stamp())]),
            None => {}
        }
        let type_at = out.len();
        out.push(0);
        put_string(out, entry.key());
        type_at
    }

    /// Where whole entries go.
    fn out_mut(&mut self) -> &mut Vec<u8> {
        if self.open.is_some() { &mut self.aside } else { &mut self.out }
    }

    /// Nothing more is to be written: the receiver cannot hold this entry, or could not hold an earlier one.
    fn gives_up(&mut self, entry: EntryRef<'_>) -> bool {
        if self.unfit.is_none() && !self.own {
            self.unfit = self.misfit(entry);
        }
        self.unfit.is_some()
    }

    /// Why the receiver cannot hold an entry.
    fn misfit(&self, entry: EntryRef<'_>) -> Option<String> {
        let what = match entry.value() {
            ValueRef::Marked(marked) => format!("holds a value of the module {}", marked.module),
            ValueRef::Hash(hash) if hash.expiring() > 0 && !self.dialect.has_field_expiry() => {
                format!("has fields that expire, which {} does not know", name(self.dialect))
            }
            _ => return None,
        };
        Some(format!("key {:?} {what}", shortened(entry.key())))
    }
}

impl Sink for SnapshotWriter {
    fn entry(&mut self, db: DbIndex, entry: EntryRef<'_>) {
        if self.gives_up(entry) {
            return;
        }
        let (type_at, dialect) = (self.begin_key(db, entry), self.dialect);
        let out = self.out_mut();
        out[type_at] = match entry.value() {
            ValueRef::Marked(marked) => module::save(marked, out),
            value => object::save(value, dialect, out).expect("marked values have a branch of their own"),
        };
    }

    fn is_big(&self, entry: EntryRef<'_>) -> bool {
        parts::is_big(entry.value(), self.part_bytes)
    }

    fn is_full(&self) -> bool {
        self.pending() >= SLICE_BYTES_MAX
    }

    fn part(&mut self, db: DbIndex, entry: EntryRef<'_>) -> bool {
        if self.gives_up(entry) {
            return true;
        }
        let place = match self.open {
            Some(place) => place,
            None => {
                let type_at = self.begin_key(db, entry);
                let (type_byte, place) = parts::begin(entry.value(), self.dialect, &mut self.out)
                    .expect("what is big is no marked value");
                self.out[type_at] = type_byte;
                place
            }
        };
        self.open = parts::go_on(entry.value(), place, self.dialect, self.part_bytes, &mut self.out);
        if self.open.is_none() {
            self.out.append(&mut self.aside);
        }
        self.open.is_none()
    }
}

/// A dialect as people say it.
fn name(dialect: Dialect) -> String {
    match dialect {
        Dialect::Redis(major, minor) => format!("Redis {major}.{minor}"),
        Dialect::Valkey(major, minor) => format!("Valkey {major}.{minor}"),
    }
}

/// A key for a log line.
fn shortened(key: &[u8]) -> String {
    const BYTES: usize = 64;
    key.get(..BYTES).unwrap_or(key).escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Bench;
    use crate::config::MaxmemoryPolicy;
    use crate::dataset::digest::{self, DigestStyle};
    use crate::position::{Offset, ReplId};
    use crate::rdb::load::{LoadSettings, Loaded, Progress, load};
    use crate::rdb::source::Source;

    const DIALECTS: [(Dialect, &str); 5] = [
        (Dialect::Redis(6, 0), "REDIS0009"),
        (Dialect::Redis(7, 0), "REDIS0010"),
        (Dialect::Redis(8, 0), "REDIS0012"),
        (Dialect::Valkey(8, 1), "REDIS0011"),
        (Dialect::Valkey(9, 1), "VALKEY080"),
    ];

    fn written(data: &Dataset, writer: SnapshotWriter) -> Result<Vec<u8>, String> {
        let mut capture = data.capture(writer);
        let mut bytes = Vec::new();
        while !capture.advance(data, 3) {
            capture.sink(|writer| bytes.extend_from_slice(&writer.take()));
        }
        capture.sink(|writer| {
            writer.finish();
            bytes.extend_from_slice(&writer.take());
            assert_eq!(writer.pending(), 0);
            writer.unfit().map_or(Ok(bytes), |why| Err(why.to_owned()))
        })
    }

    fn loaded(bytes: &[u8]) -> Loaded {
        let settings = LoadSettings { databases: 16, ..LoadSettings::default() };
        load(&mut Source::from_slice(bytes), &settings, &Progress::default()).expect("our own snapshot")
    }

    fn digest(data: &Dataset) -> String {
        digest::dataset(data, DigestStyle::Redis8, UnixMs(0)).to_string()
    }

    #[test]
    fn every_receiver_gets_its_version_and_the_same_data() {
        let mut bench = Bench::after(&[
            "SET s text PXAT 2000000000000",
            "SET 17 -5",
            "RPUSH l a b 3",
            "SADD ints 1 2 3",
            "SADD words a b 3",
            "HSET h f v",
            "ZADD z 1.5 m",
            "XADD x 1-1 f v",
            "XGROUP CREATE x g 0",
            "COPY s s DB 9",
        ]);
        let replid = ReplId::parse(&[b'a'; 40]).expect("hex");
        bench.data.position = Position::fresh(replid, Offset(123), DbIndex(9));
        for (dialect, magic) in DIALECTS {
            let bytes = written(&bench.data, SnapshotWriter::new(dialect, &bench.data, bench.uses)).expect("fits");
            assert!(bytes.starts_with(magic.as_bytes()), "{dialect:?}");
            let back = loaded(&bytes);
            assert_eq!(digest(&back.dataset), digest(&bench.data), "{dialect:?}");
            assert_eq!(back.dataset.position, bench.data.position);
            assert_eq!((back.facts.dialect, back.facts.is_own()), (Some(dialect), false));
            let expires: Vec<_> = back.dataset.dbs().map(|(_, keyspace)| keyspace.expires()).collect();
            assert_eq!((expires[0], expires[9]), (1, 1), "{dialect:?}");
        }
    }

    #[test]
    fn uses_of_keys_are_passed_on_as_the_policy_says() {
        let mut bench = Bench::after(&["SET s text PXAT 2000000000000", "RPUSH l a b"]);
        bench.data.carried = Some(Statistic::Frequency);
        let mut check = |policy, carried: Option<Statistic>, record: Option<&[u8]>| {
            bench.uses.policy = policy;
            bench.now = UnixMs::now();
            bench.apply("SET s text PXAT 2000000000000").expect("applies");
            let uses = bench.data.uses(bench.uses, bench.now);
            let stamp = match uses.statistic {
                Statistic::Idle => uses.with_idle(1000),
                Statistic::Frequency => uses.with_frequency(99),
            };
            bench.data.db_mut(DbIndex(0)).expect("database 0").set_stamp(b"s", stamp);
            for own in [false, true] {
                let writer = match own {
                    true => SnapshotWriter::own(&bench.data, bench.uses),
                    false => SnapshotWriter::new(Dialect::Valkey(9, 1), &bench.data, bench.uses),
                };
                let bytes = written(&bench.data, writer).expect("fits");
                let expiry = [&b"\xfc"[..], &2_000_000_000_000_i64.to_le_bytes()].concat();
                let key = [&expiry[..], record.unwrap_or_default(), b"\x00\x01s\x04text"].concat();
                // A second may have passed, a minute hardly.
                let later =
                    record.map(|record| [&record[..record.len() - 1], &[record[record.len() - 1] + 1]].concat());
                let later = later.map(|record| [&expiry[..], &record, b"\x00\x01s\x04text"].concat());
                let has = |part: &[u8]| memchr::memmem::find(&bytes, part).is_some();
                assert!(has(&key) || later.is_some_and(|key| has(&key)), "{policy:?} {own}");
                assert_eq!(loaded(&bytes).dataset.carried, carried, "{policy:?} {own}");
            }
        };
        let (idle, frequency) = (Some(&b"\xf8\x43\xe8"[..]), Some(&b"\xf9\x63"[..]));
        check(MaxmemoryPolicy::NoEviction, Some(Statistic::Frequency), frequency);
        check(MaxmemoryPolicy::VolatileLfu, Some(Statistic::Frequency), frequency);
        check(MaxmemoryPolicy::AllkeysLru, Some(Statistic::Idle), idle);
        check(MaxmemoryPolicy::AllkeysRandom, None, None);
    }

    #[test]
    fn what_a_receiver_cannot_hold_makes_it_unfit() {
        let functions = {
            let mut bench = Bench::new();
            bench.data.functions.load(b"#!lua name=lib\nreturn 1", false).expect("a name");
            bench
        };
        let fields = Bench::after(&["HSET h f v", "HPEXPIREAT h 2000000000000 FIELDS 1 f"]);
        let marked = Bench::after(&["SET a v", "VADD vectors VALUES 1 1 e"]);
        for (bench, unfit, why) in [
            (functions, &[true, false, false, false, false], "Redis 6.0 knows no functions"),
            (fields, &[true, true, false, true, false], "key \"h\" has fields that expire, which"),
            (marked, &[true; 5], "key \"vectors\" holds a value of the module vectorset"),
        ] {
            for ((dialect, _), unfit) in DIALECTS.iter().zip(unfit) {
                let result = written(&bench.data, SnapshotWriter::new(*dialect, &bench.data, bench.uses));
                assert_eq!(result.is_err(), *unfit, "{dialect:?}: {why}");
                match result {
                    Ok(bytes) => assert_eq!(digest(&loaded(&bytes).dataset), digest(&bench.data)),
                    Err(said) => assert!(said.starts_with(why), "{said}"),
                }
            }
        }
    }

    #[test]
    fn our_own_files_hold_everything() {
        let mut bench = Bench::after(&["SET a v", "VADD vectors VALUES 1 1 e", "HSET h f v g w"]);
        bench.apply("HPEXPIREAT h 2000000000000 FIELDS 1 f").expect("applies");
        bench.data.functions.load(b"#!lua name=lib\nreturn 1", false).expect("a name");
        let [old, new] = [b'a', b'b'].map(|c| ReplId::parse(&[c; 40]).expect("hex"));
        bench.data.position = Position::fresh(old, Offset(77), DbIndex(2)).continued_as(new);
        bench.data.position.offset = Offset(99);
        for (dialect, _) in DIALECTS {
            bench.data.limits.dialect = dialect;
            let bytes =
                written(&bench.data, SnapshotWriter::own(&bench.data, bench.uses)).expect("nothing is unfit");
            let back = loaded(&bytes);
            assert_eq!(back.dataset.position, bench.data.position, "{dialect:?}");
            assert_eq!((back.facts.dialect, back.facts.is_own()), (Some(dialect), true));
            assert_eq!((back.dataset.marked_keys(), &back.dataset.functions), (1, &bench.data.functions));
            assert_eq!(digest(&back.dataset), digest(&bench.data));
        }
    }

    #[test]
    fn big_values_come_in_parts_while_others_change() {
        for (dialect, _) in DIALECTS {
            let mut bench = Bench::after(&["SET a v", "SET b w", "SADD small m", "COPY a a DB 3"]);
            for n in 0..300 {
                for line in [format!("RPUSH l {n} text{n}"), format!("SADD s m{n}"), format!("ZADD z {n} m{n}")] {
                    bench.apply(&line).expect("applies");
                }
            }
            for (key, db) in [("l", 2), ("s", 3), ("z", 3), ("s", 4)] {
                bench.apply(&format!("COPY {key} {key} DB {db}")).expect("applies");
            }
            let expected = digest(&bench.data);
            let writer =
                SnapshotWriter { part_bytes: 200, ..SnapshotWriter::new(dialect, &bench.data, bench.uses) };
            let (mut capture, mut bytes, mut step) = (bench.data.capture(writer), Vec::new(), 0);
            while !capture.advance(&bench.data, 1) {
                capture.sink(|writer| bytes.extend_from_slice(&writer.take()));
                step += 1;
                bench.db = DbIndex([0, 2, 3, 4][step % 4]);
                for line in
                    [format!("SET new{step} v"), format!("APPEND a {step}"), format!("COPY a a{step} DB 3")]
                {
                    let _ = bench.apply(&line);
                }
                match step % 40 {
                    10 => drop(bench.apply("RPUSH l more")),
                    20 => drop(bench.apply("SREM s m1")),
                    30 => drop(bench.apply("DEL z")),
                    _ => {}
                }
            }
            capture.sink(|writer| {
                assert!(writer.open.is_none() && writer.aside.is_empty());
                writer.finish();
                bytes.extend_from_slice(&writer.take());
            });
            assert!(step > 60, "{step} steps");
            assert_eq!(digest(&loaded(&bytes).dataset), expected, "{dialect:?}");
        }
    }

    #[test]
    fn nothing_is_taken_twice() {
        let mut writer = SnapshotWriter::new(Dialect::default(), &Bench::new().data, UseSettings::default());
        assert!(writer.pending() > 9 && !writer.take().is_empty());
        assert!(writer.pending() == 0 && writer.take().is_empty());
    }
}
