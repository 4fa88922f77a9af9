//! Which words of a request are keys, by the key specifications of its command, and what is done with them.

use super::acl::only_gets;
use super::facts::{Begin, Facts, Find, KeySpec};
use super::row::Keys;
use super::table::{self, Indexed};
use crate::number::parse_integer;
use std::sync::LazyLock;

/// The request is malformed: its keys cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeysRefused;

/// Specifications of all rows, by their numbers.
static SPECS: LazyLock<Vec<Box<[KeySpec]>>> = LazyLock::new(|| {
    let of = |name| Facts::of(name).into_iter().flat_map(Facts::key_specs).collect();
    table::rows().map(|row| of(row.name)).collect()
});

/// The keys of a request (all its words, the name first) to this row, with the flags of their specification. Costs
/// allocations.
pub fn keys_of<'a>(found: Indexed, request: &[&'a [u8]]) -> Result<Vec<(&'a [u8], &'static str)>, KeysRefused> {
    let word = |at: usize| request.get(at).copied().unwrap_or_default();
    Ok(places_of(found, request)?.into_iter().map(|(at, flags)| (word(at), flags)).collect())
}

/// Which words of a request are keys, with the flags of their specification. Costs an allocation.
pub fn places_of(found: Indexed, request: &[&[u8]]) -> Result<Vec<(usize, &'static str)>, KeysRefused> {
    by_specs(found.row.keys, SPECS.get(found.index).map_or(&[], |specs| specs), request)
}

fn by_specs(keys: Keys, specs: &[KeySpec], request: &[&[u8]]) -> Result<Vec<(usize, &'static str)>, KeysRefused> {
    let mut found = Vec::new();
    for spec in specs {
        let Some(begin) = begin(spec.begin, request) else { continue };
        for at in positions(spec.find, begin, request)? {
            if at >= request.len() {
                return Err(KeysRefused);
            }
            // MIGRATE says with an empty key that the keys are behind KEYS.
            if keys != Keys::Migrate || !request[at].is_empty() {
                found.push((at, flags_of(spec, request)));
            }
        }
    }
    if keys == Keys::WithStore && specs.iter().any(|spec| spec.begin == Begin::Unknown) {
        found.extend(store_of_sort(request));
    }
    if found.is_empty() { Err(KeysRefused) } else { Ok(found) }
}

/// What is done with the keys of a specification: of SET and BITFIELD it depends on the options (as redis 7.0).
fn flags_of(spec: &KeySpec, request: &[&[u8]]) -> &'static str {
    if !spec.flags.contains("variable_flags") {
        return spec.flags;
    }
    if request[0].eq_ignore_ascii_case(b"set") {
        let gets = request.iter().skip(3).any(|word| word.eq_ignore_ascii_case(b"get"));
        return if gets { "RW,access,update" } else { "OW,update" };
    }
    if request[0].eq_ignore_ascii_case(b"bitfield") && only_gets(request) {
        return "RO,access";
    }
    spec.flags
}

fn begin(begin: Begin, request: &[&[u8]]) -> Option<usize> {
    let is = |at: &usize, word: &str| request[*at].eq_ignore_ascii_case(word.as_bytes());
    match begin {
        Begin::Index(at) => usize::try_from(at).ok().filter(|at| *at < request.len()),
        Begin::Unknown => None,
        Begin::Keyword(word, from) if from >= 0 => {
            let from = usize::try_from(from).ok()?;
            (from..request.len()).find(|at| is(at, word)).map(|at| at + 1)
        }
        Begin::Keyword(word, from) => {
            let last = request.len().checked_sub(usize::try_from(from.unsigned_abs()).ok()?)?;
            (1..=last).rev().find(|at| is(at, word)).map(|at| at + 1)
        }
    }
}

fn positions(find: Find, begin: usize, request: &[&[u8]]) -> Result<Vec<usize>, KeysRefused> {
    let words = request.len();
    let step_of = |step: i64| usize::try_from(step).ok().filter(|step| *step > 0).ok_or(KeysRefused);
    match find {
        Find::Unknown => Ok(Vec::new()),
        Find::Range { last, step, limit } => {
            let last = match (usize::try_from(last), limit) {
                (Ok(last), _) => begin + last,
                // The first half (or third ...) of what is behind the beginning.
                (Err(_), limit) if limit > 1 && last == -1 => {
                    let share = words.saturating_sub(begin) / step_of(limit)?;
                    (begin + share).checked_sub(1).ok_or(KeysRefused)?
                }
                (Err(_), _) => {
                    let back = usize::try_from(last.unsigned_abs()).map_err(|_| KeysRefused)?;
                    words.checked_sub(back).ok_or(KeysRefused)?
                }
            };
            Ok((begin..=last).step_by(step_of(step)?).collect())
        }
        Find::Count { index, first, step } => {
            let at = |offset: i64| usize::try_from(offset).map(|offset| begin + offset).map_err(|_| KeysRefused);
            let count = request.get(at(index)?).and_then(|word| parse_integer(word));
            let count = count.and_then(|count| usize::try_from(count).ok()).ok_or(KeysRefused)?;
            let (first, step) = (at(first)?, step_of(step)?);
            // More keys than words cannot be: checked before anything is as long as the number says. None at all are
            // refused by the command, or are no keys of it.
            if count == 0 || count > words {
                return Err(KeysRefused);
            }
            Ok((0..count).map(|n| first + n * step).collect())
        }
    }
}

/// `SORT key ... STORE destination`: the specification of this one says "unknown".
fn store_of_sort(request: &[&[u8]]) -> Option<(usize, &'static str)> {
    let store = request.iter().rposition(|word| word.eq_ignore_ascii_case(b"store"))?;
    (store + 1 < request.len()).then_some((store + 1, "OW,update"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(line: &str) -> Result<Vec<String>, KeysRefused> {
        let request: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let (found, _) = table::find(request[0], None).expect("a command");
        let keys = keys_of(found, &request)?;
        Ok(keys.into_iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect())
    }

    #[test]
    fn keys_are_where_the_specifications_say() {
        let check = |line: &str, expected: &[&str]| {
            assert_eq!(keys(line).unwrap_or_else(|_| panic!("{line}")), expected, "{line}");
        };
        check("GET k", &["k"]);
        check("MSET a 1 b 2", &["a", "b"]);
        check("BLPOP a b 0", &["a", "b"]);
        check("ZUNIONSTORE d 2 a b WEIGHTS 1 2", &["d", "a", "b"]);
        check("EVAL script 2 a b c", &["a", "b"]);
        check("XREAD COUNT 1 STREAMS a b 0 0", &["a", "b"]);
        check("XREADGROUP GROUP streams c STREAMS a 0", &["a"]);
        check("SORT a BY x STORE d", &["a", "d"]);
        check("SORT a", &["a"]);
        check("GEORADIUS k 0 0 1 m STORE d", &["k", "d"]);
        check("MIGRATE h 1 \"\" 0 10 KEYS a b", &["\"\"", "a", "b"]);
    }

    #[test]
    fn requests_whose_keys_cannot_be_told_are_refused() {
        for line in [
            "XREAD a b c",
            "EVAL script x",
            "EVAL script 0",
            "ZDIFFSTORE d 0 a",
            "EVAL script 3 a",
            "ZUNION 999999999 a",
            "ZUNION -1 a",
        ] {
            assert_eq!(keys(line), Err(KeysRefused), "{line}");
        }
    }
}
