//! The dataset as it was at one moment, handed on entry by entry while the writer goes on. No fork, no stop.
//!
//! A capture begins inside the gate, where nobody writes, by leaving a watcher in each keyspace. From then on it
//! advances in slices, each a short look through the gate, in the order of hashes. A key is *reached* when its hash
//! is below the walk's cursor. Before the writer changes a key that is not reached, it asks the watcher, which hands
//! the old entry on and remembers the key's hash as touched, so that the walk passes over it; keys that share a hash go
//! together. What was not there at the beginning is remembered as well. Splits keep the order of hashes, and merges hand nothing on twice, as a walk
//! never looks below its cursor.
//!
//! A keyspace that leaves the dataset (FLUSHDB, a full resync) tells its watchers when it is dropped and gives them
//! its entries, so a flush costs what it did. SWAPDB takes watchers along with their keyspace.
//!
//! It knows nothing of files, sockets and dialects: who wants the entries brings a `Sink`.

use super::{Dataset, EntryRef, Keyspace};
use crate::position::DbIndex;
use parking_lot::Mutex;
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// What a part of a big entry counts as, in entries, when a slice is measured out.
const PART_ENTRIES: usize = 256;
/// Bytes that a touched hash takes: its share of a tree whose nodes are two thirds full.
const TOUCHED_BYTES: usize = 16;

/// Gets every entry exactly once, as it was when the capture began. Entries of different databases may come
/// interleaved. It is called inside the gate, by the reader that advances the capture or by the writer: it must be
/// quick and must not look at the dataset or the capture.
pub trait Sink: Send {
    /// One entry, whole.
    fn entry(&mut self, db: DbIndex, entry: EntryRef<'_>);

    /// Whether this entry is so big that it shall come by `part`.
    fn is_big(&self, _entry: EntryRef<'_>) -> bool {
        false
    }

    /// Enough has come for one slice: the walk pauses there.
    fn is_full(&self) -> bool {
        false
    }

    /// Takes the next part of a big entry; `true`: that was the last. Until then no other big entry comes in parts,
    /// but whole ones may come between. The entry is the same at each call, unchanged.
    fn part(&mut self, db: DbIndex, entry: EntryRef<'_>) -> bool {
        self.entry(db, entry);
        true
    }
}

/// A running capture. Dropping it ends it: its watchers do nothing more and go with the next write.
#[derive(Debug)]
pub struct Capture<S> {
    id: u64,
    /// Of the dataset.
    serial: u64,
    shared: Arc<Mutex<Shared<S>>>,
}

/// What the capture and its watchers share. The lock is held for single entries by the writer, for a slice by the
/// reader that advances, which keeps the writer out by the gate anyway.
#[derive(Debug)]
struct Shared<S> {
    walks: Vec<Walk>,
    sink: S,
}

/// How far one keyspace has been handed on.
#[derive(Debug)]
struct Walk {
    /// The number of the database when the capture began.
    db: DbIndex,
    /// The first hash that is not reached; `None` at the end.
    cursor: Option<u64>,
    /// Hashes that are not reached, whose keys were handed on before one of them changed, or were not there.
    touched: BTreeSet<u64>,
    /// Keys that the cursor has passed and that still are to be handed on, part by part.
    big: VecDeque<Box<[u8]>>,
    /// The keyspace when it has left the dataset.
    gone: Option<Arc<Keyspace>>,
}

impl Dataset {
    /// Begins to capture the data as they are now. Must be called where the writer is out: inside the gate, or by
    /// the writer itself. Costs an allocation per database.
    pub fn capture<S: Sink + 'static>(&self, sink: S) -> Capture<S> {
        let filled: Vec<_> = self.dbs().filter(|(_, keyspace)| !keyspace.is_empty()).collect();
        let walks = filled.iter().map(|(db, _)| Walk::new(*db)).collect();
        let capture = self.capture_by(walks, sink);
        for (walk, (_, keyspace)) in filled.iter().enumerate() {
            keyspace.watch(Watcher { capture: capture.id, walk, shared: capture.weak() });
        }
        capture
    }

