//! What the real servers say of their commands: flags, categories, where keys are, since when. COMMAND and its
//! subcommands answer from it, and it knows which commands are writes, so that a write without a row of ours
//! still answers READONLY.
//!
//! `facts.tsv` holds the answers of COMMAND and COMMAND DOCS: of redis 8.0 where it knows the command, else of
//! valkey 9.1 or an older server, and what valkey 9.1 tells otherwise. Texts of commands that Redis got after 7.2 are as
//! valkey words them, or our own. `make.py` makes it from running servers. `remora.tsv`, in the same form and written by
//! hand, holds what no real server has.

mod argument;

pub use argument::{Argument, arguments};

use super::row::{Keys, Row, refused_write};
use std::collections::BTreeMap;
use std::sync::LazyLock;

static TABLE: &str = include_str!("facts.tsv");
static OURS: &str = include_str!("remora.tsv");

static BY_NAME: LazyLock<BTreeMap<&'static str, Facts>> =
    LazyLock::new(|| parsed(|line| (!line.starts_with(OF_VALKEY)).then_some(line)));

/// What valkey tells otherwise.
static BY_NAME_VALKEY: LazyLock<BTreeMap<&'static str, Facts>> =
    LazyLock::new(|| parsed(|line| line.strip_prefix(OF_VALKEY)));

/// How lines begin that hold for valkey alone.
const OF_VALKEY: &str = "valkey:";

fn lines() -> impl Iterator<Item = &'static str> {
    TABLE.lines().skip(1).chain(OURS.lines().skip(1))
}

fn parsed(wanted: impl Fn(&'static str) -> Option<&'static str>) -> BTreeMap<&'static str, Facts> {
    lines().filter_map(wanted).filter_map(Facts::parse).map(|facts| (facts.name, facts)).collect()
}

/// What is known of one command. Lists are as in the file: words with commas between.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Lower case; a subcommand is `container|sub`.
    pub name: &'static str,
    /// The name included; negative is "at least".
    pub arity: i16,
    pub flags: &'static str,
    pub first_key: i16,
    pub last_key: i16,
    pub step: i16,
    pub acl: &'static str,
    pub tips: &'static str,
    /// `flags@begin@find` or `flags@begin@find@note` with semicolons between, see [`KeySpec`].
    pub key_specs: &'static str,
    pub since: &'static str,
    pub group: &'static str,
    pub doc_flags: &'static str,
    pub deprecated_since: &'static str,
    pub replaced_by: &'static str,
    pub complexity: &'static str,
    pub summary: &'static str,
    /// `version text` with `;;` between, see [`Facts::changes`].
    pub history: &'static str,
    /// The syntax of its arguments, see [`arguments`].
    pub arguments: &'static str,
}

/// One key specification: where to begin (`index:1`, `keyword:STREAMS,1`) and how to go on
/// (`range:last,step,limit`, `keynum:index,first,step`); `unknown` is either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    pub flags: &'static str,
    pub begin: Begin,
    pub find: Find,
    /// Why it is so, where the real servers say it.
    pub note: Option<&'static str>,
}

/// Where the keys of a specification begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this argument.
    Index(i64),
    /// Behind this word, searched from this argument (negative: from the end, backwards).
    Keyword(&'static str, i64),
    /// It cannot be told from outside.
    Unknown,
}

/// Which arguments from the beginning on are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Up to `last` (relative to the beginning; negative: from the end), each `step`; a `limit` of 2 is the first
    /// half of what is there.
    Range { last: i64, step: i64, limit: i64 },
    /// A count at `index` behind the beginning, the keys from `first` on.
    Count { index: i64, first: i64, step: i64 },
    /// It cannot be told from outside.
    Unknown,
}

impl Facts {
    /// The facts of a command, by its name as rows spell it (`object encoding`).
    pub fn of(name: &str) -> Option<&'static Self> {
        if !name.contains(' ') {
            return BY_NAME.get(name);
        }
        BY_NAME.get(name.replace(' ', "|").as_str())
    }

    /// All facts, by name.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        BY_NAME.values()
    }

    /// The same as the server of this family tells it.
    pub fn as_told(&'static self, valkey: bool) -> &'static Self {
        BY_NAME_VALKEY.get(self.name).filter(|_| valkey).unwrap_or(self)
    }

    /// What later versions changed: version and text.
    pub fn changes(&self) -> impl Iterator<Item = (&'static str, &'static str)> + Clone + use<> {
        self.history.split(";;").filter_map(|change| change.split_once(' '))
    }

    /// Does the list `flags` have this word?
    pub fn has(&self, flag: &str) -> bool {
        words(self.flags).any(|word| word == flag)
    }

    /// Its key specifications in order.
    pub fn key_specs(&self) -> impl Iterator<Item = KeySpec> + use<> {
        self.key_specs.split(';').filter_map(KeySpec::parse)
    }

    fn parse(line: &'static str) -> Option<Self> {
        let mut columns = line.split('\t');
        let mut next = || columns.next();
        Some(Self {
            name: next()?,
            arity: next()?.parse().ok()?,
            flags: next()?,
            first_key: next()?.parse().ok()?,
            last_key: next()?.parse().ok()?,
            step: next()?.parse().ok()?,
            acl: next()?,
            tips: next()?,
            key_specs: next()?,
            since: next()?,
            group: next()?,
            doc_flags: next()?,
            deprecated_since: next()?,
            replaced_by: next()?,
            complexity: next()?,
            summary: next()?,
            history: next()?,
            arguments: next()?,
        })
    }
}

