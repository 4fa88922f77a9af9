//! EXPIRE and its kin. Times in the past are stored: only the master deletes.

use super::option;
use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::context::ApplyCx;
use crate::command::expiry::{Unit, moment};
use crate::config::EventClasses;
use crate::resp::refusal::Refusal;

/// NX, XX, GT and LT as given.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    missing: bool,
    present: bool,
    greater: bool,
    less: bool,
}

impl Conditions {
    fn parse(args: &mut Args<'_>) -> Result<Self, Refusal> {
        let mut conditions = Self::default();
        while let Some(given) = args.peek() {
            match option(args)?.as_slice() {
                b"nx" => conditions.missing = true,
                b"xx" => conditions.present = true,
                b"gt" => conditions.greater = true,
                b"lt" => conditions.less = true,
                _ => {
                    let given = String::from_utf8_lossy(given);
                    return Err(Refusal::text(format!("ERR Unsupported option {given}")));
                }
            }
        }
        let Self { missing, present, greater, less } = conditions;
        if missing && (present || greater || less) {
            let both = "ERR NX and XX, GT or LT options at the same time are not compatible";
            return Err(Refusal::text(both));
        }
        if greater && less {
            return Err(Refusal::text("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// No expiry counts as infinitely late.
    fn allow(self, before: Option<UnixMs>, after: UnixMs) -> bool {
        !(self.missing && before.is_some()
            || self.present && before.is_none()
            || self.greater && before.is_none_or(|before| after <= before)
            || self.less && before.is_some_and(|before| after >= before))
    }
}

pub(super) fn expire(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    set(cx, args, Unit::Seconds, Some(cx.now), "expire")
}

pub(super) fn pexpire(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    set(cx, args, Unit::Milliseconds, Some(cx.now), "pexpire")
}

pub(super) fn expireat(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    set(cx, args, Unit::Seconds, None, "expireat")
}

pub(super) fn pexpireat(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    set(cx, args, Unit::Milliseconds, None, "pexpireat")
}

fn set(
    cx: &mut ApplyCx<'_>,
    args: &mut Args<'_>,
    unit: Unit,
    base: Option<UnixMs>,
    command: &str,
) -> Result<(), Refusal> {
    let (key, time) = (args.require()?, args.require()?);
    let conditions = Conditions::parse(args)?;
    let after = moment(time, unit, base, command)?;
    let Some(before) = cx.keyspace()?.get(key).map(|entry| entry.expiry()) else { return Ok(()) };
    if conditions.allow(before, after) {
        cx.keyspace()?.set_expiry(key, Some(after));
        cx.changed(EventClasses::GENERIC, "expire", key);
    }
    Ok(())
}

pub(super) fn persist(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    if cx.expiry(key)?.is_some() {
        cx.keyspace()?.set_expiry(key, None);
        cx.changed(EventClasses::GENERIC, "persist", key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::clock::UnixMs;
    use crate::command::testing::Bench;

    fn check(lines: &[&str], expected: Option<i64>) {
        let bench = Bench::after(lines);
        let entry = bench.data.db(bench.db).expect("db 0").get(b"k").expect("key");
        assert_eq!(entry.expiry(), expected.map(UnixMs), "{lines:?}");
    }

    #[test]
    fn times_are_relative_or_absolute_in_seconds_or_milliseconds() {
        check(&["SET k v", "EXPIRE k 5"], Some(1_000_005_000));
        check(&["SET k v", "PEXPIRE k 5"], Some(1_000_000_005));
        check(&["SET k v", "EXPIREAT k 5"], Some(5000));
        check(&["SET k v", "PEXPIREAT k 5"], Some(5));
        check(&["SET k v", "EXPIRE k -1"], Some(999_999_000));
        check(&["SET k v", "PEXPIREAT k -5"], Some(0));
        check(&["SET k v PXAT 5", "PERSIST k"], None);
        check(&["SET k v", "PERSIST k", "PEXPIREAT missing 5"], None);
    }

    #[test]
    fn conditions_look_at_the_expiry_before() {
        let without = |condition: &str, expected| {
            check(&["SET k v", &format!("PEXPIREAT k 50 {condition}")], expected);
        };
        without("NX", Some(50));
        without("XX", None);
        without("gt", None);
        without("LT", Some(50));
        without("XX LT", None);
        let with = |before: &str, condition: &str, expected| {
            check(&[&format!("SET k v PXAT {before}"), &format!("PEXPIREAT k 50 {condition}")], Some(expected));
        };
        with("10", "NX", 10);
        with("10", "XX XX", 50);
        with("10", "GT", 50);
        with("10", "LT", 10);
        with("90", "GT", 90);
        with("90", "LT XX", 50);
        with("50", "GT", 50);
    }

    #[test]
    fn what_cannot_be_applied_is_refused() {
        for (line, why) in [
            ("EXPIRE k x", "ERR value is not an integer or out of range"),
            ("EXPIRE k 9223372036854775807", "ERR invalid expire time in 'expire' command"),
            ("EXPIRE k 1 NX GT", "ERR NX and XX, GT or LT options at the same time are not compatible"),
            ("EXPIRE k 1 LT GT", "ERR GT and LT options at the same time are not compatible"),
            ("EXPIRE k 1 Foo", "ERR Unsupported option Foo"),
        ] {
            let mut bench = Bench::after(&["SET k v"]);
            assert_eq!(bench.apply(line).map_err(|r| r.to_string()), Err(why.to_owned()), "{line}");
        }
    }
}
