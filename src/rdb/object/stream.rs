//! Streams of all three versions: 15 (redis 5 and 6), 19 (7.0), 21 (7.2 and later, valkey).
//!
//! Nodes are checked once and kept as they are. What a version does not say is derived as redis 7.0 does it.

use crate::clock::UnixMs;
use crate::dataset::stream::{Counters, Group, Node, Stream, StreamId};
use crate::dataset::{Dialect, EncodingLimits, Value};
use crate::rdb::LoadError;
use crate::rdb::primitive::{length, put_length, put_listpack, put_plain, put_string, string};
use crate::rdb::source::Source;
use std::collections::BTreeMap;

/// Redis 5 and 6: neither first id nor counters.
const VERSION_1: u8 = 15;
/// Redis 7.0: with counters, without the time a consumer was last given something.
const VERSION_2: u8 = 19;
/// Redis 7.2 and later, Valkey: everything.
const VERSION_3: u8 = 21;

/// Entries read as the wire has it where nobody knows.
const ENTRIES_READ_UNKNOWN: u64 = u64::MAX;

/// Reads a stream. An empty one is a value too. Refused are: nodes that are not well formed or have the same key,
/// a length without nodes, groups, consumers or pending entries that come twice, and pending entries whose owner
/// is missing or not the only one.
pub fn load(src: &mut Source<'_>, type_byte: u8, limits: &EncodingLimits) -> Result<Option<Value>, LoadError> {
    let mut stream = Stream::default();
    for _ in 0..length(src)? {
        load_node(src, &mut stream)?;
    }
    load_counters(src, type_byte, &mut stream)?;
    if !stream.is_empty() && stream.nodes().len() == 0 {
        return Err(src.error("stream: entries are counted and no node is there"));
    }
    for _ in 0..length(src)? {
        load_group(src, type_byte, limits, &mut stream)?;
    }
    Ok(Some(Value::Stream(Box::new(stream))))
}

fn load_node(src: &mut Source<'_>, stream: &mut Stream) -> Result<(), LoadError> {
    let Ok(key) = <[u8; 16]>::try_from(string(src)?) else {
        return Err(src.error("stream: the key of a node is not an id"));
    };
    let node = Node::parse(string(src)?).map_err(|corrupt| src.error(corrupt))?;
    if !stream.insert_node(StreamId::from_bytes(key), node) {
        return Err(src.error("stream: two nodes with the same key"));
    }
    Ok(())
}

fn load_counters(src: &mut Source<'_>, type_byte: u8, stream: &mut Stream) -> Result<(), LoadError> {
    let mut counters = Counters { length: length(src)?, last_id: id(src)?, ..Counters::default() };
    if type_byte == VERSION_1 {
        counters.entries_added = counters.length;
        stream.set_counters(counters);
        counters.first_id = stream.first_live_id();
    } else {
        counters.first_id = id(src)?;
        counters.max_deleted_id = id(src)?;
        counters.entries_added = length(src)?;
    }
    stream.set_counters(counters);
    Ok(())
}

/// An id as two lengths.
fn id(src: &mut Source<'_>) -> Result<StreamId, LoadError> {
    Ok(StreamId::new(length(src)?, length(src)?))
}

fn load_group(
    src: &mut Source<'_>,
    type_byte: u8,
    limits: &EncodingLimits,
    stream: &mut Stream,
) -> Result<(), LoadError> {
    let name = string(src)?.to_vec();
    let last_id = id(src)?;
    let entries_read = if type_byte == VERSION_1 {
        stream.entries_up_to(last_id, limits.dialect)
    } else {
        Some(length(src)?).filter(|n| *n != ENTRIES_READ_UNKNOWN)
    };
    let mut group = Group::new(last_id, entries_read);
    let mut unowned = load_pending(src)?;
    for _ in 0..length(src)? {
        load_consumer(src, type_byte, &mut group, &mut unowned)?;
    }
    if !unowned.is_empty() {
        return Err(src.error("stream: a pending entry without a consumer"));
    }
    if !stream.insert_group(&name, group) {
        return Err(src.error("stream: two groups with the same name"));
    }
    Ok(())
}

/// The group's own list: when and how often each entry was delivered.
fn load_pending(src: &mut Source<'_>) -> Result<BTreeMap<StreamId, (UnixMs, u64)>, LoadError> {
    let mut pending = BTreeMap::new();
    for _ in 0..length(src)? {
        let id = StreamId::from_bytes(src.array()?);
        let delivery = (UnixMs(src.i64_le()?), length(src)?);
        if pending.insert(id, delivery).is_some() {
            return Err(src.error("stream: two pending entries with the same id"));
        }
    }
    Ok(pending)
}

