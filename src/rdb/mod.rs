//! The snapshot format in both directions, without sockets.

pub mod crc64;
pub mod legacy;
pub mod load;
pub mod lzf;
pub mod object;
pub mod primitive;
pub mod save;
pub mod source;

use crate::dataset::packed::Corrupt;
use std::fmt;

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

/// The place is not known here; `load` fills it in.
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
