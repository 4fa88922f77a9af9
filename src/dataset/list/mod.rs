//! Lists: one listpack while that is within the limits of a node, else a deque of nodes.
//!
//! Comes in: elements from apply functions, nodes from the snapshot. Goes out: elements by index or in order, and
//! the nodes for the snapshot. When one form becomes the other is as in Redis 7.2 and later; earlier servers call
//! everything a quicklist, see [`List::encoding`].

mod node;
mod quicklist;

pub use node::Node;

use super::packed::listpack::{Element, Listpack};
use super::{Dialect, EncodingLimits};
use node::{Fill, NodeIter};
use quicklist::{Quicklist, chain, remove_from_pack};
use std::collections::vec_deque;
use std::ops::Range;

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Left,
    Right,
}

/// A node, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeRef<'a> {
    Packed(&'a Listpack),
    Plain(&'a [u8]),
}

/// A list.
#[derive(Clone, Debug)]
pub struct List(Form);

#[derive(Clone, Debug)]
enum Form {
    Listpack(Listpack),
    Quicklist(Box<Quicklist>),
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

/// Nodes of a list, in order.
#[derive(Clone, Debug)]
pub struct NodeRefs<'a> {
    /// The only one of a small list.
    pack: Option<&'a Listpack>,
    nodes: vec_deque::Iter<'a, Node>,
}

impl<'a> Iterator for NodeRefs<'a> {
    type Item = NodeRef<'a>;

    fn next(&mut self) -> Option<NodeRef<'a>> {
        if let Some(pack) = self.pack.take() {
            return Some(NodeRef::Packed(pack));
        }
        Some(match self.nodes.next()? {
            Node::Packed(pack) => NodeRef::Packed(pack),
            Node::Plain(bytes) => NodeRef::Plain(bytes),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.pack.is_some()) + self.nodes.len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for NodeRefs<'_> {}

impl List {
    /// Blocks of memory behind the list, by their sizes.
    pub fn blocks(&self) -> impl Iterator<Item = usize> {
        let (pack, own) = match &self.0 {
            Form::Listpack(pack) => (Some(pack.byte_len()), [0; 2]),
            Form::Quicklist(list) => (None, [size_of::<Quicklist>(), list.nodes().capacity() * size_of::<Node>()]),
        };
        let nodes = self.nodes().filter(move |_| pack.is_none()).map(|node| match node {
            NodeRef::Packed(pack) => pack.byte_len(),
            NodeRef::Plain(bytes) => bytes.len(),
        });
        pack.into_iter().chain(own).chain(nodes)
    }

    /// An empty list.
    pub fn new() -> Self {
        Self(Form::Listpack(Listpack::new()))
    }

    /// A list of these nodes as they are; empty ones are left out.
    pub fn from_nodes(nodes: impl IntoIterator<Item = Node>, limits: &EncodingLimits) -> Self {
        let mut list = Self(Form::Quicklist(Box::new(Quicklist::new(nodes.into_iter()))));
        list.compact(limits, false);
        list
    }

    /// A list of these elements.
    pub fn from_elements<T: AsRef<[u8]>>(elements: impl IntoIterator<Item = T>, limits: &EncodingLimits) -> Self {
        let mut nodes = Quicklist::default();
        let fill = Fill::new(limits);
        elements.into_iter().for_each(|element| nodes.push(End::Right, element.as_ref(), fill));
        let mut list = Self(Form::Quicklist(Box::new(nodes)));
        list.compact(limits, false);
        list
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Listpack(pack) => pack.len(),
            Form::Quicklist(list) => list.len(),
        }
    }

    /// No elements: the key is to go.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding(&self, dialect: Dialect) -> &'static str {
        match &self.0 {
            Form::Listpack(_) if dialect.has_set_listpacks() => "listpack",
            _ => "quicklist",
        }
    }

    /// The nodes as the snapshot has them.
    pub fn nodes(&self) -> NodeRefs<'_> {
        self.nodes_from(0)
    }

    /// The same from the node at `index` on. Costs nothing that grows with `index`.
    pub fn nodes_from(&self, index: usize) -> NodeRefs<'_> {
        match &self.0 {
            Form::Listpack(pack) => {
                NodeRefs { pack: Some(pack).filter(|_| index == 0), nodes: Default::default() }
            }
            Form::Quicklist(list) => {
                let all = list.nodes();
                NodeRefs { pack: None, nodes: all.range(index.min(all.len())..) }
            }
        }
    }

    /// The elements in order, from either end.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Element<'_>> {
        self.iter_from(0)
    }

    /// The elements from `index` on. Finding the first walks over nodes and over one node's elements, from the
    /// nearer end.
    pub fn iter_from(&self, index: usize) -> impl DoubleEndedIterator<Item = Element<'_>> {
        let (first, rest) = match &self.0 {
            Form::Listpack(pack) => (NodeIter::Packed(pack.iter_from(index)), vec_deque::Iter::default()),
            Form::Quicklist(list) => list.iter_from(index),
        };
        chain(first, rest)
    }

    /// The element at `index`.
    pub fn get(&self, index: usize) -> Option<Element<'_>> {
        self.iter_from(index).next()
    }

    /// Adds elements at an end, one after the other.
    pub fn push<'a>(&mut self, end: End, texts: impl Iterator<Item = &'a [u8]> + Clone, limits: &EncodingLimits) {
        let (bytes, count) =
            texts.clone().fold((0, 0), |(bytes, count), text: &[u8]| (bytes + text.len(), count + 1));
        self.make_room(bytes, count, limits);
        let fill = Fill::new(limits);
        for text in texts {
            match (&mut self.0, end) {
                (Form::Listpack(pack), End::Left) => pack.insert(0, text),
                (Form::Listpack(pack), End::Right) => pack.push(text),
                (Form::Quicklist(list), end) => list.push(end, text, fill),
            }
        }
    }

    /// Takes up to `count` elements off an end.
    pub fn drop_from(&mut self, end: End, count: usize, limits: &EncodingLimits) {
        let count = count.min(self.len());
        let start = if end == End::Left { 0 } else { self.len() - count };
        self.remove(start..start + count);
        self.compact(limits, true);
    }

    /// The element at an end.
    pub fn last(&self, end: End) -> Option<Element<'_>> {
        match end {
            End::Left => self.iter().next(),
            End::Right => self.iter().next_back(),
        }
    }

    /// Replaces the element at `index`; `false` if there is none.
    pub fn set(&mut self, index: usize, text: &[u8], limits: &EncodingLimits) -> bool {
        if index >= self.len() {
            return false;
        }
        self.make_room(text.len(), 1, limits);
        match &mut self.0 {
            Form::Listpack(pack) => pack.replace(index, text),
            Form::Quicklist(list) => {
                if let Some(place) = list.place(index) {
                    list.replace(place, text, Fill::new(limits));
                }
            }
        }
        self.compact(limits, true);
        true
    }

    /// Puts an element before the first one that equals `pivot`, or behind it; `false` if there is none.
    pub fn insert(&mut self, pivot: &[u8], behind: bool, text: &[u8], limits: &EncodingLimits) -> bool {
        let equal = equals(pivot);
        let Some(index) = self.iter().position(equal) else { return false };
        self.make_room(text.len(), 1, limits);
        match &mut self.0 {
            Form::Listpack(pack) => pack.insert(index + usize::from(behind), text),
            Form::Quicklist(list) => {
                if let Some(place) = list.place(index) {
                    list.insert(place, behind, text, Fill::new(limits));
                }
            }
        }
        true
    }

    /// Removes elements that equal `text`: the first `count` of them, the last ones where the end is the right.
    /// Answers how many there were.
    pub fn remove_equal(&mut self, text: &[u8], end: End, count: usize, limits: &EncodingLimits) -> usize {
        let equal = equals(text);
        let gone = match &mut self.0 {
            Form::Listpack(pack) => remove_from_pack(pack, end, count, &equal),
            Form::Quicklist(list) => list.remove_where(end, count, equal),
        };
        self.compact(limits, true);
        gone
    }

    /// Keeps these elements only.
    pub fn trim(&mut self, kept: Range<usize>, limits: &EncodingLimits) {
        self.remove(kept.end..self.len());
        self.remove(0..kept.start);
        self.compact(limits, true);
    }

    fn remove(&mut self, range: Range<usize>) {
        match &mut self.0 {
            Form::Listpack(pack) => pack.remove(range.start, range.len()),
            Form::Quicklist(list) => list.remove(range.start, range.len()),
        }
    }

    /// Before something is added: a listpack that would not be within the limits becomes a quicklist.
    fn make_room(&mut self, bytes: usize, elements: usize, limits: &EncodingLimits) {
        let Form::Listpack(pack) = &mut self.0 else { return };
        let bytes = pack.byte_len().saturating_add(bytes);
        if Fill::new(limits).is_exceeded(bytes, pack.len().saturating_add(elements)) {
            let node = Node::Packed(std::mem::take(pack));
            self.0 = Form::Quicklist(Box::new(Quicklist::new(std::iter::once(node))));
        }
    }

    /// Afterwards: a quicklist of one packed node within the limits becomes a listpack.
    fn compact(&mut self, limits: &EncodingLimits, shrinking: bool) {
        let Form::Quicklist(list) = &mut self.0 else { return };
        if let Some(pack) = list.only_pack()
            && Fill::new(limits).suits_listpack(pack, shrinking)
        {
            self.0 = Form::Listpack(std::mem::take(pack));
        }
    }
}

/// Whether an element's text is `text`; the text is looked at once only for whether it is an integer.
fn equals(text: &[u8]) -> impl Fn(Element<'_>) -> bool {
    let integer = Element::Str(text).as_integer();
    move |element| match element {
        Element::Str(bytes) => bytes == text,
        Element::Int(n) => integer == Some(n),
    }
}

/// The elements from `start` to `stop`, both included, negative ones counted from the end, as LRANGE and LTRIM
/// understand them; empty where there are none.
pub fn index_range(start: i64, stop: i64, len: usize) -> Range<usize> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let from_end = |index: i64| if index < 0 { index.saturating_add(len) } else { index };
    let start = from_end(start).max(0);
    let stop = from_end(stop).min(len - 1);
    if start > stop { 0..0 } else { start as usize..stop as usize + 1 }
}

#[cfg(test)]
mod tests;
