//! The snapshot format in both directions, without sockets.
//!
//! Comes in: snapshot bytes still arriving from a master, or a RESTORE payload. Goes out: a fresh dataset, or a
//! value; and the way back. Everything that is read is foreign: lengths and counts are not trusted, blobs are
//! checked, and an error says at which byte. Versions, opcodes and value types stand in the tables below.

mod batch;
pub mod crc64;
#[cfg(test)]
mod fixtures;
pub mod legacy;
pub mod load;
pub mod lzf;
pub mod object;
pub mod primitive;
pub mod save;
pub mod snapshot;
pub mod source;

use crate::dataset::packed::Corrupt;
use crate::dataset::{Dialect, EncodingLimits, Value};
use source::Source;
use std::fmt;

/// Versions of files that start with `REDIS`: 6.0 writes 9, 7.0 10, Valkey 8.1 (and 7.2) 11, 8.0 (and 7.4) 12.
pub const REDIS_VERSIONS: std::ops::RangeInclusive<u32> = 1..=12;
/// Version of files that start with `VALKEY`: 9.1 writes 80.
pub const VALKEY_VERSION: u32 = 80;
/// First version with a checksum behind the end mark.
pub const CHECKSUM_SINCE: u32 = 5;

/// The version that servers of a dialect write into snapshots and payloads: 9 to 12, or 80.
pub fn version_of(dialect: Dialect) -> u32 {
    match dialect {
        Dialect::Redis(..=6, _) => 9,
        Dialect::Redis(7, 0..=1) => 10,
        Dialect::Redis(7, 2..=3) | Dialect::Valkey(..=8, _) => 11,
        Dialect::Redis(..) => 12,
        Dialect::Valkey(..) => VALKEY_VERSION,
    }
}

/// Opcodes of the file's records; every other byte is a value type.
pub mod opcode {
    /// End of the records; the checksum follows.
    pub const END: u8 = 0xff;
    /// Database of the next keys.
    pub const SELECT: u8 = 0xfe;
    /// Expiry of the next key in seconds; nobody writes it any more.
    pub const EXPIRE_SECONDS: u8 = 0xfd;
    /// Expiry of the next key in milliseconds.
    pub const EXPIRE_MS: u8 = 0xfc;
    /// Numbers of keys, and of keys with expiry, in the database: a hint.
    pub const SIZES: u8 = 0xfb;
    /// Name and value of a fact about the file; anywhere between records.
    pub const AUX: u8 = 0xfa;
    /// LFU counter of the next key, with an LFU policy.
    pub const LFU: u8 = 0xf9;
    /// LRU idle seconds of the next key, with an LRU policy.
    pub const LRU: u8 = 0xf8;
    /// Data of a module that belongs to no key.
    pub const MODULE_AUX: u8 = 0xf7;
    /// Functions as a release candidate of 7.0 wrote them: refused.
    pub const FUNCTION_PRE: u8 = 0xf6;
    /// A function library's source text, since 7.0.
    pub const FUNCTION: u8 = 0xf5;
    /// Sizes of a cluster slot: a hint, by 8.0 in cluster mode.
    pub const SLOT_SIZES: u8 = 0xf4;
    /// An import of slots in progress, by Valkey 9 in cluster mode.
    pub const SLOT_IMPORT: u8 = 0xf3;
}

/// Reads a value of a type byte; `None` for an empty collection, which loaders skip.
pub type LoadValue = fn(&mut Source<'_>, u8, &EncodingLimits) -> Result<Option<Value>, LoadError>;

/// Which files a value type is read from. The version inside a family does not matter to any server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Redis,
    Valkey,
}

/// A value type.
pub struct TypeRow {
    /// The type byte.
    pub byte: u8,
    /// The encoding, and who writes it.
    pub what: &'static str,
    /// Only in files of this family, if not in all.
    pub only_in: Option<Family>,
    /// How it is read; `None`: refused.
    pub load: Option<LoadValue>,
}

const fn row(byte: u8, what: &'static str, load: LoadValue) -> TypeRow {
    TypeRow { byte, what, only_in: None, load: Some(load) }
}

const fn only(family: Family, mut row: TypeRow) -> TypeRow {
    row.only_in = Some(family);
    row
}

const fn refused(byte: u8, what: &'static str) -> TypeRow {
    TypeRow { byte, what, only_in: None, load: None }
}

