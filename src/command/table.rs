//! The families joined, and lookup by name.

use super::row::Row;
use super::{
    acl, bitmap, cluster, connection, facts, freshness, geo, hash, hyperloglog, keys, list, pubsub, replication,
    scripting, server, set, stream, string, transaction, vectorset, zset,
};
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// All families, in the order of COMMAND LIST.
pub static FAMILIES: &[&[Row]] = &[
    string::ROWS,
    bitmap::ROWS,
    hyperloglog::ROWS,
    keys::ROWS,
    hash::ROWS,
    list::ROWS,
    set::ROWS,
    zset::ROWS,
    geo::ROWS,
    stream::ROWS,
    vectorset::ROWS,
    pubsub::ROWS,
    transaction::ROWS,
    scripting::ROWS,
    connection::ROWS,
    acl::ROWS,
    server::ROWS,
    replication::ROWS,
    freshness::ROWS,
    cluster::ROWS,
];

static BY_NAME: LazyLock<HashMap<&'static [u8], Indexed, foldhash::fast::FixedState>> = LazyLock::new(|| {
    rows().enumerate().map(|(index, row)| (row.name.as_bytes(), Indexed { row, index })).collect()
});

/// A row and its number in the order of the table, by which workers count.
#[derive(Clone, Copy, Debug)]
pub struct Indexed {
    pub row: &'static Row,
    pub index: usize,
}

/// Writes of real servers without a row in a family: READONLY for clients, not applied from the stream.
static REFUSED: LazyLock<Vec<&'static Row>> = LazyLock::new(|| {
    let named: HashSet<&str> = FAMILIES.iter().copied().flatten().map(|row| row.name).collect();
    facts::refused_writes(|name| named.contains(name))
});

static ALL: LazyLock<Vec<&'static Row>> =
    LazyLock::new(|| FAMILIES.iter().copied().flatten().chain(REFUSED.iter().copied()).collect());

/// All rows: those of the families, then the refused writes.
pub fn rows() -> impl ExactSizeIterator<Item = &'static Row> {
    ALL.iter().copied()
}

/// The row of this number in the order of the table.
pub fn row(index: usize) -> Option<&'static Row> {
    ALL.get(index).copied()
}

/// Longest name of a row, `container sub` included; longer names are unknown.
const NAME_BYTES_MAX: usize = 48;

/// The row of a command by the first words of a request, in either case, and how many words its name takes
/// (2 for a subcommand). A container without a known subcommand answers the container's row.
pub fn find(name: &[u8], sub: Option<&[u8]>) -> Option<(Indexed, usize)> {
    let mut lower = [0_u8; NAME_BYTES_MAX];
    let head = lower.get_mut(..name.len())?;
    head.copy_from_slice(name);
    head.make_ascii_lowercase();
    let found = *BY_NAME.get(&lower[..name.len()])?;
    if !matches!(found.row.run, super::row::Run::Container) {
        return Some((found, 1));
    }
    let Some(sub) = sub else { return Some((found, 1)) };
    let end = name.len() + 1 + sub.len();
    let Some(tail) = lower.get_mut(name.len()..end) else { return Some((found, 1)) };
    tail[0] = b' ';
    tail[1..].copy_from_slice(sub);
    tail.make_ascii_lowercase();
    Some(BY_NAME.get(&lower[..end]).map_or((found, 1), |sub| (*sub, 2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::facts::Facts;
    use crate::command::row::Run;

    #[test]
    fn names_are_unique_and_lower_case() {
        let mut seen = HashSet::new();
        for row in rows() {
            assert!(seen.insert(row.name), "{} twice", row.name);
            assert_eq!(row.name, row.name.to_ascii_lowercase());
            assert!(row.name.len() <= NAME_BYTES_MAX);
        }
    }
    /// Steering and refusing work at any time here: real servers answer LOADING or MASTERDOWN to these.
    const ANY_TIME: &[&str] = &["replicaof", "slaveof", "failover", "psync", "sync"];

    #[test]
    fn arity_and_rights_agree_with_the_real_servers() {
        let mut wrong = Vec::new();
        for row in FAMILIES.iter().copied().flatten() {
            let Some(facts) = Facts::of(row.name) else { continue };
            if row.arity != facts.arity {
                wrong.push(format!("{}: arity {} is {}", row.name, row.arity, facts.arity));
            }
            if row.is_write() != facts.has("write") {
                wrong.push(format!("{}: write {} is {}", row.name, row.is_write(), facts.has("write")));
            }
            let exempt = matches!(row.run, Run::Container) || row.is_write() || ANY_TIME.contains(&row.name);
            if row.no_auth != facts.has("no_auth") {
                wrong.push(format!("{}: no_auth", row.name));
            }
            if !exempt && (row.loading, row.stale) != (facts.has("loading"), facts.has("stale")) {
                wrong.push(format!("{}: loading {} stale {}", row.name, facts.has("loading"), facts.has("stale")));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_write_of_the_real_servers_is_known() {
        for facts in Facts::all().filter(|facts| facts.has("write")) {
            let mut words = facts.name.split('|').map(str::as_bytes);
            let (name, sub) = (words.next().expect("a name"), words.next());
            let found = find(name, sub);
            let row = found.map(|(found, _)| found.row).unwrap_or_else(|| panic!("{}", facts.name));
            assert!(row.is_write(), "{}", facts.name);
            assert_eq!(row.name.replace(' ', "|"), facts.name);
        }
    }
}
