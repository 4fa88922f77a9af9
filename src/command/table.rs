//! The families joined, and lookup by name.

use super::row::Row;
use super::{
    bitmap, connection, geo, hash, hyperloglog, keys, list, pubsub, replication, scripting, server, set, stream,
    string, transaction, vectorset, zset,
};
use std::collections::HashMap;
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
    server::ROWS,
    replication::ROWS,
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

/// All rows.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    FAMILIES.iter().copied().flatten()
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
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_lower_case() {
        let mut seen = HashSet::new();
        for row in rows() {
            assert!(seen.insert(row.name), "{} twice", row.name);
            assert_eq!(row.name, row.name.to_ascii_lowercase());
            assert!(row.name.len() <= NAME_BYTES_MAX);
        }
    }
}
