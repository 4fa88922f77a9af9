//! Strings (type 0).

use crate::dataset::{EncodingLimits, StrForm, Value};
use crate::rdb::LoadError;
use crate::rdb::primitive::{put_string, string};
use crate::rdb::source::Source;

/// The type byte.
pub const TYPE: u8 = 0;

/// Reads the value. `load` takes strings without this copy.
pub fn load(src: &mut Source<'_>, _: u8, _: &EncodingLimits) -> Result<Option<Value>, LoadError> {
    Ok(Some(Value::Str(string(src)?.to_vec(), StrForm::Auto)))
}

/// Appends the body; answers the type byte.
pub fn save(value: &[u8], out: &mut Vec<u8>) -> u8 {
    put_string(out, value);
    TYPE
}
