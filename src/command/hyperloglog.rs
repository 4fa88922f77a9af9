//! HyperLogLog: PFADD, PFCOUNT, PFMERGE, and their kin for testing.
//!
//! PFCOUNT of a client answers and writes nothing, not even the cached count: the bytes would differ from the
//! master's (real replicas do it). The master's own PFCOUNT is in the stream and stores the count.

use super::args::Args;
use super::context::{ApplyCx, ReadCx};
use super::row::{Keys, Row, read, write};
use crate::config::EventClasses;
use crate::dataset::hyperloglog::{self as hll, Corrupt};
use crate::dataset::{StrForm, ValueMut};
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

/// The rows of this family.
pub static ROWS: &[Row] = &[
    read("pfcount", -2, Keys::Range(1, -1, 1), pfcount).also_applied(pfcount_applied).samples(&[
        "PFCOUNT hll:small",
        "PFCOUNT hll:dense",
        "PFCOUNT hll:empty",
        "PFCOUNT hll:small hll:dense missing",
        "PFCOUNT missing",
        "PFCOUNT missing missing",
        "PFCOUNT s:a",
        "PFCOUNT l:small",
        "PFCOUNT hll:small s:a",
    ]),
    read("pfselftest", 1, Keys::None, pfselftest).samples(&["PFSELFTEST"]),
    write("pfadd", -2, Keys::One(1), pfadd),
    write("pfmerge", -2, Keys::Range(1, -1, 1), pfmerge),
    write("pfdebug", 3, Keys::One(2), pfdebug),
];

impl From<Corrupt> for Refusal {
    fn from(_: Corrupt) -> Self {
        Self::text("INVALIDOBJ Corrupted HLL object detected")
    }
}

fn checked(bytes: Option<&[u8]>) -> Result<Option<&[u8]>, Refusal> {
    match bytes {
        Some(bytes) if !hll::is_hyperloglog(bytes) => Err(Refusal::NOT_A_HYPERLOGLOG),
        bytes => Ok(bytes),
    }
}

/// Several keys cost a walk over their registers each, as does one whose count is stale.
fn pfcount(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let count = if args.remaining() == 1 {
        checked(cx.string(args.require()?)?)?.map_or(Ok(0), hll::count)?
    } else {
        let mut registers = hll::no_registers();
        for key in args {
            if let Some(bytes) = checked(cx.string(key)?)? {
                hll::merge_into(&mut registers, bytes)?;
            }
        }
        hll::estimate(&registers)
    };
    out.integer(i64::try_from(count).unwrap_or(i64::MAX));
    Ok(())
}

/// Only for one key has the master stored the count.
fn pfcount_applied(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let Some(bytes) = checked(cx.string(key)?)?.filter(|_| args.remaining() == 0) else { return Ok(()) };
    let count = hll::count(bytes)?;
    if let Some(ValueMut::Str(bytes)) = cx.value(key)? {
        hll::store_count(bytes, count);
    }
    cx.keyspace()?.set_form(key, StrForm::Raw);
    cx.touched(key);
    Ok(())
}

fn pfadd(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let sparse_max = cx.limits().hll_sparse_bytes;
    if checked(cx.string(key)?)?.is_none() {
        let mut bytes = hll::empty();
        hll::add(&mut bytes, args, sparse_max)?;
        cx.keyspace()?.set_string(key, &bytes, StrForm::Raw, None);
        cx.made(key);
        cx.changed(EventClasses::STRING, "pfadd", key);
        return Ok(());
    }
    let changed = cx.keyspace()?.edit_string(key, |bytes| hll::add(bytes, args, sparse_max)).transpose()?;
    if changed == Some(true) {
        cx.changed(EventClasses::STRING, "pfadd", key);
    }
    Ok(())
}

/// `PFMERGE target sources...`; the target, if it is there, is a source too.
fn pfmerge(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let sparse_max = cx.limits().hll_sparse_bytes;
    let (mut registers, mut dense) = (hll::no_registers(), false);
    for key in args.clone() {
        if let Some(bytes) = checked(cx.string(key)?)? {
            dense |= hll::merge_into(&mut registers, bytes)?;
        }
    }
    let target = args.require()?;
    if cx.string(target)?.is_none() {
        cx.keyspace()?.set_string(target, &hll::empty(), StrForm::Raw, None);
        cx.made(target);
    }
    let raise = |bytes: &mut Vec<u8>| hll::raise(bytes, &registers, dense, sparse_max);
    cx.keyspace()?.edit_string(target, raise).transpose()?;
    cx.changed(EventClasses::STRING, "pfadd", target);
    Ok(())
}

