//! SHUTDOWN: the program ends as at SIGTERM, with or without the last save of our own snapshot.
//!
//! Here the wish is checked and put down; `node` carries it out.

use super::saving::NO_FOLDER;
use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::command::session::After;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::sync::Notify;

/// The wish of a client that the program ends.
#[derive(Debug, Default)]
pub struct Shutdown {
    asked: Notify,
    unsaved: AtomicBool,
}

impl Shutdown {
    /// Resolves once a client wants it; `true` if nothing is to be saved.
    pub async fn asked(&self) -> bool {
        self.asked.notified().await;
        self.unsaved.load(Relaxed)
    }

    fn ask(&self, unsaved: bool) {
        self.unsaved.store(unsaved, Relaxed);
        self.asked.notify_one();
    }
}

/// `SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]`: the client is cut without a reply. Sub-replicas are not waited for and
/// a failed save does not keep us (as at SIGTERM), so NOW and FORCE change nothing.
pub(super) fn shutdown(cx: &mut SessionCx<'_>, args: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    let (mut save, mut unsaved, mut abort, mut other) = (false, false, false, false);
    while !args.is_empty() {
        match () {
            () if args.take("nosave") => unsaved = true,
            () if args.take("save") => save = true,
            () if args.take("now") || args.take("force") => other = true,
            () if args.take("abort") => abort = true,
            () => return Err(Refusal::SYNTAX),
        }
    }
    if (abort && (save || unsaved || other)) || (save && unsaved) {
        return Err(Refusal::SYNTAX);
    }
    if abort {
        // One that was begun has cut all clients: nobody can end it any more.
        return Err(Refusal::text("ERR No shutdown in progress."));
    }
    if save && !cx.server.status.saves.is_enabled() {
        return Err(Refusal::text(NO_FOLDER));
    }
    tracing::warn!(client = cx.session.id(), save = !unsaved, "a client has asked for the end: SHUTDOWN");
    cx.server.shutdown.ask(unsaved);
    cx.after = After::Close;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::session::After;
    use crate::command::testing::Session as Harness;

    #[test]
    fn only_a_wish_that_makes_sense_ends_the_program() {
        let mut client = Harness::new(&[]);
        for wrong in ["NOSAVE SAVE", "SAVE NOSAVE", "foo", "ABORT NOW", "NOW ABORT", "ABORT NOSAVE", "NOSAVE x"] {
            assert_eq!(client.ask(&format!("SHUTDOWN {wrong}")), "-ERR syntax error\r\n", "{wrong}");
        }
        assert_eq!(client.ask("SHUTDOWN ABORT"), "-ERR No shutdown in progress.\r\n");
        let no_folder = "-ERR nothing is saved: remora was started without dir\r\n";
        assert_eq!(client.ask("SHUTDOWN SAVE"), no_folder);
        assert_eq!(client.after(), After::Continue);
        assert_eq!(client.ask("SHUTDOWN NOSAVE NOW NOSAVE FORCE"), "");
        assert_eq!(client.after(), After::Close);
    }
}
