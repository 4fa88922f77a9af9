//! A snapshot into a fresh dataset: the loop over the file's records.
//!
//! Runs on a thread of its own while the socket is still being read, on a dataset that nobody sees yet. Nothing of
//! it may be used before `load` has answered: the checksum stands at the end.

use super::batch::Batch;
use super::object::module::skip_values;
use super::primitive::{length, skip_string, string};
use super::snapshot::{AUX_FORMAT, AUX_REPLID2, AUX_SECOND_OFFSET, FORMAT};
use super::source::Source;
use super::{CHECKSUM_SINCE, Family, Fault, LoadError, REDIS_VERSIONS, VALKEY_VERSION, load_value, opcode};
use crate::clock::UnixMs;
use crate::config::{Config, UseSettings};
use crate::dataset::{Dataset, Dialect, EncodingLimits, Stamp, Statistic, StrForm, Uses, Value};
use crate::limits::{DATABASES_MAX, SNAPSHOT_RESERVE_KEYS_MAX};
use crate::position::{DbIndex, Offset, Position, ReplId};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Keys between two looks at the abort flag.
const KEYS_PER_REPORT: u64 = 256;
/// Bytes of snapshot that the smallest key takes: type, empty name, value. Bounds a hint where the length is stated.
const KEY_BYTES_MIN: u64 = 3;
/// Bytes of memory that a key takes at least in any master; bounds a hint where its memory is stated.
const KEY_MEMORY_BYTES_MIN: u64 = 32;

const TYPE_STRING: u8 = 0;
const KEY_TWICE: &str = "a key twice";
const SELECTED: &str = "a database is made when it is selected";

/// How to load.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadSettings {
    /// Databases to start with; a snapshot of a master that has more makes them.
    pub databases: usize,
    /// Encoding limits; the dialect is replaced by the one that the snapshot names.
    pub limits: EncodingLimits,
    /// What is remembered of the use of keys.
    pub uses: UseSettings,
    /// The time from which idle times count back, the same for all keys (as the servers).
    pub now: UnixMs,
}

impl LoadSettings {
    /// As the program's settings say.
    pub fn new(config: &Config, now: UnixMs) -> Self {
        Self { databases: config.databases, limits: config.encodings.into(), uses: config.uses, now }
    }
}

/// What others may see of a load while it runs, and the way to stop it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes taken.
    pub bytes: AtomicU64,
    /// Keys loaded.
    pub keys: AtomicU64,
    /// Set by whoever wants the load to end soon with `Fault::Aborted`.
    pub abort: AtomicBool,
}

/// A snapshot that was complete and right.
#[derive(Debug)]
pub struct Loaded {
    /// Its data, at the position that the snapshot names (unknown: zeros).
    pub dataset: Dataset,
    /// What it says of itself.
    pub facts: Facts,
}

/// What a snapshot says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Version in the header: 1 to 12, or 80 of a Valkey file.
    pub version: u32,
    /// Who wrote it.
    pub dialect: Option<Dialect>,
    /// `repl-stream-db`: the database that the stream has selected.
    pub stream_db: Option<DbIndex>,
    /// `repl-id`.
    pub replid: Option<ReplId>,
    /// `repl-offset`.
    pub offset: Option<Offset>,
    /// The format of our own files.
    pub own_format: Option<u64>,
    /// The second id, in our own files.
    pub replid2: Option<ReplId>,
    /// The first offset at which the second id does not count any more, in our own files.
    pub second_offset: Option<Offset>,
    /// `used-mem`: the master's memory, bytes.
    pub used_mem: Option<u64>,
    /// Keys, over all databases.
    pub keys: u64,
    /// Bytes, checksum included.
    pub bytes: u64,
}

/// Loads a whole snapshot. The end of the source must be the end of the snapshot.
///
/// Errors say at which byte and, inside a value, of which type; the dataset is dropped.
pub fn load(src: &mut Source<'_>, settings: &LoadSettings, progress: &Progress) -> Result<Loaded, LoadError> {
    let (family, version) = header(src)?;
    let nowhere = Position::fresh(ReplId::ZERO, Offset(0), DbIndex(0));
    let mut data = Dataset::new(settings.databases.max(1), nowhere, settings.limits);
    data.at_moment(settings.uses, settings.now);
    let mut loader = Loader {
        family,
        progress,
        settings,
        data,
        facts: Facts { version, ..Facts::default() },
        db: DbIndex(0),
        expiry: None,
        stamp: None,
        batch: Batch::default(),
        name: Vec::new(),
        reserved: 0,
        src,
    };
    loader.records()?;
    loader.end()
}

