//! What goes along with a key in a table of members, and its bytes.

/// Something stored behind a key. The bytes delimit themselves.
pub trait Payload {
    /// As callers see it.
    type Item<'a>: Copy;

    /// How many bytes `write` will add.
    fn encoded_len(item: Self::Item<'_>) -> usize;

    /// Appends the bytes of an item.
    fn write(item: Self::Item<'_>, out: &mut Vec<u8>);

    /// Reads what `write` has written at the start of `bytes`; also answers how many bytes that were.
    fn read(bytes: &[u8]) -> (Self::Item<'_>, usize);
}

/// No payload: the members of a set.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl Payload for Nothing {
    type Item<'a> = ();

    fn encoded_len((): ()) -> usize {
        0
    }

    fn write((): (), _: &mut Vec<u8>) {}

    fn read(_: &[u8]) -> ((), usize) {
        ((), 0)
    }
}

/// A value with an optional expiry: the fields of a hash.
#[derive(Clone, Copy, Debug)]
pub struct FieldValue;

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub value: &'a [u8],
    /// Milliseconds since 1970.
    pub expiry_ms: Option<i64>,
}

/// The length, its lowest bit telling whether an expiry is there · the value · 8 bytes of expiry.
impl Payload for FieldValue {
    type Item<'a> = Field<'a>;

    fn encoded_len(field: Field<'_>) -> usize {
        let header = length_len(header(field));
        header + field.value.len() + if field.expiry_ms.is_some() { 8 } else { 0 }
    }

    fn write(field: Field<'_>, out: &mut Vec<u8>) {
        write_length(header(field), out);
        out.extend_from_slice(field.value);
        if let Some(ms) = field.expiry_ms {
            out.extend_from_slice(&ms.to_le_bytes());
        }
    }

    #[inline]
    fn read(bytes: &[u8]) -> (Field<'_>, usize) {
        let (header, at) = read_length(bytes);
        let end = at + (header >> 1);
        let value = &bytes[at..end];
        if header & 1 == 0 {
            return (Field { value, expiry_ms: None }, end);
        }
        (Field { value, expiry_ms: Some(i64::from_le_bytes(eight(&bytes[end..]))) }, end + 8)
    }
}

fn header(field: Field<'_>) -> usize {
    field.value.len() << 1 | usize::from(field.expiry_ms.is_some())
}

fn eight(bytes: &[u8]) -> [u8; 8] {
    *bytes.first_chunk().expect("a page holds only what was written whole")
}

/// Bytes of a length as `write_length` spells it.
pub(super) fn length_len(n: usize) -> usize {
    let bits = usize::BITS - (n | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Appends a length: 7 bits a byte, low bits first, the top bit saying that more follow.
pub(super) fn write_length(mut n: usize, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Reads what `write_length` wrote; also answers how many bytes that were.
#[inline]
pub(super) fn read_length(bytes: &[u8]) -> (usize, usize) {
    if let Some(&byte) = bytes.first().filter(|byte| **byte < 0x80) {
        return (usize::from(byte), 1);
    }
    let mut n = 0;
    for (i, &byte) in bytes.iter().enumerate() {
        n |= usize::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return (n, i + 1);
        }
    }
    unreachable!("a page holds only what was written whole")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_survive() {
        for n in [0, 1, 127, 128, 16_383, 16_384, 1 << 32, usize::MAX] {
            let mut bytes = Vec::new();
            write_length(n, &mut bytes);
            assert_eq!((length_len(n), read_length(&bytes)), (bytes.len(), (n, bytes.len())), "{n}");
        }
    }

    #[test]
    fn fields_survive() {
        for value in [&b""[..], b"x", &[7; 63], &[7; 64], &[7; 9_000]] {
            for expiry_ms in [None, Some(0), Some(-1), Some(i64::MAX)] {
                let field = Field { value, expiry_ms };
                let mut bytes = Vec::new();
                FieldValue::write(field, &mut bytes);
                assert_eq!(FieldValue::encoded_len(field), bytes.len());
                assert_eq!(FieldValue::read(&bytes), (field, bytes.len()));
            }
        }
    }
}
