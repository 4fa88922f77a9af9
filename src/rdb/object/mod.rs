//! Type byte to value and back, one file per type.

pub mod hash;
pub mod list;
pub mod module;
pub mod parts;
pub mod set;
pub mod stream;
pub mod string;
pub mod zset;

use crate::dataset::{Dialect, ValueRef};

/// Appends the body of a value; answers its type byte, or `None` for a value that is not kept. The types are those
/// of masters of this dialect; before Redis 7 there are no listpacks, so values are written one by one there.
pub fn save(value: ValueRef<'_>, dialect: Dialect, out: &mut Vec<u8>) -> Option<u8> {
    let old = dialect.is_before_redis_7();
    Some(match value {
        ValueRef::Str(bytes, _) => string::save(bytes, out),
        ValueRef::ZSet(zset) if old => zset::save_one_by_one(zset, out),
        ValueRef::ZSet(zset) => zset::save(zset, dialect, out),
        ValueRef::List(list) if old => list::save_one_by_one(list, out),
        ValueRef::List(list) => list::save(list, dialect, out),
        ValueRef::Set(set) => set::save(set, dialect, out),
        ValueRef::Hash(hash) => hash::save(hash, dialect, out),
        ValueRef::Stream(stream) => stream::save(stream, dialect, out),
        ValueRef::Marked(_) => return None,
    })
}
