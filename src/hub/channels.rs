//! Channels, patterns and shard channels with their subscribers.

use super::mailbox::Mailbox;
use crate::glob;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What one can subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// SUBSCRIBE: a channel by its name.
    Channel,
    /// PSUBSCRIBE: all channels that match.
    Pattern,
    /// SSUBSCRIBE: a shard channel, a world of its own.
    Shard,
}

impl Kind {
    /// How many kinds there are.
    pub const COUNT: usize = 3;
}

/// Subscribers by client number: messages go out in this order.
type Subscribers = BTreeMap<u64, Arc<Mailbox>>;

/// Who listens to what.
#[derive(Debug, Default)]
pub(super) struct Channels {
    by_name: [HashMap<Box<[u8]>, Subscribers>; Kind::COUNT],
}

impl Channels {
    /// Adds a subscriber; `false` if it was one already.
    pub(super) fn add(&mut self, kind: Kind, name: &[u8], mailbox: &Arc<Mailbox>) -> bool {
        let subscribers = self.by_name[kind as usize].entry(name.into()).or_default();
        subscribers.insert(mailbox.id, Arc::clone(mailbox)).is_none()
    }

    /// Removes a subscriber; a channel without any is forgotten.
    pub(super) fn remove(&mut self, kind: Kind, name: &[u8], id: u64) {
        let names = &mut self.by_name[kind as usize];
        if let Some(subscribers) = names.get_mut(name) {
            subscribers.remove(&id);
            if subscribers.is_empty() {
                names.remove(name);
            }
        }
    }

    /// Who gets a message of this channel or shard channel by its name.
    pub(super) fn named(&self, kind: Kind, channel: &[u8]) -> impl Iterator<Item = &Arc<Mailbox>> {
        self.by_name[kind as usize].get(channel).into_iter().flat_map(BTreeMap::values)
    }

    /// The patterns that match a channel, with their subscribers. Looks at every pattern.
    pub(super) fn matching(
        &self,
        channel: &[u8],
    ) -> impl Iterator<Item = (&[u8], impl Iterator<Item = &Arc<Mailbox>>)> {
        let patterns = self.by_name[Kind::Pattern as usize].iter();
        patterns
            .filter(move |(pattern, _)| glob::matches(pattern, channel))
            .map(|(pattern, subscribers)| (&pattern[..], subscribers.values()))
    }

    /// Names with at least one subscriber, those that match if a pattern is given.
    pub(super) fn names(&self, kind: Kind, pattern: Option<&[u8]>) -> BTreeSet<Box<[u8]>> {
        let names = self.by_name[kind as usize].keys();
        names.filter(|name| pattern.is_none_or(|pattern| glob::matches(pattern, name))).cloned().collect()
    }

    /// Numbers of the clients that are subscribed to a name that `chosen` chooses. Looks at every name.
    pub(super) fn listeners(&self, chosen: impl Fn(Kind, &[u8]) -> bool) -> BTreeSet<u64> {
        let kinds = [Kind::Channel, Kind::Pattern, Kind::Shard];
        let named = kinds.into_iter().flat_map(|kind| self.by_name[kind as usize].iter().map(move |n| (kind, n)));
        let chosen = named.filter(|(kind, (name, _))| chosen(*kind, name));
        chosen.flat_map(|(_, (_, subscribers))| subscribers.keys().copied()).collect()
    }

    /// How many names have a subscriber.
    pub(super) fn count(&self, kind: Kind) -> usize {
        self.by_name[kind as usize].len()
    }

    /// How many subscribers a name has.
    pub(super) fn subscribers(&self, kind: Kind, name: &[u8]) -> usize {
        self.by_name[kind as usize].get(name).map_or(0, BTreeMap::len)
    }
}
