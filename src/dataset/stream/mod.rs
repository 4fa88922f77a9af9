//! Streams: an ordered map of nodes, the counters that go with them, and consumer groups.
//!
//! Comes in: nodes of a snapshot, entries of the master's XADD. Goes out: entries in order from either end, and
//! the nodes as they are for snapshots. Every change leaves the nodes byte for byte as the servers would have
//! them, so that a DUMP here equals the master's.

mod group;
mod id;
mod lag;
mod node;

pub use group::{Consumer, Group, Pending};
pub use id::{IdText, StreamId};
pub use node::{Entry, Fields, Node};

use super::EncodingLimits;
use crate::allocator;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Most bytes of names and values that one entry may have, and most bytes of a node whatever the setting says (as
/// redis: `STREAM_LISTPACK_MAX_SIZE`).
const NODE_BYTES_MAX: usize = 1 << 30;

/// A stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream {
    nodes: BTreeMap<StreamId, Node>,
    groups: BTreeMap<Box<[u8]>, Group>,
    counters: Counters,
}

/// What a stream knows besides its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Entries that are there.
    pub length: u64,
    /// The greatest id ever used; new ones must be greater.
    pub last_id: StreamId,
    /// The first entry that is there; `0-0` if there is none.
    pub first_id: StreamId,
    /// The greatest id ever deleted by XDEL; trimming does not count.
    pub max_deleted_id: StreamId,
    /// Entries ever added.
    pub entries_added: u64,
}

/// Why an entry cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// Its id is not greater than the last one.
    NotGreater,
    /// Names and values together are longer than a node can be.
    TooLarge,
}

/// Up to where a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// At most so many entries stay.
    MaxLen(u64),
    /// Entries with smaller ids go.
    MinId(StreamId),
}

impl Stream {
    /// Entries, last id and so on.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Sets them (XSETID, a snapshot). Whoever calls keeps `length` and `first_id` true.
    pub fn set_counters(&mut self, counters: Counters) {
        self.counters = counters;
    }

    /// Number of entries that are there.
    pub fn len(&self) -> u64 {
        self.counters.length
    }

    /// No entry is there. An empty stream is still a stream.
    pub fn is_empty(&self) -> bool {
        self.counters.length == 0
    }

    /// Bytes of memory behind the stream. Tree nodes are reckoned as two thirds full.
    pub fn heap_bytes(&self) -> usize {
        let nodes: usize = self.nodes.values().map(|node| allocator::taken(node.as_bytes().len())).sum();
        let groups: usize = self.groups.iter().map(|(name, group)| name.len() + group.heap_bytes()).sum();
        let (node, group) = (size_of::<(StreamId, Node)>(), size_of::<(Box<[u8]>, Group)>());
        nodes + groups + (self.nodes.len() * node + self.groups.len() * group) * 3 / 2
    }

