//! SORT with STORE, from the stream, and SORT_RO.

use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::context::{ApplyCx, ReadCx};
use crate::command::partial_sort::sort_part;
use crate::config::EventClasses;
use crate::dataset::Dialect;
use crate::dataset::list::List;
use crate::dataset::packed::listpack::{Element, IntText};
use crate::dataset::{Keyspace, Uses, Value, ValueMut, ValueRef};
use crate::number::{parse_decimal_bound, parse_decimal_float, parse_float, parse_float_bound};
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use std::cmp::Ordering;

/// The options as given.
#[derive(Debug, Default)]
struct Request<'a> {
    by: Option<&'a [u8]>,
    /// BY a word without a star: the order is left as it is, also if another BY follows.
    unsorted: bool,
    get: Vec<&'a [u8]>,
    limit: Option<(i64, i64)>,
    descending: bool,
    alpha: bool,
    store: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    fn parse(args: &mut Args<'a>, may_store: bool) -> Result<Self, Refusal> {
        let mut request = Self::default();
        while args.remaining() > 0 {
            let values = args.remaining() - 1;
            if args.take("asc") {
                request.descending = false;
            } else if args.take("desc") {
                request.descending = true;
            } else if args.take("alpha") {
                request.alpha = true;
            } else if values >= 2 && args.take("limit") {
                request.limit = Some((args.integer()?, args.integer()?));
            } else if may_store && values >= 1 && args.take("store") {
                request.store = Some(args.require()?);
            } else if values >= 1 && args.take("by") {
                let by = args.require()?;
                request.by = Some(by);
                request.unsorted |= star(by).is_none();
            } else if values >= 1 && args.take("get") {
                request.get.push(args.require()?);
            } else {
                return Err(Refusal::SYNTAX);
            }
        }
        Ok(request)
    }

    /// The part of `len` sorted elements that LIMIT asks for.
    fn range(&self, len: usize) -> std::ops::Range<usize> {
        let (start, count) = self.limit.unwrap_or((0, -1));
        let start = usize::try_from(start.max(0)).unwrap_or(usize::MAX).min(len);
        let count = usize::try_from(count).unwrap_or(len);
        start..start.saturating_add(count).min(len)
    }
}

/// Where a pattern has its star; a zero byte ends the search (as in the servers).
fn star(pattern: &[u8]) -> Option<usize> {
    memchr::memchr2(b'*', 0, pattern).filter(|at| pattern[*at] == b'*')
}

/// The keys that patterns may name.
#[derive(Clone, Copy)]
struct World<'a> {
    keyspace: &'a Keyspace,
    /// Hides what is expired; `None` for the stream, to which everything is present.
    now: Option<UnixMs>,
    /// Whose numbers are read; `None` for the stream.
    reader: Option<Dialect>,
    /// How uses of them are recorded; `None` for a client that makes none.
    uses: Option<Uses>,
}

impl<'a> World<'a> {
    /// What `pattern` means for an element: `#` the element itself, `w_*` a string, `w_*->f` a field of a hash.
    fn look(&self, pattern: &[u8], element: Element<'a>) -> Option<Element<'a>> {
        if pattern == b"#" {
            return Some(element);
        }
        let star = star(pattern)?;
        let (prefix, suffix) = (&pattern[..star], &pattern[star + 1..]);
        let arrow = memchr::memmem::find(suffix, b"->").filter(|at| at + 2 < suffix.len());
        let (suffix, field) = match arrow {
            Some(at) => (&suffix[..at], Some(&suffix[at + 2..])),
            None => (suffix, None),
        };
        let key = [prefix, element.text(&mut IntText::default()), suffix].concat();
        match (self.value(&key)?, field) {
            (ValueRef::Str(bytes, _), None) => Some(Element::Str(bytes)),
            (ValueRef::Hash(hash), Some(field)) => {
                let entry = hash.get(field)?;
                let hidden = self.now.is_some_and(|now| entry.is_expired(now));
                (!hidden).then_some(entry.value)
            }
            _ => None,
        }
    }

    fn value(&self, key: &[u8]) -> Option<ValueRef<'a>> {
        let entry = self.keyspace.get(key)?;
        if self.now.is_some_and(|now| entry.is_expired(now)) {
            return None;
        }
        self.uses.inspect(|uses| entry.mark_used(uses));
        Some(entry.value())
    }
}