/// The facts at the head of a snapshot, from its first bytes; `None`: more bytes are needed. What is malformed ends the
/// head: the loader will say so.
pub fn head(bytes: &[u8]) -> Option<Facts> {
    let mut src = Source::from_slice(bytes);
    let (mut facts, mut name) = (Facts::default(), Vec::new());
    let result = header(&mut src).and_then(|(_, version)| {
        facts.version = version;
        while src.u8()? == opcode::AUX {
            name.clear();
            name.extend_from_slice(string(&mut src)?);
            facts.note(&name, string(&mut src)?);
        }
        Ok(())
    });
    let is_cut = matches!(result, Err(LoadError { fault: Fault::Truncated, .. }));
    (!is_cut).then_some(facts)
}

fn header(src: &mut Source<'_>) -> Result<(Family, u32), LoadError> {
    let head = src.array::<9>()?;
    let (family, digits) = if let Some(digits) = head.strip_prefix(b"REDIS") {
        (Family::Redis, digits)
    } else if let Some(digits) = head.strip_prefix(b"VALKEY") {
        (Family::Valkey, digits)
    } else {
        return Err(src.error(Fault::Magic));
    };
    let version = decimal(digits).and_then(|version| u32::try_from(version).ok());
    let version = version.ok_or_else(|| src.error(Fault::Magic))?;
    let known = match family {
        Family::Redis => REDIS_VERSIONS.contains(&version),
        Family::Valkey => version == VALKEY_VERSION,
    };
    if known { Ok((family, version)) } else { Err(src.error(Fault::Version(version))) }
}

struct Loader<'s, 'a> {
    src: &'s mut Source<'a>,
    family: Family,
    progress: &'s Progress,
    settings: &'s LoadSettings,
    data: Dataset,
    facts: Facts,
    db: DbIndex,
    /// Of the next key.
    expiry: Option<UnixMs>,
    /// The same: when or how often it was used.
    stamp: Option<Stamp>,
    /// String keys of this database that are not in it yet.
    batch: Batch,
    /// Scratch: the name of the key or of the AUX field.
    name: Vec<u8>,
    /// Keys for which room was made by hints.
    reserved: u64,
}

impl Loader<'_, '_> {
    /// All records up to the end mark. A flat table of the opcodes.
    fn records(&mut self) -> Result<(), LoadError> {
        loop {
            match self.src.u8()? {
                opcode::END => return self.flush(),
                opcode::SELECT => self.select()?,
                opcode::EXPIRE_SECONDS => {
                    self.expiry = Some(UnixMs(i64::from(self.src.i32_le()?) * 1000));
                }
                // Before version 9 in the byte order of the machine: we know only little endian ones.
                opcode::EXPIRE_MS => self.expiry = Some(UnixMs(self.src.i64_le()?)),
                opcode::SIZES => self.sizes()?,
                opcode::AUX => self.aux()?,
                opcode::LFU => {
                    let counter = self.src.u8()?;
                    self.used(Statistic::Frequency, |uses| uses.with_frequency(counter));
                }
                opcode::LRU => {
                    let idle_s = length(self.src)?;
                    self.used(Statistic::Idle, |uses| uses.with_idle(idle_s));
                }
                opcode::MODULE_AUX => self.module_aux()?,
                opcode::FUNCTION => self.function()?,
                opcode::SLOT_SIZES => self.skip_lengths(3)?,
                opcode::SLOT_IMPORT => self.slot_import()?,
                byte => self.key(byte)?,
            }
        }
    }

    fn select(&mut self) -> Result<(), LoadError> {
        self.flush()?;
        let number = length(self.src)?;
        self.db = database(number).ok_or_else(|| self.src.error("database number out of range"))?;
        self.data.grow_to(self.db);
        Ok(())
    }