    /// A capture that hands on no keys, and that the writer never looks at.
    pub fn capture_nothing<S: Sink + 'static>(&self, sink: S) -> Capture<S> {
        self.capture_by(Vec::new(), sink)
    }

    fn capture_by<S>(&self, walks: Vec<Walk>, sink: S) -> Capture<S> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let shared = Arc::new(Mutex::new(Shared { walks, sink }));
        Capture { id: IDS.fetch_add(1, Ordering::Relaxed), serial: self.serial, shared }
    }
}

impl<S: Sink + 'static> Capture<S> {
    fn weak(&self) -> Weak<Mutex<dyn Recorder>> {
        let weak: Weak<Mutex<Shared<S>>> = Arc::downgrade(&self.shared);
        weak
    }
}

impl<S: Sink> Capture<S> {
    /// Hands on about this many further entries, or as many as make the sink full; `true` when all have been. Must be
    /// called inside the gate. A keyspace that was flushed and is on its way to whoever drops it is waited for: then
    /// this does nothing and answers `false`.
    pub fn advance(&mut self, data: &Dataset, entries: usize) -> bool {
        let mut shared = self.shared.lock();
        let (mut left, mut waits) = (entries.max(1), false);
        for at in 0..shared.walks.len() {
            if shared.walks[at].is_done() {
                continue;
            }
            let gone = shared.walks[at].gone.clone();
            let there = || data.watched_by(self.id, at, shared.walks[at].db);
            let Some(keyspace) = gone.as_deref().or_else(there) else {
                waits = true;
                continue;
            };
            while left > 0 && !shared.walks[at].is_done() {
                left = left.saturating_sub(shared.step(at, keyspace));
                if shared.sink.is_full() {
                    left = 0;
                }
            }
            if left == 0 {
                return !waits && shared.walks.iter().all(Walk::is_done);
            }
        }
        !waits
    }

    /// Whether this is the dataset that is captured. Another one takes its place at a full sync.
    pub fn is_of(&self, data: &Dataset) -> bool {
        self.serial == data.serial
    }

    /// Runs `look` with the sink, inside the gate or outside. The writer may wait for it: it must be short.
    pub fn sink<R>(&self, look: impl FnOnce(&mut S) -> R) -> R {
        look(&mut self.shared.lock().sink)
    }

    /// All entries have been handed on.
    pub fn is_done(&self) -> bool {
        self.shared.lock().walks.iter().all(Walk::is_done)
    }

    /// Bytes that remembering touched keys takes now, about. Grows with the keys that change ahead of the cursor.
    pub fn touched_bytes(&self) -> usize {
        self.shared.lock().walks.iter().map(|walk| walk.touched.len() * TOUCHED_BYTES).sum()
    }

    /// Frees flushed keyspaces that have been walked. To be called outside the gate: it may take long. Otherwise
    /// they go with the capture.
    pub fn tidy(&mut self) {
        let take = |walk: &mut Walk| if walk.is_done() { walk.gone.take() } else { None };
        let gone: Vec<_> = self.shared.lock().walks.iter_mut().filter_map(take).collect();
        drop(gone);
    }
}

impl<S: Sink> Shared<S> {
    /// Hands on one bucket, or a part of a big entry; answers what that counts as, at least 1.
    fn step(&mut self, at: usize, keyspace: &Keyspace) -> usize {
        let (walk, sink) = (&mut self.walks[at], &mut self.sink);
        if let Some(key) = walk.big.front() {
            if keyspace.get(key).is_none_or(|entry| sink.part(walk.db, entry)) {
                walk.big.pop_front();
            }
            return PART_ENTRIES;
        }
        let Some(from) = walk.cursor else { return 1 };
        let mut seen = 1;
        let (db, touched, big) = (walk.db, &mut walk.touched, &mut walk.big);
        let next = keyspace.walk(from, |hash, entry| {
            seen += 1;
            if touched.contains(&hash) {
                return;
            }
            if sink.is_big(entry) {
                big.push_back(entry.key().into());
            } else {
                sink.entry(db, entry);
            }
        });
        walk.cursor = next;
        while walk.touched.first().is_some_and(|first| next.is_none_or(|next| *first < next)) {
            walk.touched.pop_first();
        }
        seen
    }
}

impl Walk {
    fn new(db: DbIndex) -> Self {
        Self { db, cursor: Some(0), touched: BTreeSet::new(), big: VecDeque::new(), gone: None }
    }

