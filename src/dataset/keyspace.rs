//! One database: keys to values with optional expiry, as a directory of small segments (extendible hashing).
//!
//! The directory is indexed by the top bits of the hash; a full segment splits in two, so growth never stops the
//! world: measured 1 ms for the longest insert on the way to 5M keys, against 290 ms for one big table. Segments in
//! directory order are hashes in order, which is what SCAN's cursor counts.
//!
//! Lookups here do not look at the clock: a logically expired key is present. `EntryRef::is_expired` says who is
//! alive.

use super::capture::Watcher;
use super::entry::Entry;
use super::segment::{BUCKETS, ENTRIES_MAX, Segment, hash};
use super::uses::{Stamp, Uses};
use super::value::{StrForm, Value, ValueKind, ValueMut, ValueRef};
use crate::clock::UnixMs;
use parking_lot::Mutex;

/// Two neighbours become one segment when they hold fewer entries than this together.
const MERGE_BELOW: usize = ENTRIES_MAX / 4;
/// Entries per segment that `reserve` plans with: 3.5 standard deviations of chance below a split.
const RESERVE_PER_SEGMENT: usize = ENTRIES_MAX - 100;
/// A snapshot's size hint is not trusted beyond this many keys: 4M segments of 8 KiB would be 32 GiB.
const RESERVE_KEYS_MAX: usize = 1 << 28;
/// Low bits that a SCAN cursor leaves out, so that it stays a positive 64-bit integer for every client.
const CURSOR_SHIFT: u32 = 8;
/// Random picks before a walk from a random place decides.
const RANDOM_TRIES: usize = 128;

/// The keys of one database.
#[derive(Debug, Default)]
pub struct Keyspace {
    /// Index into `segments` by the top `depth` bits of a hash; empty until the first insert.
    directory: Vec<u32>,
    segments: Vec<Segment>,
    depth: u32,
    len: usize,
    expires: usize,
    marked: usize,
    expiring_hashes: usize,
    /// How the writer records uses.
    pub(super) uses: Uses,
    /// The hashes of the two keys that the present command has used last.
    used: [Option<u64>; 2],
    /// Who wants to see keys before they change. A capture begins under `&self`; the writer needs no lock.
    pub(super) watchers: Mutex<Vec<Watcher>>,
}

/// One key with its value and expiry, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct EntryRef<'a>(&'a Entry);

impl<'a> EntryRef<'a> {
    /// The key's name.
    pub fn key(&self) -> &'a [u8] {
        self.0.key()
    }

    /// The value.
    pub fn value(&self) -> ValueRef<'a> {
        self.0.value()
    }

    /// When the key expires, if ever.
    pub fn expiry(&self) -> Option<UnixMs> {
        self.0.expiry()
    }

    /// When or how often it was used.
    pub fn stamp(&self) -> Stamp {
        self.0.stamp()
    }

    /// Records a use, see [`Entry::mark_used`].
    #[inline]
    pub fn mark_used(&self, uses: &Uses) {
        self.0.mark_used(uses);
    }

    /// What was asked of the allocator for the entry itself, see [`Entry::blocks`].
    pub fn blocks(&self) -> [usize; 3] {
        self.0.blocks()
    }

    /// Logically expired at `now` (as redis: strictly after the expiry time).
    pub fn is_expired(&self, now: UnixMs) -> bool {
        self.expiry().is_some_and(|at| now > at)
    }
}

impl Keyspace {
    /// An empty database in which uses are recorded like this.
    pub(super) fn new(uses: Uses) -> Self {
        let mut empty = Self::default();
        empty.uses = uses;
        empty
    }

    /// Takes everything out; the next key is used like these.
    #[must_use = "dropping many keys takes long: hand them to the reaper"]
    pub fn take_all(&mut self) -> Self {
        std::mem::replace(self, Self::new(self.uses))
    }

    /// Frees all keys; `between` is called between two segments. Captures that still want them get them instead.
    pub(super) fn free(mut self, between: &mut impl FnMut()) {
        if !self.watchers.get_mut().is_empty() {
            return;
        }
        for segment in std::mem::take(&mut self.segments) {
            drop(segment);
            between();
        }
    }

    /// How the writer records uses.
    pub fn uses(&self) -> &Uses {
        &self.uses
    }

    /// The next command begins: a key counts as used once by each.
    pub(super) fn begin_command(&mut self) {
        self.used = [None; 2];
    }

