//! Keys whatever they hold: presence, expiry, walks, names, whole databases, DUMP and RESTORE, SORT.
//!
//! What does not look at the value (EXISTS, TTL, SCAN and their kin) answers for marked keys too.

mod apply;
mod database;
mod expire;
mod object;
mod read;
mod restore;
mod sort;
mod walk;

pub(super) use object::debug;

use super::args::Args;
use super::help;
use super::row::{Keys, Row, container, read, refused_write, session, walk as walks, write};
use crate::resp::refusal::Refusal;

/// The rows of this family.
pub static ROWS: &[Row] = &[
    read("exists", -2, Keys::Range(1, -1, 1), read::exists).samples(&[
        "EXISTS s:a",
        "EXISTS missing",
        "EXISTS s:a missing l:small s:a",
    ]),
    read("touch", -2, Keys::Range(1, -1, 1), read::touch).samples(&["TOUCH s:a missing s:a", "TOUCH missing"]),
    read("type", 2, Keys::One(1), read::kind).samples(&[
        "TYPE s:a",
        "TYPE l:small",
        "TYPE set:small",
        "TYPE z:small",
        "TYPE h:small",
        "TYPE x:a",
        "TYPE missing",
    ]),
    read("ttl", 2, Keys::One(1), read::ttl).samples(&["TTL missing", "TTL s:a"]),
    read("pttl", 2, Keys::One(1), read::pttl).samples(&["PTTL missing", "PTTL s:a"]),
    read("expiretime", 2, Keys::One(1), read::expiretime).samples(&[
        "EXPIRETIME missing",
        "EXPIRETIME s:a",
        "EXPIRETIME s:ttl",
    ]),
    read("pexpiretime", 2, Keys::One(1), read::pexpiretime).samples(&[
        "PEXPIRETIME missing",
        "PEXPIRETIME s:a",
        "PEXPIRETIME s:ttl",
    ]),
    read("dump", 2, Keys::One(1), read::dump).samples(&[
        "DUMP missing",
        "DUMP s:a",
        "DUMP s:int",
        "DUMP s:neg",
        "DUMP s:empty",
    ]),
    read("dbsize", 1, Keys::None, walk::dbsize).samples(&["DBSIZE"]),
    walks("keys", 2, walk::keys).samples(&[
        "KEYS s:int",
        "KEYS s:in?",
        "KEYS nosuch*",
        "KEYS s:[!b-z]",
        "KEYS s:tt?",
    ]),
    read("scan", -2, Keys::None, walk::scan).samples(&[
        "SCAN 0 MATCH nosuch* COUNT 100000",
        "SCAN 0 COUNT 100000 MATCH s:int",
        "SCAN 0 MATCH s:int COUNT 100000 TYPE STRING",
        "SCAN 0 MATCH s:int COUNT 100000 TYPE list",
        "SCAN x",
        "SCAN 0 COUNT 0",
        "SCAN 0 COUNT x",
        "SCAN 0 MATCH",
        "SCAN 0 NOSUCH 1",
    ]),
    read("randomkey", 1, Keys::None, walk::randomkey).samples(&["RANDOMKEY"]),
    container("object", -2),
    read("object encoding", 3, Keys::One(2), object::encoding).samples(&[
        "OBJECT ENCODING s:a",
        "OBJECT ENCODING s:int",
        "OBJECT ENCODING s:raw",
        "OBJECT ENCODING s:neg",
        "OBJECT ENCODING s:empty",
        "OBJECT ENCODING l:small",
        "OBJECT ENCODING l:big",
        "OBJECT ENCODING l:large",
        "OBJECT ENCODING hll:small",
        "OBJECT ENCODING bits:a",
        "OBJECT ENCODING missing",
    ]),
    read("object freq", 3, Keys::One(2), object::freq).samples(&["OBJECT FREQ s:a", "OBJECT FREQ missing"]),
    read("object idletime", 3, Keys::One(2), object::idletime).samples(&["OBJECT IDLETIME missing"]),
    read("object refcount", 3, Keys::One(2), object::refcount).samples(&[
        "OBJECT REFCOUNT s:a",
        "OBJECT REFCOUNT s:int",
        "OBJECT REFCOUNT missing",
    ]),
    session("object help", 2, help::help).always(),
    read("sort_ro", -2, Keys::One(1), sort::sort_ro).unbounded().samples(&[
        "SORT_RO l:num",
        "SORT_RO l:num DESC",
        "SORT_RO l:num ALPHA",
        "SORT_RO l:num ALPHA DESC LIMIT 1 2",
        "SORT_RO l:num LIMIT 2 3",
        "SORT_RO l:num LIMIT -5 2",
        "SORT_RO l:num LIMIT 4 -1",
        "SORT_RO l:num LIMIT 100 1",
        "SORT_RO l:num BY w:*",
        "SORT_RO l:num BY w:* DESC GET # GET w:*",
        "SORT_RO l:num BY nosort",
        "SORT_RO l:num BY nosort DESC LIMIT 1 2 GET #",
        "SORT_RO l:num BY missing:*",
        "SORT_RO l:num BY w:* ALPHA",
        "SORT_RO l:num GET nostar GET missing:* GET l:small*",
        "SORT_RO l:small",
        "SORT_RO l:small ALPHA",
        "SORT_RO set:int",
        "SORT_RO set:small ALPHA",
        "SORT_RO z:small BY nosort",
        "SORT_RO z:small BY nosort DESC LIMIT 0 2",
        "SORT_RO z:small ALPHA",
        "SORT_RO missing",
        "SORT_RO missing LIMIT 0 x",
        "SORT_RO l:num STORE d",
        "SORT_RO l:num LIMIT 0",
        "SORT_RO l:num NOSUCH",
        "SORT_RO s:a",
        "SORT_RO s:a NOSUCH",
    ]),
    write("sort", -2, Keys::WithStore, sort::sort),
    write("del", -2, Keys::Range(1, -1, 1), apply::del),
    write("unlink", -2, Keys::Range(1, -1, 1), apply::del),
    write("rename", 3, Keys::Range(1, 2, 1), apply::rename),
    write("renamenx", 3, Keys::Range(1, 2, 1), apply::renamenx),
    write("copy", -3, Keys::Range(1, 2, 1), apply::copy).since(Some((6, 2)), Some((7, 2))),
    write("move", 3, Keys::One(1), apply::move_to),
    write("expire", -3, Keys::One(1), expire::expire),
    write("pexpire", -3, Keys::One(1), expire::pexpire),
    write("expireat", -3, Keys::One(1), expire::expireat),
    write("pexpireat", -3, Keys::One(1), expire::pexpireat),
    write("persist", 2, Keys::One(1), expire::persist),
    write("swapdb", 3, Keys::None, database::swapdb),
    write("flushdb", -1, Keys::None, database::flushdb),
    write("flushall", -1, Keys::None, database::flushall),
    write("restore", -4, Keys::One(1), restore::restore),
    write("restore-asking", -4, Keys::One(1), restore::restore),
    // Arrives as DEL of the keys that moved.
    refused_write("migrate", -6, Keys::Migrate),
];

/// The next word in lower case, for options that are told apart by it.
fn option(args: &mut Args<'_>) -> Result<Vec<u8>, Refusal> {
    args.require().map(<[u8]>::to_ascii_lowercase)
}
