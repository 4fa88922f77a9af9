//! The order of a big sorted set: a B-tree that counts, so that an entry is found by its rank in O(log n).
//!
//! It is a sequence: entries are put in, taken out and replaced at a rank, and who knows how entries compare asks
//! `partition` for the rank. Leaves hold scores and handles in two plain arrays; inner nodes know the first key
//! and the number of keys below each child. What a handle stands for is `tree`'s business.

use std::ops::Range;

/// A leaf is then 760 bytes, just below the allocator's class of 768.
const LEAF_KEYS: usize = 63;
/// Children of an inner node.
const FANOUT: usize = 32;
/// A node below this part of its room is joined with a neighbour if both fit into three quarters of a node.
const SPARSE_DIVISOR: usize = 4;
/// Keys that a bulk build puts in a leaf: some room is left for what comes later.
const BUILT_KEYS: usize = 56;
const BUILT_CHILDREN: usize = 28;

/// One entry: its score, and where its member is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) score: f64,
    pub(super) handle: u32,
}

/// Keys in an order that the user keeps.
#[derive(Clone, Debug)]
pub(super) struct Order {
    root: Node,
    len: usize,
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Box<Leaf>),
    Inner(Vec<Child>),
}

#[derive(Clone, Debug)]
struct Leaf {
    scores: [f64; LEAF_KEYS],
    handles: [u32; LEAF_KEYS],
    len: u8,
}

#[derive(Clone, Debug)]
struct Child {
    /// The first key below.
    first: Key,
    /// Keys below.
    count: usize,
    node: Node,
}

impl Default for Order {
    fn default() -> Self {
        Self { root: Node::Leaf(Leaf::empty()), len: 0 }
    }
}

impl Order {
    /// Builds the tree for keys that are in order. O(n).
    pub(super) fn build(mut keys: impl ExactSizeIterator<Item = Key>) -> Self {
        let len = keys.len();
        let mut level = Vec::with_capacity(len / BUILT_KEYS + 1);
        while keys.len() > 0 {
            let mut leaf = Leaf::empty();
            keys.by_ref().take(BUILT_KEYS).for_each(|key| leaf.push(key));
            level.extend(Child::over(Node::Leaf(leaf)));
        }
        while level.len() > 1 {
            let mut below = level.into_iter();
            let mut above = Vec::with_capacity(below.len() / BUILT_CHILDREN + 1);
            while below.len() > 0 {
                above.extend(Child::over(Node::Inner(below.by_ref().take(BUILT_CHILDREN).collect())));
            }
            level = above;
        }
        level.pop().map_or_else(Self::default, |root| Self { root: root.node, len })
    }

    /// Number of keys.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The rank of the first key for which `before` is false; it must be true for all keys in front of that one.
    pub(super) fn partition(&self, before: impl Fn(Key) -> bool) -> usize {
        let (mut node, mut rank) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(leaf) => return rank + leaf.partition(before),
                Node::Inner(children) => {
                    let at = children.partition_point(|child| before(child.first)).saturating_sub(1);
                    rank += children[..at].iter().map(|child| child.count).sum::<usize>();
                    node = &children[at].node;
                }
            }
        }
    }

    /// Puts a key in front of the one at `rank`; at the end if there are only `rank`.
    pub(super) fn insert_at(&mut self, rank: usize, key: Key) {
        self.len += 1;
        let Some(sibling) = self.root.insert_at(rank, key, true) else { return };
        let old = std::mem::replace(&mut self.root, Node::Inner(Vec::with_capacity(2)));
        if let Node::Inner(children) = &mut self.root {
            children.extend(Child::over(old));
            children.push(sibling);
        }
    }

    /// Takes out the key at `rank`, which must be there.
    pub(super) fn remove_at(&mut self, rank: usize) {
        self.len -= 1;
        self.root.remove_at(rank);
        while let Node::Inner(children) = &mut self.root {
            match children.len() {
                0 => self.root = Node::Leaf(Leaf::empty()),
                1 => self.root = children.remove(0).node,
                _ => break,
            }
        }
    }

    /// Puts another key in the place of the one at `rank`, which must be there.
    pub(super) fn replace_at(&mut self, rank: usize, key: Key) {
        self.root.replace_at(rank, key);
    }

    /// The key at `rank`.
    pub(super) fn get(&self, rank: usize) -> Option<Key> {
        if rank >= self.len {
            return None;
        }
        let (leaf, first) = self.leaf_at(rank);
        Some(leaf.key(rank - first))
    }

    /// The keys at these ranks, from either end.
    pub(super) fn range(&self, ranks: Range<usize>) -> Keys<'_> {
        let end = ranks.end.min(self.len);
        Keys { order: self, ranks: ranks.start.min(end)..end, front: None, back: None }
    }

    /// Bytes of memory behind this.
    pub(super) fn heap_bytes(&self) -> usize {
        self.root.heap_bytes()
    }

    /// The leaf that holds the key at `rank` (which is there), and the rank of its first key.
    fn leaf_at(&self, rank: usize) -> (&Leaf, usize) {
        let (mut node, mut first) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(leaf) => return (leaf, first),
                Node::Inner(children) => {
                    let (at, within) = child_at(children, rank - first, false);
                    first = rank - within;
                    node = &children[at].node;
                }
            }
        }
    }
}

