//! MULTI, EXEC, WATCH: requests that are queued and then answered as one, of one moment.
//!
//! The dispatcher queues: it asks [`judge`] about each request of a session that is in MULTI, and runs the queue at EXEC,
//! all of it under the entry of the gate in which EXEC itself runs.

mod queue;
mod watched;

pub use queue::{Queue, QueueFull};
pub use watched::{Watched, Watching};

use super::args::Args;
use super::context::SessionCx;
use super::facts::Facts;
use super::row::{Keys, Row, exec, session};
use super::session::Session;
use crate::clock::UnixMs;
use crate::dataset::{Dataset, Dialect};
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

/// The rows of this family.
pub static ROWS: &[Row] = &[
    session("multi", 1, multi).always(),
    exec("exec", 1).always(),
    session("discard", 1, discard).always(),
    session("watch", -2, watch).keys(Keys::Range(1, -1, 1)).always(),
    session("unwatch", 1, unwatch).always(),
];

/// What happens to a request of a session that is in MULTI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is queued.
    Queue,
    /// It runs at once.
    Run,
    /// It is refused, and so will be EXEC.
    Abort(Refusal),
}

/// Judges a request that passed all other checks. Redis lets MULTI and WATCH run, which answer an error that does not
/// end the transaction; with Valkey it does.
pub fn judge(row: &Row, dialect: Dialect) -> Verdict {
    match row.name {
        "exec" | "discard" | "quit" | "reset" => Verdict::Run,
        "multi" | "watch" if !dialect.is_valkey() => Verdict::Run,
        "multi" | "watch" => Verdict::Abort(not_allowed(row, dialect)),
        "client reply" if dialect.refuses_client_reply_in_multi() => Verdict::Abort(not_allowed(row, dialect)),
        name if Facts::of(name).is_some_and(|facts| facts.has("no_multi")) => {
            Verdict::Abort(not_allowed(row, dialect))
        }
        _ => Verdict::Queue,
    }
}

/// As redis 7.0 and valkey 8.1; valkey 9.1 names the command.
fn not_allowed(row: &Row, dialect: Dialect) -> Refusal {
    if !matches!(dialect, Dialect::Valkey(9.., _)) {
        return Refusal::text("ERR Command not allowed inside a transaction");
    }
    Refusal::text(format!("ERR Command '{}' not allowed inside a transaction", row.name.replace(' ', "|")))
}

/// `EXECABORT Transaction discarded because of: ...`: EXEC itself was refused.
pub fn exec_refused(why: &Refusal) -> Refusal {
    // As the servers: the code of a plain error is left out.
    let why = why.0.strip_prefix("ERR ").unwrap_or(&why.0);
    Refusal::text(format!("EXECABORT Transaction discarded because of: {why}"))
}

/// What EXEC finds.
#[derive(Debug)]
pub enum Outcome {
    /// Run these; the session is out of MULTI.
    Run(Box<Queue>),
    /// A watched key was touched: the answer is null.
    Touched,
}

/// Ends MULTI for an EXEC: whatever comes out, nothing is queued or watched any more.
pub fn conclude(session: &mut Session, data: &Dataset, now: UnixMs) -> Result<Outcome, Refusal> {
    let touched = session.is_touched(data, now);
    let Some(queue) = session.take_queue() else {
        return Err(Refusal::text("ERR EXEC without MULTI"));
    };
    session.unwatch();
    if queue.is_aborted() {
        return Err(Refusal::text("EXECABORT Transaction discarded because of previous errors."));
    }
    Ok(if touched { Outcome::Touched } else { Outcome::Run(queue) })
}

fn multi(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    if cx.session.queue().is_some() {
        return Err(Refusal::text("ERR MULTI calls can not be nested"));
    }
    cx.session.begin_queue();
    out.ok();
    Ok(())
}

fn discard(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    if cx.session.take_queue().is_none() {
        return Err(Refusal::text("ERR DISCARD without MULTI"));
    }
    cx.session.unwatch();
    out.ok();
    Ok(())
}

fn watch(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    if cx.session.queue().is_some() {
        return Err(Refusal::text("ERR WATCH inside MULTI is not allowed"));
    }
    let db = cx.session.db();
    for key in args {
        cx.session.watch(&cx.server.watched, cx.data, db, key, cx.now)?;
    }
    out.ok();
    Ok(())
}

fn unwatch(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    cx.session.unwatch();
    out.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table;

    #[test]
    fn what_runs_at_once_and_what_ends_a_transaction_depends_on_the_server() {
        let named = |name: &str| {
            Verdict::Abort(Refusal::text(format!("ERR Command '{name}' not allowed inside a transaction")))
        };
        let unnamed = || Verdict::Abort(Refusal::text("ERR Command not allowed inside a transaction"));
        let check = |row: &[u8], redis: Verdict, valkey_8: Verdict, valkey_9: Verdict| {
            let (found, _) = table::find(row, None).expect("a row");
            assert_eq!(judge(found.row, Dialect::Redis(8, 0)), redis);
            assert_eq!(judge(found.row, Dialect::Valkey(8, 1)), valkey_8);
            assert_eq!(judge(found.row, Dialect::Valkey(9, 1)), valkey_9);
        };
        check(b"get", Verdict::Queue, Verdict::Queue, Verdict::Queue);
        check(b"unwatch", Verdict::Queue, Verdict::Queue, Verdict::Queue);
        check(b"exec", Verdict::Run, Verdict::Run, Verdict::Run);
        check(b"multi", Verdict::Run, unnamed(), named("multi"));
        check(b"psync", unnamed(), unnamed(), named("psync"));
    }

    #[test]
    fn the_reason_why_exec_was_refused_stands_without_a_plain_code() {
        let text = |why: &str| exec_refused(&Refusal::text(why.to_owned())).0.into_owned();
        assert_eq!(text("ERR no"), "EXECABORT Transaction discarded because of: no");
        assert_eq!(text("MASTERDOWN no"), "EXECABORT Transaction discarded because of: MASTERDOWN no");
    }
}
