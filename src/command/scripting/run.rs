//! Handing in what runs: EVAL, FCALL and their kin, SCRIPT LOAD, FUNCTION LIST.

use super::desk::busy_refusal;
use super::request::{Request, Task};
use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::command::session::After;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

type Outcome = Result<(), Refusal>;

/// `EVAL source numkeys [key ...] [arg ...]`
pub(super) fn eval(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Outcome {
    hand_in(cx, args, out, Task::Eval(false))
}

/// `EVAL_RO ...`: as EVAL, and the script may not even try to write.
pub(super) fn eval_ro(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Outcome {
    hand_in(cx, args, out, Task::Eval(true))
}

/// `EVALSHA sha1 numkeys [key ...] [arg ...]`
pub(super) fn evalsha(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Outcome {
    hand_in(cx, args, out, Task::EvalSha(false))
}

/// `EVALSHA_RO ...`
pub(super) fn evalsha_ro(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Outcome {
    hand_in(cx, args, out, Task::EvalSha(true))
}

/// `FCALL function numkeys [key ...] [arg ...]`
pub(super) fn fcall(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Outcome {
    hand_in(cx, args, out, Task::Call(false))
}

/// `FCALL_RO ...`
pub(super) fn fcall_ro(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Outcome {
    hand_in(cx, args, out, Task::Call(true))
}

/// `SCRIPT LOAD source`
pub(super) fn load(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Outcome {
    hand_in(cx, args, out, Task::Load)
}

/// `FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]`
pub(super) fn libraries(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Outcome {
    hand_in(cx, args, out, Task::Libraries)
}

fn hand_in(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply, task: Task) -> Outcome {
    let scripts = &cx.server.scripts;
    if let Some(run) = scripts.busy(cx.server.config.get().busy_reply_threshold_ms) {
        return Err(busy_refusal(&run, cx.dialect().is_valkey()));
    }
    let request = Request::new(task, args, cx.session);
    if cx.session.is_executing() {
        return scripts.run_inline(cx.data, cx.server, &request, out);
    }
    cx.session.wait_for(scripts.submit(request)?);
    cx.after = After::Await;
    Ok(())
}
