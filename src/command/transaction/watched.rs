//! Which keys are watched, by whom: sessions enter and leave, the applier tells what it changes.
//!
//! Both happen inside the gate, so a key cannot change between WATCH looking at it and being told of changes. While
//! nobody watches, the applier pays one relaxed load a command.

use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::clients::Client;
use crate::command::table::Indexed;
use crate::dataset::{Dataset, Keyspace};
use crate::limits::{WATCHED_BYTES_MAX, WATCHED_KEYS_MAX};
use crate::number::parse_integer;
use crate::position::DbIndex;
use crate::resp::refusal::Refusal;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

type Keys = HashMap<Box<[u8]>, Vec<Watch>, foldhash::fast::RandomState>;

/// All watched keys.
#[derive(Debug, Default)]
pub struct Watched {
    /// How many watches there are.
    count: AtomicUsize,
    databases: Mutex<BTreeMap<DbIndex, Keys>>,
}

/// One client's interest in one key.
#[derive(Debug)]
struct Watch {
    client: Arc<Client>,
    /// The key was logically expired when the client looked: that it goes away changes nothing for it.
    expired: bool,
}

fn is_expired(keyspace: Option<&Keyspace>, key: &[u8], now: UnixMs) -> bool {
    keyspace.and_then(|keyspace| keyspace.get(key)).is_some_and(|entry| entry.is_expired(now))
}

fn is_there(keyspace: Option<&Keyspace>, key: &[u8]) -> bool {
    keyspace.is_some_and(|keyspace| keyspace.get(key).is_some())
}

impl Watched {
    /// Nobody watches anything.
    pub fn is_empty(&self) -> bool {
        self.count.load(Relaxed) == 0
    }

    /// Distinct watched keys.
    pub fn keys(&self) -> usize {
        self.databases.lock().values().map(HashMap::len).sum()
    }

    /// This command of the stream is about to be applied: what flushes or swaps whole databases is seen by what is
    /// there before.
    pub fn before(&self, data: &Dataset, db: DbIndex, found: Indexed, args: &Args<'_>, now: UnixMs) {
        match found.row.name {
            "flushall" => self.replaced(data, |_| None, now),
            "flushdb" => self.emptied(db, data.db(db), None, now),
            "swapdb" => {
                let index = |at| args.word(at).and_then(parse_integer).and_then(|index| u32::try_from(index).ok());
                if let (Some(a), Some(b)) = (index(1).map(DbIndex), index(2).map(DbIndex)) {
                    self.emptied(a, data.db(a), data.db(b), now);
                    self.emptied(b, data.db(b), data.db(a), now);
                }
            }
            _ => {}
        }
    }

    /// A dataset takes the place of another: all databases change at once.
    pub fn replaced<'a>(&self, old: &Dataset, new: impl Fn(DbIndex) -> Option<&'a Keyspace>, now: UnixMs) {
        let databases: Vec<DbIndex> = self.databases.lock().keys().copied().collect();
        for db in databases {
            self.emptied(db, old.db(db), new(db), now);
        }
    }

    /// The key was changed, as clients that track it are told.
    pub fn touch(&self, data: &Dataset, db: DbIndex, key: &[u8]) {
        let mut databases = self.databases.lock();
        let Some(watches) = databases.get_mut(&db).and_then(|keys| keys.get_mut(key)) else { return };
        let gone = !is_there(data.db(db), key);
        for watch in watches {
            if watch.expired && gone {
                watch.expired = false;
            } else {
                watch.client.set_touched();
            }
        }
    }

    /// A database is emptied, or takes over the content of another one (as redis 7.0: keys that were in neither are
    /// not touched, nor are those that were expired and are gone or still expired).
    fn emptied(&self, db: DbIndex, old: Option<&Keyspace>, new: Option<&Keyspace>, now: UnixMs) {
        let mut databases = self.databases.lock();
        for (key, watches) in databases.get_mut(&db).into_iter().flatten() {
            let (was, is, is_dead) = (is_there(old, key), is_there(new, key), is_expired(new, key, now));
            if !was && !is {
                continue;
            }
            for watch in watches {
                match (watch.expired, is) {
                    (true, false) => watch.expired = false,
                    (true, true) if is_dead => {}
                    (false, _) if !was && is_dead => watch.expired = true,
                    _ => watch.client.set_touched(),
                }
            }
        }
    }
}

