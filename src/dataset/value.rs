//! What a key can hold, in the three forms that the rest of the program hands around: owned, borrowed, borrowed
//! for changing. How an entry stores it is `entry`'s business.

use super::hash::Hash;
use super::list::List;
use super::set::Set;
use super::stream::Stream;
use super::zset::ZSet;

/// An owned value.
#[derive(Debug)]
pub enum Value {
    /// A string and its form.
    Str(Vec<u8>, StrForm),
    List(Box<List>),
    Set(Box<Set>),
    ZSet(Box<ZSet>),
    Hash(Box<Hash>),
    Stream(Box<Stream>),
    /// A value that remora does not keep.
    Marked(Box<Marked>),
}

/// How OBJECT ENCODING sees a string. The bytes are kept as they are in both forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrForm {
    /// `int` if the text is a canonical integer, else `embstr` up to 44 bytes, else `raw`.
    Auto,
    /// `raw`: made by APPEND, SETRANGE, SETBIT and their kin.
    Raw,
}

/// Stands in for a value that is not kept: a module's, a vector set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// The module's type name, such as `vectorset`.
    pub module: String,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueKind {
    Str,
    List,
    Set,
    ZSet,
    Hash,
    Stream,
    Marked,
}

impl ValueKind {
    /// What TYPE answers (a marked key answers with an error instead).
    pub fn name(self) -> &'static str {
        match self {
            Self::Str => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::ZSet => "zset",
            Self::Hash => "hash",
            Self::Stream => "stream",
            Self::Marked => "module",
        }
    }
}

