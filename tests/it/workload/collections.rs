//! Hashes, lists, sets, sorted sets, places.

use super::generate::{Generator, Request, Word, request};

pub fn hash(g: &mut Generator) -> Request {
    let key = g.key("h");
    match g.rng.u32(..20) {
        0..6 => fields_and_values(g, "HSET", key),
        6 => fields_and_values(g, "HMSET", key),
        7 => request!["HSETNX", key, g.member(), g.value()],
        8 | 9 => request!["HINCRBY", key, format!("n{}", g.rng.u32(..5)), g.integer()],
        // By a finite number: 6.0 makes an empty hash of `HINCRBYFLOAT new f inf` and does not replicate it.
        10 => request!["HINCRBYFLOAT", key, format!("n{}", g.rng.u32(..5)), g.rng.i64(-900..900)],
        11..14 => several(g, "HDEL", key),
        _ if g.has.field_expiry => field_expiry(g, key),
        _ => fields_and_values(g, "HSET", key),
    }
}

fn fields_and_values(g: &mut Generator, name: &str, key: Vec<u8>) -> Request {
    let mut request = request![name, key];
    for _ in 0..g.count() {
        request.extend([g.member(), g.value()]);
    }
    request
}

/// A command with some members or fields.
fn several(g: &mut Generator, name: &str, key: Vec<u8>) -> Request {
    let mut request = request![name, key];
    for _ in 0..g.count() {
        request.push(g.member());
    }
    request
}

fn field_expiry(g: &mut Generator, key: Vec<u8>) -> Request {
    let mut request = match g.rng.u32(..9) {
        0 => request!["HEXPIRE", key, g.soon_ms() / 1000],
        1..3 => request!["HPEXPIRE", key, g.soon_ms()],
        3 => request!["HEXPIREAT", key, g.moment_ms() / 1000],
        4 => request!["HPEXPIREAT", key, g.moment_ms()],
        5 => request!["HPERSIST", key],
        6 => request!["HGETDEL", key],
        7 => {
            let mut request = request!["HGETEX", key];
            match g.rng.u32(..3) {
                0 => request.extend(request!["PX", g.soon_ms()]),
                1 => request.extend(request!["PXAT", g.moment_ms()]),
                _ => request.push("PERSIST".word()),
            }
            request
        }
        _ => return set_fields_expiring(g, key),
    };
    if request.len() == 3 && request[0] != b"HGETEX" && g.chance(25) {
        request.push(g.pick(&["NX", "XX", "GT", "LT"]).word());
    }
    let count = g.rng.i64(1..4);
    request.extend(request!["FIELDS", count]);
    request.extend((0..count).map(|_| g.member()));
    request
}

fn set_fields_expiring(g: &mut Generator, key: Vec<u8>) -> Request {
    let mut request = request!["HSETEX", key];
    if g.chance(20) {
        request.push(g.pick(&["FNX", "FXX"]).word());
    }
    match g.rng.u32(..4) {
        0 => request.push("KEEPTTL".word()),
        1 => request.extend(request!["PXAT", g.moment_ms()]),
        2 => request.extend(request!["EX", 1 + g.soon_ms() / 1000]),
        _ => request.extend(request!["PX", g.soon_ms()]),
    }
    request.extend(request!["FIELDS", "2", g.member(), g.value(), g.member(), g.value()]);
    request
}