/// The child that holds the key at `rank`, and the rank within it. `or_end`: also one that ends just there.
fn child_at(children: &[Child], mut rank: usize, or_end: bool) -> (usize, usize) {
    for (at, child) in children.iter().enumerate() {
        if rank < child.count + usize::from(or_end) {
            return (at, rank);
        }
        rank -= child.count;
    }
    unreachable!("ranks are checked against the length")
}

impl Child {
    /// A child for a node, unless the node is empty.
    fn over(node: Node) -> Option<Self> {
        Some(Self { first: node.first()?, count: node.count(), node })
    }

    fn refresh_first(&mut self) {
        if let Some(first) = self.node.first() {
            self.first = first;
        }
    }
}

impl Node {
    fn first(&self) -> Option<Key> {
        match self {
            Self::Leaf(leaf) => (leaf.len > 0).then(|| leaf.key(0)),
            Self::Inner(children) => children.first().map(|child| child.first),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.len(),
            Self::Inner(children) => children.iter().map(|child| child.count).sum(),
        }
    }

    /// How many keys or children there are in the node itself, and how many there may be.
    fn fill(&self) -> (usize, usize) {
        match self {
            Self::Leaf(leaf) => (leaf.len(), LEAF_KEYS),
            Self::Inner(children) => (children.len(), FANOUT),
        }
    }

    /// Answers a new neighbour behind this node if it had to split. `is_last`: this node is the last of its level.
    fn insert_at(&mut self, rank: usize, key: Key, is_last: bool) -> Option<Child> {
        match self {
            Self::Leaf(leaf) => {
                let right = leaf.insert_or_split(rank, key, is_last)?;
                Child::over(Self::Leaf(right))
            }
            Self::Inner(children) => {
                let (at, rank) = child_at(children, rank, true);
                let is_last = is_last && at + 1 == children.len();
                let child = &mut children[at];
                let sibling = child.node.insert_at(rank, key, is_last);
                child.count += 1;
                child.count -= sibling.as_ref().map_or(0, |sibling| sibling.count);
                child.refresh_first();
                children.insert(at + 1, sibling?);
                if children.len() <= FANOUT {
                    return None;
                }
                let keep = if is_last { FANOUT - 1 } else { FANOUT / 2 };
                let right = children.split_off(keep);
                Child::over(Self::Inner(right))
            }
        }
    }

    fn remove_at(&mut self, rank: usize) {
        match self {
            Self::Leaf(leaf) => leaf.remove(rank),
            Self::Inner(children) => {
                let (at, rank) = child_at(children, rank, false);
                let child = &mut children[at];
                child.node.remove_at(rank);
                child.count -= 1;
                if child.count == 0 {
                    children.remove(at);
                    return;
                }
                child.refresh_first();
                let (used, room) = child.node.fill();
                if used < room / SPARSE_DIVISOR {
                    join_around(children, at);
                }
            }
        }
    }

