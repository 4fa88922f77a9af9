//! One node of a stream: a listpack that holds a run of entries, exactly as snapshots and DUMP have it.
//!
//! ```text
//! live · deleted · n · name … name · 0        the names of the node's first entry
//! flags · ms · seq · [n · name · value …] or [value …] · elements of this entry        once per entry
//! ```
//!
//! Ids are differences to the node's key. A deleted entry stays where it is with a flag. A node that came with a
//! snapshot is checked once and kept as this very blob; later changes are the ones the servers make, byte by byte.

use super::id::StreamId;
use crate::dataset::packed::Corrupt;
use crate::dataset::packed::listpack::{Element, Iter, Listpack};

/// The entry is deleted.
const DELETED: i64 = 1;
/// The entry has the names of the node's first entry, and stores its values only.
const SAME_NAMES: i64 = 2;
/// Elements in front of a node's names: live, deleted, number of names.
const HEAD: usize = 3;

/// A node, always well formed.
#[derive(Clone, Debug, PartialEq)]
pub struct Node(Listpack);

/// One entry of a node.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its name.
    pub id: StreamId,
    /// Fields and values, in the order they were given.
    pub fields: Fields<'a>,
    /// Marked as deleted: never shown to anybody.
    pub(super) deleted: bool,
    /// Where its flags stand in the blob.
    pub(super) flags_at: usize,
}

/// Fields and values of one entry.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// Where the names are, if they are not beside the values.
    names: Option<Iter<'a>>,
    rest: Iter<'a>,
    left: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Element<'a>, Element<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = self.names.as_mut().unwrap_or(&mut self.rest).next()?;
        Some((name, self.rest.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

impl Node {
    /// Checks a blob of a snapshot: the listpack, and that its elements make entries. As redis 7.0 with
    /// `sanitize-dump-payload yes`; flags must be one byte, as every server writes them.
    pub fn parse(bytes: &[u8]) -> Result<Self, Corrupt> {
        let pack = Listpack::parse(bytes)?;
        Checker { pack: &pack, rest: pack.iter() }.node()?;
        Ok(Self(pack))
    }

    /// A node with its first entry, whose id is the node's key. `words` are names and values by turns.
    pub(super) fn first(words: &[&[u8]]) -> Self {
        let mut pack = Listpack::new();
        let names = words.iter().step_by(2).map(|name| Element::Str(name));
        let head = [1, 0, integer(words.len() / 2)].map(Element::Int).into_iter();
        pack.extend(head.chain(names).chain([Element::Int(0)]));
        let mut node = Self(pack);
        node.push_entry(StreamId::MIN, words, true);
        node
    }

    /// Adds an entry behind the last one.
    pub(super) fn append(&mut self, key: StreamId, id: StreamId, words: &[&[u8]]) {
        let same_names = self.has_names(words);
        self.set_head(0, self.live() + 1);
        let delta = StreamId::new(id.ms.wrapping_sub(key.ms), id.seq.wrapping_sub(key.seq));
        self.push_entry(delta, words, same_names);
    }

    fn has_names(&self, words: &[&[u8]]) -> bool {
        let names = self.names();
        names.len == words.len() / 2 && names.first.zip(words.iter().step_by(2)).all(|(have, name)| have.is(name))
    }

    fn push_entry(&mut self, delta: StreamId, words: &[&[u8]], same_names: bool) {
        let (ms, seq, fields) = (delta.ms as i64, delta.seq as i64, integer(words.len() / 2));
        if same_names {
            let values = words.iter().skip(1).step_by(2).map(|value| Element::Str(value));
            let head = [SAME_NAMES, ms, seq].map(Element::Int).into_iter();
            self.0.extend(head.chain(values).chain([Element::Int(3 + fields)]));
        } else {
            let words = words.iter().map(|word| Element::Str(word));
            let head = [0, ms, seq, fields].map(Element::Int).into_iter();
            self.0.extend(head.chain(words).chain([Element::Int(4 + 2 * fields)]));
        }
    }

    /// Entries that are there.
    pub fn live(&self) -> u64 {
        self.head(0)
    }

    /// Entries that are marked as deleted.
    pub fn deleted(&self) -> u64 {
        self.head(1)
    }

    fn head(&self, index: usize) -> u64 {
        self.0.get(index).and_then(|e| e.as_integer()).and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
    }

    fn set_head(&mut self, index: usize, n: u64) {
        self.0.replace(index, itoa::Buffer::new().format(n).as_bytes());
    }

    /// Marks entries, given by `Entry::flags_at`, as deleted. Costs one step per entry.
    pub(super) fn mark_deleted(&mut self, flags_at: &[usize]) {
        for &at in flags_at {
            self.0.set_bits(at, 1);
        }
        let marked = flags_at.len() as u64;
        self.set_head(1, self.deleted() + marked);
        self.set_head(0, self.live().saturating_sub(marked));
    }

    /// The blob.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The blob as listpack.
    pub fn pack(&self) -> &Listpack {
        &self.0
    }

    /// All entries, deleted ones included, from both ends. `key` is the node's key.
    pub(super) fn entries(&self, key: StreamId) -> Entries<'_> {
        let names = self.names();
        let mut rest = names.first.clone();
        rest.nth(names.len);
        Entries { pack: &self.0, key, names, at: offset(&self.0, &rest), rest }
    }

    /// The greatest id in the node, of a deleted entry too; `0-0` in a node without entries.
    pub(super) fn last_id(&self, key: StreamId) -> StreamId {
        self.entries(key).next_back().map_or(StreamId::MIN, |entry| entry.id)
    }

    fn names(&self) -> Names<'_> {
        let len = usize::try_from(self.head(2)).unwrap_or(0);
        Names { first: self.0.iter_from(HEAD), len }
    }
}