pub fn list(g: &mut Generator) -> Request {
    let key = g.key("l");
    let end = g.pick(&["LEFT", "RIGHT"]);
    match g.rng.u32(..24) {
        0..4 => pushed(g, "RPUSH", key),
        4..7 => pushed(g, "LPUSH", key),
        7 => pushed(g, "RPUSHX", key),
        8 => pushed(g, "LPUSHX", key),
        9 => request!["LPOP", key],
        10 => request!["RPOP", key],
        11 if g.has.seven => request!["LPOP", key, g.rng.i64(1..40)],
        12 => request!["LSET", key, g.rng.i64(-5..30), g.value()],
        13 => request!["LREM", key, g.rng.i64(-3..4), g.member()],
        14 | 15 => request!["LINSERT", key, g.pick(&["BEFORE", "AFTER"]), g.member(), g.value()],
        16 => request!["LTRIM", key, g.rng.i64(-400..5), g.rng.i64(-5..300)],
        17 => request!["RPOPLPUSH", key, g.key("l")],
        18 if g.has.seven => request!["LMOVE", key, g.key("l"), end, g.pick(&["LEFT", "RIGHT"])],
        19 if g.has.seven && g.chance(5) => {
            request!["BLMOVE", key, g.key("l"), end, g.pick(&["LEFT", "RIGHT"]), "0.01"]
        }
        20 if g.has.seven => request!["LMPOP", "2", key, g.key("l"), end, "COUNT", g.rng.i64(1..30)],
        21 if g.has.seven && g.chance(5) => request!["BLMPOP", "0.01", "1", key, end, "COUNT", g.rng.i64(1..5)],
        22 if g.chance(5) => request!["BLPOP", key, g.key("l"), "0.01"],
        23 if g.chance(5) => request!["BRPOPLPUSH", key, g.key("l"), "0.01"],
        _ => pushed(g, "RPUSH", key),
    }
}

fn pushed(g: &mut Generator, name: &str, key: Vec<u8>) -> Request {
    let mut request = request![name, key];
    for _ in 0..g.count() {
        let element = if g.chance(50) { g.member() } else { g.value() };
        request.push(element);
    }
    request
}

pub fn set(g: &mut Generator) -> Request {
    let key = g.key("set");
    match g.rng.u32(..16) {
        0..5 => several(g, "SADD", key),
        5 | 6 => integers(g, key),
        7 | 8 => several(g, "SREM", key),
        9 => request!["SPOP", key],
        10 => request!["SPOP", key, g.rng.i64(1..80)],
        11 => request!["SMOVE", key, g.key("set"), g.member()],
        _ => {
            let name = g.pick(&["SUNIONSTORE", "SINTERSTORE", "SDIFFSTORE"]);
            let mut request = request![name, key];
            let count = g.rng.usize(1..4);
            request.extend(g.keys("set", count));
            request
        }
    }
}

fn integers(g: &mut Generator, key: Vec<u8>) -> Request {
    let mut request = request!["SADD", key];
    for _ in 0..g.count() {
        request.push(g.integer().word());
    }
    request
}

pub fn zset(g: &mut Generator) -> Request {
    let key = g.key("z");
    let (low, high) = (g.rng.i64(-50..50), g.rng.i64(-50..150));
    match g.rng.u32(..24) {
        0..6 => zadd(g, key),
        6 | 7 => request!["ZINCRBY", key, g.score(), g.member()],
        8 | 9 => several(g, "ZREM", key),
        10 => request!["ZREMRANGEBYRANK", key, g.rng.i64(0..9), g.rng.i64(0..20)],
        11 => request!["ZREMRANGEBYSCORE", key, format!("({low}"), high],
        12 => by_name(g),
        13 => request!["ZPOPMIN", key],
        14 => request!["ZPOPMAX", key, g.rng.i64(1..20)],
        15 if g.chance(5) => request!["BZPOPMIN", key, g.key("z"), "0.01"],
        16 if g.chance(5) => request!["BZPOPMAX", key, "0.01"],
        17 if g.has.seven => request!["ZMPOP", "2", key, g.key("z"), "MIN", "COUNT", g.rng.i64(1..10)],
        18 if g.has.seven && g.chance(5) => request!["BZMPOP", "0.01", "1", key, "MAX"],
        19 if g.has.seven => request!["ZDIFFSTORE", key, "2", g.key("z"), g.key("z")],
        20 if g.has.seven => range_store(g, key),
        _ => combined(g, key),
    }
}

