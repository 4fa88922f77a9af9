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
    Hash(&'a mut Hash),
    Stream(&'a mut Stream),
    Marked(&'a mut Marked),
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
