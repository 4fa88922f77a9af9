//! CLIENT PAUSE in the dispatcher: which requests wait until it is over.

use super::dispatch::Execution;
use crate::command::args::Args;
use crate::command::pause::Paused;
use crate::command::row::{Row, Run};
use crate::command::session::Session;
use crate::command::table::Indexed;
use crate::dataset::Dataset;

impl Execution<'_> {
    /// Does CLIENT PAUSE concern this request? What is refused anyway is told at once (as redis 7.0).
    #[cold]
    pub(super) fn is_held_up(
        &self,
        data: &Dataset,
        session: &Session,
        found: Option<(Indexed, usize)>,
        args: &Args<'_>,
    ) -> bool {
        let is_concerned = |(found, _): (Indexed, usize)| match (self.gates.paused, found.row.run) {
            (Paused::Writes, Run::Exec) => session.queue().is_some_and(|queue| {
                queue.requests().any(|(found, _, args)| self.may_be_sent_on(data, found.row, &args))
            }),
            (Paused::Writes, _) => self.may_be_sent_on(data, found.row, args),
            (paused, _) => paused == Paused::All,
        };
        let queued = session.is_in_multi();
        found.is_some_and(is_concerned) && self.admit(data, session, found, args, queued).is_ok()
    }

    /// Would a master send it on, as far as its flags tell? A script with flags is no write here, or is refused.
    fn may_be_sent_on(&self, data: &Dataset, row: &Row, args: &Args<'_>) -> bool {
        let has_flags = || row.declares.is_some_and(|flags| self.declared(data, flags, args, false).is_some());
        Paused::Writes.holds(row) && !has_flags()
    }
}