/// The names of a node's first entry.
#[derive(Clone, Debug)]
struct Names<'a> {
    first: Iter<'a>,
    len: usize,
}

/// Entries of one node from both ends.
#[derive(Clone, Debug)]
pub(super) struct Entries<'a> {
    pack: &'a Listpack,
    key: StreamId,
    names: Names<'a>,
    /// Where `rest` starts in the blob.
    at: usize,
    rest: Iter<'a>,
}

impl<'a> Entries<'a> {
    /// Reads the entry whose flags are next and stand at this byte, and moves behind it.
    fn read(&self, flags_at: usize, from: &mut Iter<'a>) -> Option<Entry<'a>> {
        let flags = from.next()?.as_integer()?;
        let ms = from.next()?.as_integer()?;
        let seq = from.next()?.as_integer()?;
        let id = StreamId::new(self.key.ms.wrapping_add(ms as u64), self.key.seq.wrapping_add(seq as u64));
        let same_names = flags & SAME_NAMES != 0;
        let left = if same_names { self.names.len } else { usize::try_from(from.next()?.as_integer()?).ok()? };
        let names = same_names.then(|| self.names.first.clone());
        let fields = Fields { names, rest: from.clone(), left };
        from.nth(if same_names { left } else { left * 2 })?;
        Some(Entry { id, fields, deleted: flags & DELETED != 0, flags_at })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let mut rest = self.rest.clone();
        let entry = self.read(self.at, &mut rest)?;
        self.at += self.rest.byte_len() - rest.byte_len();
        self.rest = rest;
        Some(entry)
    }
}

impl DoubleEndedIterator for Entries<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let elements = usize::try_from(self.rest.next_back()?.as_integer()?).ok()?;
        self.rest.nth_back(elements.checked_sub(1)?)?;
        let flags_at = self.at + self.rest.byte_len();
        self.read(flags_at, &mut self.pack.iter_at(flags_at))
    }
}

/// Where the elements left start in the blob, if none was taken from the end.
fn offset(pack: &Listpack, rest: &Iter<'_>) -> usize {
    pack.as_bytes().len().saturating_sub(1 + rest.byte_len())
}

fn integer(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A walk over a blob that has to be a node.
struct Checker<'a> {
    pack: &'a Listpack,
    rest: Iter<'a>,
}

