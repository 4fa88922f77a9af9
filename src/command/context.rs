//! What a row's function is handed: the data with exactly the right it needs, the database, the time.

use super::session::{After, Server, Session};
use crate::clock::UnixMs;
use crate::config::{Compat, EventClasses};
use crate::dataset::hash::Hash;
use crate::dataset::list::List;
use crate::dataset::set::Set;
use crate::dataset::stream::Stream;
use crate::dataset::zset::ZSet;
use crate::dataset::{
    Dataset, Dialect, EncodingLimits, EntryRef, HashMut, Keyspace, StrForm, Trash, Uses, Value, ValueMut, ValueRef,
};
use crate::hub::{Effects, Hub};
use crate::position::DbIndex;
use crate::resp::refusal::Refusal;
use crate::resp::reply::DoubleStyle;
use std::cell::{Cell, RefCell};

thread_local! {
    /// Keys that lookups of this thread have found and not found. Beside the context, so that nothing is handed
    /// through the rows for the sake of two counters.
    static LOOKUPS: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// A key that was not found, and in which database.
type Missed = (DbIndex, Box<[u8]>);

thread_local! {
    /// Keys that lookups of this thread have not found, while somebody wants to hear of them.
    static MISSED: RefCell<Option<Vec<Missed>>> = const { RefCell::new(None) };
    /// Are they kept? Apart, so that a miss looks at a plain flag.
    static KEEPS_MISSED: Cell<bool> = const { Cell::new(false) };
}

/// Does work, then tells those who want to hear of it which keys its lookups on this thread have not found, in order.
pub fn telling_missed<R>(hub: &Hub, work: impl FnOnce() -> R) -> R {
    if !hub.event_classes().has(EventClasses::KEY_MISS) {
        return work();
    }
    KEEPS_MISSED.set(true);
    MISSED.set(Some(Vec::new()));
    let done = work();
    KEEPS_MISSED.set(false);
    for (db, key) in MISSED.take().unwrap_or_default() {
        hub.tell_event(EventClasses::KEY_MISS, "keymiss", db, &key, UnixMs::now());
    }
    done
}

#[cold]
fn missed(db: DbIndex, key: &[u8]) {
    MISSED.with_borrow_mut(|missed| missed.iter_mut().for_each(|all| all.push((db, key.into()))));
}

fn count_lookup(which: impl FnOnce(&mut (u64, u64)) -> &mut u64) {
    LOOKUPS.with(|lookups| {
        let mut counts = lookups.get();
        *which(&mut counts) += 1;
        lookups.set(counts);
    });
}

/// Takes what lookups of this thread have counted since the last call: hits and misses.
pub fn take_lookups() -> (u64, u64) {
    LOOKUPS.take()
}

/// A read by a client.
#[derive(Debug)]
pub struct ReadCx<'a> {
    /// All data.
    pub data: &'a Dataset,
    /// The client's database.
    pub db: DbIndex,
    /// The time of the batch; what expired before it is not there.
    pub now: UnixMs,
    /// The client may be made to wait: not inside EXEC.
    pub may_wait: bool,
    /// As whose server it is answered.
    pub compat: Compat,
    /// How uses of keys are recorded.
    pub uses: Uses,
    /// What the client looks up is no use (CLIENT NO-TOUCH).
    pub no_touch: bool,
}

impl<'a> ReadCx<'a> {
    /// As which server, of which release, the client is answered.
    pub fn dialect(&self) -> Dialect {
        self.data.limits.dialect.answering(self.compat)
    }

