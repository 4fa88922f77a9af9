//! DEBUG: what is harmless and of use here. For proving that a copy is the original (DIGEST), for tests of clients (SLEEP,
//! PROTOCOL, ERROR, PANIC), for tools that look at keys (OBJECT). Whatever changes data is unknown.

use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::command::help;
use crate::command::keys;
use crate::command::session::After;
use crate::config::DebugCommand;
use crate::dataset::digest::{self, Digest, DigestStyle};
use crate::number;
use crate::resp::refusal::Refusal;
use crate::resp::reply::{Proto, Reply};
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
        (b"object", 1) => object(cx, args.require()?, out)?,
        (b"protocol", 1) => protocol(args.require()?, out)?,
        (b"error", 1) => {
            let text = String::from_utf8_lossy(args.require()?).replace(['\r', '\n'], " ");
            return Err(Refusal::text(text));
        }
        (b"log", 1) => {
            let message = String::from_utf8_lossy(args.require()?).into_owned();
            tracing::warn!(message, client = cx.session.id(), "DEBUG LOG");
            out.ok();
        }
        // A replica deletes no expired key by itself, so there is nothing to stop.
        (b"set-active-expire", 1) => out.ok(),
        (b"help", 0) => return help::help(cx, args, out),
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

/// How a value is held.
fn object(cx: &SessionCx<'_>, key: &[u8], out: &mut Reply) -> Result<(), Refusal> {
    let keyspace = cx.data.db(cx.session.db()).ok_or(Refusal::DB_OUT_OF_RANGE)?;
    let entry = keyspace.get(key).filter(|entry| !entry.is_expired(cx.now));
    let entry = entry.ok_or(Refusal::text("ERR no such key"))?;
    let uses = cx.data.uses(cx.server.config.get().uses, cx.now);
    out.simple(&keys::debug(&entry, &cx.data.limits, &uses));
    Ok(())
}

/// A value of each type of the protocol.
fn protocol(kind: &[u8], out: &mut Reply) -> Result<(), Refusal> {
    match kind.to_ascii_lowercase().as_slice() {
        b"string" => out.bulk("Hello World"),
        b"integer" => out.integer(12_345),
        b"double" => out.double_text("3.141"),
        b"null" => out.null(),
        b"array" => {
            out.array(3);
            (0..3).for_each(|n| out.integer(n));
        }
        b"set" => {
            out.set(3);
            (0..3).for_each(|n| out.integer(n));
        }
        b"map" => {
            out.map(3);
            for n in 0..3 {
                out.integer(n);
                out.boolean(n == 1);
            }
        }
        b"attrib" => {
            if out.proto == Proto::Resp3 {
                out.attributes(1);
                out.bulk("key-popularity");
                out.array(2);
                out.bulk("key:123");
                out.integer(90);
            }
            out.bulk("Some real reply following the attribute");
        }
        b"push" if out.proto == Proto::Resp2 => {
            return Err(Refusal::text("ERR RESP2 is not supported by this command"));
        }
        b"push" => {
            out.bulk("Some real reply following the push reply");
            out.push(2);
            out.bulk("server-cpu-usage");
            out.integer(42);
        }
        b"verbatim" => out.verbatim("txt", "This is a verbatim\nstring"),
        b"true" => out.boolean(true),
        b"false" => out.boolean(false),
        b"bignum" => out.big_number(b"1234567999999999999999999999999999999"),
        _ => {
            return Err(Refusal::text(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
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
