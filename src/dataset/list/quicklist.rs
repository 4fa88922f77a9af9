//! A list of more than one node's worth: a deque of nodes, cut and joined by the servers' rules, so that the
//! snapshot of a list looks as the master's would.

use super::End;
use super::node::{Fill, Node, NodeIter, append};
use crate::dataset::packed::listpack::{Element, Listpack};
use std::collections::VecDeque;
use std::{collections::vec_deque, mem};

/// Nodes and the number of their elements. No node is empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Quicklist {
    nodes: VecDeque<Node>,
    len: usize,
}

/// Where an element is: which node, which of its elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    node: usize,
    offset: usize,
}

/// The iterator over these elements and then over these nodes, from either end.
pub(super) fn chain<'a>(
    first: NodeIter<'a>,
    rest: vec_deque::Iter<'a, Node>,
) -> impl DoubleEndedIterator<Item = Element<'a>> + use<'a> {
    first.chain(rest.flat_map(Node::iter))
}

impl Quicklist {
    /// Takes nodes over as they are, without the empty ones.
    pub(super) fn new(nodes: impl Iterator<Item = Node>) -> Self {
        let nodes: VecDeque<_> = nodes.filter(|node| !node.is_empty()).collect();
        let len = nodes.iter().map(Node::len).sum();
        Self { nodes, len }
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The nodes in order.
    pub(super) fn nodes(&self) -> &VecDeque<Node> {
        &self.nodes
    }

    /// The only node's blob, if there is one packed node.
    pub(super) fn only_pack(&mut self) -> Option<&mut Listpack> {
        let alone = self.nodes.len() == 1;
        match self.nodes.front_mut() {
            Some(Node::Packed(pack)) if alone => Some(pack),
            _ => None,
        }
    }

    /// The elements from `index` on, for [`chain`]. Finding the first walks over nodes, from the nearer end.
    pub(super) fn iter_from(&self, index: usize) -> (NodeIter<'_>, vec_deque::Iter<'_, Node>) {
        match self.place(index) {
            None => (NodeIter::Plain(None), vec_deque::Iter::default()),
            Some(place) => (self.nodes[place.node].iter_from(place.offset), self.nodes.range(place.node + 1..)),
        }
    }

    /// Where the element at `index` is.
    pub(super) fn place(&self, index: usize) -> Option<Place> {
        if index >= self.len {
            return None;
        }
        if index < self.len / 2 {
            let mut before = 0;
            for (node, len) in self.nodes.iter().map(Node::len).enumerate() {
                if index < before + len {
                    return Some(Place { node, offset: index - before });
                }
                before += len;
            }
            return None;
        }
        let mut before = self.len;
        for (node, len) in self.nodes.iter().map(Node::len).enumerate().rev() {
            before -= len;
            if index >= before {
                return Some(Place { node, offset: index - before });
            }
        }
        None
    }

    /// Adds an element at an end.
    pub(super) fn push(&mut self, end: End, text: &[u8], fill: Fill) {
        self.len += 1;
        let (node, at) = match end {
            End::Left => (self.nodes.front_mut(), 0),
            End::Right => (self.nodes.back_mut(), usize::MAX),
        };
        match node {
            Some(node) if node.has_room(text, fill) => node.insert(at, text),
            _ if end == End::Left => self.nodes.push_front(Node::of(text, fill)),
            _ => self.nodes.push_back(Node::of(text, fill)),
        }
    }

    /// Puts an element before the one at a place, or behind it. A full node is cut in two, and what can be joined
    /// around the cut is.
    pub(super) fn insert(&mut self, place: Place, behind: bool, text: &[u8], fill: Fill) {
        let Place { node: n, offset } = place;
        let cut = offset + usize::from(behind);
        self.len += 1;
        if self.nodes[n].has_room(text, fill) {
            return self.nodes[n].insert(cut, text);
        }
        if cut == 0 || cut == self.nodes[n].len() {
            return self.insert_between(if cut == 0 { n } else { n + 1 }, cut == 0, text, fill);
        }
        let mut tail = self.nodes[n].split_off(cut);
        if fill.is_large(text.len()) {
            self.nodes.insert(n + 1, Node::of(text, fill));
            self.nodes.insert(n + 2, tail);
            return;
        }
        if behind {
            tail.insert(0, text);
        } else {
            self.nodes[n].insert(cut, text);
        }
        self.nodes.insert(n + 1, tail);
        self.join_around(if behind { n } else { n + 1 }, fill);
    }

    /// Adds an element between node `n - 1` and node `n`, of which the one that `before` says is full.
    fn insert_between(&mut self, n: usize, before: bool, text: &[u8], fill: Fill) {
        let neighbour = if before { n.checked_sub(1) } else { Some(n) };
        match neighbour.and_then(|at| self.nodes.get_mut(at)) {
            Some(node) if node.has_room(text, fill) => {
                node.insert(if before { usize::MAX } else { 0 }, text);
            }
            _ => self.nodes.insert(n, Node::of(text, fill)),
        }
    }

    /// Replaces the element at a place.
    pub(super) fn replace(&mut self, place: Place, text: &[u8], fill: Fill) {
        let large = fill.is_large(text.len());
        match &mut self.nodes[place.node] {
            Node::Packed(pack) if !large => pack.replace(place.offset, text),
            Node::Plain(bytes) if large => *bytes = text.into(),
            Node::Plain(_) => {
                self.insert(place, true, text, fill);
                self.nodes.remove(place.node);
                self.len -= 1;
            }
            Node::Packed(_) => self.replace_by_large(place, text, fill),
        }
    }

    fn replace_by_large(&mut self, place: Place, text: &[u8], fill: Fill) {
        let Place { node: n, offset } = place;
        let tail = self.nodes[n].split_off(offset + 1);
        if !tail.is_empty() {
            self.nodes.insert(n + 1, tail);
        }
        self.nodes.insert(n + 1, Node::of(text, fill));
        self.nodes[n].remove(offset, 1);
        if self.nodes[n].is_empty() {
            self.nodes.remove(n);
        } else {
            self.join_around(n + 1, fill);
        }
    }

    /// Joins the two nodes before `center`, the two behind it, then it with its neighbours, where one node may
    /// hold both.
    fn join_around(&mut self, center: usize, fill: Fill) {
        let mut center = center;
        if center >= 2 {
            center -= usize::from(self.join(center - 2, fill));
        }
        self.join(center + 1, fill);
        if center >= 1 {
            center -= usize::from(self.join(center - 1, fill));
        }
        self.join(center, fill);
    }

    /// Joins node `n` and the next one, if they may.
    fn join(&mut self, n: usize, fill: Fill) -> bool {
        let (Some(node), Some(next)) = (self.nodes.get(n), self.nodes.get(n + 1)) else { return false };
        let may = node.may_join(next, fill);
        if may && let Some(next) = self.nodes.remove(n + 1) {
            self.nodes[n].join(&next);
        }
        may
    }

    /// Removes up to `count` elements from `index` on.
    pub(super) fn remove(&mut self, index: usize, count: usize) {
        let Some(place) = self.place(index) else { return };
        let mut left = count.min(self.len - index);
        self.len -= left;
        let mut first = place.node;
        if place.offset > 0 {
            let node = &mut self.nodes[first];
            let gone = left.min(node.len() - place.offset);
            node.remove(place.offset, gone);
            left -= gone;
            first += 1;
        }
        let mut end = first;
        while left > 0 && self.nodes[end].len() <= left {
            left -= self.nodes[end].len();
            end += 1;
        }
        self.nodes.drain(first..end);
        if left > 0 {
            self.nodes[first].remove(0, left);
        }
    }

    /// Removes up to `count` elements that `unwanted` names, from an end; answers how many.
    pub(super) fn remove_where(
        &mut self,
        end: End,
        count: usize,
        unwanted: impl Fn(Element<'_>) -> bool,
    ) -> usize {
        let mut gone = 0;
        let nodes = self.nodes.len();
        for step in 0..nodes {
            if gone == count {
                break;
            }
            let n = if end == End::Left { step } else { nodes - 1 - step };
            gone += remove_where(&mut self.nodes[n], end, count - gone, &unwanted);
        }
        self.nodes.retain(|node| !node.is_empty());
        self.len -= gone;
        gone
    }
}

fn remove_where(node: &mut Node, end: End, count: usize, unwanted: &impl Fn(Element<'_>) -> bool) -> usize {
    match node {
        Node::Packed(pack) => remove_from_pack(pack, end, count, unwanted),
        Node::Plain(bytes) => {
            let gone = unwanted(Element::Str(bytes));
            if gone {
                *node = Node::Packed(Listpack::new());
            }
            usize::from(gone)
        }
    }
}

/// Removes up to `count` elements of a blob that `unwanted` names, from an end; answers how many. One pass.
pub(super) fn remove_from_pack(
    pack: &mut Listpack,
    end: End,
    count: usize,
    unwanted: &impl Fn(Element<'_>) -> bool,
) -> usize {
    let all = pack.iter().filter(|element| unwanted(*element)).count();
    let (gone, spared) = (all.min(count), all.saturating_sub(count));
    if gone == 0 {
        return 0;
    }
    // Of the matches, those numbered `doomed` go.
    let doomed = if end == End::Left { 0..gone } else { spared..all };
    let mut number = 0;
    let old = mem::take(pack);
    let kept = old.iter().filter(|element| {
        let goes = unwanted(*element) && {
            number += 1;
            doomed.contains(&(number - 1))
        };
        !goes
    });
    append(pack, kept);
    gone
}
