//! Questions about all keys of a database.

use crate::command::args::Args;
use crate::command::context::ReadCx;
use crate::command::glob;
use crate::command::scan::{ScanOf, cursor, options};
use crate::dataset::{EntryRef, ValueRef};
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

/// Keys that one slice of KEYS looks at: some 200 µs under the gate.
const KEYS_PER_SLICE: usize = 2048;

/// Counts logically expired keys too.
pub(super) fn dbsize(cx: &ReadCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.count(cx.keyspace()?.len());
    Ok(())
}

/// One slice of KEYS: costs a look at every key in all. Keys that come or go meanwhile may or may not be there.
pub(super) fn keys(
    cx: &ReadCx<'_>,
    args: &mut Args<'_>,
    cursor: u64,
    out: &mut Reply,
) -> Result<(u64, usize), Refusal> {
    let pattern = args.require()?;
    let all = pattern == b"*";
    let mut found = 0;
    let next = cx.keyspace()?.scan(cursor, KEYS_PER_SLICE, |entry| {
        if (all || glob::matches(pattern, entry.key())) && !entry.is_expired(cx.now) {
            out.bulk(entry.key());
            found += 1;
        }
    });
    Ok((next, found))
}

/// `SCAN cursor [MATCH pattern] [COUNT n] [TYPE name]`. An unknown type matches nothing; Valkey refuses it.
pub(super) fn scan(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let cursor = cursor(args, cx.dialect())?;
    let options = options(args, ScanOf::Keys, cx.dialect())?;
    let mut found = Vec::new();
    let next = cx.keyspace()?.scan(cursor, options.count, |entry| {
        let fits = options.kind.is_none_or(|kind| is_of_type(&entry, kind));
        if fits && options.accepts(entry.key()) && !entry.is_expired(cx.now) {
            found.push(entry.key());
        }
    });
    out.array(2);
    out.bulk(itoa::Buffer::new().format(next));
    out.array(found.len());
    found.iter().for_each(|key| out.bulk(key));
    Ok(())
}

/// A marked key is of the type of its module.
fn is_of_type(entry: &EntryRef<'_>, name: &[u8]) -> bool {
    match entry.value() {
        ValueRef::Marked(marked) => name.eq_ignore_ascii_case(marked.module.as_bytes()),
        value => name.eq_ignore_ascii_case(value.kind().name().as_bytes()),
    }
}

/// Keys that are looked at by chance before giving up (as replicas do where all keys have an expiry).
const RANDOM_TRIES: usize = 100;

/// A key that is not expired. Where chance does not find one, and every key has an expiry, an expired one is
/// answered, as real replicas do; where not, the first that is alive.
pub(super) fn randomkey(cx: &ReadCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let keyspace = cx.keyspace()?;
    let mut last = None;
    for _ in 0..RANDOM_TRIES {
        last = keyspace.random(|| fastrand::u64(..));
        if last.is_none_or(|entry| !entry.is_expired(cx.now)) {
            break;
        }
    }
    if last.is_some_and(|entry| entry.is_expired(cx.now)) && keyspace.expires() < keyspace.len() {
        last = keyspace.iter().find(|entry| !entry.is_expired(cx.now));
    }
    out.bulk_or_null(last.map(|entry| entry.key()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::clock::UnixMs;
    use crate::command::testing::Bench;
    use crate::dataset::Dialect;

    #[test]
    fn walks_filter_by_pattern_and_type() {
        let mut bench = Bench::after(&["SET s:1 v", "SET s:22 v", "RPUSH l:1 v"]);
        let check = |bench: &Bench, line: &str, expected: &str| assert_eq!(bench.ask(line), expected, "{line}");
        check(&bench, "KEYS s:??", "*1 $4 s:22");
        check(&bench, "KEYS x*", "*0");
        check(&bench, "SCAN 0 MATCH *:1 TYPE LIST COUNT 1000", "*2 $1 0 *1 $3 l:1");
        check(&bench, "SCAN 0 TYPE nosuch COUNT 1000", "*2 $1 0 *0");
        check(&bench, "SCAN x", "-ERR invalid cursor");
        check(&bench, "DBSIZE", ":3");
        bench.data.limits.dialect = Dialect::Valkey(9, 1);
        check(&bench, "SCAN 0 TYPE nosuch", "-ERR unknown type name 'nosuch'");
    }

    #[test]
    fn a_scan_hands_out_every_key_once() {
        let mut bench = Bench::new();
        (0..3000).for_each(|n| bench.apply(&format!("SET key:{n} v")).expect("applies"));
        let (mut cursor, mut seen) = ("0".to_owned(), std::collections::HashSet::new());
        loop {
            let page = bench.ask(&format!("SCAN {cursor} COUNT 50"));
            let words: Vec<_> = page.split(' ').map(str::to_owned).collect();
            words[4..].iter().filter(|w| w.starts_with("key:")).for_each(|w| assert!(seen.insert(w.clone())));
            cursor = words[2].clone();
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 3000);
    }

    #[test]
    fn a_random_key_may_be_expired_only_where_all_may() {
        let mut bench = Bench::after(&["SET k v PXAT 1000000005"]);
        assert_eq!(bench.ask("RANDOMKEY"), "$1 k");
        bench.now = UnixMs(1_000_000_006);
        assert_eq!(bench.ask("RANDOMKEY"), "$1 k");
        assert_eq!(Bench::new().ask("RANDOMKEY"), "$-1");
    }
}
