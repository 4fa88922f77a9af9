//! Streams and their groups.

use super::generate::{Generator, Request, Word, request};

pub fn any(g: &mut Generator) -> Request {
    let key = g.key("x");
    match g.rng.u32(..30) {
        0..12 => add(g, key),
        12 => trim(g, key),
        13 => request!["XDEL", key, recent_id(g), recent_id(g)],
        14 | 15 => group(g, key),
        16..21 => read(g, key),
        21 | 22 => request!["XACK", key, group_name(g), recent_id(g), recent_id(g)],
        23 | 24 => claim(g, key),
        25 if g.has.seven => auto_claim(g, key),
        26 => request!["XSETID", key, format!("{}-5", g.stream_clock)],
        27 if g.has.seven => request!["XGROUP", "CREATECONSUMER", key, group_name(g), consumer(g)],
        _ => add(g, key),
    }
}

fn group_name(g: &mut Generator) -> &'static str {
    g.pick(&["alpha", "beta", "gamma"])
}

fn consumer(g: &mut Generator) -> &'static str {
    g.pick(&["alice", "bob", "carol", "dave"])
}

/// An id that some stream got lately.
fn recent_id(g: &mut Generator) -> String {
    let back = g.rng.i64(0..400).min(g.stream_clock - 1);
    format!("{}-1", g.stream_clock - back)
}

fn add(g: &mut Generator, key: Vec<u8>) -> Request {
    let mut request = request!["XADD", key];
    if g.has.seven && g.chance(5) {
        request.push("NOMKSTREAM".word());
    }
    match g.rng.u32(..10) {
        0 => request.extend(request!["MAXLEN", "~", g.rng.i64(0..150)]),
        1 => request.extend(request!["MAXLEN", g.rng.i64(0..300)]),
        2 if g.has.seven => request.extend(request!["MINID", "~", recent_id(g)]),
        _ => {}
    }
    g.stream_clock += 1;
    request.push(format!("{}-1", g.stream_clock).word());
    for _ in 0..g.rng.usize(1..4) {
        request.extend([g.pick(&["temp", "name", "f"]).word(), g.value()]);
    }
    request
}

fn trim(g: &mut Generator, key: Vec<u8>) -> Request {
    match g.rng.u32(..3) {
        0 => request!["XTRIM", key, "MAXLEN", g.rng.i64(0..200)],
        1 if g.has.seven => request!["XTRIM", key, "MINID", recent_id(g)],
        _ => request!["XTRIM", key, "MAXLEN", "~", g.rng.i64(0..200)],
    }
}

fn group(g: &mut Generator, key: Vec<u8>) -> Request {
    let name = group_name(g);
    match g.rng.u32(..10) {
        0..5 => request!["XGROUP", "CREATE", key, name, g.pick(&["0", "$"]), "MKSTREAM"],
        5 => request!["XGROUP", "SETID", key, name, recent_id(g)],
        6 => request!["XGROUP", "DELCONSUMER", key, name, consumer(g)],
        7 => request!["XGROUP", "DESTROY", key, name],
        _ => request!["XGROUP", "CREATE", key, name, recent_id(g)],
    }
}

fn read(g: &mut Generator, key: Vec<u8>) -> Request {
    let mut request = request!["XREADGROUP", "GROUP", group_name(g), consumer(g), "COUNT", g.rng.i64(1..12)];
    if g.chance(15) {
        request.push("NOACK".word());
    }
    request.extend(request!["STREAMS", key, ">"]);
    request
}

fn claim(g: &mut Generator, key: Vec<u8>) -> Request {
    let mut request = request!["XCLAIM", key, group_name(g), consumer(g), "0", recent_id(g), recent_id(g)];
    match g.rng.u32(..5) {
        0 => request.push("FORCE".word()),
        1 => request.extend(request!["RETRYCOUNT", g.rng.i64(0..9)]),
        2 => request.push("JUSTID".word()),
        _ => {}
    }
    request
}

fn auto_claim(g: &mut Generator, key: Vec<u8>) -> Request {
    request!["XAUTOCLAIM", key, group_name(g), consumer(g), "0", "0", "COUNT", g.rng.i64(1..10)]
}
