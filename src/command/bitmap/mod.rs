//! Bits of strings: single ones, counts, positions, joins of whole strings, numbers of any width.

mod apply;
mod field;
mod read;

use super::args::Args;
use super::row::{Keys, Row, read, write};
use crate::limits::STRING_BYTES_MAX;
use crate::resp::number;
use crate::resp::refusal::Refusal;

/// The rows of this family.
pub static ROWS: &[Row] = &[
    read("getbit", 3, Keys::One(1), read::getbit).samples(&[
        "GETBIT bits:a 0",
        "GETBIT bits:a 1",
        "GETBIT bits:a 9",
        "GETBIT bits:a 100000",
        "GETBIT s:int 3",
        "GETBIT missing 3",
        "GETBIT bits:a -1",
        "GETBIT bits:a x",
        "GETBIT bits:a 4294967295",
        "GETBIT bits:a 4294967296",
        "GETBIT l:small 1",
        "GETBIT l:small x",
    ]),
    read("bitcount", -2, Keys::One(1), read::bitcount).samples(&[
        "BITCOUNT bits:a",
        "BITCOUNT bits:a 0 0",
        "BITCOUNT bits:a 1 -2",
        "BITCOUNT bits:a 5 30 BIT",
        "BITCOUNT bits:a -9 -1 bit",
        "BITCOUNT bits:a 0 -1 BYTE",
        "BITCOUNT bits:a -1 -2",
        "BITCOUNT bits:a 3 1",
        "BITCOUNT bits:a -100 100",
        "BITCOUNT bits:a 0 0 NIBBLE",
        "BITCOUNT bits:a x 1",
        "BITCOUNT s:int",
        "BITCOUNT s:empty 0 -1",
        "BITCOUNT missing",
        "BITCOUNT l:small",
    ]),
    read("bitpos", -3, Keys::One(1), read::bitpos).samples(&[
        "BITPOS bits:a 0",
        "BITPOS bits:a 1",
        "BITPOS bits:a 0 1",
        "BITPOS bits:a 1 2",
        "BITPOS bits:a 1 2 3",
        "BITPOS bits:a 0 2 3 BYTE",
        "BITPOS bits:a 1 9 30 BIT",
        "BITPOS bits:a 0 1 5 BIT",
        "BITPOS bits:ones 0",
        "BITPOS bits:ones 0 1",
        "BITPOS bits:ones 0 0 -1",
        "BITPOS bits:ones 0 0 7 BIT",
        "BITPOS bits:ones 0 10",
        "BITPOS bits:zeros 1",
        "BITPOS bits:zeros 1 0 -1",
        "BITPOS bits:a 1 3 1",
        "BITPOS bits:a 2",
        "BITPOS bits:a x",
        "BITPOS bits:a 1 x",
        "BITPOS bits:a 1 0 x",
        "BITPOS bits:a 1 0 1 NIBBLE",
        "BITPOS bits:a 1 0 1 BIT 2",
        "BITPOS s:empty 0",
        "BITPOS s:empty 0 0 -1",
        "BITPOS s:empty 1",
        "BITPOS missing 0",
        "BITPOS missing 1",
        "BITPOS l:small 1",
    ]),
    read("bitfield_ro", -2, Keys::One(1), field::bitfield_ro).samples(&[
        "BITFIELD_RO bits:a GET u8 0",
        "BITFIELD_RO bits:a GET u8 0 GET i8 0 GET u63 3 GET i64 1",
        "BITFIELD_RO bits:a GET u4 #2 get i5 #3",
        "BITFIELD_RO bits:a GET u8 1000",
        "BITFIELD_RO bits:a GET i5 30",
        "BITFIELD_RO bits:a",
        "BITFIELD_RO bits:a OVERFLOW SAT GET u8 0",
        "BITFIELD_RO bits:a OVERFLOW NOSUCH GET u8 0",
        "BITFIELD_RO bits:a SET u8 0 1",
        "BITFIELD_RO bits:a GET u64 0",
        "BITFIELD_RO bits:a GET i65 0",
        "BITFIELD_RO bits:a GET u0 0",
        "BITFIELD_RO bits:a GET x8 0",
        "BITFIELD_RO bits:a GET u8 -1",
        "BITFIELD_RO bits:a GET u8 x",
        "BITFIELD_RO bits:a GET u8",
        "BITFIELD_RO bits:a GET u8 4294967296",
        "BITFIELD_RO bits:a NOSUCH u8 0",
        "BITFIELD_RO s:int GET u8 0",
        "BITFIELD_RO missing GET u8 0",
        "BITFIELD_RO l:small GET u8 0",
    ]),
    write("setbit", 4, Keys::One(1), apply::setbit),
    write("bitop", -4, Keys::Range(2, -1, 1), apply::bitop),
    write("bitfield", -2, Keys::One(1), field::bitfield),
];

const BAD_OFFSET: &str = "ERR bit offset is not an integer or out of range";

/// The next word as the offset of a bit in the longest string there may be.
fn offset(args: &mut Args<'_>) -> Result<usize, Refusal> {
    parse_offset(args.require()?, 1)
}

/// An offset in units of `width` bits.
fn parse_offset(text: &[u8], width: usize) -> Result<usize, Refusal> {
    number::parse_integer(text)
        .and_then(|offset| usize::try_from(offset).ok()?.checked_mul(width))
        .filter(|offset| offset / 8 < STRING_BYTES_MAX)
        .ok_or_else(|| Refusal::text(BAD_OFFSET))
}
