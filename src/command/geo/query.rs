//! The arguments of GEOSEARCH, GEORADIUS and their kin: what to search, and what to tell of it.

use crate::command::args::Args;
use crate::command::partial_sort::sort_part;
use crate::dataset::Dialect;
use crate::dataset::geo::{self, Area, Found, Point, Shape};
use crate::dataset::zset::ZSet;
use crate::resp::refusal::Refusal;

/// Which command asks; decides where its centre and its result come from and go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `key longitude latitude radius unit`, may STORE.
    Radius,
    /// `key member radius unit`, may STORE.
    RadiusByMember,
    /// The same two without STORE.
    RadiusReadOnly,
    RadiusByMemberReadOnly,
    /// GEOSEARCH: everything is said by options.
    Search,
    /// GEOSEARCHSTORE: may STOREDIST.
    SearchStore,
}

/// What a search wants to know.
#[derive(Debug, Default)]
pub(super) struct Query<'a> {
    /// `None` if the key is missing: then nothing can be found, but the options have been checked.
    area: Option<Area>,
    /// COUNT; 0: all.
    count: usize,
    any: bool,
    /// ASC or DESC.
    sort: Option<Sort>,
    pub(super) with_distance: bool,
    pub(super) with_hash: bool,
    pub(super) with_coordinates: bool,
    /// STORE or STOREDIST.
    pub(super) store: Option<&'a [u8]>,
    /// Distances are stored as scores.
    pub(super) store_distances: bool,
    /// COUNT puts no more in order than it takes (since Redis 6.2).
    sorts_part: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Nearest,
    Farthest,
}

/// What is known of the area while the options are read.
#[derive(Debug, Default)]
struct Parts {
    centre: Option<Point>,
    has_member: bool,
    shape: Option<(Shape, f64)>,
    polygon: Option<Vec<Point>>,
}

impl<'a> Query<'a> {
    /// Reads everything behind the key of `source`, which is `None` if that is missing.
    pub(super) fn parse(
        args: &mut Args<'a>,
        form: Form,
        source: Option<&ZSet>,
        dialect: Dialect,
    ) -> Result<Self, Refusal> {
        let command = String::from_utf8_lossy(args.word(0).unwrap_or_default());
        let mut parts = Parts::default();
        match form {
            Form::Radius | Form::RadiusReadOnly => {
                parts.centre = Some(point(args, dialect)?);
                parts.shape = Some(circle(args, dialect)?);
            }
            Form::RadiusByMember | Form::RadiusByMemberReadOnly => {
                let member = args.require()?;
                if source.is_some() {
                    parts.centre = place_of(source, member, dialect)?;
                    parts.shape = Some(circle(args, dialect)?);
                } else {
                    // neither is looked at
                    args.require()?;
                    args.require()?;
                }
            }
            Form::Search | Form::SearchStore => {}
        }
        let sorts_part = dialect.sorts_places_in_part();
        let mut query = Self { sorts_part, ..Self::default() };
        let searches = matches!(form, Form::Search | Form::SearchStore);
        while !args.is_empty() {
            let known = query.take_option(args, form)?
                || searches && parts.take(args, source, dialect)?
                || searches && dialect.has_geo_polygons() && parts.take_polygon(args, dialect)?;
            if !known {
                return Err(Refusal::SYNTAX);
            }
        }
        query.check(form)?;
        if searches {
            parts.check(&command, dialect)?;
        }
        if query.any && query.count == 0 {
            return Err(Refusal::text("ERR the ANY argument requires COUNT argument"));
        }
        query.area = parts.area(dialect);
        Ok(query)
    }