    /// Makes room as the hint says, but never more in all than the length and the master's memory can bear, which are
    /// merely stated too, nor than we would lose on a lie. More keys than that make their room when they have come.
    fn sizes(&mut self) -> Result<(), LoadError> {
        let (keys, _with_expiry) = (length(self.src)?, length(self.src)?);
        let by_length = self.src.bytes_total().map_or(u64::MAX, |bytes| bytes / KEY_BYTES_MIN);
        let by_memory = self.facts.used_mem.map_or(u64::MAX, |bytes| bytes / KEY_MEMORY_BYTES_MIN);
        let believable = SNAPSHOT_RESERVE_KEYS_MAX.min(by_length).min(by_memory);
        let keys = keys.min(believable.saturating_sub(self.reserved));
        self.reserved += keys;
        let keyspace = self.data.db_mut(self.db).expect(SELECTED);
        keyspace.reserve(usize::try_from(keys).unwrap_or(0));
        Ok(())
    }

    /// The next key was used like this. What the policy does not keep is left out; where it says nothing, the snapshot
    /// decides what is kept.
    fn used(&mut self, statistic: Statistic, stamp: impl FnOnce(&Uses) -> Stamp) {
        let LoadSettings { uses: settings, now, .. } = *self.settings;
        if !settings.takes(statistic) {
            return;
        }
        if self.data.carried != Some(statistic) {
            self.data.carried = Some(statistic);
            self.data.at_moment(settings, now);
        }
        self.stamp = Some(stamp(&self.data.uses(settings, now)));
    }

    fn aux(&mut self) -> Result<(), LoadError> {
        self.read_name()?;
        let value = string(self.src)?;
        self.facts.note(&self.name, value);
        if let Some(dialect) = self.facts.dialect {
            self.data.limits.dialect = dialect;
        }
        Ok(())
    }

    fn module_aux(&mut self) -> Result<(), LoadError> {
        let _module = length(self.src)?;
        if length(self.src)? != 2 {
            return Err(self.src.error("module AUX without its opcode"));
        }
        let _when = length(self.src)?;
        skip_values(self.src)
    }

    fn function(&mut self) -> Result<(), LoadError> {
        let added = self.data.functions.load(string(self.src)?, false);
        added.map_err(|_| self.src.error("a function library without a name, or twice"))
    }

    fn slot_import(&mut self) -> Result<(), LoadError> {
        skip_string(self.src)?;
        let ranges = length(self.src)?;
        self.skip_lengths(ranges.saturating_mul(2))
    }

    fn skip_lengths(&mut self, count: u64) -> Result<(), LoadError> {
        (0..count).try_for_each(|_| length(self.src).map(drop))
    }

    fn read_name(&mut self) -> Result<(), LoadError> {
        let name = string(self.src)?;
        self.name.clear();
        self.name.extend_from_slice(name);
        Ok(())
    }

    /// A key with its value. Short strings wait in the batch, everything else goes in at once.
    fn key(&mut self, byte: u8) -> Result<(), LoadError> {
        self.read_name()?;
        let (expiry, stamp) = (self.expiry.take(), self.stamp.take());
        let value = if byte == TYPE_STRING {
            let bytes = string(self.src).map_err(|error| error.inside(byte, 0))?;
            if Batch::takes(bytes) {
                self.batch.push(&self.name, bytes, expiry, stamp);
                return self.count_key();
            }
            Value::Str(bytes.to_vec(), StrForm::Auto)
        } else {
            let value = load_value(self.src, byte, self.family, &self.data.limits)?;
            let Some(value) = value else { return Ok(()) };
            value
        };
        let keyspace = self.data.db_mut(self.db).expect(SELECTED);
        if keyspace.insert_stamped(&self.name, value, expiry, stamp).is_some() {
            return Err(self.src.error(KEY_TWICE));
        }
        self.count_key()
    }

    fn count_key(&mut self) -> Result<(), LoadError> {
        self.facts.keys += 1;
        if self.batch.is_full() {
            self.flush()?;
        }
        if self.facts.keys.is_multiple_of(KEYS_PER_REPORT) { self.report() } else { Ok(()) }
    }

    /// Puts what waits into its database.
    fn flush(&mut self) -> Result<(), LoadError> {
        let fresh = self.batch.insert_into(self.data.db_mut(self.db).expect(SELECTED));
        if fresh { Ok(()) } else { Err(self.src.error(KEY_TWICE)) }
    }

    fn report(&self) -> Result<(), LoadError> {
        self.progress.bytes.store(self.src.offset(), Ordering::Relaxed);
        self.progress.keys.store(self.facts.keys, Ordering::Relaxed);
        if self.progress.abort.load(Ordering::Relaxed) { Err(self.src.error(Fault::Aborted)) } else { Ok(()) }
    }