    fn replace_at(&mut self, rank: usize, key: Key) {
        match self {
            Self::Leaf(leaf) => leaf.set(rank, key),
            Self::Inner(children) => {
                let (at, rank) = child_at(children, rank, false);
                children[at].node.replace_at(rank, key);
                children[at].refresh_first();
            }
        }
    }

    /// Takes in everything of the node behind it, which is on the same level.
    fn append(&mut self, next: Self) {
        match (self, next) {
            (Self::Leaf(leaf), Self::Leaf(next)) => (0..next.len()).for_each(|at| leaf.push(next.key(at))),
            (Self::Inner(children), Self::Inner(next)) => children.extend(next),
            _ => unreachable!("neighbours are of one level"),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::Leaf(_) => size_of::<Leaf>(),
            Self::Inner(children) => {
                let below = children.iter().map(|child| child.node.heap_bytes()).sum::<usize>();
                below + children.capacity() * size_of::<Child>()
            }
        }
    }
}

/// Joins the sparse child `at` with a neighbour if both together leave room for more.
fn join_around(children: &mut Vec<Child>, at: usize) {
    let fits = |a: &Child, b: &Child| {
        let ((a, room), (b, _)) = (a.node.fill(), b.node.fill());
        a + b <= room - room / SPARSE_DIVISOR
    };
    let pair = [at.checked_sub(1), Some(at)]
        .into_iter()
        .flatten()
        .find(|&left| children.get(left + 1).is_some_and(|right| fits(&children[left], right)));
    let Some(left) = pair else { return };
    let right = children.remove(left + 1);
    children[left].count += right.count;
    children[left].node.append(right.node);
}

impl Leaf {
    fn empty() -> Box<Self> {
        Box::new(Self { scores: [0.0; LEAF_KEYS], handles: [0; LEAF_KEYS], len: 0 })
    }

    fn len(&self) -> usize {
        usize::from(self.len)
    }

    fn key(&self, at: usize) -> Key {
        Key { score: self.scores[at], handle: self.handles[at] }
    }

    fn set(&mut self, at: usize, key: Key) {
        self.scores[at] = key.score;
        self.handles[at] = key.handle;
    }

    fn push(&mut self, key: Key) {
        self.insert(self.len(), key);
    }

    fn insert(&mut self, at: usize, key: Key) {
        let len = self.len();
        self.scores.copy_within(at..len, at + 1);
        self.handles.copy_within(at..len, at + 1);
        self.set(at, key);
        self.len += 1;
    }

    fn remove(&mut self, at: usize) {
        let len = self.len();
        self.scores.copy_within(at + 1..len, at);
        self.handles.copy_within(at + 1..len, at);
        self.len -= 1;
    }

    /// A full leaf splits in the middle; the last of all splits at its end if it grows there, so that ascending
    /// inserts leave full leaves behind.
    fn insert_or_split(&mut self, at: usize, key: Key, is_last: bool) -> Option<Box<Self>> {
        if self.len() < LEAF_KEYS {
            self.insert(at, key);
            return None;
        }
        let keep = if is_last && at == LEAF_KEYS { LEAF_KEYS } else { LEAF_KEYS / 2 };
        let mut right = Self::empty();
        (keep..LEAF_KEYS).for_each(|at| right.push(self.key(at)));
        self.len = keep as u8;
        if at <= keep && keep < LEAF_KEYS {
            self.insert(at, key)
        } else {
            right.insert(at - keep, key)
        }
        Some(right)
    }

    fn partition(&self, before: impl Fn(Key) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if before(self.key(middle)) { low = middle + 1 } else { high = middle }
        }
        low
    }
}

/// Keys of a range of ranks, from either end. A leaf is looked up once for all of its keys.
#[derive(Clone, Debug)]
pub(super) struct Keys<'a> {
    order: &'a Order,
    ranks: Range<usize>,
    /// The leaf at each end and the rank of its first key.
    front: Option<(&'a Leaf, usize)>,
    back: Option<(&'a Leaf, usize)>,
}

impl Keys<'_> {
    fn covers(leaf: Option<(&Leaf, usize)>, rank: usize) -> bool {
        leaf.is_some_and(|(leaf, first)| (first..first + leaf.len()).contains(&rank))
    }
}

