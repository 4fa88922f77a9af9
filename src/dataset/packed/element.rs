//! One element of a listpack: encoding, data, back length. Reading from either end, and writing.
//!
//! ```text
//! 0xxxxxxx            0..127                       F0 + u32        string, 32 bit length
//! 10nnnnnn            string of n bytes            F1 F2 F3 F4     int16, int24, int32, int64
//! 110xxxxx + 1        13 bit signed, high first    ... data ...
//! 1110nnnn + 1        string, 12 bit length        back length: 7 bits a byte, high first, bit 7 but on the first
//! ```

use crate::number::parse_integer;

/// An element as the blob has it: bytes, or an integer whose decimal text is the element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element<'a> {
    Str(&'a [u8]),
    Int(i64),
}

/// Scratch space for the decimal text of an integer element.
#[derive(Clone, Copy, Default)]
pub struct IntText(itoa::Buffer);

impl<'a> Element<'a> {
    /// The element's bytes; integers are printed into `scratch`.
    pub fn text<'s>(&self, scratch: &'s mut IntText) -> &'s [u8]
    where
        'a: 's,
    {
        match *self {
            Self::Str(bytes) => bytes,
            Self::Int(n) => scratch.0.format(n).as_bytes(),
        }
    }

    /// The element's bytes as an owned copy.
    pub fn to_vec(&self) -> Vec<u8> {
        self.text(&mut IntText::default()).to_vec()
    }

    /// Length of the element's text in bytes.
    pub fn len(&self) -> usize {
        match *self {
            Self::Str(bytes) => bytes.len(),
            Self::Int(n) => {
                let digits = n.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1);
                digits + usize::from(n < 0)
            }
        }
    }

    /// The empty string.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the element's text is `text`.
    pub fn is(&self, text: &[u8]) -> bool {
        match *self {
            Self::Str(bytes) => bytes == text,
            Self::Int(n) => parse_integer(text) == Some(n),
        }
    }

    /// The integer whose canonical decimal text the element is.
    pub fn as_integer(&self) -> Option<i64> {
        match *self {
            Self::Str(bytes) => parse_integer(bytes),
            Self::Int(n) => Some(n),
        }
    }
}

/// What the first bytes of an element say: how long the encoding is and how much data follows.
#[derive(Clone, Copy)]
pub(super) struct Head {
    header: usize,
    data: usize,
    is_text: bool,
}

impl Head {
    /// The head of the element at the front of `rest`; `None` at the end, for an unknown encoding, or if the
    /// head itself is cut. Whether the data is there is not looked at.
    #[inline]
    pub(super) fn read(rest: &[u8]) -> Option<Self> {
        let (&first, tail) = rest.split_first()?;
        let text = |header, data| Some(Self { header, data, is_text: true });
        let integer = |data| Some(Self { header: 1, data, is_text: false });
        match first {
            0..=0x7f => integer(0),
            0x80..=0xbf => text(1, usize::from(first & 0x3f)),
            0xc0..=0xdf => integer(1),
            0xe0..=0xef => text(2, usize::from(first & 0x0f) << 8 | usize::from(*tail.first()?)),
            0xf0 => text(5, u32::from_le_bytes(*tail.first_chunk()?) as usize),
            0xf1 => integer(2),
            0xf2 => integer(3),
            0xf3 => integer(4),
            0xf4 => integer(8),
            0xf5.. => None,
        }
    }

