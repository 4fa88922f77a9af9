//! Ziplist, written by Redis up to 6.2.
//!
//! `u32 total bytes, u32 offset of the last entry, u16 count (65535: unknown), entries, FF`. An entry has the size
//! of the one before it (1 byte, or `FE` and a `u32`), its encoding, its data.

use crate::dataset::packed::Corrupt;
use crate::dataset::packed::listpack::{Element, Listpack};

const HEADER: usize = 10;
const END: u8 = 0xff;

/// Checks a ziplist and makes a listpack of the same elements. One pass and one copy.
pub fn to_listpack(blob: &[u8]) -> Result<Listpack, Corrupt> {
    let corrupt = |what, at| Corrupt { what, at };
    let (total, tail, count) = header(blob).ok_or(corrupt("ziplist: header is cut", blob.len()))?;
    if total != blob.len() {
        return Err(corrupt("ziplist: total bytes disagree with the blob", 0));
    }
    let Some((&END, entries)) = blob.get(HEADER..).and_then(<[u8]>::split_last) else {
        return Err(corrupt("ziplist: no end mark", blob.len()));
    };
    let mut pack = Listpack::with_capacity(blob.len());
    let (mut rest, mut size_before, mut last, mut elements) = (entries, 0, HEADER, 0_usize);
    while !rest.is_empty() {
        last = HEADER + entries.len() - rest.len();
        let entry = Entry::read(rest).ok_or(corrupt("ziplist: entry is cut or of unknown encoding", last))?;
        if entry.size_before != size_before {
            return Err(corrupt("ziplist: size of the previous entry is wrong", last));
        }
        match entry.element {
            Element::Str(text) => pack.push(text),
            Element::Int(n) => pack.push_integer(n),
        }
        size_before = rest.len() - entry.after.len();
        rest = entry.after;
        elements += 1;
    }
    if tail != last {
        return Err(corrupt("ziplist: offset of the last entry is wrong", 4));
    }
    if count != u16::MAX && usize::from(count) != elements {
        return Err(corrupt("ziplist: count disagrees with the entries", 8));
    }
    Ok(pack)
}

fn header(blob: &[u8]) -> Option<(usize, usize, u16)> {
    let (total, rest) = blob.split_first_chunk()?;
    let (tail, rest) = rest.split_first_chunk()?;
    let count = u16::from_le_bytes(*rest.first_chunk()?);
    Some((u32::from_le_bytes(*total) as usize, u32::from_le_bytes(*tail) as usize, count))
}

struct Entry<'a> {
    size_before: usize,
    element: Element<'a>,
    after: &'a [u8],
}

impl<'a> Entry<'a> {
    fn read(rest: &'a [u8]) -> Option<Self> {
        let (size_before, rest) = match rest.split_first()? {
            (0xfe, rest) => {
                let (size, rest) = rest.split_first_chunk()?;
                (u32::from_le_bytes(*size) as usize, rest)
            }
            (0xff, _) => return None,
            (size, rest) => (usize::from(*size), rest),
        };
        let (element, after) = element(rest)?;
        Some(Self { size_before, element, after })
    }
}

/// Encoding and data of an entry; what follows it.
fn element(rest: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x3f => (usize::from(first), rest),
        0x40..=0x7f => {
            let (&low, rest) = rest.split_first()?;
            (usize::from(first & 0x3f) << 8 | usize::from(low), rest)
        }
        0x80 => {
            let (len, rest) = rest.split_first_chunk()?;
            (u32::from_be_bytes(*len) as usize, rest)
        }
        _ => return integer(first, rest),
    };
    let (data, after) = rest.split_at_checked(len)?;
    Some((Element::Str(data), after))
}

