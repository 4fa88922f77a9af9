//! LCS: the longest common subsequence of two strings, as text, length or matching ranges.

use crate::command::args::Args;
use crate::command::context::ReadCx;
use crate::dataset::ValueRef;
use crate::limits::LCS_CELLS_MAX;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

/// What is asked for.
#[derive(Default)]
struct Form {
    length: bool,
    ranges: bool,
    with_lengths: bool,
    match_min: usize,
}

/// Costs the product of both lengths in time, an eighth of it in memory.
pub(super) fn lcs(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let (a, b) = (string(cx, args.require()?)?, string(cx, args.require()?)?);
    let form = Form::parse(args)?;
    let table = Table::new(a, b)?;
    if form.ranges {
        return ranges(&table, &form, out);
    }
    if form.length {
        out.count(table.length);
        return Ok(());
    }
    let mut text: Vec<u8> = table.matches().map(|(i, _)| a[i]).collect();
    text.reverse();
    out.bulk(text);
    Ok(())
}

/// The servers have their own words for the wrong type here; a missing key is an empty string.
fn string<'a>(cx: &ReadCx<'a>, key: &[u8]) -> Result<&'a [u8], Refusal> {
    match cx.lookup(key)?.map(|entry| entry.value()) {
        None => Ok(b""),
        Some(ValueRef::Str(bytes, _)) => Ok(bytes),
        Some(_) => Err(Refusal::text("ERR The specified keys must contain string values")),
    }
}

impl Form {
    fn parse(args: &mut Args<'_>) -> Result<Self, Refusal> {
        let mut form = Self::default();
        while args.remaining() > 0 {
            if args.take("idx") {
                form.ranges = true;
            } else if args.take("len") {
                form.length = true;
            } else if args.take("withmatchlen") {
                form.with_lengths = true;
            } else if args.remaining() > 1 && args.take("minmatchlen") {
                form.match_min = usize::try_from(args.integer()?).unwrap_or(0);
            } else {
                return Err(Refusal::SYNTAX);
            }
        }
        if form.ranges && form.length {
            let both = "ERR If you want both the length and indexes, please just use IDX.";
            return Err(Refusal::text(both));
        }
        Ok(form)
    }
}

/// Which way leads back from each cell of the length table: one bit a cell instead of its length.
struct Table<'a> {
    a: &'a [u8],
    b: &'a [u8],
    /// Bit of cell (i, j): the prefix without the last byte of `a` is the longer one of the two.
    up: Vec<u64>,
    length: usize,
}

impl<'a> Table<'a> {
    fn new(a: &'a [u8], b: &'a [u8]) -> Result<Self, Refusal> {
        let cells = (a.len() + 1).checked_mul(b.len() + 1);
        if cells.is_none_or(|cells| cells > LCS_CELLS_MAX) {
            return Err(Refusal::text(
                "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
            ));
        }
        let mut up = vec![0_u64; (a.len() * b.len()).div_ceil(64)];
        let mut row = vec![0_u32; b.len() + 1];
        for (i, x) in a.iter().enumerate() {
            let mut diagonal = 0;
            for (j, y) in b.iter().enumerate() {
                let (above, left) = (row[j + 1], row[j]);
                row[j + 1] = if x == y { diagonal + 1 } else { above.max(left) };
                let cell = i * b.len() + j;
                up[cell / 64] |= u64::from(above > left) << (cell % 64);
                diagonal = above;
            }
        }
        Ok(Self { a, b, up, length: row[b.len()] as usize })
    }

    /// Pairs of matching positions, from the end to the start.
    fn matches(&self) -> impl Iterator<Item = (usize, usize)> {
        let (mut i, mut j) = (self.a.len(), self.b.len());
        std::iter::from_fn(move || {
            while i > 0 && j > 0 {
                let cell = (i - 1) * self.b.len() + j - 1;
                if self.a[i - 1] == self.b[j - 1] {
                    (i, j) = (i - 1, j - 1);
                    return Some((i, j));
                } else if self.up[cell / 64] >> (cell % 64) & 1 == 1 {
                    i -= 1;
                } else {
                    j -= 1;
                }
            }
            None
        })
    }
}

/// A run of matches: where it starts in both strings, and how long it is.
#[derive(Clone, Copy)]
struct Run {
    a: usize,
    b: usize,
    len: usize,
}

fn ranges(table: &Table<'_>, form: &Form, out: &mut Reply) -> Result<(), Refusal> {
    let mut runs: Vec<Run> = Vec::new();
    for (i, j) in table.matches() {
        match runs.last_mut() {
            Some(run) if (run.a, run.b) == (i + 1, j + 1) => *run = Run { a: i, b: j, len: run.len + 1 },
            _ => runs.push(Run { a: i, b: j, len: 1 }),
        }
    }
    runs.retain(|run| run.len >= form.match_min);
    out.map(2);
    out.bulk("matches");
    out.array(runs.len());
    for run in runs {
        out.array(2 + usize::from(form.with_lengths));
        for start in [run.a, run.b] {
            out.array(2);
            out.count(start);
            out.count(start + run.len - 1);
        }
        if form.with_lengths {
            out.count(run.len);
        }
    }
    out.bulk("len");
    out.count(table.length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;

    #[test]
    fn the_example_of_the_documentation() {
        let bench = Bench::after(&["SET a ohmytext", "SET b mynewtext", "RPUSH l x", "SETRANGE long 11585 x"]);
        let check = |line: &str, expected: &str| assert_eq!(bench.ask(line), expected, "{line}");
        check("LCS a b", "$6 mytext");
        check("LCS a b LEN", ":6");
        check("LCS a missing", "$0 ");
        check("LCS long missing LEN", ":0");
        check(
            "LCS long long LEN",
            "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        );
        check("LCS a b IDX", "*4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6");
        check("LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN", "*4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6");
        check("LCS a l", "-ERR The specified keys must contain string values");
        check("LCS a b IDX LEN", "-ERR If you want both the length and indexes, please just use IDX.");
        check("LCS a b MINMATCHLEN", "-ERR syntax error");
    }
}
