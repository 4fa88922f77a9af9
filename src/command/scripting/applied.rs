//! What the stream does about scripts and functions. Libraries are kept as the master sent them; scripts are not run:
//! a master sends the effects of what it has run.

use crate::command::args::Args;
use crate::command::context::ApplyCx;
use crate::dataset::functions::{Functions, LibraryError, library_name};
use crate::rdb::save::restore_functions;
use crate::resp::refusal::Refusal;

/// A redis 6.0 master with `lua-replicate-commands no` sends scripts instead of what they have done. What they
/// would do here cannot be known without running them exactly as the master did.
pub(super) fn script(_: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let name = String::from_utf8_lossy(args.word(0).unwrap_or_default()).to_uppercase();
    Err(Refusal::text(format!(
        "ERR {name} in the stream: the master replicates scripts, not their effects; remora needs \
         `lua-replicate-commands yes` there"
    )))
}

/// SCRIPT LOAD and SCRIPT FLUSH of a redis 6.0 master are about its cache of scripts. Our clients have a cache of
/// their own (as with later masters), and sub-replicas of 6.0 hear it from the stream, so there is nothing to keep.
pub(super) fn cached(_: &mut ApplyCx<'_>, _: &mut Args<'_>) -> Result<(), Refusal> {
    Ok(())
}

/// `FUNCTION LOAD [REPLACE] source`
pub(super) fn load(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let mut replace = false;
    while args.remaining() > 1 {
        if !args.take("REPLACE") {
            let option = String::from_utf8_lossy(args.require()?);
            return Err(Refusal::text(format!("ERR Unknown option given: {option}")));
        }
        replace = true;
    }
    add(&mut cx.data.functions, args.require()?, replace)
}

fn add(functions: &mut Functions, source: &[u8], replace: bool) -> Result<(), Refusal> {
    functions.load(source, replace).map_err(|error| match error {
        LibraryError::Shebang => Refusal::text("ERR Missing library metadata"),
        LibraryError::Exists => {
            let name = String::from_utf8_lossy(library_name(source).unwrap_or_default());
            Refusal::text(format!("ERR Library '{name}' already exists"))
        }
    })
}

/// `FUNCTION DELETE name`
pub(super) fn delete(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    if cx.data.functions.delete(args.require()?) { Ok(()) } else { Err(Refusal::text("ERR Library not found")) }
}

/// `FUNCTION FLUSH [ASYNC|SYNC]`
pub(super) fn flush(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    if !args.is_empty() && !args.take("ASYNC") && !args.take("SYNC") || !args.is_empty() {
        return Err(Refusal::text("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
    }
    cx.data.functions.clear();
    Ok(())
}

/// `FUNCTION RESTORE payload [FLUSH|APPEND|REPLACE]`: all libraries of the payload or none.
pub(super) fn restore(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let payload = args.require()?;
    let (flush, replace) = match args.is_empty() || args.take("APPEND") {
        true => (false, false),
        false if args.take("FLUSH") => (true, false),
        false if args.take("REPLACE") => (false, true),
        false => return Err(wrong_policy()),
    };
    if !args.is_empty() {
        return Err(wrong_policy());
    }
    let sources = restore_functions(payload)
        .map_err(|error| Refusal::text(format!("ERR DUMP payload version or checksum are wrong ({error})")))?;
    let mut functions = if flush { Functions::default() } else { cx.data.functions.clone() };
    for source in sources {
        add(&mut functions, &source, replace)?;
    }
    cx.data.functions = functions;
    Ok(())
}

fn wrong_policy() -> Refusal {
    Refusal::text("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Bench;
    use crate::dataset::Dialect;
    use crate::rdb::save::dump_functions;

    fn names(bench: &Bench) -> Vec<&str> {
        bench.data.functions.iter().map(|(name, _)| std::str::from_utf8(name).unwrap()).collect()
    }

    #[test]
    fn libraries_come_and_go_with_the_stream() {
        let mut bench = Bench::after(&[
            "FUNCTION LOAD \"#!lua name=a\nreturn 1\"",
            "FUNCTION LOAD REPLACE \"#!lua name=a\nreturn 2\"",
            "FUNCTION LOAD \"#!lua name=b\nreturn 3\"",
            "FUNCTION DELETE b",
        ]);
        assert_eq!(names(&bench), ["a"]);
        for (line, why) in [
            ("FUNCTION LOAD \"#!lua name=a\nreturn 1\"", "Library 'a' already exists"),
            ("FUNCTION LOAD \"return 1\"", "Missing library metadata"),
            ("FUNCTION LOAD WHAT \"#!lua name=c\nreturn 1\"", "Unknown option given: WHAT"),
            ("FUNCTION DELETE b", "Library not found"),
            ("FUNCTION FLUSH NOW", "only supports SYNC|ASYNC"),
        ] {
            let refusal = bench.apply(line).expect_err(line);
            assert!(refusal.to_string().contains(why), "{line}: {refusal}");
        }
        bench.apply("FUNCTION FLUSH ASYNC").unwrap();
        assert!(names(&bench).is_empty());
        assert_eq!(bench.ask("FUNCTION FLUSH"), "-READONLY You can't write against a read only replica.");
    }

    #[test]
    fn a_payload_is_restored_whole_by_its_policy_or_not_at_all() {
        let mut functions = Functions::default();
        functions.load(b"#!lua name=a\nreturn 1", false).unwrap();
        functions.load(b"#!lua name=b\nreturn 1", false).unwrap();
        let payload = dump_functions(&functions, Dialect::default());
        let run = |bench: &mut Bench, policy: &str| {
            let words = [&b"FUNCTION"[..], b"RESTORE", &payload, policy.as_bytes()].map(<[u8]>::to_vec);
            bench.apply_words(&words[..if policy.is_empty() { 3 } else { 4 }])
        };
        for (policy, expected) in [
            ("", None),
            ("APPEND", None),
            ("REPLACE", Some(&["a", "b", "c"][..])),
            ("flush", Some(&["a", "b"])),
            ("WHAT", None),
        ] {
            let mut bench =
                Bench::after(&["FUNCTION LOAD \"#!lua name=b\n\"", "FUNCTION LOAD \"#!lua name=c\n\""]);
            assert_eq!(run(&mut bench, policy).is_ok(), expected.is_some(), "{policy}");
            assert_eq!(names(&bench), expected.unwrap_or(&["b", "c"]), "{policy}");
        }
        assert!(Bench::new().apply("FUNCTION RESTORE nonsense").is_err());
    }

    #[test]
    fn scripts_in_the_stream_are_refused_by_name_and_the_cache_of_a_6_0_master_is_passed_over() {
        let mut bench = Bench::after(&["SCRIPT LOAD \"return 1\"", "SCRIPT FLUSH"]);
        for line in ["EVAL \"return 1\" 0", "evalsha 0123 0"] {
            let refusal = bench.apply(line).expect_err(line).to_string();
            assert!(refusal.starts_with("ERR EVAL") && refusal.contains("lua-replicate-commands"), "{refusal}");
        }
    }
}
