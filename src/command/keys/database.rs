//! Whole databases: SWAPDB, FLUSHDB, FLUSHALL.

use crate::command::args::Args;
use crate::command::context::ApplyCx;
use crate::limits::DATABASES_MAX;
use crate::position::DbIndex;
use crate::resp::number::parse_integer;
use crate::resp::refusal::Refusal;

/// A database of the master by its number; made if it has more of them than we do.
pub(super) fn index(cx: &mut ApplyCx<'_>, text: &[u8]) -> Result<DbIndex, Refusal> {
    let number = parse_integer(text).ok_or(Refusal::NOT_AN_INTEGER)?;
    let index = u32::try_from(number).ok().filter(|index| (*index as usize) < DATABASES_MAX);
    let index = DbIndex(index.ok_or(Refusal::DB_OUT_OF_RANGE)?);
    cx.data.grow_to(index);
    Ok(index)
}

/// The selected number stays what it is.
pub(super) fn swapdb(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (a, b) = (index(cx, args.require()?)?, index(cx, args.require()?)?);
    cx.data.swap_dbs(a, b);
    cx.effects.swapped();
    Ok(())
}

pub(super) fn flushdb(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    check_mode(args)?;
    flush(cx, cx.db);
    cx.effects.flushed();
    Ok(())
}

/// Functions stay.
pub(super) fn flushall(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    check_mode(args)?;
    let count = u32::try_from(cx.data.databases()).unwrap_or(u32::MAX);
    (0..count).for_each(|index| flush(cx, DbIndex(index)));
    cx.effects.flushed();
    Ok(())
}

/// SYNC and ASYNC make no difference here: the reaper frees.
fn check_mode(args: &mut Args<'_>) -> Result<(), Refusal> {
    if !args.take("async") {
        args.take("sync");
    }
    args.end()
}

fn flush(cx: &mut ApplyCx<'_>, index: DbIndex) {
    if let Some(keyspace) = cx.data.db_mut(index).filter(|keyspace| !keyspace.is_empty()) {
        let old = keyspace.take_all();
        cx.trash.keyspace(old);
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;
    use crate::position::DbIndex;

    fn sizes(lines: &[&str]) -> Vec<usize> {
        let bench = Bench::after(lines);
        bench.data.dbs().map(|(_, keyspace)| keyspace.len()).take(4).collect()
    }

    #[test]
    fn databases_are_swapped_and_flushed() {
        let fill = ["SET a v", "SET b v", "COPY a a DB 3"];
        let check =
            |line, expected: [usize; 4]| assert_eq!(sizes(&[&fill[..], &[line]].concat()), expected, "{line}");
        check("SWAPDB 0 3", [1, 0, 0, 2]);
        check("SWAPDB 0 0", [2, 0, 0, 1]);
        check("FLUSHDB", [0, 0, 0, 1]);
        check("FLUSHDB async", [0, 0, 0, 1]);
        check("FLUSHALL", [0, 0, 0, 0]);
        check("FLUSHALL SYNC", [0, 0, 0, 0]);
    }

    #[test]
    fn functions_survive_a_flush_and_wrong_words_are_refused() {
        let mut bench = Bench::after(&["SET a v"]);
        bench.data.functions.load(b"#!lua name=lib\nreturn 1", false).expect("loads");
        for line in ["FLUSHALL NOW", "FLUSHDB SYNC ASYNC", "SWAPDB 0 x", "SWAPDB 0 -1"] {
            assert!(bench.apply(line).is_err(), "{line}");
        }
        assert_eq!(bench.ask("DBSIZE"), ":1");
        bench.apply("FLUSHALL").expect("applies");
        assert_eq!(bench.data.functions.len(), 1);
    }

    #[test]
    fn a_master_may_have_more_databases() {
        let bench = Bench::after(&["SET a v", "SWAPDB 0 40"]);
        assert_eq!(bench.data.db(DbIndex(40)).map(|keyspace| keyspace.len()), Some(1));
    }
}
