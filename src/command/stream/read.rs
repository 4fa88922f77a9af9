//! What clients ask of the entries: XLEN, XRANGE, XREVRANGE, XREAD.

use super::id::{self, INVALID_ID};
use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::context::ReadCx;
use crate::command::row::{Await, Until};
use crate::dataset::packed::listpack::IntText;
use crate::dataset::stream::{Entry, IdText, Stream, StreamId};
use crate::resp::refusal::Refusal;
use crate::resp::reply::{Proto, Reply};
use std::convert::Infallible;

pub(super) fn xlen(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let stream = cx.stream(args.require()?)?;
    out.integer(stream.map_or(0, |stream| stream.len().cast_signed()));
    Ok(())
}

pub(super) fn xrange(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let key = args.require()?;
    let from = id::range_start(args.require()?)?;
    let to = id::range_stop(args.require()?)?;
    let count = count_option(args)?;
    let Some(stream) = cx.stream(key)? else { return empty(out) };
    entries(out, stream.range(from, to), count)
}

pub(super) fn xrevrange(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let key = args.require()?;
    let (to, from) = (args.require()?, args.require()?);
    // The lower end is refused first, as the servers do.
    let from = id::range_start(from)?;
    let to = id::range_stop(to)?;
    let count = count_option(args)?;
    let Some(stream) = cx.stream(key)? else { return empty(out) };
    entries(out, stream.range_back(from, to), count)
}

fn empty(out: &mut Reply) -> Result<(), Refusal> {
    out.array(0);
    Ok(())
}

/// `[COUNT n]...`; `None` is all, and a negative count is none.
fn count_option(args: &mut Args<'_>) -> Result<Option<usize>, Refusal> {
    let mut count = None;
    while !args.is_empty() {
        if !args.take("COUNT") {
            return Err(Refusal::SYNTAX);
        }
        count = Some(usize::try_from(args.integer()?.max(0)).unwrap_or(usize::MAX));
    }
    Ok(count)
}

fn entries<'a>(
    out: &mut Reply,
    entries: impl Iterator<Item = Entry<'a>>,
    count: Option<usize>,
) -> Result<(), Refusal> {
    if count == Some(0) {
        out.null_array();
        return Ok(());
    }
    write_entries(out, entries.take(count.unwrap_or(usize::MAX)));
    Ok(())
}

/// An array of entries.
pub(super) fn write_entries<'a>(out: &mut Reply, entries: impl Iterator<Item = Entry<'a>>) {
    let Ok(()) =
        out.deferred::<Infallible>(Reply::array, |out| Ok(entries.map(|entry| write_entry(out, entry)).count()));
}

/// `[id, [field, value, ...]]`, the same in RESP3.
pub(super) fn write_entry(out: &mut Reply, entry: Entry<'_>) {
    out.array(2);
    write_id(out, entry.id);
    out.array(entry.fields.len() * 2);
    let mut scratch = IntText::default();
    for (name, value) in entry.fields {
        out.bulk(name.text(&mut scratch));
        out.bulk(value.text(&mut scratch));
    }
}

/// An id as bulk string.
pub(super) fn write_id(out: &mut Reply, id: StreamId) {
    out.bulk(id.text(&mut IdText::default()));
}

