//! Writes to strings, as the stream brings them.

use super::options::{Expiry, Known, Options};
use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::context::ApplyCx;
use crate::command::expiry::{Unit, deadline};
use crate::config::EventClasses;
use crate::dataset::{StrForm, ValueRef};
use crate::limits::STRING_BYTES_MAX;
use crate::resp::number;
use crate::resp::refusal::Refusal;

/// `SET k v` and `SET k v PXAT ms`, nearly all of a stream, allocate nothing here.
pub(super) fn set(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, value) = (args.require()?, args.require()?);
    if args.remaining() == 0 {
        return put(cx, key, value, None);
    }
    let options = Options::parse(args, cx.now, Known::Set, "set")?;
    if options.condition.holds(cx, key)? {
        let expiry = options.expiry.of(cx, key)?;
        put(cx, key, value, expiry)?;
        tell_expiry(cx, key, options.expiry);
    }
    Ok(())
}

/// Stores a string under the event `set`.
fn put(cx: &mut ApplyCx<'_>, key: &[u8], value: &[u8], expiry: Option<UnixMs>) -> Result<(), Refusal> {
    cx.store_string(key, value, expiry)?;
    cx.changed(EventClasses::STRING, "set", key);
    Ok(())
}

/// An expiry that came with a value has an event of its own.
fn tell_expiry(cx: &mut ApplyCx<'_>, key: &[u8], expiry: Expiry) {
    if matches!(expiry, Expiry::At(_)) {
        cx.changed(EventClasses::GENERIC, "expire", key);
    }
}

pub(super) fn setex(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    set_for(cx, args, Unit::Seconds, "setex")
}

pub(super) fn psetex(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    set_for(cx, args, Unit::Milliseconds, "psetex")
}

fn set_for(cx: &mut ApplyCx<'_>, args: &mut Args<'_>, unit: Unit, command: &str) -> Result<(), Refusal> {
    let (key, time, value) = (args.require()?, args.require()?, args.require()?);
    let expiry = deadline(time, unit, Some(cx.now), command)?;
    put(cx, key, value, Some(expiry))?;
    tell_expiry(cx, key, Expiry::At(expiry));
    Ok(())
}

pub(super) fn setnx(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, value) = (args.require()?, args.require()?);
    if cx.keyspace()?.get(key).is_none() {
        put(cx, key, value, None)?;
    }
    Ok(())
}

pub(super) fn getset(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, value) = (args.require()?, args.require()?);
    cx.string(key)?;
    put(cx, key, value, None)
}

pub(super) fn getdel(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    if cx.string(key)?.is_some() {
        cx.delete(key)?;
    }
    Ok(())
}

pub(super) fn getex(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let options = Options::parse(args, cx.now, Known::GetEx, "getex")?;
    if cx.string(key)?.is_none() {
        return Ok(());
    }
    match options.expiry {
        Expiry::Unsaid | Expiry::Keep => {}
        Expiry::Drop => {
            let had = cx.expiry(key)?.is_some();
            cx.keyspace()?.set_expiry(key, None);
            if had {
                cx.changed(EventClasses::GENERIC, "persist", key);
            }
        }
        Expiry::At(at) => {
            cx.keyspace()?.set_expiry(key, Some(at));
            cx.changed(EventClasses::GENERIC, "expire", key);
        }
    }
    Ok(())
}

pub(super) fn delifeq(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, wanted) = (args.require()?, args.require()?);
    if cx.string(key)? == Some(wanted) {
        cx.delete(key)?;
    }
    Ok(())
}

pub(super) fn mset(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    if !args.remaining().is_multiple_of(2) {
        return Err(Refusal::wrong_arity("mset"));
    }
    while let (Some(key), Some(value)) = (args.optional(), args.optional()) {
        put(cx, key, value, None)?;
    }
    Ok(())
}

/// All or nothing: nothing if one of the keys exists.
pub(super) fn msetnx(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    if !args.remaining().is_multiple_of(2) {
        return Err(Refusal::wrong_arity("msetnx"));
    }
    for key in args.clone().step_by(2) {
        if cx.keyspace()?.get(key).is_some() {
            return Ok(());
        }
    }
    mset(cx, args)
}

/// `MSETEX 2 a 1 b 2 [NX|XX] [PXAT ms|KEEPTTL]`: the condition is for all keys together.
pub(super) fn msetex(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let pairs = usize::try_from(args.integer()?).ok().filter(|n| *n > 0 && *n <= args.remaining() / 2);
    let pairs = pairs.ok_or_else(|| Refusal::text("ERR invalid numkeys value or out of range"))?;
    let mut given = args.clone();
    args.nth(pairs * 2 - 1);
    let options = Options::parse(args, cx.now, Known::MSetEx, "msetex")?;
    for key in given.clone().take(pairs * 2).step_by(2) {
        if !options.condition.holds(cx, key)? {
            return Ok(());
        }
    }
    for _ in 0..pairs {
        let (key, value) = (given.require()?, given.require()?);
        let expiry = options.expiry.of(cx, key)?;
        put(cx, key, value, expiry)?;
        tell_expiry(cx, key, options.expiry);
    }
    Ok(())
}