/// What one session watches. Ends when dropped.
#[derive(Debug)]
pub struct Watching {
    registry: Arc<Watched>,
    client: Arc<Client>,
    keys: Vec<(DbIndex, Box<[u8]>)>,
    bytes: usize,
}

impl Watching {
    pub(in crate::command) fn new(registry: &Arc<Watched>, client: &Arc<Client>) -> Self {
        Self { registry: Arc::clone(registry), client: Arc::clone(client), keys: Vec::new(), bytes: 0 }
    }

    /// Adds a key as it is now; one that is watched already stays as it was.
    pub(in crate::command) fn add(
        &mut self,
        data: &Dataset,
        db: DbIndex,
        key: &[u8],
        now: UnixMs,
    ) -> Result<(), Refusal> {
        let mut databases = self.registry.databases.lock();
        let keys = databases.entry(db).or_default();
        if keys.get(key).is_some_and(|watches| watches.iter().any(|watch| watch.client.id == self.client.id)) {
            return Ok(());
        }
        if self.keys.len() >= WATCHED_KEYS_MAX || self.bytes + key.len() > WATCHED_BYTES_MAX {
            return Err(Refusal::text("ERR too many watched keys"));
        }
        let expired = is_expired(data.db(db), key, now);
        keys.entry(key.into()).or_default().push(Watch { client: Arc::clone(&self.client), expired });
        self.registry.count.fetch_add(1, Relaxed);
        self.keys.push((db, key.into()));
        self.bytes += key.len();
        self.client.set_watching(self.keys.len());
        Ok(())
    }