fn integer(first: u8, rest: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (n, width) = match first {
        0xc0 => (i64::from(i16::from_le_bytes(*rest.first_chunk()?)), 2),
        0xd0 => (i64::from(i32::from_le_bytes(*rest.first_chunk()?)), 4),
        0xe0 => (i64::from_le_bytes(*rest.first_chunk()?), 8),
        0xf0 => {
            let [a, b, c] = *rest.first_chunk()?;
            (i64::from(i32::from_le_bytes([0, a, b, c]) >> 8), 3)
        }
        0xfe => (i64::from(rest.first()?.cast_signed()), 1),
        0xf1..=0xfd => (i64::from(first & 0x0f) - 1, 0),
        _ => return None,
    };
    Some((Element::Int(n), rest.get(width..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds a ziplist of encoded entries (without their first field).
    fn ziplist(entries: &[&[u8]]) -> Vec<u8> {
        let mut blob = vec![0; HEADER];
        let (mut last, mut before) = (HEADER, 0_usize);
        for entry in entries {
            last = blob.len();
            if before < 0xfe {
                blob.push(before as u8);
            } else {
                blob.push(0xfe);
                blob.extend_from_slice(&(before as u32).to_le_bytes());
            }
            blob.extend_from_slice(entry);
            before = blob.len() - last;
        }
        blob.push(END);
        let total = (blob.len() as u32).to_le_bytes();
        blob[..4].copy_from_slice(&total);
        blob[4..8].copy_from_slice(&(last as u32).to_le_bytes());
        blob[8..10].copy_from_slice(&(entries.len() as u16).to_le_bytes());
        blob
    }

    #[test]
    fn every_encoding_becomes_the_same_element() {
        let long = [&b"\x41\x2c"[..], &[b'x'; 300]].concat();
        let longer = [&b"\x80\0\0\x01\x2c"[..], &[b'y'; 300]].concat();
        let entries: Vec<(&[u8], Vec<u8>)> = vec![
            (b"\x03abc", b"abc".to_vec()),
            (b"\x00", b"".to_vec()),
            (&long, vec![b'x'; 300]),
            (&longer, vec![b'y'; 300]),
            (b"\xc0\x18\xfc", b"-1000".to_vec()),
            (b"\xd0\0\0\0\x80", b"-2147483648".to_vec()),
            (b"\xe0\0\0\0\0\0\0\0\x80", b"-9223372036854775808".to_vec()),
            (b"\xf0\xff\xff\xff", b"-1".to_vec()),
            (b"\xfe\x80", b"-128".to_vec()),
            (b"\xf1", b"0".to_vec()),
            (b"\xfd", b"12".to_vec()),
        ];
        let blob = ziplist(&entries.iter().map(|entry| entry.0).collect::<Vec<_>>());
        let pack = to_listpack(&blob).expect("valid");
        assert!(pack.iter().map(|e| e.to_vec()).eq(entries.into_iter().map(|entry| entry.1)));
        assert_eq!(to_listpack(&ziplist(&[])), Ok(Listpack::new()));
    }

    #[test]
    fn refuses_what_does_not_add_up() {
        let good = ziplist(&[b"\x01a", b"\x01b"]);
        for (at, byte, what) in [
            (0, 0, "total"),
            (4, 10, "last entry"),
            (8, 3, "count"),
            (10, 1, "previous"),
            (11, 0x3f, "cut"),
            (11, 0x90, "unknown"),
            (good.len() - 1, 0, "end mark"),
        ] {
            let mut bad = good.clone();
            bad[at] = byte;
            let error = to_listpack(&bad).expect_err("refused");
            assert!(error.what.contains(what), "{at}: {error}");
        }
        for cut in 0..good.len() {
            assert!(to_listpack(&good[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn no_mutation_makes_it_panic() {
        let good = ziplist(&[b"\x01a", b"\xc0\x01\x02", b"\xf0\x01\x02\x03", b"\x40\x02xy"]);
        for at in 0..good.len() {
            for byte in 0..=255 {
                let mut bad = good.clone();
                bad[at] = byte;
                let _ = to_listpack(&bad);
            }
        }
    }
}