    /// Number of keys, logically expired ones included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No key at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of keys that have an expiry.
    pub fn expires(&self) -> usize {
        self.expires
    }

    /// Number of keys that are marked as not kept.
    pub fn marked(&self) -> usize {
        self.marked
    }

    /// Number of hashes that have fields with an expiry, logically expired ones included.
    pub fn expiring_hashes(&self) -> usize {
        self.expiring_hashes
    }

    /// Bytes of the table itself, without the entries.
    pub fn table_bytes(&self) -> usize {
        let segments = self.segments.capacity() * size_of::<Segment>() + self.segments.len() * Segment::BYTES;
        segments + self.directory.capacity() * size_of::<u32>()
    }

    /// Makes room for about `keys` keys in an empty database; does nothing in another. A hint too big to be
    /// believed is cut.
    pub fn reserve(&mut self, keys: usize) {
        if !self.segments.is_empty() || keys <= RESERVE_PER_SEGMENT {
            return;
        }
        let wanted = keys.min(RESERVE_KEYS_MAX).div_ceil(RESERVE_PER_SEGMENT);
        let depth = wanted.next_power_of_two().trailing_zeros();
        self.depth = depth;
        self.segments = (0..1_u64 << depth).map(|at| Segment::new(at << (63 - depth) << 1, depth)).collect();
        self.directory = (0..).take(self.segments.len()).collect();
    }

    fn slot(&self, hash: u64) -> usize {
        (hash >> 1 >> (63 - self.depth)) as usize
    }

    fn segment(&self, hash: u64) -> Option<&Segment> {
        self.segments.get(*self.directory.get(self.slot(hash))? as usize)
    }

    fn segment_mut(&mut self, hash: u64) -> Option<&mut Segment> {
        let at = *self.directory.get(self.slot(hash))?;
        self.segments.get_mut(at as usize)
    }

    /// First step of a batched lookup: asks the processor for the bucket of a key; answers the hash for step two.
    pub fn prefetch_bucket(&self, key: &[u8]) -> u64 {
        let hash = hash(key);
        if let Some(segment) = self.segment(hash) {
            segment.prefetch_bucket(hash);
        }
        hash
    }

    /// Second step of a batched lookup: asks the processor for the entry.
    pub fn prefetch_entry(&self, hash: u64) {
        if let Some(segment) = self.segment(hash) {
            segment.prefetch_entry(hash);
        }
    }

