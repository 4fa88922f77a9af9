//! Vector sets of redis 8.0. remora does not keep them: a key that holds one is marked, so that it counts, can be
//! renamed and deleted, and says what it is instead of looking empty.
//!
//! A marked key stays until the master deletes it. When VREM takes the last element the master's key is gone
//! without a DEL in the stream, and ours is still marked: elements are not counted here.

use super::args::Args;
use super::context::{ApplyCx, ReadCx};
use super::row::{Keys, Row, read, write};
use crate::dataset::{Marked, Value, ValueMut};
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use std::ops::RangeInclusive;

/// The module's type name, as in snapshots.
const MODULE: &str = "vectorset";

/// The rows of this family. The servers check the number of words inside the commands.
pub static ROWS: &[Row] = &[
    read("vcard", -1, Keys::One(1), vcard).samples(&["VCARD missing", "VCARD s:a", "VCARD", "VCARD missing x"]),
    read("vdim", -1, Keys::One(1), vdim).samples(&["VDIM missing", "VDIM s:a", "VDIM missing x"]),
    read("vemb", -1, Keys::One(1), vemb).samples(&["VEMB missing e", "VEMB s:a e", "VEMB missing e RAW", "VEMB"]),
    read("vgetattr", -1, Keys::One(1), vgetattr).samples(&["VGETATTR missing e", "VGETATTR s:a e"]),
    read("vinfo", -1, Keys::One(1), vinfo).samples(&["VINFO missing", "VINFO s:a", "VINFO missing x"]),
    read("vismember", -1, Keys::One(1), vismember).samples(&["VISMEMBER missing e", "VISMEMBER s:a e"]),
    read("vlinks", -1, Keys::One(1), vlinks).samples(&["VLINKS missing e", "VLINKS missing e WITHSCORES"]),
    read("vrandmember", -1, Keys::One(1), vrandmember).samples(&[
        "VRANDMEMBER missing",
        "VRANDMEMBER missing 3",
        "VRANDMEMBER s:a",
    ]),
    read("vsim", -1, Keys::One(1), vsim).samples(&["VSIM missing ELE e", "VSIM s:a ELE e", "VSIM missing"]),
    write("vadd", -1, Keys::One(1), vadd).since(Some((8, 0)), None),
    write("vrem", -1, Keys::One(1), vrem).since(Some((8, 0)), None),
    write("vsetattr", -1, Keys::One(1), vsetattr).since(Some((8, 0)), None),
];

/// Answers for a key that is not there: all that can be answered. A marked key and another type are refused.
fn missing(cx: &ReadCx<'_>, args: &mut Args<'_>, name: &str, words: RangeInclusive<usize>) -> Result<(), Refusal> {
    if !words.contains(&args.words().len()) {
        return Err(Refusal::wrong_arity(name));
    }
    match cx.lookup(args.require()?)? {
        Some(_) => Err(Refusal::WRONG_TYPE),
        None => Ok(()),
    }
}

fn vcard(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    missing(cx, args, "VCARD", 2..=2)?;
    out.integer(0);
    Ok(())
}

fn vdim(cx: &ReadCx<'_>, args: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    missing(cx, args, "VDIM", 2..=2)?;
    Err(Refusal::text("ERR key does not exist"))
}

fn vemb(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let raw = args.word(3).is_none_or(|word| word.eq_ignore_ascii_case(b"RAW"));
    if args.words().len() >= 3 && (args.words().len() > 4 || !raw) {
        return Err(Refusal::text("ERR invalid option"));
    }
    missing(cx, args, "VEMB", 3..=4)?;
    out.null();
    Ok(())
}

fn vgetattr(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    missing(cx, args, "VGETATTR", 3..=3)?;
    out.null();
    Ok(())
}

fn vinfo(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    missing(cx, args, "VINFO", 2..=2)?;
    out.null_array();
    Ok(())
}

fn vismember(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    missing(cx, args, "VISMEMBER", 3..=3)?;
    out.boolean(false);
    Ok(())
}

fn vlinks(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    missing(cx, args, "VLINKS", 3..=4)?;
    out.null();
    Ok(())
}

fn vrandmember(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let counted = args.words().len() > 2;
    missing(cx, args, "VRANDMEMBER", 2..=3)?;
    if counted {
        out.array(0)
    } else {
        out.null()
    }
    Ok(())
}

fn vsim(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    missing(cx, args, "VSIM", 4..=usize::MAX)?;
    out.array(0);
    Ok(())
}

fn vadd(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    mark(cx, args, "VADD", 5)
}

fn vrem(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    mark(cx, args, "VREM", 3)
}

fn vsetattr(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    mark(cx, args, "VSETATTR", 4)
}

/// The first touch marks the key; from then on there is nothing to do.
fn mark(cx: &mut ApplyCx<'_>, args: &mut Args<'_>, name: &str, words_min: usize) -> Result<(), Refusal> {
    if args.words().len() < words_min {
        return Err(Refusal::wrong_arity(name));
    }
    let key = args.require()?;
    match cx.keyspace()?.get_mut(key) {
        Some(ValueMut::Marked(_)) => Ok(()),
        Some(_) => Err(Refusal::WRONG_TYPE),
        None => cx.store(key, Value::Marked(Box::new(Marked { module: MODULE.to_owned() })), None),
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;

    #[test]
    fn a_vector_set_is_marked_and_says_so() {
        let mut bench = Bench::after(&["VADD v VALUES 2 1 0 e", "VADD v VALUES 2 0 1 f", "VREM v e", "SET s x"]);
        assert_eq!(bench.data.marked_keys(), 1);
        for line in ["VCARD v", "VSIM v ELE e", "VINFO v", "GET v"] {
            assert_eq!(bench.ask(line), "-ERR this key is not kept by remora: vectorset", "{line}");
        }
        assert!(bench.apply("VADD s VALUES 2 1 0 e").is_err());
        assert!(bench.apply("VADD").is_err());
        bench.apply("VSETATTR w e {}").unwrap();
        assert_eq!(bench.data.marked_keys(), 2);
    }

    #[test]
    fn missing_keys_answer_as_redis_8_0() {
        let bench = Bench::after(&["SET s x"]);
        for (line, reply) in [
            ("VCARD m", ":0"),
            ("VDIM m", "-ERR key does not exist"),
            ("VEMB m e", "$-1"),
            ("VEMB m e WHAT", "-ERR invalid option"),
            ("VINFO m", "*-1"),
            ("VISMEMBER m e", ":0"),
            ("VRANDMEMBER m", "$-1"),
            ("VRANDMEMBER m 3", "*0"),
            ("VSIM m ELE e", "*0"),
            ("VCARD s", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("VCARD", "-ERR wrong number of arguments for 'VCARD' command"),
        ] {
            assert_eq!(bench.ask(line), reply, "{line}");
        }
    }
}