    /// Nodes by key, ascending; the key is the id of the node's first entry.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (StreamId, &Node)> {
        self.nodes.iter().map(|(key, node)| (*key, node))
    }

    /// The nodes behind the one with this key, ascending; all without one.
    pub fn nodes_behind(&self, key: Option<StreamId>) -> impl Iterator<Item = (StreamId, &Node)> {
        let from = key.map_or(Bound::Unbounded, Bound::Excluded);
        self.nodes.range((from, Bound::Unbounded)).map(|(key, node)| (*key, node))
    }

    /// Adds a node of a snapshot; `false` if there is one with this key. The counters are not touched.
    pub fn insert_node(&mut self, key: StreamId, node: Node) -> bool {
        self.nodes.insert(key, node).is_none()
    }

    /// Entries from `from` to `to`, both included, ascending. Costs a search for the node and a walk inside it.
    pub fn range(&self, from: StreamId, to: StreamId) -> impl Iterator<Item = Entry<'_>> {
        let first = self.nodes.range(..=from).next_back().map_or(StreamId::MIN, |(key, _)| *key);
        self.nodes
            .range(first..)
            .flat_map(|(key, node)| node.entries(*key))
            .skip_while(move |entry| entry.id < from)
            .filter(|entry| !entry.deleted)
            .take_while(move |entry| entry.id <= to)
    }

    /// The same, descending.
    pub fn range_back(&self, from: StreamId, to: StreamId) -> impl Iterator<Item = Entry<'_>> {
        self.nodes
            .range(..=to)
            .rev()
            .flat_map(|(key, node)| node.entries(*key).rev())
            .skip_while(move |entry| entry.id > to)
            .filter(|entry| !entry.deleted)
            .take_while(move |entry| entry.id >= from)
    }

    /// All entries, ascending.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.range(StreamId::MIN, StreamId::MAX)
    }

    /// The entry of this id, if it is there.
    pub fn entry(&self, id: StreamId) -> Option<Entry<'_>> {
        self.range(id, id).next()
    }

    /// The greatest id that is there; `None` if the stream is empty.
    pub fn top(&self) -> Option<StreamId> {
        self.range_back(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id)
    }

    /// Adds an entry; `words` are names and values by turns. As redis 7.0: a node that has
    /// `stream-node-max-entries` entries, deleted ones included, or would reach `stream-node-max-bytes`, is
    /// followed by a new one.
    pub fn append(&mut self, id: StreamId, words: &[&[u8]], limits: &EncodingLimits) -> Result<(), AppendError> {
        if id <= self.counters.last_id {
            return Err(AppendError::NotGreater);
        }
        let bytes: usize = words.iter().map(|word| word.len()).sum();
        if bytes > NODE_BYTES_MAX {
            return Err(AppendError::TooLarge);
        }
        match self.nodes.last_entry().filter(|tail| has_room(tail.get(), bytes, limits)) {
            Some(mut tail) => {
                let key = *tail.key();
                tail.get_mut().append(key, id, words);
            }
            None => {
                self.nodes.insert(id, Node::first(words));
            }
        }
        let counters = &mut self.counters;
        counters.length += 1;
        counters.entries_added = counters.entries_added.wrapping_add(1);
        counters.last_id = id;
        if counters.length == 1 {
            counters.first_id = id;
        }
        Ok(())
    }

    /// Deletes entries (XDEL); answers how many were there. A node goes with its last entry; until then its
    /// deleted entries stay in it.
    pub fn delete(&mut self, ids: &[StreamId]) -> u64 {
        let deleted = ids.iter().filter(|id| self.delete_one(**id)).count() as u64;
        if deleted > 0 && (self.is_empty() || ids.contains(&self.counters.first_id)) {
            self.find_first_id();
        }
        deleted
    }

    fn delete_one(&mut self, id: StreamId) -> bool {
        let Some((&key, node)) = self.nodes.range_mut(..=id).next_back() else { return false };
        let mut entries = node.entries(key).take_while(|entry| entry.id <= id);
        let Some(entry) = entries.find(|entry| entry.id == id && !entry.deleted) else { return false };
        let flags_at = entry.flags_at;
        if node.live() == 1 {
            self.nodes.remove(&key);
        } else {
            node.mark_deleted(&[flags_at]);
        }
        self.counters.length = self.counters.length.saturating_sub(1);
        self.counters.max_deleted_id = self.counters.max_deleted_id.max(id);
        true
    }

    /// Removes entries from the front; answers how many. Approximately: whole nodes only. As redis 7.0: the node
    /// in which the limit lies keeps its bytes and marks its entries, even all of them.
    pub fn trim(&mut self, to: Trim, approximately: bool) -> u64 {
        let before = self.counters.length;
        while let Some(mut first) = self.nodes.first_entry() {
            let length = self.counters.length;
            let key = *first.key();
            let node = first.get_mut();
            let live = node.live();
            let whole = match to {
                Trim::MaxLen(most) if length <= most => break,
                Trim::MaxLen(most) => length.saturating_sub(live) >= most,
                Trim::MinId(least) => node.last_id(key) < least,
            };
            if whole {
                first.remove();
                self.counters.length = length.saturating_sub(live);
                continue;
            }
            if !approximately {
                let marks = marks(node, key, to, length);
                node.mark_deleted(&marks);
                self.counters.length = length.saturating_sub(marks.len() as u64);
            }
            break;
        }
        let removed = before - self.counters.length;
        if removed > 0 || self.is_empty() {
            self.find_first_id();
        }
        removed
    }

    fn find_first_id(&mut self) {
        self.counters.first_id = self.first_live_id();
    }

    /// Id of the first entry that is there; `0-0` if there is none. Costs a walk over deleted entries.
    pub fn first_live_id(&self) -> StreamId {
        if self.is_empty() { StreamId::MIN } else { self.entries().next().map_or(StreamId::MAX, |entry| entry.id) }
    }

    /// Groups by name, in the order of the names' bytes.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, group))
    }

    /// The group of this name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// The group of this name for changing.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.groups.get_mut(name)
    }

    /// Adds a group; `false` if there is one of this name, which then stays.
    pub fn insert_group(&mut self, name: &[u8], group: Group) -> bool {
        if self.groups.contains_key(name) {
            return false;
        }
        self.groups.insert(name.into(), group);
        true
    }

    /// Removes a group; `false` if there is none of this name.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        self.groups.remove(name).is_some()
    }
}

