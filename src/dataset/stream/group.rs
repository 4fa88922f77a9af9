//! Consumer groups: how far a group has read, who its consumers are, and what was delivered but not acknowledged.
//!
//! Each pending entry stands in the group's list and in its owner's; both change together here and nowhere else.

use super::id::StreamId;
use crate::clock::UnixMs;
use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::sync::Arc;

/// A consumer group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The greatest id delivered so far.
    pub last_id: StreamId,
    /// How many of the entries ever added come up to `last_id`; `None` if nobody knows.
    pub entries_read: Option<u64>,
    pending: BTreeMap<StreamId, Pending>,
    consumers: BTreeMap<Arc<[u8]>, Consumer>,
}

/// A consumer of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// When it last asked for something.
    pub seen: UnixMs,
    /// When it last got something; `None` if never.
    pub active: Option<UnixMs>,
    pending: BTreeSet<StreamId>,
}

/// One delivery that is not acknowledged yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// When it was last delivered.
    pub delivered: UnixMs,
    /// How often it was delivered.
    pub deliveries: u64,
    owner: Arc<[u8]>,
}

impl Pending {
    /// The consumer's name.
    pub fn owner(&self) -> &[u8] {
        &self.owner
    }
}

impl Consumer {
    /// Ids of its pending entries from `from` on, ascending.
    pub fn pending_from(&self, from: StreamId) -> impl Iterator<Item = StreamId> {
        self.pending.range(from..).copied()
    }

    /// Number of its pending entries.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }
}

impl Group {
    /// A group without consumers.
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Self {
        Self { last_id, entries_read, ..Self::default() }
    }

    /// Bytes of memory behind the group. Tree nodes are reckoned as two thirds full.
    pub(super) fn heap_bytes(&self) -> usize {
        // Each pending entry stands in two trees.
        let pending = self.pending.len() * (size_of::<(StreamId, Pending)>() + size_of::<StreamId>());
        let consumers = self.consumers.len() * size_of::<(Arc<[u8]>, Consumer)>();
        let names: usize = self.consumers.keys().map(|name| name.len() + 2 * size_of::<usize>()).sum();
        (pending + consumers) * 3 / 2 + names
    }

    /// Consumers by name, in the order of the names' bytes.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (&[u8], &Consumer)> {
        self.consumers.iter().map(|(name, consumer)| (&**name, consumer))
    }

    /// The consumer of this name.
    pub fn consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.consumers.get(name)
    }

    /// The consumer of this name for changing its times.
    pub fn consumer_mut(&mut self, name: &[u8]) -> Option<&mut Consumer> {
        self.consumers.get_mut(name)
    }

    /// Adds a consumer without pending entries; `false` if there is one of this name.
    pub fn create_consumer(&mut self, name: &[u8], seen: UnixMs, active: Option<UnixMs>) -> bool {
        match self.consumers.entry(Arc::from(name)) {
            btree_map::Entry::Occupied(_) => false,
            btree_map::Entry::Vacant(place) => {
                place.insert(Consumer { seen, active, pending: BTreeSet::new() });
                true
            }
        }
    }

    /// Removes a consumer and what is pending for it; `false` if there is none of this name.
    pub fn remove_consumer(&mut self, name: &[u8]) -> bool {
        let Some(consumer) = self.consumers.remove(name) else { return false };
        for id in consumer.pending {
            self.pending.remove(&id);
        }
        true
    }

    /// Number of pending entries of the whole group.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The pending entry of this id.
    pub fn pending(&self, id: StreamId) -> Option<&Pending> {
        self.pending.get(&id)
    }

    /// Pending entries from `from` on, ascending.
    pub fn pending_from(&self, from: StreamId) -> impl DoubleEndedIterator<Item = (StreamId, &Pending)> {
        self.pending.range(from..).map(|(id, pending)| (*id, pending))
    }

    /// The entry is acknowledged, or gone: removes it from both lists; `false` if it was not pending.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(&id) else { return false };
        if let Some(owner) = self.consumers.get_mut(&pending.owner) {
            owner.pending.remove(&id);
        }
        true
    }

    /// Makes an entry pending for a consumer, taking it from whoever had it; `false` if there is no such consumer,
    /// and then nothing is changed.
    pub fn assign(&mut self, id: StreamId, consumer: &[u8], delivered: UnixMs, deliveries: u64) -> bool {
        let Some((name, _)) = self.consumers.get_key_value(consumer) else { return false };
        let owner = Arc::clone(name);
        self.acknowledge(id);
        if let Some(consumer) = self.consumers.get_mut(&owner) {
            consumer.pending.insert(id);
        }
        self.pending.insert(id, Pending { delivered, deliveries, owner });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId::new(ms, 0)
    }

    fn group() -> Group {
        let mut group = Group::new(id(9), None);
        assert!(group.create_consumer(b"a", UnixMs(1), None) && group.create_consumer(b"b", UnixMs(1), None));
        assert!(group.assign(id(1), b"a", UnixMs(5), 1) && group.assign(id(2), b"a", UnixMs(5), 1));
        group
    }

    #[test]
    fn an_assigned_entry_leaves_its_old_owner() {
        let mut group = group();
        assert!(group.assign(id(1), b"b", UnixMs(7), 2));
        assert_eq!(group.consumer(b"a").map(Consumer::pending_len), Some(1));
        assert_eq!(group.consumer(b"b").map(Consumer::pending_len), Some(1));
        assert_eq!(
            group.pending(id(1)).map(|p| (p.owner(), p.delivered, p.deliveries)),
            Some((&b"b"[..], UnixMs(7), 2))
        );
        assert!(!group.assign(id(2), b"nobody", UnixMs(7), 2));
        assert_eq!(group.pending(id(2)).map(Pending::owner), Some(&b"a"[..]));
    }

    #[test]
    fn a_removed_consumer_takes_its_pending_entries_along() {
        let mut group = group();
        assert!(group.remove_consumer(b"a") && !group.remove_consumer(b"a"));
        assert_eq!(group.pending_len(), 0);
    }

    #[test]
    fn an_acknowledged_entry_is_gone_from_both_lists() {
        let mut group = group();
        assert!(group.acknowledge(id(2)) && !group.acknowledge(id(2)));
        assert_eq!(group.pending_from(StreamId::MIN).map(|(id, _)| id).collect::<Vec<_>>(), [id(1)]);
        assert_eq!(group.consumer(b"a").map(|a| a.pending_from(StreamId::MIN).collect()), Some(vec![id(1)]));
    }
}
