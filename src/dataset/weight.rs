//! How much memory a key takes here: its block, what is behind it, its share of the table.
//!
//! Blocks count as the allocator hands them out. Packed values are exact; of tables and trees the sizes of their parts
//! are summed up, which costs one step a page or node (some hundred members).

use super::keyspace::EntryRef;
use super::segment::Segment;
use super::value::ValueRef;
use crate::allocator::taken;

/// Fewer members of a big sorted set than this are not worth choosing from.
const SAMPLES_MIN: usize = 1024;

/// Bytes that a key takes. `samples` members of big sorted sets are looked at, but 1024 at least; 0 is all.
pub fn of(entry: EntryRef<'_>, samples: usize) -> usize {
    let own: usize = entry.blocks().into_iter().map(taken).sum();
    let samples = if samples == 0 { 0 } else { samples.max(SAMPLES_MIN) };
    let behind = match entry.value() {
        ValueRef::Str(..) => 0,
        ValueRef::List(list) => list.blocks().map(taken).sum(),
        ValueRef::Set(set) => set.heap_bytes(),
        ValueRef::ZSet(zset) => zset.heap_bytes(samples),
        ValueRef::Hash(hash) => hash.heap_bytes(),
        ValueRef::Stream(stream) => stream.heap_bytes(),
        ValueRef::Marked(marked) => taken(marked.module.len()),
    };
    own + behind + Segment::BYTES_PER_KEY
}
