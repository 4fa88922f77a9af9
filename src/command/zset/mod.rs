//! Sorted sets: scores, ranks, intervals of ranks, scores and members, unions and their kin.
//!
//! What blocks or pops from several keys arrives as ZPOPMIN and ZPOPMAX; GEOADD arrives as ZADD.

pub(super) mod apply;
mod combine;
mod range;
mod read;
mod samples;

use super::row::{Keys, Row, read, refused_write, write};

/// The rows of this family.
pub static ROWS: &[Row] = &[
    read("zcard", 2, Keys::One(1), read::zcard).samples(samples::ZCARD),
    read("zscore", 3, Keys::One(1), read::zscore).samples(samples::ZSCORE),
    read("zmscore", -3, Keys::One(1), read::zmscore).samples(samples::ZMSCORE),
    read("zrank", -3, Keys::One(1), read::zrank).samples(samples::ZRANK),
    read("zrevrank", -3, Keys::One(1), read::zrevrank).samples(samples::ZREVRANK),
    read("zcount", 4, Keys::One(1), read::zcount).samples(samples::ZCOUNT),
    read("zlexcount", 4, Keys::One(1), read::zlexcount).samples(samples::ZLEXCOUNT),
    read("zrange", -4, Keys::One(1), read::zrange).samples(samples::ZRANGE),
    read("zrevrange", -4, Keys::One(1), read::zrevrange).samples(samples::ZREVRANGE),
    read("zrangebyscore", -4, Keys::One(1), read::zrangebyscore).samples(samples::ZRANGEBYSCORE),
    read("zrevrangebyscore", -4, Keys::One(1), read::zrevrangebyscore).samples(samples::ZREVRANGEBYSCORE),
    read("zrangebylex", -4, Keys::One(1), read::zrangebylex).samples(samples::ZRANGEBYLEX),
    read("zrevrangebylex", -4, Keys::One(1), read::zrevrangebylex).samples(samples::ZREVRANGEBYLEX),
    read("zrandmember", -2, Keys::One(1), read::zrandmember).samples(samples::ZRANDMEMBER),
    read("zscan", -3, Keys::One(1), read::zscan).samples(samples::ZSCAN),
    read("zinter", -3, Keys::Counted(1, false), read::zinter).samples(samples::ZINTER),
    read("zunion", -3, Keys::Counted(1, false), read::zunion).samples(samples::ZUNION),
    read("zdiff", -3, Keys::Counted(1, false), read::zdiff).samples(samples::ZDIFF),
    read("zintercard", -3, Keys::Counted(1, false), read::zintercard).samples(samples::ZINTERCARD),
    write("zadd", -4, Keys::One(1), apply::zadd),
    write("zincrby", 4, Keys::One(1), apply::zincrby),
    write("zrem", -3, Keys::One(1), apply::zrem),
    write("zremrangebyrank", 4, Keys::One(1), apply::zremrangebyrank),
    write("zremrangebyscore", 4, Keys::One(1), apply::zremrangebyscore),
    write("zremrangebylex", 4, Keys::One(1), apply::zremrangebylex),
    write("zpopmin", -2, Keys::One(1), apply::zpopmin),
    write("zpopmax", -2, Keys::One(1), apply::zpopmax),
    write("zunionstore", -4, Keys::Counted(2, true), apply::zunionstore),
    write("zinterstore", -4, Keys::Counted(2, true), apply::zinterstore),
    write("zdiffstore", -4, Keys::Counted(2, true), apply::zdiffstore).since(Some((6, 2)), Some((7, 2))),
    write("zrangestore", -5, Keys::Range(1, 2, 1), apply::zrangestore).since(Some((6, 2)), Some((7, 2))),
    // these arrive as ZPOPMIN and ZPOPMAX
    refused_write("zmpop", -4, Keys::Counted(1, false)),
    refused_write("bzmpop", -5, Keys::Counted(2, false)),
    refused_write("bzpopmin", -3, Keys::Range(1, -2, 1)),
    refused_write("bzpopmax", -3, Keys::Range(1, -2, 1)),
];
