//! The body of one big value in parts, so that nobody is kept out of the data for as long as all of it takes.
//!
//! Between two parts only the place is kept: an index, a rank, a scan cursor. Each stays right as long as the value does
//! not change, which is the caller's to see to. What is not cut: single elements, blobs, and the groups of a stream.

use super::{hash, list, set, stream, zset};
use crate::dataset::hash::Hash;
use crate::dataset::hash::View as HashView;
use crate::dataset::list::{List, NodeRef};
use crate::dataset::packed::listpack::Element;
use crate::dataset::set::View as SetView;
use crate::dataset::stream::{Stream, StreamId};
use crate::dataset::zset::ZSet;
use crate::dataset::{Dialect, ValueRef};
use crate::rdb::primitive::{put_length, put_string};

/// Elements that are asked of a table, a tree or a list at a time.
const STEP: usize = 64;
/// Elements whose sizes are looked at to guess the size of all.
const SAMPLE: usize = 16;

/// How far a value has been written.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// Bytes of a string.
    Byte(usize),
    /// Nodes of a list.
    Node(usize),
    /// Elements of a list that goes one by one.
    Element(usize),
    /// Members of a set: the scan's cursor.
    Member(u64),
    /// The earliest expiry of the fields is looked for: the scan's cursor, and what it is so far.
    Earliest(u64, Option<i64>),
    /// Fields of a hash: the scan's cursor, and what their expiries count from.
    Field(u64, hash::Table),
    /// Members of a sorted set that are left; the highest go first.
    Rank(usize),
    /// Nodes of a stream: the key of the last one.
    StreamNode(Option<StreamId>),
}

/// Whether a value takes more than `bytes` in a snapshot, about, and can be cut. Costs a look at some elements.
pub fn is_big(value: ValueRef<'_>, bytes: usize) -> bool {
    match value {
        ValueRef::Str(text, _) => text.len() > bytes,
        ValueRef::List(list) => exceeds(list.nodes().map(node_len), bytes),
        ValueRef::Set(set) => {
            matches!(set.view(), SetView::Table) && guessed(set.iter().map(element_len), set.len()) > bytes
        }
        ValueRef::Hash(hash) => {
            let sizes = hash.iter().map(|entry| element_len(entry.field) + element_len(entry.value));
            matches!(hash.view(), HashView::Table) && guessed(sizes, hash.len()) > bytes
        }
        ValueRef::ZSet(zset) => {
            let sizes = zset.iter().map(|(member, _)| element_len(member) + size_of::<f64>());
            zset.as_listpack().is_none() && guessed(sizes, zset.len()) > bytes
        }
        ValueRef::Stream(stream) => exceeds(stream.nodes().map(|(_, node)| node.pack().byte_len()), bytes),
        ValueRef::Marked(_) => false,
    }
}

fn element_len(element: Element<'_>) -> usize {
    match element {
        Element::Str(text) => text.len() + 1,
        Element::Int(_) => size_of::<i64>(),
    }
}

fn node_len(node: NodeRef<'_>) -> usize {
    match node {
        NodeRef::Plain(bytes) => bytes.len(),
        NodeRef::Packed(pack) => pack.byte_len(),
    }
}

/// The sum is beyond `bytes`; looks at no more sizes than that needs.
fn exceeds(sizes: impl Iterator<Item = usize>, bytes: usize) -> bool {
    let mut sum = 0;
    sizes.into_iter().any(|size| {
        sum += size;
        sum > bytes
    })
}

/// The sum of `count` sizes, guessed from the first ones.
fn guessed(sizes: impl Iterator<Item = usize>, count: usize) -> usize {
    let looked_at = count.clamp(1, SAMPLE);
    sizes.take(looked_at).sum::<usize>().saturating_mul(count) / looked_at
}

/// Appends what is before the elements; answers the type byte and the place to go on at. Only for values that `is_big`
/// has said yes to.
pub fn begin(value: ValueRef<'_>, dialect: Dialect, out: &mut Vec<u8>) -> Option<(u8, Place)> {
    let old = dialect.is_before_redis_7();
    Some(match value {
        ValueRef::Str(text, _) => {
            put_length(out, text.len() as u64);
            (super::string::TYPE, Place::Byte(0))
        }
        ValueRef::List(list) if old => (list::begin_one_by_one(list, out), Place::Element(0)),
        ValueRef::List(list) => (list::begin(list, out), Place::Node(0)),
        ValueRef::Set(set) => (set::begin_one_by_one(set, out), Place::Member(0)),
        ValueRef::Hash(hash) => match hash::table(hash, dialect) {
            table @ hash::Table::RedisExpiry(_) => (table.type_byte(), Place::Earliest(0, None)),
            table => (table.begin(hash, out), Place::Field(0, table)),
        },
        ValueRef::ZSet(zset) => (zset::begin_one_by_one(zset, out), Place::Rank(zset.len())),
        ValueRef::Stream(stream) => (stream::begin(stream, dialect, out), Place::StreamNode(None)),
        ValueRef::Marked(_) => return None,
    })
}

