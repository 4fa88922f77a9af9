//! Hashes: fields and values one by one (type 4, with expiry 22 and 24), or a compact blob of them (9, 13, 16, with
//! expiry 25).

use crate::clock::UnixMs;
use crate::dataset::hash::{Entry, Expiry, Hash, View};
use crate::dataset::packed::listpack::{IntText, Listpack};
use crate::dataset::{Dialect, EncodingLimits, Value};
use crate::rdb::LoadError;
use crate::rdb::legacy::{ziplist, zipmap};
use crate::rdb::primitive::{length, put_length, put_listpack, put_string, string};
use crate::rdb::source::Source;

const PLAIN: u8 = 4;
const ZIPMAP: u8 = 9;
const ZIPLIST: u8 = 13;
const LISTPACK: u8 = 16;
const VALKEY_EXPIRY: u8 = 22;
const REDIS_EXPIRY: u8 = 24;
const LISTPACK_EXPIRY: u8 = 25;

/// In type 22: the field has no expiry.
const VALKEY_NEVER: i64 = -1;

/// Reads the value. As the servers: few fields one by one are packed, a blob of too many is not.
pub fn load(src: &mut Source<'_>, type_byte: u8, limits: &EncodingLimits) -> Result<Option<Value>, LoadError> {
    let hash = match type_byte {
        ZIPMAP => Hash::from_packed(zipmap::to_listpack(string(src)?)?, limits)?,
        ZIPLIST => Hash::from_packed(ziplist::to_listpack(string(src)?)?, limits)?,
        LISTPACK => Hash::from_packed(Listpack::parse(string(src)?)?, limits)?,
        LISTPACK_EXPIRY => {
            // The earliest expiry, for Redis' own index; it can be out of date.
            src.skip(8)?;
            Hash::from_packed_with_expiry(Listpack::parse(string(src)?)?, limits)?
        }
        _ => one_by_one(src, type_byte, limits)?,
    };
    Ok((!hash.is_empty()).then(|| Value::Hash(Box::new(hash))))
}

fn one_by_one(src: &mut Source<'_>, type_byte: u8, limits: &EncodingLimits) -> Result<Hash, LoadError> {
    let base = if type_byte == REDIS_EXPIRY { src.i64_le()? } else { 0 };
    let count = length(src)?;
    // As valkey 9.1: what may have an expiry is a table from the start.
    let expected = if type_byte == VALKEY_EXPIRY { u64::MAX } else { count };
    let mut hash = Hash::for_fields(expected, limits);
    let (mut field, mut value) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let offset = if type_byte == REDIS_EXPIRY { length(src)? } else { 0 };
        read_into(src, &mut field)?;
        read_into(src, &mut value)?;
        let expiry = match type_byte {
            REDIS_EXPIRY => redis_expiry(base, offset).ok_or_else(|| src.error("hash: expiry out of range"))?,
            VALKEY_EXPIRY => valkey_expiry(src.i64_le()?).ok_or_else(|| src.error("hash: expiry out of range"))?,
            _ => Expiry::Dropped,
        };
        if !hash.set(&field, &value, expiry, limits) {
            return Err(src.error("hash: a field twice"));
        }
    }
    Ok(hash)
}

fn read_into(src: &mut Source<'_>, text: &mut Vec<u8>) -> Result<(), LoadError> {
    text.clear();
    text.extend_from_slice(string(src)?);
    Ok(())
}

/// In type 24: 0 is none, else one more than the distance to the earliest expiry.
fn redis_expiry(base: i64, offset: u64) -> Option<Expiry> {
    let Some(distance) = offset.checked_sub(1) else { return Some(Expiry::Dropped) };
    base.checked_add_unsigned(distance).map(|ms| Expiry::At(UnixMs(ms)))
}

fn valkey_expiry(ms: i64) -> Option<Expiry> {
    match ms {
        VALKEY_NEVER => Some(Expiry::Dropped),
        0.. => Some(Expiry::At(UnixMs(ms))),
        _ => None,
    }
}