impl KeySpec {
    fn parse(text: &'static str) -> Option<Self> {
        let mut parts = text.split('@');
        let (flags, begin, find) = (parts.next()?, parts.next()?, parts.next()?);
        let begin = match begin.split_once(':') {
            Some(("index", at)) => Begin::Index(at.parse().ok()?),
            Some((_, keyword)) => {
                let (word, from) = keyword.split_once(',')?;
                Begin::Keyword(word, from.parse().ok()?)
            }
            None => Begin::Unknown,
        };
        let find = match find.split_once(':') {
            Some((kind, numbers)) => {
                let mut numbers = numbers.split(',').map(str::parse::<i64>);
                let mut next = || numbers.next()?.ok();
                let (a, b, c) = (next()?, next()?, next()?);
                match kind {
                    "range" => Find::Range { last: a, step: b, limit: c },
                    _ => Find::Count { index: a, first: b, step: c },
                }
            }
            None => Find::Unknown,
        };
        Some(Self { flags, begin, find, note: parts.next() })
    }
}

/// The words of a list with commas.
pub fn words(list: &'static str) -> impl Iterator<Item = &'static str> + Clone {
    list.split(',').filter(|word| !word.is_empty())
}

/// Rows for the writes of real servers that have no row of ours: they answer READONLY to clients, and the stream
/// cannot apply them. Made once for the life of the process.
pub(super) fn refused_writes(has_row: impl Fn(&str) -> bool) -> Vec<&'static Row> {
    let writes = Facts::all().filter(|facts| facts.has("write"));
    // A subcommand can only be asked for where its container is known.
    let reachable = writes.filter(|facts| facts.name.split_once('|').is_none_or(|(name, _)| has_row(name)));
    let missing = reachable.map(|facts| (facts, facts.name.replace('|', " "))).filter(|(_, name)| !has_row(name));
    let row = |(facts, name): (&Facts, String)| {
        let keys = match facts.first_key {
            0 => Keys::None,
            first => Keys::Range(first, facts.last_key, facts.step),
        };
        &*Box::leak(Box::new(refused_write(Box::leak(name.into_boxed_str()), facts.arity, keys)))
    };
    missing.map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read() {
        let all = || BY_NAME.values().chain(BY_NAME_VALKEY.values());
        assert_eq!(all().count(), lines().count());
        let specs: usize = all().map(|facts| facts.key_specs().count()).sum();
        let written = lines().map(|line| line.matches('@').count()).sum::<usize>();
        let categories: usize = all().map(|facts| facts.acl.matches('@').count()).sum();
        let changes: usize = all().map(|facts| facts.changes().count()).sum();
        let separated = all().filter(|facts| !facts.history.is_empty());
        assert_eq!(changes, separated.map(|facts| facts.history.matches(";;").count() + 1).sum::<usize>());
        let notes = all().flat_map(Facts::key_specs).filter(|spec| spec.note.is_some()).count();
        assert!(notes > 12, "{notes} notes");
        assert_eq!(specs * 2 + notes, written - categories);
    }

    #[test]
    fn facts_are_found_by_the_names_of_rows() {
        let get = Facts::of("get").expect("GET");
        assert_eq!((get.arity, get.first_key, get.has("readonly"), get.has("write")), (2, 1, true, false));
        assert_eq!(Facts::of("object encoding").map(|facts| facts.name), Some("object|encoding"));
        let xread = Facts::of("xread").expect("XREAD").key_specs().next().expect("a specification");
        assert_eq!(xread.begin, Begin::Keyword("STREAMS", 1));
        assert_eq!(xread.find, Find::Range { last: -1, step: 1, limit: 2 });
    }

    #[test]
    fn writes_without_a_row_get_one_that_refuses() {
        let has_row = |name: &str| !matches!(name, "set" | "xgroup create" | "cluster" | "cluster flushslot");
        let rows = refused_writes(has_row);
        let found: Vec<_> = rows.iter().map(|row| (row.name, row.arity, row.keys, row.is_write())).collect();
        assert_eq!(
            found,
            [("set", -3, Keys::Range(1, 1, 1), true), ("xgroup create", -5, Keys::Range(2, 2, 1), true)]
        );
    }
}
