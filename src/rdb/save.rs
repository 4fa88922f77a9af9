//! One value to a DUMP payload and back (RESTORE), and function libraries likewise.
//!
//! `type byte, body, u16 version, u64 checksum of everything before it`. The bodies are those of snapshots.

use super::crc64::checksum;
use super::object;
use super::primitive::{put_plain, string};
use super::source::Source;
use super::{Family, Fault, LoadError, REDIS_VERSIONS, VALKEY_VERSION, load_value, opcode, version_of};
use crate::dataset::functions::Functions;
use crate::dataset::{Dialect, EncodingLimits, Value, ValueRef};

/// The DUMP payload of a value with the version that masters of this dialect state; `None` for a value that is
/// not kept.
pub fn dump_payload(value: ValueRef<'_>, dialect: Dialect) -> Option<Vec<u8>> {
    let mut out = vec![0];
    let byte = object::save(value, dialect, &mut out)?;
    out[0] = byte;
    put_footer(&mut out, dialect);
    Some(out)
}

/// Reads a DUMP payload. `Ok(None)`: a valid, empty collection.
///
/// `Fault::Footer` stands for `DUMP payload version or checksum are wrong`, any other fault for `Bad data format`.
/// As redis 6.0 to valkey 9.1: bytes between the value and the footer are not looked at.
pub fn restore_payload(payload: &[u8], limits: &EncodingLimits) -> Result<Option<Value>, LoadError> {
    let (body, family) = checked_body(payload)?;
    let mut src = Source::from_slice(body);
    let byte = src.u8()?;
    load_value(&mut src, byte, family, limits)
}

/// The FUNCTION DUMP payload of all libraries.
pub fn dump_functions(functions: &Functions, dialect: Dialect) -> Vec<u8> {
    let mut out = Vec::new();
    for (_, source) in functions.iter() {
        out.push(opcode::FUNCTION);
        put_plain(&mut out, source);
    }
    put_footer(&mut out, dialect);
    out
}

/// Reads a FUNCTION DUMP payload: the source texts in order. Faults as in `restore_payload`.
pub fn restore_functions(payload: &[u8]) -> Result<Vec<Vec<u8>>, LoadError> {
    let (body, _) = checked_body(payload)?;
    let (mut src, mut sources) = (Source::from_slice(body), Vec::new());
    while !src.is_at_end()? {
        match src.u8()? {
            opcode::FUNCTION => sources.push(string(&mut src)?.to_vec()),
            byte => return Err(src.error(Fault::Type(byte))),
        }
    }
    Ok(sources)
}

/// What is before the footer, and whose it is. Unlike in a file, a checksum of zeros is not a way out.
fn checked_body(payload: &[u8]) -> Result<(&[u8], Family), LoadError> {
    let refused = |at: usize| LoadError::at(at as u64, Fault::Footer);
    let (rest, stated) = payload.split_last_chunk::<8>().ok_or_else(|| refused(payload.len()))?;
    let (body, version) = rest.split_last_chunk::<2>().ok_or_else(|| refused(payload.len()))?;
    let version = u32::from(u16::from_le_bytes(*version));
    let family = match version {
        VALKEY_VERSION => Family::Valkey,
        _ if REDIS_VERSIONS.contains(&version) => Family::Redis,
        _ => return Err(refused(body.len())),
    };
    if u64::from_le_bytes(*stated) == checksum(rest) { Ok((body, family)) } else { Err(refused(rest.len())) }
}

fn put_footer(out: &mut Vec<u8>, dialect: Dialect) {
    out.extend_from_slice(&(version_of(dialect) as u16).to_le_bytes());
    let sum = checksum(out);
    out.extend_from_slice(&sum.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::StrForm;

    #[test]
    fn a_payload_is_that_of_the_servers() {
        // what these four servers answer to DUMP after SET k 10
        for (dialect, payload) in [
            (Dialect::Valkey(9, 1), &b"\x00\xc0\x0a\x50\x00\xa1\xb5\x9e\xd4\x90\xfc\x04\x4f"[..]),
            (Dialect::Redis(8, 0), b"\x00\xc0\x0a\x0c\x00\xa5\xe9\x63\x85\xf4\x84\xfd\xf2"),
            (Dialect::Redis(7, 0), b"\x00\xc0\x0a\x0a\x00\x6e\x9f\x57\x45\x0e\xae\x63\xbb"),
            (Dialect::Redis(6, 0), b"\x00\xc0\x0a\x09\x00\xbe\x6d\x06\x89\x5a\x28\x00\x0a"),
        ] {
            let made = dump_payload(ValueRef::Str(b"10", StrForm::Auto), dialect).expect("strings are kept");
            assert_eq!(made, payload, "{dialect:?}");
            let limits = EncodingLimits { dialect, ..EncodingLimits::default() };
            let value = restore_payload(&made, &limits);
            assert!(matches!(&value, Ok(Some(Value::Str(bytes, _))) if bytes == b"10"), "{value:?}");
        }
    }

    #[test]
    fn a_payload_without_its_footer_is_refused_as_such() {
        let good = dump_payload(ValueRef::Str(b"text", StrForm::Auto), Dialect::default()).expect("strings");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let error = restore_payload(&bad, &EncodingLimits::default()).expect_err("refused");
            assert_eq!(error.fault, Fault::Footer, "byte {at}");
            assert!(restore_payload(&good[..at], &EncodingLimits::default()).is_err());
        }
    }

    #[test]
    fn a_right_footer_around_nonsense_is_bad_data() {
        for body in [&b"\x08\x01a"[..], b"\x00\x05abc", b"\x16\x00", b""] {
            let mut payload = body.to_vec();
            put_footer(&mut payload, Dialect::Redis(8, 0));
            let error = restore_payload(&payload, &EncodingLimits::default()).expect_err("refused");
            assert_ne!(error.fault, Fault::Footer, "{body:?}");
        }
    }

    #[test]
    fn function_libraries_come_back() {
        let mut functions = Functions::default();
        functions.load(b"#!lua name=b\nreturn 1", false).expect("a name");
        functions.load(b"#!lua name=a\nreturn 2", false).expect("a name");
        let payload = dump_functions(&functions, Dialect::Redis(7, 0));
        let sources = restore_functions(&payload).expect("valid");
        assert_eq!(sources, [b"#!lua name=a\nreturn 2", b"#!lua name=b\nreturn 1"]);
        assert_eq!(restore_functions(&dump_functions(&Functions::default(), Dialect::default())), Ok(vec![]));
    }
}