    /// The client's database.
    pub fn keyspace(&self) -> Result<&'a Keyspace, Refusal> {
        self.data.db(self.db).ok_or(Refusal::DB_OUT_OF_RANGE)
    }

    /// A key that is there and not logically expired, whatever it holds. A use of it, and a hit or a miss.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Result<Option<EntryRef<'a>>, Refusal> {
        let found = self.glance(key)?;
        if let Some(entry) = found
            && !self.no_touch
        {
            entry.mark_used(&self.uses);
        }
        Ok(found)
    }

    /// The same, but no use.
    pub fn glance(&self, key: &[u8]) -> Result<Option<EntryRef<'a>>, Refusal> {
        let found = self.inspect(key)?;
        if found.is_none() && KEEPS_MISSED.get() {
            missed(self.db, key);
        }
        Ok(found)
    }

    /// The same, but nobody hears of a miss.
    pub fn inspect(&self, key: &[u8]) -> Result<Option<EntryRef<'a>>, Refusal> {
        let found = self.keyspace()?.get(key).filter(|entry| !entry.is_expired(self.now));
        count_lookup(|counts| if found.is_some() { &mut counts.0 } else { &mut counts.1 });
        Ok(found)
    }

    /// As `find`; a marked key is an error.
    pub fn lookup(&self, key: &[u8]) -> Result<Option<EntryRef<'a>>, Refusal> {
        self.find(key).and_then(unmarked)
    }

    /// As `inspect`; a marked key is an error.
    pub fn examine(&self, key: &[u8]) -> Result<Option<EntryRef<'a>>, Refusal> {
        self.inspect(key).and_then(unmarked)
    }

    /// As `glance`; a marked key is an error.
    pub fn glimpse(&self, key: &[u8]) -> Result<Option<EntryRef<'a>>, Refusal> {
        self.glance(key).and_then(unmarked)
    }

    /// The string at a key; wrong type is an error.
    pub fn string(&self, key: &[u8]) -> Result<Option<&'a [u8]>, Refusal> {
        self.typed(key, |value| if let ValueRef::Str(bytes, _) = value { Some(bytes) } else { None })
    }

    /// The hash at a key.
    pub fn hash(&self, key: &[u8]) -> Result<Option<&'a Hash>, Refusal> {
        self.typed(key, |value| if let ValueRef::Hash(v) = value { Some(v) } else { None })
    }

    /// The list at a key.
    pub fn list(&self, key: &[u8]) -> Result<Option<&'a List>, Refusal> {
        self.typed(key, |value| if let ValueRef::List(v) = value { Some(v) } else { None })
    }

    /// The set at a key.
    pub fn set(&self, key: &[u8]) -> Result<Option<&'a Set>, Refusal> {
        self.typed(key, |value| if let ValueRef::Set(v) = value { Some(v) } else { None })
    }

    /// The sorted set at a key.
    pub fn zset(&self, key: &[u8]) -> Result<Option<&'a ZSet>, Refusal> {
        self.typed(key, |value| if let ValueRef::ZSet(v) = value { Some(v) } else { None })
    }

    /// The stream at a key.
    pub fn stream(&self, key: &[u8]) -> Result<Option<&'a Stream>, Refusal> {
        self.typed(key, |value| if let ValueRef::Stream(v) = value { Some(v) } else { None })
    }

    fn typed<T>(&self, key: &[u8], pick: impl FnOnce(ValueRef<'a>) -> Option<T>) -> Result<Option<T>, Refusal> {
        match self.lookup(key)? {
            None => Ok(None),
            Some(entry) => pick(entry.value()).map(Some).ok_or(Refusal::WRONG_TYPE),
        }
    }
}

fn unmarked(found: Option<EntryRef<'_>>) -> Result<Option<EntryRef<'_>>, Refusal> {
    match found.map(|entry| entry.value()) {
        Some(ValueRef::Marked(marked)) => Err(Refusal::marked(&marked.module)),
        _ => Ok(found),
    }
}

/// One command of the master's stream. Expiry is ignored here: an expired key is present (measured on all masters).
#[derive(Debug)]
pub struct ApplyCx<'a> {
    /// All data.
    pub data: &'a mut Dataset,
    /// The database that the stream has selected.
    pub db: DbIndex,
    /// The time of the batch, for relative expiries (Redis 6.0 sends them as they came).
    pub now: UnixMs,
    /// Takes what is dropped.
    pub trash: &'a mut Trash,
    /// Takes what others are to hear of it.
    pub effects: &'a mut Effects,
}

