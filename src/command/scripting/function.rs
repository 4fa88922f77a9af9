//! FUNCTION: what is known of the libraries without running them, and ending a function that runs too long.

use super::desk::busy_refusal;
use super::script;
use crate::command::args::Args;
use crate::command::context::{ReadCx, SessionCx};
use crate::rdb::save::dump_functions;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use std::sync::atomic::Ordering::Relaxed;

/// `FUNCTION DUMP`: all libraries as FUNCTION RESTORE of the master's release takes them.
pub(super) fn dump(cx: &ReadCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.bulk(dump_functions(&cx.data.functions, cx.data.limits.dialect));
    Ok(())
}

/// `FUNCTION STATS`: answered also while a function is busy, so functions are counted as they were last looked at.
pub(super) fn stats(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let scripts = &cx.server.scripts;
    let running = scripts.oldest();
    if let Some(run) = scripts.busy(cx.server.config.get().busy_reply_threshold_ms).filter(|run| run.is_eval) {
        return Err(busy_refusal(&run, cx.dialect().is_valkey()));
    }
    out.map(2);
    out.bulk("running_script");
    match running.filter(|run| !run.is_eval) {
        None => out.null(),
        Some(run) => {
            out.map(3);
            out.bulk("name");
            out.bulk(&run.name);
            out.bulk("command");
            out.array(run.words.len());
            run.words.iter().for_each(|word| out.bulk(word));
            out.bulk("duration_ms");
            out.integer(i64::try_from(run.elapsed().as_millis()).unwrap_or(i64::MAX));
        }
    }
    out.bulk("engines");
    out.map(1);
    out.bulk("LUA");
    out.map(2);
    out.bulk("libraries_count");
    out.count(cx.data.functions.len());
    out.bulk("functions_count");
    out.count(scripts.figures.functions.load(Relaxed));
    Ok(())
}

/// `FUNCTION KILL`
pub(super) fn kill(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    script::end(cx, false, out)
}

/// `FUNCTION HELP`
pub(super) fn help(_: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.array(HELP.lines().count());
    HELP.lines().for_each(|line| out.simple(line));
    Ok(())
}

const HELP: &str = "\
FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
LOAD [REPLACE] <FUNCTION CODE>
    Create a new library with the given library name and code.
DELETE <LIBRARY NAME>
    Delete the given library.
LIST [LIBRARYNAME PATTERN] [WITHCODE]
    Return general information on all the libraries:
    * Library name
    * The engine used to run the Library
    * Functions list
    * Library code (if WITHCODE is given)
    It also possible to get only function that matches a pattern using LIBRARYNAME argument.
STATS
    Return information about the current function running:
    * Function name
    * Command used to run the function
    * Duration in MS that the function is running
    If no function is running, return nil
    In addition, returns a list of available engines.
KILL
    Kill the current running function.
FLUSH [ASYNC|SYNC]
    Delete all the libraries.
    When called without the optional mode argument, the behavior is determined by the
    lazyfree-lazy-user-flush configuration directive. Valid modes are:
    * ASYNC: Asynchronously flush the libraries.
    * SYNC: Synchronously flush the libraries.
DUMP
    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command
RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]
    Restore the libraries represented by the given payload, it is possible to give a restore policy to
    control how to handle existing libraries (default APPEND):
    * FLUSH: delete all existing libraries.
    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.
    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old
      libraries with the new libraries (notice that even on this option there is a chance of failure
      in case of functions name collision with another library).
HELP
    Print this help.";