fn load_consumer(
    src: &mut Source<'_>,
    type_byte: u8,
    group: &mut Group,
    unowned: &mut BTreeMap<StreamId, (UnixMs, u64)>,
) -> Result<(), LoadError> {
    let name = string(src)?.to_vec();
    let seen = UnixMs(src.i64_le()?);
    let active = match type_byte {
        VERSION_1 | VERSION_2 => Some(seen),
        _ => Some(UnixMs(src.i64_le()?)).filter(|time| time.0 != -1),
    };
    if !group.create_consumer(&name, seen, active) {
        return Err(src.error("stream: two consumers with the same name"));
    }
    for _ in 0..length(src)? {
        let id = StreamId::from_bytes(src.array()?);
        let Some((delivered, deliveries)) = unowned.remove(&id) else {
            return Err(src.error("stream: a consumer's pending entry is not the group's, or has two consumers"));
        };
        group.assign(id, &name, delivered, deliveries);
    }
    Ok(())
}

/// Writes a stream in the version of this dialect's servers; answers its type byte. What an older version cannot
/// hold is left out.
pub fn save(stream: &Stream, dialect: Dialect, out: &mut Vec<u8>) -> u8 {
    let type_byte = begin(stream, dialect, out);
    stream.nodes().for_each(|(key, node)| put_node(key, node, dialect, out));
    end(stream, dialect, out);
    type_byte
}

/// Appends what is before the nodes; answers the type byte.
pub(super) fn begin(stream: &Stream, dialect: Dialect, out: &mut Vec<u8>) -> u8 {
    put_length(out, stream.nodes().len() as u64);
    version(dialect)
}

pub(super) fn put_node(key: StreamId, node: &Node, dialect: Dialect, out: &mut Vec<u8>) {
    put_plain(out, &key.to_bytes());
    put_listpack(out, node.pack(), dialect);
}

/// Appends what is behind the nodes: counters and groups.
pub(super) fn end(stream: &Stream, dialect: Dialect, out: &mut Vec<u8>) {
    let type_byte = version(dialect);
    let counters = stream.counters();
    put_length(out, counters.length);
    put_id(out, counters.last_id);
    if type_byte != VERSION_1 {
        put_id(out, counters.first_id);
        put_id(out, counters.max_deleted_id);
        put_length(out, counters.entries_added);
    }
    put_length(out, stream.groups().len() as u64);
    for (name, group) in stream.groups() {
        put_string(out, name);
        put_id(out, group.last_id);
        if type_byte != VERSION_1 {
            put_length(out, group.entries_read.unwrap_or(ENTRIES_READ_UNKNOWN));
        }
        save_consumers(group, type_byte, out);
    }
}

fn version(dialect: Dialect) -> u8 {
    match dialect {
        Dialect::Redis(..=6, _) => VERSION_1,
        Dialect::Redis(7, 0..=1) => VERSION_2,
        _ => VERSION_3,
    }
}

fn save_consumers(group: &Group, type_byte: u8, out: &mut Vec<u8>) {
    put_length(out, group.pending_len() as u64);
    for (id, pending) in group.pending_from(StreamId::MIN) {
        out.extend_from_slice(&id.to_bytes());
        out.extend_from_slice(&pending.delivered.0.to_le_bytes());
        put_length(out, pending.deliveries);
    }
    put_length(out, group.consumers().len() as u64);
    for (name, consumer) in group.consumers() {
        put_string(out, name);
        out.extend_from_slice(&consumer.seen.0.to_le_bytes());
        if type_byte == VERSION_3 {
            out.extend_from_slice(&consumer.active.map_or(-1, |time| time.0).to_le_bytes());
        }
        put_length(out, consumer.pending_len() as u64);
        for id in consumer.pending_from(StreamId::MIN) {
            out.extend_from_slice(&id.to_bytes());
        }
    }
}