/// Appends about `bytes` further bytes, at least one element; answers where to go on, `None` at the end.
pub fn go_on(
    value: ValueRef<'_>,
    place: Place,
    dialect: Dialect,
    bytes: usize,
    out: &mut Vec<u8>,
) -> Option<Place> {
    match (value, place) {
        (ValueRef::Str(text, _), Place::Byte(from)) => string(text, from, bytes, out),
        (ValueRef::List(list), Place::Node(from)) => nodes(list, from, dialect, bytes, out),
        (ValueRef::List(list), Place::Element(from)) => elements(list, from, bytes, out),
        (ValueRef::Set(set), Place::Member(cursor)) => {
            let step = |cursor, out: &mut Vec<u8>| set.scan(cursor, STEP, |member| put_element(member, out));
            scanned(cursor, bytes, out, step).map(Place::Member)
        }
        (ValueRef::Hash(hash), Place::Earliest(cursor, earliest)) => {
            Some(earliest_of(hash, cursor, earliest, out))
        }
        (ValueRef::Hash(hash), Place::Field(cursor, table)) => {
            let step = |cursor, out: &mut Vec<u8>| hash.scan(cursor, STEP, |entry| table.put(entry, out));
            scanned(cursor, bytes, out, step).map(|cursor| Place::Field(cursor, table))
        }
        (ValueRef::ZSet(zset), Place::Rank(left)) => members(zset, left, bytes, out),
        (ValueRef::Stream(stream), Place::StreamNode(last)) => stream_nodes(stream, last, dialect, bytes, out),
        // Another value than the one that was begun: nothing that could be appended would be right.
        _ => None,
    }
}

fn string(text: &[u8], from: usize, bytes: usize, out: &mut Vec<u8>) -> Option<Place> {
    let end = from.saturating_add(bytes.max(1)).min(text.len());
    out.extend_from_slice(text.get(from..end).unwrap_or_default());
    (end < text.len()).then_some(Place::Byte(end))
}

fn nodes(list: &List, from: usize, dialect: Dialect, bytes: usize, out: &mut Vec<u8>) -> Option<Place> {
    let (start, mut at) = (out.len(), from);
    for node in list.nodes_from(from) {
        if at > from && out.len() - start >= bytes {
            return Some(Place::Node(at));
        }
        list::put_node(node, dialect, out);
        at += 1;
    }
    None
}

fn elements(list: &List, from: usize, bytes: usize, out: &mut Vec<u8>) -> Option<Place> {
    let (start, mut at) = (out.len(), from);
    for element in list.iter_from(from) {
        if at > from && out.len() - start >= bytes {
            return Some(Place::Element(at));
        }
        put_element(element, out);
        at += 1;
    }
    None
}

fn put_element(element: Element<'_>, out: &mut Vec<u8>) {
    put_string(out, element.text(&mut Default::default()));
}

/// Steps of a scan until enough has come; the cursor, `None` at the end.
fn scanned(
    mut cursor: u64,
    bytes: usize,
    out: &mut Vec<u8>,
    step: impl Fn(u64, &mut Vec<u8>) -> u64,
) -> Option<u64> {
    let start = out.len();
    loop {
        cursor = step(cursor, out);
        if cursor == 0 {
            return None;
        }
        if out.len() - start >= bytes {
            return Some(cursor);
        }
    }
}

/// As many fields as a part would hold; behind the last one the body begins.
fn earliest_of(hash: &Hash, mut cursor: u64, mut earliest: Option<i64>, out: &mut Vec<u8>) -> Place {
    const FIELDS: usize = 4096;
    cursor = hash.scan(cursor, FIELDS, |entry| {
        let at = entry.expiry.map(|at| at.0);
        earliest = earliest.into_iter().chain(at).min();
    });
    if cursor != 0 {
        return Place::Earliest(cursor, earliest);
    }
    let table = hash::Table::RedisExpiry(earliest.unwrap_or(0));
    table.begin(hash, out);
    Place::Field(0, table)
}

