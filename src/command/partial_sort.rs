//! Putting a part of an array in order as the real servers do, ties included.
//!
//! Where only some elements are asked for (COUNT of the searches of places, LIMIT of SORT BY), the servers sort by a
//! quicksort that passes over whatever nobody will see. Its ties come in no particular order, but always in the same, and
//! what comes out may be stored (GEOSEARCHSTORE, SORT ... STORE): a replica that left them otherwise would part from its
//! master. The quicksort is that of Bentley and McIlroy, "Engineering a Sort Function" (1993). Where all is asked for it is
//! the C library's sort, which keeps the order of ties (glibc's does).

use std::cmp::Ordering;
use std::ops::Range;

/// Up to this many elements are sorted by insertion.
const FEW: usize = 6;
/// From this many on the pivot is the median of three medians.
const MANY: usize = 41;
/// Levels of parts within parts for each doubling of the length; who needs more has met the input that makes quicksort
/// quadratic, and the rest is sorted otherwise.
const LEVELS: u32 = 8;

/// Sorts so far that at `wanted` is what a whole sort would have put there.
pub(super) fn sort_part<T>(items: &mut [T], wanted: Range<usize>, mut compare: impl FnMut(&T, &T) -> Ordering) {
    if wanted == (0..items.len()) {
        items.sort_by(compare);
    } else if !wanted.is_empty() {
        let levels = (items.len().ilog2() + 1) * LEVELS;
        quicksort(items, wanted, &mut compare, levels);
    }
}

