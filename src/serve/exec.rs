//! MULTI to EXEC in the dispatcher: requests are checked and queued, then run one after the other under the one entry of
//! the gate in which EXEC itself runs, so that all answers are of the same moment.

use super::dispatch::{Execution, Rejected};
use crate::clock::{self, UnixMs};
use crate::command::acl::{Context, permit};
use crate::command::args::Args;
use crate::command::context::ReadCx;
use crate::command::logged::wire_bytes;
use crate::command::row::{Row, Run, WalkFn};
use crate::command::scripting::flags::Flags;
use crate::command::session::{After, Session};
use crate::command::table::Indexed;
use crate::command::transaction::{Outcome, Queue, Verdict, conclude, exec_refused, judge};
use crate::dataset::{Dataset, Dialect};
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

impl Execution<'_> {
    /// A request of a session that is in MULTI: `None` if it was queued, the row if it runs at once. A refusal makes
    /// EXEC refuse too.
    #[cold]
    pub(super) fn enqueue(
        &self,
        data: &Dataset,
        session: &mut Session,
        found: Option<(Indexed, usize)>,
        args: &Args<'_>,
    ) -> Result<Option<&'static Row>, Refusal> {
        let dialect = data.limits.dialect.answering(self.gates.compat);
        // As valkey: before the user's rights are looked at.
        let never =
            found.filter(|(found, _)| session.is_authenticated() && found.row.arity_fits(args.word_count()));
        if let Some(Verdict::Abort(refusal)) = never.map(|(found, _)| judge(found.row, dialect)) {
            self.abort(session, found);
            return Err(refusal);
        }
        let queued = self.admit(data, session, found, args, true).and_then(|row| match judge(row, dialect) {
            Verdict::Run if matches!(row.run, Run::Exec) => self.admit_queue(dialect, session).map(|()| Some(row)),
            Verdict::Run => Ok(Some(row)),
            Verdict::Abort(refusal) => Err(refusal),
            Verdict::Queue => {
                let declared = row.declares.and_then(|flags| self.declared(data, flags, args, true));
                let fresh = !declared.map_or(row.stale, Flags::allow_stale);
                let pushed = found
                    .and_then(|(row, named)| session.change_queue(|queue| queue.push(row, named, args, fresh)));
                pushed.unwrap_or(Ok(())).map(|()| None).map_err(|_| Refusal::QUEUE_FULL)
            }
        });
        if queued.is_err() {
            self.abort(session, found);
        }
        queued
    }

    /// EXEC is refused where one of the queued requests would be; valkey says first that one was refused at queueing.
    fn admit_queue(&self, dialect: Dialect, session: &Session) -> Result<(), Refusal> {
        let Some(queue) = session.queue() else { return Ok(()) };
        if queue.is_aborted() && dialect.is_valkey() {
            return Ok(());
        }
        if let (Some(stale), true) = (self.gates.stale, queue.needs_fresh()) {
            return Err(exec_refused(&stale.into()));
        }
        if !self.loaded && queue.needs_data() {
            return Err(exec_refused(&Refusal::loading(dialect.is_valkey())));
        }
        Ok(())
    }

    /// A refused EXEC ends the transaction, anything else that is refused dooms it.
    fn abort(&self, session: &mut Session, found: Option<(Indexed, usize)>) {
        if found.is_some_and(|(found, _)| matches!(found.row.run, Run::Exec)) {
            session.take_queue();
            session.unwatch();
        } else {
            session.change_queue(Queue::abort);
        }
    }

    /// EXEC.
    #[cold]
    pub(super) fn exec(
        &self,
        data: &Dataset,
        session: &mut Session,
        now: UnixMs,
        reply: &mut Reply,
    ) -> Result<After, Refusal> {
        match conclude(session, data, now)? {
            Outcome::Touched => {
                reply.null_array();
                Ok(After::Continue)
            }
            Outcome::Run(queue) => {
                session.begin_exec(&queue);
                let after = self.run_queue(data, session, &queue, now, reply);
                session.end_exec();
                Ok(after)
            }
        }
    }

    fn run_queue(
        &self,
        data: &Dataset,
        session: &mut Session,
        queue: &Queue,
        now: UnixMs,
        reply: &mut Reply,
    ) -> After {
        reply.array(queue.len());
        let mut all = After::Continue;
        let mut began = clock::instant();
        for (found, named, mut args) in queue.requests() {
            let mark = reply.len();
            if self.gates.monitored {
                self.foresee(session, found, named, &args);
            }
            let allowed = if session.is_unlimited() {
                Ok(())
            } else {
                permit(self.server, session, found, &args, Context::Exec, || now)
            };
            let result = match (allowed, found.row.run) {
                (Err(refusal), _) => Err(Rejected::Before(refusal)),
                (Ok(()), Run::Walk(walk)) => {
                    walk_all(walk, &self.read_cx(data, session, now), &args, reply).map_err(Rejected::Inside)
                }
                _ => self.one(data, session, found.row, &mut args, now, reply).map_err(Rejected::Inside),
            };
            all = all.and(*result.as_ref().unwrap_or(&After::Continue));
            let rejected = result.err();
            // Its own size (valkey 9.1 says EXEC's, so that a large one is never seen).
            let sizes = (mark, wire_bytes(&args));
            began = self.account(Some((found, named)), rejected, sizes, reply, began, &args, session);
            if self.gates.monitored || session.is_tracking() {
                self.remember_and_show(data, session, Some((found, named)), &args);
            }
            if reply.is_over() {
                // The client is about to be cut: nobody will see the rest.
                break;
            }
        }
        all
    }
}

/// A walk to its end: inside a transaction it may not be cut into slices.
fn walk_all(walk: WalkFn, cx: &ReadCx<'_>, args: &Args<'_>, reply: &mut Reply) -> Result<After, Refusal> {
    reply.deferred::<Refusal>(Reply::array, |reply| {
        let (mut cursor, mut all) = (0, 0);
        loop {
            let (next, found) = walk(cx, &mut args.clone(), cursor, reply)?;
            all += found;
            cursor = next;
            if cursor == 0 {
                return Ok(all);
            }
        }
    })?;
    Ok(After::Continue)
}
