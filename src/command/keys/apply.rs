//! Keys that go, and keys that change their name or database.

use super::database::index;
use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::context::ApplyCx;
use crate::config::EventClasses;
use crate::dataset::{Keyspace, Stamp, Value};
use crate::position::DbIndex;
use crate::resp::refusal::Refusal;

/// DEL and UNLINK: what is big goes to the reaper either way.
pub(super) fn del(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    for key in args {
        cx.delete(key)?;
    }
    Ok(())
}

pub(super) fn rename(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (from, to) = (args.require()?, args.require()?);
    let stamp = used(cx, from)?.ok_or(Refusal::NO_SUCH_KEY)?;
    if from == to {
        return Ok(());
    }
    if let Some((value, expiry)) = cx.keyspace()?.remove(from) {
        let (db, stamp) = (cx.db, moved(cx, stamp));
        place(cx, db, to, value, expiry, stamp)?;
        [from, to].into_iter().for_each(|key| cx.touched(key));
        cx.told(EventClasses::GENERIC, "rename_from", from);
        cx.told(EventClasses::GENERIC, "rename_to", to);
    }
    Ok(())
}

/// Nothing if the new name is taken.
pub(super) fn renamenx(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let taken = args.clone().nth(1).map(|to| cx.keyspace().map(|keys| keys.get(to).is_some()));
    let missing = args.peek().map(|from| cx.keyspace().map(|keys| keys.get(from).is_none()));
    match (missing.transpose()?, taken.transpose()?) {
        (Some(false), Some(true)) => Ok(()),
        _ => rename(cx, args),
    }
}

const SAME_OBJECT: &str = "ERR source and destination objects are the same";

/// `COPY from to [DB n] [REPLACE]`, with the expiry.
pub(super) fn copy(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (from, to) = (args.require()?, args.require()?);
    let (mut target, mut replace) = (cx.db, false);
    while args.remaining() > 0 {
        if args.take("replace") {
            replace = true;
        } else if args.take("db") {
            target = index(cx, args.require()?)?;
        } else {
            return Err(Refusal::SYNTAX);
        }
    }
    if from == to && target == cx.db {
        return Err(Refusal::text(SAME_OBJECT));
    }
    if used(cx, from)?.is_none() {
        return Ok(());
    }
    let Some(entry) = cx.keyspace()?.get(from) else { return Ok(()) };
    let (value, expiry) = (entry.value().to_owned(), entry.expiry());
    if !replace && database(cx, target)?.get(to).is_some() {
        return Ok(());
    }
    place(cx, target, to, value, expiry, None)?;
    cx.effects.changed(EventClasses::GENERIC, "copy_to", target, to);
    Ok(())
}

/// `MOVE key n`; nothing if the key is there already.
pub(super) fn move_to(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let target = index(cx, args.require()?)?;
    if target == cx.db {
        return Err(Refusal::text(SAME_OBJECT));
    }
    if database(cx, target)?.get(key).is_some() {
        return Ok(());
    }
    let stamp = used(cx, key)?.and_then(|stamp| moved(cx, stamp));
    if let Some((value, expiry)) = cx.keyspace()?.remove(key) {
        place(cx, target, key, value, expiry, stamp)?;
        cx.touched(key);
        cx.effects.touched(target, key);
        cx.told(EventClasses::GENERIC, "move_from", key);
        cx.effects.event(EventClasses::GENERIC, "move_to", target, key);
    }
    Ok(())
}

fn database<'a>(cx: &'a mut ApplyCx<'_>, index: DbIndex) -> Result<&'a mut Keyspace, Refusal> {
    cx.data.db_mut(index).ok_or(Refusal::DB_OUT_OF_RANGE)
}

/// Marks a key as used; answers its stamp, if it is there.
fn used(cx: &mut ApplyCx<'_>, key: &[u8]) -> Result<Option<Stamp>, Refusal> {
    let keyspace = cx.keyspace()?;
    let found = keyspace.get(key).inspect(|entry| entry.mark_used(keyspace.uses()));
    Ok(found.map(|entry| entry.stamp()))
}

