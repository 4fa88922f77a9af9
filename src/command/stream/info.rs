//! XINFO, in the form of redis 8.0 and valkey 8.1 whatever the master is (older servers have fewer fields), and the
//! two HELP texts.

use super::no_group;
use super::read::{write_entries, write_entry, write_id};
use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::context::ReadCx;
use crate::dataset::Dialect;
use crate::dataset::stream::{Consumer, Group, Stream, StreamId};
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

/// Entries that FULL shows without COUNT.
const FULL_COUNT_DEFAULT: usize = 10;

/// `XINFO STREAM key [FULL [COUNT n]]`
pub(super) fn stream(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    // Missing keys are refused before options, as the servers do.
    let stream = required(cx, args.require()?)?;
    let full = full_option(args)?;
    out.map(if full.is_some() { 9 } else { 10 });
    head(stream, out);
    match full {
        Some(count) => full_tail(stream, count, cx.dialect(), out),
        None => tail(stream, out),
    }
    Ok(())
}

fn required<'a>(cx: &ReadCx<'a>, key: &[u8]) -> Result<&'a Stream, Refusal> {
    cx.stream(key)?.ok_or(Refusal::NO_SUCH_KEY)
}

/// `None` without FULL; else how much of every list is shown.
fn full_option(args: &mut Args<'_>) -> Result<Option<usize>, Refusal> {
    let sub = String::from_utf8_lossy(args.word(1).unwrap_or_default()).into_owned();
    let words = args.remaining();
    if words == 0 {
        return Ok(None);
    }
    let wrong = || {
        Refusal::text(format!("ERR unknown subcommand or wrong number of arguments for '{sub}'. Try XINFO HELP."))
    };
    if !matches!(words, 1 | 3) || !args.take("FULL") {
        return Err(wrong());
    }
    if args.is_empty() {
        return Ok(Some(FULL_COUNT_DEFAULT));
    }
    if !args.take("COUNT") {
        return Err(wrong());
    }
    Ok(Some(match args.integer()? {
        0 => usize::MAX,
        count => usize::try_from(count).unwrap_or(FULL_COUNT_DEFAULT),
    }))
}

fn head(stream: &Stream, out: &mut Reply) {
    let counters = stream.counters();
    number(out, "length", counters.length);
    number(out, "radix-tree-keys", stream.nodes().len() as u64);
    number(out, "radix-tree-nodes", radix_tree_nodes(stream.nodes().map(|(key, _)| key)));
    out.bulk("last-generated-id");
    write_id(out, counters.last_id);
    out.bulk("max-deleted-entry-id");
    write_id(out, counters.max_deleted_id);
    number(out, "entries-added", counters.entries_added);
    out.bulk("recorded-first-entry-id");
    write_id(out, counters.first_id);
}

fn tail(stream: &Stream, out: &mut Reply) {
    number(out, "groups", stream.groups().len() as u64);
    let ends = [
        ("first-entry", stream.entries().next()),
        ("last-entry", stream.range_back(StreamId::MIN, StreamId::MAX).next()),
    ];
    for (name, entry) in ends {
        out.bulk(name);
        match entry {
            Some(entry) => write_entry(out, entry),
            None => out.null(),
        }
    }
}

fn full_tail(stream: &Stream, count: usize, dialect: Dialect, out: &mut Reply) {
    out.bulk("entries");
    write_entries(out, stream.entries().take(count));
    out.bulk("groups");
    out.array(stream.groups().len());
    for (name, group) in stream.groups() {
        out.map(7);
        out.bulk("name");
        out.bulk(name);
        progress(stream, group, dialect, out);
        number(out, "pel-count", group.pending_len() as u64);
        out.bulk("pending");
        out.array(group.pending_len().min(count));
        for (id, pending) in group.pending_from(StreamId::MIN).take(count) {
            out.array(4);
            write_id(out, id);
            out.bulk(pending.owner());
            out.integer(pending.delivered.0);
            out.integer(pending.deliveries.cast_signed());
        }
        out.bulk("consumers");
        out.array(group.consumers().len());
        for (name, consumer) in group.consumers() {
            full_consumer(name, consumer, group, count, out);
        }
    }
}

fn full_consumer(name: &[u8], consumer: &Consumer, group: &Group, count: usize, out: &mut Reply) {
    out.map(5);
    out.bulk("name");
    out.bulk(name);
    out.bulk("seen-time");
    out.integer(consumer.seen.0);
    out.bulk("active-time");
    out.integer(consumer.active.map_or(-1, |time| time.0));
    number(out, "pel-count", consumer.pending_len() as u64);
    out.bulk("pending");
    out.array(consumer.pending_len().min(count));
    for id in consumer.pending_from(StreamId::MIN).take(count) {
        let pending = group.pending(id);
        out.array(3);
        write_id(out, id);
        out.integer(pending.map_or(0, |pending| pending.delivered.0));
        out.integer(pending.map_or(0, |pending| pending.deliveries.cast_signed()));
    }
}

