//! What a would-be sub-replica says of itself before it asks for the stream: the options of REPLCONF, then PSYNC or
//! SYNC.
//!
//! Comes in: words of requests. Goes out: an [`Introduction`], which goes to `downstream` with the connection.

use super::args::Args;
use crate::config::split_words;
use crate::number;
use crate::position::{Offset, ReplId};
use crate::rdb::snapshot::Contents;
use crate::resp::refusal::Refusal;
use std::sync::Arc;

/// Longest address that a replica may announce, bytes (as redis and valkey).
const ADDRESS_BYTES_MAX: usize = 255;

/// What a would-be sub-replica has said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Introduction {
    /// The port that it listens on; 0 if it did not say.
    pub listening_port: u32,
    /// The address under which it wants to be shown.
    pub address: Option<String>,
    /// `capa eof`: it takes a snapshot with an end mark.
    pub eof: bool,
    /// `capa psync2`: it understands `+CONTINUE` with an id.
    pub psync2: bool,
    /// `capa rdb-channel-repl`: a Redis 8. What it offers is not taken up.
    pub rdb_channel: bool,
    /// `capa remora`: another remora, which keeps everything that we keep.
    pub remora: bool,
    /// The remoras above us that it was told of when it said so; see `LinkStatus::above`.
    pub told_above: Option<Arc<[String]>>,
    /// `version`: major, minor and patch of a Valkey 8 or later.
    pub version: Option<(u8, u8, u8)>,
    /// `rdb-only`: it wants a snapshot and no stream (`redis-cli --rdb`).
    pub rdb_only: bool,
    /// `rdb-filter-only`: what of the data it wants (`redis-cli --functions-rdb`, `--replica`).
    pub contents: Contents,
    /// What it asks for, at last.
    pub asked: Asked,
}

/// What it asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// SYNC: everything, without a line that says so.
    Sync,
    #[default]
    /// `PSYNC ? -1`, or an id that is none: everything.
    Everything,
    /// PSYNC with an id: the stream from the byte of this offset on.
    Rest { replid: ReplId, from: Offset },
}

impl Introduction {
    /// Reads the pairs of a REPLCONF. `Ok(false)`: it was an acknowledgement, which gets no reply. The pairs before
    /// one that is refused count, as with real masters.
    pub(super) fn tell(&mut self, args: &mut Args<'_>) -> Result<bool, Refusal> {
        if !args.remaining().is_multiple_of(2) {
            return Err(Refusal::SYNTAX);
        }
        while let (Some(option), Some(value)) = (args.optional(), args.optional()) {
            match option.to_ascii_lowercase().as_slice() {
                b"listening-port" => self.listening_port = u32::try_from(integer(value)?).unwrap_or_default(),
                b"ip-address" => self.address = Some(address(value)?),
                b"capa" => self.offers(value),
                b"version" => self.version = Some(version(value)?),
                b"rdb-only" => self.rdb_only = integer(value)? != 0,
                b"rdb-filter-only" => self.contents = filter(value)?,
                b"ack" | b"getack" => return Ok(false),
                _ => return Err(unrecognized(option)),
            }
        }
        Ok(true)
    }

    /// Unknown capabilities are ignored: what is not taken up is not used.
    fn offers(&mut self, capability: &[u8]) {
        match capability.to_ascii_lowercase().as_slice() {
            b"eof" => self.eof = true,
            b"psync2" => self.psync2 = true,
            b"rdb-channel-repl" => self.rdb_channel = true,
            b"remora" => self.remora = true,
            _ => {}
        }
    }
}

impl Asked {
    /// Reads the words behind PSYNC.
    pub(super) fn parse(args: &mut Args<'_>) -> Result<Self, Refusal> {
        let (replid, from) = (args.require()?, integer(args.require()?)?);
        if args.take("failover") {
            // The master aborts its failover and stays a master.
            return Err(Refusal::text("ERR PSYNC FAILOVER is refused: remora is a replica and never a master"));
        }
        Ok(match (ReplId::parse(replid), u64::try_from(from)) {
            (Some(replid), Ok(from)) => Self::Rest { replid, from: Offset(from) },
            _ => Self::Everything,
        })
    }
}

fn integer(word: &[u8]) -> Result<i64, Refusal> {
    number::parse_integer(word).ok_or(Refusal::NOT_AN_INTEGER)
}

fn address(value: &[u8]) -> Result<String, Refusal> {
    if value.len() > ADDRESS_BYTES_MAX {
        let bytes = value.len();
        let text = format!("ERR REPLCONF ip-address provided by replica instance is too long: {bytes} bytes");
        return Err(Refusal::text(text));
    }
    // It is shown in INFO, where lines and commas part.
    let shown = |c: char| if c.is_control() || c == ',' { '?' } else { c };
    Ok(String::from_utf8_lossy(value).chars().map(shown).collect())
}

/// `9.1.2`
fn version(value: &[u8]) -> Result<(u8, u8, u8), Refusal> {
    let mut parts =
        value.split(|c| *c == b'.').map(|part| number::parse_integer(part).and_then(|n| u8::try_from(n).ok()));
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(Some(major)), Some(Some(minor)), Some(Some(patch)), None) => Ok((major, minor, patch)),
        _ => {
            let value = String::from_utf8_lossy(value);
            Err(Refusal::text(format!("ERR Unrecognized version format: {value}")))
        }
    }
}

/// Nothing but what is named.
fn filter(value: &[u8]) -> Result<Contents, Refusal> {
    let mut contents = Contents { keys: false, functions: false };
    for word in split_words(value).ok_or(Refusal::text("ERR Missing rdb-filter-only values"))? {
        if !word.eq_ignore_ascii_case(b"functions") {
            let word = String::from_utf8_lossy(&word);
            return Err(Refusal::text(format!("ERR Unsupported rdb-filter-only option: {word}")));
        }
        contents.functions = true;
    }
    Ok(contents)
}

fn unrecognized(option: &[u8]) -> Refusal {
    let option = String::from_utf8_lossy(option);
    Refusal::text(format!("ERR Unrecognized REPLCONF option: {option}"))
}