impl ApplyCx<'_> {
    /// Encoding limits and dialect.
    pub fn limits(&self) -> EncodingLimits {
        self.data.limits
    }

    /// The selected database.
    pub fn keyspace(&mut self) -> Result<&mut Keyspace, Refusal> {
        self.data.db_mut(self.db).ok_or(Refusal::DB_OUT_OF_RANGE)
    }

    /// The value at a key for changing, whatever it is; a marked one is an error.
    pub fn value(&mut self, key: &[u8]) -> Result<Option<ValueMut<'_>>, Refusal> {
        match self.keyspace()?.get_mut(key) {
            Some(ValueMut::Marked(marked)) => Err(Refusal::marked(&marked.module)),
            value => Ok(value),
        }
    }

    /// The value at a key for reading (the sources of STORE commands), a use of it; a marked one is an error.
    pub fn peek(&self, key: &[u8]) -> Result<Option<ValueRef<'_>>, Refusal> {
        let keyspace = self.data.db(self.db).ok_or(Refusal::DB_OUT_OF_RANGE)?;
        let found = keyspace.get(key).inspect(|entry| entry.mark_used(keyspace.uses()));
        Ok(unmarked(found)?.map(|entry| entry.value()))
    }

    /// The bytes of the string at a key.
    pub fn string(&mut self, key: &[u8]) -> Result<Option<&[u8]>, Refusal> {
        match self.value(key)? {
            None => Ok(None),
            Some(ValueMut::Str(bytes)) => Ok(Some(bytes)),
            Some(_) => Err(Refusal::WRONG_TYPE),
        }
    }

    /// The hash at a key, if there is one.
    pub fn hash(&mut self, key: &[u8]) -> Result<Option<HashMut<'_>>, Refusal> {
        match self.value(key)? {
            None => Ok(None),
            Some(ValueMut::Hash(slot)) => Ok(Some(slot.open())),
            Some(_) => Err(Refusal::WRONG_TYPE),
        }
    }

    /// The list at a key, if there is one.
    pub fn list(&mut self, key: &[u8]) -> Result<Option<&mut List>, Refusal> {
        match self.value(key)? {
            None => Ok(None),
            Some(ValueMut::List(v)) => Ok(Some(v)),
            Some(_) => Err(Refusal::WRONG_TYPE),
        }
    }

    /// The set at a key, if there is one.
    pub fn set(&mut self, key: &[u8]) -> Result<Option<&mut Set>, Refusal> {
        match self.value(key)? {
            None => Ok(None),
            Some(ValueMut::Set(v)) => Ok(Some(v)),
            Some(_) => Err(Refusal::WRONG_TYPE),
        }
    }

    /// The sorted set at a key, if there is one.
    pub fn zset(&mut self, key: &[u8]) -> Result<Option<&mut ZSet>, Refusal> {
        match self.value(key)? {
            None => Ok(None),
            Some(ValueMut::ZSet(v)) => Ok(Some(v)),
            Some(_) => Err(Refusal::WRONG_TYPE),
        }
    }

    /// The stream at a key, if there is one.
    pub fn stream(&mut self, key: &[u8]) -> Result<Option<&mut Stream>, Refusal> {
        match self.value(key)? {
            None => Ok(None),
            Some(ValueMut::Stream(v)) => Ok(Some(v)),
            Some(_) => Err(Refusal::WRONG_TYPE),
        }
    }

    /// The value at a key was changed: who tracks, watches or waits for it is told, and then subscribers get the event of
    /// this name. While nobody wants to hear of it this is a branch.
    #[inline]
    pub fn changed(&mut self, class: EventClasses, event: &'static str, key: &[u8]) {
        self.effects.changed(class, event, self.db, key);
    }

    /// The same in the other order, in which the servers tell of some commands: a client that tracks and subscribes
    /// sees it.
    #[inline]
    pub fn told_and_changed(&mut self, class: EventClasses, event: &'static str, key: &[u8]) {
        self.told(class, event, key);
        self.touched(key);
    }

    /// The value at a key was changed: who tracks, watches or waits for it is told. [`ApplyCx::told`] has the event.
    #[inline]
    pub fn touched(&mut self, key: &[u8]) {
        self.effects.touched(self.db, key);
    }

    /// Something was taken from the value at a key, which goes if nothing is left: what was done, at times `del`, and
    /// who tracks it before the events or behind them.
    pub fn taken(&mut self, taken: Taken, key: &[u8], emptied: bool) -> Result<(), Refusal> {
        let Taken { class, event, order } = taken;
        if order == Order::ChangeFirst {
            self.touched(key);
        }
        self.told(class, event, key);
        if emptied {
            let old = self.keyspace()?.remove(key);
            self.told(EventClasses::GENERIC, "del", key);
            self.trash.value(old.map(|(value, _)| value));
        }
        if order == Order::EventsFirst {
            self.touched(key);
        }
        Ok(())
    }

    /// An event of a key whose value counts as unchanged: consumer groups, counters of streams (as the servers).
    #[inline]
    pub fn told(&mut self, class: EventClasses, event: &'static str, key: &[u8]) {
        self.effects.event(class, event, self.db, key);
    }

    /// A key was made that was not there: an event of its own, which comes first.
    #[inline]
    pub fn made(&mut self, key: &[u8]) {
        self.effects.event(EventClasses::NEW, "new", self.db, key);
    }

    /// Tells of a new key, if somebody wants to hear of those and it is one.
    #[inline]
    pub fn before_store(&mut self, key: &[u8]) {
        if self.effects.tells(EventClasses::NEW)
            && self.data.db(self.db).is_some_and(|keys| keys.get(key).is_none())
        {
            self.made(key);
        }
    }

    /// Stores a value, replacing what was there and its expiry. [`ApplyCx::changed`] must follow.
    pub fn store(&mut self, key: &[u8], value: Value, expiry: Option<UnixMs>) -> Result<(), Refusal> {
        self.before_store(key);
        let old = self.keyspace()?.insert(key, value, expiry);
        self.trash.value(old);
        Ok(())
    }

    /// What was just stored is the result of a set operation: before Redis 7 a new key, so that its use does not count on
    /// from the one that was there.
    pub fn result_was_stored(&mut self, key: &[u8]) -> Result<(), Refusal> {
        if self.limits().dialect.is_before_redis_7() {
            let keyspace = self.keyspace()?;
            keyspace.set_stamp(key, keyspace.uses().fresh());
        }
        Ok(())
    }

    /// Stores a string, replacing what was there and its expiry. [`ApplyCx::changed`] must follow.
    pub fn store_string(&mut self, key: &[u8], bytes: &[u8], expiry: Option<UnixMs>) -> Result<(), Refusal> {
        self.before_store(key);
        let old = self.keyspace()?.set_string(key, bytes, StrForm::Auto, expiry);
        self.trash.value(old);
        Ok(())
    }

    /// Removes a key (DEL, an emptied collection) and tells so; `false` if it was not there.
    pub fn delete(&mut self, key: &[u8]) -> Result<bool, Refusal> {
        let old = self.keyspace()?.remove(key);
        let there = old.is_some();
        if there {
            self.changed(EventClasses::GENERIC, "del", key);
        }
        self.trash.value(old.map(|(value, _)| value));
        Ok(there)
    }

    /// The expiry of a key, if it is there and has one.
    pub fn expiry(&mut self, key: &[u8]) -> Result<Option<UnixMs>, Refusal> {
        Ok(self.keyspace()?.get(key).and_then(|entry| entry.expiry()))
    }
}

