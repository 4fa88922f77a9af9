//! One client's subscriptions. They end when it is dropped.

use super::Hub;
use super::channels::Kind;
use super::mailbox::Mailbox;
use crate::limits::SUBSCRIPTIONS_PER_CLIENT_MAX;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// A client's channels, patterns and shard channels.
#[derive(Debug)]
pub struct Subscriber {
    hub: Arc<Hub>,
    mailbox: Arc<Mailbox>,
    names: [BTreeSet<Box<[u8]>>; Kind::COUNT],
}

/// More subscriptions than one client may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl Subscriber {
    /// A client without subscriptions.
    pub fn new(hub: Arc<Hub>, mailbox: Arc<Mailbox>) -> Self {
        Self { hub, mailbox, names: Default::default() }
    }

    /// Where its messages go.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Subscribes; again is no error. From now on messages may come.
    pub fn subscribe(&mut self, kind: Kind, name: &[u8]) -> Result<(), TooMany> {
        if self.names[kind as usize].contains(name) {
            return Ok(());
        }
        if self.names.iter().map(BTreeSet::len).sum::<usize>() >= SUBSCRIPTIONS_PER_CLIENT_MAX {
            return Err(TooMany);
        }
        if !self.is_any() {
            self.hub.subscribers.fetch_add(1, Relaxed);
        }
        self.names[kind as usize].insert(name.into());
        self.count(kind);
        self.hub.channels.lock().add(kind, name, &self.mailbox);
        Ok(())
    }

    /// Ends a subscription; `false` if there was none. No message of it is posted any more; what was posted is in
    /// the mailbox.
    pub fn unsubscribe(&mut self, kind: Kind, name: &[u8]) -> bool {
        if !self.names[kind as usize].remove(name) {
            return false;
        }
        self.count(kind);
        self.hub.channels.lock().remove(kind, name, self.mailbox.id);
        if !self.is_any() {
            self.hub.subscribers.fetch_sub(1, Relaxed);
        }
        true
    }

    /// The names of one kind, in order.
    pub fn names(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        self.names[kind as usize].iter().map(|name| &name[..])
    }

    /// Subscriptions as SUBSCRIBE and its kin answer them: shard channels by themselves, all others together.
    pub fn shown(&self, kind: Kind) -> usize {
        let count = |kind: Kind| self.names[kind as usize].len();
        if kind == Kind::Shard { count(Kind::Shard) } else { count(Kind::Channel) + count(Kind::Pattern) }
    }

    /// Is there any subscription?
    pub fn is_any(&self) -> bool {
        self.names.iter().any(|names| !names.is_empty())
    }

    fn count(&self, kind: Kind) {
        self.mailbox.set_subscriptions(kind, self.names[kind as usize].len());
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            while let Some(name) = self.names[kind as usize].first().cloned() {
                self.unsubscribe(kind, &name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::hub;
    use super::*;

    #[test]
    fn counts_are_those_that_subscribe_answers() {
        let hub = hub();
        let mut client = Subscriber::new(Arc::clone(&hub), Arc::new(Mailbox::new(1)));
        for (kind, name, shown) in
            [(Kind::Channel, "a", 1), (Kind::Channel, "a", 1), (Kind::Pattern, "a*", 2), (Kind::Shard, "s", 1)]
        {
            client.subscribe(kind, name.as_bytes()).expect("room");
            assert_eq!(client.shown(kind), shown, "{name}");
        }
        assert!(!client.unsubscribe(Kind::Channel, b"nosuch") && client.unsubscribe(Kind::Channel, b"a"));
        assert_eq!((client.shown(Kind::Channel), client.mailbox().subscriptions(Kind::Pattern)), (1, 1));
        assert_eq!(hub.subscribers_of(Kind::Pattern, b"a*"), 1);
        client.unsubscribe(Kind::Pattern, b"a*");
        client.unsubscribe(Kind::Shard, b"s");
        assert_eq!((hub.counts().subscribers, client.is_any()), (0, false));
    }
}
