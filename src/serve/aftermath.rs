//! What a request leaves behind besides its reply: the keys that a tracking client has read, and the line that those
//! who monitor see. Called only if there is such a client.

use super::dispatch::{Execution, redacted};
use crate::clock;
use crate::command::args::Args;
use crate::command::facts::Facts;
use crate::command::remember::remember;
use crate::command::session::Session;
use crate::command::table::Indexed;
use crate::dataset::Dataset;
use crate::hub::Tracker;
use crate::resp::reply::Reply;

impl Execution<'_> {
    /// A request was run outside of a transaction, or EXEC was; or it was refused before it ran.
    #[cold]
    pub(super) fn aftermath(
        &self,
        data: &Dataset,
        session: &mut Session,
        found: Option<(Indexed, usize)>,
        args: &Args<'_>,
        ran: bool,
        reply: &mut Reply,
    ) {
        if ran {
            self.remember_and_show(data, session, found, args);
        }
        let about_clients = found.is_some_and(|(found, _)| found.row.name.starts_with("client"));
        if !about_clients
            && !session.is_in_multi()
            && let Some(tracker) = session.tracker_mut()
        {
            tracker.set_caching(false);
        }
        if session.is_monitor() {
            session.deliver_mail(reply);
        }
    }

    /// The same for each request of a transaction.
    #[cold]
    pub(super) fn remember_and_show(
        &self,
        data: &Dataset,
        session: &Session,
        found: Option<(Indexed, usize)>,
        args: &Args<'_>,
    ) {
        let Some((found, named)) = found else { return };
        if let Some(memory) = session.tracker().and_then(Tracker::memory) {
            remember(&memory, data, session.db(), found, args, clock::UnixMs::now());
        }
        if self.gates.monitored && !runs_script(found) {
            self.show(session, found, named, args);
        }
    }

    /// Who monitors sees a script before its commands.
    #[cold]
    pub(super) fn foresee(&self, session: &Session, found: Indexed, named: usize, args: &Args<'_>) {
        if runs_script(found) {
            self.show(session, found, named, args);
        }
    }

    /// Commands of administrators are not shown; passwords neither (as redis 7.0).
    fn show(&self, session: &Session, found: Indexed, named: usize, args: &Args<'_>) {
        let row = found.row;
        if Facts::of(row.name).is_some_and(|facts| facts.has("admin")) {
            return;
        }
        let words: Vec<&[u8]> = if row.redacted { redacted(row, named, args) } else { args.words().collect() };
        let client = session.client();
        let from = if client.endpoint.unix {
            format!("unix:{}", client.endpoint.addr.trim_end_matches(":0"))
        } else {
            client.endpoint.addr.clone()
        };
        self.server.hub.show_command(clock::unix_us(), session.db(), &from, words.into_iter());
    }
}

fn runs_script(found: Indexed) -> bool {
    ["eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro"].contains(&found.row.name)
}
