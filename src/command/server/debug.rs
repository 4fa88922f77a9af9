//! DEBUG DIGEST, DIGEST-VALUE, SLEEP, PANIC: for proving that a copy is the original, and for tests of clients.

use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::command::help;
use crate::command::session::After;
use crate::config::DebugCommand;
use crate::dataset::digest::{self, Digest, DigestStyle};
use crate::number;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use std::time::Duration;

/// Longest DEBUG SLEEP, seconds.
const SLEEP_S_MAX: f64 = 86_400.0;

/// Who may use it is the setting `enable-debug-command`.
pub(super) fn debug(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let allowed = match cx.server.config.get().enable_debug_command {
        DebugCommand::Yes => true,
        DebugCommand::Local => cx.session.client().endpoint.local,
        DebugCommand::No => false,
    };
    if !allowed {
        return Err(Refusal::text(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it \
             from a local connection, otherwise you need to set this option in the configuration file, and then \
             restart the server.",
        ));
    }
    let sub = args.require()?;
    match (sub.to_ascii_lowercase().as_slice(), args.remaining()) {
        (b"digest", 0) => {
            let style = DigestStyle::from(cx.data.limits.dialect);
            out.simple(&digest::dataset(cx.data, style, cx.now).to_string());
        }
        (b"digest-value", _) => digest_value(cx, args, out)?,
        (b"sleep", 1) => {
            let seconds = number::parse_float(args.require()?).unwrap_or(0.0).clamp(0.0, SLEEP_S_MAX);
            cx.after = After::Sleep(Duration::from_secs_f64(seconds));
            out.ok();
        }
        (b"panic", 0) => panic!("DEBUG PANIC"),
        (b"help", 0) => help(out),
        _ => {
            let sub = String::from_utf8_lossy(sub);
            let text = format!("ERR unknown subcommand or wrong number of arguments for '{sub}'. Try DEBUG HELP.");
            return Err(Refusal::text(text));
        }
    }
    Ok(())
}

/// Logically expired keys have a digest too, missing ones have zeros.
fn digest_value(cx: &SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let keyspace = cx.data.db(cx.session.db()).ok_or(Refusal::DB_OUT_OF_RANGE)?;
    let style = DigestStyle::from(cx.data.limits.dialect);
    out.array(args.remaining());
    for key in args {
        let digest = keyspace.get(key).map_or_else(Digest::default, |entry| digest::value(entry, style, cx.now));
        out.simple(&digest.to_string());
    }
    Ok(())
}

fn help(out: &mut Reply) {
    help::write(
        out,
        "DEBUG",
        &[
            ("DIGEST", "A checksum over all data; equal data have equal ones, here and on the master."),
            ("DIGEST-VALUE <key> [<key> ...]", "A checksum of each key's value."),
            ("PANIC", "Panics: the log says so, and the process ends."),
            ("SLEEP <seconds>", "Waits before this reply. Decimals are allowed. Nobody else waits."),
        ],
    );
}

#[cfg(test)]
mod tests {
    use crate::command::session::After;
    use crate::command::testing::Session as Harness;
    use std::time::Duration;

    #[test]
    fn debug_is_for_whom_the_setting_names() {
        let check = |setting: &str, local: bool, allowed: bool| {
            let mut client = Harness::new(&[("enable-debug-command", setting)]);
            client.set_local(local);
            let reply = client.ask("DEBUG SLEEP 0");
            assert_eq!(reply == "+OK\r\n", allowed, "{setting} {local}: {reply}");
            assert!(allowed || reply.starts_with("-ERR DEBUG command not allowed."), "{reply}");
        };
        check("no", true, false);
        check("local", true, true);
        check("local", false, false);
        check("yes", false, true);
    }

    #[test]
    fn replies_are_those_of_the_servers() {
        let mut client = Harness::new(&[("enable-debug-command", "yes")]);
        let zeros = "+0000000000000000000000000000000000000000\r\n";
        assert_eq!(client.ask("DEBUG DIGEST"), zeros);
        assert_eq!(client.ask("DEBUG DIGEST-VALUE a b"), format!("*2\r\n{zeros}{zeros}"));
        assert_eq!(client.ask("DEBUG DIGEST-VALUE"), "*0\r\n");
        let unknown = "-ERR unknown subcommand or wrong number of arguments for 'foo'. Try DEBUG HELP.\r\n";
        assert_eq!(client.ask("DEBUG foo"), unknown);
        assert_eq!(client.ask("DEBUG SLEEP 0.5"), "+OK\r\n");
        assert_eq!(client.after(), After::Sleep(Duration::from_millis(500)));
        assert_eq!(client.ask("DEBUG SLEEP x"), "+OK\r\n");
        assert_eq!(client.after(), After::Sleep(Duration::ZERO));
    }
}
