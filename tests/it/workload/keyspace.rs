//! Keys and expiry, whole databases, scripts and functions.

use super::generate::{Generator, Request, Word, request};

/// The families of keys, as their first part.
const FAMILIES: [&str; 9] = ["s", "n", "b", "p", "h", "l", "set", "z", "x"];

pub fn any(g: &mut Generator) -> Request {
    let family = g.pick(&FAMILIES);
    let key = g.key(family);
    match g.rng.u32(..26) {
        0..3 => several(g, "DEL"),
        3..5 => several(g, "UNLINK"),
        5..10 => expire(g, key),
        10..12 => request!["PERSIST", key],
        12 | 13 => request!["RENAME", key, g.key(family)],
        14 => request!["RENAMENX", key, g.key(family)],
        15 => request!["MOVE", key, g.pick(&["0", "1", "2", "9"])],
        16..19 if g.has.seven => copy(g, key, family),
        19..21 => sort(g),
        // A read that finds an expired key makes the master delete it.
        _ => request!["EXISTS", key],
    }
}

fn several(g: &mut Generator, name: &str) -> Request {
    let mut request = request![name];
    for _ in 0..g.rng.usize(1..4) {
        let family = g.pick(&FAMILIES);
        request.push(g.key(family));
    }
    request
}

fn expire(g: &mut Generator, key: Vec<u8>) -> Request {
    let mut request = match g.rng.u32(..5) {
        0 => request!["EXPIRE", key, g.soon_ms() / 1000],
        1..3 => request!["PEXPIRE", key, g.soon_ms()],
        3 => request!["EXPIREAT", key, g.moment_ms() / 1000],
        _ => request!["PEXPIREAT", key, g.moment_ms()],
    };
    if g.has.seven && g.chance(30) {
        request.push(g.pick(&["NX", "XX", "GT", "LT"]).word());
    }
    request
}

fn copy(g: &mut Generator, key: Vec<u8>, family: &str) -> Request {
    let mut request = request!["COPY", key, g.key(family)];
    if g.chance(30) {
        request.extend(request!["DB", g.pick(&["0", "1", "2", "9"])]);
    }
    if g.chance(60) {
        request.push("REPLACE".word());
    }
    request
}

fn sort(g: &mut Generator) -> Request {
    let from = g.pick(&["l", "set", "z"]);
    let mut request = request!["SORT", format!("{from}:{}", g.rng.u32(..40))];
    // Both only for lists: among equal weights ALPHA leaves the order in which the elements come, and that of a hash table is
    // each server's own. And sorted sets only in ways that leave a result: without one the master has changed the encoding
    // all the same, and tells nobody.
    let plain = from == "z";
    let by = !plain && g.chance(30);
    if by {
        request.extend(request!["BY", "n:*"]);
    }
    if !by || from == "l" && g.chance(70) {
        request.extend(request!["ALPHA"]);
    }
    if !plain && g.chance(30) {
        request.extend(request!["LIMIT", g.rng.i64(0..3), g.rng.i64(0..30)]);
    }
    if g.chance(20) {
        request.extend(request!["GET", "#", "GET", "n:*"]);
    }
    if g.chance(40) {
        request.push("DESC".word());
    }
    request.extend(request!["STORE", g.key("l")]);
    request
}

pub fn whole_database(g: &mut Generator) -> Request {
    match g.rng.u32(..12) {
        0..5 => request!["SWAPDB", g.pick(&["0", "1", "2"]), g.pick(&["1", "2", "9"])],
        5..8 if g.has.flush_at_once => request!["FLUSHDB"],
        5..9 => request!["FLUSHDB", "ASYNC"],
        9 if g.has.flush_at_once => request!["FLUSHALL"],
        9 => request!["FLUSHALL", "ASYNC"],
        _ => request!["SWAPDB", "9", "10"],
    }
}

const SCRIPTS: [&str; 6] = [
    "redis.call('SET', KEYS[1], ARGV[1]) return 1",
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) redis.call('INCR', 'n:script') return redis.call('SPOP', 'set:1')",
    "redis.call('LPUSH', 'l:script', ARGV[1]) redis.call('LTRIM', 'l:script', 0, 20) redis.call('DEL', KEYS[1])",
    "redis.call('SELECT', '2') redis.call('SET', KEYS[1], 'in two') return 1",
    "redis.call('HSET', 'h:script', KEYS[1], ARGV[1]) error('after a write')",
    "return redis.call('STRLEN', KEYS[1])",
];

pub fn script(g: &mut Generator) -> Request {
    let script = g.pick(&SCRIPTS);
    request!["EVAL", script, "1", g.key("s"), g.value(), g.soon_ms()]
}

pub fn function(g: &mut Generator) -> Request {
    if !g.has.seven {
        return script(g);
    }
    let n = g.rng.u32(..4);
    match g.rng.u32(..12) {
        0..5 => {
            let salt = g.rng.u32(..1000);
            let code = format!(
                "#!lua name=lib{n}\nredis.register_function('set{n}', function(keys, args) -- {salt}\n \
                 redis.call('SET', keys[1], args[1]) return redis.call('INCR', 'n:function') end)"
            );
            request!["FUNCTION", "LOAD", "REPLACE", code]
        }
        5..10 => request!["FCALL", format!("set{n}"), "1", g.key("s"), g.value()],
        10 => request!["FUNCTION", "DELETE", format!("lib{n}")],
        _ => request!["FUNCTION", "FLUSH"],
    }
}
