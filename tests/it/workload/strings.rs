//! Strings, bitmaps, HyperLogLogs.

use super::generate::{Generator, Request, Word, request};

pub fn plain(g: &mut Generator) -> Request {
    let key = g.key("s");
    match g.rng.u32(..30) {
        0..4 => request!["SET", key, g.value()],
        4..8 => set_with_options(g, key),
        8 => request!["SETEX", key, 1 + g.soon_ms() / 1000, g.value()],
        9 => request!["PSETEX", key, g.soon_ms(), g.value()],
        10 => request!["SETNX", key, g.value()],
        11 => request!["GETSET", key, g.value()],
        12 => pairs(g, "MSET"),
        13 => pairs(g, "MSETNX"),
        14..16 => request!["APPEND", key, g.value()],
        16 => request!["SETRANGE", key, g.rng.i64(0..300), g.value()],
        17..19 => request!["INCR", counter(g)],
        19 => request!["INCRBY", counter(g), g.integer()],
        20 => request!["DECR", counter(g)],
        21 => request!["DECRBY", counter(g), g.rng.i64(-50..50)],
        22..24 => request!["INCRBYFLOAT", counter(g), g.score()],
        24 if g.has.seven => request!["GETDEL", key],
        25 | 26 if g.has.seven => get_and_expire(g, key),
        27 if g.has.valkey_nine => request!["DELIFEQ", key, g.rng.i64(0..50)],
        28 if g.has.valkey_nine => set_many_expiring(g),
        _ => request!["SET", counter(g), g.rng.i64(0..1000)],
    }
}

/// Keys whose values are mostly numbers.
fn counter(g: &mut Generator) -> String {
    format!("n:{}", g.rng.u32(..20))
}

fn set_with_options(g: &mut Generator, key: Vec<u8>) -> Request {
    let mut request = request!["SET", key, g.value()];
    match g.rng.u32(..8) {
        0 => request.extend(request!["EX", 1 + g.soon_ms() / 1000]),
        1..4 => request.extend(request!["PX", g.soon_ms()]),
        4 => request.extend(request!["KEEPTTL"]),
        5 if g.has.seven => request.extend(request!["PXAT", g.moment_ms().max(1)]),
        6 if g.has.seven => request.extend(request!["EXAT", (g.moment_ms() / 1000).max(1)]),
        7 if g.has.valkey => request.extend(request!["IFEQ", g.rng.i64(0..50)]),
        _ => {}
    }
    match g.rng.u32(..10) {
        0 if request.iter().all(|word| word != b"IFEQ") => request.push(g.pick(&["NX", "XX"]).word()),
        1 if g.has.seven => request.push("GET".word()),
        _ => {}
    }
    request
}

fn pairs(g: &mut Generator, name: &str) -> Request {
    let mut request = request![name];
    for _ in 0..g.rng.usize(1..5) {
        request.extend([g.key("s"), g.value()]);
    }
    request
}

fn get_and_expire(g: &mut Generator, key: Vec<u8>) -> Request {
    match g.rng.u32(..4) {
        0 => request!["GETEX", key, "PX", g.soon_ms()],
        1 => request!["GETEX", key, "PXAT", g.moment_ms().max(1)],
        2 => request!["GETEX", key, "PERSIST"],
        _ => request!["GETEX", key],
    }
}

fn set_many_expiring(g: &mut Generator) -> Request {
    let mut request = request!["MSETEX", "2", g.key("s"), g.value(), g.key("s"), g.value()];
    match g.rng.u32(..3) {
        0 => request.extend(request!["PX", g.soon_ms()]),
        1 => request.extend(request!["KEEPTTL"]),
        _ => {}
    }
    request
}

pub fn bitmap(g: &mut Generator) -> Request {
    let key = g.key("b");
    match g.rng.u32(..6) {
        0..3 => request!["SETBIT", key, g.rng.i64(0..4000), g.rng.i64(0..2)],
        3 => bitop(g),
        _ => bitfield(g, key),
    }
}

fn bitop(g: &mut Generator) -> Request {
    let name = g.pick(&["AND", "OR", "XOR", "NOT"]);
    let sources = if name == "NOT" { 1 } else { g.rng.usize(1..4) };
    let mut request = request!["BITOP", name, g.key("b")];
    request.extend(g.keys("b", sources));
    request
}

fn bitfield(g: &mut Generator, key: Vec<u8>) -> Request {
    let mut request = request!["BITFIELD", key];
    for _ in 0..g.rng.usize(1..4) {
        let kind = format!("{}{}", g.pick(&["u", "i"]), g.rng.u32(1..63));
        if g.chance(40) {
            // Not FAIL: masters then make or lengthen the key and tell nobody (7.0, 8.0, v8.1 measured), so that no replica
            // can follow.
            request.extend(request!["OVERFLOW", g.pick(&["WRAP", "SAT"])]);
        }
        let offset = if g.chance(30) { format!("#{}", g.rng.u32(..20)) } else { g.rng.u32(..900).to_string() };
        let change = g.pick(&["SET", "INCRBY"]);
        request.extend(request![change, kind, offset, g.integer()]);
        if g.chance(20) {
            request.extend(request!["GET", "u8", "0"]);
        }
    }
    request
}

pub fn hyperloglog(g: &mut Generator) -> Request {
    let key = g.key("p");
    match g.rng.u32(..10) {
        0..6 => {
            let mut request = request!["PFADD", key];
            let count = if g.chance(5) { 400 } else { g.rng.usize(0..12) };
            request.extend((0..count).map(|_| format!("e{}", g.rng.u32(..)).into_bytes()));
            request
        }
        6..8 => request!["PFCOUNT", key],
        _ => {
            let mut request = request!["PFMERGE", key];
            let count = g.rng.usize(0..3);
            request.extend(g.keys("p", count));
            request
        }
    }
}