    /// The element itself.
    #[inline]
    pub(super) fn element<'a>(&self, rest: &'a [u8]) -> Option<Element<'a>> {
        let data = rest.get(self.header..self.header + self.data)?;
        if self.is_text { Some(Element::Str(data)) } else { Some(Element::Int(integer(*rest.first()?, data)?)) }
    }

    /// Whether the element's text is `text`, whose integer value, if canonical, is `integer`.
    #[inline]
    pub(super) fn is(&self, rest: &[u8], text: &[u8], integer: Option<i64>) -> bool {
        if self.is_text {
            self.data == text.len() && rest.get(self.header..self.header + self.data) == Some(text)
        } else {
            integer.is_some() && self.element(rest) == integer.map(Element::Int)
        }
    }

    /// Bytes of encoding and data.
    pub(super) fn size(&self) -> usize {
        self.header + self.data
    }

    /// What follows the element, its back length included.
    #[inline]
    pub(super) fn after<'a>(&self, rest: &'a [u8]) -> Option<&'a [u8]> {
        let size = self.header + self.data;
        let back = rest.get(size..)?;
        back.get(back_bytes(size, back)..)
    }

    /// Like `after`, and looks whether the back length says what it should.
    pub(super) fn after_checked<'a>(&self, rest: &'a [u8]) -> Option<&'a [u8]> {
        let after = self.after(rest)?;
        let whole = rest.get(..rest.len() - after.len())?;
        let (size, back) = read_back(whole)?;
        (size == self.header + self.data && size + back == whole.len()).then_some(after)
    }
}

fn integer(first: u8, data: &[u8]) -> Option<i64> {
    Some(match *data {
        [] => i64::from(first),
        [low] => i64::from((i16::from_be_bytes([first & 0x1f, low]) << 3) >> 3),
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c] => i64::from(i32::from_le_bytes([0, a, b, c]) >> 8),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        _ => i64::from_le_bytes(*data.first_chunk()?),
    })
}

/// Everything before the last element of `rest`.
#[inline]
pub(super) fn before_last(rest: &[u8]) -> Option<&[u8]> {
    let (size, back) = read_back(rest)?;
    rest.get(..rest.len().checked_sub(size + back)?)
}

/// How many bytes the back length of an element of `size` bytes has; `back` starts with them. At three sizes
/// Valkey 9.1 writes one byte less than Redis and older Valkeys: the first byte tells.
#[inline]
fn back_bytes(size: usize, back: &[u8]) -> usize {
    let short = match size {
        0..=127 => return 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        2_097_152..=268_435_455 => 4,
        _ => return 5,
    };
    short + usize::from(matches!(size, 16_383 | 2_097_151 | 268_435_455) && back.first() == Some(&0))
}

/// Which of two forms back lengths have at three odd sizes. Each server refuses blobs in the other's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackLengths {
    /// Redis, and Valkey before 9.1: one byte longer than needed.
    Redis,
    /// Valkey 9.1.
    Valkey91,
}

/// The back length of an element of `size` bytes: the bytes, and how many of them count.
pub(super) fn back_length(size: usize, form: BackLengths) -> ([u8; 5], usize) {
    let bytes = back_bytes(size, if form == BackLengths::Redis { &[0] } else { &[0x7f] });
    let mut back = [0; 5];
    for (i, byte) in back[..bytes].iter_mut().rev().enumerate() {
        *byte = (size >> (7 * i) & 0x7f) as u8 | 0x80;
    }
    back[0] &= 0x7f;
    (back, bytes)
}

/// Reads a back length from its end: the size that it tells and its own number of bytes.
#[inline]
fn read_back(rest: &[u8]) -> Option<(usize, usize)> {
    let mut size = 0;
    for (i, &byte) in rest.iter().rev().take(5).enumerate() {
        size |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((size, i + 1));
        }
    }
    None
}

/// An element ready to be written: head, data and back length apart, so that long data is copied once.
pub(super) struct Encoded<'a> {
    head: [u8; 9],
    head_bytes: usize,
    data: &'a [u8],
    back: [u8; 5],
    back_bytes: usize,
}

impl<'a> Encoded<'a> {
    /// Bytes; canonical decimal integers are packed, as all servers do.
    pub(super) fn text(text: &'a [u8]) -> Self {
        match parse_integer(text) {
            Some(n) => Self::integer(n),
            None => Self::string(text),
        }
    }

