//! Lengths, strings and doubles of the snapshot format, both directions.

use super::LoadError;
use super::source::Source;
use crate::dataset::Dialect;
use crate::dataset::packed::listpack::Listpack;
use crate::number::{parse_float, parse_integer};

/// Elements for which room is made before they have been read; counts in a snapshot are not trusted.
const RESERVE_ELEMENTS_MAX: u64 = 4096;

/// A length byte says either a length or how a string is packed.
enum Length {
    Plain(u64),
    Packed(u8),
}

fn length_or_packing(src: &mut Source<'_>) -> Result<Length, LoadError> {
    let first = src.u8()?;
    Ok(match first {
        0..=0x3f => Length::Plain(u64::from(first)),
        0x40..=0x7f => Length::Plain(u64::from(first & 0x3f) << 8 | u64::from(src.u8()?)),
        0x80 => Length::Plain(u64::from(src.u32_be()?)),
        0x81 => Length::Plain(src.u64_be()?),
        0xc0.. => Length::Packed(first & 0x3f),
        0x82..=0xbf => return Err(src.error("unknown form of a length")),
    })
}

/// Reads a length.
pub fn length(src: &mut Source<'_>) -> Result<u64, LoadError> {
    match length_or_packing(src)? {
        Length::Plain(n) => Ok(n),
        Length::Packed(_) => Err(src.error("a packed string where a length should be")),
    }
}

/// Reads a length that this machine must be able to address.
pub fn size(src: &mut Source<'_>) -> Result<usize, LoadError> {
    let n = length(src)?;
    usize::try_from(n).map_err(|_| src.error("length beyond this machine"))
}

/// How many elements to make room for when a snapshot states `count`.
pub fn capped(count: u64) -> usize {
    count.min(RESERVE_ELEMENTS_MAX) as usize
}

/// Reads a string of any form: plain, integer, LZF. Borrowed until the next read.
#[inline]
pub fn string<'s>(src: &'s mut Source<'_>) -> Result<&'s [u8], LoadError> {
    match length_or_packing(src)? {
        Length::Plain(n) => {
            // A length beyond usize is longer than any input.
            src.bytes(usize::try_from(n).unwrap_or(usize::MAX))
        }
        Length::Packed(packing) => packed_string(src, packing),
    }
}

fn packed_string<'s>(src: &'s mut Source<'_>, packing: u8) -> Result<&'s [u8], LoadError> {
    let integer = match packing {
        0 => i32::from(src.u8()?.cast_signed()),
        1 => i32::from(src.u16_le()?.cast_signed()),
        2 => src.i32_le()?,
        3 => {
            let (packed, len) = (size(src)?, size(src)?);
            return src.lzf(packed, len);
        }
        _ => return Err(src.error("unknown packing of a string")),
    };
    Ok(src.integer_text(integer))
}

/// Steps over a string of any form.
pub fn skip_string(src: &mut Source<'_>) -> Result<(), LoadError> {
    match length_or_packing(src)? {
        Length::Plain(n) => src.skip(n),
        Length::Packed(packing) => packed_string(src, packing).map(drop),
    }
}

/// Reads a double printed as text: a byte for the length, or 253 NaN, 254 and 255 the infinities.
pub fn text_double(src: &mut Source<'_>) -> Result<f64, LoadError> {
    match src.u8()? {
        253 => Ok(f64::NAN),
        254 => Ok(f64::INFINITY),
        255 => Ok(f64::NEG_INFINITY),
        n => {
            let text = src.bytes(usize::from(n))?;
            parse_float(text).ok_or_else(|| src.error("a double that is no number"))
        }
    }
}

/// Writes a length in its shortest form.
pub fn put_length(out: &mut Vec<u8>, n: u64) {
    match n {
        0..=0x3f => out.push(n as u8),
        0x40..=0x3fff => out.extend_from_slice(&(n as u16 | 0x4000).to_be_bytes()),
        0x4000..=0xffff_ffff => {
            out.push(0x80);
            out.extend_from_slice(&(n as u32).to_be_bytes());
        }
        _ => {
            out.push(0x81);
            out.extend_from_slice(&n.to_be_bytes());
        }
    }
}

