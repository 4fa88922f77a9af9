//! Both forms against a model, and the moments at which one becomes the other.

use super::*;
use crate::config::Encodings;
use crate::dataset::Dialect;
use std::collections::{BTreeMap, BTreeSet};

/// Scores without NaN, in order.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Score(f64);

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.partial_cmp(&other.0).unwrap()
    }
}

#[derive(Default)]
struct Model {
    order: BTreeSet<(Score, Vec<u8>)>,
    scores: BTreeMap<Vec<u8>, f64>,
}

impl Model {
    fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        let old = self.scores.insert(member.to_vec(), score);
        if let Some(old) = old {
            self.order.remove(&(Score(old), member.to_vec()));
        }
        self.order.insert((Score(score), member.to_vec()));
        old
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        let old = self.scores.remove(member);
        old.is_some_and(|old| self.order.remove(&(Score(old), member.to_vec())))
    }

    fn pairs(&self) -> Pairs {
        self.order.iter().map(|(score, member)| (member.clone(), score.0)).collect()
    }
}

fn owned<'a>(pairs: impl Iterator<Item = (Element<'a>, f64)>) -> Pairs {
    pairs.map(|(member, score)| (member.to_vec(), score)).collect()
}

fn limits(entries: usize) -> EncodingLimits {
    Encodings { zset_entries: entries, ..Encodings::default() }.into()
}

fn bound(random: &mut fastrand::Rng) -> ScoreBound {
    let score = *random.choice(&[f64::NEG_INFINITY, -3.5, 0.0, 1.0, 4.0, 7.25, f64::INFINITY]).unwrap();
    ScoreBound { score, is_exclusive: random.bool() }
}

fn check_ranges(zset: &ZSet, model: &Pairs, random: &mut fastrand::Rng) {
    let (from, to) = (random.usize(..=model.len()), random.usize(..=model.len() + 2));
    let expected = model.get(from..to.min(model.len())).unwrap_or_default();
    assert_eq!(owned(zset.range(from..to)), expected, "{from}..{to}");
    let backwards: Vec<_> = expected.iter().rev().cloned().collect();
    assert_eq!(owned(zset.range(from..to).rev()), backwards, "{from}..{to} from the end");

    let range = ScoreRange { min: bound(random), max: bound(random) };
    let within = model.iter().filter(|(_, score)| !range.is_below(*score) && range.reaches(*score));
    let seen = owned(zset.range(zset.score_range(&range)));
    assert_eq!(seen, within.cloned().collect::<Pairs>(), "{range:?}");
}

fn random_changes(entries: usize, members: u32, steps: usize, seed: u64) {
    let limits = limits(entries);
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut zset, mut model) = (ZSet::default(), Model::default());
    for step in 0..steps {
        let growing = (step * 4 / steps).is_multiple_of(2);
        let name = random.u32(..members);
        // numbers, short texts and texts that don't fit in a slot
        let member = match name % 3 {
            0 => name.to_string().into_bytes(),
            1 => format!("m{name}").into_bytes(),
            _ => format!("{name:040}").into_bytes(),
        };
        let score = f64::from(random.i32(-20..40)) / 4.0;
        if random.u8(..10) < if growing { 8 } else { 3 } {
            assert_eq!(zset.insert(&member, score, &limits), model.insert(&member, score), "seed {seed}");
        } else {
            assert_eq!(zset.remove(&member), model.remove(&member), "seed {seed}");
        }
        assert_eq!(zset.len(), model.scores.len());
        assert_eq!(zset.score(&member), model.scores.get(&member).copied());
        if step % 97 == 0 {
            let pairs = model.pairs();
            assert_eq!(owned(zset.iter()), pairs, "step {step}, seed {seed}");
            let rank = pairs.iter().position(|(other, _)| *other == member);
            assert_eq!(zset.rank(&member).map(|(rank, _)| rank), rank, "seed {seed}");
            check_ranges(&zset, &pairs, &mut random);
        }
    }
}

#[test]
fn agrees_with_a_model_in_every_form() {
    let seed = fastrand::u64(..);
    random_changes(1_000, 60, 3_000, seed);
    random_changes(20, 60, 3_000, seed);
    random_changes(0, 3_000, 30_000, seed);
}

#[test]
fn ranks_are_removed_from_anywhere() {
    for entries in [0, 10_000] {
        for range in [0..0, 0..1, 0..100, 990..1_000, 400..700, 0..1_000, 5..2_000] {
            let mut zset = ZSet::default();
            (0..1_000).for_each(|n| {
                zset.insert(format!("m{n:04}").as_bytes(), 1.0, &limits(entries));
            });
            zset.remove_ranks(range.clone());
            let left = (0..1_000).filter(|n| !range.contains(n)).map(|n| (format!("m{n:04}").into_bytes(), 1.0));
            assert_eq!(owned(zset.iter()), left.collect::<Pairs>(), "{range:?}");
        }
    }
}

