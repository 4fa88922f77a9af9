//! What the master's stream does to streams: XADD, XTRIM, XDEL, XSETID; groups are in `group`.

pub(super) mod group;

use super::id;
use crate::command::args::Args;
use crate::command::context::ApplyCx;
use crate::config::EventClasses;
use crate::dataset::Value;
use crate::dataset::stream::{AppendError, Counters, Stream, StreamId, Trim};
use crate::resp::refusal::Refusal;

/// Options of XADD and XTRIM in front of the id.
#[derive(Default)]
struct Options {
    no_mkstream: bool,
    trim: Option<(Trim, bool)>,
}

impl Options {
    /// Reads options until `rest` is something else. LIMIT is read and not obeyed: a master writes down how far it
    /// has trimmed, with `=` even where LIMIT is given.
    fn parse(args: &mut Args<'_>, xadd: bool) -> Result<Self, Refusal> {
        let mut options = Self::default();
        loop {
            let more = args.remaining() > 1;
            if more && args.take("MAXLEN") {
                let approximately = options.how(args)?;
                let most = u64::try_from(args.integer()?)
                    .map_err(|_| Refusal::text("ERR The MAXLEN argument must be >= 0."))?;
                options.trim = Some((Trim::MaxLen(most), approximately));
            } else if more && args.take("MINID") {
                let approximately = options.how(args)?;
                options.trim = Some((Trim::MinId(id::strict(args.require()?)?), approximately));
            } else if more && args.take("LIMIT") {
                if args.integer()? < 0 {
                    return Err(Refusal::text("ERR The LIMIT argument must be >= 0."));
                }
            } else if xadd && args.take("NOMKSTREAM") {
                options.no_mkstream = true;
            } else {
                return Ok(options);
            }
        }
    }

