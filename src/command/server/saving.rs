//! BGSAVE, SAVE, LASTSAVE: our own snapshot in `dir`.

use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

pub(super) const NO_FOLDER: &str = "ERR nothing is saved: remora was started without dir";
const NO_LOG: &str = "ERR nothing is rewritten: remora keeps no append-only file";
const RUNNING: &str = "ERR Background save already in progress";
const WOULD_BLOCK: &str = "ERR SAVE is not done here, as clients would have to wait; use BGSAVE";
const NOT_RUNNING: &str = "ERR Background saving is currently not in progress or scheduled";

/// `BGSAVE [SCHEDULE | CANCEL]`: nothing here keeps a save waiting, so SCHEDULE changes nothing, and one that runs is not
/// ended.
pub(super) fn bgsave(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let saves = &cx.server.status.saves;
    if cx.dialect().is_valkey() && args.take("cancel") {
        args.end()?;
        return Err(Refusal::text(if saves.is_running() { RUNNING } else { NOT_RUNNING }));
    }
    args.take("schedule");
    args.end()?;
    if !saves.is_enabled() {
        return Err(Refusal::text(NO_FOLDER));
    }
    if !saves.ask() {
        return Err(Refusal::text(RUNNING));
    }
    out.simple("Background saving started");
    Ok(())
}

pub(super) fn bgrewriteaof(_: &mut SessionCx<'_>, _: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    Err(Refusal::text(NO_LOG))
}

pub(super) fn save(_: &mut SessionCx<'_>, _: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    Err(Refusal::text(WOULD_BLOCK))
}

/// Seconds since 1970; the start of the program before the first save (as redis).
pub(super) fn lastsave(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let status = &cx.server.status;
    out.integer(status.saves.last_at().unwrap_or(status.started).0 / 1000);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::clock::UnixMs;
    use crate::command::testing::Session as Harness;
    use crate::position::{Offset, ReplId};

    #[test]
    fn a_save_is_asked_for_once() {
        let mut client = Harness::new(&[]);
        assert_eq!(client.ask("BGSAVE"), "-ERR nothing is saved: remora was started without dir\r\n");
        client.server().status.saves.enable();
        assert_eq!(client.ask("BGSAVE x"), "-ERR syntax error\r\n");
        assert_eq!(client.ask("BGSAVE"), "+Background saving started\r\n");
        for line in ["BGSAVE", "BGSAVE SCHEDULE"] {
            assert_eq!(client.ask(line), "-ERR Background save already in progress\r\n");
        }
        assert_eq!(client.ask("LASTSAVE"), ":1000000\r\n");
        let saves = &client.server().status.saves;
        saves.begins(1, UnixMs(2_000_000));
        saves.succeeded((ReplId::ZERO, Offset(1)), 0, 1, UnixMs(2_000_000));
        assert_eq!(client.ask("LASTSAVE"), ":2000\r\n");
    }
}