pub(super) fn append(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, tail) = (args.require()?, args.require()?);
    match cx.string(key)?.map(<[u8]>::len) {
        None => cx.store_string(key, tail, None)?,
        Some(len) if len.saturating_add(tail.len()) > STRING_BYTES_MAX => return Err(Refusal::STRING_TOO_LONG),
        Some(_) => {
            cx.keyspace()?.edit_string(key, |bytes| bytes.extend_from_slice(tail));
        }
    }
    cx.changed(EventClasses::STRING, "append", key);
    Ok(())
}

pub(super) fn setrange(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, offset, patch) = (args.require()?, args.integer()?, args.require()?);
    let start = usize::try_from(offset).map_err(|_| Refusal::text("ERR offset is out of range"))?;
    let there = cx.string(key)?.is_some();
    if patch.is_empty() {
        return Ok(());
    }
    let end = start.saturating_add(patch.len());
    if end > STRING_BYTES_MAX {
        return Err(Refusal::STRING_TOO_LONG);
    }
    if !there {
        cx.keyspace()?.set_string(key, b"", StrForm::Raw, None);
        cx.made(key);
    }
    cx.keyspace()?.edit_string(key, |bytes| {
        bytes.resize(bytes.len().max(end), 0);
        bytes[start..end].copy_from_slice(patch);
    });
    cx.changed(EventClasses::STRING, "setrange", key);
    Ok(())
}

pub(super) fn incr(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    add(cx, args.require()?, 1)
}

pub(super) fn decr(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    add(cx, args.require()?, -1)
}

pub(super) fn incrby(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, by) = (args.require()?, args.integer()?);
    add(cx, key, by)
}

pub(super) fn decrby(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, by) = (args.require()?, args.integer()?);
    // The smallest number has no negative. Redis 6.0 lets it wrap, later masters never send it.
    add(cx, key, by.wrapping_neg())
}

