//! OBJECT: how a value is kept.

use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::context::{ReadCx, SessionCx};
use crate::dataset::list::NodeRef;
use crate::dataset::{Dialect, EncodingLimits, EntryRef, StrForm, ValueRef};
use crate::rdb::save::dump_payload;
use crate::resp::number::parse_integer;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

pub(super) fn encoding(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let entry = cx.lookup(args.require()?)?;
    out.bulk_or_null(entry.map(|entry| encoding_of(&entry, &cx.data.limits)));
    Ok(())
}

fn encoding_of(entry: &EntryRef<'_>, limits: &EncodingLimits) -> &'static str {
    match entry.value() {
        ValueRef::Str(text, StrForm::Auto) if parse_integer(text).is_some() => "int",
        ValueRef::Str(text, StrForm::Auto) if is_embedded(entry, text.len(), limits.dialect) => "embstr",
        ValueRef::Str(..) => "raw",
        ValueRef::List(list) => list.encoding(limits.dialect),
        ValueRef::Set(set) => set.encoding(),
        ValueRef::ZSet(zset) => zset.encoding(limits),
        ValueRef::Hash(hash) => hash.encoding(limits.dialect),
        ValueRef::Stream(_) => "stream",
        ValueRef::Marked(_) => "raw",
    }
}

/// Do the servers keep a string in one block with its object? Since Valkey 8.1 key and expiry have to fit too
/// (measured on 8.1 and 9.1).
fn is_embedded(entry: &EntryRef<'_>, len: usize, dialect: Dialect) -> bool {
    let key = entry.key().len();
    let with_key = len + key + if entry.expiry().is_some() { 8 } else { 0 };
    match dialect {
        Dialect::Redis(..) | Dialect::Valkey(..=7, _) | Dialect::Valkey(8, 0) => len <= 44,
        Dialect::Valkey(8, _) => with_key <= 41,
        // A long key has a longer header.
        Dialect::Valkey(..) => with_key + if key > 31 { 2 } else { 0 } <= 113,
    }
}

/// Counters of use are not kept: remora evicts nothing.
pub(super) fn freq(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    if cx.lookup(args.require()?)?.is_some() {
        return Err(Refusal::text(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
             switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    out.null();
    Ok(())
}

/// Times of use are not kept: a key that is there was used now.
pub(super) fn idletime(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    match cx.lookup(args.require()?)? {
        Some(_) => out.integer(0),
        None => out.null(),
    }
    Ok(())
}

/// The numbers that Redis shares; Valkey since 8.1 shares none.
const SHARED_INTEGERS: std::ops::Range<i64> = 0..10_000;

pub(super) fn refcount(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let Some(entry) = cx.lookup(args.require()?)? else {
        out.null();
        return Ok(());
    };
    out.integer(refcount_of(&entry, cx.dialect()));
    Ok(())
}

fn refcount_of(entry: &EntryRef<'_>, dialect: Dialect) -> i64 {
    let shares = dialect < Dialect::Valkey(8, 1);
    let is_shared = match entry.value() {
        ValueRef::Str(text, StrForm::Auto) => parse_integer(text).is_some_and(|n| SHARED_INTEGERS.contains(&n)),
        _ => false,
    };
    if shares && is_shared { i64::from(i32::MAX) } else { 1 }
}

/// DEBUG OBJECT: how a value is held, in the servers' form. Uses are not tracked: a key that is there was used now.
pub(in crate::command) fn debug(entry: &EntryRef<'_>, limits: &EncodingLimits, now: UnixMs) -> String {
    let payload = dump_payload(entry.value(), limits.dialect).map_or(0, |payload| payload.len());
    let mut text = format!(
        "Value at:{:p} refcount:{} encoding:{} serializedlength:{} lru:{} lru_seconds_idle:0",
        entry.key().as_ptr(),
        refcount_of(entry, limits.dialect),
        encoding_of(entry, limits),
        payload.saturating_sub(TYPE_AND_FOOTER_BYTES),
        (now.0 / 1000) & LRU_CLOCK_MAX,
    );
    if let ValueRef::List(list) = entry.value()
        && list.encoding(limits.dialect) == "quicklist"
    {
        let sizes = list.nodes().map(|node| match node {
            NodeRef::Packed(pack) => pack.byte_len(),
            NodeRef::Plain(bytes) => bytes.len(),
        });
        let (nodes, bytes) = (list.nodes().len(), sizes.sum::<usize>());
        let each = list.len() as f64 / nodes.max(1) as f64;
        text += &format!(
            " ql_nodes:{nodes} ql_avg_node:{each:.2} ql_listpack_max:{} ql_compressed:0 ql_uncompressed_size:{bytes}",
            limits.list_size,
        );
    }
    text
}

/// What a DUMP payload has beside the value itself.
const TYPE_AND_FOOTER_BYTES: usize = 11;
/// The servers' clock of uses has 24 bits.
const LRU_CLOCK_MAX: i64 = 0xff_ffff;

const HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
    "HELP",
    "    Print this help.",
];

pub(super) fn help(_: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.array(HELP.len());
    HELP.iter().for_each(|line| out.simple(line));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;
    use crate::dataset::Dialect;

    #[test]
    fn encodings_follow_the_masters_dialect() {
        let text = |len| "x".repeat(len);
        let check = |dialect, len: usize, line: &str, expected: &str| {
            let mut bench = Bench::after(&[&format!("SET key {}{line}", text(len))]);
            bench.data.limits.dialect = dialect;
            assert_eq!(bench.ask("OBJECT ENCODING key"), expected, "{dialect:?} {len}{line}");
        };
        check(Dialect::Redis(7, 0), 44, "", "$6 embstr");
        check(Dialect::Redis(7, 0), 45, "", "$3 raw");
        check(Dialect::Valkey(8, 1), 38, "", "$6 embstr");
        check(Dialect::Valkey(8, 1), 39, "", "$3 raw");
        check(Dialect::Valkey(8, 1), 31, " PXAT 9999999999999", "$3 raw");
        check(Dialect::Valkey(9, 1), 110, "", "$6 embstr");
        check(Dialect::Valkey(9, 1), 111, "", "$3 raw");
        check(Dialect::Valkey(9, 1), 102, " PXAT 9999999999999", "$6 embstr");
    }

    #[test]
    fn small_integers_are_shared_in_redis() {
        let mut bench = Bench::after(&["SET a 9999", "SET b 10000", "APPEND a 1"]);
        assert_eq!(bench.ask("OBJECT REFCOUNT a"), ":1");
        bench.apply("SET a 9999").expect("applies");
        assert_eq!(bench.ask("OBJECT REFCOUNT a"), ":2147483647");
        assert_eq!(bench.ask("OBJECT REFCOUNT b"), ":1");
        bench.data.limits.dialect = Dialect::Valkey(9, 1);
        assert_eq!(bench.ask("OBJECT REFCOUNT a"), ":1");
    }

    #[test]
    fn use_is_not_tracked() {
        let bench = Bench::after(&["SET a v"]);
        assert!(bench.ask("OBJECT FREQ a").starts_with("-ERR An LFU maxmemory policy is not selected"));
        assert_eq!(bench.ask("OBJECT FREQ missing"), "$-1");
        assert_eq!(bench.ask("OBJECT IDLETIME a"), ":0");
        assert_eq!(bench.ask("OBJECT IDLETIME missing"), "$-1");
    }
}
