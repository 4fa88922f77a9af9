//! SCRIPT: the cache of sources, and ending what runs too long.

use super::cache::Sha;
use super::desk::busy_refusal;
use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

const NOT_BUSY: &str = "NOTBUSY No scripts in execution right now.";

/// `SCRIPT FLUSH [ASYNC|SYNC]`: the same here.
pub(super) fn flush(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    refuse_while_busy(cx)?;
    if args.remaining() > 1 || !args.is_empty() && !args.take("ASYNC") && !args.take("SYNC") {
        return Err(Refusal::text("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
    }
    cx.server.scripts.cache().flush();
    out.ok();
    Ok(())
}

/// `SCRIPT EXISTS sha1 [sha1 ...]`
pub(super) fn exists(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    refuse_while_busy(cx)?;
    let cache = cx.server.scripts.cache();
    out.array(args.remaining());
    for text in args {
        out.flag(Sha::parse(text).is_some_and(|sha| cache.contains(&sha)));
    }
    Ok(())
}

/// `SCRIPT SHOW sha1` (valkey 8).
pub(super) fn show(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    refuse_while_busy(cx)?;
    let sha = Sha::parse(args.require()?);
    let source = sha.and_then(|sha| cx.server.scripts.cache().get(&sha));
    let unknown = Refusal::text("NOSCRIPT No matching script.");
    out.bulk(&*source.ok_or(unknown)?);
    Ok(())
}

/// `SCRIPT KILL`
pub(super) fn kill(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    end(cx, true, out)
}

/// Ends a running script (`eval`) or function. Nothing that runs here has written, so all can be ended.
pub(super) fn end(cx: &SessionCx<'_>, eval: bool, out: &mut Reply) -> Result<(), Refusal> {
    let run = cx.server.scripts.oldest().ok_or(Refusal::text(NOT_BUSY))?;
    if run.is_eval != eval {
        return Err(busy_refusal(&run, cx.dialect().is_valkey()));
    }
    run.kill();
    out.ok();
    Ok(())
}

/// `SCRIPT DEBUG YES|SYNC|NO`: there is no debugger here.
pub(super) fn debug(_: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    if args.take("NO") {
        out.ok();
        return Ok(());
    }
    if args.take("YES") || args.take("SYNC") {
        return Err(Refusal::text("ERR remora has no script debugger; debug on a test server"));
    }
    Err(Refusal::text("ERR Use SCRIPT DEBUG YES/SYNC/NO"))
}

fn refuse_while_busy(cx: &SessionCx<'_>) -> Result<(), Refusal> {
    match cx.server.scripts.busy(cx.server.config.get().busy_reply_threshold_ms) {
        Some(run) => Err(busy_refusal(&run, cx.dialect().is_valkey())),
        None => Ok(()),
    }
}