/// Appends the value in the newest form that servers of this dialect write; answers the type byte.
pub fn save(hash: &Hash, dialect: Dialect, out: &mut Vec<u8>) -> u8 {
    match hash.view() {
        View::Packed(pack) if !dialect.is_before_redis_7() => {
            put_listpack(out, pack, dialect);
            LISTPACK
        }
        View::WithExpiry(pack) if !dialect.is_valkey() => {
            out.extend_from_slice(&earliest(hash).to_le_bytes());
            put_listpack(out, pack, dialect);
            LISTPACK_EXPIRY
        }
        _ => {
            let table = match table(hash, dialect) {
                Table::RedisExpiry(_) => Table::RedisExpiry(earliest(hash)),
                table => table,
            };
            let type_byte = table.begin(hash, out);
            hash.iter().for_each(|entry| table.put(entry, out));
            type_byte
        }
    }
}

/// How fields are written one by one.
#[derive(Clone, Copy, Debug)]
pub enum Table {
    /// Every server reads it; it holds no expiry.
    Plain,
    ValkeyExpiry,
    /// Expiries count from the earliest one, ms.
    RedisExpiry(i64),
}

/// How servers of this dialect write the fields; the earliest expiry is not looked for.
pub(super) fn table(hash: &Hash, dialect: Dialect) -> Table {
    match hash.expiring() {
        0 => Table::Plain,
        _ if dialect.is_valkey() => Table::ValkeyExpiry,
        _ => Table::RedisExpiry(0),
    }
}

impl Table {
    pub(super) fn type_byte(self) -> u8 {
        match self {
            Self::Plain => PLAIN,
            Self::ValkeyExpiry => VALKEY_EXPIRY,
            Self::RedisExpiry(_) => REDIS_EXPIRY,
        }
    }

    /// Appends what is before the fields; answers the type byte.
    pub(super) fn begin(self, hash: &Hash, out: &mut Vec<u8>) -> u8 {
        if let Self::RedisExpiry(earliest) = self {
            out.extend_from_slice(&earliest.to_le_bytes());
        }
        put_length(out, hash.len() as u64);
        self.type_byte()
    }

    pub(super) fn put(self, entry: Entry<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Plain => put_pair(entry, out),
            Self::ValkeyExpiry => {
                put_pair(entry, out);
                let ms = entry.expiry.map_or(VALKEY_NEVER, |at| at.0);
                out.extend_from_slice(&ms.to_le_bytes());
            }
            Self::RedisExpiry(earliest) => {
                put_length(out, entry.expiry.map_or(0, |at| at.0.abs_diff(earliest) + 1));
                put_pair(entry, out);
            }
        }
    }
}

fn put_pair(entry: Entry<'_>, out: &mut Vec<u8>) {
    let mut scratch = IntText::default();
    put_string(out, entry.field.text(&mut scratch));
    put_string(out, entry.value.text(&mut scratch));
}

