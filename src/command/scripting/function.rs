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
