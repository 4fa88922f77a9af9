//! Places on earth as scores of a sorted set: a score is a 52 bit geohash, its cell less than a metre wide.
//!
//! All of this follows the servers to the last bit where it decides what is found, in which order, and at which
//! distance (STOREDIST keeps distances as scores): their sphere, their cells, their way of covering an area by nine
//! cells with its gaps and repetitions. Trigonometry is the platform's; a replica on another C library than its
//! master's may see another last bit.

mod cell;
mod search;
mod shape;

pub use search::{Found, search};
pub use shape::{Area, Arithmetic, Shape};

use cell::Cell;

/// Longitudes reach from minus this to this.
pub const LONGITUDE_MAX: f64 = 180.0;
/// Latitudes reach from minus this to this, as on Mercator maps.
pub const LATITUDE_MAX: f64 = 85.051_128_78;

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub longitude: f64,
    pub latitude: f64,
}

impl Point {
    /// A place within the limits of longitude and latitude.
    pub fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let fits = (-LONGITUDE_MAX..=LONGITUDE_MAX).contains(&longitude)
            && (-LATITUDE_MAX..=LATITUDE_MAX).contains(&latitude);
        fits.then_some(Self { longitude, latitude })
    }

    /// The middle of the cell that a score stands for. Scores that are no geohash give some place, too.
    pub fn of_score(score: f64) -> Self {
        let area = Cell { bits: bits_of(score), step: cell::STEP_MAX }.bounds();
        Self {
            longitude: f64::midpoint(area.west, area.east).clamp(-LONGITUDE_MAX, LONGITUDE_MAX),
            latitude: f64::midpoint(area.south, area.north).clamp(-LATITUDE_MAX, LATITUDE_MAX),
        }
    }

    /// The score of the cell that holds this place.
    pub fn score(self) -> f64 {
        Cell::around(self, cell::STEP_MAX).bits as f64
    }

    /// The usual geohash of eleven characters; the last is always `0`, for 52 bits are not enough for it.
    pub fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        // unlike scores, these stand on latitudes of up to 90 degrees
        let bits = Cell::with_latitudes(self, cell::STEP_MAX, 90.0).bits;
        std::array::from_fn(|i| match 47_usize.checked_sub(i * 5) {
            Some(shift) => ALPHABET[(bits >> shift) as usize & 31],
            None => b'0',
        })
    }
}

/// A score as bits. Scores that fit in no integer come out as on the servers' usual processors.
fn bits_of(score: f64) -> u64 {
    const HALF: f64 = (1_u64 << 63) as f64;
    match score {
        _ if score < HALF => (score as i64).cast_unsigned(),
        _ if score < 2.0 * HALF => score as u64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_servers() {
        for (longitude, latitude, score, geohash) in [
            (13.361389, 38.115556, 3_479_099_956_230_698.0, "sqc8b49rny0"),
            (15.087269, 37.502669, 3_479_447_370_796_909.0, "sqdtr74hyu0"),
        ] {
            let point = Point::new(longitude, latitude).unwrap();
            assert_eq!(point.score(), score);
            let back = Point::of_score(score);
            assert!((back.longitude - longitude).abs() < 1e-5 && (back.latitude - latitude).abs() < 1e-5);
            assert_eq!(back.score(), score);
            assert_eq!(back.geohash(), geohash.as_bytes());
        }
    }

    #[test]
    fn places_beyond_the_map_are_none() {
        for (longitude, latitude) in [(180.1, 0.0), (-180.1, 0.0), (0.0, 85.06), (0.0, -85.06), (f64::NAN, 0.0)] {
            assert_eq!(Point::new(longitude, latitude), None);
        }
        assert!(Point::new(-180.0, 85.0).is_some());
    }

    /// What GEOPOS of all servers answered for members with such scores.
    #[test]
    fn scores_that_are_no_geohash_are_some_place() {
        let south_west = Point::of_score(0.0);
        assert_eq!((south_west.longitude, south_west.latitude), (-179.999_997_317_790_99, -85.051_127_512_639_43));
        assert_eq!(Point::of_score(f64::INFINITY), south_west);
        assert_eq!(Point::of_score(-1.5).latitude, LATITUDE_MAX);
    }

    #[test]
    fn no_score_makes_a_panic() {
        for score in [f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e300, 0.5, u64::MAX as f64] {
            let point = Point::of_score(score);
            assert!(Point::new(point.longitude, point.latitude).is_some(), "{score}: {point:?}");
        }
    }
}