/// What an element is sorted by.
enum Weight<'a> {
    Number(f64),
    /// BY a key that is not there: before all others.
    Text(Option<Element<'a>>),
}

/// The sorted elements, of which LIMIT takes a part.
fn sorted<'a>(
    value: Option<ValueRef<'a>>,
    request: &Request<'a>,
    world: World<'a>,
) -> Result<Vec<Element<'a>>, Refusal> {
    let unsorted = request.unsorted;
    let backwards = unsorted && request.descending;
    let elements: Vec<_> = match value {
        None => Vec::new(),
        Some(ValueRef::List(list)) if backwards => list.iter().rev().collect(),
        Some(ValueRef::List(list)) => list.iter().collect(),
        Some(ValueRef::ZSet(zset)) if backwards => zset.iter().rev().map(|(member, _)| member).collect(),
        Some(ValueRef::ZSet(zset)) => zset.iter().map(|(member, _)| member).collect(),
        Some(ValueRef::Set(set)) => set.iter().collect(),
        Some(ValueRef::Marked(marked)) => return Err(Refusal::marked(&marked.module)),
        Some(_) => return Err(Refusal::WRONG_TYPE),
    };
    // A set has no order: what is stored is sorted all the same, so that every server stores the same.
    let by_itself = unsorted && request.store.is_some() && matches!(value, Some(ValueRef::Set(_)));
    if by_itself {
        let whole = Request { alpha: true, descending: request.descending, ..Request::default() };
        return sort_elements(elements, &whole, world);
    }
    if unsorted { Ok(elements) } else { sort_elements(elements, request, world) }
}

fn sort_elements<'a>(
    elements: Vec<Element<'a>>,
    request: &Request<'_>,
    world: World<'a>,
) -> Result<Vec<Element<'a>>, Refusal> {
    let mut weighted = Vec::with_capacity(elements.len());
    for element in elements {
        let by = request.by.map_or(Some(element), |by| world.look(by, element));
        let weight = if request.alpha {
            Weight::Text(by)
        } else {
            Weight::Number(by.map_or(Ok(0.0), |by| number(by, world.reader))?)
        };
        weighted.push((weight, element));
    }
    // BY weights that tie leave an order to chance, so it has to be the servers'.
    let all = 0..weighted.len();
    let wanted = if request.by.is_some() { request.range(all.end) } else { all };
    let by_weight = if world.reader.is_some() { by_collation } else { by_text };
    sort_part(&mut weighted, wanted, |a, b| {
        let order = match (&a.0, &b.0) {
            (Weight::Number(x), Weight::Number(y)) => x.total_cmp(y).then_with(|| by_text(a.1, b.1)),
            (Weight::Text(Some(x)), Weight::Text(Some(y))) => by_weight(*x, *y),
            (Weight::Text(x), Weight::Text(y)) => x.is_some().cmp(&y.is_some()),
            _ => Ordering::Equal,
        };
        if request.descending { order.reverse() } else { order }
    });
    Ok(weighted.into_iter().map(|(_, element)| element).collect())
}

fn by_text(a: Element<'_>, b: Element<'_>) -> Ordering {
    a.text(&mut IntText::default()).cmp(b.text(&mut IntText::default()))
}

/// The order of what is not stored: that of C's locale, in which a text ends at a zero byte.
fn by_collation(a: Element<'_>, b: Element<'_>) -> Ordering {
    let (mut first, mut second) = (IntText::default(), IntText::default());
    let [a, b] = [a.text(&mut first), b.text(&mut second)].map(|text| match memchr::memchr(0, text) {
        Some(end) => &text[..end],
        None => text,
    });
    a.cmp(b)
}

