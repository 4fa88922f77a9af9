//! Distances, and the areas that can be searched.

use super::Point;
use super::cell::Bounds;
use crate::dataset::Dialect;

const EARTH_RADIUS_METRES: f64 = 6_372_797.560_856;

/// What to search: a shape around a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Area {
    /// The middle, from which distances are counted.
    pub centre: Point,
    /// The shape.
    pub shape: Shape,
    /// Metres of one unit of the shape's sizes and of distances.
    pub unit_metres: f64,
    /// How it is computed.
    pub arithmetic: Arithmetic,
}

/// Whose arithmetic is followed; it differs in last bits, and in which cells cover an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// Redis before 7.0.
    Old,
    /// Redis from 7.0 on, Valkey.
    Current,
}

impl From<Dialect> for Arithmetic {
    fn from(dialect: Dialect) -> Self {
        if dialect.is_before_redis_7() { Self::Old } else { Self::Current }
    }
}

/// A shape; sizes in units.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
    Polygon(Vec<Point>),
}

impl Arithmetic {
    /// The distance of two places in metres, along the great circle.
    pub fn distance(self, a: Point, b: Point) -> f64 {
        let v = ((b.longitude.to_radians() - a.longitude.to_radians()) / 2.0).sin();
        if v == 0.0 && self == Self::Current {
            return latitude_distance(a.latitude, b.latitude);
        }
        let (a_latitude, b_latitude) = (a.latitude.to_radians(), b.latitude.to_radians());
        let u = ((b_latitude - a_latitude) / 2.0).sin();
        let haversine = u * u + a_latitude.cos() * b_latitude.cos() * v * v;
        2.0 * EARTH_RADIUS_METRES * haversine.sqrt().asin()
    }
}

fn latitude_distance(a: f64, b: f64) -> f64 {
    EARTH_RADIUS_METRES * (b.to_radians() - a.to_radians()).abs()
}

/// As the servers do it: a division, where `f64::to_degrees` multiplies.
fn degrees(radians: f64) -> f64 {
    radians / (std::f64::consts::PI / 180.0)
}

impl Area {
    /// A polygon; its centre is the mean of its corners on the sphere.
    pub fn polygon(corners: Vec<Point>) -> Self {
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for corner in &corners {
            let (longitude, latitude) = (corner.longitude.to_radians(), corner.latitude.to_radians());
            x += latitude.cos() * longitude.cos();
            y += latitude.cos() * longitude.sin();
            z += latitude.sin();
        }
        let centre = Point { longitude: degrees(y.atan2(x)), latitude: degrees(z.atan2((x * x + y * y).sqrt())) };
        Self { centre, shape: Shape::Polygon(corners), unit_metres: 1.0, arithmetic: Arithmetic::Current }
    }

    /// The distance of a place from the centre in metres.
    pub(super) fn distance(&self, point: Point) -> f64 {
        self.arithmetic.distance(self.centre, point)
    }

    /// The distance of a place from the centre in metres, if the place belongs to the area.
    pub(super) fn distance_within(&self, point: Point) -> Option<f64> {
        match &self.shape {
            Shape::Circle { radius } => {
                let distance = self.distance(point);
                (distance <= radius * self.unit_metres).then_some(distance)
            }
            Shape::Box { width, height } => {
                let (width, height) = (width * self.unit_metres, height * self.unit_metres);
                if latitude_distance(point.latitude, self.centre.latitude) > height / 2.0 {
                    return None;
                }
                let beside = Point { longitude: self.centre.longitude, latitude: point.latitude };
                (self.arithmetic.distance(point, beside) <= width / 2.0).then(|| self.distance(point))
            }
            Shape::Polygon(corners) => is_inside(point, corners).then(|| self.distance(point)),
        }
    }

    /// The distance from the centre to the farthest point, roughly, in metres.
    pub(super) fn reach_metres(&self) -> f64 {
        match &self.shape {
            Shape::Circle { radius } => radius * self.unit_metres,
            Shape::Box { width, height } => {
                let (half_width, half_height) = (width / 2.0, height / 2.0);
                (half_width * half_width + half_height * half_height).sqrt() * self.unit_metres
            }
            Shape::Polygon(corners) => {
                let Bounds { west, east, south, north } = around(corners);
                let corners = [(west, south), (west, north), (east, south), (east, north)];
                let corners = corners.map(|(longitude, latitude)| Point { longitude, latitude });
                corners.iter().map(|corner| self.distance(*corner)).fold(0.0, f64::max)
            }
        }
    }

