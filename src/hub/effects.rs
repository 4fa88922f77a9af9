//! What a batch of the stream makes others hear: collected while the data changes, delivered in order when the
//! gate is left.

use super::monitor::quote;
use super::{Hub, Kind};
use crate::clock::UnixMs;
use crate::config::EventClasses;
use crate::position::{DbIndex, Offset};
use std::ops::Range;

/// What somebody wants to hear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Messages of the master.
    pub(super) messages: bool,
    /// Which keys change: somebody tracks keys, or waits for one.
    pub(super) keys: bool,
    /// Keyspace events.
    pub(super) classes: EventClasses,
    /// The commands themselves: somebody monitors.
    pub(super) commands: bool,
}

/// The effects of one batch. While nobody wants to hear anything, adding one costs a branch.
#[derive(Debug, Default)]
pub struct Effects {
    any: bool,
    wanted: Wanted,
    /// Somebody watches keys.
    watched: bool,
    list: Vec<Effect>,
    /// Names, keys and messages of all of them.
    bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Effect {
    Message {
        kind: Kind,
        channel: Range<usize>,
        message: Range<usize>,
    },
    /// A key was changed.
    Changed {
        db: DbIndex,
        key: Range<usize>,
    },
    /// A keyspace event.
    Event {
        class: EventClasses,
        event: &'static str,
        db: DbIndex,
        key: Range<usize>,
    },
    /// All keys of a database or of all databases are gone.
    Flushed,
    /// Databases changed places.
    Swapped,
    /// A command as MONITOR shows it.
    Command {
        at_us: i64,
        db: DbIndex,
        words: Range<usize>,
    },
}

impl Effects {
    /// PUBLISH or SPUBLISH of the master.
    #[inline]
    pub fn message(&mut self, kind: Kind, channel: &[u8], message: &[u8]) {
        if self.any && self.wanted.messages {
            let (channel, message) = (self.keep(channel), self.keep(message));
            self.list.push(Effect::Message { kind, channel, message });
        }
    }

    /// Are the keys that change kept for those who watch some? To be said before each command; what is told from then on
    /// comes behind the place that is answered.
    #[inline]
    pub fn keep_changed(&mut self, watched: bool) -> usize {
        self.watched = watched;
        self.any |= watched;
        self.list.len()
    }

    /// The keys that were changed behind this place.
    pub fn changed_since(&self, place: usize) -> impl Iterator<Item = (DbIndex, &[u8])> {
        self.list.get(place..).unwrap_or_default().iter().filter_map(|effect| match effect {
            Effect::Changed { db, key } => Some((*db, &self.bytes[key.clone()])),
            _ => None,
        })
    }

    /// A key was changed, and this is its event.
    #[inline]
    pub fn changed(&mut self, class: EventClasses, event: &'static str, db: DbIndex, key: &[u8]) {
        if self.any {
            self.push(Some((class, event)), true, db, key);
        }
    }

    /// A key was changed in a way that has no event.
    #[inline]
    pub fn touched(&mut self, db: DbIndex, key: &[u8]) {
        if self.any {
            self.push(None, true, db, key);
        }
    }

    /// An event besides the change that is told by itself.
    #[inline]
    pub fn event(&mut self, class: EventClasses, event: &'static str, db: DbIndex, key: &[u8]) {
        if self.any {
            self.push(Some((class, event)), false, db, key);
        }
    }

    /// A database, or all of them, were emptied.
    pub fn flushed(&mut self) {
        if self.any && self.wanted.keys {
            self.list.push(Effect::Flushed);
        }
    }

    /// Two databases changed places.
    pub fn swapped(&mut self) {
        if self.any && self.wanted.keys {
            self.list.push(Effect::Swapped);
        }
    }

    /// Does anybody want to hear of events of this class?
    #[inline]
    pub fn tells(&self, class: EventClasses) -> bool {
        self.any && self.wanted.classes.has(class)
    }

    /// Does anybody want to see the commands?
    #[inline]
    pub fn shows_commands(&self) -> bool {
        self.any && self.wanted.commands
    }

