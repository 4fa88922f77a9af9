//! Hashes: fields, their values and their expiry.
//!
//! Reads hide expired fields, but for what the servers still count or show (HLEN; HRANDFIELD of Redis). Applies act
//! on expired fields as if alive.

mod apply;
mod read;
mod ttl;

use super::row::{Keys, Row, read, refused_write, write};

/// The rows of this family.
pub static ROWS: &[Row] = &[
    read("hget", 3, Keys::One(1), read::hget).samples(&[
        "HGET h:small name",
        "HGET h:small number",
        "HGET h:small nope",
        "HGET h:big f500",
        "HGET h:ttl soon",
        "HGET h:ttl gone",
        "HGET missing f",
        "HGET s:a f",
        "HGET h:small",
    ]),
    read("hmget", -3, Keys::One(1), read::hmget).samples(&[
        "HMGET h:small name nope number",
        "HMGET h:big f1 f600 long",
        "HMGET h:ttl soon gone never",
        "HMGET missing a b",
        "HMGET s:a f",
    ]),
    read("hgetall", 2, Keys::One(1), read::hgetall).samples(&[
        "HGETALL h:small",
        "HGETALL h:one",
        "HGETALL missing",
        "HGETALL s:a",
    ]),
    read("hkeys", 2, Keys::One(1), read::hkeys).samples(&["HKEYS h:small", "HKEYS missing", "HKEYS l:small"]),
    read("hvals", 2, Keys::One(1), read::hvals).samples(&["HVALS h:small", "HVALS missing", "HVALS l:small"]),
    read("hlen", 2, Keys::One(1), read::hlen).samples(&[
        "HLEN h:small",
        "HLEN h:big",
        "HLEN h:ttl",
        "HLEN missing",
        "HLEN s:a",
    ]),
    read("hexists", 3, Keys::One(1), read::hexists).samples(&[
        "HEXISTS h:small name",
        "HEXISTS h:small nope",
        "HEXISTS h:ttl gone",
        "HEXISTS missing f",
        "HEXISTS s:a f",
    ]),
    read("hstrlen", 3, Keys::One(1), read::hstrlen).samples(&[
        "HSTRLEN h:small name",
        "HSTRLEN h:small number",
        "HSTRLEN h:big long",
        "HSTRLEN h:ttl gone",
        "HSTRLEN missing f",
        "HSTRLEN s:a f",
    ]),
    read("hrandfield", -2, Keys::One(1), read::hrandfield).samples(&[
        "HRANDFIELD h:one",
        "HRANDFIELD h:one 5",
        "HRANDFIELD h:one 5 WITHVALUES",
        "HRANDFIELD h:one -3",
        "HRANDFIELD h:one -2 withvalues",
        "HRANDFIELD h:one 0",
        "HRANDFIELD missing",
        "HRANDFIELD missing 2",
        "HRANDFIELD missing x",
        "HRANDFIELD missing x y",
        "HRANDFIELD h:one 1 nope",
        "HRANDFIELD h:one 1 withvalues x",
        "HRANDFIELD h:one 4611686018427387904 WITHVALUES",
        "HRANDFIELD missing -9223372036854775808",
        "HRANDFIELD s:a",
        "HRANDFIELD s:a 0",
    ]),
    read("hscan", -3, Keys::One(1), read::hscan).samples(&[
        "HSCAN h:small 0",
        "HSCAN h:small 0 MATCH n* COUNT 5",
        "HSCAN h:small 0 NOVALUES",
        "HSCAN h:small 0 COUNT 0",
        "HSCAN h:small 0 COUNT x",
        "HSCAN h:small 0 MATCH",
        "HSCAN h:small x",
        "HSCAN missing 0 nope",
        "HSCAN s:a 0",
    ]),
    read("httl", -5, Keys::One(1), ttl::httl).samples(&[
        "HTTL h:ttl FIELDS 3 gone never nope",
        "HTTL missing FIELDS 2 a b",
        "HTTL h:ttl FIELDS 0 f",
        "HTTL h:ttl FIELDS x f",
        "HTTL h:ttl FIELDS 2 f",
        "HTTL h:ttl FIELDS 1 f g",
        "HTTL h:ttl FIELD 1 f",
        "HTTL s:a FIELDS 1 f",
    ]),
    read("hpttl", -5, Keys::One(1), ttl::hpttl).samples(&["HPTTL h:ttl FIELDS 3 gone never nope"]),
    read("hexpiretime", -5, Keys::One(1), ttl::hexpiretime).samples(&[
        "HEXPIRETIME h:ttl FIELDS 5 soon late gone never nope",
        "HEXPIRETIME h:ttl FIELDS 99999999999999999999 f",
    ]),
    read("hpexpiretime", -5, Keys::One(1), ttl::hpexpiretime)
        .samples(&["HPEXPIRETIME h:ttl FIELDS 5 soon late gone never nope"]),
    write("hset", -4, Keys::One(1), apply::hset),
    write("hmset", -4, Keys::One(1), apply::hset),
    write("hsetnx", 4, Keys::One(1), apply::hsetnx),
    write("hsetex", -6, Keys::One(1), apply::hsetex).since(Some((8, 0)), Some((9, 0))),
    write("hdel", -3, Keys::One(1), apply::hdel),
    write("hgetdel", -5, Keys::One(1), apply::hgetdel).since(Some((8, 0)), Some((9, 0))),
    write("hincrby", 4, Keys::One(1), apply::hincrby),
    // Masters send what came out of it: HSET, HSETEX.
    refused_write("hincrbyfloat", 4, Keys::One(1)),
    // Masters send HPEXPIREAT, HPERSIST or HDEL.
    refused_write("hgetex", -5, Keys::One(1)),
    write("hexpire", -6, Keys::One(1), ttl::hexpire).since(Some((7, 4)), Some((9, 0))),
    write("hpexpire", -6, Keys::One(1), ttl::hpexpire).since(Some((7, 4)), Some((9, 0))),
    write("hexpireat", -6, Keys::One(1), ttl::hexpireat).since(Some((7, 4)), Some((9, 0))),
    write("hpexpireat", -6, Keys::One(1), ttl::hpexpireat).since(Some((7, 4)), Some((9, 0))),
    write("hpersist", -5, Keys::One(1), ttl::hpersist).since(Some((7, 4)), Some((9, 0))),
];

#[cfg(test)]
mod tests;