/// The stamp that a value takes along under another name; since redis 7.2 it counts as never used before.
fn moved(cx: &ApplyCx<'_>, stamp: Stamp) -> Option<Stamp> {
    (!cx.limits().dialect.moves_make_new_keys()).then_some(stamp)
}

/// Puts a value in the place of another one, which counts as a new key (as the servers).
fn place(
    cx: &mut ApplyCx<'_>,
    target: DbIndex,
    key: &[u8],
    value: Value,
    expiry: Option<UnixMs>,
    stamp: Option<Stamp>,
) -> Result<(), Refusal> {
    let old = database(cx, target)?.insert_new(key, value, expiry, stamp);
    cx.trash.value(old);
    cx.effects.event(EventClasses::NEW, "new", target, key);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;
    use crate::position::DbIndex;

    fn check(lines: &[&str], db: u32, asks: &[(&str, &str)]) {
        let mut bench = Bench::after(lines);
        bench.db = DbIndex(db);
        for (ask, expected) in asks {
            assert_eq!(bench.ask(ask), *expected, "{lines:?} {ask}");
        }
    }

    #[test]
    fn names_change_with_the_expiry() {
        let a = "SET a v PXAT 2000000000";
        check(
            &[a, "RPUSH b x", "RENAME a b"],
            0,
            &[("GET b", "$1 v"), ("PEXPIRETIME b", ":2000000000"), ("EXISTS a", ":0")],
        );
        check(&[a, "RENAME a a"], 0, &[("PEXPIRETIME a", ":2000000000")]);
        check(&[a, "SET b w", "RENAMENX a b"], 0, &[("GET b", "$1 w"), ("GET a", "$1 v")]);
        check(&[a, "RENAMENX a b"], 0, &[("PEXPIRETIME b", ":2000000000")]);
        check(&[a, "DEL a missing", "UNLINK missing"], 0, &[("DBSIZE", ":0")]);
    }

    #[test]
    fn keys_are_copied_and_moved_between_databases() {
        let a = "SET a v PXAT 2000000000";
        check(&[a, "COPY a b"], 0, &[("GET a", "$1 v"), ("PEXPIRETIME b", ":2000000000")]);
        check(&[a, "COPY a a DB 3"], 3, &[("PEXPIRETIME a", ":2000000000")]);
        check(&[a, "SET b w", "COPY a b"], 0, &[("GET b", "$1 w")]);
        check(&[a, "SET b w", "COPY a b REPLACE"], 0, &[("GET b", "$1 v")]);
        check(&["RPUSH a x y", "COPY a b", "LPOP a"], 0, &[("LRANGE b 0 -1", "*2 $1 x $1 y")]);
        check(&[a, "MOVE a 3"], 3, &[("PEXPIRETIME a", ":2000000000")]);
        check(&[a, "MOVE a 3"], 0, &[("EXISTS a", ":0")]);
        check(&["COPY missing b", "MOVE missing 3"], 0, &[("DBSIZE", ":0")]);
    }

    #[test]
    fn what_cannot_be_applied_is_refused() {
        for (line, why) in [
            ("RENAME missing b", "ERR no such key"),
            ("RENAMENX missing a", "ERR no such key"),
            ("COPY a a", "ERR source and destination objects are the same"),
            ("COPY a b DB x", "ERR value is not an integer or out of range"),
            ("COPY a b DB 999999", "ERR DB index is out of range"),
            ("COPY a b NOSUCH", "ERR syntax error"),
            ("MOVE a 0", "ERR source and destination objects are the same"),
            ("MIGRATE h 1 a 0 5 COPY", "ERR migrate is not applied"),
        ] {
            let mut bench = Bench::after(&["SET a v"]);
            assert_eq!(bench.apply(line).map_err(|r| r.to_string()), Err(why.to_owned()), "{line}");
            assert_eq!(bench.ask("DBSIZE"), ":1");
        }
    }
}