    /// A command of the stream, for those who monitor.
    pub fn command<'a>(&mut self, at_us: i64, db: DbIndex, words: impl Iterator<Item = &'a [u8]>) {
        let start = self.bytes.len();
        words.for_each(|word| quote(word, &mut self.bytes));
        self.list.push(Effect::Command { at_us, db, words: start..self.bytes.len() });
    }

    #[cold]
    fn push(&mut self, event: Option<(EventClasses, &'static str)>, changed: bool, db: DbIndex, key: &[u8]) {
        let event = event.filter(|(class, _)| self.wanted.classes.has(*class));
        let changed = changed && (self.wanted.keys || self.watched);
        if event.is_none() && !changed {
            return;
        }
        let key = self.keep(key);
        if changed {
            self.list.push(Effect::Changed { db, key: key.clone() });
        }
        if let Some((class, event)) = event {
            self.list.push(Effect::Event { class, event, db, key });
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }
}

impl Hub {
    /// Prepares for a batch: what somebody wants to hear now is collected. Must be called inside the gate, so that
    /// who has looked at a key before it hears of the first change behind it. Costs a few relaxed loads.
    pub fn begin(&self, effects: &mut Effects) {
        let wanted = self.wanted();
        effects.any = wanted != Wanted::default();
        effects.wanted = wanted;
    }

    /// Delivers what a batch has collected, in order; to be called outside of the gate.
    pub fn deliver(&self, effects: &mut Effects, now: UnixMs) {
        if effects.list.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut effects.bytes);
        for effect in effects.list.drain(..) {
            match effect {
                Effect::Message { kind, channel, message } => {
                    self.publish(kind, &bytes[channel], &bytes[message], now);
                }
                Effect::Changed { db, key } => self.key_changed(db, &bytes[key], now),
                Effect::Event { class, event, db, key } => self.tell_event(class, event, db, &bytes[key], now),
                Effect::Flushed => self.flushed(now),
                Effect::Swapped => self.waiting.wake_all(),
                Effect::Command { at_us, db, words } => self.show_line(at_us, db, &self.master(), &bytes[words]),
            }
        }
        self.tracking.broadcast(self, now);
    }

    /// A keyspace event in the forms that the setting wants.
    pub fn tell_event(&self, class: EventClasses, event: &str, db: DbIndex, key: &[u8], now: UnixMs) {
        let classes = self.event_classes();
        if !classes.has(class) {
            return;
        }
        if classes.has(EventClasses::KEYSPACE) {
            let channel = [format!("__keyspace@{}__:", db.0).as_bytes(), key].concat();
            self.publish(Kind::Channel, &channel, event.as_bytes(), now);
        }
        if classes.has(EventClasses::KEYEVENT) {
            self.publish(Kind::Channel, format!("__keyevent@{}__:{event}", db.0).as_bytes(), key, now);
        }
    }

    fn key_changed(&self, db: DbIndex, key: &[u8], now: UnixMs) {
        self.tracking.invalidate(self, key, now);
        self.waiting.wake(db, key);
    }

    /// All keys are gone: a flush, or another dataset.
    pub fn flushed(&self, now: UnixMs) {
        self.tracking.invalidate_all(self, now);
    }

    /// Another dataset is in place.
    pub fn replaced(&self, now: UnixMs) {
        self.flushed(now);
        self.waiting.wake_all();
        self.history_changed();
    }

    /// The stream is applied up to here; to be called outside of the gate. Costs a relaxed load while nobody waits.
    pub fn reached(&self, offset: Offset) {
        self.waiting.reached(offset);
    }

    /// The data are of another history from now on, or of the same under another id: who waits for an offset looks again.
    pub fn history_changed(&self) {
        self.waiting.wake_up_to(Offset(u64::MAX));
    }

    /// Everybody who waits for a key looks again: the data may be too old to be shown.
    pub fn look_again(&self) {
        self.waiting.wake_all();
    }

    /// Another master is followed: who waits for a key is sent away (as redis 7.0).
    pub fn master_changed(&self) {
        self.waiting.force_all();
    }
}