fn zadd(g: &mut Generator, key: Vec<u8>) -> Request {
    let mut request = request!["ZADD", key];
    let options: &[&str] = if g.has.seven { &["NX", "XX", "GT", "LT", "XX GT"] } else { &["NX", "XX"] };
    if g.chance(25) {
        request.extend(g.pick(options).split(' ').map(Word::word));
    }
    if g.chance(10) {
        request.push("CH".word());
    }
    let count = if g.chance(10) {
        request.push("INCR".word());
        1
    } else {
        g.count()
    };
    for _ in 0..count {
        request.extend([g.score().word(), g.member()]);
    }
    request
}

fn range_store(g: &mut Generator, key: Vec<u8>) -> Request {
    let mut request = request!["ZRANGESTORE", key, g.key("z")];
    if g.chance(50) {
        request.extend(request!["0", g.rng.i64(-3..40)]);
    } else {
        request.extend(request!["-inf", g.rng.i64(0..99), "BYSCORE", "LIMIT", "1", "20"]);
    }
    request
}

/// Sorted sets of one score, since ranges by name mean nothing in others: there a skip list's answer is chance.
fn by_name(g: &mut Generator) -> Request {
    let mut key = || format!("y:{}", g.rng.u32(..4));
    let (key, other) = (key(), key());
    match g.rng.u32(..10) {
        0 => request!["ZREMRANGEBYLEX", key, "[m1", "(m2"],
        1 if g.has.seven => request!["ZRANGESTORE", key, other, "[m", "+", "BYLEX", "LIMIT", "0", "90"],
        _ => {
            let mut request = request!["ZADD", key];
            for _ in 0..g.count() {
                request.extend([b"0".to_vec(), g.member()]);
            }
            request
        }
    }
}

fn combined(g: &mut Generator, key: Vec<u8>) -> Request {
    let name = g.pick(&["ZUNIONSTORE", "ZINTERSTORE"]);
    // Scores are added in an order that the servers do not promise where three meet: two sources are exact.
    let mut request = request![name, key, "2", g.key("z")];
    let other = g.pick(&["z", "set"]);
    request.push(g.key(other));
    if g.chance(40) {
        // Times zero, or zero times something below it, may be minus zero.
        let least = if g.has.minus_zero { -3 } else { 1 };
        request.extend(request!["WEIGHTS", g.rng.i64(least..4), g.pick(&["1", "0.5", "2"])]);
    }
    if g.chance(40) {
        request.extend(request!["AGGREGATE", g.pick(&["SUM", "MIN", "MAX"])]);
    }
    request
}

/// A third of the places are on a coarse grid: those tie by their distance from each other.
pub fn geo(g: &mut Generator) -> Request {
    let key = format!("g:{}", g.rng.u32(..6));
    let places = if g.chance(33) { 3.0 } else { 1e6 };
    let mut degrees = |from: f64| ((from + g.rng.f64() * 20.0) * places / 20.0).round() * 20.0 / places;
    let (longitude, latitude) = (format!("{:.6}", degrees(0.0)), format!("{:.6}", degrees(30.0)));
    let (longitude, latitude) = (longitude.as_str(), latitude.as_str());
    let order = g.pick(&["ASC", "DESC"]);
    match g.rng.u32(..8) {
        5 => request!["GEORADIUS", key, longitude, latitude, "700", "km", "STORE", g.key("z")],
        6 => {
            let (count, km) = (g.rng.i64(1..40), g.pick(&["500", "3000"]));
            request!["GEORADIUSBYMEMBER", key, g.member(), km, "km", "COUNT", count, order, "STORE", g.key("z")]
        }
        7 if g.has.seven => {
            let (target, km) = (g.key("z"), g.pick(&["900", "3000"]));
            let mut request = request!["GEOSEARCHSTORE", target, key, "FROMLONLAT", longitude, latitude];
            request.extend(request!["BYBOX", km, km, "km", order]);
            if g.chance(60) {
                request.extend(request!["COUNT", g.rng.i64(1..40)]);
            }
            request
        }
        _ => request!["GEOADD", key, longitude, latitude, g.member()],
    }
}
