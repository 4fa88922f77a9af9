//! DEBUG DIGEST and DIGEST-VALUE: SHA-1 over everything, so that two servers can be told equal.
//!
//! Two operations on 20 bytes: *add* xors the hash of the data in (order does not matter), *mix* adds and then hashes
//! the digest itself (order matters).

use super::hash::Hash;
use super::packed::listpack::{Element, IntText};
use super::set::Set;
use super::stream::Stream;
use super::value::{ValueKind, ValueRef};
use super::zset::ZSet;
use super::{Dataset, Dialect, EntryRef};
use crate::clock::UnixMs;
use crate::number::DoubleText;
use sha1::{Digest as _, Sha1};
use std::fmt;

/// A digest: 20 bytes, zero at the start. Displays as 40 hexadecimal characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest([u8; 20]);

impl Digest {
    fn add(&mut self, data: &[u8]) {
        let hash: [u8; 20] = Sha1::digest(data).into();
        self.0.iter_mut().zip(hash).for_each(|(byte, hash)| *byte ^= hash);
    }

    fn mix(&mut self, data: &[u8]) {
        self.add(data);
        self.0 = Sha1::digest(self.0).into();
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Where the servers' digests differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestStyle {
    /// Redis 6 and 7.0: scores as `%.17g`.
    Redis7,
    /// Redis 7.2 and later: Grisu2 scores, fields with an expiry are marked.
    Redis8,
    /// Valkey: Grisu2 scores, expired fields are left out and expiries are not looked at.
    Valkey,
}

impl From<Dialect> for DigestStyle {
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Valkey(..) => Self::Valkey,
            Dialect::Redis(..) if dialect.prints_shortest_doubles() => Self::Redis8,
            Dialect::Redis(..) => Self::Redis7,
        }
    }
}

/// What DEBUG DIGEST prints. Logically expired keys are part of it; `now` matters to Valkey's fields only.
pub fn dataset(data: &Dataset, style: DigestStyle, now: UnixMs) -> Digest {
    let mut whole = Digest::default();
    for (index, keyspace) in data.dbs().filter(|(_, keyspace)| !keyspace.is_empty()) {
        whole.mix(&index.0.to_be_bytes());
        for entry in keyspace.iter() {
            let mut digest = Digest::default();
            digest.mix(entry.key());
            mix_entry(&mut digest, entry, style, now);
            whole.add(&digest.0);
        }
    }
    whole
}

/// What DEBUG DIGEST-VALUE prints for a key: its type, value and whether it expires, not its name.
pub fn value(entry: EntryRef<'_>, style: DigestStyle, now: UnixMs) -> Digest {
    let mut digest = Digest::default();
    mix_entry(&mut digest, entry, style, now);
    digest
}

fn mix_entry(digest: &mut Digest, entry: EntryRef<'_>, style: DigestStyle, now: UnixMs) {
    mix_value(digest, entry.value(), style, now);
    if entry.expiry().is_some() {
        digest.add(b"!!expire!!");
    }
}

fn type_number(kind: ValueKind) -> u32 {
    match kind {
        ValueKind::Str => 0,
        ValueKind::List => 1,
        ValueKind::Set => 2,
        ValueKind::ZSet => 3,
        ValueKind::Hash => 4,
        ValueKind::Marked => 5,
        ValueKind::Stream => 6,
    }
}

fn mix_value(digest: &mut Digest, value: ValueRef<'_>, style: DigestStyle, now: UnixMs) {
    digest.mix(&type_number(value.kind()).to_be_bytes());
    match value {
        ValueRef::Str(bytes, _) => digest.mix(bytes),
        ValueRef::List(list) => mix_all(digest, list.iter()),
        ValueRef::Set(set) => add_members(digest, set),
        ValueRef::Hash(hash) => add_fields(digest, hash, style, now),
        ValueRef::ZSet(zset) => add_scores(digest, zset, style),
        ValueRef::Stream(stream) => mix_stream(digest, stream),
        // What a module would add is not known: the digests of dataset and master differ.
        ValueRef::Marked(_) => {}
    }
}

fn mix_all<'a>(digest: &mut Digest, elements: impl Iterator<Item = Element<'a>>) {
    let mut scratch = IntText::default();
    elements.for_each(|element| digest.mix(element.text(&mut scratch)));
}

fn add_members(digest: &mut Digest, set: &Set) {
    let mut scratch = IntText::default();
    set.iter().for_each(|member| digest.add(member.text(&mut scratch)));
}

fn add_fields(digest: &mut Digest, hash: &Hash, style: DigestStyle, now: UnixMs) {
    let mut scratch = IntText::default();
    for entry in hash.iter() {
        if style == DigestStyle::Valkey && entry.is_expired(now) {
            continue;
        }
        let mut pair = Digest::default();
        pair.mix(entry.field.text(&mut scratch));
        pair.mix(entry.value.text(&mut scratch));
        if style == DigestStyle::Redis8 && entry.expiry.is_some() {
            pair.add(b"!!hexpire!!");
        }
        digest.add(&pair.0);
    }
}

fn add_scores(digest: &mut Digest, zset: &ZSet, style: DigestStyle) {
    let mut scratch = IntText::default();
    for (member, score) in zset.iter() {
        let text = match style {
            DigestStyle::Redis7 => DoubleText::percent_17g(score),
            DigestStyle::Redis8 | DigestStyle::Valkey => DoubleText::shortest(score),
        };
        let mut pair = Digest::default();
        pair.mix(member.text(&mut scratch));
        pair.mix(text.as_bytes());
        digest.add(&pair.0);
    }
}

fn mix_stream(digest: &mut Digest, stream: &Stream) {
    for entry in stream.entries() {
        digest.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
        mix_all(digest, entry.fields.flat_map(|(field, value)| [field, value]));
    }
}