/// `XINFO GROUPS key`
pub(super) fn groups(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let stream = required(cx, args.require()?)?;
    let dialect = cx.dialect();
    out.array(stream.groups().len());
    for (name, group) in stream.groups() {
        out.map(6);
        out.bulk("name");
        out.bulk(name);
        number(out, "consumers", group.consumers().len() as u64);
        number(out, "pending", group.pending_len() as u64);
        progress(stream, group, dialect, out);
    }
    Ok(())
}

/// How far a group has come.
fn progress(stream: &Stream, group: &Group, dialect: Dialect, out: &mut Reply) {
    out.bulk("last-delivered-id");
    write_id(out, group.last_id);
    out.bulk("entries-read");
    integer_or_null(out, group.entries_read.map(u64::cast_signed));
    out.bulk("lag");
    integer_or_null(out, stream.lag(group, dialect));
}

/// `XINFO CONSUMERS key group`
pub(super) fn consumers(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let (key, name) = (args.require()?, args.require()?);
    let group = required(cx, key)?.group(name).ok_or_else(|| no_group(key, name))?;
    out.array(group.consumers().len());
    for (name, consumer) in group.consumers() {
        out.map(4);
        out.bulk("name");
        out.bulk(name);
        number(out, "pending", consumer.pending_len() as u64);
        out.bulk("idle");
        out.integer(since(cx.now, consumer.seen).max(0));
        out.bulk("inactive");
        out.integer(consumer.active.map_or(-1, |time| since(cx.now, time)));
    }
    Ok(())
}

/// Milliseconds from `then` to `now`.
pub(super) fn since(now: UnixMs, then: UnixMs) -> i64 {
    now.0.saturating_sub(then.0)
}

fn number(out: &mut Reply, name: &str, n: u64) {
    out.bulk(name);
    out.integer(n.cast_signed());
}

fn integer_or_null(out: &mut Reply, n: Option<i64>) {
    match n {
        Some(n) => out.integer(n),
        None => out.null(),
    }
}

/// Nodes that the servers' radix tree of these ascending keys has. For XINFO only: nothing here is a radix tree.
/// Each place where keys part is a node, so is each key's end, and so are the bytes on the way from one of these to
/// the next. Costs a look at each key.
fn radix_tree_nodes(keys: impl Iterator<Item = StreamId>) -> u64 {
    /// Above everything: keys that part at their first byte have nothing in front of it.
    const ROOT: i32 = -1;
    // A parting node holds the byte at which the ways part, so it takes two more to have bytes on the way.
    let with_way = |depth: i32, above: i32| 1 + u64::from(depth - above > 1);
    let mut keys = keys.map(StreamId::to_bytes).peekable();
    let (mut nodes, mut before) = (0, ROOT);
    // Where the keys part on the way to the current one.
    let mut open: Vec<i32> = Vec::new();
    while let Some(key) = keys.next() {
        let shared = keys.peek().map_or(ROOT, |next| {
            (0..).zip(key.iter().zip(next)).find(|(_, (a, b))| a != b).map_or(16, |(at, _)| at)
        });
        nodes += with_way(16, before.max(shared));
        while let Some(depth) = open.pop_if(|depth| *depth > shared) {
            nodes += with_way(depth, open.last().map_or(shared, |above| shared.max(*above)));
        }
        if shared > ROOT && open.last() != Some(&shared) {
            open.push(shared);
        }
        before = shared;
    }
    nodes.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn radix_tree_nodes_are_counted_as_real_servers_have_them() {
        // Counts of XINFO STREAM on redis 7.0 with `stream-node-max-entries 1` and these ids added in order.
        for (ids, nodes) in [
            (&[][..], 1),
            (&[(1, 1)][..], 2),
            (&[(1, 1), (1, 2)], 4),
            (&[(1, 1), (1, 2), (2, 0)], 8),
            (&[(1, 1), (1 << 63, 0)], 5),
            (&[(1, 1), (1, 256), (1, 257), (1, 65_536), (300, 7)], 14),
        ] {
            let keys = ids.iter().map(|&(ms, seq)| StreamId::new(ms, seq));
            assert_eq!(radix_tree_nodes(keys), nodes, "{ids:?}");
        }
    }
}
