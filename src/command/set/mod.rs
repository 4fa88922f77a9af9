//! Sets: members, picks by chance, and the algebra of several sets.

mod algebra;
mod apply;
mod read;

use super::row::{Keys, Row, read, write};

/// All words from the first on.
const ALL: Keys = Keys::Range(1, -1, 1);

/// The rows of this family.
pub static ROWS: &[Row] = &[
    read("smembers", 2, Keys::One(1), read::smembers).samples(&[
        "SMEMBERS set:int",
        "SMEMBERS set:one",
        "SMEMBERS missing",
        "SMEMBERS s:a",
    ]),
    read("sismember", 3, Keys::One(1), read::sismember).samples(&[
        "SISMEMBER set:int 3",
        "SISMEMBER set:int 03",
        "SISMEMBER set:int x",
        "SISMEMBER set:small 7",
        "SISMEMBER set:small 007",
        "SISMEMBER set:small \"\"",
        "SISMEMBER set:big m150",
        "SISMEMBER set:big m200",
        "SISMEMBER missing a",
        "SISMEMBER s:a a",
    ]),
    read("smismember", -3, Keys::One(1), read::smismember).samples(&[
        "SMISMEMBER set:small a b nope 7",
        "SMISMEMBER set:int 1 2 9",
        "SMISMEMBER missing a b",
        "SMISMEMBER missing",
        "SMISMEMBER s:a a",
    ]),
    read("scard", 2, Keys::One(1), read::scard).samples(&[
        "SCARD set:int",
        "SCARD set:small",
        "SCARD set:big",
        "SCARD missing",
        "SCARD s:a",
    ]),
    read("srandmember", -2, Keys::One(1), read::srandmember).samples(&[
        "SRANDMEMBER set:one",
        "SRANDMEMBER set:one 5",
        "SRANDMEMBER set:one -3",
        "SRANDMEMBER set:one 0",
        "SRANDMEMBER set:one 9223372036854775807",
        "SRANDMEMBER missing",
        "SRANDMEMBER missing 2",
        "SRANDMEMBER missing x",
        "SRANDMEMBER missing x y",
        "SRANDMEMBER missing -9223372036854775808",
        "SRANDMEMBER s:a",
        "SRANDMEMBER s:a 0",
    ]),
    read("sscan", -3, Keys::One(1), read::sscan).samples(&[
        "SSCAN set:int 0",
        "SSCAN set:int 0 MATCH ?",
        "SSCAN set:one 0 COUNT 100 MATCH o*",
        "SSCAN set:one 0 COUNT 0",
        "SSCAN set:one 0 COUNT",
        "SSCAN set:one 0 TYPE set",
        "SSCAN set:one nope",
        "SSCAN missing 0 nope",
        "SSCAN s:a 0",
    ]),
    read("sinter", -2, ALL, read::sinter).samples(&[
        "SINTER set:one",
        "SINTER set:int set:ints",
        "SINTER set:small set:far",
        "SINTER set:small missing set:other",
        "SINTER missing s:a",
        "SINTER set:int s:a",
    ]),
    read("sunion", -2, ALL, read::sunion).samples(&[
        "SUNION set:one missing",
        "SUNION set:int set:ints",
        "SUNION missing",
        "SUNION missing s:a",
    ]),
    read("sdiff", -2, ALL, read::sdiff).samples(&[
        "SDIFF set:one missing",
        "SDIFF set:int set:ints",
        "SDIFF set:small set:small",
        "SDIFF missing set:int",
        "SDIFF missing s:a",
    ]),
    read("sintercard", -3, Keys::Counted(1, false), read::sintercard).samples(&[
        "SINTERCARD 1 set:int",
        "SINTERCARD 2 set:small set:other",
        "SINTERCARD 2 set:small set:other LIMIT 2",
        "SINTERCARD 2 set:small set:other LIMIT 0",
        "SINTERCARD 2 set:small missing",
        "SINTERCARD 0 set:int",
        "SINTERCARD x set:int",
        "SINTERCARD 2 set:int",
        "SINTERCARD 1 set:int LIMIT",
        "SINTERCARD 1 set:int LIMIT -1",
        "SINTERCARD 1 set:int LIMIT x",
        "SINTERCARD 1 set:int nope",
        "SINTERCARD 1 set:int LIMIT 1 LIMIT 2",
        "SINTERCARD 2 missing s:a",
    ]),
    write("sadd", -3, Keys::One(1), apply::sadd),
    write("srem", -3, Keys::One(1), apply::srem),
    write("smove", 4, Keys::Range(1, 2, 1), apply::smove),
    write("spop", -2, Keys::One(1), apply::spop),
    write("sinterstore", -3, ALL, apply::sinterstore),
    write("sunionstore", -3, ALL, apply::sunionstore),
    write("sdiffstore", -3, ALL, apply::sdiffstore),
];

#[cfg(test)]
mod tests;