    /// The entry of a key.
    pub fn get(&self, key: &[u8]) -> Option<EntryRef<'_>> {
        self.find(hash(key), key)
    }

    /// The entry of a key whose hash is known.
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<EntryRef<'_>> {
        let segment = self.segment(hash)?;
        segment.at(segment.find(hash, key)?).map(EntryRef)
    }

    /// All entries of this hash, hardly ever more than one.
    pub(super) fn with_hash(&self, hash: u64) -> impl Iterator<Item = EntryRef<'_>> {
        self.segment(hash).into_iter().flat_map(move |segment| segment.with_hash(hash)).map(EntryRef)
    }

    /// Every change of a key comes by here first.
    fn before_change(&mut self, hash: u64, key: &[u8]) {
        if !self.watchers.get_mut().is_empty() {
            self.tell_watchers(hash, key);
        }
    }

    /// The value of a key for changing.
    pub fn get_mut(&mut self, key: &[u8]) -> Option<ValueMut<'_>> {
        let (slot, expiring_hashes) = self.find_counted(hash(key), key)?;
        Some(slot.as_mut()?.value_mut(expiring_hashes))
    }

    fn entry_slot(&mut self, key: &[u8]) -> Option<&mut Option<Entry>> {
        self.find_slot(hash(key), key)
    }

    /// Stores a value under a key, replacing value and expiry; answers what was replaced.
    pub fn insert(&mut self, key: &[u8], value: Value, expiry: Option<UnixMs>) -> Option<Value> {
        self.insert_stamped(key, value, expiry, None)
    }

    /// The same; a key that was not there gets this stamp, if one is given.
    pub fn insert_stamped(
        &mut self,
        key: &[u8],
        value: Value,
        expiry: Option<UnixMs>,
        stamp: Option<Stamp>,
    ) -> Option<Value> {
        let hash = hash(key);
        let fresh = stamp.unwrap_or_else(|| self.uses.fresh());
        let Some(slot) = self.find_slot(hash, key) else {
            self.add(hash, Entry::new(key, value, expiry, fresh));
            return None;
        };
        let entry = Entry::new(key, value, expiry, slot.as_ref().map_or(fresh, Entry::stamp));
        let marked = entry.kind() == ValueKind::Marked;
        let expiring = has_expiring_fields(&entry);
        let old = slot.replace(entry);
        self.replaced(expiry, old.as_ref());
        self.marked += usize::from(marked);
        self.expiring_hashes += usize::from(expiring);
        old.map(Entry::into_value)
    }

    /// Stores a value as a new key, whatever was there: how that was used does not count. Answers what was replaced.
    pub fn insert_new(
        &mut self,
        key: &[u8],
        value: Value,
        expiry: Option<UnixMs>,
        stamp: Option<Stamp>,
    ) -> Option<Value> {
        let stamp = stamp.unwrap_or_else(|| self.uses.fresh());
        let old = self.insert_stamped(key, value, expiry, Some(stamp));
        if old.is_some() {
            self.set_stamp(key, stamp);
        }
        old
    }

    /// Stores a string under a key, replacing value and expiry; answers a replaced container, no string. Costs one
    /// lookup, and no allocation when it fits into the block that is there.
    pub fn set_string(
        &mut self,
        key: &[u8],
        bytes: &[u8],
        form: StrForm,
        expiry: Option<UnixMs>,
    ) -> Option<Value> {
        self.set_string_stamped(key, bytes, form, expiry, None)
    }

    /// The same; a key that was not there gets this stamp, if one is given.
    pub fn set_string_stamped(
        &mut self,
        key: &[u8],
        bytes: &[u8],
        form: StrForm,
        expiry: Option<UnixMs>,
        stamp: Option<Stamp>,
    ) -> Option<Value> {
        let hash = hash(key);
        let fresh = stamp.unwrap_or_else(|| self.uses.fresh());
        let Some(slot) = self.find_slot(hash, key) else {
            self.add(hash, Entry::string(key, bytes, form, expiry, fresh));
            return None;
        };
        if slot.as_mut().is_some_and(|entry| entry.overwrite_string(bytes, form, expiry)) {
            return None;
        }
        let stamp = slot.as_ref().map_or(fresh, Entry::stamp);
        let old = slot.replace(Entry::string(key, bytes, form, expiry, stamp));
        self.replaced(expiry, old.as_ref());
        old.filter(|old| old.kind() != ValueKind::Str).map(Entry::into_value)
    }

    /// The slot of a key that is there, to change it: a use, the first time in a command.
    fn find_slot(&mut self, hash: u64, key: &[u8]) -> Option<&mut Option<Entry>> {
        self.find_counted(hash, key).map(|(slot, _)| slot)
    }

    /// The same, and the count of hashes with fields that expire, which the change may move.
    fn find_counted(&mut self, hash: u64, key: &[u8]) -> Option<(&mut Option<Entry>, &mut usize)> {
        self.before_change(hash, key);
        let (uses, is_first) = (self.uses, !self.used.contains(&Some(hash)));
        if is_first {
            self.used = [Some(hash), self.used[0]];
        }
        let at = *self.directory.get(self.slot(hash))?;
        let segment = self.segments.get_mut(at as usize)?;
        let place = segment.find(hash, key)?;
        let slot = segment.slot_mut(place);
        if is_first && let Some(entry) = slot {
            entry.mark_used(&uses);
        }
        Some((slot, &mut self.expiring_hashes))
    }

    /// Puts in an entry whose key is not there.
    fn add(&mut self, hash: u64, entry: Entry) {
        self.count(&entry, 1);
        self.room_for(hash).insert(hash, entry);
    }

    /// Keeps the counts when an entry with this expiry, neither marked nor with fields that expire, has taken the place of
    /// `old`.
    fn replaced(&mut self, expiry: Option<UnixMs>, old: Option<&Entry>) {
        if let Some(old) = old {
            self.count(old, -1);
            self.len += 1;
            self.expires += usize::from(expiry.is_some());
        }
    }

    /// Adds an entry's share to the counts of keys, or takes it away.
    fn count(&mut self, entry: &Entry, sign: isize) {
        let add = |count: &mut usize, yes: bool| *count = count.wrapping_add_signed(sign * isize::from(yes));
        add(&mut self.len, true);
        add(&mut self.expires, entry.expiry().is_some());
        add(&mut self.marked, entry.kind() == ValueKind::Marked);
        add(&mut self.expiring_hashes, has_expiring_fields(entry));
    }

    /// The segment for a new hash, split as often as needed to have room.
    fn room_for(&mut self, hash: u64) -> &mut Segment {
        if self.segments.is_empty() {
            self.segments.push(Segment::new(0, 0));
            self.directory = vec![0];
            self.depth = 0;
        }
        loop {
            let at = self.directory[self.slot(hash)] as usize;
            if self.segments[at].len() < ENTRIES_MAX {
                return &mut self.segments[at];
            }
            self.split(at);
        }
    }

    fn split(&mut self, at: usize) {
        if self.segments[at].depth == self.depth {
            self.directory = self.directory.iter().flat_map(|at| [*at, *at]).collect();
            self.depth += 1;
        }
        let upper = self.segments[at].split();
        let new = u32::try_from(self.segments.len()).expect("4 billion segments of 8 KiB do not fit in memory");
        self.point_to(&upper, new);
        self.segments.push(upper);
    }

    /// Points the directory's whole range of a segment to index `at`.
    fn point_to(&mut self, segment: &Segment, at: u32) {
        let first = self.slot(segment.prefix);
        let width = 1_usize << (self.depth - segment.depth);
        self.directory[first..first + width].fill(at);
    }

    /// Changes the bytes of an existing string; its form becomes raw, its expiry stays. `None` if the key is
    /// missing or holds something else. Costs a copy of a string up to 2 KiB.
    pub fn edit_string<R>(&mut self, key: &[u8], edit: impl FnOnce(&mut Vec<u8>) -> R) -> Option<R> {
        let slot = self.entry_slot(key)?;
        let (entry, result) = match slot.take()?.edit_string(edit) {
            Ok((entry, result)) => (entry, Some(result)),
            Err(entry) => (entry, None),
        };
        *slot = Some(entry);
        result
    }

    /// Sets the form of a string after an edit in place.
    pub fn set_form(&mut self, key: &[u8], form: StrForm) {
        if let Some(Some(entry)) = self.entry_slot(key)
            && entry.kind() == ValueKind::Str
        {
            entry.set_form(form);
        }
    }

    /// Says when or how often a key was used, if it is there.
    pub fn set_stamp(&mut self, key: &[u8], stamp: Stamp) {
        if let Some(Some(entry)) = self.entry_slot(key) {
            entry.set_stamp(stamp);
        }
    }

    /// Sets or takes away the expiry; `false` if the key is missing.
    pub fn set_expiry(&mut self, key: &[u8], expiry: Option<UnixMs>) -> bool {
        let Some(slot) = self.entry_slot(key) else { return false };
        let Some(entry) = slot.take() else { return false };
        let had = entry.expiry().is_some();
        *slot = Some(entry.with_expiry(expiry));
        self.expires = self.expires + usize::from(expiry.is_some()) - usize::from(had);
        true
    }

    /// Removes a key; answers its value and expiry.
    pub fn remove(&mut self, key: &[u8]) -> Option<(Value, Option<UnixMs>)> {
        let hash = hash(key);
        self.before_change(hash, key);
        let segment = self.segment_mut(hash)?;
        let place = segment.find(hash, key)?;
        let entry = segment.remove(hash, place)?;
        let sparse = segment.len() < MERGE_BELOW;
        self.count(&entry, -1);
        if sparse {
            self.merge_around(hash);
        }
        let expiry = entry.expiry();
        Some((entry.into_value(), expiry))
    }

    /// Joins the segment of a hash with its neighbour if both are nearly empty; frees everything with the last key.
    fn merge_around(&mut self, hash: u64) {
        if self.len == 0 {
            drop(self.take_all());
            return;
        }
        let at = self.directory[self.slot(hash)] as usize;
        let (prefix, depth) = (self.segments[at].prefix, self.segments[at].depth);
        if depth == 0 {
            return;
        }
        let other = self.directory[self.slot(prefix ^ (1 << (64 - depth)))] as usize;
        let fits = self.segments[other].depth == depth
            && self.segments[at].len() + self.segments[other].len() < MERGE_BELOW;
        if !fits {
            return;
        }
        let (keep, give) = (at.min(other), at.max(other));
        let given = self.segments.swap_remove(give);
        self.segments[keep].merge(given);
        for at in [keep, give] {
            let Some(segment) = self.segments.get(at) else { continue };
            let (first, width) = (self.slot(segment.prefix), 1_usize << (self.depth - segment.depth));
            self.directory[first..first + width].fill(u32::try_from(at).unwrap_or(u32::MAX));
        }
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.segments.iter().flat_map(Segment::iter).map(EntryRef)
    }

    /// One step of SCAN: hands at least one bucket and about `count` entries to `visit`; answers the next
    /// cursor, 0 at the end. Every key that is there during the whole walk is handed out exactly once, also when
    /// the table grows meanwhile; a table that shrinks may hand out some twice.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(EntryRef<'a>)) -> u64 {
        let mut hash = cursor << CURSOR_SHIFT;
        let (mut seen, mut buckets) = (0, 0);
        loop {
            let Some(segment) = self.segment(hash) else { return 0 };
            let bucket = segment.bucket_of(hash);
            for entry in segment.at_home(bucket) {
                seen += 1;
                visit(EntryRef(entry));
            }
            buckets += 1;
            match segment.hash_behind(bucket) {
                None => return 0,
                Some(next) => hash = next,
            }
            // As redis: empty buckets count too, so that a step over a sparse table ends.
            if seen >= count || buckets >= count.saturating_mul(10) {
                return hash >> CURSOR_SHIFT;
            }
        }
    }

    /// One step of a walk in the order of hashes: hands the next bucket's entries, with their hashes, to `visit` and
    /// answers where the walk goes on, `None` at the end. Unlike with `scan`, entries below `from` are never handed
    /// out, so that a table that shrinks hands out none twice.
    pub(super) fn walk<'a>(&'a self, from: u64, mut visit: impl FnMut(u64, EntryRef<'a>)) -> Option<u64> {
        let segment = self.segment(from)?;
        let bucket = segment.bucket_of(from);
        segment.prefetch_entries_behind(bucket);
        for entry in segment.at_home(bucket) {
            let hash = hash(entry.key());
            if hash >= from {
                visit(hash, EntryRef(entry));
            }
        }
        segment.hash_behind(bucket)
    }

    /// Any entry, by chance from `random`; `None` if empty.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<EntryRef<'_>> {
        for _ in 0..RANDOM_TRIES {
            let entry = self.segment(random())?.pick(random());
            if entry.is_some() {
                return entry.map(EntryRef);
            }
        }
        let start = random();
        let first = self.segments.iter().skip((start % self.segments.len().max(1) as u64) as usize);
        let bucket = (random() % BUCKETS as u64) as usize;
        first.chain(&self.segments).find_map(|segment| {
            (bucket..BUCKETS).chain(0..bucket).find_map(|at| segment.at_home(at).next()).map(EntryRef)
        })
    }
}