/// Every value type, by type byte.
pub static TYPES: &[TypeRow] = &[
    row(0, "string; all", object::string::load),
    row(1, "list of strings; read by all, written by nobody since 3.2", object::list::load),
    row(2, "set of strings; all", object::set::load),
    row(3, "sorted set, scores as text; written by nobody since 4.0", object::zset::load),
    row(4, "hash of strings; all", object::hash::load),
    row(5, "sorted set, binary scores; all", object::zset::load),
    refused(6, "module value without annotations; a release candidate of 4.0"),
    row(7, "module value; 8.0 vector sets", object::module::load),
    refused(8, "nobody"),
    row(9, "hash as zipmap; before 2.6", object::hash::load),
    row(10, "list as ziplist; before 3.2", object::list::load),
    row(11, "set as intset; all", object::set::load),
    row(12, "sorted set as ziplist; 6.0", object::zset::load),
    row(13, "hash as ziplist; 6.0", object::hash::load),
    row(14, "list of ziplists; 6.0", object::list::load),
    row(15, "stream, first form; 6.0", object::stream::load),
    row(16, "hash as listpack; 7.0 and later", object::hash::load),
    row(17, "sorted set as listpack; 7.0 and later", object::zset::load),
    row(18, "list of listpacks and plain elements; 7.0 and later", object::list::load),
    row(19, "stream with counters; 7.0", object::stream::load),
    row(20, "set as listpack; 8.0, Valkey 8.1 and 9.1", object::set::load),
    row(21, "stream with active times; 8.0, Valkey 8.1 and 9.1", object::stream::load),
    // In Redis files it is a release candidate's type.
    only(Family::Valkey, row(22, "hash with field expiry; Valkey 9.1", object::hash::load)),
    refused(23, "hash of a release candidate of 7.4"),
    only(Family::Redis, row(24, "hash with field expiry; 8.0", object::hash::load)),
    only(Family::Redis, row(25, "small hash with field expiry, as listpack; 8.0", object::hash::load)),
];

/// Reads the value of a type byte from a file of `family`. Errors name the type and the place.
pub fn load_value(
    src: &mut Source<'_>,
    byte: u8,
    family: Family,
    limits: &EncodingLimits,
) -> Result<Option<Value>, LoadError> {
    let row = TYPES.get(usize::from(byte)).filter(|row| row.only_in.is_none_or(|only| only == family));
    let Some(load) = row.and_then(|row| row.load) else { return Err(src.error(Fault::Type(byte))) };
    load(src, byte, limits).map_err(|error| error.inside(byte, src.offset()))
}

/// Why a snapshot or a DUMP payload was refused, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// Bytes that had been taken when it was noticed.
    pub offset: u64,
    /// The value type that was being read, if one was.
    pub value_type: Option<u8>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes end too early.
    Truncated,
    /// Whoever feeds the bytes gave up.
    Aborted,
    /// Neither `REDIS` nor `VALKEY` and a version.
    Magic,
    /// A version that is not known.
    Version(u32),
    /// A value type or opcode that is not known or not supported.
    Type(u8),
    /// The checksum at the end is not that of the bytes.
    Checksum { stated: u64, computed: u64 },
    /// The footer of a DUMP payload states an unknown version or a wrong checksum, or is missing.
    Footer,
    /// A compact blob is not valid.
    Packed(Corrupt),
    /// Anything else, as a phrase.
    Corrupt(&'static str),
}

impl LoadError {
    /// An error at a place.
    pub fn at(offset: u64, fault: Fault) -> Self {
        Self { offset, value_type: None, fault }
    }

    /// The same error, noticed while a value of this type was read up to `offset`.
    fn inside(mut self, byte: u8, offset: u64) -> Self {
        self.value_type = Some(byte);
        if self.offset == 0 {
            self.offset = offset;
        }
        self
    }
}

impl From<&'static str> for Fault {
    fn from(what: &'static str) -> Self {
        Self::Corrupt(what)
    }
}

impl From<Corrupt> for Fault {
    fn from(corrupt: Corrupt) -> Self {
        Self::Packed(corrupt)
    }
}

/// The place is not known here; `load_value` fills it in.
impl From<Corrupt> for LoadError {
    fn from(corrupt: Corrupt) -> Self {
        Self::at(0, Fault::Packed(corrupt))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the bytes end too early"),
            Self::Aborted => f.write_str("given up"),
            Self::Magic => f.write_str("neither REDIS nor VALKEY and a version"),
            Self::Version(version) => write!(f, "version {version} is not known"),
            Self::Type(byte) => write!(f, "type or opcode {byte} is not known"),
            Self::Checksum { stated, computed } => {
                write!(f, "checksum is {computed:016x}, stated {stated:016x}")
            }
            Self::Footer => f.write_str("version or checksum of the payload are wrong"),
            Self::Packed(corrupt) => corrupt.fmt(f),
            Self::Corrupt(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snapshot byte {}: {}", self.offset, self.fault)?;
        match self.value_type {
            Some(byte) => write!(f, " (in a value of type {byte})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for LoadError {}