fn members(zset: &ZSet, mut left: usize, bytes: usize, out: &mut Vec<u8>) -> Option<Place> {
    let start = out.len();
    while left > 0 {
        let next = left.saturating_sub(STEP);
        zset.range(next..left).rev().for_each(|(member, score)| zset::put_pair(member, score, out));
        left = next;
        if out.len() - start >= bytes {
            break;
        }
    }
    (left > 0).then_some(Place::Rank(left))
}

fn stream_nodes(
    stream: &Stream,
    last: Option<StreamId>,
    dialect: Dialect,
    bytes: usize,
    out: &mut Vec<u8>,
) -> Option<Place> {
    let (start, mut at) = (out.len(), last);
    for (key, node) in stream.nodes_behind(last) {
        if at != last && out.len() - start >= bytes {
            return Some(Place::StreamNode(at));
        }
        stream::put_node(key, node, dialect, out);
        at = Some(key);
    }
    stream::end(stream, dialect, out);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Bench;
    use crate::position::DbIndex;

    const DIALECTS: [Dialect; 5] = [
        Dialect::Redis(6, 0),
        Dialect::Redis(7, 0),
        Dialect::Redis(8, 0),
        Dialect::Valkey(8, 1),
        Dialect::Valkey(9, 1),
    ];

    /// A big value of every kind, with keys that name them.
    fn bench() -> Bench {
        let mut bench = Bench::after(&["XGROUP CREATE x g 0 MKSTREAM"]);
        let long = "v".repeat(200);
        bench.apply(&format!("SET s {}", "s".repeat(30_000))).expect("applies");
        for n in 0..700 {
            for line in [
                format!("RPUSH l {n} {long}{n}"),
                format!("SADD set {n} member-{n}"),
                format!("HSET h f{n} {long}"),
                format!("HSET e f{n} {long}"),
                format!("ZADD z {n}.5 m{n}"),
                format!("XADD x {}-1 f {long}", n + 1),
            ] {
                bench.apply(&line).expect("applies");
            }
            if n % 3 == 0 {
                let line = format!("HPEXPIREAT e {} FIELDS 1 f{n}", 2_000_000_000_000_u64 + n);
                bench.apply(&line).expect("applies");
            }
        }
        bench.apply("XCLAIM x g c 0 5-1 TIME 9 RETRYCOUNT 2 FORCE JUSTID LASTID 5-1").expect("applies");
        bench
    }

    #[test]
    fn the_parts_together_are_the_whole() {
        let bench = bench();
        let keyspace = bench.data.db(DbIndex(0)).expect("database 0");
        for (dialect, bytes) in DIALECTS.into_iter().flat_map(|dialect| [1, 500, 5_000].map(|n| (dialect, n))) {
            for entry in keyspace.iter() {
                let (value, name) = (entry.value(), entry.key().escape_ascii());
                if entry.key() == b"e" && !dialect.has_field_expiry() {
                    continue;
                }
                assert!(is_big(value, 5_000), "{name}");
                let mut whole = Vec::new();
                let type_byte = crate::rdb::object::save(value, dialect, &mut whole);
                let (mut parts, mut count, mut longest) = (Vec::new(), 0, 0);
                let (begun, place) = begin(value, dialect, &mut parts).expect("can be cut");
                let mut place = Some(place);
                while let Some(at) = place {
                    let before = parts.len();
                    place = go_on(value, at, dialect, bytes, &mut parts);
                    (count, longest) = (count + 1, longest.max(parts.len() - before));
                }
                assert_eq!(Some(begun), type_byte, "{name} for {dialect:?}");
                let as_scanned = matches!(value, ValueRef::Set(_) | ValueRef::Hash(_));
                if as_scanned {
                    // In another order: the same bytes, and the same value when they are read.
                    parts.sort_unstable();
                    whole.sort_unstable();
                }
                assert!(parts == whole, "{name} for {dialect:?}: {} and {} bytes", parts.len(), whole.len());
                assert!(count >= 2 && longest <= bytes + 32_000, "{name}: {count} parts up to {longest}");
            }
        }
    }

    #[test]
    fn small_and_packed_values_are_not_big() {
        let bench =
            Bench::after(&["SET s text", "RPUSH l a b", "SADD i 1 2", "SADD s2 a", "HSET h f v", "ZADD z 1 m"]);
        let keyspace = bench.data.db(DbIndex(0)).expect("database 0");
        assert!(keyspace.iter().all(|entry| !is_big(entry.value(), 100)));
    }
}
