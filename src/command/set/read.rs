//! Reads of sets.

use super::algebra;
use crate::command::args::Args;
use crate::command::chance::{self, Wanted};
use crate::command::context::ReadCx;
use crate::command::scan::{self, ScanOf};
use crate::dataset::packed::listpack::{Element, IntText};
use crate::dataset::set::Set;
use crate::number::parse_integer;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

pub(super) fn smembers(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let set = cx.set(args.require()?)?;
    out.set(set.map_or(0, Set::len));
    set.into_iter().flat_map(Set::iter).for_each(|member| put(out, member));
    Ok(())
}

pub(super) fn sismember(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let set = cx.set(args.require()?)?;
    let member = args.require()?;
    out.flag(set.is_some_and(|set| set.contains(member)));
    Ok(())
}

pub(super) fn smismember(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let set = cx.set(args.require()?)?;
    out.array(args.remaining());
    args.for_each(|member| out.flag(set.is_some_and(|set| set.contains(member))));
    Ok(())
}

pub(super) fn scard(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let set = cx.set(args.require()?)?;
    out.count(set.map_or(0, Set::len));
    Ok(())
}

pub(super) fn srandmember(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let key = args.require()?;
    if args.is_empty() {
        match cx.set(key)?.and_then(|set| set.random(chance::random)) {
            Some(member) => put(out, member),
            None => out.null(),
        }
        return Ok(());
    }
    if args.remaining() > 1 {
        return Err(Refusal::SYNTAX);
    }
    let wanted = chance::wanted(args)?;
    let picked = cx.set(key)?.map(|set| random(set, wanted)).unwrap_or_default();
    out.array(picked.len());
    picked.into_iter().for_each(|member| put(out, member));
    Ok(())
}

fn random(set: &Set, wanted: Wanted) -> Vec<Element<'_>> {
    match wanted {
        Wanted::Distinct(count) => {
            let pick = || set.random(chance::random);
            chance::distinct(count, set.len(), set.iter(), pick, |member| member)
        }
        Wanted::Repeated(count) if set.len() > chance::SHUFFLED_MAX => {
            (0..count).filter_map(|_| set.random(chance::random)).collect()
        }
        Wanted::Repeated(_) => chance::from_list(wanted, set.iter().collect()),
    }
}

pub(super) fn sscan(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let key = args.require()?;
    let cursor = scan::cursor(args, cx.dialect())?;
    let Some(set) = cx.set(key)? else {
        scan::empty_page(out);
        return Ok(());
    };
    let options = scan::options(args, ScanOf::Set, cx.dialect())?;
    let (mut page, mut scratch) = (Vec::new(), IntText::default());
    let next = set.scan(cursor, options.count, |member| {
        if options.accepts(member.text(&mut scratch)) {
            page.push(member);
        }
    });
    out.array(2);
    out.bulk(itoa::Buffer::new().format(next));
    out.array(page.len());
    page.into_iter().for_each(|member| put(out, member));
    Ok(())
}

pub(super) fn sinter(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let members = algebra::intersection(&sets(cx, args)?);
    put_all(out, members)
}

pub(super) fn sunion(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let all = algebra::union(&sets(cx, args)?, &cx.data.limits);
    put_all(out, all.iter())
}

pub(super) fn sdiff(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let members = algebra::difference(&sets(cx, args)?);
    put_all(out, members)
}

/// `numkeys key ... [LIMIT n]`, 0 being no limit.
pub(super) fn sintercard(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let numkeys = parse_integer(args.require()?).filter(|n| *n > 0).ok_or(Refusal::NUMKEYS_NOT_POSITIVE)?;
    let numkeys = usize::try_from(numkeys).ok().filter(|n| *n <= args.remaining());
    let numkeys = numkeys.ok_or(Refusal::NUMKEYS_TOO_MANY)?;
    let keys: Vec<&[u8]> = (0..numkeys).filter_map(|_| args.optional()).collect();
    let mut limit = 0;
    while args.remaining() > 0 {
        if args.remaining() < 2 || !args.take("limit") {
            return Err(Refusal::SYNTAX);
        }
        limit = args.integer().ok().and_then(|n| usize::try_from(n).ok()).ok_or(Refusal::LIMIT_NEGATIVE)?;
    }
    let sets = keys.into_iter().map(|key| cx.set(key)).collect::<Result<Vec<_>, _>>()?;
    let limit = if limit == 0 { usize::MAX } else { limit };
    out.count(algebra::intersection(&sets).take(limit).count());
    Ok(())
}

/// The sets at all keys that are left. All are looked at before anything is answered: a wrong type is an error also
/// behind a missing key.
fn sets<'a>(cx: &ReadCx<'a>, args: &mut Args<'_>) -> Result<Vec<Option<&'a Set>>, Refusal> {
    args.map(|key| cx.set(key)).collect()
}

fn put_all<'a>(out: &mut Reply, members: impl Iterator<Item = Element<'a>>) -> Result<(), Refusal> {
    out.deferred(Reply::set, |out| Ok(members.map(|member| put(out, member)).count()))
}

fn put(out: &mut Reply, member: Element<'_>) {
    out.bulk(member.text(&mut IntText::default()));
}
