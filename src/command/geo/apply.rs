//! Writes of places. GEOADD arrives as ZADD, searches only if they store.

use super::query::{Form, Query, point};
use crate::command::args::Args;
use crate::command::context::ApplyCx;
use crate::command::zset::apply::{AddOptions, add_pairs, store};
use crate::dataset::ValueRef;
use crate::dataset::zset::Pairs;
use crate::resp::refusal::Refusal;
use std::collections::HashSet;

/// No master sends it; kept for streams that were put together by others.
pub(super) fn geoadd(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let key = args.require()?;
    let (options, dialect) = (AddOptions::parse_of_geoadd(args)?, cx.limits().dialect);
    if args.is_empty() || !args.remaining().is_multiple_of(3) {
        return Err(Refusal::SYNTAX);
    }
    let mut pairs = Vec::with_capacity(args.remaining() / 3);
    while !args.is_empty() {
        let score = point(args, dialect)?.score();
        pairs.push((score, args.require()?));
    }
    add_pairs(cx, key, options, &pairs)
}

pub(super) fn georadius(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let source = args.require()?;
    search_and_store(cx, args, source, None, Form::Radius)
}

pub(super) fn georadiusbymember(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let source = args.require()?;
    search_and_store(cx, args, source, None, Form::RadiusByMember)
}

pub(super) fn geosearchstore(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (destination, source) = (args.require()?, args.require()?);
    search_and_store(cx, args, source, Some(destination), Form::SearchStore)
}

fn search_and_store(
    cx: &mut ApplyCx<'_>,
    args: &mut Args<'_>,
    source: &[u8],
    destination: Option<&[u8]>,
    form: Form,
) -> Result<(), Refusal> {
    let zset = match cx.peek(source)? {
        None => None,
        Some(ValueRef::ZSet(zset)) => Some(zset),
        Some(_) => return Err(Refusal::WRONG_TYPE),
    };
    let query = Query::parse(args, form, zset, cx.limits().dialect)?;
    let Some(destination) = destination.or(query.store) else { return Ok(()) };
    let (mut pairs, mut seen) = (Pairs::new(), HashSet::new());
    for found in zset.map_or_else(Vec::new, |zset| query.run(zset)) {
        let member = found.member.to_vec();
        let score = if query.store_distances { query.in_unit(found.distance) } else { found.score };
        // a huge area can name a member twice; a server would have crashed on that
        if seen.insert(member.clone()) {
            pairs.push((member, score));
        }
    }
    let event = if form == Form::SearchStore { "geosearchstore" } else { "georadiusstore" };
    store(cx, destination, pairs, event)
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;
    use crate::dataset::Dialect;

    const PLACES: &str = "ZADD g 3479099956230698 Palermo 3479447370796909 Catania 3663832805879806 Paris";

    #[test]
    fn searches_are_stored_as_places_or_distances() {
        for (line, expected) in [
            (
                "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km",
                "*4 $7 Palermo $16 3479099956230698 $7 Catania $16 3479447370796909",
            ),
            (
                "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYBOX 400 400 km STOREDIST COUNT 1",
                "*2 $7 Catania $16 56.4412578701582",
            ),
            ("GEORADIUS g 15 37 200 km STORE d COUNT 1", "*2 $7 Catania $16 3479447370796909"),
            (
                "GEORADIUSBYMEMBER g Palermo 200 mi STOREDIST d DESC",
                "*4 $7 Palermo $1 0 $7 Catania $18 103.31822459492733",
            ),
            ("GEOSEARCHSTORE d missing FROMMEMBER x BYRADIUS 1 m", "*0"),
            ("GEOSEARCHSTORE d g FROMLONLAT 0 0 BYRADIUS 1 m", "*0"),
        ] {
            let bench = Bench::after(&[PLACES, "ZADD d 1 old", line]);
            assert_eq!(bench.ask("ZRANGE d 0 -1 WITHSCORES"), expected, "{line}");
        }
    }

    #[test]
    fn polygons_are_valkeys() {
        let line = "GEOSEARCHSTORE d g BYPOLYGON 4 12 37 16 37 16 39 12 39 STOREDIST";
        let mut bench = Bench::after(&[PLACES]);
        assert!(bench.apply(line).is_err());
        bench.data.limits.dialect = Dialect::Valkey(9, 1);
        assert_eq!(bench.apply(line), Ok(()));
        let expected = "*4 $7 Palermo $20 5.698749327453747e+4 $7 Catania $21 1.1141108391561451e+5";
        assert_eq!(bench.ask("ZRANGE d 0 -1 WITHSCORES"), expected);
    }

    #[test]
    fn what_cannot_be_applied_changes_nothing() {
        let mut bench = Bench::after(&[PLACES, "ZADD d 1 old", "SET s x"]);
        for line in [
            "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km WITHDIST",
            "GEOSEARCHSTORE d g FROMMEMBER nobody BYRADIUS 200 km",
            "GEOSEARCHSTORE d s FROMLONLAT 15 37 BYRADIUS 200 km",
            "GEORADIUS g 15 37 200 km STORE d WITHCOORD",
            "GEORADIUS g 15 37 200 parsec STORE d",
            "GEOADD g GT 1 1 x",
            "GEOADD g 1 86 x",
            "GEOADD g 1 1 x 2",
        ] {
            assert!(bench.apply(line).is_err(), "{line}");
        }
        assert_eq!(bench.ask("ZRANGE d 0 -1"), "*1 $3 old");
        assert_eq!(bench.ask("ZCARD g"), ":3");
    }

    #[test]
    fn places_are_added_as_scores() {
        let bench = Bench::after(&[
            "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
            "GEOADD g NX 1 1 Palermo",
            "GEOADD g XX CH 1 1 nobody",
        ]);
        let expected = "*4 $7 Palermo $16 3479099956230698 $7 Catania $16 3479447370796909";
        assert_eq!(bench.ask("ZRANGE g 0 -1 WITHSCORES"), expected);
    }
}
