//! Values of modules (type 7): stepped over by their annotations and marked, since remora runs no modules.
//!
//! `len module id, then len opcode and what it announces, until opcode 0`.

use crate::dataset::{EncodingLimits, Marked, Value};
use crate::rdb::LoadError;
use crate::rdb::primitive::{length, put_length, skip_string};
use crate::rdb::source::Source;

const TYPE: u8 = 7;

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

/// Appends a value that stands for one that is not kept: empty, under its module's name. For our own files only: no
/// module could read it. Answers the type byte.
pub fn save(marked: &Marked, out: &mut Vec<u8>) -> u8 {
    put_length(out, module_id(&marked.module));
    put_length(out, END);
    TYPE
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

const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The module id of a name, version 0; characters that no module name has become `A`.
fn module_id(name: &str) -> u64 {
    let digit = |c: u8| CHARACTERS.iter().position(|&known| known == c).unwrap_or(0) as u64;
    let padded = name.bytes().chain(std::iter::repeat(b'A')).take(9);
    padded.fold(0, |id, c| id << 6 | digit(c)) << 10
}

/// The nine characters in the upper 54 bits of a module id; the lower ten are its version.
fn module_name(id: u64) -> String {
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
        assert_eq!(module_id("vectorset"), id << 10);
    }

    #[test]
    fn a_mark_that_is_written_is_read_as_a_mark() {
        let mark = Marked { module: "fixture-m".into() };
        let mut body = Vec::new();
        assert_eq!(save(&mark, &mut body), 7);
        let value = load(&mut Source::from_slice(&body), 7, &EncodingLimits::default());
        assert!(matches!(value, Ok(Some(Value::Marked(read))) if *read == mark));
    }
}