/// What a command that takes something tells.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Of this event.
    pub class: EventClasses,
    /// The event of the command itself.
    pub event: &'static str,
    /// As the servers.
    pub order: Order,
}

/// Who hears first of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Who tracks the key.
    ChangeFirst,
    /// Who is subscribed to its events.
    EventsFirst,
}

impl Order {
    /// The events first if this holds, which mostly is about the master's release.
    pub fn events_first_if(holds: bool) -> Self {
        if holds { Self::EventsFirst } else { Self::ChangeFirst }
    }
}

/// A command about the connection or the server, with read access to the data.
#[derive(Debug)]
pub struct SessionCx<'a> {
    /// All data (INFO keyspace, DEBUG DIGEST).
    pub data: &'a Dataset,
    /// The time of the batch.
    pub now: UnixMs,
    /// The connection's own state.
    pub session: &'a mut Session,
    /// Settings, numbers, clients, the link.
    pub server: &'a Server,
    /// As whose server it is answered.
    pub compat: Compat,
    /// Set by the command: what the connection does next.
    pub after: After,
}

impl SessionCx<'_> {
    /// As which server, of which release, the client is answered.
    pub fn dialect(&self) -> Dialect {
        self.data.limits.dialect.answering(self.compat)
    }
}

impl From<Dialect> for DoubleStyle {
    /// As the master prints doubles, so do we.
    fn from(dialect: Dialect) -> Self {
        if dialect.prints_shortest_doubles() { Self::Shortest } else { Self::Percent17g }
    }
}