impl Checker<'_> {
    fn node(&mut self) -> Result<(), Corrupt> {
        let live = self.count("stream node: number of entries")?;
        let deleted = self.count("stream node: number of deleted entries")?;
        let names = self.count("stream node: number of field names")?;
        self.skip(names, "stream node: too few field names")?;
        let at = self.at();
        if self.count(NAMES_END)? != 0 {
            return Err(Corrupt { what: NAMES_END, at });
        }
        for _ in 0..live.saturating_add(deleted) {
            self.entry(names)?;
        }
        let at = self.at();
        self.rest.next().map_or(Ok(()), |_| Err(Corrupt { what: "stream node: more entries than counted", at }))
    }

    fn entry(&mut self, names: u64) -> Result<(), Corrupt> {
        let at = self.at();
        // One byte below 0x80 is how a listpack stores 0 to 127; flags are changed in place.
        if self.pack.as_bytes().get(at).is_none_or(|flags| *flags >= 0x80) {
            return Err(Corrupt { what: "stream node: flags of an entry", at });
        }
        let same_names = self.integer("stream node: flags of an entry")? & SAME_NAMES != 0;
        self.integer("stream node: milliseconds of an entry")?;
        self.integer("stream node: sequence of an entry")?;
        let (words, others) = if same_names {
            (names, 3)
        } else {
            (self.count("stream node: number of fields of an entry")?.saturating_mul(2), 4)
        };
        self.skip(words, "stream node: too few fields in an entry")?;
        let at = self.at();
        if self.count(ENTRY_END)? != words.saturating_add(others) {
            return Err(Corrupt { what: ENTRY_END, at });
        }
        Ok(())
    }

    fn at(&self) -> usize {
        offset(self.pack, &self.rest)
    }

    fn integer(&mut self, what: &'static str) -> Result<i64, Corrupt> {
        let at = self.at();
        self.rest.next().and_then(|element| element.as_integer()).ok_or(Corrupt { what, at })
    }

    fn count(&mut self, what: &'static str) -> Result<u64, Corrupt> {
        let at = self.at();
        u64::try_from(self.integer(what)?).map_err(|_| Corrupt { what, at })
    }

    /// Moves over `n` elements; all must be there.
    fn skip(&mut self, n: u64, what: &'static str) -> Result<(), Corrupt> {
        let at = self.at();
        let Some(last) = n.checked_sub(1) else { return Ok(()) };
        let last = usize::try_from(last).ok().and_then(|last| self.rest.nth(last));
        last.map(|_| ()).ok_or(Corrupt { what, at })
    }
}