/// The earliest expiry in ms; 0 if there is none.
fn earliest(hash: &Hash) -> i64 {
    hash.iter().filter_map(|entry| entry.expiry).min().map_or(0, |at| at.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb::Fault;

    fn limits(dialect: Dialect) -> EncodingLimits {
        EncodingLimits { dialect, ..EncodingLimits::default() }
    }

    fn read(type_byte: u8, body: &[u8], dialect: Dialect) -> Result<Option<Box<Hash>>, LoadError> {
        let mut src = Source::from_slice(body);
        let value = load(&mut src, type_byte, &limits(dialect))?;
        assert!(src.is_at_end()?, "all of the value is read");
        Ok(value.map(|value| if let Value::Hash(hash) = value { hash } else { panic!("no hash") }))
    }

    /// `field=value@expiry`, sorted.
    fn shown(hash: &Hash) -> Vec<String> {
        let text = |text: Vec<u8>| String::from_utf8_lossy(&text).into_owned();
        let mut entries: Vec<_> = hash
            .iter()
            .map(|entry| {
                let expiry = entry.expiry.map(|at| format!("@{}", at.0)).unwrap_or_default();
                format!("{}={}{expiry}", text(entry.field.to_vec()), text(entry.value.to_vec()))
            })
            .collect();
        entries.sort();
        entries
    }

    /// The same hash from both servers, from the protocol's section 4.6.
    #[test]
    fn bytes_of_real_servers() {
        let redis = b"\x00\xd8\xc3\x2c\xbb\x03\x00\x00\x1f\x1f\x00\x00\x00\x06\x00\
            \x81f\x02\x81v\x02\xf4\x00\xd8\xc3\x2c\xbb\x03\x00\x00\x09\x81g\x02\x81w\x02\x00\x01\xff";
        let valkey = b"\x02\x01f\x01v\x00\xd8\xc3\x2c\xbb\x03\x00\x00\x01g\x01w\xff\xff\xff\xff\xff\xff\xff\xff";
        let check = |type_byte, body: &[u8], dialect, encoding| {
            let hash = read(type_byte, body, dialect).unwrap().unwrap();
            assert_eq!(shown(&hash), ["f=v@4102444800000", "g=w"]);
            assert_eq!(hash.encoding(dialect), encoding);
            hash
        };
        let hash = check(LISTPACK_EXPIRY, redis, Dialect::Redis(8, 0), "listpackex");
        let mut out = Vec::new();
        assert_eq!(save(&hash, Dialect::Redis(8, 0), &mut out), LISTPACK_EXPIRY);
        assert_eq!(out, redis);
        check(VALKEY_EXPIRY, valkey, Dialect::Valkey(9, 1), "hashtable");
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        for dialect in [Dialect::Redis(6, 0), Dialect::Redis(7, 0), Dialect::Redis(8, 0), Dialect::Valkey(9, 1)] {
            for fields in [1, 3, 513] {
                for long in [1, 70] {
                    for expiring in [0, 1, 2] {
                        if expiring > 0 && dialect <= Dialect::Redis(7, 0) {
                            continue;
                        }
                        let hash = sample(fields, long, expiring, dialect);
                        let mut body = Vec::new();
                        let type_byte = save(&hash, dialect, &mut body);
                        let back = read(type_byte, &body, dialect).unwrap().unwrap();
                        assert_eq!(shown(&back), shown(&hash), "type {type_byte}, {dialect:?}");
                        assert_eq!(
                            back.encoding(dialect),
                            hash.encoding(dialect),
                            "type {type_byte}, {dialect:?}"
                        );
                        assert_eq!(back.expiring(), hash.expiring());
                    }
                }
            }
        }
    }

    fn sample(fields: usize, long: usize, expiring: usize, dialect: Dialect) -> Hash {
        let (mut hash, limits) = (Hash::new(), limits(dialect));
        for i in 0..fields {
            let expiry = if i < expiring { Expiry::At(UnixMs(1_000 - i as i64)) } else { Expiry::Dropped };
            hash.set(format!("f{i}").as_bytes(), i.to_string().repeat(long).as_bytes(), expiry, &limits);
        }
        hash
    }

    #[test]
    fn bad_values_are_refused() {
        let check = |type_byte, body: &[u8], expected: Fault| {
            assert_eq!(read(type_byte, body, Dialect::default()).unwrap_err().fault, expected, "{body:?}");
        };
        check(PLAIN, b"\x02\x01f\x01v\x01f\x01w", "hash: a field twice".into());
        check(PLAIN, b"\x02\x01f\x01v\x01g", Fault::Truncated);
        check(
            REDIS_EXPIRY,
            b"\xff\xff\xff\xff\xff\xff\xff\x7f\x01\x02\x01f\x01v",
            "hash: expiry out of range".into(),
        );
        check(
            VALKEY_EXPIRY,
            b"\x01\x01f\x01v\xfe\xff\xff\xff\xff\xff\xff\xff",
            "hash: expiry out of range".into(),
        );
        assert!(matches!(read(PLAIN, b"\x00", Dialect::default()), Ok(None)));
        assert!(matches!(read(LISTPACK, b"\x07\x07\x00\x00\x00\x00\x00\xff", Dialect::default()), Ok(None)));
    }
}
