//! Intersection, union and difference. A key that is missing is an empty set.

use crate::dataset::packed::listpack::{Element, IntText};
use crate::dataset::set::Set;
use crate::dataset::{EncodingLimits, Value};

/// The sets of a command, in its order; `None` for a missing key.
pub(super) type Sets<'a> = [Option<&'a Set>];

/// The members that are in all sets. Costs the smallest set times the number of sets.
pub(super) fn intersection<'a>(sets: &Sets<'a>) -> impl Iterator<Item = Element<'a>> + use<'a> {
    let mut sets: Vec<&Set> = sets.iter().copied().collect::<Option<_>>().unwrap_or_default();
    sets.sort_by_key(|set| set.len());
    let smallest = sets.first().map(|set| set.iter());
    let in_others = move |member: &Element<'_>| sets.iter().skip(1).all(|set| set.contains_element(*member));
    smallest.into_iter().flatten().filter(in_others)
}

/// The members of all sets together, in the form that they get one after the other.
pub(super) fn union(sets: &Sets<'_>, limits: &EncodingLimits) -> Set {
    let mut all = Set::new();
    sets.iter().copied().flatten().for_each(|set| add_all(&mut all, set.iter(), limits));
    all
}

/// The members of the first set that are in no other. Costs the first set times the number of sets.
pub(super) fn difference<'a>(sets: &Sets<'a>) -> impl Iterator<Item = Element<'a>> + use<'a> {
    let (first, others) = sets.split_first().map_or((None, &[][..]), |(first, others)| (*first, others));
    let mut others: Vec<&Set> = others.iter().copied().flatten().collect();
    // The biggest first: what is in any other is most likely in it (as redis 6.0).
    others.sort_by_key(|set| std::cmp::Reverse(set.len()));
    let in_none = move |member: &Element<'_>| !others.iter().any(|set| set.contains_element(*member));
    first.into_iter().flat_map(Set::iter).filter(in_none)
}

/// The same as a set. As redis 6.0 to valkey 9.1: where that is less work, all of the first set is taken and the
/// others are removed from it; a table that arose on the way stays one.
pub(super) fn stored_difference(sets: &Sets<'_>, limits: &EncodingLimits) -> Set {
    let first = sets.first().copied().flatten();
    let (asked, walked) = sets.iter().flatten().fold((0_usize, 0_usize), |(asked, walked), set| {
        (asked.saturating_add(first.map_or(0, Set::len)), walked.saturating_add(set.len()))
    });
    if asked / 2 <= walked {
        return collected(difference(sets), limits);
    }
    let mut left = collected(first.into_iter().flat_map(Set::iter), limits);
    let mut scratch = IntText::default();
    for member in sets.iter().skip(1).flatten().flat_map(|set| set.iter()) {
        left.remove(member.text(&mut scratch));
    }
    left
}

/// A set of these members, in the form that they get one after the other, integers first of all.
pub(super) fn collected<'a>(members: impl Iterator<Item = Element<'a>>, limits: &EncodingLimits) -> Set {
    let mut set = Set::new();
    add_all(&mut set, members, limits);
    set
}

/// The value to store, or `None` if there is nothing in it.
pub(super) fn stored(set: Set) -> Option<Value> {
    (!set.is_empty()).then(|| Value::Set(Box::new(set)))
}

fn add_all<'a>(set: &mut Set, members: impl Iterator<Item = Element<'a>>, limits: &EncodingLimits) {
    let mut scratch = IntText::default();
    for member in members {
        set.add(member.text(&mut scratch), limits);
    }
}
