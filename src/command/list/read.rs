//! Reads of lists.

use crate::command::args::Args;
use crate::command::context::ReadCx;
use crate::dataset::list::{List, index_range};
use crate::dataset::packed::listpack::{Element, IntText};
use crate::resp::number;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

pub(super) fn llen(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.count(cx.list(args.require()?)?.map_or(0, List::len));
    Ok(())
}

/// A missing key answers before the index is looked at.
pub(super) fn lindex(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let Some(list) = cx.list(args.require()?)? else {
        out.null();
        return Ok(());
    };
    match position(args.integer()?, list.len()).and_then(|index| list.get(index)) {
        Some(element) => out.bulk(element.text(&mut IntText::default())),
        None => out.null(),
    }
    Ok(())
}

/// The index from the start for one that may count from the end.
pub(super) fn position(index: i64, len: usize) -> Option<usize> {
    let back = || len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?);
    usize::try_from(index).ok().or_else(back)
}

pub(super) fn lrange(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let (key, start, stop) = (args.require()?, args.integer()?, args.integer()?);
    let Some(list) = cx.list(key)? else {
        out.array(0);
        return Ok(());
    };
    let range = index_range(start, stop, list.len());
    out.array(range.len());
    let mut scratch = IntText::default();
    for element in list.iter_from(range.start).take(range.len()) {
        out.bulk(element.text(&mut scratch));
    }
    Ok(())
}

/// What LPOS is asked for.
struct Search {
    /// From the end.
    backwards: bool,
    /// Matches to pass over.
    skip: usize,
    /// Most matches to answer; `None`: one, not as an array.
    count: Option<usize>,
    /// Most elements to look at.
    look: usize,
}

impl Search {
    fn parse(args: &mut Args<'_>) -> Result<Self, Refusal> {
        let mut search = Self { backwards: false, skip: 0, count: None, look: usize::MAX };
        while args.remaining() > 0 {
            let has_value = args.remaining() > 1;
            if has_value && args.take("rank") {
                let rank = rank(args.require()?)?;
                search.backwards = rank < 0;
                search.skip = usize::try_from(rank.unsigned_abs() - 1).unwrap_or(usize::MAX);
            } else if has_value && args.take("count") {
                search.count = Some(limit(args, "ERR COUNT can't be negative")?);
            } else if has_value && args.take("maxlen") {
                search.look = limit(args, "ERR MAXLEN can't be negative")?;
            } else {
                return Err(Refusal::SYNTAX);
            }
        }
        Ok(search)
    }

    /// Positions of the matches, in the order of the search.
    fn matches<'a>(&self, list: &'a List, wanted: &'a [u8]) -> impl Iterator<Item = usize> + use<'a> {
        let len = list.len();
        let elements: Box<dyn Iterator<Item = (usize, Element<'a>)>> = if self.backwards {
            Box::new(list.iter().rev().enumerate().map(move |(at, element)| (len - 1 - at, element)))
        } else {
            Box::new(list.iter().enumerate())
        };
        let found = elements.take(self.look).filter(move |(_, element)| element.is(wanted));
        found.map(|(at, _)| at).skip(self.skip).take(self.count.unwrap_or(1))
    }
}

fn rank(text: &[u8]) -> Result<i64, Refusal> {
    match number::parse_integer(text).ok_or(Refusal::NOT_AN_INTEGER)? {
        0 => Err(Refusal::text(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative \
             to start from the end of the list",
        )),
        i64::MIN => Err(Refusal::text(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        )),
        rank => Ok(rank),
    }
}

/// A limit of which 0 is none. What is no number is refused as a negative one.
fn limit(args: &mut Args<'_>, negative: &'static str) -> Result<usize, Refusal> {
    match args.integer().map(usize::try_from) {
        Ok(Ok(0)) => Ok(usize::MAX),
        Ok(Ok(limit)) => Ok(limit),
        _ => Err(Refusal::text(negative)),
    }
}

/// Costs the length of the list, or MAXLEN.
pub(super) fn lpos(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let (key, wanted) = (args.require()?, args.require()?);
    let search = Search::parse(args)?;
    let list = cx.list(key)?;
    let mut matches = list.into_iter().flat_map(|list| search.matches(list, wanted));
    if search.count.is_none() {
        match matches.next() {
            Some(at) => out.count(at),
            None => out.null(),
        }
        return Ok(());
    }
    out.deferred(Reply::array, |out| Ok(matches.inspect(|at| out.count(*at)).count()))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;

    #[test]
    fn reads_answer_as_redis_does() {
        let bench = Bench::after(&["RPUSH l a b c 1 a", "SET s v"]);
        let check = |line: &str, expected: &str| assert_eq!(bench.ask(line), expected, "{line}");
        check("LLEN l", ":5");
        check("LLEN missing", ":0");
        check("LINDEX l 0", "$1 a");
        check("LINDEX l -2", "$1 1");
        check("LINDEX l 5", "$-1");
        check("LINDEX l -6", "$-1");
        check("LINDEX missing x", "$-1");
        check("LRANGE l 1 3", "*3 $1 b $1 c $1 1");
        check("LRANGE l 0 -100", "*0");
        check("LPOS l a", ":0");
        check("LPOS l a RANK 2", ":4");
        check("LPOS l a RANK -1", ":4");
        check("LPOS l a RANK -1 COUNT 0", "*2 :4 :0");
        check("LPOS l a MAXLEN 4 COUNT 0", "*1 :0");
        check("LPOS l a MAXLEN 4 RANK -1 COUNT 2", "*1 :4");
        check("LPOS l z", "$-1");
        check("LPOS l z COUNT 1", "*0");
        // Servers up to 7.0 take this rank.
        let range = "between -9223372036854775807 and 9223372036854775807";
        check("LPOS l a RANK -9223372036854775808", &format!("-ERR value is out of range, value must {range}"));
        check("LLEN s", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    }
}
