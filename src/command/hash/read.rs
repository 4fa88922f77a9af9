//! Reads of hashes. An expired field is as good as missing, with two exceptions of the servers noted below.

use crate::command::args::Args;
use crate::command::chance::{self, Wanted};
use crate::command::context::ReadCx;
use crate::command::scan::{self, ScanOf};
use crate::dataset::hash::{Entry, Hash};
use crate::dataset::packed::listpack::{Element, IntText};
use crate::resp::refusal::Refusal;
use crate::resp::reply::{Proto, Reply};

/// What a whole-hash read answers of each field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Names,
    Values,
    Both,
}

pub(super) fn hget(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let hash = cx.hash(args.require()?)?;
    put_value(out, alive(cx, hash, args.require()?));
    Ok(())
}

pub(super) fn hmget(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let hash = cx.hash(args.require()?)?;
    out.array(args.remaining());
    args.for_each(|field| put_value(out, alive(cx, hash, field)));
    Ok(())
}

pub(super) fn hexists(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let hash = cx.hash(args.require()?)?;
    out.flag(alive(cx, hash, args.require()?).is_some());
    Ok(())
}

pub(super) fn hstrlen(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let hash = cx.hash(args.require()?)?;
    out.count(alive(cx, hash, args.require()?).map_or(0, |entry| entry.value.len()));
    Ok(())
}

/// Counts expired fields, too, as redis 8.0 and valkey 9.1 do.
pub(super) fn hlen(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let hash = cx.hash(args.require()?)?;
    out.count(hash.map_or(0, Hash::len));
    Ok(())
}

pub(super) fn hgetall(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    whole(cx, args, out, Part::Both)
}

pub(super) fn hkeys(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    whole(cx, args, out, Part::Names)
}

pub(super) fn hvals(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    whole(cx, args, out, Part::Values)
}

fn whole(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply, part: Part) -> Result<(), Refusal> {
    let hash = cx.hash(args.require()?)?;
    let open = if part == Part::Both { Reply::map } else { Reply::array };
    let Some(hash) = hash else {
        open(out, 0);
        return Ok(());
    };
    if hash.expiring() == 0 {
        open(out, hash.len());
        hash.iter().for_each(|entry| put_entry(out, entry, part));
        return Ok(());
    }
    out.deferred(open, |out| {
        let alive = hash.iter().filter(|entry| !entry.is_expired(cx.now));
        Ok(alive.map(|entry| put_entry(out, entry, part)).count())
    })
}

pub(super) fn hrandfield(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let key = args.require()?;
    if args.is_empty() {
        let picked = cx.hash(key)?.and_then(|hash| random(cx, hash, Wanted::Repeated(1)).pop());
        put_text(out, picked.map(|entry| entry.field));
        return Ok(());
    }
    let wanted = chance::wanted(args)?;
    let with_values = with_values(args, wanted)?;
    let picked = cx.hash(key)?.map(|hash| random(cx, hash, wanted)).unwrap_or_default();
    let in_pairs = with_values && out.proto == Proto::Resp3;
    out.array(if with_values && !in_pairs { picked.len() * 2 } else { picked.len() });
    for entry in picked {
        if in_pairs {
            out.array(2);
        }
        put_entry(out, entry, if with_values { Part::Both } else { Part::Names });
    }
    Ok(())
}

fn with_values(args: &mut Args<'_>, wanted: Wanted) -> Result<bool, Refusal> {
    let given = args.take("withvalues");
    args.end()?;
    let (Wanted::Distinct(count) | Wanted::Repeated(count)) = wanted;
    // As redis 7.0: twice the count must be a number, too.
    if given && i64::try_from(count).is_ok_and(|count| count > i64::MAX / 2) {
        return Err(Refusal::OUT_OF_RANGE);
    }
    Ok(given)
}

/// Fields by chance. Redis 8.0 on a replica picks expired ones, too; Valkey 9.1 doesn't.
fn random<'a>(cx: &ReadCx<'_>, hash: &'a Hash, wanted: Wanted) -> Vec<Entry<'a>> {
    let hides_expired = cx.dialect().is_valkey() && hash.expiring() > 0;
    let is_big_table = hash.len() > chance::SHUFFLED_MAX;
    match wanted {
        Wanted::Distinct(count) if !hides_expired => {
            let pick = || hash.random(chance::random);
            chance::distinct(count, hash.len(), hash.iter(), pick, |entry| entry.field)
        }
        Wanted::Repeated(count) if is_big_table && !hides_expired => {
            (0..count).filter_map(|_| hash.random(chance::random)).collect()
        }
        Wanted::Distinct(_) | Wanted::Repeated(_) => {
            let visible = |entry: &Entry<'_>| !hides_expired || !entry.is_expired(cx.now);
            chance::from_list(wanted, hash.iter().filter(visible).collect())
        }
    }
}

pub(super) fn hscan(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let key = args.require()?;
    let cursor = scan::cursor(args, cx.dialect())?;
    let Some(hash) = cx.hash(key)? else {
        scan::empty_page(out);
        return Ok(());
    };
    let options = scan::options(args, ScanOf::Hash, cx.dialect())?;
    let (mut page, mut scratch) = (Vec::new(), IntText::default());
    let next = hash.scan(cursor, options.count, |entry| {
        if !entry.is_expired(cx.now) && options.accepts(entry.field.text(&mut scratch)) {
            page.push(entry);
        }
    });
    let part = if options.names_only { Part::Names } else { Part::Both };
    out.array(2);
    out.bulk(itoa::Buffer::new().format(next));
    out.array(if part == Part::Both { page.len() * 2 } else { page.len() });
    page.into_iter().for_each(|entry| put_entry(out, entry, part));
    Ok(())
}

/// The field, if it is there and not expired.
fn alive<'a>(cx: &ReadCx<'_>, hash: Option<&'a Hash>, field: &[u8]) -> Option<Entry<'a>> {
    hash?.get(field).filter(|entry| !entry.is_expired(cx.now))
}

fn put_value(out: &mut Reply, entry: Option<Entry<'_>>) {
    put_text(out, entry.map(|entry| entry.value));
}

fn put_text(out: &mut Reply, element: Option<Element<'_>>) {
    match element {
        Some(element) => out.bulk(element.text(&mut IntText::default())),
        None => out.null(),
    }
}

fn put_entry(out: &mut Reply, entry: Entry<'_>, part: Part) {
    let mut scratch = IntText::default();
    if part != Part::Values {
        out.bulk(entry.field.text(&mut scratch));
    }
    if part != Part::Names {
        out.bulk(entry.value.text(&mut scratch));
    }
}
