//! One database: keys to values with optional expiry.
//!
//! Lookups here do not look at the clock: a logically expired key is present. `expiry` says who is alive.

use super::value::{StrForm, Value, ValueKind, ValueMut, ValueRef};
use crate::clock::UnixMs;
use std::collections::HashMap;

/// The keys of one database.
#[derive(Debug, Default)]
pub struct Keyspace {
    entries: HashMap<Box<[u8]>, (Value, Option<UnixMs>)>,
}

/// One key with its value and expiry, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct EntryRef<'a> {
    key: &'a [u8],
    value: ValueRef<'a>,
    expiry: Option<UnixMs>,
}

impl<'a> EntryRef<'a> {
    /// The key's name.
    pub fn key(&self) -> &'a [u8] {
        self.key
    }

    /// The value.
    pub fn value(&self) -> ValueRef<'a> {
        self.value
    }

    /// When the key expires, if ever.
    pub fn expiry(&self) -> Option<UnixMs> {
        self.expiry
    }

    /// Logically expired at `now` (as redis: strictly after the expiry time).
    pub fn is_expired(&self, now: UnixMs) -> bool {
        self.expiry.is_some_and(|at| now > at)
    }
}

fn borrow(value: &Value) -> ValueRef<'_> {
    match value {
        Value::Str(b, f) => ValueRef::Str(b, *f),
        Value::List(v) => ValueRef::List(v),
        Value::Set(v) => ValueRef::Set(v),
        Value::ZSet(v) => ValueRef::ZSet(v),
        Value::Hash(v) => ValueRef::Hash(v),
        Value::Stream(v) => ValueRef::Stream(v),
        Value::Marked(v) => ValueRef::Marked(v),
    }
}

impl Keyspace {
    /// Number of keys, logically expired ones included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// No key at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of keys that have an expiry.
    pub fn expires(&self) -> usize {
        self.entries.values().filter(|e| e.1.is_some()).count()
    }

    /// Number of keys that are marked as not kept.
    pub fn marked(&self) -> usize {
        self.entries.values().filter(|e| borrow(&e.0).kind() == ValueKind::Marked).count()
    }

    /// Makes room for `keys` more keys.
    pub fn reserve(&mut self, keys: usize) {
        self.entries.reserve(keys);
    }

    /// The entry of a key.
    pub fn get(&self, key: &[u8]) -> Option<EntryRef<'_>> {
        let (key, (value, expiry)) = self.entries.get_key_value(key)?;
        Some(EntryRef { key, value: borrow(value), expiry: *expiry })
    }

    /// The value of a key for changing.
    pub fn get_mut(&mut self, key: &[u8]) -> Option<ValueMut<'_>> {
        Some(match &mut self.entries.get_mut(key)?.0 {
            Value::Str(b, _) => ValueMut::Str(b),
            Value::List(v) => ValueMut::List(v),
            Value::Set(v) => ValueMut::Set(v),
            Value::ZSet(v) => ValueMut::ZSet(v),
            Value::Hash(v) => ValueMut::Hash(v),
            Value::Stream(v) => ValueMut::Stream(v),
            Value::Marked(v) => ValueMut::Marked(v),
        })
    }

    /// Stores a value under a key, replacing value and expiry; answers what was replaced.
    pub fn insert(&mut self, key: &[u8], value: Value, expiry: Option<UnixMs>) -> Option<Value> {
        self.entries.insert(key.into(), (value, expiry)).map(|e| e.0)
    }

    /// Stores a string under a key, replacing value and expiry; answers what was replaced, strings excepted.
    pub fn set_string(
        &mut self,
        key: &[u8],
        bytes: &[u8],
        form: StrForm,
        expiry: Option<UnixMs>,
    ) -> Option<Value> {
        self.insert(key, Value::Str(bytes.to_vec(), form), expiry)
    }

    /// Changes the bytes of an existing string; its form becomes raw, its expiry stays. `None` if the key is
    /// missing or holds something else. Costs a copy of a short string.
    pub fn edit_string<R>(&mut self, key: &[u8], edit: impl FnOnce(&mut Vec<u8>) -> R) -> Option<R> {
        match &mut self.entries.get_mut(key)?.0 {
            Value::Str(bytes, form) => {
                *form = StrForm::Raw;
                Some(edit(bytes))
            }
            _ => None,
        }
    }

    /// Sets or takes away the expiry; `false` if the key is missing.
    pub fn set_expiry(&mut self, key: &[u8], expiry: Option<UnixMs>) -> bool {
        self.entries.get_mut(key).map(|e| e.1 = expiry).is_some()
    }

    /// Removes a key; answers its value and expiry.
    pub fn remove(&mut self, key: &[u8]) -> Option<(Value, Option<UnixMs>)> {
        self.entries.remove(key)
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.entries.iter().map(|(key, (value, expiry))| EntryRef { key, value: borrow(value), expiry: *expiry })
    }

    /// One step of SCAN: hands at least one bucket and about `count` entries to `visit`; answers the next
    /// cursor, 0 at the end. Every key that is there during the whole walk is handed out exactly once.
    pub fn scan<'a>(&'a self, _cursor: u64, _count: usize, visit: impl FnMut(EntryRef<'a>)) -> u64 {
        self.iter().for_each(visit);
        0
    }

    /// Any entry, by chance from `random`; `None` if empty.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<EntryRef<'_>> {
        self.iter().nth(usize::try_from(random()).unwrap_or(0) % self.len().max(1))
    }
}