    /// An integer in its shortest encoding.
    pub(super) fn integer(n: i64) -> Self {
        let b = n.to_le_bytes();
        match n {
            0..=127 => Self::new(&[b[0]], &[]),
            -4096..=4095 => Self::new(&[0xc0 | (b[1] & 0x1f), b[0]], &[]),
            -0x8000..=0x7fff => Self::new(&[0xf1, b[0], b[1]], &[]),
            -0x80_0000..=0x7f_ffff => Self::new(&[0xf2, b[0], b[1], b[2]], &[]),
            -0x8000_0000..=0x7fff_ffff => Self::new(&[0xf3, b[0], b[1], b[2], b[3]], &[]),
            _ => Self::new(&[0xf4, b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]], &[]),
        }
    }

    fn string(text: &'a [u8]) -> Self {
        let b = text.len().to_be_bytes();
        match text.len() {
            0..=0x3f => Self::new(&[0x80 | b[7]], text),
            0x40..=0xfff => Self::new(&[0xe0 | b[6], b[7]], text),
            _ => Self::new(&[0xf0, b[7], b[6], b[5], b[4]], text),
        }
    }

    fn new(head: &[u8], data: &'a [u8]) -> Self {
        let mut encoded = Self { head: [0; 9], head_bytes: head.len(), data, back: [0; 5], back_bytes: 0 };
        encoded.head[..head.len()].copy_from_slice(head);
        let size = head.len() + data.len();
        // Also where the master is a Valkey 9.1: `Listpack::in_form` changes it on the way out.
        (encoded.back, encoded.back_bytes) = back_length(size, BackLengths::Redis);
        encoded
    }

    /// Bytes that the element takes.
    pub(super) fn len(&self) -> usize {
        self.head_bytes + self.data.len() + self.back_bytes
    }

    /// Writes the element over `slot`, which has exactly its length.
    pub(super) fn write(&self, slot: &mut [u8]) {
        let (head, rest) = slot.split_at_mut(self.head_bytes);
        let (data, back) = rest.split_at_mut(self.data.len());
        head.copy_from_slice(&self.head[..self.head_bytes]);
        data.copy_from_slice(self.data);
        back.copy_from_slice(&self.back[..self.back_bytes]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(encoded: &Encoded<'_>) -> Vec<u8> {
        let mut out = vec![0; encoded.len()];
        encoded.write(&mut out);
        out
    }

    #[test]
    fn integers_take_the_shortest_form_and_come_back() {
        for (n, bytes) in [
            (0, 2),
            (127, 2),
            (128, 3),
            (-1, 3),
            (-4096, 3),
            (4095, 3),
            (4096, 4),
            (-32768, 4),
            (32768, 5),
            (-8_388_608, 5),
            (8_388_608, 6),
            (i64::from(i32::MIN), 6),
            (i64::from(i32::MAX) + 1, 10),
            (i64::MIN, 10),
            (i64::MAX, 10),
        ] {
            let blob = encode(&Encoded::text(n.to_string().as_bytes()));
            assert_eq!(blob.len(), bytes, "{n}");
            let head = Head::read(&blob).expect("a head");
            assert_eq!(head.element(&blob), Some(Element::Int(n)));
            assert_eq!(head.after_checked(&blob), Some(&[][..]), "{n}");
            assert_eq!(Element::Int(n).len(), n.to_string().len(), "{n}");
        }
    }

    #[test]
    fn both_forms_of_back_lengths_are_read_at_the_three_odd_sizes() {
        for size in [16_383_usize, 2_097_151] {
            let text = vec![b'x'; size - 5];
            let redis = encode(&Encoded::text(&text));
            let mut valkey = redis.clone();
            assert_eq!(valkey.remove(size), 0, "the longer form starts with a zero");
            valkey[size] &= 0x7f;
            for blob in [redis, valkey] {
                let head = Head::read(&blob).expect("a head");
                assert_eq!(head.after_checked(&blob), Some(&[][..]), "{size}");
                assert_eq!(before_last(&blob), Some(&[][..]), "{size}");
            }
        }
    }
}