/// TODENSE, and GETREG, which makes it dense on its way.
fn pfdebug(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let makes_dense = args.take("todense") || args.take("getreg");
    if !makes_dense {
        return Ok(());
    }
    let key = args.require()?;
    checked(cx.string(key)?)?.ok_or_else(|| Refusal::text("ERR The specified key does not exist"))?;
    cx.keyspace()?.edit_string(key, hll::make_dense).transpose()?;
    Ok(())
}

/// Adds a few thousand elements and checks the estimate on the way, sparse and dense.
fn pfselftest(_: &ReadCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let (mut sparse, mut dense) = (hll::empty(), hll::empty());
    hll::make_dense(&mut dense)?;
    for n in 1..=2000_u64 {
        let element = n.to_le_bytes();
        hll::add(&mut sparse, std::iter::once(element.as_slice()), usize::MAX)?;
        hll::add(&mut dense, std::iter::once(element.as_slice()), usize::MAX)?;
        if n.is_power_of_two() || n == 2000 {
            let counts = [hll::count(&sparse)?, hll::count(&dense)?];
            // Four times the standard error of 1.04 / sqrt(16384), and one for the smallest.
            let slack = n * 33 / 1000 + 1;
            if counts[0] != counts[1] || counts[0].abs_diff(n) > slack {
                return Err(Refusal::text(format!("ERR TESTFAILED {counts:?} elements counted of {n}")));
            }
        }
    }
    out.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;

    #[test]
    fn counts_are_answered_and_stored_only_by_the_stream() {
        let mut bench = Bench::after(&["PFADD p a b c", "PFADD q c d", "PFADD e"]);
        let before = bench.ask("GET p");
        assert_eq!(bench.ask("PFCOUNT p"), ":3");
        assert_eq!(bench.ask("PFCOUNT p q missing"), ":4");
        assert_eq!(bench.ask("PFCOUNT e"), ":0");
        assert_eq!(bench.ask("PFCOUNT missing"), ":0");
        assert_eq!(bench.ask("GET p"), before);
        bench.apply("PFCOUNT p q").expect("applies");
        assert_eq!(bench.ask("GET p"), before);
        bench.apply("PFCOUNT p").expect("applies");
        assert_ne!(bench.ask("GET p"), before);
        assert_eq!(bench.ask("PFCOUNT p"), ":3");
    }

    #[test]
    fn merging_keeps_the_expiry_and_the_target_counts() {
        let mut bench =
            Bench::after(&["PFADD p a b", "PFADD q c", "PEXPIREAT p 2000000000", "PFMERGE p q missing"]);
        assert_eq!(bench.ask("PFCOUNT p"), ":3");
        assert_eq!(bench.ask("PEXPIRETIME p"), ":2000000000");
        bench.apply("PFDEBUG TODENSE p").expect("applies");
        assert_eq!(bench.ask("STRLEN p"), ":12304");
        bench.apply("PFMERGE new q p").expect("applies");
        assert_eq!(bench.ask("STRLEN new"), ":12304");
        assert_eq!(bench.ask("PFCOUNT new"), ":3");
    }

    #[test]
    fn other_strings_are_refused() {
        let mut bench = Bench::after(&["SET s v", "RPUSH l a", "PFADD p a"]);
        let refusal = "-WRONGTYPE Key is not a valid HyperLogLog string value.";
        assert_eq!(bench.ask("PFCOUNT s"), refusal);
        assert_eq!(bench.ask("PFCOUNT p s"), refusal);
        assert_eq!(bench.ask("PFSELFTEST"), "+OK");
        for line in ["PFADD s a", "PFMERGE p s", "PFMERGE s p", "PFADD l a", "PFDEBUG TODENSE missing"] {
            assert!(bench.apply(line).is_err(), "{line}");
        }
        assert_eq!(bench.ask("GET s"), "$1 v");
    }
}
