//! Questions about single keys.

use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::context::ReadCx;
use crate::rdb::save::dump_payload;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

/// A key that is named twice counts twice.
pub(super) fn exists(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    count(args, out, |key| Ok(cx.glance(key)?.is_some()))
}

/// A use of each key, also for a client that has said CLIENT NO-TOUCH (as redis 8.0).
pub(super) fn touch(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    count(args, out, |key| Ok(cx.glance(key)?.inspect(|entry| entry.mark_used(&cx.uses)).is_some()))
}

fn count(
    args: &mut Args<'_>,
    out: &mut Reply,
    is_there: impl Fn(&[u8]) -> Result<bool, Refusal>,
) -> Result<(), Refusal> {
    let mut count = 0;
    for key in args {
        count += usize::from(is_there(key)?);
    }
    out.count(count);
    Ok(())
}

pub(super) fn kind(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.simple(cx.glimpse(args.require()?)?.map_or("none", |entry| entry.value().kind().name()));
    Ok(())
}

/// Answers -2 for a missing key, -1 for one without expiry, else what `answer` makes of the time.
fn expiry(
    cx: &ReadCx<'_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    answer: impl FnOnce(UnixMs) -> i64,
) -> Result<(), Refusal> {
    let entry = cx.glance(args.require()?)?;
    out.integer(entry.map_or(-2, |entry| entry.expiry().map_or(-1, answer)));
    Ok(())
}

pub(super) fn ttl(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    expiry(cx, args, out, |at| in_seconds(left(at, cx.now)))
}

pub(super) fn pttl(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    expiry(cx, args, out, |at| left(at, cx.now))
}

pub(super) fn expiretime(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    expiry(cx, args, out, |at| in_seconds(at.0))
}

pub(super) fn pexpiretime(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    expiry(cx, args, out, |at| at.0)
}

fn left(at: UnixMs, now: UnixMs) -> i64 {
    at.0.saturating_sub(now.0).max(0)
}

/// To the nearest second.
fn in_seconds(ms: i64) -> i64 {
    ms.saturating_add(500) / 1000
}

pub(super) fn dump(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let entry = cx.lookup(args.require()?)?;
    out.bulk_or_null(entry.and_then(|entry| dump_payload(entry.value(), cx.data.limits.dialect)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::clock::UnixMs;
    use crate::command::testing::Bench;

    #[test]
    fn reads_answer_as_redis_does() {
        let bench = Bench::after(&["SET a v", "SET b v PXAT 1000001501", "RPUSH l x", "SETBIT r 0 1"]);
        let check = |line: &str, expected: &str| assert_eq!(bench.ask(line), expected, "{line}");
        check("EXISTS a a missing b", ":3");
        check("TOUCH missing", ":0");
        check("TYPE a", "+string");
        check("TYPE l", "+list");
        check("TYPE missing", "+none");
        check("TTL a", ":-1");
        check("TTL missing", ":-2");
        check("TTL b", ":2");
        check("PTTL b", ":1501");
        check("EXPIRETIME b", ":1000002");
        check("PEXPIRETIME b", ":1000001501");
        check("DUMP missing", "$-1");
    }

    #[test]
    fn an_expired_key_is_hidden_but_counted() {
        let mut bench = Bench::after(&["SET k v PXAT 1000000005", "SET other v"]);
        bench.now = UnixMs(1_000_000_006);
        for (line, expected) in [
            ("EXISTS k", ":0"),
            ("TYPE k", "+none"),
            ("TTL k", ":-2"),
            ("PEXPIRETIME k", ":-2"),
            ("TOUCH k", ":0"),
            ("DUMP k", "$-1"),
            ("OBJECT ENCODING k", "$-1"),
            ("KEYS *", "*1 $5 other"),
            ("SCAN 0 COUNT 100", "*2 $1 0 *1 $5 other"),
            ("RANDOMKEY", "$5 other"),
            ("DBSIZE", ":2"),
        ] {
            assert_eq!(bench.ask(line), expected, "{line}");
        }
    }
}