    /// A rectangle around the area.
    pub(super) fn bounds(&self) -> Bounds {
        let (width, height) = match &self.shape {
            Shape::Circle { radius } => (*radius, *radius),
            Shape::Box { width, height } => (width / 2.0, height / 2.0),
            Shape::Polygon(corners) => return around(corners),
        };
        let (width, height) = (self.unit_metres * width, self.unit_metres * height);
        let Point { longitude, latitude } = self.centre;
        let latitude_delta = degrees(height / EARTH_RADIUS_METRES);
        let longitude_delta = |latitude: f64| degrees(width / EARTH_RADIUS_METRES / latitude.to_radians().cos());
        let delta = longitude_delta(match self.arithmetic {
            Arithmetic::Old => latitude,
            // the wider one of both edges is the one nearer to the pole
            Arithmetic::Current if latitude < 0.0 => latitude - latitude_delta,
            Arithmetic::Current => latitude + latitude_delta,
        });
        Bounds {
            west: longitude - delta,
            east: longitude + delta,
            south: latitude - latitude_delta,
            north: latitude + latitude_delta,
        }
    }
}

fn around(corners: &[Point]) -> Bounds {
    let longitudes = corners.iter().map(|corner| corner.longitude);
    let latitudes = corners.iter().map(|corner| corner.latitude);
    Bounds {
        west: longitudes.clone().fold(f64::INFINITY, f64::min),
        east: longitudes.fold(f64::NEG_INFINITY, f64::max),
        south: latitudes.clone().fold(f64::INFINITY, f64::min),
        north: latitudes.fold(f64::NEG_INFINITY, f64::max),
    }
}

/// Whether a ray from the point crosses the edges an odd number of times, on the flat map.
fn is_inside(point: Point, corners: &[Point]) -> bool {
    let mut inside = false;
    let Some(mut before) = corners.last() else { return false };
    for corner in corners {
        if (corner.latitude > point.latitude) != (before.latitude > point.latitude) {
            let crossing = (before.longitude - corner.longitude) * (point.latitude - corner.latitude)
                / (before.latitude - corner.latitude)
                + corner.longitude;
            inside ^= point.longitude < crossing;
        }
        before = corner;
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(longitude: f64, latitude: f64) -> Point {
        Point { longitude, latitude }
    }

    #[test]
    fn distances_are_those_of_the_servers() {
        let palermo = point(13.361_389_338_970_184, 38.115_556_395_496_3);
        let catania = point(15.087_267_458_438_873, 37.502_668_423_331_62);
        assert_eq!(Arithmetic::Current.distance(palermo, catania), 166_274.151_569_600_33);
        assert_eq!(Arithmetic::Old.distance(palermo, palermo), 0.0);
        // what valkey 9.1 stored with GEOSEARCHSTORE ... STOREDIST
        let corners = [(12.0, 37.0), (16.0, 37.0), (16.0, 39.0), (12.0, 39.0)];
        let area = Area::polygon(corners.map(|(longitude, latitude)| point(longitude, latitude)).to_vec());
        assert_eq!(area.distance_within(palermo), Some(5.698749327453747e+4));
        assert_eq!(area.distance_within(catania), Some(1.1141108391561451e+5));
    }

    #[test]
    fn a_notch_is_not_inside() {
        let corners = [(-10.0, 30.0), (20.0, 30.0), (20.0, 60.0), (0.0, 45.0), (-10.0, 60.0)];
        let corners = corners.map(|(longitude, latitude)| point(longitude, latitude));
        for (longitude, latitude, expected) in
            [(13.3, 38.1, true), (2.3, 48.9, false), (-9.0, 50.0, true), (25.0, 40.0, false), (0.0, 44.0, true)]
        {
            assert_eq!(is_inside(point(longitude, latitude), &corners), expected, "{longitude} {latitude}");
        }
        assert!(!is_inside(point(0.0, 0.0), &[]));
    }
}