impl Iterator for Keys<'_> {
    type Item = Key;

    fn next(&mut self) -> Option<Key> {
        let rank = self.ranks.next()?;
        if !Self::covers(self.front, rank) {
            self.front = Some(self.order.leaf_at(rank));
        }
        self.front.map(|(leaf, first)| leaf.key(rank - first))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ranks.size_hint()
    }
}

impl DoubleEndedIterator for Keys<'_> {
    fn next_back(&mut self) -> Option<Key> {
        let rank = self.ranks.next_back()?;
        if !Self::covers(self.back, rank) {
            self.back = Some(self.order.leaf_at(rank));
        }
        self.back.map(|(leaf, first)| leaf.key(rank - first))
    }
}

impl ExactSizeIterator for Keys<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Key {
        Key { score: n as f64, handle: n as u32 }
    }

    /// First keys, counts and fill of every node are what the nodes below say; answers the depth.
    fn check(node: &Node) -> usize {
        let Node::Inner(children) = node else { return 1 };
        assert!((1..=FANOUT).contains(&children.len()));
        let depths: Vec<usize> = children
            .iter()
            .map(|child| {
                assert_eq!(Some(child.first), child.node.first());
                assert_eq!(child.count, child.node.count());
                assert!(child.count > 0);
                check(&child.node)
            })
            .collect();
        assert!(depths.iter().all(|depth| *depth == depths[0]), "leaves at one depth");
        depths[0] + 1
    }

    #[test]
    fn agrees_with_a_vector_under_random_edits() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut order, mut model) = (Order::default(), Vec::new());
        for step in 0..60_000 {
            let growing = step / 10_000 % 2 == 0;
            let rank = random.usize(..=model.len());
            if model.is_empty() || random.u8(..10) < if growing { 8 } else { 2 } {
                order.insert_at(rank, key(step));
                model.insert(rank, key(step));
            } else {
                let rank = rank.min(model.len() - 1);
                if random.bool() {
                    order.remove_at(rank);
                    model.remove(rank);
                } else {
                    order.replace_at(rank, key(step));
                    model[rank] = key(step);
                }
            }
            if step % 2_000 == 0 {
                check(&order.root);
                let (from, to) = (random.usize(..=model.len()), model.len());
                assert!(order.range(from..to).eq(model[from..to].iter().copied()), "seed {seed}");
                assert!(order.range(0..from).rev().eq(model[..from].iter().rev().copied()), "seed {seed}");
            }
            assert_eq!((order.len(), order.get(rank)), (model.len(), model.get(rank).copied()), "seed {seed}");
        }
    }

    #[test]
    fn partition_finds_the_rank_of_every_bound() {
        for len in [0, 1, 62, 63, 64, 1_000, 20_000] {
            let order = Order::build((0..len).map(key).collect::<Vec<_>>().into_iter());
            assert_eq!(order.len(), len);
            check(&order.root);
            for bound in (0..=len + 1).step_by(1 + len / 100) {
                assert_eq!(order.partition(|key| (key.handle as usize) < bound), bound.min(len));
            }
        }
    }

    #[test]
    fn ascending_inserts_leave_full_leaves() {
        let mut order = Order::default();
        (0..63_000).for_each(|n| order.insert_at(n, key(n)));
        check(&order.root);
        assert!(order.heap_bytes() < 63_000 * 14, "{}", order.heap_bytes());
    }

    #[test]
    fn emptied_from_either_end_it_stays_a_tree() {
        for from_end in [false, true] {
            let mut order = Order::build((0..5_000).map(key).collect::<Vec<_>>().into_iter());
            for left in (0..5_000).rev() {
                order.remove_at(if from_end { left } else { 0 });
                if left % 500 == 0 {
                    check(&order.root);
                }
            }
            assert_eq!((order.len(), order.get(0), order.heap_bytes()), (0, None, size_of::<Leaf>()));
        }
    }
}
