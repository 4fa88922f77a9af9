//! Listpack: a blob of short elements, readable from both ends.
//!
//! `u32 total bytes, u16 count (65535: unknown), elements, FF`. Small hashes, sets, sorted sets, list nodes and
//! stream nodes are blobs of this kind, kept as the snapshot had them. Every operation by index walks.

use super::Corrupt;
use super::element::{Encoded, Head, before_last};
use crate::number::parse_integer;

pub use super::element::{BackLengths, Element, IntText};

const HEADER: usize = Listpack::HEADER;
const END: u8 = Listpack::END;
const COUNT_UNKNOWN: u16 = u16::MAX;

/// A valid listpack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listpack(Vec<u8>);

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl Listpack {
    pub(super) const HEADER: usize = 6;
    pub(super) const END: u8 = 0xff;

    /// No elements: 7 bytes.
    pub fn new() -> Self {
        Self(vec![7, 0, 0, 0, 0, 0, END])
    }

    /// No elements, with room for `bytes` bytes of blob.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut blob = Vec::with_capacity(bytes.max(HEADER + 1));
        blob.extend_from_slice(&[7, 0, 0, 0, 0, 0, END]);
        Self(blob)
    }

    /// Checks a foreign blob in one linear pass and copies it. Both forms of back lengths are read; encodings
    /// need not be the shortest.
    pub fn parse(bytes: &[u8]) -> Result<Self, Corrupt> {
        let corrupt = |what, at| Err(Corrupt { what, at });
        let Some((total, count)) = header(bytes) else { return corrupt("listpack: header is cut", bytes.len()) };
        if total != bytes.len() {
            return corrupt("listpack: total bytes disagree with the blob", 0);
        }
        let Some((&END, body)) = bytes.get(HEADER..).and_then(<[u8]>::split_last) else {
            return corrupt("listpack: no end mark", bytes.len());
        };
        let (mut rest, mut elements) = (body, 0_usize);
        while !rest.is_empty() {
            let at = HEADER + body.len() - rest.len();
            let Some(head) = Head::read(rest) else { return corrupt("listpack: unknown encoding", at) };
            let Some(after) = head.after_checked(rest) else {
                return corrupt("listpack: element is cut or its back length is wrong", at);
            };
            rest = after;
            elements += 1;
        }
        if count != COUNT_UNKNOWN && usize::from(count) != elements {
            return corrupt("listpack: count disagrees with the elements", 4);
        }
        Ok(Self(bytes.to_vec()))
    }

    /// The blob as the wire has it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Number of elements; a walk if there are 65535 or more.
    pub fn len(&self) -> usize {
        match header(&self.0) {
            Some((_, count)) if count != COUNT_UNKNOWN => usize::from(count),
            _ => std::iter::successors(Some(self.body()), |rest| Head::read(rest)?.after(rest)).skip(1).count(),
        }
    }

    /// No elements.
    pub fn is_empty(&self) -> bool {
        self.0.len() <= HEADER + 1
    }

    /// Length of the blob.
    pub fn byte_len(&self) -> usize {
        self.0.len()
    }

    /// The elements, from either end.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: self.body() }
    }

    /// The elements from `index` on; nothing if there are not so many. Walks from the nearer end.
    pub fn iter_from(&self, index: usize) -> Iter<'_> {
        let offset = self.offset_of(index);
        Iter { rest: self.0.get(offset..self.end()).unwrap_or_default() }
    }

    /// The elements from byte `offset` of the blob on, at which one must start.
    pub fn iter_at(&self, offset: usize) -> Iter<'_> {
        Iter { rest: self.0.get(offset..self.end()).unwrap_or_default() }
    }

    /// The element at `index`. Walks from the nearer end.
    pub fn get(&self, index: usize) -> Option<Element<'_>> {
        self.iter_from(index).next()
    }

    /// Index of the first element equal to `text`, looking at elements 0, `step`, 2*`step` and so on only (the
    /// fields of a hash: 2).
    pub fn find(&self, text: &[u8], step: usize) -> Option<usize> {
        self.seek(text, step).map(|(index, _)| index)
    }

    /// As `find`; also answers the elements from the one found on.
    pub fn seek(&self, text: &[u8], step: usize) -> Option<(usize, Iter<'_>)> {
        let integer = parse_integer(text);
        let (mut rest, mut index) = (self.body(), 0);
        loop {
            let head = Head::read(rest)?;
            if head.is(rest, text, integer) {
                return Some((index, Iter { rest }));
            }
            rest = head.after(rest)?;
            for _ in 1..step {
                rest = Head::read(rest)?.after(rest)?;
            }
            index += step.max(1);
        }
    }

    /// Appends an element; a canonical integer is packed.
    pub fn push(&mut self, text: &[u8]) {
        let (end, count) = (self.end(), self.len());
        self.splice(end, 0, Some(&Encoded::text(text)), count + 1);
    }

    /// Appends an integer.
    pub fn push_integer(&mut self, n: i64) {
        let (end, count) = (self.end(), self.len());
        self.splice(end, 0, Some(&Encoded::integer(n)), count + 1);
    }

    /// Appends elements with one growth for all of them; texts that are canonical integers are packed.
    pub fn extend<'e>(&mut self, elements: impl Iterator<Item = Element<'e>> + Clone) {
        let encoded = elements.map(|element| match element {
            Element::Str(text) => Encoded::text(text),
            Element::Int(n) => Encoded::integer(n),
        });
        let (mut bytes, mut count) = (0, self.len());
        for element in encoded.clone() {
            bytes += element.len();
            count += 1;
        }
        let mut at = self.end();
        self.0.reserve_exact(bytes);
        self.0.resize(at + bytes + 1, END);
        for element in encoded {
            let end = at + element.len();
            element.write(&mut self.0[at..end]);
            at = end;
        }
        self.write_header(count);
    }

    /// Puts an element before the one at `index`; at or past the end it is appended.
    pub fn insert(&mut self, index: usize, text: &[u8]) {
        let (offset, count) = (self.offset_of(index), self.len());
        self.splice(offset, 0, Some(&Encoded::text(text)), count + 1);
    }

    /// Replaces the element at `index`; past the end nothing happens.
    pub fn replace(&mut self, index: usize, text: &[u8]) {
        self.replace_encoded(index, &Encoded::text(text));
    }

    /// Replaces the element at `index` by an integer; past the end nothing happens.
    pub fn replace_integer(&mut self, index: usize, n: i64) {
        self.replace_encoded(index, &Encoded::integer(n));
    }

    /// Sets bits of the element that starts at byte `offset`, in place, if it is an integer of one byte (0 to 127)
    /// and stays one; else nothing happens.
    pub fn set_bits(&mut self, offset: usize, bits: u8) {
        if let Some(byte) = self.0.get_mut(offset).filter(|byte| (**byte | bits) < 0x80) {
            *byte |= bits;
        }
    }

    /// Removes up to `count` elements from `index` on.
    pub fn remove(&mut self, index: usize, count: usize) {
        let len = self.len();
        let gone = count.min(len.saturating_sub(index));
        let from = self.offset_of(index);
        let mut rest = self.iter_from(index).rest;
        let whole = rest.len();
        for _ in 0..gone {
            rest = Head::read(rest).and_then(|head| head.after(rest)).unwrap_or_default();
        }
        self.splice(from, whole - rest.len(), None, len - gone);
    }

    /// Bytes that `push` of this text would add to the blob.
    pub fn encoded_len(text: &[u8]) -> usize {
        Encoded::text(text).len()
    }

    fn replace_encoded(&mut self, index: usize, encoded: &Encoded<'_>) {
        let from = self.offset_of(index);
        let rest = self.0.get(from..self.end()).unwrap_or_default();
        let Some(after) = Head::read(rest).and_then(|head| head.after(rest)) else { return };
        let (old, count) = (rest.len() - after.len(), self.len());
        self.splice(from, old, Some(encoded), count);
    }

    /// Replaces `old` bytes at `at` by an element or by nothing: one move of what follows, then the header.
    fn splice(&mut self, at: usize, old: usize, new: Option<&Encoded<'_>>, count: usize) {
        let (len, new_bytes) = (self.0.len(), new.map_or(0, Encoded::len));
        if new_bytes > old {
            self.0.reserve_exact(new_bytes - old);
            self.0.resize(len + new_bytes - old, 0);
        }
        self.0.copy_within(at + old..len, at + new_bytes);
        self.0.truncate(len + new_bytes - old);
        if let Some(encoded) = new {
            encoded.write(&mut self.0[at..at + new_bytes]);
        }
        // A blob that has lost a quarter gives the memory back; less is not worth a move.
        if self.0.capacity() - self.0.len() > self.0.len() / 4 + 64 {
            self.0.shrink_to_fit();
        }
        self.write_header(count);
    }

    fn write_header(&mut self, count: usize) {
        let total = u32::try_from(self.0.len()).expect("containers split their blobs far below 4 GiB");
        self.0[..4].copy_from_slice(&total.to_le_bytes());
        let count = u16::try_from(count).unwrap_or(COUNT_UNKNOWN);
        self.0[4..6].copy_from_slice(&count.to_le_bytes());
    }

    /// Where the element at `index` starts in the blob; the end mark if there are not so many.
    fn offset_of(&self, index: usize) -> usize {
        let (len, body) = (self.len(), self.body());
        if index >= len {
            return self.end();
        }
        let mut rest = body;
        if index <= len / 2 {
            for _ in 0..index {
                rest = Head::read(rest).and_then(|head| head.after(rest)).unwrap_or_default();
            }
            return HEADER + body.len() - rest.len();
        }
        for _ in index..len {
            rest = before_last(rest).unwrap_or_default();
        }
        HEADER + rest.len()
    }

    fn end(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    pub(super) fn body(&self) -> &[u8] {
        self.0.get(HEADER..self.end()).unwrap_or_default()
    }
}