fn put_id(out: &mut Vec<u8>, id: StreamId) {
    put_length(out, id.ms);
    put_length(out, id.seq);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId::new(ms, 1)
    }

    /// Three entries, one deleted; two groups, two consumers, one pending entry.
    fn sample() -> Stream {
        let mut stream = Stream::default();
        for ms in 1..=3 {
            stream.append(id(ms), &[b"f", b"v"], &EncodingLimits::default()).unwrap();
        }
        stream.delete(&[id(2)]);
        let mut group = Group::new(id(1), Some(1));
        group.create_consumer(b"c", UnixMs(7), Some(UnixMs(6)));
        group.create_consumer(b"12", UnixMs(5), None);
        group.assign(id(1), b"c", UnixMs(4), 2);
        stream.insert_group(b"g", group);
        stream.insert_group(b"h", Group::new(id(9), None));
        stream
    }

    fn loaded(type_byte: u8, bytes: &[u8]) -> Result<Stream, LoadError> {
        match load(&mut Source::from_slice(bytes), type_byte, &EncodingLimits::default())? {
            Some(Value::Stream(stream)) => Ok(*stream),
            other => panic!("{other:?}"),
        }
    }

    fn saved(stream: &Stream, type_byte: u8) -> Vec<u8> {
        let dialect = match type_byte {
            VERSION_1 => Dialect::Redis(6, 0),
            VERSION_2 => Dialect::Redis(7, 0),
            _ => Dialect::Redis(8, 0),
        };
        let mut out = Vec::new();
        assert_eq!(save(stream, dialect, &mut out), type_byte);
        out
    }

    #[test]
    fn the_newest_version_holds_everything() {
        let stream = sample();
        assert_eq!(loaded(VERSION_3, &saved(&stream, VERSION_3)), Ok(stream));
        assert_eq!(loaded(VERSION_3, &saved(&Stream::default(), VERSION_3)), Ok(Stream::default()));
    }

    #[test]
    fn older_versions_say_less_and_the_rest_is_derived() {
        let mut expected = sample();
        for (consumer, seen) in [(&b"c"[..], 7), (b"12", 5)] {
            let group = expected.group_mut(b"g").unwrap();
            group.consumer_mut(consumer).unwrap().active = Some(UnixMs(seen));
        }
        assert_eq!(loaded(VERSION_2, &saved(&sample(), VERSION_2)).as_ref(), Ok(&expected));
        // Without counters: two entries were ever added, nothing was deleted, the group stands on the first entry.
        let counters = expected.counters();
        expected.set_counters(Counters { max_deleted_id: StreamId::MIN, entries_added: 2, ..counters });
        assert_eq!(loaded(VERSION_1, &saved(&sample(), VERSION_1)), Ok(expected));
    }

    #[test]
    fn a_node_is_written_as_its_reader_wants_it() {
        // 16378 bytes make an element of 16383, whose back length valkey 9.1 shortens.
        let mut stream = Stream::default();
        stream.append(id(1), &[b"f", &[b'w'; 16_378]], &EncodingLimits::default()).unwrap();
        let of = |dialect| {
            let mut out = Vec::new();
            assert_eq!(save(&stream, dialect, &mut out), VERSION_3);
            out
        };
        let (long, short) = (of(Dialect::Valkey(8, 1)), of(Dialect::Valkey(9, 1)));
        assert_eq!(long.len(), short.len() + 1);
        assert_eq!(loaded(VERSION_3, &long).map(|stream| stream.len()), Ok(1));
        assert_eq!(loaded(VERSION_3, &short).map(|stream| stream.len()), Ok(1));
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let whole = saved(&sample(), VERSION_3);
        // Nodes: their number and the 16 bytes of a key in front, then the blob.
        let blob = usize::from(whole[18]);
        let mut twice = vec![2];
        twice.extend_from_slice(&whole[1..19 + blob]);
        twice.extend_from_slice(&whole[1..]);
        let no_nodes = [&[0][..], &whole[19 + blob..]].concat();
        let short_key = [&[1, 15][..], &whole[2..]].concat();
        let mut bad_node = whole.clone();
        bad_node[19 + 6] = 9;
        for (bytes, what) in [
            (twice, "same key"),
            (no_nodes, "no node is there"),
            (short_key, "not an id"),
            (bad_node, "stream node"),
            (whole[..whole.len() - 1].to_vec(), "too early"),
        ] {
            let error = loaded(VERSION_3, &bytes).expect_err(what).to_string();
            assert!(error.contains(what), "{error}, not {what}");
        }
    }

    /// A stream without entries, with these groups.
    fn with_groups(groups: &[&[u8]]) -> Vec<u8> {
        let head = [0; 9];
        [&head[..], &[groups.len() as u8], &groups.concat()].concat()
    }

    #[test]
    fn pending_entries_have_exactly_one_consumer() {
        let pending = |n: u8| {
            let entry = [&id(1).to_bytes()[..], &[0; 8], &[1]].concat();
            [&[1, b'g', 0, 0, 0, n][..], &entry.repeat(usize::from(n))].concat()
        };
        let consumer =
            |name: u8, n: u8| [&[1, name][..], &[0; 16], &[n], &id(1).to_bytes().repeat(usize::from(n))].concat();
        let group = |pel: u8, consumers: &[Vec<u8>]| {
            [&pending(pel)[..], &[consumers.len() as u8], &consumers.concat()].concat()
        };
        let one = group(1, &[consumer(b'c', 1)]);
        assert_eq!(loaded(VERSION_3, &with_groups(&[&one])).map(|stream| stream.groups().len()), Ok(1));
        for (groups, what) in [
            (vec![&one, &one], "groups with the same name"),
            (vec![&group(1, &[])], "without a consumer"),
            (vec![&group(2, &[consumer(b'c', 1)])], "pending entries with the same id"),
            (vec![&group(0, &[consumer(b'c', 1)])], "not the group's"),
            (vec![&group(1, &[consumer(b'c', 2)])], "not the group's"),
            (vec![&group(1, &[consumer(b'c', 1), consumer(b'd', 1)])], "has two consumers"),
            (vec![&group(1, &[consumer(b'c', 1), consumer(b'c', 0)])], "consumers with the same name"),
        ] {
            let groups: Vec<&[u8]> = groups.into_iter().map(Vec::as_slice).collect();
            let error = loaded(VERSION_3, &with_groups(&groups)).expect_err(what).to_string();
            assert!(error.contains(what), "{error}, not {what}");
        }
    }
}