/// A weight. The servers differ in what they take beside plain numbers: spaces in front and hexadecimal (strtod, up to 7.0
/// and Valkey 8.1), the empty text for 0 (all but Valkey 9.1), what overflows or vanishes (redis 8.0); a zero byte ends
/// the number for all. For the stream, whose master has sorted already, this takes what any of them does.
fn number(element: Element<'_>, reader: Option<Dialect>) -> Result<f64, Refusal> {
    let mut scratch = IntText::default();
    let text = match element {
        Element::Int(n) => return Ok(n as f64),
        element => element.text(&mut scratch).split(|byte| *byte == 0).next().unwrap_or_default(),
    };
    let value = match (reader, text.trim_ascii_start()) {
        (Some(Dialect::Redis(8.., _)), _) => parse_decimal_bound(text),
        (Some(Dialect::Valkey(9.., _)), _) => parse_decimal_float(text),
        (_, b"") => Some(0.0),
        (Some(_), text) => parse_float(text),
        (None, text) => parse_float_bound(text),
    };
    // -0 and 0 are the same weight.
    let value = value.map(|value| value + 0.0);
    value.ok_or_else(|| Refusal::text("ERR One or more scores can't be converted into double"))
}

/// Costs n log n of the whole collection, also with LIMIT.
pub(super) fn sort_ro(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let key = args.require()?;
    let request = Request::parse(args, false)?;
    let value = cx.lookup(key)?.map(|entry| entry.value());
    let world = World {
        keyspace: cx.keyspace()?,
        now: Some(cx.now),
        reader: Some(cx.dialect()),
        uses: (!cx.no_touch).then_some(cx.uses),
    };
    let elements = sorted(value, &request, world)?;
    let elements = &elements[request.range(elements.len())];
    out.array(elements.len() * request.get.len().max(1));
    let mut scratch = IntText::default();
    for element in elements {
        if request.get.is_empty() {
            out.bulk(element.text(&mut scratch));
        }
        for pattern in &request.get {
            match world.look(pattern, *element) {
                Some(found) => out.bulk(found.text(&mut scratch)),
                None => out.null(),
            }
        }
    }
    Ok(())
}