    /// Was a key touched, or has one expired since?
    pub(in crate::command) fn is_touched(&self, data: &Dataset, now: UnixMs) -> bool {
        if self.client.is_touched() {
            return true;
        }
        let databases = self.registry.databases.lock();
        let known_dead = |db: &DbIndex, key: &[u8]| {
            let watches = databases.get(db).and_then(|keys| keys.get(key));
            watches.is_some_and(|all| all.iter().any(|watch| watch.client.id == self.client.id && watch.expired))
        };
        self.keys.iter().any(|(db, key)| is_expired(data.db(*db), key, now) && !known_dead(db, key))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut databases = self.registry.databases.lock();
        for (db, key) in &self.keys {
            let Some(keys) = databases.get_mut(db) else { continue };
            let Some(watches) = keys.get_mut(key) else { continue };
            watches.retain(|watch| watch.client.id != self.client.id);
            if watches.is_empty() {
                keys.remove(key);
            }
            if keys.is_empty() {
                databases.remove(db);
            }
        }
        self.registry.count.fetch_sub(self.keys.len(), Relaxed);
        self.client.unwatched();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::clients::{Clients, Endpoint};
    use crate::command::table;
    use crate::command::testing::{Bench, split};
    use crate::hub::Effects;

    /// Applies a line as the link does.
    fn apply(bench: &mut Bench, watched: &Watched, line: &str) {
        let words = split(line);
        let (frame, spans) = crate::command::testing::frame(&words);
        let (found, named) = table::find(&words[0], None).expect("a row");
        let args = Args::new(&frame, &spans, named);
        watched.before(&bench.data, bench.db, found, &args, bench.now);
        let mut effects = Effects::default();
        let place = effects.keep_changed(true);
        bench.apply_telling(&words, &mut effects).unwrap_or_else(|why| panic!("{line}: {why}"));
        effects.changed_since(place).for_each(|(db, key)| watched.touch(&bench.data, db, key));
    }

    /// Is a watch on `key` of database 0 touched by these lines, applied one after the other?
    fn touched(before: &[&str], key: &str, lines: &[&str]) -> bool {
        let mut bench = Bench::after(before);
        let registry = Arc::new(Watched::default());
        let clients = Arc::new(Clients::default());
        let member = clients.join(Endpoint::default(), bench.now);
        let mut watching = Watching::new(&registry, &member);
        watching.add(&bench.data, DbIndex(0), key.as_bytes(), bench.now).expect("room");
        watching.add(&bench.data, DbIndex(0), key.as_bytes(), bench.now).expect("twice is once");
        assert_eq!((registry.keys(), watching.keys.len()), (1, 1));
        assert!(!watching.is_touched(&bench.data, bench.now));
        lines.iter().for_each(|line| apply(&mut bench, &registry, line));
        let touched = watching.is_touched(&bench.data, bench.now);
        drop(watching);
        assert!(registry.is_empty() && registry.keys() == 0 && !member.is_touched());
        touched
    }

    #[test]
    fn a_watch_is_touched_by_what_changes_its_key() {
        let check = |before: &[&str], lines: &[&str], expected: bool| {
            assert_eq!(touched(before, "k", lines), expected, "{before:?} {lines:?}");
        };
        let string = &["SET k 1"][..];
        check(string, &["SET k 1"], true);
        check(string, &["DEL k"], true);
        check(string, &["SET other 1"], false);
        check(&[], &["SET k 1"], true);
        check(&["SADD k a", "SADD s b"], &["SUNIONSTORE d k s"], false);
        check(&["SADD s b"], &["SUNIONSTORE k s s"], true);
        check(string, &["RENAME k d"], true);
        check(&["SET d 1"], &["RENAME d k"], true);
        check(string, &["MOVE k 1"], true);
        check(&["SET d 1"], &["COPY d k"], true);
        check(&["SET d 1"], &["COPY k d DB 1", "COPY d x"], false);
        check(&["RPUSH l 2"], &["SORT l STORE k"], true);
        let stream = &["XADD k 1-1 f v"][..];
        check(stream, &["XADD k 2-1 f v"], true);
        let groups =
            ["XGROUP CREATE k g 0", "XGROUP CREATECONSUMER k g c", "XGROUP SETID k g 1-1", "XSETID k 9-9"];
        check(stream, &groups, false);
        check(&[], &["XGROUP CREATE k g 0 MKSTREAM"], true);
    }

    #[test]
    fn whole_databases_touch_the_keys_that_were_or_are_there() {
        let check = |before: &[&str], lines: &[&str], expected: bool| {
            assert_eq!(touched(before, "k", lines), expected, "{before:?} {lines:?}");
        };
        check(&["SET k 1"], &["FLUSHALL"], true);
        check(&["SET k 1"], &["FLUSHDB"], true);
        check(&["SET other 1"], &["FLUSHALL"], false);
        check(&["SET k 1"], &["SWAPDB 0 1"], true);
        check(&["SET k 1"], &["SWAPDB 1 0"], true);
        check(&["SET k 1"], &["SWAPDB 2 3"], false);
        check(&["SET k 1", "MOVE k 1"], &["SWAPDB 0 1"], true);
        check(&["SET other 1"], &["SWAPDB 0 1"], false);
    }

    #[test]
    fn a_key_that_was_expired_when_it_was_watched_may_go() {
        let dead = &["SET k 1 PXAT 5"][..];
        assert!(!touched(dead, "k", &[]));
        assert!(!touched(dead, "k", &["DEL k"]));
        assert!(!touched(dead, "k", &["FLUSHALL"]));
        assert!(touched(dead, "k", &["DEL k", "SET k 2"]));
        assert!(touched(dead, "k", &["SET k 2"]));
    }

    #[test]
    fn a_key_that_expires_after_it_was_watched_touches() {
        let mut bench = Bench::after(&["SET k 1 PXAT 1000000010"]);
        let member = Arc::new(Clients::default()).join(Endpoint::default(), bench.now);
        let mut watching = Watching::new(&Arc::default(), &member);
        watching.add(&bench.data, DbIndex(0), b"k", bench.now).expect("room");
        assert!(!watching.is_touched(&bench.data, bench.now));
        bench.now = UnixMs(bench.now.0 + 11);
        assert!(watching.is_touched(&bench.data, bench.now));
    }

    #[test]
    fn a_session_cannot_watch_without_bounds() {
        let bench = Bench::new();
        let member = Arc::new(Clients::default()).join(Endpoint::default(), bench.now);
        let mut watching = Watching::new(&Arc::default(), &member);
        let mut add = |key: &str| watching.add(&bench.data, DbIndex(0), key.as_bytes(), bench.now);
        assert!(add(&"x".repeat(WATCHED_BYTES_MAX + 1)).is_err());
        assert!((0..WATCHED_KEYS_MAX).all(|n| add(&n.to_string()).is_ok()));
        assert!(add("one more").is_err() && add("0").is_ok());
    }
}
