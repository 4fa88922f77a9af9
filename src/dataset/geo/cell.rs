//! Cells of the geohash grid: each step halves the map in both directions.

use super::{LATITUDE_MAX, LONGITUDE_MAX, Point};

/// Steps of a score: 52 bits.
pub(super) const STEP_MAX: u32 = 26;

const LATITUDE_BITS: u64 = 0x5555_5555_5555_5555;
const LONGITUDE_BITS: u64 = 0xaaaa_aaaa_aaaa_aaaa;

/// A cell: `step` bits of longitude and as many of latitude, in turns, longitude first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) bits: u64,
    pub(super) step: u32,
}

/// The edges of a rectangle on the map, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) west: f64,
    pub(super) east: f64,
    pub(super) south: f64,
    pub(super) north: f64,
}

impl Cell {
    /// The cell that holds a place. At the eastern and northern edge of the map it lies beyond the map, as the
    /// servers' does.
    pub(super) fn around(point: Point, step: u32) -> Self {
        Self::with_latitudes(point, step, LATITUDE_MAX)
    }

    /// The same on a map whose latitudes reach up to `latitude_max`.
    pub(super) fn with_latitudes(point: Point, step: u32, latitude_max: f64) -> Self {
        let cells = (1_u64 << step) as f64;
        let latitude = (point.latitude + latitude_max) / (2.0 * latitude_max) * cells;
        let longitude = (point.longitude + LONGITUDE_MAX) / (2.0 * LONGITUDE_MAX) * cells;
        Self { bits: spread(latitude as u32) | spread(longitude as u32) << 1, step }
    }

    /// Its edges.
    pub(super) fn bounds(self) -> Bounds {
        let cells = (1_u64 << self.step) as f64;
        let latitude = gather(self.bits);
        let longitude = gather(self.bits >> 1);
        let edge = |index: f64, max: f64| -max + index / cells * (2.0 * max);
        Bounds {
            west: edge(f64::from(longitude), LONGITUDE_MAX),
            east: edge(f64::from(longitude) + 1.0, LONGITUDE_MAX),
            south: edge(f64::from(latitude), LATITUDE_MAX),
            north: edge(f64::from(latitude) + 1.0, LATITUDE_MAX),
        }
    }

    /// The scores in it: from the first to before the second.
    pub(super) fn scores(self) -> (f64, f64) {
        let shift = 2 * (STEP_MAX - self.step);
        ((self.bits << shift) as f64, ((self.bits + 1) << shift) as f64)
    }

    /// The cell so many to the east and to the north, around the edges of the map.
    pub(super) fn neighbour(self, east: i64, north: i64) -> Self {
        let moved = self.moved(LONGITUDE_BITS, LATITUDE_BITS, east);
        moved.moved(LATITUDE_BITS, LONGITUDE_BITS, north)
    }

    /// Adds 1 or -1 to the number in the bits `own`; the carry runs through the bits `other`.
    fn moved(self, own: u64, other: u64, by: i64) -> Self {
        let unused = 64 - 2 * self.step;
        let filler = other >> unused;
        let (number, rest) = (self.bits & own, self.bits & other);
        let number = match by {
            0 => return self,
            1.. => number.wrapping_add(filler + 1),
            _ => (number | filler).wrapping_sub(filler + 1),
        };
        Self { bits: number & (own >> unused) | rest, ..self }
    }
}

/// Puts a zero bit in front of every bit.
fn spread(number: u32) -> u64 {
    let mut bits = u64::from(number);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, LATITUDE_BITS),
    ] {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// Every second bit, from the lowest on.
fn gather(bits: u64) -> u32 {
    let mut bits = bits & LATITUDE_BITS;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_spread_and_gather() {
        for number in [0, 1, 2, 0x8000_0000, 0xffff_ffff, 0x1234_5678] {
            assert_eq!(gather(spread(number)), number);
            assert_eq!(gather(spread(number) << 1 >> 1), number);
        }
        assert_eq!(spread(0b1011), 0b100_0101);
    }

    #[test]
    fn a_neighbour_touches_its_cell() {
        let cell = Cell::around(Point { longitude: 10.0, latitude: 50.0 }, 7);
        let (here, east, north) = (cell.bounds(), cell.neighbour(1, 0).bounds(), cell.neighbour(0, 1).bounds());
        assert_eq!((east.west, east.south), (here.east, here.south));
        assert_eq!((north.south, north.west), (here.north, here.west));
        assert_eq!(cell.neighbour(1, -1).neighbour(-1, 1), cell);
        // around the map
        let corner = Cell { bits: 0, step: 7 };
        assert_eq!(corner.neighbour(-1, 0).bounds().east, LONGITUDE_MAX);
        assert_eq!(corner.neighbour(-1, 0).neighbour(1, 0), corner);
    }
}