fn header(bytes: &[u8]) -> Option<(usize, u16)> {
    let (total, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*total) as usize, u16::from_le_bytes(*rest.first_chunk()?)))
}

/// Elements of a listpack, from either end.
#[derive(Clone, Debug, Default)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl Iter<'_> {
    /// Bytes of the blob that the elements left take.
    pub fn byte_len(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        let head = Head::read(self.rest)?;
        let element = head.element(self.rest)?;
        self.rest = head.after(self.rest)?;
        Some(element)
    }

    /// Skips without decoding values.
    fn nth(&mut self, n: usize) -> Option<Element<'a>> {
        for _ in 0..n {
            self.rest = Head::read(self.rest)?.after(self.rest)?;
        }
        self.next()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let before = before_last(self.rest)?;
        let last = self.rest.get(before.len()..)?;
        let element = Head::read(last)?.element(last)?;
        self.rest = before;
        Some(element)
    }
}

impl<'a> IntoIterator for &'a Listpack {
    type Item = Element<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&[u8]]) -> Listpack {
        let mut pack = Listpack::new();
        texts.iter().for_each(|text| pack.push(text));
        pack
    }

    fn texts(pack: &Listpack) -> Vec<Vec<u8>> {
        pack.iter().map(|element| element.to_vec()).collect()
    }

    #[test]
    fn bytes_are_those_of_the_servers() {
        // list "a" 5 as redis 8.0 writes it, and the empty one
        assert_eq!(of(&[b"a", b"5"]).as_bytes(), b"\x0c\0\0\0\x02\0\x81a\x02\x05\x01\xff");
        assert_eq!(Listpack::new().as_bytes(), b"\x07\0\0\0\0\0\xff");
    }

    #[test]
    fn edits_agree_with_a_vector_of_texts() {
        let seed = 7;
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut pack, mut model) = (Listpack::new(), Vec::<Vec<u8>>::new());
        for step in 0..3000 {
            let text = match random.u8(..4) {
                0 => random.i64(..).to_string().into_bytes(),
                1 => random.i64(-5000..5000).to_string().into_bytes(),
                2 => vec![b'a'; random.usize(..200)],
                _ => vec![random.u8(..); if random.u8(..50) == 0 { random.usize(..20_000) } else { 3 }],
            };
            let index = random.usize(..=model.len());
            match random.u8(..5) {
                0 => {
                    pack.push(&text);
                    model.push(text);
                }
                1 | 2 => {
                    pack.insert(index, &text);
                    model.insert(index, text);
                }
                3 => {
                    pack.replace(index, &text);
                    if let Some(old) = model.get_mut(index) {
                        *old = text;
                    }
                }
                _ => {
                    let count = random.usize(..3).min(model.len() - index);
                    pack.remove(index, count);
                    model.drain(index..index + count);
                }
            }
            if step % 50 == 0 {
                assert_eq!(texts(&pack), model, "step {step}");
                assert_eq!(Listpack::parse(pack.as_bytes()).as_ref(), Ok(&pack), "step {step}");
                let backwards: Vec<_> = pack.iter().rev().map(|element| element.to_vec()).collect();
                assert!(backwards.iter().rev().eq(&model), "step {step}");
            }
            assert_eq!(pack.len(), model.len());
            assert_eq!(pack.get(index).map(|element| element.to_vec()).as_ref(), model.get(index));
        }
    }

    #[test]
    fn extending_is_pushing_one_after_the_other() {
        let mut pack = of(&[b"a"]);
        pack.extend([Element::Str(b"12"), Element::Int(-7), Element::Str(b"text")].into_iter());
        assert_eq!(pack, of(&[b"a", b"12", b"-7", b"text"]));
        pack.extend(std::iter::empty());
        assert_eq!(pack.len(), 4);
    }

    #[test]
    fn bits_are_set_in_small_integers_only() {
        let mut pack = of(&[b"2", b"a"]);
        pack.set_bits(HEADER, 1);
        pack.set_bits(HEADER + 2, 1);
        pack.set_bits(100, 1);
        assert_eq!(pack, of(&[b"3", b"a"]));
        assert_eq!(pack.iter_at(HEADER + 2).next(), Some(Element::Str(b"a")));
    }

    #[test]
    fn finds_at_steps_only_and_by_text() {
        let pack = of(&[b"f", b"g", b"g", b"07", b"7", b"x"]);
        for (text, step, expected) in [
            ("f", 2, Some(0)),
            ("g", 2, Some(2)),
            ("g", 1, Some(1)),
            ("7", 2, Some(4)),
            ("07", 1, Some(3)),
            ("07", 2, None),
            ("x", 2, None),
            ("", 1, None),
        ] {
            assert_eq!(pack.find(text.as_bytes(), step), expected, "{text} by {step}");
        }
        // A foreign blob may hold an integer as a string.
        let odd = Listpack::parse(b"\x0a\0\0\0\x01\0\x817\x02\xff").expect("valid");
        assert_eq!(odd.find(b"7", 1), Some(0));
    }

    #[test]
    fn more_elements_than_the_header_can_count() {
        let mut pack = Listpack::with_capacity(400_000);
        (0..70_000)
            .for_each(|n| pack.0.splice(pack.0.len() - 1..pack.0.len() - 1, [n as u8 & 0x7f, 1]).for_each(drop));
        let total = (pack.0.len() as u32).to_le_bytes();
        pack.0[..4].copy_from_slice(&total);
        pack.0[4..6].copy_from_slice(&[0xff, 0xff]);
        let mut pack = Listpack::parse(pack.as_bytes()).expect("valid");
        assert_eq!(pack.len(), 70_000);
        assert_eq!(pack.get(69_999), Some(Element::Int(69_999 & 0x7f)));
        pack.remove(10, 60_000);
        assert_eq!((pack.len(), pack.as_bytes()[4..6].to_vec()), (10_000, 10_000_u16.to_le_bytes().to_vec()));
    }

    #[test]
    fn refuses_what_is_not_a_listpack() {
        for (blob, what) in [
            (&b""[..], "header"),
            (b"\x07\0\0\0\0\0", "total"),
            (b"\x06\0\0\0\0\0", "end mark"),
            (b"\x07\0\0\0\0\0\0", "end mark"),
            (b"\x08\0\0\0\0\0\xff", "total"),
            (b"\x09\0\0\0\x02\0\x05\x01\xff", "count"),
            (b"\x09\0\0\0\x01\0\x05\x02\xff", "back length"),
            (b"\x09\0\0\0\x01\0\xf5\x01\xff", "encoding"),
            (b"\x09\0\0\0\x01\0\x85\x01\xff", "cut"),
            (b"\x0d\0\0\0\x01\0\xf0\xff\xff\xff\xff\x01\xff", "cut"),
        ] {
            let error = Listpack::parse(blob).expect_err("refused");
            assert!(error.what.contains(what), "{blob:?}: {error}");
        }
    }

    #[test]
    fn no_mutation_of_a_blob_makes_a_reader_panic() {
        let good = of(&[b"field", b"12", b"-4000", b"value of some length", b"9999999999"]);
        for at in 0..good.byte_len() {
            for byte in 0..=255 {
                let mut bad = good.clone();
                bad.0[at] = byte;
                // Readers are also asked without the check: a broken invariant gives wrong answers, no panic.
                let _ = (bad.iter().count(), bad.iter().rev().count(), bad.find(b"x", 2), bad.get(3), bad.len());
                if let Ok(valid) = Listpack::parse(bad.as_bytes()) {
                    assert!(
                        texts(&valid).iter().rev().eq(&valid.iter().rev().map(|e| e.to_vec()).collect::<Vec<_>>())
                    );
                }
            }
        }
    }
}