/// A borrowed value.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    Str(&'a [u8], StrForm),
    List(&'a List),
    Set(&'a Set),
    ZSet(&'a ZSet),
    Hash(&'a Hash),
    Stream(&'a Stream),
    Marked(&'a Marked),
}

/// A value borrowed for changing. Strings can be changed here only at their length; see
/// `Keyspace::edit_string` for more.
#[derive(Debug)]
pub enum ValueMut<'a> {
    Str(&'a mut [u8]),
    List(&'a mut List),
    Set(&'a mut Set),
    ZSet(&'a mut ZSet),
    Hash(HashSlot<'a>),
    Stream(&'a mut Stream),
    Marked(&'a mut Marked),
}

/// Where a hash is, to change it. Without a destructor of its own, so that [`ValueMut`] has none.
#[derive(Debug)]
pub struct HashSlot<'a> {
    hash: &'a mut Hash,
    count: &'a mut usize,
}

impl<'a> HashSlot<'a> {
    /// `count`: how many hashes of its keyspace have fields that expire, this one included.
    pub(super) fn new(hash: &'a mut Hash, count: &'a mut usize) -> Self {
        Self { hash, count }
    }

    /// The hash, for changing.
    pub fn open(self) -> HashMut<'a> {
        HashMut { had_expiring: self.hash.has_expiring(), hash: self.hash, count: self.count }
    }
}

/// A hash borrowed for changing. When it is given back the keyspace's count of hashes with fields that expire is right.
#[derive(Debug)]
pub struct HashMut<'a> {
    hash: &'a mut Hash,
    had_expiring: bool,
    count: &'a mut usize,
}

impl std::ops::Deref for HashMut<'_> {
    type Target = Hash;

    fn deref(&self) -> &Hash {
        self.hash
    }
}

impl std::ops::DerefMut for HashMut<'_> {
    fn deref_mut(&mut self) -> &mut Hash {
        self.hash
    }
}

impl Drop for HashMut<'_> {
    fn drop(&mut self) {
        let has = self.hash.has_expiring();
        *self.count = *self.count + usize::from(has) - usize::from(self.had_expiring);
    }
}

impl ValueRef<'_> {
    /// The type.
    pub fn kind(&self) -> ValueKind {
        match self {
            Self::Str(..) => ValueKind::Str,
            Self::List(_) => ValueKind::List,
            Self::Set(_) => ValueKind::Set,
            Self::ZSet(_) => ValueKind::ZSet,
            Self::Hash(_) => ValueKind::Hash,
            Self::Stream(_) => ValueKind::Stream,
            Self::Marked(_) => ValueKind::Marked,
        }
    }

    /// A deep copy (COPY).
    pub fn to_owned(&self) -> Value {
        match *self {
            Self::Str(bytes, form) => Value::Str(bytes.to_vec(), form),
            Self::List(v) => Value::List(Box::new(v.clone())),
            Self::Set(v) => Value::Set(Box::new(v.clone())),
            Self::ZSet(v) => Value::ZSet(Box::new(v.clone())),
            Self::Hash(v) => Value::Hash(Box::new(v.clone())),
            Self::Stream(v) => Value::Stream(Box::new(v.clone())),
            Self::Marked(v) => Value::Marked(Box::new(v.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::config::Encodings;
    use crate::dataset::hash::Expiry;
    use crate::dataset::{EncodingLimits, Keyspace};

    fn random_hash(rng: &mut fastrand::Rng, limits: &EncodingLimits) -> Value {
        let mut hash = Hash::new();
        for field in 0..rng.u8(1..6) {
            let expiry = if rng.u8(..4) == 0 { Expiry::At(UnixMs(5)) } else { Expiry::Dropped };
            hash.set(&[field], b"v", expiry, limits);
        }
        Value::Hash(Box::new(hash))
    }

    /// Some change of one field.
    fn change(hash: &mut Hash, rng: &mut fastrand::Rng, limits: &EncodingLimits) {
        let field = [rng.u8(..6)];
        match rng.u8(..5) {
            0 => _ = hash.set(&field, b"w", Expiry::At(UnixMs(9)), limits),
            1 => _ = hash.set(&field, &[b'l'; 100][..rng.usize(..100)], Expiry::Dropped, limits),
            2 => _ = hash.set_expiry(&field, Some(UnixMs(7)), limits),
            3 => _ = hash.set_expiry(&field, None, limits),
            _ => _ = hash.remove(&field),
        }
    }

    /// Hashes come, change, are moved, overwritten and flushed; after each step they are counted anew.
    #[test]
    fn hashes_with_fields_that_expire_are_counted_as_they_change() {
        let seed = fastrand::u64(..);
        let mut rng = fastrand::Rng::with_seed(seed);
        let limits = EncodingLimits::from(Encodings::default());
        let mut spaces = [Keyspace::default(), Keyspace::default()];
        for step in 0..5_000 {
            let (key, other) = ([rng.u8(..12)], [rng.u8(..12)]);
            let at = usize::from(rng.bool());
            match rng.u8(..20) {
                0..6 => drop(spaces[at].insert(&key, random_hash(&mut rng, &limits), None)),
                6..14 => {
                    if let Some(ValueMut::Hash(slot)) = spaces[at].get_mut(&key) {
                        change(&mut slot.open(), &mut rng, &limits);
                    }
                }
                14 => drop(spaces[at].set_string(&key, b"text", StrForm::Auto, None)),
                15 => drop(spaces[at].remove(&key)),
                16 | 17 => {
                    if let Some((value, expiry)) = spaces[at].remove(&key) {
                        drop(spaces[usize::from(rng.bool())].insert(&other, value, expiry));
                    }
                }
                18 => _ = spaces[at].set_expiry(&key, Some(UnixMs(1))),
                _ if rng.u8(..20) == 0 => drop(spaces[at].take_all()),
                _ => spaces.swap(0, 1),
            }
            for space in &spaces {
                let has = |value| matches!(value, ValueRef::Hash(hash) if hash.expiring() > 0);
                let counted = space.iter().filter(|entry| has(entry.value())).count();
                assert_eq!(space.expiring_hashes(), counted, "seed {seed}, step {step}");
            }
        }
    }
}