#[test]
fn members_are_ordered_bytewise_and_minus_zero_equals_zero() {
    for entries in [0, 100] {
        let mut zset = ZSet::default();
        for (member, score) in [("b", 0.0), ("a", -0.0), ("", 0.0), ("10", 0.0), ("9", 0.0), ("\u{e9}", 0.0)] {
            zset.insert(member.as_bytes(), score, &limits(entries));
        }
        let members: Vec<_> = zset.iter().map(|(member, _)| member.to_vec()).collect();
        assert_eq!(members, [&b""[..], b"10", b"9", b"a", b"b", "\u{e9}".as_bytes()]);
    }
}

#[test]
fn minus_zero_is_lost_in_a_listpack_but_not_in_a_ziplist() {
    for (entries, dialect, negative) in [
        (100, Dialect::Redis(6, 0), true),
        (100, Dialect::Redis(7, 0), false),
        (100, Dialect::Valkey(9, 1), false),
        (0, Dialect::Redis(6, 0), true),
        (0, Dialect::Redis(8, 0), true),
    ] {
        let mut zset = ZSet::default();
        zset.insert(b"m", -0.0, &EncodingLimits { dialect, ..limits(entries) });
        assert_eq!(zset.score(b"m").map(f64::is_sign_negative), Some(negative), "{entries} {dialect:?}");
    }
}

#[test]
fn outgrown_listpacks_become_trees_and_stay_trees() {
    let limits = EncodingLimits::default();
    let mut zset = ZSet::default();
    for n in 0..128 {
        zset.insert(format!("{n}").as_bytes(), 1.5, &limits);
    }
    assert_eq!(zset.encoding(&limits), "listpack");
    zset.insert(b"5", 2.5, &limits);
    assert_eq!(zset.encoding(&limits), "listpack");
    zset.insert(b"more", 2.5, &limits);
    assert_eq!(zset.encoding(&limits), "skiplist");
    zset.remove_ranks(1..200);
    assert_eq!((zset.encoding(&limits), zset.len()), ("skiplist", 1));

    let mut zset = ZSet::default();
    zset.insert(&[b'x'; 64], 1.0, &limits);
    assert_eq!(zset.encoding(&limits), "listpack");
    zset.insert(&[b'x'; 65], 1.0, &limits);
    assert_eq!(zset.encoding(&limits), "skiplist");
}

#[test]
fn what_a_command_stored_is_packed_if_it_fits() {
    let limits = EncodingLimits::default();
    for (count, long, encoding) in
        [(1, 64, "listpack"), (128, 3, "listpack"), (129, 3, "skiplist"), (1, 65, "skiplist")]
    {
        let pairs = (0..count).rev().map(|n| (format!("{n:0long$}").into_bytes(), f64::from(n))).collect();
        let zset = ZSet::of(pairs, &limits);
        assert_eq!(zset.encoding(&limits), encoding, "{count} of {long} bytes");
        assert!(zset.iter().map(|(_, score)| score).eq((0..count).map(f64::from)));
    }
}

#[test]
fn a_scan_hands_out_everything() {
    for (entries, members) in [(100, 50), (0, 50), (0, 5_000)] {
        let mut zset = ZSet::default();
        (0..members).for_each(|n| {
            zset.insert(format!("m{n}").as_bytes(), f64::from(n), &limits(entries));
        });
        let (mut seen, mut cursor, mut steps) = (BTreeSet::new(), 0, 0);
        loop {
            cursor = zset.scan(cursor, 10, |member, score| {
                assert_eq!(member.to_vec(), format!("m{score}").into_bytes());
                assert!(seen.insert(member.to_vec()), "once");
            });
            steps += 1;
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(seen.len(), members as usize);
        assert!(steps >= members / 100, "in steps");
    }
}

#[test]
fn foreign_listpacks_are_checked_and_put_in_order() {
    let of = |texts: &[&[u8]]| {
        let mut pack = Listpack::new();
        texts.iter().for_each(|text| pack.push(text));
        ZSet::from_listpack(pack, &limits(3))
    };
    for wrong in [&[&b"a"[..]][..], &[b"a", b"x"], &[b"a", b"nan"], &[b"a", b"1", b"a", b"2"], &[b"a", b""]] {
        assert!(of(wrong).is_err(), "{wrong:?}");
    }
    let zset = of(&[b"b", b"2.5", b"a", b"inf", b"7", b"-3"]).unwrap();
    assert_eq!(owned(zset.iter()), [(b"7".to_vec(), -3.0), (b"b".to_vec(), 2.5), (b"a".to_vec(), f64::INFINITY)]);
    let many = of(&[b"a", b"1", b"b", b"2", b"c", b"3", b"d", b"4"]).unwrap();
    assert_eq!(many.encoding(&limits(3)), "skiplist");
}

#[test]
fn a_member_costs_little_more_than_itself() {
    let mut zset = ZSet::default();
    for n in 0..100_000 {
        zset.insert(format!("member:{n:09}").as_bytes(), f64::from(n * 7919 % 100_003), &limits(0));
    }
    let each = zset.heap_bytes(0) / zset.len();
    assert!(each <= 64, "{each} bytes for a member of 16");
}
