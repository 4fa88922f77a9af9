//! A node of a list, and how much may be in one.

use crate::dataset::EncodingLimits;
use crate::dataset::packed::listpack::{self, Element, Listpack};

/// What a node may grow to, from `list-max-listpack-size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fill {
    bytes: usize,
    elements: usize,
    /// Longest element that shares a node.
    element_bytes: usize,
}

/// Most bytes of a node whose size is given as a count of elements.
const COUNTED_NODE_BYTES: usize = 8192;
/// Up to 7.0 an element is plain only from here on; one that is too long for a node is alone in a packed one.
const OLD_ELEMENT_BYTES: usize = 1 << 30;
/// What an element may add to a node beside its own bytes, as the servers estimate it.
const ELEMENT_OVERHEAD: usize = 8;
/// Header and end mark, which two joined nodes share.
const EMPTY_BYTES: usize = 7;

impl Fill {
    /// Positive sizes count elements (0 is 1), -1 to -5 are 4 to 64 KiB.
    pub(super) fn new(limits: &EncodingLimits) -> Self {
        let (bytes, elements) = match usize::try_from(limits.list_size) {
            Ok(count) => (COUNTED_NODE_BYTES, count.max(1)),
            Err(_) => (4096 << (-1 - limits.list_size.max(-5)), usize::MAX),
        };
        let shares = limits.dialect.has_set_listpacks();
        Self { bytes, elements, element_bytes: if shares { bytes } else { OLD_ELEMENT_BYTES } }
    }

    /// Too much for one node?
    pub(super) fn is_exceeded(self, bytes: usize, elements: usize) -> bool {
        bytes > self.bytes || elements > self.elements
    }

    /// Elements of this length get a plain node of their own.
    pub(super) fn is_large(self, bytes: usize) -> bool {
        bytes > self.element_bytes
    }

    /// May a quicklist of one such node become a listpack? When it shrinks only at half the limit, so that a list
    /// around the limit does not change all the time. As the servers: counted nodes are not measured here.
    pub(super) fn suits_listpack(self, pack: &Listpack, shrinking: bool) -> bool {
        let part = if shrinking { 2 } else { 1 };
        if self.elements == usize::MAX {
            pack.byte_len() <= self.bytes / part
        } else {
            pack.len() <= self.elements / part
        }
    }
}

/// Some elements of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Never empty.
    Packed(Listpack),
    /// One large element.
    Plain(Box<[u8]>),
}

impl Node {
    /// A node of one element.
    pub(super) fn of(text: &[u8], fill: Fill) -> Self {
        if fill.is_large(text.len()) {
            return Self::Plain(text.into());
        }
        let mut pack = Listpack::new();
        pack.push(text);
        Self::Packed(pack)
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Packed(pack) => pack.len(),
            Self::Plain(_) => 1,
        }
    }

    /// No element: only in nodes that are not part of a list yet.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Packed(pack) if pack.is_empty())
    }

    /// May one more element of this length go in?
    pub(super) fn has_room(&self, text: &[u8], fill: Fill) -> bool {
        match self {
            Self::Packed(pack) => {
                let bytes = pack.byte_len() + text.len() + ELEMENT_OVERHEAD;
                !fill.is_large(text.len()) && !fill.is_exceeded(bytes, pack.len() + 1)
            }
            Self::Plain(_) => false,
        }
    }

    /// Puts an element before the one at `offset` of a packed node.
    pub(super) fn insert(&mut self, offset: usize, text: &[u8]) {
        if let Self::Packed(pack) = self {
            pack.insert(offset, text);
        }
    }

    /// Removes elements of a packed node.
    pub(super) fn remove(&mut self, offset: usize, count: usize) {
        if let Self::Packed(pack) = self {
            pack.remove(offset, count);
        }
    }

    /// Takes the elements from `offset` on out into a node of their own.
    pub(super) fn split_off(&mut self, offset: usize) -> Self {
        let mut tail = self.clone();
        tail.remove(0, offset);
        self.remove(offset, usize::MAX);
        tail
    }

    /// May this node and the one behind it be one?
    pub(super) fn may_join(&self, next: &Self, fill: Fill) -> bool {
        match (self, next) {
            (Self::Packed(a), Self::Packed(b)) => {
                !fill.is_exceeded(a.byte_len() + b.byte_len() - EMPTY_BYTES, a.len() + b.len())
            }
            _ => false,
        }
    }

    /// Appends the elements of another packed node.
    pub(super) fn join(&mut self, next: &Self) {
        if let (Self::Packed(pack), Self::Packed(next)) = (self, next) {
            append(pack, next.iter());
        }
    }

    /// The elements from `offset` on.
    pub(super) fn iter_from(&self, offset: usize) -> NodeIter<'_> {
        match self {
            Self::Packed(pack) => NodeIter::Packed(pack.iter_from(offset)),
            Self::Plain(bytes) => NodeIter::Plain((offset == 0).then_some(bytes)),
        }
    }

    /// All elements.
    pub(super) fn iter(&self) -> NodeIter<'_> {
        self.iter_from(0)
    }
}

/// Appends elements as they are.
pub(super) fn append<'a>(pack: &mut Listpack, elements: impl Iterator<Item = Element<'a>>) {
    for element in elements {
        match element {
            Element::Str(text) => pack.push(text),
            Element::Int(n) => pack.push_integer(n),
        }
    }
}

/// Elements of a node, from either end.
#[derive(Clone, Debug)]
pub(super) enum NodeIter<'a> {
    Packed(listpack::Iter<'a>),
    Plain(Option<&'a [u8]>),
}

impl<'a> Iterator for NodeIter<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        match self {
            Self::Packed(elements) => elements.next(),
            Self::Plain(bytes) => bytes.take().map(Element::Str),
        }
    }
}

impl DoubleEndedIterator for NodeIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Self::Packed(elements) => elements.next_back(),
            Self::Plain(bytes) => bytes.take().map(Element::Str),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Encodings;
    use crate::dataset::Dialect;

    fn fill(list_size: i64, dialect: Dialect) -> Fill {
        Fill::new(&EncodingLimits { sizes: Encodings { list_size, ..Encodings::default() }, dialect })
    }

    #[test]
    fn sizes_are_bytes_or_counts() {
        let check = |size, bytes, elements| {
            let expected = Fill { bytes, elements, element_bytes: bytes };
            assert_eq!(fill(size, Dialect::Redis(8, 0)), expected, "{size}");
        };
        check(-1, 4096, usize::MAX);
        check(-2, 8192, usize::MAX);
        check(-5, 65536, usize::MAX);
        check(-6, 65536, usize::MAX);
        check(i64::MIN, 65536, usize::MAX);
        check(0, 8192, 1);
        check(128, 8192, 128);
    }

    #[test]
    fn large_elements_are_plain_since_7_2() {
        assert!(fill(-2, Dialect::Valkey(8, 1)).is_large(8193));
        assert!(!fill(-2, Dialect::Redis(7, 0)).is_large(8193));
    }

    #[test]
    fn a_split_and_a_join_give_the_same_node() {
        let fill = fill(-2, Dialect::Redis(8, 0));
        let mut node = Node::of(b"a", fill);
        ["12", "b", "-7000", "c"].iter().for_each(|text| node.insert(node.len(), text.as_bytes()));
        let whole = node.clone();
        for offset in 1..5 {
            let tail = node.split_off(offset);
            assert_eq!((node.len(), tail.len()), (offset, 5 - offset));
            node.join(&tail);
            assert_eq!(node, whole);
        }
    }
}