    /// Takes an option about the result; `false` if it is none of these.
    fn take_option(&mut self, args: &mut Args<'a>, form: Form) -> Result<bool, Refusal> {
        let has_value = args.remaining() >= 2;
        if args.take("withdist") {
            self.with_distance = true;
        } else if args.take("withhash") {
            self.with_hash = true;
        } else if args.take("withcoord") {
            self.with_coordinates = true;
        } else if args.take("any") {
            self.any = true;
        } else if args.take("asc") {
            self.sort = Some(Sort::Nearest);
        } else if args.take("desc") {
            self.sort = Some(Sort::Farthest);
        } else if has_value && args.take("count") {
            let count = usize::try_from(args.integer()?).ok().filter(|count| *count > 0);
            self.count = count.ok_or_else(|| Refusal::text("ERR COUNT must be > 0"))?;
        } else if matches!(form, Form::Radius | Form::RadiusByMember) && has_value && args.take("store") {
            self.store = Some(args.require()?);
            self.store_distances = false;
        } else if matches!(form, Form::Radius | Form::RadiusByMember) && has_value && args.take("storedist") {
            self.store = Some(args.require()?);
            self.store_distances = true;
        } else if form == Form::SearchStore && args.take("storedist") {
            self.store_distances = true;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// What is stored cannot be told as well.
    fn check(&self, form: Form) -> Result<(), Refusal> {
        let tells = self.with_distance || self.with_hash || self.with_coordinates;
        let stores = match form {
            Form::SearchStore => "GEOSEARCHSTORE",
            _ if self.store.is_some() => "STORE option in GEORADIUS",
            _ => return Ok(()),
        };
        if tells {
            let text = format!("ERR {stores} is not compatible with WITHDIST, WITHHASH and WITHCOORD options");
            return Err(Refusal::text(text));
        }
        Ok(())
    }

    /// The members that were asked for, in the order that was asked for. COUNT alone means the nearest.
    pub(super) fn run<'z>(&self, zset: &'z ZSet) -> Vec<Found<'z>> {
        let Some(area) = &self.area else { return Vec::new() };
        let limit = if self.any { self.count } else { usize::MAX };
        let mut found = geo::search(zset, area, limit);
        let sort = self.sort.or((self.count > 0 && !self.any).then_some(Sort::Nearest));
        let taken = if self.count > 0 { self.count.min(found.len()) } else { found.len() };
        let sorted = if self.sorts_part { taken } else { found.len() };
        let compare = |a: &Found<'_>, b: &Found<'_>| a.distance.total_cmp(&b.distance);
        match sort {
            None => {}
            Some(Sort::Nearest) => sort_part(&mut found, 0..sorted, compare),
            Some(Sort::Farthest) => sort_part(&mut found, 0..sorted, |a, b| compare(b, a)),
        }
        found.truncate(taken);
        found
    }

    /// A distance in the unit of the question.
    pub(super) fn in_unit(&self, metres: f64) -> f64 {
        metres / self.area.as_ref().map_or(1.0, |area| area.unit_metres)
    }
}