/// XREAD, as redis 8.0. With BLOCK it asks to wait if there is nothing.
pub(super) fn xread(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<Option<Await>, Refusal> {
    let options = XreadOptions::parse(args, cx.now)?;
    let ids = args.clone().skip(args.remaining() / 2).collect::<Vec<_>>();
    let streams = requested(cx, args)?;
    let ready: Vec<_> = streams.iter().filter(|request| request.has_news()).collect();
    if ready.is_empty() {
        if let Some(timeout_ms) = options.block.filter(|_| cx.may_wait) {
            return Ok(Some(wait_for(&streams, &ids, args, timeout_ms)));
        }
        out.null_array();
        return Ok(None);
    }
    let resp3 = out.proto == Proto::Resp3;
    if resp3 {
        out.map(ready.len())
    } else {
        out.array(ready.len())
    }
    for request in ready {
        if !resp3 {
            out.array(2);
        }
        out.bulk(request.key);
        let count = if request.last_only { 1 } else { options.count };
        let news =
            request.stream.iter().filter_map(|stream| Some(stream.range(request.after.next()?, StreamId::MAX)));
        write_entries(out, news.flatten().take(count));
    }
    Ok(None)
}

/// What is asked again when one of the streams changes: `$` is the last id of now. `+` stays, as in redis.
fn wait_for(streams: &[Request<'_, '_>], ids: &[&[u8]], args: &Args<'_>, timeout_ms: u64) -> Await {
    let head = args.words().take(args.word_count() - ids.len());
    let meant = streams.iter().zip(ids).map(|(request, id)| match *id {
        b"$" => <[u8]>::to_vec(request.after.text(&mut IdText::default())),
        id => id.to_vec(),
    });
    Await {
        timeout_ms: Some(timeout_ms).filter(|ms| *ms > 0),
        until: Until::Changed(streams.iter().map(|request| request.key.to_vec()).collect()),
        request: head.map(<[u8]>::to_vec).chain(meant).collect(),
    }
}

struct XreadOptions {
    count: usize,
    /// How long to wait, milliseconds; 0 is for ever.
    block: Option<u64>,
}

impl XreadOptions {
    /// Up to and with STREAMS.
    fn parse(args: &mut Args<'_>, now: UnixMs) -> Result<Self, Refusal> {
        let mut options = Self { count: usize::MAX, block: None };
        loop {
            let more = args.remaining() > 1;
            if more && args.take("BLOCK") {
                options.block = Some(timeout(args, now)?);
            } else if more && args.take("COUNT") {
                let count = usize::try_from(args.integer()?.max(0)).unwrap_or(usize::MAX);
                options.count = if count == 0 { usize::MAX } else { count };
            } else if more && args.take("STREAMS") {
                return Ok(options);
            } else if args.remaining() > 2 && args.take("GROUP") {
                return Err(only_group_reads("GROUP"));
            } else if args.take("NOACK") {
                return Err(only_group_reads("NOACK"));
            } else {
                return Err(Refusal::SYNTAX);
            }
        }
    }
}

fn only_group_reads(option: &str) -> Refusal {
    Refusal::text(format!("ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."))
}

fn timeout(args: &mut Args<'_>, now: UnixMs) -> Result<u64, Refusal> {
    let ms = args.integer();
    if ms.as_ref().is_ok_and(|ms| now.0.checked_add(*ms).is_none()) {
        return Err(Refusal::text("ERR timeout is out of range"));
    }
    match ms.map(u64::try_from) {
        Ok(Ok(ms)) => Ok(ms),
        Ok(Err(_)) => Err(Refusal::text("ERR timeout is negative")),
        Err(_) => Err(Refusal::text("ERR timeout is not an integer or out of range")),
    }
}

/// One key of XREAD and from where on it is read.
struct Request<'k, 'd> {
    key: &'k [u8],
    stream: Option<&'d Stream>,
    after: StreamId,
    /// `+` asks for the last entry, whatever COUNT says.
    last_only: bool,
}

impl Request<'_, '_> {
    fn has_news(&self) -> bool {
        self.stream.and_then(Stream::top).is_some_and(|top| top > self.after)
    }
}

/// Keys and ids behind STREAMS.
fn requested<'k, 'd>(cx: &ReadCx<'d>, args: &mut Args<'k>) -> Result<Vec<Request<'k, 'd>>, Refusal> {
    let valkey = cx.dialect().is_valkey();
    let words: Vec<_> = args.collect();
    if !words.len().is_multiple_of(2) {
        let ids = if valkey { "an ID or '$'" } else { "an ID, '+', or '$'" };
        return Err(Refusal::text(format!(
            "ERR Unbalanced 'xread' list of streams: for each stream key {ids} must be specified."
        )));
    }
    let (keys, ids) = words.split_at(words.len() / 2);
    let pairs = keys.iter().zip(ids);
    pairs.map(|(key, id)| request(key, cx.stream(key)?, id, valkey)).collect()
}

fn request<'k, 'd>(
    key: &'k [u8],
    stream: Option<&'d Stream>,
    id: &[u8],
    valkey: bool,
) -> Result<Request<'k, 'd>, Refusal> {
    let last_id = stream.map_or(StreamId::MIN, |stream| stream.counters().last_id);
    let (after, last_only) = match id {
        b"$" => (last_id, false),
        b">" => {
            return Err(Refusal::text(
                "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> \
                 option.",
            ));
        }
        // Redis 8.0 means the last entry that is there, Valkey the one with the last id ever used.
        b"+" if valkey => (last_id.previous().unwrap_or(StreamId::MIN), false),
        b"+" => (stream.and_then(Stream::top).and_then(StreamId::previous).unwrap_or(StreamId::MIN), true),
        b"-" => return Err(INVALID_ID),
        _ => (id::strict(id)?, false),
    };
    Ok(Request { key, stream, after, last_only })
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;
    use crate::dataset::Dialect;
    use crate::resp::reply::Proto;

    fn bench() -> Bench {
        Bench::after(&["XADD x 1-1 f v", "XADD x 2-1 f w", "XADD x 3-1 f u", "XDEL x 3-1", "SET s v"])
    }

    const FIRST: &str = "*2 $3 1-1 *2 $1 f $1 v";
    const SECOND: &str = "*2 $3 2-1 *2 $1 f $1 w";

    #[test]
    fn ranges_of_either_direction() {
        let bench = bench();
        for (line, reply) in [
            ("XRANGE x - +", format!("*2 {FIRST} {SECOND}")),
            ("XREVRANGE x + -", format!("*2 {SECOND} {FIRST}")),
            ("XRANGE x (1-1 +", format!("*1 {SECOND}")),
            ("XRANGE x 1 1", format!("*1 {FIRST}")),
            ("XREVRANGE x 2 2 COUNT 5", format!("*1 {SECOND}")),
            ("XRANGE x - + COUNT 0", "*-1".to_owned()),
            ("XRANGE missing - + COUNT 0", "*0".to_owned()),
            ("XLEN x", ":2".to_owned()),
        ] {
            assert_eq!(bench.ask(line), reply, "{line}");
        }
    }

    #[test]
    fn xread_is_a_map_in_resp3_and_null_without_news() {
        let mut bench = bench();
        assert_eq!(bench.ask("XREAD STREAMS x missing 1-1 0"), format!("*1 *2 $1 x *1 {SECOND}"));
        assert_eq!(bench.ask("XREAD STREAMS x $"), "*-1");
        bench.proto = Proto::Resp3;
        assert_eq!(bench.ask("XREAD COUNT 1 STREAMS x x 0 1-1"), format!("%2 $1 x *1 {FIRST} $1 x *1 {SECOND}"));
        assert_eq!(bench.ask("XREAD STREAMS x 2-1"), "_");
    }

    #[test]
    fn the_last_entry_is_found_by_its_id_on_valkey_and_by_looking_on_redis() {
        let mut bench = bench();
        assert_eq!(bench.ask("XREAD COUNT 9 STREAMS x +"), format!("*1 *2 $1 x *1 {SECOND}"));
        bench.data.limits.dialect = Dialect::Valkey(8, 1);
        assert_eq!(bench.ask("XREAD COUNT 9 STREAMS x +"), "*-1");
    }

    #[test]
    fn a_blocking_read_is_answered_if_there_is_something_and_asks_to_wait_otherwise() {
        let bench = bench();
        assert_eq!(bench.ask("XREAD BLOCK 5 STREAMS x 1-1"), format!("*1 *2 $1 x *1 {SECOND}"));
        let asked = bench.ask("XREAD BLOCK 5 STREAMS x missing $ +");
        assert_eq!(asked, "waits Some(5) for [x missing] with [XREAD BLOCK 5 STREAMS x missing 3-1 +]");
    }
}