const NAMES_END: &str = "stream node: end of the field names";
const ENTRY_END: &str = "stream node: number of elements of an entry";

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(node: &Node, key: StreamId) -> Vec<(StreamId, bool)> {
        node.entries(key).map(|entry| (entry.id, entry.deleted)).collect()
    }

    fn fields(entry: Entry<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
        entry.fields.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    }

    #[test]
    fn bytes_are_those_of_redis_8_0() {
        // Node of `XADD x 7-1 f v`, `XADD x 7-2 f w`, `XDEL x 7-2`, taken from a snapshot of 8.0.6.
        let theirs = b"\x28\0\0\0\x0f\0\x01\x01\x01\x01\x01\x01\x81f\x02\0\x01\
            \x02\x01\0\x01\0\x01\x81v\x02\x04\x01\x03\x01\0\x01\x01\x01\x81w\x02\x04\x01\xff";
        let key = StreamId::new(7, 1);
        let mut node = Node::first(&[b"f", b"v"]);
        node.append(key, StreamId::new(7, 2), &[b"f", b"w"]);
        let flags_at = node.entries(key).next_back().unwrap().flags_at;
        node.mark_deleted(&[flags_at]);
        assert_eq!(node.as_bytes(), theirs);
        assert_eq!(Node::parse(theirs).as_ref(), Ok(&node));
        assert_eq!((node.live(), node.deleted()), (1, 1));
    }

    #[test]
    fn entries_come_from_both_ends_with_own_or_shared_names() {
        let key = StreamId::new(5, 9);
        let mut node = Node::first(&[b"a", b"1", b"b", b""]);
        node.append(key, StreamId::new(5, 10), &[b"a", b"x", b"b", b"y"]);
        node.append(key, StreamId::new(6, 0), &[b"b", b"007", b"a", b"y"]);
        node.append(key, StreamId::new(u64::MAX, u64::MAX), &[b"a", b"z"]);
        let expected = [key, StreamId::new(5, 10), StreamId::new(6, 0), StreamId::MAX].map(|id| (id, false));
        assert_eq!(ids(&node, key), expected);
        let back: Vec<_> = node.entries(key).rev().map(|entry| (entry.id, entry.deleted)).collect();
        assert!(back.iter().rev().eq(&expected));
        assert_eq!(node.last_id(key), StreamId::MAX);
        let (forward, back): (Vec<_>, Vec<_>) =
            (node.entries(key).map(fields).collect(), node.entries(key).rev().map(fields).collect());
        assert_eq!(forward[2], [(b"b".to_vec(), b"007".to_vec()), (b"a".to_vec(), b"y".to_vec())]);
        assert!(forward.iter().eq(back.iter().rev()));
        // From both ends by turns, each entry comes once.
        let mut entries = node.entries(key);
        let ends = [entries.next(), entries.next_back(), entries.next(), entries.next_back(), entries.next()];
        assert_eq!(ends.map(|entry| entry.map(|entry| entry.flags_at)).iter().flatten().count(), 4);
    }

    /// A node of one entry 1-0 with one name, one element of it changed.
    fn changed(index: usize, element: &[u8]) -> Listpack {
        let mut pack = Node::first(&[b"f", b"v"]).0;
        pack.replace(index, element);
        pack
    }

    #[test]
    fn refuses_what_is_not_a_node() {
        for (index, element, what) in [
            (0, &b"2"[..], "flags"),
            (0, b"0", "more entries"),
            (0, b"-1", "number of entries"),
            (1, b"x", "number of deleted"),
            (1, b"9223372036854775807", "flags"),
            (2, b"0", "end of the field names"),
            (2, b"100", "too few field names"),
            (2, b"9223372036854775807", "too few field names"),
            (4, b"1", "end of the field names"),
            (5, b"x", "flags"),
            (5, b"200", "flags"),
            (5, b"0", "number of fields"),
            (6, b"x", "milliseconds"),
            (7, b"x", "sequence"),
            (9, b"5", "number of elements"),
        ] {
            let error = Node::parse(changed(index, element).as_bytes()).expect_err("refused");
            assert!(error.what.contains(what), "{index} {element:?}: {error}");
        }
        assert!(Node::parse(Listpack::new().as_bytes()).is_err());
        assert!(Node::parse(b"\x07\0\0\0\0\0").is_err());
    }

    #[test]
    fn whatever_passes_as_a_node_can_be_read_and_changed() {
        let key = StreamId::new(1, 0);
        let mut good = Node::first(&[b"f", b"v"]);
        good.append(key, StreamId::new(2, 0), &[b"f", b"300"]);
        good.append(key, StreamId::new(3, 0), &[b"g", b"v", b"h", b"w"]);
        for at in 0..good.as_bytes().len() {
            for byte in 0..=255 {
                let mut bytes = good.as_bytes().to_vec();
                bytes[at] = byte;
                let Ok(mut node) = Node::parse(&bytes) else { continue };
                let entries = ids(&node, key);
                assert_eq!(entries.len() as u64, node.live() + node.deleted());
                assert!(node.entries(key).rev().map(|entry| entry.id).eq(entries.iter().rev().map(|e| e.0)));
                node.append(key, StreamId::new(9, 0), &[b"f", b"v"]);
                let marks: Vec<_> = node.entries(key).filter(|e| !e.deleted).map(|e| e.flags_at).collect();
                node.mark_deleted(&marks);
                assert!(Node::parse(node.as_bytes()).is_ok() && node.entries(key).all(|entry| entry.deleted));
            }
        }
    }
}