/// Writes a string: integers of up to 32 bits packed as the servers do, everything else plain.
pub fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    if let Some(n) = parse_integer(text).and_then(|n| i32::try_from(n).ok()) {
        match n {
            -0x80..=0x7f => out.extend_from_slice(&[0xc0, n as u8]),
            -0x8000..=0x7fff => {
                out.push(0xc1);
                out.extend_from_slice(&(n as i16).to_le_bytes());
            }
            _ => {
                out.push(0xc2);
                out.extend_from_slice(&n.to_le_bytes());
            }
        }
    } else {
        put_plain(out, text);
    }
}

/// Writes a string as it is (blobs).
pub fn put_plain(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a listpack as a blob in the form that servers of this dialect read.
pub fn put_listpack(out: &mut Vec<u8>, pack: &Listpack, dialect: Dialect) {
    put_plain(out, &pack.in_form(dialect.back_lengths()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<u8>, LoadError> {
        string(&mut Source::from_slice(bytes)).map(<[u8]>::to_vec)
    }

    #[test]
    fn lengths_come_back_in_the_shortest_form() {
        for (n, bytes) in [
            (0, 1),
            (63, 1),
            (64, 2),
            (16_383, 2),
            (16_384, 5),
            (0xffff_ffff, 5),
            (0x1_0000_0000, 9),
            (u64::MAX, 9),
        ] {
            let mut out = Vec::new();
            put_length(&mut out, n);
            assert_eq!(out.len(), bytes, "{n}");
            assert_eq!(length(&mut Source::from_slice(&out)), Ok(n));
        }
    }

    #[test]
    fn strings_of_every_form() {
        for (bytes, text) in [
            (&b"\x03abc"[..], &b"abc"[..]),
            (b"\x40\x03abc", b"abc"),
            (b"\x80\0\0\0\x03abc", b"abc"),
            (b"\x81\0\0\0\0\0\0\0\x03abc", b"abc"),
            (b"\xc0\xff", b"-1"),
            (b"\xc1\x18\xfc", b"-1000"),
            (b"\xc2\0\0\0\x80", b"-2147483648"),
            (b"\xc3\x05\x0d\x00a\xe0\x03\x00", b"aaaaaaaaaaaaa"),
        ] {
            assert_eq!(read(bytes), Ok(text.to_vec()), "{bytes:?}");
        }
    }

    #[test]
    fn only_canonical_integers_are_packed() {
        for text in ["0", "-1", "127", "128", "-32768", "32768", "2147483647", "-2147483648"] {
            let mut out = Vec::new();
            put_string(&mut out, text.as_bytes());
            assert!(out[0] >= 0xc0, "{text}");
            assert_eq!(read(&out), Ok(text.as_bytes().to_vec()));
        }
        for text in ["", "+1", "007", "-0", "2147483648", "1 ", "99999999999999"] {
            let mut out = Vec::new();
            put_string(&mut out, text.as_bytes());
            assert!(out[0] < 0xc0, "{text}");
            assert_eq!(read(&out), Ok(text.as_bytes().to_vec()));
        }
    }

    #[test]
    fn refuses_unknown_forms_and_impossible_lengths() {
        for bytes in
            [&b"\x82"[..], b"\xbf", b"\xc4", b"\xc3\xc0\x01\x01", b"\x81\xff\xff\xff\xff\xff\xff\xff\xffa"]
        {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn doubles_as_text() {
        for (bytes, value) in [(&b"\x043.25"[..], 3.25), (b"\xfe", f64::INFINITY), (b"\xff", f64::NEG_INFINITY)] {
            assert_eq!(text_double(&mut Source::from_slice(bytes)), Ok(value));
        }
        assert!(text_double(&mut Source::from_slice(b"\xfd")).is_ok_and(f64::is_nan));
        assert!(text_double(&mut Source::from_slice(b"\x02xx")).is_err());
    }
}