/// Is it a hash with fields that expire?
fn has_expiring_fields(entry: &Entry) -> bool {
    matches!(entry.value(), ValueRef::Hash(hash) if hash.has_expiring())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    fn key(n: u64) -> Vec<u8> {
        format!("key:{n}").into_bytes()
    }

    /// A seeded run of inserts, overwrites, removals and expiries against a HashMap.
    fn agrees_with_a_model(seed: u64, steps: u64, keys: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut keyspace = Keyspace::default();
        let mut model: HashMap<Vec<u8>, (Vec<u8>, Option<UnixMs>)> = HashMap::new();
        for _ in 0..steps {
            let key = key(rng.u64(..keys));
            let expiry = rng.bool().then(|| UnixMs(rng.i64(..)));
            match rng.u8(..10) {
                0..5 => {
                    let value = vec![b'v'; rng.usize(..24)];
                    keyspace.set_string(&key, &value, StrForm::Auto, expiry);
                    model.insert(key, (value, expiry));
                }
                5 => {
                    let edited = keyspace.edit_string(&key, |bytes| bytes.push(b'!'));
                    assert_eq!(edited, model.get_mut(&key).map(|(bytes, _)| bytes.push(b'!')));
                }
                6 => {
                    assert_eq!(keyspace.set_expiry(&key, expiry), model.contains_key(&key));
                    model.entry(key).and_modify(|e| e.1 = expiry);
                }
                _ => {
                    let removed =
                        keyspace.remove(&key).map(|(value, expiry)| (format!("{value:?}").len(), expiry));
                    assert_eq!(removed.is_some(), model.remove(&key).is_some());
                }
            }
        }
        assert_eq!(keyspace.len(), model.len(), "seed {seed}");
        assert_eq!(keyspace.expires(), model.values().filter(|e| e.1.is_some()).count(), "seed {seed}");
        for (key, (value, expiry)) in &model {
            let entry = keyspace.get(key).expect("in the model");
            let ValueRef::Str(bytes, _) = entry.value() else { panic!("a string") };
            assert_eq!((bytes, entry.expiry()), (&value[..], *expiry), "seed {seed}");
            assert!(keyspace.with_hash(hash(key)).map(|entry| entry.key()).eq([&key[..]]), "seed {seed}");
        }
        assert_eq!(keyspace.iter().count(), model.len());
        assert_eq!(walk(&keyspace, 10).len(), model.len());
    }

    /// All keys by SCAN; panics on a key handed out twice.
    fn walk(keyspace: &Keyspace, count: usize) -> HashSet<Vec<u8>> {
        let (mut seen, mut cursor) = (HashSet::new(), 0);
        loop {
            cursor = keyspace.scan(cursor, count, |entry| assert!(seen.insert(entry.key().to_vec())));
            if cursor == 0 {
                return seen;
            }
        }
    }

    #[test]
    fn agrees_with_a_hash_map() {
        let steps = if cfg!(miri) { 3_000 } else { 200_000 };
        for keys in [10, 1_000, 50_000] {
            agrees_with_a_model(keys, steps, keys);
        }
    }

    #[test]
    fn holds_more_than_a_million_keys_and_lets_go_of_them() {
        const KEYS: u64 = if cfg!(miri) { 3_000 } else { 1_200_000 };
        let mut keyspace = Keyspace::default();
        for n in 0..KEYS {
            keyspace.set_string(&key(n), &n.to_le_bytes(), StrForm::Auto, None);
        }
        assert_eq!(keyspace.len() as u64, KEYS);
        for n in 0..KEYS {
            let entry = keyspace.get(&key(n)).expect("inserted");
            assert!(matches!(entry.value(), ValueRef::Str(bytes, _) if bytes == n.to_le_bytes()));
            assert!(keyspace.get(&key(n + KEYS)).is_none());
        }
        for n in 0..KEYS {
            assert!(keyspace.remove(&key(n)).is_some());
        }
        assert!(keyspace.is_empty() && keyspace.segments.is_empty());
    }

    #[test]
    fn a_walk_hands_out_each_key_once_while_the_table_grows() {
        let mut keyspace = Keyspace::default();
        let there: HashSet<_> = (0..3_000).map(key).collect();
        there.iter().for_each(|key| drop(keyspace.set_string(key, b"", StrForm::Auto, None)));
        let (mut seen, mut cursor, mut n) = (HashSet::new(), 0, 3_000);
        loop {
            cursor = keyspace.scan(cursor, 10, |entry| assert!(seen.insert(entry.key().to_vec())));
            if cursor == 0 {
                break;
            }
            for _ in 0..20 {
                keyspace.set_string(&key(n), b"", StrForm::Auto, None);
                n += 1;
            }
        }
        assert!(seen.is_superset(&there));
    }

    #[test]
    fn reserved_room_needs_no_split() {
        let mut keyspace = Keyspace::default();
        keyspace.reserve(100_000);
        let segments = keyspace.segments.len();
        for n in 0..100_000 {
            keyspace.set_string(&key(n), b"", StrForm::Auto, None);
        }
        assert_eq!(keyspace.segments.len(), segments);
        assert_eq!(walk(&keyspace, 1000).len(), 100_000);
    }

    #[test]
    fn random_finds_the_only_key_of_a_sparse_table() {
        let mut keyspace = Keyspace::default();
        (0..20_000).for_each(|n| drop(keyspace.set_string(&key(n), b"", StrForm::Auto, None)));
        (1..20_000).for_each(|n| drop(keyspace.remove(&key(n))));
        let mut rng = fastrand::Rng::with_seed(1);
        assert_eq!(keyspace.random(|| rng.u64(..)).map(|entry| entry.key()), Some(&b"key:0"[..]));
        assert!(Keyspace::default().random(|| rng.u64(..)).is_none());
    }
}
