//! String keys of a snapshot on their way into the keyspace, some dozens at a time.
//!
//! With millions of keys each insert waits for its bucket to come from memory. A batch asks for all buckets first and
//! then inserts.

use crate::clock::UnixMs;
use crate::dataset::{Keyspace, Stamp, StrForm};

/// Keys that wait together: what the processor can fetch at once, and some more.
const KEYS_MAX: usize = 32;
/// Bytes of names and values that wait together.
const BYTES_MAX: usize = 64 * 1024;

/// Names and values, one behind the other, that are not in the keyspace yet.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    name_end: usize,
    end: usize,
    expiry: Option<UnixMs>,
    stamp: Option<Stamp>,
}

impl Batch {
    /// Whether this value may wait; a longer one is not worth the second copy.
    pub(super) fn takes(value: &[u8]) -> bool {
        value.len() < BYTES_MAX / KEYS_MAX
    }

    /// Takes a key.
    pub(super) fn push(&mut self, name: &[u8], value: &[u8], expiry: Option<UnixMs>, stamp: Option<Stamp>) {
        self.bytes.extend_from_slice(name);
        let name_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.waiting.push(Waiting { name_end, end: self.bytes.len(), expiry, stamp });
    }

    /// Time to insert.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= KEYS_MAX || self.bytes.len() >= BYTES_MAX
    }

    /// Inserts all that wait; `false` if one of the keys was there already.
    pub(super) fn insert_into(&mut self, keyspace: &mut Keyspace) -> bool {
        let expected = keyspace.len() + self.waiting.len();
        for (name, ..) in self.keys() {
            keyspace.prefetch_bucket(name);
        }
        for (name, value, key) in self.keys() {
            drop(keyspace.set_string_stamped(name, value, StrForm::Auto, key.expiry, key.stamp));
        }
        self.waiting.clear();
        self.bytes.clear();
        keyspace.len() == expected
    }

    fn keys(&self) -> impl Iterator<Item = (&[u8], &[u8], &Waiting)> {
        let starts = std::iter::once(0).chain(self.waiting.iter().map(|key| key.end));
        starts
            .zip(&self.waiting)
            .map(|(start, key)| (&self.bytes[start..key.name_end], &self.bytes[key.name_end..key.end], key))
    }
}