/// A missing key counts as 0; the expiry stays.
fn add(cx: &mut ApplyCx<'_>, key: &[u8], by: i64) -> Result<(), Refusal> {
    let (before, expiry) = match cx.keyspace()?.get(key).map(|entry| (entry.value(), entry.expiry())) {
        None => (0, None),
        Some((ValueRef::Str(text, _), expiry)) => {
            (number::parse_integer(text).ok_or(Refusal::NOT_AN_INTEGER)?, expiry)
        }
        Some((ValueRef::Marked(marked), _)) => return Err(Refusal::marked(&marked.module)),
        Some(_) => return Err(Refusal::WRONG_TYPE),
    };
    let after = before.checked_add(by);
    let after = after.ok_or_else(|| Refusal::text("ERR increment or decrement would overflow"))?;
    cx.store_string(key, itoa::Buffer::new().format(after).as_bytes(), expiry)?;
    cx.changed(EventClasses::STRING, "incrby", key);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::clock::UnixMs;
    use crate::command::testing::Bench;
    use crate::dataset::{StrForm, ValueRef};

    /// The string and expiry of `k` after these lines.
    fn k_after(lines: &[&str]) -> (Option<String>, Option<i64>) {
        let bench = Bench::after(lines);
        let entry = bench.data.db(bench.db).expect("db 0").get(b"k");
        let text = entry.map(|entry| match entry.value() {
            ValueRef::Str(bytes, _) => String::from_utf8_lossy(bytes).into_owned(),
            other => format!("{other:?}"),
        });
        (text, entry.and_then(|entry| entry.expiry()).map(|at| at.0))
    }

    fn check(lines: &[&str], text: Option<&str>, expiry: Option<i64>) {
        assert_eq!(k_after(lines), (text.map(str::to_owned), expiry), "{lines:?}");
    }

    #[test]
    fn set_in_all_its_forms() {
        check(&["SET k v"], Some("v"), None);
        check(&["SET k v PXAT 5"], Some("v"), Some(5));
        check(&["SET k v EXAT 5"], Some("v"), Some(5000));
        check(&["SET k v EX 5"], Some("v"), Some(1_000_005_000));
        check(&["SET k v px 5"], Some("v"), Some(1_000_000_005));
        check(&["SETEX k 5 v"], Some("v"), Some(1_000_005_000));
        check(&["PSETEX k 5 v"], Some("v"), Some(1_000_000_005));
        check(&["SET k v PXAT 5", "SET k w KEEPTTL"], Some("w"), Some(5));
        check(&["SET k v PXAT 5", "SET k w"], Some("w"), None);
        check(&["SET k v", "SET k w NX"], Some("v"), None);
        check(&["SET k w XX"], None, None);
        check(&["SET k v", "SET k w XX GET"], Some("w"), None);
        check(&["SET k v", "SET k w IFEQ v"], Some("w"), None);
        check(&["SET k v", "SET k w IFEQ x"], Some("v"), None);
        check(&["SET k v", "SET k w IFNE x PXAT 7"], Some("w"), Some(7));
        check(&["SET k v NX NX", "SET k w XX XX KEEPTTL KEEPTTL"], Some("w"), None);
        check(&["SET k v PX 5 PX 7"], Some("v"), Some(1_000_000_007));
        check(&["RPUSH k v", "SET k w"], Some("w"), None);
        check(&["SET k v PXAT 5", "GETSET k w"], Some("w"), None);
        check(&["SET k v", "SETNX k w"], Some("v"), None);
    }

    #[test]
    fn several_keys_at_once() {
        check(&["SET k v PXAT 5", "MSET j 1 k 2 k 3"], Some("3"), None);
        check(&["SET j 1", "MSETNX k 1 j 2"], None, None);
        check(&["MSETNX k 1 j 2"], Some("1"), None);
        check(&["MSETEX 2 k 1 j 2 PXAT 9"], Some("1"), Some(9));
        check(&["SET k v PXAT 5", "MSETEX 1 k 1 KEEPTTL"], Some("1"), Some(5));
        check(&["SET j v", "MSETEX 2 k 1 j 2 NX"], None, None);
    }

    #[test]
    fn parts_of_strings_keep_the_expiry() {
        check(&["APPEND k ab"], Some("ab"), None);
        check(&["SET k ab PXAT 5", "APPEND k cd"], Some("abcd"), Some(5));
        check(&["SET k ab PXAT 5", "SETRANGE k 4 cd"], Some("ab\0\0cd"), Some(5));
        check(&["SETRANGE k 1 a"], Some("\0a"), None);
        check(&["SETRANGE k 9 \"\""], None, None);
        check(&["SET k ab", "GETEX k PXAT 5"], Some("ab"), Some(5));
        check(&["SET k ab PXAT 5", "GETEX k PERSIST"], Some("ab"), None);
        check(&["SET k ab", "GETDEL k"], None, None);
        check(&["SET k ab", "DELIFEQ k ab"], None, None);
    }

    #[test]
    fn counters_keep_the_expiry() {
        check(&["INCR k"], Some("1"), None);
        check(&["SET k 5 PXAT 5", "INCRBY k 10"], Some("15"), Some(5));
        check(&["SET k 5", "DECR k", "DECRBY k 10"], Some("-6"), None);
        check(&["SET k 5", "DECRBY k -9223372036854775808"], Some("-9223372036854775803"), None);
    }

    #[test]
    fn what_cannot_be_applied_is_refused_and_changes_nothing() {
        let refusals = [
            ("SET k v EX", "ERR syntax error"),
            ("SET k v EX 0", "ERR invalid expire time in 'set' command"),
            ("SET k v EX x", "ERR value is not an integer or out of range"),
            ("SET k v EX 1 PX 1", "ERR syntax error"),
            ("SET k v NX XX", "ERR syntax error"),
            ("SET k v PERSIST", "ERR syntax error"),
            ("MSET k v j", "ERR wrong number of arguments for 'mset' command"),
            ("INCR k", "ERR value is not an integer or out of range"),
            ("INCRBY big 1", "ERR increment or decrement would overflow"),
            ("SETRANGE k -1 x", "ERR offset is out of range"),
            ("SETRANGE k 536870912 x", "ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
            ("APPEND l x", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("MSETEX 3 k v j v", "ERR invalid numkeys value or out of range"),
            ("INCRBYFLOAT big 1", "ERR incrbyfloat is not applied"),
        ];
        for (line, why) in refusals {
            let mut bench = Bench::after(&["SET k old", "SET big 9223372036854775807", "RPUSH l a"]);
            assert_eq!(bench.apply(line).map_err(|r| r.to_string()), Err(why.to_owned()), "{line}");
            assert_eq!(bench.ask("GET k"), "$3 old");
        }
    }

    #[test]
    fn writes_act_on_expired_strings_as_if_alive() {
        let mut bench = Bench::after(&["SET k a PXAT 5", "APPEND k b", "SETNX k c"]);
        assert_eq!(bench.ask("GET k"), "$-1");
        bench.now = UnixMs(5);
        assert_eq!(bench.ask("GET k"), "$2 ab");
    }

    #[test]
    fn changed_parts_make_a_string_raw() {
        let bench = Bench::after(&["SET k 1", "APPEND k 2", "APPEND j 1", "SETRANGE r 0 x", "SET i 1", "INCR i"]);
        let form = |key: &[u8]| match bench.data.db(bench.db).expect("db 0").get(key).expect("key").value() {
            ValueRef::Str(_, form) => form,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            [b"k", b"j", b"r", b"i"].map(|key| form(key)),
            [StrForm::Raw, StrForm::Auto, StrForm::Raw, StrForm::Auto]
        );
    }
}
