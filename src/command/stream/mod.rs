//! Streams: `read` answers clients, `apply` follows the master, `id` reads the ids that both are given.
//!
//! XREADGROUP and XAUTOCLAIM never arrive: masters send what they did as XCLAIM, XGROUP SETID and XGROUP
//! CREATECONSUMER.

mod apply;
mod id;
mod info;
mod pending;
mod read;
#[cfg(test)]
mod replay;

use super::help;
use super::row::{Keys, Row, container, read, refused_write, session, waiting_read, write};
use crate::resp::refusal::Refusal;

/// The rows of this family.
pub static ROWS: &[Row] = &[
    read("xlen", 2, Keys::One(1), read::xlen).samples(&["XLEN x:a", "XLEN x:b", "XLEN missing", "XLEN s:a"]),
    read("xrange", -4, Keys::One(1), read::xrange).samples(&[
        "XRANGE x:a - +",
        "XRANGE x:b - + COUNT 3",
        "XRANGE x:a 2 3",
        "XRANGE x:a (1-1 +",
        "XRANGE x:a - (5-2",
        "XRANGE x:a 007 +",
        "XRANGE x:a - + COUNT 0",
        "XRANGE x:a - + COUNT -1",
        "XRANGE x:a + -",
        "XRANGE missing - +",
        "XRANGE missing - + COUNT 0",
        "XRANGE x:a (18446744073709551615-18446744073709551615 +",
        "XRANGE x:a - (0-0",
        "XRANGE x:a a +",
        "XRANGE x:a - + COUNT",
        "XRANGE x:a - + COUNT x",
        "XRANGE s:a - +",
    ]),
    read("xrevrange", -4, Keys::One(1), read::xrevrange).samples(&[
        "XREVRANGE x:a + -",
        "XREVRANGE x:b + - COUNT 3",
        "XREVRANGE x:a 3 2",
        "XREVRANGE x:a (5-2 (1-1",
        "XREVRANGE x:a - +",
        "XREVRANGE x:b 12 9",
        "XREVRANGE missing + -",
    ]),
    waiting_read("xread", -4, Keys::AfterStreams, read::xread).samples(&[
        "XREAD STREAMS x:a 0",
        "XREAD COUNT 2 STREAMS x:a x:b 1-1 10",
        "XREAD STREAMS x:a missing 0 0",
        "XREAD COUNT 0 STREAMS x:a 3",
        "XREAD STREAMS x:a $",
        "XREAD STREAMS x:b +",
        "XREAD STREAMS missing 0",
        "XREAD STREAMS x:a x:b 0",
        "XREAD STREAMS x:a >",
        "XREAD STREAMS s:a 0",
        "XREAD COUNT x STREAMS x:a 0",
        "XREAD BLOCK -1 STREAMS x:a 0",
        "XREAD BLOCK x STREAMS x:a 0",
        "XREAD BLOCK 10 STREAMS x:a 0",
        "XREAD GROUP g c STREAMS x:a 0",
        "XREAD NOACK STREAMS x:a 0",
        "XREAD COUNT 1 x:a 0",
    ]),
    read("xpending", -3, Keys::One(1), pending::xpending).samples(&[
        "XPENDING x:a empty",
        "XPENDING x:a nogroup",
        "XPENDING missing g",
        "XPENDING x:a empty - + 10",
        "XPENDING x:a g - + 10 nobody",
        "XPENDING x:a g (9-9 + 10",
        "XPENDING x:a g - + 0",
        "XPENDING x:a g - +",
        "XPENDING x:a g IDLE 1 - +",
        "XPENDING x:a g - + x",
        "XPENDING x:a g a + 1",
        "XPENDING x:a g",
    ]),
    container("xinfo", -2),
    read("xinfo stream", -3, Keys::One(2), info::stream).samples(&[
        "XINFO STREAM x:b",
        "XINFO STREAM x:b FULL COUNT 1",
        "XINFO STREAM x:b FULL COUNT -1",
        "XINFO STREAM x:empty FULL COUNT 0",
        "XINFO STREAM x:a",
        "XINFO STREAM x:empty",
        "XINFO STREAM missing",
        "XINFO STREAM s:a",
        "XINFO STREAM x:a BAD",
        "XINFO STREAM x:a FULL COUNT",
        "XINFO STREAM x:a FULL COUNT x",
    ]),
    read("xinfo groups", 3, Keys::One(2), info::groups).samples(&[
        "XINFO GROUPS x:a",
        "XINFO GROUPS x:b",
        "XINFO GROUPS missing",
    ]),
    read("xinfo consumers", 4, Keys::One(2), info::consumers).samples(&[
        "XINFO CONSUMERS x:a empty",
        "XINFO CONSUMERS x:a nogroup",
        "XINFO CONSUMERS missing g",
    ]),
    session("xinfo help", 2, help::help).always(),
    write("xadd", -5, Keys::One(1), apply::xadd),
    write("xtrim", -4, Keys::One(1), apply::xtrim),
    write("xdel", -3, Keys::One(1), apply::xdel),
    write("xsetid", -3, Keys::One(1), apply::xsetid),
    write("xack", -4, Keys::One(1), apply::group::xack),
    write("xclaim", -6, Keys::One(1), apply::group::xclaim),
    refused_write("xautoclaim", -6, Keys::One(1)),
    refused_write("xreadgroup", -7, Keys::AfterStreams),
    container("xgroup", -2),
    write("xgroup create", -5, Keys::One(2), apply::group::create),
    write("xgroup setid", -5, Keys::One(2), apply::group::set_id),
    write("xgroup destroy", 4, Keys::One(2), apply::group::destroy),
    write("xgroup createconsumer", 5, Keys::One(2), apply::group::create_consumer),
    write("xgroup delconsumer", 5, Keys::One(2), apply::group::remove_consumer),
    session("xgroup help", 2, help::help).always(),
];

/// `NOGROUP No such key 'x' or consumer group 'g'`
fn no_key_or_group(key: &[u8], group: &[u8]) -> Refusal {
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    Refusal::text(format!("NOGROUP No such key '{key}' or consumer group '{group}'"))
}

/// `NOGROUP No such consumer group 'g' for key name 'x'`
fn no_group(key: &[u8], group: &[u8]) -> Refusal {
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    Refusal::text(format!("NOGROUP No such consumer group '{group}' for key name '{key}'"))
}