    fn is_done(&self) -> bool {
        self.cursor.is_none() && self.big.is_empty()
    }

    fn has_reached(&self, hash: u64) -> bool {
        self.cursor.is_none_or(|cursor| hash < cursor)
    }
}

/// What a watcher knows of its capture, whatever the sink.
trait Recorder: Send {
    /// A key of this keyspace is about to change, come or go. `false`: this walk needs to hear no more.
    fn before_change(&mut self, walk: usize, hash: u64, key: &[u8], keyspace: &Keyspace) -> bool;

    /// The keyspace has left the dataset with all that is in it.
    fn keyspace_gone(&mut self, walk: usize, keyspace: &Arc<Keyspace>);
}

impl<S: Sink> Recorder for Shared<S> {
    fn before_change(&mut self, walk: usize, hash: u64, key: &[u8], keyspace: &Keyspace) -> bool {
        let (walk, sink) = (&mut self.walks[walk], &mut self.sink);
        if let Some(at) = walk.big.iter().position(|big| **big == *key) {
            walk.big.remove(at);
            match keyspace.find(hash, key) {
                // What has begun must be brought to its end first.
                Some(old) if at == 0 => while !sink.part(walk.db, old) {},
                Some(old) => sink.entry(walk.db, old),
                None => {}
            }
        } else if !walk.has_reached(hash) && walk.touched.insert(hash) {
            // Nearly always one or none. Sharing a hash they share its mark, so none may stay behind.
            keyspace.with_hash(hash).for_each(|old| sink.entry(walk.db, old));
        }
        !walk.is_done()
    }

    fn keyspace_gone(&mut self, walk: usize, keyspace: &Arc<Keyspace>) {
        let walk = &mut self.walks[walk];
        if !walk.is_done() {
            walk.gone = Some(Arc::clone(keyspace));
        }
    }
}

/// A keyspace's end of a capture.
#[derive(Debug)]
pub(super) struct Watcher {
    capture: u64,
    walk: usize,
    shared: Weak<Mutex<dyn Recorder>>,
}

impl std::fmt::Debug for dyn Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder")
    }
}

impl Dataset {
    /// The keyspace that carries this watcher, most likely still under its number.
    fn watched_by(&self, capture: u64, walk: usize, db: DbIndex) -> Option<&Keyspace> {
        let is_it = |keyspace: &&Keyspace| {
            keyspace.watchers.lock().iter().any(|watcher| watcher.capture == capture && watcher.walk == walk)
        };
        self.db(db).filter(is_it).or_else(|| self.dbs().map(|(_, keyspace)| keyspace).find(is_it))
    }
}

impl Keyspace {
    fn watch(&self, watcher: Watcher) {
        let mut watchers = self.watchers.lock();
        watchers.retain(|watcher| watcher.shared.strong_count() > 0);
        watchers.push(watcher);
    }

