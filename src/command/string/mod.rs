//! Strings: whole values, ranges of bytes, counters.
//!
//! The stream carries SET in all its forms (Redis 6.0 with relative expiries), the master's results of
//! INCRBYFLOAT, GETEX and their kin come as SET, PEXPIREAT and DEL.

mod apply;
mod lcs;
mod options;
mod read;

use super::row::{Keys, Row, read, refused_write, write};

/// The rows of this family.
pub static ROWS: &[Row] = &[
    read("get", 2, Keys::One(1), read::get).samples(&[
        "GET s:a",
        "GET s:int",
        "GET s:raw",
        "GET s:empty",
        "GET missing",
        "GET l:small",
    ]),
    read("mget", -2, Keys::Range(1, -1, 1), read::mget)
        .samples(&["MGET s:a", "MGET s:a missing l:small s:int s:a"]),
    read("getrange", 4, Keys::One(1), read::getrange).samples(&[
        "GETRANGE s:a 0 -1",
        "GETRANGE s:a 0 4",
        "GETRANGE s:a -5 -1",
        "GETRANGE s:a -1 -5",
        "GETRANGE s:a 0 -100",
        "GETRANGE s:a -100 100",
        "GETRANGE s:a 100 200",
        "GETRANGE s:a 5 3",
        "GETRANGE s:int 1 2",
        "GETRANGE s:empty 0 -1",
        "GETRANGE missing 0 -1",
        "GETRANGE s:a 9223372036854775807 -9223372036854775808",
        "GETRANGE s:a x 1",
        "GETRANGE l:small x 1",
        "GETRANGE l:small 0 1",
    ]),
    read("substr", 4, Keys::One(1), read::getrange).samples(&["SUBSTR s:a 1 3", "SUBSTR missing 0 1"]),
    read("strlen", 2, Keys::One(1), read::strlen).samples(&[
        "STRLEN s:a",
        "STRLEN s:int",
        "STRLEN s:empty",
        "STRLEN missing",
        "STRLEN l:small",
    ]),
    read("lcs", -3, Keys::Range(1, 2, 1), lcs::lcs).unbounded().samples(&[
        "LCS s:a s:raw",
        "LCS s:a s:raw LEN",
        "LCS s:a s:raw IDX",
        "LCS s:a s:raw IDX WITHMATCHLEN",
        "LCS s:a s:raw IDX MINMATCHLEN 2 WITHMATCHLEN",
        "LCS s:a s:raw MINMATCHLEN -1 IDX",
        "LCS s:a s:a IDX",
        "LCS s:a missing IDX",
        "LCS missing missing LEN",
        "LCS s:a l:small",
        "LCS s:a s:raw LEN IDX",
        "LCS s:a s:raw NOSUCH",
        "LCS s:a s:raw MINMATCHLEN x",
        "LCS s:a s:raw MINMATCHLEN",
    ]),
    write("set", -3, Keys::One(1), apply::set),
    write("setex", 4, Keys::One(1), apply::setex),
    write("psetex", 4, Keys::One(1), apply::psetex),
    write("setnx", 3, Keys::One(1), apply::setnx),
    write("getset", 3, Keys::One(1), apply::getset),
    write("getdel", 2, Keys::One(1), apply::getdel),
    write("getex", -2, Keys::One(1), apply::getex),
    write("delifeq", 3, Keys::One(1), apply::delifeq).since(None, Some((9, 0))),
    write("mset", -3, Keys::Range(1, -1, 2), apply::mset),
    write("msetnx", -3, Keys::Range(1, -1, 2), apply::msetnx),
    write("msetex", -4, Keys::Counted(1, false), apply::msetex).since(Some((8, 4)), Some((9, 1))),
    write("append", 3, Keys::One(1), apply::append),
    write("setrange", 4, Keys::One(1), apply::setrange),
    write("incr", 2, Keys::One(1), apply::incr),
    write("incrby", 3, Keys::One(1), apply::incrby),
    write("decr", 2, Keys::One(1), apply::decr),
    write("decrby", 3, Keys::One(1), apply::decrby),
    // Its result needs the master's long double; it arrives as SET ... KEEPTTL.
    refused_write("incrbyfloat", 3, Keys::One(1)),
];
