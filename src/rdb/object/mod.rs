//! Type byte to value and back, one file per type.

pub mod hash;
pub mod list;
pub mod module;
pub mod set;
pub mod stream;
pub mod string;
pub mod zset;

use crate::dataset::ValueRef;

/// Appends the body of a value; answers its type byte, or `None` for a value that is not kept.
pub fn save(value: ValueRef<'_>, out: &mut Vec<u8>) -> Option<u8> {
    Some(match value {
        ValueRef::Str(bytes, _) => string::save(bytes, out),
        ValueRef::List(_) | ValueRef::Set(_) | ValueRef::ZSet(_) | ValueRef::Hash(_) | ValueRef::Stream(_) => {
            return None;
        }
        ValueRef::Marked(_) => return None,
    })
}
