//! Reads of strings.

use crate::command::args::Args;
use crate::command::context::ReadCx;
use crate::dataset::ValueRef;
use crate::dataset::string::byte_range;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

pub(super) fn get(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.bulk_or_null(cx.string(args.require()?)?);
    Ok(())
}

/// Keys of other types answer null, as missing ones do.
pub(super) fn mget(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.array(args.remaining());
    for key in args {
        match cx.lookup(key)?.map(|entry| entry.value()) {
            Some(ValueRef::Str(bytes, _)) => out.bulk(bytes),
            _ => out.null(),
        }
    }
    Ok(())
}

pub(super) fn getrange(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let (key, start, end) = (args.require()?, args.integer()?, args.integer()?);
    let bytes = cx.string(key)?.unwrap_or_default();
    out.bulk(bytes.get(byte_range(start, end, bytes.len())).unwrap_or_default());
    Ok(())
}

pub(super) fn strlen(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.count(cx.string(args.require()?)?.map_or(0, <[u8]>::len));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::clock::UnixMs;
    use crate::command::testing::Bench;

    #[test]
    fn reads_answer_as_redis_does() {
        let bench = Bench::after(&["SET a hello", "SET n 10", "SET e \"\"", "SET late v PXAT 1000000005"]);
        let check = |line: &str, expected: &str| assert_eq!(bench.ask(line), expected, "{line}");
        check("GET a", "$5 hello");
        check("GET missing", "$-1");
        check("MGET a missing n e", "*4 $5 hello $-1 $2 10 $0 ");
        check("GETRANGE a 1 -2", "$3 ell");
        check("GETRANGE a 0 -100", "$1 h");
        check("GETRANGE a -2 -4", "$0 ");
        check("GETRANGE a 7 9", "$0 ");
        check("GETRANGE a x 9", "-ERR value is not an integer or out of range");
        check("STRLEN a", ":5");
        check("STRLEN missing", ":0");
        check("GET late", "$1 v");
    }

    #[test]
    fn an_expired_string_is_hidden_strictly_after_its_time() {
        let mut bench = Bench::after(&["SET late v PXAT 1000000005"]);
        bench.now = UnixMs(1_000_000_005);
        assert_eq!(bench.ask("GET late"), "$1 v");
        bench.now = UnixMs(1_000_000_006);
        assert_eq!(bench.ask("GET late"), "$-1");
        assert_eq!(bench.ask("MGET late"), "*1 $-1");
        assert_eq!(bench.ask("STRLEN late"), ":0");
    }
}