/// Stores the result as a list, or removes the target where it is empty. What GET does not find is an empty string.
/// Without STORE nothing changes.
pub(super) fn sort(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let request = Request::parse(args, true)?;
    let Some(target) = request.store else { return Ok(()) };
    let limits = cx.limits();
    let keyspace = cx.keyspace()?;
    let world = World { keyspace, now: None, reader: None, uses: Some(*keyspace.uses()) };
    // Its use is counted below.
    let value = keyspace.get(key).map(|entry| entry.value());
    let elements = sorted(value, &request, world)?;
    let range = request.range(elements.len());
    let mut result = Vec::with_capacity(range.len() * request.get.len().max(1));
    for element in &elements[range] {
        if request.get.is_empty() {
            result.push(element.to_vec());
        }
        let found = request.get.iter().map(|pattern| world.look(pattern, *element));
        result.extend(found.map(|found| found.map_or_else(Vec::new, |found| found.to_vec())));
    }
    if let Some(ValueMut::ZSet(zset)) = cx.value(key)? {
        zset.count_as_skiplist();
    }
    if result.is_empty() {
        return cx.delete(target).map(drop);
    }
    let list = List::from_elements(result, &limits);
    cx.store(target, Value::List(Box::new(list)), None)?;
    cx.changed(EventClasses::LIST, "sortstore", target);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;
    use crate::dataset::Dialect;

    fn bench() -> Bench {
        Bench::after(&[
            "RPUSH l 3 1 2 2",
            "RPUSH text b a c",
            "SADD s b a c",
            "ZADD z 1 b 2 a 3 c",
            "SET w:1 5",
            "SET w:2 1",
            "HSET h:1 f 9",
            "HSET h:3 f 8",
            "RPUSH odd \" 2\" 0x1 \"\"",
            "RPUSH zero \"7\\x00b\" 5",
        ])
    }

    #[test]
    fn older_servers_take_what_strtod_takes() {
        let mut bench = bench();
        bench.data.limits.dialect = Dialect::Redis(7, 0);
        assert_eq!(bench.ask("SORT_RO odd"), "*3 $0  $3 0x1 $2  2");
    }

    #[test]
    fn elements_are_sorted_as_redis_does() {
        let bench = bench();
        let check = |line: &str, expected: &str| assert_eq!(bench.ask(line), expected, "{line}");
        check("SORT_RO l", "*4 $1 1 $1 2 $1 2 $1 3");
        check("SORT_RO l DESC LIMIT 1 2", "*2 $1 2 $1 2");
        check("SORT_RO l LIMIT -5 2", "*2 $1 1 $1 2");
        check("SORT_RO l LIMIT 2 -5", "*2 $1 2 $1 3");
        check("SORT_RO l LIMIT 100 1", "*0");
        check("SORT_RO text", "-ERR One or more scores can't be converted into double");
        check("SORT_RO text ALPHA", "*3 $1 a $1 b $1 c");
        check("SORT_RO l BY nosort DESC LIMIT 1 2", "*2 $1 2 $1 1");
        check("SORT_RO z BY nosort DESC", "*3 $1 c $1 a $1 b");
        check("SORT_RO l BY nosort BY w:*", "*4 $1 3 $1 1 $1 2 $1 2");
        check("SORT_RO l BY \"w\\x00*\"", "*4 $1 3 $1 1 $1 2 $1 2");
        check("SORT_RO l BY w:* ALPHA", "*4 $1 3 $1 2 $1 2 $1 1");
        check("SORT_RO l BY h:*->f DESC", "*4 $1 1 $1 3 $1 2 $1 2");
        check("SORT_RO l LIMIT 3 1 GET # GET w:* GET h:*->f GET nostar GET h:*->", "*5 $1 3 $-1 $1 8 $-1 $-1");
        check("SORT_RO odd", "-ERR One or more scores can't be converted into double");
        check("SORT_RO zero", "*2 $1 5 $3 7\0b");
        check("SORT_RO missing", "*0");
        check("SORT_RO w:1", "-WRONGTYPE Operation against a key holding the wrong kind of value");
        check("SORT_RO l STORE d", "-ERR syntax error");
    }

    #[test]
    fn the_stream_stores_the_result() {
        let check = |line: &str, expected: &str| {
            let mut bench = bench();
            bench.apply("SET d old PXAT 2000000000").expect("applies");
            bench.apply(line).unwrap_or_else(|why| panic!("{line}: {why}"));
            assert_eq!(bench.ask("LRANGE d 0 -1"), expected, "{line}");
            assert!(bench.ask("PEXPIRETIME d").starts_with(":-"));
        };
        check("SORT l STORE d", "*4 $1 1 $1 2 $1 2 $1 3");
        check("SORT s BY nosort STORE d", "*3 $1 a $1 b $1 c");
        check("SORT s BY nosort DESC LIMIT 0 2 STORE d", "*2 $1 c $1 b");
        check("SORT l BY w:* GET w:* GET # STORE d", "*8 $0  $1 3 $1 1 $1 2 $1 1 $1 2 $1 5 $1 1");
        check("SORT missing STORE d", "*0");
        check("SORT l LIMIT 9 1 STORE d", "*0");
    }

    #[test]
    fn a_sorted_set_that_was_sorted_is_a_skiplist() {
        let mut bench = bench();
        assert_eq!(bench.ask("OBJECT ENCODING z"), "$8 listpack");
        bench.apply("SORT z ALPHA STORE d").expect("applies");
        assert_eq!(bench.ask("OBJECT ENCODING z"), "$8 skiplist");
        bench.apply("SORT z ALPHA STORE z").expect("applies");
        assert_eq!(bench.ask("LRANGE z 0 -1"), "*3 $1 a $1 b $1 c");
    }

    #[test]
    fn the_target_may_be_the_source() {
        let mut bench = bench();
        bench.apply("SORT l DESC STORE l").expect("applies");
        assert_eq!(bench.ask("LRANGE l 0 -1"), "*4 $1 3 $1 2 $1 2 $1 1");
        assert!(bench.apply("SORT text STORE l").is_err());
    }
}
