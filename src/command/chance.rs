//! Picking by chance: the count of SRANDMEMBER and HRANDFIELD, and how distinct picks are made.

use super::args::Args;
use crate::dataset::packed::listpack::Element;
use crate::limits::RANDOM_REPEATS_MAX;
use crate::resp::refusal::Refusal;
use std::collections::HashSet;

/// Collections up to this size are copied and shuffled, bigger ones only if much of them is wanted.
pub const SHUFFLED_MAX: usize = 1024;

/// How many are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Up to so many, all different.
    Distinct(usize),
    /// Exactly so many, each picked anew.
    Repeated(usize),
}

/// Reads the count: a negative one allows repeated picks.
pub fn wanted(args: &mut Args<'_>) -> Result<Wanted, Refusal> {
    let count = args.integer()?;
    if count == i64::MIN {
        let max = i64::MAX;
        return Err(Refusal::text(format!("ERR value is out of range, value must between -{max} and {max}")));
    }
    match usize::try_from(count) {
        Ok(count) => Ok(Wanted::Distinct(count)),
        Err(_) if count.unsigned_abs() > RANDOM_REPEATS_MAX => Err(Refusal::OUT_OF_RANGE),
        Err(_) => Ok(Wanted::Repeated(usize::try_from(count.unsigned_abs()).map_err(|_| Refusal::OUT_OF_RANGE)?)),
    }
}

/// Random bits.
pub fn random() -> u64 {
    fastrand::u64(..)
}

/// `count` different entries of a collection of `len` entries by chance, in no order; all of them if there are not
/// more. `all` lists them, `pick` answers one by chance at a small constant cost, `name` tells them apart. Costs
/// no more than the collection is big, and for a small part of a big one only what is picked.
pub fn distinct<'a, T: Copy>(
    count: usize,
    len: usize,
    all: impl Iterator<Item = T>,
    mut pick: impl FnMut() -> Option<T>,
    name: impl Fn(T) -> Element<'a>,
) -> Vec<T> {
    if len <= SHUFFLED_MAX || count >= len / 3 {
        return from_list(Wanted::Distinct(count), all.collect());
    }
    let (mut entries, mut seen) =
        (Vec::with_capacity(count), HashSet::<_, foldhash::fast::RandomState>::default());
    while entries.len() < count {
        let Some(entry) = pick() else { break };
        if seen.insert(name(entry)) {
            entries.push(entry);
        }
    }
    entries
}

/// Picks from a list of all there is.
pub fn from_list<T: Copy>(wanted: Wanted, mut entries: Vec<T>) -> Vec<T> {
    match wanted {
        Wanted::Distinct(count) => {
            let count = count.min(entries.len());
            for i in 0..count {
                let other = fastrand::usize(i..entries.len());
                entries.swap(i, other);
            }
            entries.truncate(count);
            entries
        }
        Wanted::Repeated(count) => (0..count).filter_map(|_| fastrand::choice(&entries).copied()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_are_distinct_and_as_many_as_wanted() {
        for (len, count) in
            [(0_i64, 3), (5, 0), (5, 3), (5, 5), (5, 9), (9_000, 10), (9_000, 8_999), (9_000, 9_001)]
        {
            let picks = distinct(
                count,
                usize::try_from(len).unwrap(),
                (0..len).map(Element::Int),
                || Some(Element::Int(fastrand::i64(0..len))),
                |element| element,
            );
            let different: HashSet<_> = picks.iter().copied().collect();
            assert_eq!(different.len(), picks.len(), "{count} of {len}");
            assert_eq!(picks.len(), count.min(usize::try_from(len).unwrap()), "{count} of {len}");
        }
    }
}