    /// Tells the watchers that a key is about to change.
    #[cold]
    pub(super) fn tell_watchers(&mut self, hash: u64, key: &[u8]) {
        let mut watchers = std::mem::take(self.watchers.get_mut());
        watchers.retain(|watcher| {
            let shared = watcher.shared.upgrade();
            shared.is_some_and(|shared| shared.lock().before_change(watcher.walk, hash, key, self))
        });
        *self.watchers.get_mut() = watchers;
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        if self.watchers.get_mut().is_empty() {
            return;
        }
        let watchers = std::mem::take(self.watchers.get_mut());
        let gone = Arc::new(std::mem::take(self));
        for watcher in watchers {
            if let Some(shared) = watcher.shared.upgrade() {
                shared.lock().keyspace_gone(watcher.walk, &gone);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Bench;
    use crate::dataset::digest::{self, DigestStyle};
    use crate::dataset::gate::gate;
    use crate::dataset::{EncodingLimits, StrForm, ValueRef};
    use crate::position::{Offset, Position, ReplId};
    use std::collections::BTreeMap;

    /// Everything that a dataset holds: values by digest, and expiries.
    type Picture = BTreeMap<(DbIndex, Vec<u8>), (String, Option<i64>)>;

    fn seen(entry: EntryRef<'_>) -> (String, Option<i64>) {
        let digest = digest::value(entry, DigestStyle::Redis8, crate::clock::UnixMs(0)).to_string();
        (digest, entry.expiry().map(|at| at.0))
    }

    fn picture(data: &Dataset) -> Picture {
        let entries = data.dbs().flat_map(|(db, keyspace)| keyspace.iter().map(move |entry| (db, entry)));
        entries.map(|(db, entry)| ((db, entry.key().to_vec()), seen(entry))).collect()
    }

    /// Draws a picture of what comes; strings of digits that start with 9 come in parts.
    #[derive(Default)]
    struct Painter {
        picture: Picture,
        open: Option<(DbIndex, Vec<u8>, usize)>,
    }

    impl Sink for Painter {
        fn entry(&mut self, db: DbIndex, entry: EntryRef<'_>) {
            let before = self.picture.insert((db, entry.key().to_vec()), seen(entry));
            assert!(before.is_none(), "{db:?} {:?} came twice", entry.key().escape_ascii().to_string());
        }

        fn is_big(&self, entry: EntryRef<'_>) -> bool {
            matches!(entry.value(), ValueRef::Str([b'9', ..], _))
        }

        fn part(&mut self, db: DbIndex, entry: EntryRef<'_>) -> bool {
            let (open_db, key, parts) = self.open.get_or_insert((db, entry.key().to_vec(), 0));
            assert_eq!((*open_db, &key[..]), (db, entry.key()), "one big entry at a time");
            *parts += 1;
            let last = *parts == 3;
            if last {
                self.open = None;
                self.entry(db, entry);
            }
            last
        }
    }

    /// How the random lines lean.
    #[derive(Clone, Copy, Debug)]
    enum Lean {
        Grow,
        Shrink,
        Mixed,
    }

    fn line(rng: &mut fastrand::Rng, lean: Lean, keys: u64) -> String {
        let key = |rng: &mut fastrand::Rng| format!("k{}", rng.u64(..keys));
        let (k, n, choice) = (key(rng), rng.u32(..1000), rng.u32(..100));
        match lean {
            Lean::Grow if choice > 0 => {
                return (0..8).fold("MSET".into(), |line, _| format!("{line} {} {n}", key(rng)));
            }
            Lean::Shrink if choice > 0 => {
                return (0..6).fold("DEL".into(), |line, _| format!("{line} {}", key(rng)));
            }
            _ => {}
        }
        match choice {
            0 => format!("SWAPDB {} {}", rng.u32(..4), rng.u32(..4)),
            1 if rng.u32(..8) == 0 => "FLUSHDB".into(),
            1 if rng.u32(..12) == 0 => "FLUSHALL".into(),
            1..3 => format!("MOVE {k} {}", rng.u32(..5)),
            3..6 => format!("COPY {k} {} DB {} REPLACE", key(rng), rng.u32(..5)),
            6..10 => format!("RENAME {k} {}", key(rng)),
            10..20 => format!("SET {k} {n} PXAT {}", 2_000_000_000_000_u64 + u64::from(n)),
            20..26 => format!("PEXPIREAT {k} {}", 2_000_000_000_000_u64 + u64::from(n)),
            26..30 => format!("PERSIST {k}"),
            30..36 => format!("APPEND {k} {n}"),
            36..40 => format!("SETBIT {k} {n} 1"),
            40..44 => format!("INCRBY {k} {n}"),
            44..52 => format!("HSET h{k} f{n} v f{} w", n % 7),
            52..55 => format!("HDEL h{k} f{}", n % 7),
            55..60 => format!("RPUSH l{k} {n} x{n}"),
            60..63 => format!("LPOP l{k}"),
            63..68 => format!("SADD s{k} {n} m{n}"),
            68..71 => format!("SUNIONSTORE s{k} s{} s{}", key(rng), key(rng)),
            71..76 => format!("ZADD z{k} {n} m{n}"),
            76..80 => format!("XADD x{k} 1-{} f v", n + 1),
            80..90 => format!("DEL {k} h{k} l{k} s{k} z{k} x{k}"),
            _ => format!("SET {k} {n}"),
        }
    }

    /// Captures that begin at random moments, three at a time, while everything changes; how many.
    fn survives(seed: u64, lines: usize, keys: u64) -> usize {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut bench = Bench::new();
        let mut running: Vec<(Capture<Painter>, Picture)> = Vec::new();
        let (mut lean, mut done) = (Lean::Grow, 0);
        for step in 0..lines {
            if step % (lines / 12) == 0 {
                lean = [Lean::Grow, Lean::Shrink, Lean::Grow, Lean::Mixed][step / (lines / 12) % 4];
            }
            bench.db = DbIndex(rng.u32(..4) * u32::from(rng.bool()));
            // Wrong types and missing keys are part of the game.
            let _ = bench.apply(&line(&mut rng, lean, keys));
            if running.len() < 3 && rng.usize(..lines / 60) == 0 {
                running.push((bench.data.capture(Painter::default()), picture(&bench.data)));
            }
            let slice = rng.usize(..200);
            if rng.usize(..20) == 0 {
                running.retain_mut(|(capture, expected)| {
                    let finished = capture.advance(&bench.data, slice);
                    capture.tidy();
                    if finished {
                        check(capture, expected, seed);
                        done += 1;
                    }
                    !finished
                });
            }
            if rng.usize(..lines / 3) == 0 {
                running.pop();
            }
        }
        for (capture, expected) in &mut running {
            while !capture.advance(&bench.data, 1000) {}
            check(capture, expected, seed);
        }
        done + running.len()
    }

    fn check(capture: &Capture<Painter>, expected: &Picture, seed: u64) {
        assert!(capture.is_done());
        assert_eq!(capture.touched_bytes(), 0, "seed {seed}: nothing is remembered at the end");
        capture.sink(|painter| {
            assert!(painter.open.is_none());
            let differing = expected.iter().find(|(key, value)| painter.picture.get(key) != Some(value));
            assert_eq!((differing, painter.picture.len()), (None, expected.len()), "seed {seed}");
        });
    }

    #[test]
    fn holds_exactly_what_was_there_whatever_is_written_meanwhile() {
        let done: usize = (0..4).map(|seed| survives(seed, 12_000, 300) + survives(seed, 12_000, 4_000)).sum();
        assert!(done >= 60, "only {done} captures came to their end");
    }

    #[test]
    fn a_table_that_shrinks_under_the_walk_hands_out_no_key_twice() {
        for slice in 0..60 {
            let mut rng = fastrand::Rng::with_seed(slice as u64);
            let mut data = Bench::new().data;
            let keyspace = data.db_mut(DbIndex(0)).expect("database 0");
            (0..2_000_u64).for_each(|n| drop(keyspace.set_string(&n.to_le_bytes(), b"", StrForm::Auto, None)));
            let (mut capture, expected) = (data.capture(Painter::default()), picture(&data));
            capture.advance(&data, slice * 30);
            let keyspace = data.db_mut(DbIndex(0)).expect("database 0");
            (0..2_000_u64).filter(|_| rng.u32(..100) < 93).for_each(|n| drop(keyspace.remove(&n.to_le_bytes())));
            while !capture.advance(&data, 100) {}
            check(&capture, &expected, slice as u64);
        }
    }

    fn one_capture(lines: &[&str]) -> (Bench, Capture<Painter>, Picture) {
        let bench = Bench::after(lines);
        let (capture, expected) = (bench.data.capture(Painter::default()), picture(&bench.data));
        (bench, capture, expected)
    }

    #[test]
    fn a_flushed_database_is_waited_for_and_handed_over() {
        let (mut bench, mut capture, expected) = one_capture(&["SET a 1", "HSET b f v", "SET c 9"]);
        bench.apply("DEL a").expect("applies");
        let flushed = std::mem::take(bench.data.db_mut(DbIndex(0)).expect("database 0"));
        bench.apply("SET a 2").expect("applies");
        assert!(!capture.advance(&bench.data, 1000) && !capture.is_done());
        drop(flushed);
        bench.apply("SET b 2").expect("applies");
        while !capture.advance(&bench.data, 1) {}
        capture.tidy();
        check(&capture, &expected, 0);
    }

    #[test]
    fn a_replaced_dataset_is_walked_to_its_end() {
        let (mut bench, mut capture, expected) = one_capture(&["SET a 1", "SET b 2", "COPY a a DB 3"]);
        assert!(capture.is_of(&bench.data));
        bench.data = Bench::after(&["SET other 1"]).data;
        assert!(!capture.is_of(&bench.data));
        while !capture.advance(&bench.data, 1) {}
        check(&capture, &expected, 0);
    }

    #[test]
    fn nothing_to_capture_is_done_at_once() {
        let (bench, mut capture, expected) = one_capture(&["SET a 1", "DEL a"]);
        assert!(capture.is_done() && capture.advance(&bench.data, 1));
        check(&capture, &expected, 0);
    }

    #[test]
    fn a_dropped_capture_leaves_with_the_next_write() {
        let (mut bench, capture, _) = one_capture(&["SET a 1"]);
        let watchers = |bench: &Bench| bench.data.db(DbIndex(0)).map(|keyspace| keyspace.watchers.lock().len());
        assert_eq!(watchers(&bench), Some(1));
        drop(capture);
        bench.apply("SET b 1").expect("applies");
        assert_eq!(watchers(&bench), Some(0));
    }

    #[test]
    fn a_big_entry_that_is_about_to_change_is_brought_to_its_end() {
        let (mut bench, mut capture, expected) = one_capture(&["SET a 9", "SET b 9", "SET c 9", "SET d 1"]);
        let mut rng = fastrand::Rng::with_seed(1);
        while !capture.advance(&bench.data, 1) {
            let key = rng.choice(["a", "b", "c", "d"]).expect("one of them");
            bench.apply(&format!("APPEND {key} x")).expect("applies");
        }
        check(&capture, &expected, 1);
    }

    #[test]
    fn keys_that_change_ahead_are_counted_until_they_are_passed() {
        let (mut bench, mut capture, expected) = one_capture(&["SET a 1", "SET b 1"]);
        bench.apply("SET a 2").expect("applies");
        bench.apply("SET a 3").expect("applies");
        assert_eq!(capture.touched_bytes(), TOUCHED_BYTES);
        bench.apply("SET new 3").expect("applies");
        assert_eq!(capture.touched_bytes(), 2 * TOUCHED_BYTES);
        while !capture.advance(&bench.data, 100) {}
        check(&capture, &expected, 0);
    }

    /// Every key holds the same number in each batch, so a picture of one moment holds one number.
    #[derive(Default)]
    struct Numbers(BTreeMap<Vec<u8>, Vec<u8>>);

    impl Sink for Numbers {
        fn entry(&mut self, _: DbIndex, entry: EntryRef<'_>) {
            let ValueRef::Str(bytes, _) = entry.value() else { panic!("a string") };
            assert!(self.0.insert(entry.key().to_vec(), bytes.to_vec()).is_none(), "a key twice");
        }
    }

    #[test]
    fn is_of_one_moment_while_a_writer_goes_on_behind_the_gate() {
        const KEYS: u64 = if cfg!(miri) { 20 } else { 3_000 };
        const CAPTURES: usize = if cfg!(miri) { 2 } else { 30 };
        let position = Position::fresh(ReplId::ZERO, Offset(0), DbIndex(0));
        let (mut writer, mut readers) = gate(Dataset::new(1, position, EncodingLimits::default()), 1);
        let mut write = move |round: u64| {
            writer.apply(|data| {
                let keyspace = data.db_mut(DbIndex(0)).expect("database 0");
                for key in 0..KEYS {
                    keyspace.set_string(&key.to_le_bytes(), &round.to_le_bytes(), StrForm::Auto, None);
                }
                keyspace.remove(&(KEYS + round - 1).to_le_bytes());
                keyspace.set_string(&(KEYS + round).to_le_bytes(), &round.to_le_bytes(), StrForm::Auto, None);
            });
        };
        write(1);
        let mut reader = readers.remove(0);
        let captures = std::thread::spawn(move || {
            for _ in 0..CAPTURES {
                let mut capture = reader.read(|data| data.capture(Numbers::default()));
                while !reader.read(|data| capture.advance(data, 50)) {}
                let numbers = capture.sink(|sink| std::mem::take(&mut sink.0));
                let first = numbers.values().next().expect("not empty").clone();
                assert_eq!(numbers.len() as u64, KEYS + 1);
                assert!(numbers.values().all(|number| *number == first), "two moments in one");
            }
        });
        let mut round = 1;
        while !captures.is_finished() {
            round += 1;
            write(round);
        }
        captures.join().expect("no capture failed");
    }
}
