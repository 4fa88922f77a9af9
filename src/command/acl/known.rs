//! The commands as access rules know them: each with a number, its categories, its subcommands.
//!
//! All commands of all real servers are known, those without a row of ours too, so that a file of theirs can be read.

use crate::command::facts::{Facts, words};
use crate::command::row::Row;
use crate::command::table;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The categories in the order in which they are listed.
pub(super) const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// One command or subcommand.
#[derive(Debug)]
pub(super) struct Command {
    /// `config|get`, lower case.
    pub(super) name: String,
    /// One bit for each of [`CATEGORIES`].
    pub(super) categories: u32,
    /// Numbers of its subcommands.
    pub(super) subs: Vec<usize>,
    /// It is a subcommand.
    pub(super) is_sub: bool,
    /// There is a row for it.
    pub(super) served: bool,
    /// Allowed to everybody (AUTH, HELLO, QUIT, RESET).
    pub(super) for_all: bool,
    /// Reads or writes data of a database.
    pub(super) data: bool,
    /// Its arguments from here to there name channels, under which right.
    pub(super) channels: Option<Channels>,
}

/// Which arguments are channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channels {
    /// The first one.
    First,
    /// All of them.
    All,
    /// All of them are patterns.
    Patterns,
}

/// All commands, and where to find them.
#[derive(Debug)]
struct Known {
    commands: Vec<Command>,
    by_name: HashMap<String, usize>,
    by_row: Vec<usize>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let mut known = Known { commands: Vec::new(), by_name: HashMap::new(), by_row: Vec::new() };
    for facts in Facts::all() {
        known.add(facts.name, Some(facts));
    }
    for row in table::rows() {
        let name = full_name(row);
        let number = known.by_name.get(&name).copied().unwrap_or_else(|| known.add(&name, None));
        known.commands[number].served = true;
        known.by_row.push(number);
    }
    for number in 0..known.commands.len() {
        let parent = known.commands[number].name.split_once('|').and_then(|(parent, _)| known.by_name.get(parent));
        if let Some(parent) = parent.copied() {
            known.commands[parent].subs.push(number);
        }
    }
    known
});

impl Known {
    fn add(&mut self, name: &str, facts: Option<&Facts>) -> usize {
        let of = |facts: &Facts| {
            words(facts.acl).filter_map(|word| category(word.get(1..)?.as_bytes())).fold(0, |a, b| a | b)
        };
        let has = |flag| facts.is_some_and(|facts| facts.has(flag));
        let number = self.commands.len();
        self.commands.push(Command {
            name: name.into(),
            categories: facts.map_or(0, of),
            subs: Vec::new(),
            is_sub: name.contains('|'),
            served: false,
            for_all: has("no_auth"),
            data: has("readonly") || has("write"),
            channels: channels(name),
        });
        self.by_name.insert(name.into(), number);
        number
    }
}

fn channels(name: &str) -> Option<Channels> {
    match name {
        "publish" | "spublish" => Some(Channels::First),
        "subscribe" | "ssubscribe" => Some(Channels::All),
        "psubscribe" => Some(Channels::Patterns),
        _ => None,
    }
}

/// The bit of a category, by its name in either case.
pub(super) fn category(name: &[u8]) -> Option<u32> {
    CATEGORIES.iter().position(|known| name.eq_ignore_ascii_case(known.as_bytes())).map(|at| 1 << at)
}

/// All commands; a command's number is its place.
pub(super) fn all() -> &'static [Command] {
    &KNOWN.commands
}

/// The number of a command, by its name (`config|get`) in either case.
pub(super) fn find(name: &[u8]) -> Option<usize> {
    let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
    KNOWN.by_name.get(&name).copied()
}

/// The number of the command of a row.
pub(super) fn of_row(index: usize) -> usize {
    KNOWN.by_row[index]
}

/// A row's name as access rules and errors spell it.
pub(super) fn full_name(row: &Row) -> String {
    row.name.replace(' ', "|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_rows_and_of_the_real_servers_are_known() {
        let get = &all()[find(b"GET").expect("GET")];
        assert_eq!(
            get.categories,
            category(b"read").unwrap() | category(b"STRING").unwrap() | category(b"fast").unwrap()
        );
        assert!(get.served && get.data && !get.is_sub && get.subs.is_empty());
        let config = &all()[find(b"config").expect("CONFIG")];
        assert!(config.subs.iter().any(|sub| all()[*sub].name == "config|get"));
        assert!(find(b"cluster|slots").is_some() && find(b"nosuch").is_none() && find(b"config|nosuch").is_none());
        assert!(all()[find(b"auth").expect("AUTH")].for_all);
        for (index, row) in table::rows().enumerate() {
            assert_eq!(all()[of_row(index)].name, full_name(row));
        }
    }
}
