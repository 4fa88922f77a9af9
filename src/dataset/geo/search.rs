//! Who is within an area: the area is covered by a cell and its eight neighbours, whose members are looked at one by
//! one.
//!
//! As on the servers the order is that of the cells, then of the scores; cells that cannot hold anything are left out;
//! an area of continental size may name a member twice, and miss one.

use super::Point;
use super::cell::{Bounds, Cell, STEP_MAX};
use super::shape::{Area, Arithmetic};
use crate::dataset::packed::listpack::Element;
use crate::dataset::zset::{ScoreBound, ScoreRange, ZSet};

/// Half the length of the equator on the servers' map.
const MERCATOR_MAX: f64 = 20_037_726.37;
/// Latitudes from which on cells are too narrow for the usual step, and much too narrow.
const NARROW_LATITUDES: [f64; 2] = [66.0, 80.0];

/// A member of a sorted set that is within the area.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found<'a> {
    pub member: Element<'a>,
    pub score: f64,
    /// Where it is.
    pub point: Point,
    /// From the centre of the area, in metres.
    pub distance: f64,
}

/// The members within an area; at most `limit`, whichever come first.
pub fn search<'a>(zset: &'a ZSet, area: &Area, limit: usize) -> Vec<Found<'a>> {
    let (mut found, mut before) = (Vec::new(), None);
    for (at, cell) in cover(area).into_iter().enumerate() {
        let Some(cell) = cell else { continue };
        // a neighbour that is the cell before it again; the first cell is not compared with
        if before == Some(cell) {
            continue;
        }
        if found.len() >= limit {
            break;
        }
        members_of(zset, cell, area, limit, &mut found);
        before = (at > 0).then_some(cell);
    }
    found
}

fn members_of<'a>(zset: &'a ZSet, cell: Cell, area: &Area, limit: usize, found: &mut Vec<Found<'a>>) {
    let (min, max) = cell.scores();
    let scores = ScoreRange {
        min: ScoreBound { score: min, is_exclusive: false },
        max: ScoreBound { score: max, is_exclusive: true },
    };
    for (member, score) in zset.range(zset.score_range(&scores)) {
        let point = Point::of_score(score);
        if let Some(distance) = area.distance_within(point) {
            found.push(Found { member, score, point, distance });
            if found.len() >= limit {
                return;
            }
        }
    }
}

/// The cells that cover an area, in the order of the search; `None` for those that cannot hold anything of it.
fn cover(area: &Area) -> [Option<Cell>; 9] {
    let bounds = area.bounds();
    let mut step = step_for(area.reach_metres(), area.centre.latitude);
    let mut centre = Cell::around(area.centre, step);
    if step > 1 && !reaches(centre, area, &bounds) {
        step -= 1;
        centre = Cell::around(area.centre, step);
    }
    let here = centre.bounds();
    let useless = |east: i64, north: i64| {
        step >= 2
            && (north < 0 && here.south < bounds.south
                || north > 0 && here.north > bounds.north
                || east < 0 && here.west < bounds.west
                || east > 0 && here.east > bounds.east)
    };
    const DIRECTIONS: [(i64, i64); 9] =
        [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
    DIRECTIONS.map(|(east, north)| (!useless(east, north)).then(|| centre.neighbour(east, north)))
}

/// Whether the cell and its neighbours reach to the edges of the area.
fn reaches(centre: Cell, area: &Area, bounds: &Bounds) -> bool {
    let north = centre.neighbour(0, 1).bounds().north;
    let south = centre.neighbour(0, -1).bounds().south;
    let east = centre.neighbour(1, 0).bounds().east;
    let west = centre.neighbour(-1, 0).bounds().west;
    if area.arithmetic == Arithmetic::Current {
        return north >= bounds.north && south <= bounds.south && east >= bounds.east && west <= bounds.west;
    }
    let Point { longitude, latitude } = area.centre;
    [(longitude, north), (longitude, south), (east, latitude), (west, latitude)]
        .into_iter()
        .all(|(longitude, latitude)| area.distance(Point { longitude, latitude }) >= area.reach_metres())
}

/// The step at which nine cells cover a circle.
fn step_for(radius_metres: f64, latitude: f64) -> u32 {
    if radius_metres == 0.0 {
        return STEP_MAX;
    }
    let (mut step, mut range) = (1_i32, radius_metres);
    while range < MERCATOR_MAX {
        range *= 2.0;
        step += 1;
    }
    step -= 2; // so that most areas are covered
    step -= NARROW_LATITUDES.iter().filter(|narrow| latitude.abs() > **narrow).count() as i32;
    step.clamp(1, STEP_MAX as i32) as u32
}

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::*;
    use crate::dataset::EncodingLimits;
    use crate::dataset::zset::Pairs;

    fn places(count: usize, random: &mut fastrand::Rng) -> Vec<Point> {
        let around = |random: &mut fastrand::Rng, width: f64| (random.f64() - 0.5) * width;
        (0..count)
            .map(|_| Point { longitude: 10.0 + around(random, 6.0), latitude: 50.0 + around(random, 6.0) })
            .collect()
    }

    /// The old arithmetic takes the width of an area in degrees at its centre (as redis 6: mended in 7.0); who is within
    /// nearer to the pole, where the same width is more degrees, may be missed.
    #[test]
    fn finds_who_is_within_and_nobody_else() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let points = places(2_000, &mut random);
        let pairs: Pairs =
            points.iter().enumerate().map(|(n, p)| (n.to_string().into_bytes(), p.score())).collect();
        let zset = ZSet::of(pairs, &EncodingLimits::default());
        for _ in 0..200 {
            let centre = places(1, &mut random)[0];
            let size = random.f64() * 300.0;
            let shape = match random.bool() {
                true => Shape::Circle { radius: size },
                false => Shape::Box { width: size, height: random.f64() * 300.0 },
            };
            let arithmetic = *random.choice(&[Arithmetic::Old, Arithmetic::Current]).unwrap();
            let area = Area { centre, shape, unit_metres: 1000.0, arithmetic };
            let mut found: Vec<f64> = search(&zset, &area, usize::MAX).iter().map(|found| found.score).collect();
            found.sort_by(f64::total_cmp);
            let within = |(_, score): &(Element<'_>, f64)| area.distance_within(Point::of_score(*score)).is_some();
            let expected: Vec<f64> = zset.iter().filter(within).map(|(_, score)| score).collect();
            let is_missed = |score: &&f64| found.binary_search_by(|other| other.total_cmp(score)).is_err();
            let missed: Vec<Point> =
                expected.iter().filter(is_missed).map(|score| Point::of_score(*score)).collect();
            assert_eq!(found.len() + missed.len(), expected.len(), "{area:?}, seed {seed}");
            let Bounds { west, east, .. } = area.bounds();
            let is_beside = |point: &Point| point.longitude < west || point.longitude > east;
            let may_miss = arithmetic == Arithmetic::Old && missed.iter().all(is_beside);
            assert!(missed.is_empty() || may_miss, "{missed:?} of {area:?}, seed {seed}");
            assert_eq!(search(&zset, &area, 3).len(), found.len().min(3));
        }
    }
}