fn quicksort<T>(
    mut items: &mut [T],
    mut wanted: Range<usize>,
    compare: &mut impl FnMut(&T, &T) -> Ordering,
    mut levels: u32,
) {
    while items.len() > FEW {
        if levels == 0 {
            return items.sort_by(compare);
        }
        levels -= 1;
        items.swap(0, pivot(items, compare));
        let (below, above) = split(items, compare);
        let (low, rest) = items.split_at_mut(below);
        if low.len() > 1 && wanted.start < below {
            quicksort(low, wanted.clone(), compare, levels);
        }
        // The greater ones are at the end.
        let at = below + rest.len() - above;
        let high = rest.len() - above;
        items = &mut rest[high..];
        if items.len() <= 1 || wanted.end <= at {
            return;
        }
        wanted = wanted.start.saturating_sub(at)..wanted.end - at;
    }
    for end in 1..items.len() {
        let mut at = end;
        while at > 0 && compare(&items[at - 1], &items[at]).is_gt() {
            items.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// Where the pivot is: in the middle, or at the median of some places.
fn pivot<T>(items: &[T], compare: &mut impl FnMut(&T, &T) -> Ordering) -> usize {
    let (middle, last) = (items.len() / 2, items.len() - 1);
    if items.len() <= FEW + 1 {
        return middle;
    }
    let mut median = |places: [usize; 3]| median(items, places, compare);
    if items.len() < MANY {
        return median([0, middle, last]);
    }
    let step = items.len() / 8;
    let thirds = [
        median([0, step, 2 * step]),
        median([middle - step, middle, middle + step]),
        median([last - 2 * step, last - step, last]),
    ];
    median(thirds)
}

fn median<T>(items: &[T], [a, b, c]: [usize; 3], compare: &mut impl FnMut(&T, &T) -> Ordering) -> usize {
    let mut compare = |a: usize, b: usize| compare(&items[a], &items[b]);
    if compare(a, b).is_lt() {
        if compare(b, c).is_lt() {
            b
        } else if compare(a, c).is_lt() {
            c
        } else {
            a
        }
    } else if compare(b, c).is_gt() {
        b
    } else if compare(a, c).is_lt() {
        a
    } else {
        c
    }
}

/// Puts what is less than the first element in front, what is greater at the end, and what ties with it between them.
/// Answers how many are less and how many greater.
fn split<T>(items: &mut [T], compare: &mut impl FnMut(&T, &T) -> Ordering) -> (usize, usize) {
    // Ties are gathered at both ends first: in front of `less`, and behind `greater`.
    let (mut less, mut up) = (1, 1);
    let (mut down, mut greater) = (items.len() - 1, items.len() - 1);
    loop {
        while up <= down {
            match compare(&items[up], &items[0]) {
                Ordering::Greater => break,
                Ordering::Equal => {
                    items.swap(less, up);
                    less += 1;
                }
                Ordering::Less => {}
            }
            up += 1;
        }
        while up <= down {
            match compare(&items[down], &items[0]) {
                Ordering::Less => break,
                Ordering::Equal => {
                    items.swap(down, greater);
                    greater -= 1;
                }
                Ordering::Greater => {}
            }
            down -= 1;
        }
        if up > down {
            break;
        }
        items.swap(up, down);
        up += 1;
        down -= 1;
    }
    let (below, above) = (up - less, greater - down);
    swap_runs(items, 0, up, less.min(below));
    swap_runs(items, up, items.len(), above.min(items.len() - 1 - greater));
    (below, above)
}

/// Swaps the first `count` elements from `start` on with the last `count` before `end`.
fn swap_runs<T>(items: &mut [T], start: usize, end: usize, count: usize) {
    (0..count).for_each(|n| items.swap(start + n, end - count + n));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs of what is compared and a number that tells ties apart.
    fn tied(count: usize, kinds: u32, rng: &mut fastrand::Rng) -> Vec<(u32, usize)> {
        (0..count).map(|n| (rng.u32(..kinds), n)).collect()
    }

    #[test]
    fn what_is_wanted_is_in_its_place_and_nothing_is_lost() {
        let seed = fastrand::u64(..);
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..2_000 {
            let (count, kinds) = (rng.usize(..200), *rng.choice(&[1, 2, 10, 100_000]).unwrap());
            let before = tied(count, kinds, &mut rng);
            let (a, b) = (rng.usize(..=count), rng.usize(..=count));
            let wanted = a.min(b)..a.max(b);
            let (mut sorted, mut part) = (before.clone(), before);
            sorted.sort_by_key(|(key, _)| *key);
            sort_part(&mut part, wanted.clone(), |a, b| a.0.cmp(&b.0));
            let keys = |items: &[(u32, usize)]| items.iter().map(|(key, _)| *key).collect::<Vec<_>>();
            assert_eq!(keys(&part[wanted.clone()]), keys(&sorted[wanted]), "seed {seed}");
            part.sort_unstable();
            sorted.sort_unstable();
            assert_eq!(part, sorted, "seed {seed}");
        }
    }

    #[test]
    fn a_whole_sort_keeps_the_order_of_ties() {
        let mut all = tied(1_000, 3, &mut fastrand::Rng::with_seed(1));
        let length = all.len();
        sort_part(&mut all, 0..length, |a, b| a.0.cmp(&b.0));
        assert!(all.is_sorted());
    }

    #[test]
    fn no_input_makes_it_quadratic() {
        // McIlroy's adversary: what has not been compared yet is the greatest of all as soon as it is a pivot.
        let length = 50_000_usize;
        let (mut values, mut solid, mut candidate, mut comparisons) = (vec![usize::MAX; length], 0, 0, 0_usize);
        let mut items: Vec<usize> = (0..length).collect();
        sort_part(&mut items, 0..length - 1, |a, b| {
            comparisons += 1;
            if values[*a] == usize::MAX && values[*b] == usize::MAX {
                values[if *a == candidate { *a } else { *b }] = solid;
                solid += 1;
            }
            if values[*a] == usize::MAX {
                candidate = *a;
            } else if values[*b] == usize::MAX {
                candidate = *b;
            }
            values[*a].cmp(&values[*b])
        });
        assert!(comparisons < length * 16 * 20, "{comparisons} comparisons");
    }
}