    /// `~`, `=` or nothing in front of a limit: is it approximate?
    fn how(&self, args: &mut Args<'_>) -> Result<bool, Refusal> {
        if self.trim.is_some() {
            return Err(Refusal::text(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        if args.remaining() < 2 {
            return Ok(false);
        }
        let approximately = args.take("~");
        if !approximately {
            args.take("=");
        }
        Ok(approximately)
    }
}

/// `XADD key [NOMKSTREAM] [MAXLEN|MINID [=|~] threshold [LIMIT n]] id name value [name value ...]`. The master has
/// filled in the id.
pub(super) fn xadd(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let options = Options::parse(args, true)?;
    let id = id::strict(args.require()?)?;
    let words: Vec<&[u8]> = args.collect();
    if words.is_empty() || !words.len().is_multiple_of(2) {
        return Err(Refusal::wrong_arity("xadd"));
    }
    if id == StreamId::MIN {
        return Err(Refusal::text("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let limits = cx.limits();
    let add = |stream: &mut Stream| -> Result<u64, Refusal> {
        stream.append(id, &words, &limits).map_err(append_refusal)?;
        Ok(options.trim.map_or(0, |(to, approximately)| stream.trim(to, approximately)))
    };
    let trimmed = match cx.stream(key)? {
        Some(stream) => add(stream)?,
        None if options.no_mkstream => return Ok(()),
        None => {
            let mut stream = Stream::default();
            let trimmed = add(&mut stream)?;
            cx.store(key, Value::Stream(Box::new(stream)), None)?;
            trimmed
        }
    };
    let events_first = limits.dialect.tells_events_first();
    if !events_first {
        cx.touched(key);
    }
    cx.told(EventClasses::STREAM, "xadd", key);
    if trimmed > 0 {
        cx.told(EventClasses::STREAM, "xtrim", key);
    }
    if events_first {
        cx.touched(key);
    }
    Ok(())
}

fn append_refusal(error: AppendError) -> Refusal {
    Refusal::text(match error {
        AppendError::NotGreater => {
            "ERR The ID specified in XADD is equal or smaller than the target stream top item"
        }
        AppendError::TooLarge => "ERR Elements are too large to be stored",
    })
}

/// `XTRIM key MAXLEN|MINID [=|~] threshold [LIMIT n]`
pub(super) fn xtrim(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let options = Options::parse(args, false)?;
    args.end()?;
    let (to, approximately) =
        options.trim.ok_or(Refusal::text("ERR syntax error, XTRIM must be called with a trimming strategy"))?;
    if cx.stream(key)?.is_some_and(|stream| stream.trim(to, approximately) > 0) {
        if cx.limits().dialect.is_before_redis_7() {
            cx.changed(EventClasses::STREAM, "xtrim", key);
        } else {
            cx.told_and_changed(EventClasses::STREAM, "xtrim", key);
        }
    }
    Ok(())
}

/// `XDEL key id [id ...]`; ids that are not there are passed over.
pub(super) fn xdel(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let ids = args.map(id::strict).collect::<Result<Vec<_>, _>>()?;
    if cx.stream(key)?.is_some_and(|stream| stream.delete(&ids) > 0) {
        cx.changed(EventClasses::STREAM, "xdel", key);
    }
    Ok(())
}

/// `XSETID key last-id [ENTRIESADDED n] [MAXDELETEDID id]`
pub(super) fn xsetid(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let last_id = id::strict(args.require()?)?;
    let (mut added, mut max_deleted) = (None, None);
    while !args.is_empty() {
        let more = args.remaining() > 1;
        if more && args.take("ENTRIESADDED") {
            let n = u64::try_from(args.integer()?);
            added = Some(n.map_err(|_| Refusal::text("ERR entries_added must be positive"))?);
        } else if more && args.take("MAXDELETEDID") {
            // 0-0 leaves it as it is, as redis 7.0.
            max_deleted = Some(id::strict(args.require()?)?).filter(|id| *id != StreamId::MIN);
        } else {
            return Err(Refusal::SYNTAX);
        }
    }
    let stream = cx.stream(key)?.ok_or(Refusal::NO_SUCH_KEY)?;
    let old = stream.counters();
    if last_id < old.max_deleted_id || max_deleted.is_some_and(|id| last_id < id) {
        return Err(Refusal::text("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"));
    }
    if !stream.is_empty() && added.is_some_and(|added| added < old.length) {
        return Err(Refusal::text(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    if stream.top().is_some_and(|top| last_id < top) {
        return Err(Refusal::text("ERR The ID specified in XSETID is smaller than the target stream top item"));
    }
    stream.set_counters(Counters {
        last_id,
        entries_added: added.unwrap_or(old.entries_added),
        max_deleted_id: max_deleted.unwrap_or(old.max_deleted_id),
        ..old
    });
    cx.told(EventClasses::STREAM, "xsetid", key);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;

    fn check(writes: &[&str], expected: &[(&str, &str)]) {
        let bench = Bench::after(writes);
        for (line, reply) in expected {
            assert_eq!(bench.ask(line), *reply, "{writes:?} then {line}");
        }
    }

    #[test]
    fn limit_beside_an_exact_threshold_is_not_obeyed() {
        check(
            &["XADD x 1-1 f v", "XADD x 2-1 f v", "XADD x MAXLEN = 2 LIMIT 1 3-1 f v"],
            &[("XLEN x", ":2"), ("XRANGE x - + COUNT 1", "*1 *2 $3 2-1 *2 $1 f $1 v")],
        );
        check(
            &["XADD x 1-1 f v", "XADD x 2-1 f v", "XADD x 3-1 f v", "XTRIM x MINID = 3-1 LIMIT 1"],
            &[("XLEN x", ":1")],
        );
    }

    #[test]
    fn an_emptied_stream_stays_and_nomkstream_makes_none() {
        check(
            &["XADD x 1-1 f v", "XDEL x 1-1 9-9", "XADD y NOMKSTREAM 1-1 f v"],
            &[
                (
                    "XINFO STREAM x",
                    "*20 $6 length :0 $15 radix-tree-keys :0 $16 radix-tree-nodes :1 $17 last-generated-id $3 1-1 \
                     $20 max-deleted-entry-id $3 1-1 $13 entries-added :1 $23 recorded-first-entry-id $3 0-0 \
                     $6 groups :0 $11 first-entry $-1 $10 last-entry $-1",
                ),
                ("XINFO STREAM y", "-ERR no such key"),
            ],
        );
    }

    #[test]
    fn xsetid_sets_what_it_is_given() {
        check(
            &["XADD x 1-1 f v", "XSETID x 5-5 ENTRIESADDED 10 MAXDELETEDID 4-4", "XSETID x 6-6"],
            &[(
                "XINFO STREAM x",
                "*20 $6 length :1 $15 radix-tree-keys :1 $16 radix-tree-nodes :2 $17 last-generated-id $3 6-6 \
                 $20 max-deleted-entry-id $3 4-4 $13 entries-added :10 $23 recorded-first-entry-id $3 1-1 \
                 $6 groups :0 $11 first-entry *2 $3 1-1 *2 $1 f $1 v $10 last-entry *2 $3 1-1 *2 $1 f $1 v",
            )],
        );
    }

    #[test]
    fn what_cannot_be_applied_changes_nothing() {
        let mut bench = Bench::after(&["XADD x 5-1 f v", "XADD x 6-1 f v", "SET s v"]);
        for (line, why) in [
            ("XADD x 6-1 f v", "equal or smaller"),
            ("XADD x * f v", "Invalid stream ID"),
            ("XADD x 7-* f v", "Invalid stream ID"),
            ("XADD y 0-0 f v", "greater than 0-0"),
            ("XADD x 7-1 f v g", "wrong number"),
            ("XADD x MAXLEN 1 MINID 1 7-1 f v", "not compatible"),
            ("XADD x MAXLEN -1 7-1 f v", "must be >= 0"),
            ("XADD x MAXLEN = 1 LIMIT -1 7-1 f v", "must be >= 0"),
            ("XADD s 7-1 f v", "WRONGTYPE"),
            ("XTRIM x LIMIT 1", "trimming strategy"),
            ("XTRIM x MAXLEN = 1 more", "syntax"),
            ("XDEL x 5-1 bad", "Invalid stream ID"),
            ("XSETID x 6-0", "smaller than the target stream top"),
            ("XSETID x 9-0 ENTRIESADDED 1", "smaller than the target stream length"),
            ("XSETID x 9-0 MAXDELETEDID 9-1", "max_deleted_entry_id"),
            ("XSETID missing 9-0", "no such key"),
        ] {
            let refusal = bench.apply(line).expect_err(line);
            assert!(refusal.to_string().contains(why), "{line}: {refusal}");
        }
        assert_eq!(bench.ask("XLEN x"), ":2");
        assert_eq!(bench.ask("XLEN y"), ":0");
    }

    #[test]
    fn writes_to_missing_streams_do_nothing_as_on_the_servers() {
        check(&["XTRIM x MAXLEN 1", "XDEL x 1-1", "XACK x g 1-1"], &[("XINFO STREAM x", "-ERR no such key")]);
    }
}