    /// Behind the end mark: the checksum, and nothing else. All zeros: the master computes none; we always do, so in a
    /// file of ours they are damage.
    fn end(mut self) -> Result<Loaded, LoadError> {
        if self.facts.version >= CHECKSUM_SINCE {
            let computed = self.src.checksum();
            let stated = self.src.u64_le()?;
            let is_stated = stated != 0 || self.facts.own_format.is_some();
            if is_stated && stated != computed {
                return Err(self.src.error(Fault::Checksum { stated, computed }));
            }
        }
        if !self.src.is_at_end()? {
            return Err(self.src.error("bytes behind the end of the snapshot"));
        }
        self.facts.bytes = self.src.offset();
        self.report()?;
        self.data.position = self.facts.position();
        Ok(Loaded { dataset: self.data, facts: self.facts })
    }
}

impl Facts {
    /// One of our own files, in the format of today, that says where it stands.
    pub fn is_own(&self) -> bool {
        self.own_format == Some(FORMAT) && self.replid.is_some() && self.offset.is_some()
    }

    /// Where the snapshot says it stands; what it does not say is zeros.
    pub fn position(&self) -> Position {
        let replid = self.replid.unwrap_or(ReplId::ZERO);
        let fresh = Position::fresh(replid, self.offset.unwrap_or_default(), self.stream_db.unwrap_or_default());
        match (self.replid2, self.second_offset) {
            (Some(replid2), Some(offset)) => Position { replid2, second_offset: Some(offset), ..fresh },
            _ => fresh,
        }
    }

    /// Takes an AUX field; unknown ones and values that make no sense are ignored, as all servers do.
    fn note(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"redis-ver" => self.dialect = two_numbers(value).map(|(major, minor)| Dialect::Redis(major, minor)),
            b"valkey-ver" => self.dialect = two_numbers(value).map(|(major, minor)| Dialect::Valkey(major, minor)),
            b"repl-stream-db" => self.stream_db = decimal(value).and_then(database),
            b"repl-id" => self.replid = ReplId::parse(value),
            b"repl-offset" => self.offset = decimal(value).map(Offset),
            _ if name == AUX_FORMAT.as_bytes() => self.own_format = decimal(value),
            _ if name == AUX_REPLID2.as_bytes() => self.replid2 = ReplId::parse(value),
            _ if name == AUX_SECOND_OFFSET.as_bytes() => self.second_offset = decimal(value).map(Offset),
            b"used-mem" => self.used_mem = decimal(value),
            _ => {}
        }
    }
}

fn database(number: u64) -> Option<DbIndex> {
    (number < DATABASES_MAX as u64).then_some(DbIndex(number as u32))
}

/// Major and minor of a version text.
fn two_numbers(version: &[u8]) -> Option<(u8, u8)> {
    let mut numbers = version.split(|&c| c == b'.').map(|text| u8::try_from(decimal(text)?).ok());
    Some((numbers.next()??, numbers.next()??))
}

fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MaxmemoryPolicy;
    use crate::rdb::crc64::checksum;
    use crate::rdb::primitive::put_plain;

    /// A whole file of these records, without a checksum.
    fn file(head: &str, records: &[&[u8]]) -> Vec<u8> {
        [head.as_bytes(), &records.concat(), b"\xff", &[0; 8]].concat()
    }

    fn load_file(bytes: &[u8]) -> Result<Loaded, LoadError> {
        let settings = LoadSettings { databases: 2, ..LoadSettings::default() };
        load(&mut Source::from_slice(bytes), &settings, &Progress::default())
    }

    fn load_records(records: &[&[u8]]) -> Result<Loaded, LoadError> {
        load_file(&file("REDIS0012", records))
    }

    fn keys(loaded: &Loaded) -> Vec<(u32, String, Option<i64>)> {
        let dbs = loaded.dataset.dbs();
        let mut keys: Vec<_> = dbs
            .flat_map(|(db, keyspace)| {
                keyspace.iter().map(move |entry| {
                    (db.0, entry.key().escape_ascii().to_string(), entry.expiry().map(|at| at.0))
                })
            })
            .collect();
        keys.sort();
        keys
    }

    fn fault(records: &[&[u8]]) -> Fault {
        load_records(records).map(drop).expect_err("refused").fault
    }

    #[test]
    fn an_expiry_is_that_of_the_next_key_alone() {
        let loaded = load_records(&[
            b"\xfc\x10\x27\0\0\0\0\0\0\x00\x01a\x01v",
            b"\x00\x01b\x01v",
            b"\xfd\x0a\0\0\0\xf8\x05\xf9\x07\x00\x01c\x01v",
            b"\xf9\x07\x00\x01d\x01v",
        ]);
        let expected = [("a", Some(10_000)), ("b", None), ("c", Some(10_000)), ("d", None)];
        assert_eq!(keys(&loaded.unwrap()), expected.map(|(key, expiry)| (0, key.into(), expiry)));
    }

    #[test]
    fn a_snapshot_says_how_its_keys_were_used() {
        let now = UnixMs(1_700_000_000_000);
        let check = |policy, carried: [&[u8]; 2], kept: Statistic, expected: [u32; 4]| {
            let uses = UseSettings { policy, ..UseSettings::default() };
            let settings = LoadSettings { databases: 1, uses, now, ..LoadSettings::default() };
            let [idle, frequency] = carried;
            let long = [frequency, b"\x00\x01c\x4f\xff", &[b'v'; 4095]].concat();
            let records = [idle, b"\x00\x01a\x01v", b"\x00\x01b\x01v", &long, b"\x02\x01d\x01\x01m"].concat();
            let bytes = file("REDIS0012", &[&records]);
            let loaded = load(&mut Source::from_slice(&bytes), &settings, &Progress::default()).expect("loads");
            let (data, uses) = (&loaded.dataset, loaded.dataset.uses(uses, now));
            assert_eq!(uses.statistic, kept, "{policy:?}");
            let used = [b"a", b"b", b"c", b"d"].map(|key| {
                let stamp = data.db(DbIndex(0)).expect("database 0").get(key).expect("a key").stamp();
                match kept {
                    Statistic::Idle => uses.idle_s(stamp),
                    Statistic::Frequency => uses.frequency(stamp).into(),
                }
            });
            assert_eq!(used, expected, "{policy:?}");
        };
        let (idle, frequency, none) = (&b"\xf8\x43\xe8"[..], &b"\xf9\x63"[..], &b""[..]);
        check(MaxmemoryPolicy::NoEviction, [idle, none], Statistic::Idle, [1000, 0, 0, 0]);
        check(MaxmemoryPolicy::NoEviction, [frequency, frequency], Statistic::Frequency, [99, 5, 99, 5]);
        check(MaxmemoryPolicy::NoEviction, [none, none], Statistic::Idle, [0; 4]);
        check(MaxmemoryPolicy::VolatileTtl, [idle, frequency], Statistic::Idle, [1000, 0, 0, 0]);
        check(MaxmemoryPolicy::AllkeysLfu, [idle, frequency], Statistic::Frequency, [5, 5, 99, 5]);
        check(MaxmemoryPolicy::AllkeysLru, [frequency, idle], Statistic::Idle, [0, 0, 1000, 0]);
    }

    #[test]
    fn databases_beyond_ours_are_made() {
        let loaded = load_records(&[b"\xfe\x05\xfb\x01\x00\x00\x01a\x01v\xfe\x01\x00\x01a\x01v"]).unwrap();
        assert_eq!(keys(&loaded), [(1, "a".into(), None), (5, "a".into(), None)]);
        assert_eq!(fault(&[b"\xfe\x81\0\0\0\x01\0\0\0\0"]), "database number out of range".into());
    }

    #[test]
    fn what_no_key_belongs_to_is_stepped_over_anywhere() {
        let loaded = load_records(&[
            b"\xf7\x81\0\0\0\0\0\0\0\x01\x02\x01\x05\x03abc\x00",
            b"\x00\x01a\x01v",
            b"\xf4\x05\x01\x00",
            b"\xf3\x03job\x02\x01\x02\x03\x04",
            b"\xfa\x03lua\x08return 1",
            b"\xf5\x1b#!lua name=one\nreturn one()",
            b"\x00\x01b\x01v",
        ]);
        let loaded = loaded.unwrap();
        assert_eq!((keys(&loaded).len(), loaded.dataset.functions.len()), (2, 1));
    }

    #[test]
    fn the_head_tells_who_wrote_it_and_where_the_stream_stands() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let mut aux = Vec::new();
        for (name, value) in [
            ("valkey-ver", "9.1.2"),
            ("redis-bits", "64"),
            ("used-mem", "1767296"),
            ("repl-stream-db", "3"),
            ("repl-id", id),
            ("repl-offset", "1124"),
        ] {
            aux.push(opcode::AUX);
            put_plain(&mut aux, name.as_bytes());
            put_plain(&mut aux, value.as_bytes());
        }
        let loaded = load_file(&file("VALKEY080", &[&aux])).unwrap();
        let position = Position::fresh(ReplId::parse(id.as_bytes()).unwrap(), Offset(1124), DbIndex(3));
        assert_eq!((loaded.dataset.position, loaded.facts.used_mem), (position, Some(1_767_296)));
        assert_eq!((loaded.dataset.limits.dialect, loaded.facts.version), (Dialect::Valkey(9, 1), 80));
    }

    #[test]
    fn the_head_is_known_when_something_else_follows() {
        let bytes =
            file("REDIS0012", &[b"\xfa\x09redis-ver\x058.0.6\xfa\x08used-mem\xc2\x40\x42\x0f\x00", b"\xfe\x00"]);
        let end = bytes.len() - 10;
        for cut in 0..end {
            assert_eq!(head(&bytes[..cut]), None, "{cut}");
        }
        let facts = head(&bytes[..end]).expect("the head is complete");
        assert_eq!((facts.used_mem, facts.dialect), (Some(1_000_000), Some(Dialect::Redis(8, 0))));
        assert_eq!(head(b"nonsense that is none"), Some(Facts::default()));
    }

    #[test]
    fn a_key_twice_is_refused_whatever_its_kinds() {
        let (short, long) = (&b"\x00\x01a\x01v"[..], [&b"\x00\x01a\x4f\xff"[..], &[b'v'; 4095]].concat());
        let set = b"\x02\x01a\x01\x01m";
        for pair in [[short, short], [short, &long], [&long, short], [set, short], [short, set]] {
            assert_eq!(fault(&pair), KEY_TWICE.into());
        }
    }

    #[test]
    fn types_are_refused_by_family() {
        let hash = b"\x16\x01h\x01\x01f\x01v\xff\xff\xff\xff\xff\xff\xff\xff";
        assert_eq!(fault(&[hash]), Fault::Type(22));
        assert!(load_file(&file("VALKEY080", &[hash])).is_ok());
        for byte in [6, 8, 23, 26, 100, 242, opcode::FUNCTION_PRE] {
            assert_eq!(fault(&[&[byte], b"\x01k\x00"]), Fault::Type(byte));
        }
        let error = load_file(&file("VALKEY080", &[b"\x18\x01h"])).map(drop).expect_err("a type of redis");
        assert_eq!(error.fault, Fault::Type(24));
    }

    #[test]
    fn an_error_inside_a_value_names_its_type_and_place() {
        let error = load_records(&[b"\x10\x01h\x09\x09\0\0\0\x01\0\x05\x02\xff"]).map(drop).expect_err("refused");
        assert_eq!((error.offset, error.value_type), (9 + 3 + 1 + 9, Some(16)));
        assert!(error.to_string().starts_with("snapshot byte 22: listpack: "), "{error}");
    }

    #[test]
    fn the_end_is_checked() {
        let body = b"REDIS0012\x00\x01a\x01v\xff";
        let good = [&body[..], &checksum(body).to_le_bytes()].concat();
        assert!(load_file(&good).is_ok());
        let wrong = [&body[..], &(checksum(body) ^ 1).to_le_bytes()].concat();
        assert!(matches!(load_file(&wrong).map(drop), Err(LoadError { fault: Fault::Checksum { .. }, .. })));
        // Other writers may leave it out; we do not.
        let mut aux = vec![opcode::AUX];
        put_plain(&mut aux, AUX_FORMAT.as_bytes());
        put_plain(&mut aux, FORMAT.to_string().as_bytes());
        let own = load_records(&[&aux]).map(drop).expect_err("no checksum");
        assert!(matches!(own.fault, Fault::Checksum { stated: 0, .. }), "{own}");
        // Version 4 and older have no checksum.
        assert!(load_file(b"REDIS0004\x00\x01a\x01v\xff").is_ok());
        assert!(load_file(b"REDIS0004\x00\x01a\x01v\xff\0").is_err());
        assert!(load_file(b"REDIS0005\x00\x01a\x01v\xff").is_err());
    }
}
