//! What clients can ask of places.

use super::query::{self, Form, Query};
use super::text::{distance_text, human_text};
use crate::command::args::Args;
use crate::command::context::ReadCx;
use crate::dataset::Dialect;
use crate::dataset::geo::{Arithmetic, Found, Point};
use crate::dataset::packed::listpack::IntText;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

pub(super) fn geopos(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let zset = cx.zset(args.require()?)?;
    out.array(args.remaining());
    for member in args {
        match zset.and_then(|zset| zset.score(member)) {
            Some(score) => coordinates(cx, out, Point::of_score(score)),
            None => out.null_array(),
        }
    }
    Ok(())
}

/// Redis 8 prints coordinates like other doubles, all others with up to 17 decimals.
fn coordinates(cx: &ReadCx<'_>, out: &mut Reply, point: Point) {
    out.array(2);
    for degrees in [point.longitude, point.latitude] {
        match cx.dialect() {
            Dialect::Redis(8.., _) => out.double(degrees),
            _ => out.double_text(human_text(degrees)),
        }
    }
}

pub(super) fn geodist(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let (key, from, to) = (args.require()?, args.require()?, args.require()?);
    if args.remaining() > 1 {
        return Err(Refusal::SYNTAX);
    }
    let unit_metres = if args.is_empty() { 1.0 } else { query::unit(args)? };
    let scores = cx.zset(key)?.and_then(|zset| Some((zset.score(from)?, zset.score(to)?)));
    match scores {
        None => out.null(),
        Some((from, to)) => {
            let dialect = cx.dialect();
            let metres = Arithmetic::from(dialect).distance(Point::of_score(from), Point::of_score(to));
            out.bulk(distance_text(metres / unit_metres, dialect));
        }
    }
    Ok(())
}

pub(super) fn geohash(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let zset = cx.zset(args.require()?)?;
    out.array(args.remaining());
    for member in args {
        let score = zset.and_then(|zset| zset.score(member));
        out.bulk_or_null(score.map(|score| Point::of_score(score).geohash()));
    }
    Ok(())
}

pub(super) fn geosearch(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    search(cx, args, out, Form::Search)
}

pub(super) fn georadius_ro(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    search(cx, args, out, Form::RadiusReadOnly)
}

pub(super) fn georadiusbymember_ro(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    search(cx, args, out, Form::RadiusByMemberReadOnly)
}

fn search(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply, form: Form) -> Result<(), Refusal> {
    let zset = cx.zset(args.require()?)?;
    let query = Query::parse(args, form, zset, cx.dialect())?;
    let found = zset.map_or_else(Vec::new, |zset| query.run(zset));
    out.array(found.len());
    found.iter().for_each(|found| tell(cx, out, &query, found));
    Ok(())
}

/// One member: its name, or an array of the name and what else was asked for.
fn tell(cx: &ReadCx<'_>, out: &mut Reply, query: &Query<'_>, found: &Found<'_>) {
    let more = [query.with_distance, query.with_hash, query.with_coordinates];
    let more = more.into_iter().filter(|wanted| *wanted).count();
    if more > 0 {
        out.array(1 + more);
    }
    let mut scratch = IntText::default();
    out.bulk(found.member.text(&mut scratch));
    if query.with_distance {
        out.bulk(distance_text(query.in_unit(found.distance), cx.dialect()));
    }
    if query.with_hash {
        out.integer(found.score as i64);
    }
    if query.with_coordinates {
        coordinates(cx, out, found.point);
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;
    use crate::dataset::Dialect;
    use crate::resp::reply::Proto;

    const PLACES: &str = "ZADD g 3479099956230698 Palermo 3479447370796909 Catania";

    #[test]
    fn coordinates_are_spelled_as_each_master_spells_them() {
        let mut bench = Bench::after(&[PLACES]);
        for (dialect, proto, expected) in [
            (Dialect::Redis(8, 0), Proto::Resp2, "*2 *2 $18 13.361389338970184 $16 38.1155563954963 *-1"),
            (Dialect::Redis(8, 0), Proto::Resp3, "*2 *2 ,13.361389338970184 ,38.1155563954963 _"),
            (Dialect::Redis(7, 0), Proto::Resp2, "*2 *2 $20 13.36138933897018433 $20 38.11555639549629859 *-1"),
            (Dialect::Valkey(9, 1), Proto::Resp3, "*2 *2 ,13.36138933897018433 ,38.11555639549629859 _"),
        ] {
            bench.data.limits.dialect = dialect;
            bench.proto = proto;
            assert_eq!(bench.ask("GEOPOS g Palermo nobody"), expected, "{dialect:?}");
        }
    }

    #[test]
    fn everything_that_can_be_told_comes_in_the_servers_order() {
        let bench = Bench::after(&[PLACES]);
        for (line, expected) in [
            ("GEODIST g Palermo Catania km", "$8 166.2742"),
            ("GEOHASH g Palermo", "*1 $11 sqc8b49rny0"),
            ("GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km DESC", "*2 $7 Palermo $7 Catania"),
            (
                "GEORADIUS_RO g 15 37 200 km COUNT 1 WITHHASH WITHCOORD WITHDIST",
                "*1 *4 $7 Catania $7 56.4413 :3479447370796909 *2 $18 15.087267458438873 $17 37.50266842333162",
            ),
            ("GEORADIUSBYMEMBER_RO g Palermo 1 m", "*1 $7 Palermo"),
        ] {
            assert_eq!(bench.ask(line), expected, "{line}");
        }
    }
}
