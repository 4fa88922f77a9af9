//! OBJECT: how a value is kept.

use crate::command::args::Args;
use crate::command::context::ReadCx;
use crate::dataset::list::NodeRef;
use crate::dataset::{Dialect, EncodingLimits, EntryRef, Stamp, Statistic, StrForm, Uses, ValueRef};
use crate::rdb::save::dump_payload;
use crate::resp::number::parse_integer;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

pub(super) fn encoding(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let entry = cx.examine(args.require()?)?;
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

/// The counter of uses.
pub(super) fn freq(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    match cx.examine(args.require()?)? {
        Some(_) if cx.uses.statistic == Statistic::Idle => Err(not_kept("not selected, access frequency")),
        Some(entry) => {
            out.integer(cx.uses.frequency(entry.stamp()).into());
            Ok(())
        }
        None => {
            out.null();
            Ok(())
        }
    }
}

/// Seconds since the last use.
pub(super) fn idletime(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    match cx.examine(args.require()?)? {
        Some(_) if cx.uses.statistic == Statistic::Frequency => Err(not_kept("selected, idle time")),
        Some(entry) => {
            out.integer(cx.uses.idle_s(entry.stamp()).into());
            Ok(())
        }
        None => {
            out.null();
            Ok(())
        }
    }
}

fn not_kept(what: &str) -> Refusal {
    Refusal::text(format!(
        "ERR An LFU maxmemory policy is {what} not tracked. Please note that when switching between policies at \
         runtime LRU and LFU data will take some time to adjust."
    ))
}

/// The numbers that Redis shares; Valkey since 8.1 shares none.
const SHARED_INTEGERS: std::ops::Range<i64> = 0..10_000;

pub(super) fn refcount(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let Some(entry) = cx.examine(args.require()?)? else {
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

/// DEBUG OBJECT: how a value is held, in the servers' form.
pub(in crate::command) fn debug(entry: &EntryRef<'_>, limits: &EncodingLimits, uses: &Uses) -> String {
    let payload = dump_payload(entry.value(), limits.dialect).map_or(0, |payload| payload.len());
    let mut text = format!(
        "Value at:{:p} refcount:{} encoding:{} serializedlength:{}{}",
        entry.key().as_ptr(),
        refcount_of(entry, limits.dialect),
        encoding_of(entry, limits),
        payload.saturating_sub(TYPE_AND_FOOTER_BYTES),
        debug_uses(entry.stamp(), limits.dialect, uses),
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

/// The stamp as DEBUG OBJECT has it: read in one way, in the other, or in both, as the servers do.
fn debug_uses(stamp: Stamp, dialect: Dialect, uses: &Uses) -> String {
    let (bits, idle) = (stamp.bits(), uses.idle_s(stamp));
    let as_idle = format!(" lru:{bits} lru_seconds_idle:{idle}");
    let as_frequency = format!(" lfu_freq:{} lfu_access_time_minutes:{}", bits & 0xff, bits >> 8);
    match (dialect, uses.statistic) {
        (Dialect::Valkey(..=8, _), _) => as_idle + &as_frequency,
        (Dialect::Valkey(..), Statistic::Frequency) => as_frequency,
        _ => as_idle,
    }
}

/// What a DUMP payload has beside the value itself.
const TYPE_AND_FOOTER_BYTES: usize = 11;

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;
    use crate::config::{MaxmemoryPolicy, UseSettings};
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

    fn later(bench: &mut Bench, seconds: i64) {
        bench.now.0 += seconds * 1000;
    }

    #[test]
    fn a_read_is_a_use_and_a_look_is_none() {
        let fill = ["SET a v", "SADD s 1 2", "SET w_1 3"];
        for (line, idle) in [
            ("GET a", 0),
            ("MGET s a", 0),
            ("TOUCH a", 0),
            ("DUMP a", 0),
            ("EXISTS a", 50),
            ("TTL a", 50),
            ("TYPE a", 50),
            ("OBJECT ENCODING a", 50),
            ("MEMORY USAGE a", 50),
            ("SCAN 0 TYPE string", 50),
        ] {
            let mut bench = Bench::after(&fill);
            later(&mut bench, 50);
            assert!(!bench.ask(line).starts_with('-'), "{line}");
            assert_eq!(bench.ask("OBJECT IDLETIME a"), format!(":{idle}"), "{line}");
        }
        let mut bench = Bench::after(&fill);
        later(&mut bench, 50);
        bench.ask("SORT_RO s BY w_*");
        assert_eq!([bench.ask("OBJECT IDLETIME w_1"), bench.ask("OBJECT IDLETIME s")], [":0", ":0"]);
        later(&mut bench, 50);
        bench.no_touch = true;
        bench.ask("SORT_RO s BY w_*");
        bench.ask("GET w_1");
        assert_eq!(bench.ask("OBJECT IDLETIME w_1"), ":50");
        bench.ask("TOUCH w_1");
        assert_eq!(bench.ask("OBJECT IDLETIME w_1"), ":0");
        assert_eq!(bench.ask("OBJECT IDLETIME missing"), "$-1");
        let refused = "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that \
                       when switching between policies at runtime LRU and LFU data will take some time to adjust.";
        assert_eq!(bench.ask("OBJECT FREQ a"), refused);
        assert_eq!(bench.ask("OBJECT FREQ missing"), "$-1");
    }

    #[test]
    fn a_write_is_one_use() {
        let mut bench = Bench::new();
        bench.uses.policy = MaxmemoryPolicy::AllkeysLfu;
        // Each use counts.
        bench.uses.lfu_log_factor = 0;
        for (line, frequency) in [
            ("SET k 1", 5),
            ("SET k 2", 6),
            ("INCR k", 7),
            ("APPEND k x", 8),
            ("SETRANGE k 0 y", 9),
            ("SETBIT k 1 1", 10),
            ("PEXPIREAT k 2000000000000", 11),
            ("PERSIST k", 12),
            ("GETSET k 7", 13),
            ("BITOP NOT k k", 14),
            ("RPUSH l 3 1 2", 14),
            ("SORT l STORE k", 15),
            ("RPUSH k 5", 16),
            ("COPY k other", 17),
            ("DEL l", 17),
            ("RENAME k k2", 5),
        ] {
            bench.apply(line).unwrap_or_else(|why| panic!("{line}: {why}"));
            let key = if line == "RENAME k k2" { "k2" } else { "k" };
            assert_eq!(bench.ask(&format!("OBJECT FREQ {key}")), format!(":{frequency}"), "{line}");
        }
        assert_eq!(bench.ask("OBJECT FREQ other"), ":5");
        bench.ask("LRANGE other 0 -1");
        assert_eq!(bench.ask("OBJECT FREQ other"), ":6");
        later(&mut bench, 120);
        assert_eq!(bench.ask("OBJECT FREQ other"), ":4");
        let refused = "-ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when \
                       switching between policies at runtime LRU and LFU data will take some time to adjust.";
        assert_eq!(bench.ask("OBJECT IDLETIME other"), refused);
        bench.data.limits.dialect = Dialect::Redis(7, 0);
        bench.apply("RENAME other o2").expect("applies");
        assert_eq!(bench.ask("OBJECT FREQ o2"), ":5");
    }

    #[test]
    fn flushed_and_new_databases_keep_time() {
        let mut bench = Bench::after(&["SET a v"]);
        later(&mut bench, 10);
        for line in ["FLUSHALL", "SET a v", "DEL a", "SET b v", "COPY b b DB 40"] {
            bench.apply(line).expect("applies");
        }
        assert_eq!(bench.ask("OBJECT IDLETIME b"), ":0");
        bench.db = crate::position::DbIndex(40);
        assert_eq!(bench.ask("OBJECT IDLETIME b"), ":0");
    }

    #[test]
    fn debug_object_shows_the_stamp_as_the_servers_do() {
        let mut bench = Bench::after(&["SET a v"]);
        later(&mut bench, 9);
        let shown = |dialect, policy| {
            let settings = UseSettings { policy, ..bench.uses };
            let entry = bench.data.db(bench.db).expect("db 0").get(b"a").expect("key");
            let limits = crate::dataset::EncodingLimits { dialect, ..bench.data.limits };
            let text = super::debug(&entry, &limits, &bench.data.uses(settings, bench.now));
            text.split_once("length:").expect("its length").1[1..].to_owned()
        };
        let (lru, lfu) = (MaxmemoryPolicy::NoEviction, MaxmemoryPolicy::AllkeysLfu);
        let (idle, frequency) = (" lru:1000000 lru_seconds_idle:9", " lfu_freq:64 lfu_access_time_minutes:3906");
        assert_eq!(shown(Dialect::Redis(8, 0), lru), idle);
        assert_eq!(shown(Dialect::Redis(8, 0), lfu), idle);
        assert_eq!(shown(Dialect::Valkey(8, 1), lru), format!("{idle}{frequency}"));
        assert_eq!(shown(Dialect::Valkey(9, 1), lru), idle);
        assert_eq!(shown(Dialect::Valkey(9, 1), lfu), frequency);
    }
}
