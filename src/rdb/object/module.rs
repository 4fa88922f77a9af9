//! Values of modules (type 7): stepped over by their annotations and marked, since remora runs no modules.
//!
//! `len module id, then len opcode and what it announces, until opcode 0`.

use crate::dataset::{EncodingLimits, Marked, Value};
use crate::rdb::LoadError;
use crate::rdb::primitive::{length, skip_string};
use crate::rdb::source::Source;

const END: u64 = 0;
const SIGNED: u64 = 1;
const UNSIGNED: u64 = 2;
const FLOAT: u64 = 3;
const DOUBLE: u64 = 4;
const STRING: u64 = 5;

/// Steps over the value and answers a mark with the module's name.
pub fn load(src: &mut Source<'_>, _: u8, _: &EncodingLimits) -> Result<Option<Value>, LoadError> {
    let id = length(src)?;
    skip_values(src)?;
    Ok(Some(Value::Marked(Box::new(Marked { module: module_name(id) }))))
}

/// Steps over module values up to the end mark (values of keys, module AUX).
pub fn skip_values(src: &mut Source<'_>) -> Result<(), LoadError> {
    loop {
        match length(src)? {
            END => return Ok(()),
            SIGNED | UNSIGNED => drop(length(src)?),
            FLOAT => src.skip(4)?,
            DOUBLE => src.skip(8)?,
            STRING => skip_string(src)?,
            _ => return Err(src.error("module value: unknown opcode")),
        }
    }
}

/// The nine characters in the upper 54 bits of a module id; the lower ten are its version.
fn module_name(id: u64) -> String {
    const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).rev().map(|i| char::from(CHARACTERS[(id >> (10 + 6 * i) & 63) as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_over_every_kind_of_value() {
        let body = b"\x81\xc2\xc7\xad\xb9\xfa\x5b\x78\x00\x01\x05\x02\x40\x80\x03abcd\x04abcdefgh\x05\x02hi\x05\xc0\x01\x00.";
        let mut src = Source::from_slice(body);
        let value = load(&mut src, 7, &EncodingLimits::default());
        assert!(matches!(value, Ok(Some(Value::Marked(_)))), "{value:?}");
        assert_eq!(src.u8(), Ok(b'.'));
        assert!(load(&mut Source::from_slice(b"\x05\x06\x00"), 7, &EncodingLimits::default()).is_err());
    }

    #[test]
    fn names_are_in_the_upper_bits() {
        let id = b"vectorset".iter().fold(0_u64, |id, &c| {
            let digit = match c {
                b'a'..=b'z' => c - b'a' + 26,
                _ => 0,
            };
            id << 6 | u64::from(digit)
        });
        assert_eq!(module_name(id << 10 | 3), "vectorset");
    }
}