fn has_room(node: &Node, bytes: usize, limits: &EncodingLimits) -> bool {
    let bytes_max = match limits.stream_node_bytes {
        // Redis 6.0.16 takes 0 as it is: every entry gets a node of its own.
        0 if !limits.dialect.is_before_redis_7() => NODE_BYTES_MAX,
        bytes => bytes.min(NODE_BYTES_MAX),
    };
    let entries_max = limits.stream_node_entries as u64;
    node.as_bytes().len().saturating_add(bytes) < bytes_max
        && (entries_max == 0 || node.live().saturating_add(node.deleted()) < entries_max)
}

/// Where the flags of the entries stand that have to go from a node in which the limit lies.
fn marks(node: &Node, key: StreamId, to: Trim, length: u64) -> Vec<usize> {
    let entries = node.entries(key);
    match to {
        Trim::MaxLen(most) => {
            let excess = usize::try_from(length.saturating_sub(most)).unwrap_or(usize::MAX);
            entries.filter(|entry| !entry.deleted).take(excess).map(|entry| entry.flags_at).collect()
        }
        Trim::MinId(least) => {
            let old = entries.take_while(|entry| entry.id < least);
            old.filter(|entry| !entry.deleted).map(|entry| entry.flags_at).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Encodings;

    type Fields = Vec<(Vec<u8>, Vec<u8>)>;

    fn shown<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<(StreamId, Fields)> {
        entries.map(|entry| (entry.id, entry.fields.map(|(n, v)| (n.to_vec(), v.to_vec())).collect())).collect()
    }

    fn words(random: &mut fastrand::Rng) -> Vec<Vec<u8>> {
        let names = *random.choice(&["a b", "a b", "b", "1 2"]).unwrap();
        names
            .split(' ')
            .flat_map(|name| [name.as_bytes().to_vec(), random.i32(-200..200).to_string().into_bytes()])
            .collect()
    }

    /// What a stream does, in the simplest form.
    #[derive(Default)]
    struct Model {
        entries: BTreeMap<StreamId, Fields>,
        last_id: StreamId,
        max_deleted_id: StreamId,
        added: u64,
    }

    impl Model {
        fn agrees(&self, stream: &Stream) {
            assert!(shown(stream.entries()).into_iter().eq(self.entries.clone()));
            let back = shown(stream.range_back(StreamId::MIN, StreamId::MAX));
            assert!(back.into_iter().rev().eq(self.entries.clone()));
            let expected = Counters {
                length: self.entries.len() as u64,
                last_id: self.last_id,
                first_id: self.entries.keys().next().copied().unwrap_or_default(),
                max_deleted_id: self.max_deleted_id,
                entries_added: self.added,
            };
            assert_eq!(stream.counters(), expected);
            let live: u64 = stream.nodes().map(|(_, node)| node.live()).sum();
            assert_eq!(live, expected.length);
            assert!(stream.nodes().all(|(_, node)| Node::parse(node.as_bytes()).as_ref() == Ok(node)));
        }
    }

    #[test]
    fn random_writes_agree_with_a_map_of_entries() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let limits: EncodingLimits =
            Encodings { stream_node_bytes: 120, stream_node_entries: 6, ..Encodings::default() }.into();
        let (mut stream, mut model) = (Stream::default(), Model::default());
        for _ in 0..3000 {
            let id = StreamId::new(random.u64(..=model.last_id.ms + 1), random.u64(..3));
            match random.u8(..10) {
                0..=5 => {
                    let words = words(&mut random);
                    let borrowed: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                    let id = if random.u8(..8) == 0 { id } else { StreamId::new(model.last_id.ms + 1, 0) };
                    let added = stream.append(id, &borrowed, &limits);
                    assert_eq!(added.is_ok(), id > model.last_id);
                    if added.is_ok() {
                        let pairs = words.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
                        model.entries.insert(id, pairs);
                        (model.last_id, model.added) = (id, model.added + 1);
                    }
                }
                6 | 7 => {
                    let ids = [id, StreamId::new(random.u64(..=model.last_id.ms), 0), id];
                    let mut gone = 0;
                    for id in ids.iter().filter(|id| model.entries.remove(id).is_some()) {
                        model.max_deleted_id = model.max_deleted_id.max(*id);
                        gone += 1;
                    }
                    assert_eq!(stream.delete(&ids), gone);
                }
                8 => {
                    let most = random.usize(..40);
                    let gone = model.entries.len().saturating_sub(most);
                    let kept = model.entries.keys().nth(gone).copied().unwrap_or(StreamId::MAX);
                    model.entries = model.entries.split_off(&kept);
                    assert_eq!(stream.trim(Trim::MaxLen(most as u64), false), gone as u64);
                }
                _ => {
                    let least = StreamId::new(model.last_id.ms.saturating_sub(random.u64(..60)), random.u64(..2));
                    let before = model.entries.len();
                    model.entries = model.entries.split_off(&least);
                    assert_eq!(stream.trim(Trim::MinId(least), false), (before - model.entries.len()) as u64);
                }
            }
            model.agrees(&stream);
            let (a, b) = (StreamId::new(random.u64(..=id.ms + 2), 0), id);
            let within = model.entries.iter().filter(|(id, _)| (a..=b).contains(id));
            assert!(shown(stream.range(a, b)).iter().map(|(id, fields)| (id, fields)).eq(within));
            assert_eq!(stream.entry(id).is_some(), model.entries.contains_key(&id));
        }
    }

    fn of(entries: u64) -> Stream {
        let mut stream = Stream::default();
        for ms in 1..=entries {
            stream.append(StreamId::new(ms, 0), &[b"f", b"v"], &EncodingLimits::default()).unwrap();
        }
        stream
    }

    #[test]
    fn approximate_trimming_takes_whole_nodes_only() {
        let mut stream = of(250);
        assert_eq!(stream.trim(Trim::MaxLen(160), true), 0);
        assert_eq!(stream.trim(Trim::MaxLen(150), true), 100);
        assert_eq!(stream.trim(Trim::MinId(StreamId::new(200, 0)), true), 0);
        assert_eq!(stream.trim(Trim::MinId(StreamId::new(200, 1)), true), 100);
        assert_eq!((stream.len(), stream.counters().first_id), (50, StreamId::new(201, 0)));
    }

    #[test]
    fn a_node_of_deleted_entries_stays_if_the_limit_lies_in_it() {
        let mut stream = of(3);
        stream.delete(&[StreamId::new(3, 0)]);
        assert_eq!(stream.trim(Trim::MinId(StreamId::new(3, 0)), false), 2);
        assert_eq!((stream.nodes().len(), stream.len(), stream.top()), (1, 0, None));
        assert_eq!(stream.trim(Trim::MinId(StreamId::new(3, 1)), false), 0);
        assert_eq!(stream.nodes().len(), 0);
    }
}