impl Parts {
    /// Takes FROMMEMBER, FROMLONLAT, BYRADIUS or BYBOX; `false` if it is none of these.
    fn take(&mut self, args: &mut Args<'_>, source: Option<&ZSet>, dialect: Dialect) -> Result<bool, Refusal> {
        let behind = args.remaining() - 1;
        let from_place = self.centre.is_some() && !self.has_member;
        let is_box = matches!(self.shape, Some((Shape::Box { .. }, _)));
        let is_circle = matches!(self.shape, Some((Shape::Circle { .. }, _)));
        let is_free = self.polygon.is_none();
        if is_free && behind >= 1 && !from_place && args.take("frommember") {
            self.centre = place_of(source, args.require()?, dialect)?;
            self.has_member = true;
        } else if is_free && behind >= 2 && !self.has_member && args.take("fromlonlat") {
            self.centre = Some(point(args, dialect)?);
        } else if is_free && behind >= 2 && !is_box && args.take("byradius") {
            self.shape = Some(circle(args, dialect)?);
        } else if is_free && behind >= 3 && !is_circle && args.take("bybox") {
            self.shape = Some(rectangle(args, dialect)?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Takes BYPOLYGON, which is centre and shape in one.
    fn take_polygon(&mut self, args: &mut Args<'_>, dialect: Dialect) -> Result<bool, Refusal> {
        let is_free = self.centre.is_none() && !self.has_member && self.shape.is_none();
        if !is_free || args.remaining() < 2 || !args.take("bypolygon") {
            return Ok(false);
        }
        // As an `int` of C.
        let count = args.integer().ok().and_then(|count| i32::try_from(count).ok());
        let count = count.ok_or_else(|| Refusal::text("ERR invalid number of vertices"))?;
        let count = usize::try_from(count).ok().filter(|count| *count >= 3 && *count <= args.remaining() / 2);
        let count = count.ok_or_else(|| Refusal::text("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices"))?;
        self.polygon = Some((0..count).map(|_| point(args, dialect)).collect::<Result<_, _>>()?);
        Ok(true)
    }

    fn check(&self, command: &str, dialect: Dialect) -> Result<(), Refusal> {
        let refuse = |what| Err(Refusal::text(format!("ERR exactly one of {what} for {command}")));
        if self.polygon.is_some() {
            Ok(())
        } else if self.centre.is_none() && !self.has_member {
            refuse("FROMMEMBER or FROMLONLAT can be specified")
        } else if self.shape.is_none() && dialect.has_geo_polygons() {
            refuse("BYRADIUS, BYBOX and BYPOLYGON can be specified")
        } else if self.shape.is_none() {
            refuse("BYRADIUS and BYBOX can be specified")
        } else {
            Ok(())
        }
    }

    fn area(self, dialect: Dialect) -> Option<Area> {
        if let Some(corners) = self.polygon {
            return Some(Area::polygon(corners));
        }
        let (shape, unit_metres) = self.shape?;
        Some(Area { centre: self.centre?, shape, unit_metres, arithmetic: dialect.into() })
    }
}

/// The place of a member that must be there, if the key is.
fn place_of(source: Option<&ZSet>, member: &[u8], dialect: Dialect) -> Result<Option<Point>, Refusal> {
    let Some(zset) = source else { return Ok(None) };
    match zset.score(member) {
        Some(score) => Ok(Some(Point::of_score(score))),
        None if dialect.has_geo_polygons() => {
            let member = String::from_utf8_lossy(member);
            Err(Refusal::text(format!("ERR member {member} does not exist")))
        }
        None => Err(Refusal::text("ERR could not decode requested zset member")),
    }
}

/// Reads `longitude latitude`.
pub(super) fn point(args: &mut Args<'_>, dialect: Dialect) -> Result<Point, Refusal> {
    let (longitude, latitude) = (args.float_as(dialect)?, args.float_as(dialect)?);
    Point::new(longitude, latitude)
        .ok_or_else(|| Refusal::text(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}")))
}

/// Reads `radius unit`; answers the metres of the unit, too.
fn circle(args: &mut Args<'_>, dialect: Dialect) -> Result<(Shape, f64), Refusal> {
    let radius = args.float_as(dialect).map_err(|_| Refusal::text("ERR need numeric radius"))?;
    if radius < 0.0 {
        return Err(Refusal::text("ERR radius cannot be negative"));
    }
    Ok((Shape::Circle { radius }, unit(args)?))
}

/// Reads `width height unit`.
fn rectangle(args: &mut Args<'_>, dialect: Dialect) -> Result<(Shape, f64), Refusal> {
    let width = args.float_as(dialect).map_err(|_| Refusal::text("ERR need numeric width"))?;
    let height = args.float_as(dialect).map_err(|_| Refusal::text("ERR need numeric height"))?;
    if width < 0.0 || height < 0.0 {
        return Err(Refusal::text("ERR height or width cannot be negative"));
    }
    Ok((Shape::Box { width, height }, unit(args)?))
}

/// Reads a unit; answers its metres.
pub(super) fn unit(args: &mut Args<'_>) -> Result<f64, Refusal> {
    for (name, metres) in [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)] {
        if args.take(name) {
            return Ok(metres);
        }
    }
    args.require()?;
    Err(Refusal::text("ERR unsupported unit provided. please use M, KM, FT, MI"))
}
