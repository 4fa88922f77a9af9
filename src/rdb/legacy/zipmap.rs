//! Zipmap, small hashes before Redis 2.6.
//!
//! `count hint, (length, field, length, free, value, free unused bytes)..., FF`. A length is one byte, or `FE` and
//! a `u32`.

use crate::dataset::packed::Corrupt;
use crate::dataset::packed::listpack::Listpack;

const END: u8 = 0xff;

/// Checks a zipmap and makes a listpack of fields and values in turn. One pass and one copy.
pub fn to_listpack(blob: &[u8]) -> Result<Listpack, Corrupt> {
    let mut pack = Listpack::with_capacity(blob.len() + blob.len() / 2);
    let mut rest = blob.get(1..).unwrap_or_default();
    while !matches!(rest, [END]) {
        let at = blob.len() - rest.len();
        let (field, value, after) =
            pair(rest).ok_or(Corrupt { what: "zipmap: field or value is cut, or no end mark", at })?;
        pack.push(field);
        pack.push(value);
        rest = after;
    }
    Ok(pack)
}

fn pair(rest: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (len, rest) = length(rest)?;
    let (field, rest) = rest.split_at_checked(len)?;
    let (len, rest) = length(rest)?;
    let (&free, rest) = rest.split_first()?;
    let (value, rest) = rest.split_at_checked(len)?;
    Some((field, value, rest.get(usize::from(free)..)?))
}

fn length(rest: &[u8]) -> Option<(usize, &[u8])> {
    match rest.split_first()? {
        (0xfe, rest) => {
            let (len, rest) = rest.split_first_chunk()?;
            Some((u32::from_le_bytes(*len) as usize, rest))
        }
        (&END, _) => None,
        (&len, rest) => Some((usize::from(len), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_bytes_are_stepped_over() {
        let pack = to_listpack(b"\x02\x03foo\x03\x02bar--\x01n\xfe\x02\0\0\0\x0012\xff").expect("valid");
        let texts: Vec<_> = pack.iter().map(|e| e.to_vec()).collect();
        assert_eq!(texts, [&b"foo"[..], b"bar", b"n", b"12"]);
        assert_eq!(to_listpack(b"\0\xff"), Ok(Listpack::new()));
    }

    #[test]
    fn refuses_what_is_cut_or_goes_on() {
        let good = b"\x01\x03foo\x03\x02bar--\xff";
        for cut in 0..good.len() {
            assert!(to_listpack(&good[..cut]).is_err(), "cut at {cut}");
        }
        assert!(to_listpack(b"\x01\x03foo\x03\x02bar--\xff\xff").is_err());
        assert!(to_listpack(b"\x01\xfe\xff\xff\xff\xffa\xff").is_err());
    }
}
