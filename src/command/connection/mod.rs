//! The connection itself: who speaks, in which protocol, on which database.

mod client;
mod filter;
mod list;
mod portrait;
mod tracking;

pub(crate) use portrait::{Portrait, memory_of};

use super::acl::note_failed_login;
use super::args::Args;
use super::context::SessionCx;
use super::freshness::staleness;
use super::help;
use super::row::{Row, container, session};
use super::session::{After, Muted};
use crate::position::DbIndex;
use crate::resp::refusal::Refusal;
use crate::resp::reply::{Proto, Reply};

/// The rows of this family.
pub static ROWS: &[Row] = &[
    session("ping", -1, ping).while_subscribed(),
    session("echo", 2, echo).always(),
    session("hello", -1, hello).always().before_auth().redacted(),
    session("auth", -2, auth).always().before_auth().redacted(),
    session("select", 2, select).always(),
    session("quit", -1, quit).always().before_auth().while_subscribed(),
    session("reset", 1, reset).always().before_auth().while_subscribed(),
    session("readonly", 1, readonly).always(),
    session("readwrite", 1, readwrite).always(),
    session("asking", 1, asking),
    container("client", -2).always(),
    session("client id", 2, client::id).always(),
    session("client getname", 2, client::getname).always(),
    session("client setname", 3, client::setname).always(),
    session("client setinfo", 4, client::setinfo).always(),
    session("client info", 2, list::info).always(),
    session("client list", -2, list::list).always(),
    session("client kill", -3, list::kill).always(),
    session("client no-evict", 3, client::no_evict).always(),
    session("client no-touch", 3, client::no_touch).always(),
    session("client reply", 3, client::reply).always(),
    session("client pause", -3, client::pause).always(),
    session("client unpause", 2, client::unpause).always(),
    session("client capa", -3, client::capa).always(),
    session("client import-source", 3, client::import_source).always(),
    session("client tracking", -3, tracking::tracking).always(),
    session("client caching", 3, tracking::caching).always(),
    session("client getredir", 2, tracking::getredir).always(),
    session("client trackinginfo", 2, tracking::trackinginfo).always(),
    session("client staleness", 2, staleness).always(),
    session("client unblock", -3, tracking::unblock).always(),
    session("monitor", 1, monitor).always(),
    session("client help", 2, help::help).always(),
];

/// While subscribed in RESP2 the reply has the form of a message.
fn ping(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    if args.remaining() > 1 {
        return Err(Refusal::wrong_arity("ping"));
    }
    match args.optional() {
        message if cx.session.is_listening() => {
            out.array(2);
            out.bulk("pong");
            out.bulk(message.unwrap_or_default());
        }
        Some(message) => out.bulk(message),
        None => out.simple("PONG"),
    }
    Ok(())
}

fn echo(_: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.bulk(args.require()?);
    Ok(())
}

/// READONLY and READWRITE concern cluster clients, and those that can be redirected (CLIENT CAPA). Redis refuses them
/// outside a cluster, Valkey and remora answer OK: node-redis with `readonly: true` reconnects for ever otherwise.
fn readonly(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    cx.session.set_readonly(true);
    out.ok();
    Ok(())
}

fn readwrite(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    cx.session.set_readonly(false);
    out.ok();
    Ok(())
}

fn asking(_: &mut SessionCx<'_>, _: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    Err(Refusal::CLUSTER_DISABLED)
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`: all or nothing, as redis 7.2.
fn hello(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let proto = match args.optional().map(crate::number::parse_integer) {
        None => cx.session.proto(),
        Some(Some(2)) => Proto::Resp2,
        Some(Some(3)) => Proto::Resp3,
        Some(Some(_)) => return Err(Refusal::NO_PROTO),
        Some(None) => return Err(Refusal::text("ERR Protocol version is not an integer or out of range")),
    };
    let (mut login, mut name) = (None, None);
    while let Some(option) = args.optional() {
        match option.to_ascii_lowercase().as_slice() {
            b"auth" if args.remaining() >= 2 => login = Some((args.require()?, args.require()?)),
            b"setname" if args.remaining() >= 1 => {
                name = Some(client::printable(args.require()?, "Client names")?)
            }
            _ => {
                let option = String::from_utf8_lossy(option);
                return Err(Refusal::text(format!("ERR Syntax error in HELLO option '{option}'")));
            }
        }
    }
    if let Some((user, password)) = login {
        log_in(cx, args.word(0).unwrap_or_default(), user, password)?;
    }
    if !cx.session.is_authenticated() {
        return Err(Refusal::NO_AUTH_HELLO);
    }
    if let Some(name) = name {
        cx.session.client().change_names(|names| names.name = name.to_vec());
    }
    // What was said before is written in the old version.
    cx.session.deliver_mail(out);
    cx.session.speak(proto);
    out.proto = proto;
    greet(cx, out);
    Ok(())
}

fn greet(cx: &SessionCx<'_>, out: &mut Reply) {
    let identity = super::server::Identity::of(cx.dialect());
    out.map(7);
    out.bulk("server");
    out.bulk(identity.server);
    out.bulk("version");
    out.bulk(identity.version);
    out.bulk("proto");
    out.integer(if cx.session.proto() == Proto::Resp3 { 3 } else { 2 });
    out.bulk("id");
    out.integer(i64::try_from(cx.session.id()).unwrap_or(i64::MAX));
    out.bulk("mode");
    out.bulk("standalone");
    out.bulk("role");
    out.bulk("replica");
    out.bulk("modules");
    super::server::modules(cx.dialect(), out);
}

fn auth(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    match (args.require()?, args.optional(), args.is_empty()) {
        (password, None, _) => {
            if cx.server.users.default_user().needs_no_password() {
                return Err(Refusal::AUTH_WITHOUT_PASSWORD);
            }
            log_in(cx, args.word(0).unwrap_or_default(), b"default", password)?;
        }
        (user, Some(password), true) => log_in(cx, args.word(0).unwrap_or_default(), user, password)?,
        _ => return Err(Refusal::SYNTAX),
    }
    out.ok();
    Ok(())
}

/// `command`: AUTH or HELLO as it was typed, for the log of what was refused.
fn log_in(cx: &mut SessionCx<'_>, command: &[u8], user: &[u8], password: &[u8]) -> Result<(), Refusal> {
    let users = &cx.server.users;
    let Some(user) = users.log_in(user, password) else {
        note_failed_login(cx.server, cx.session, command, user, cx.now);
        return Err(Refusal::WRONG_PASS);
    };
    cx.session.log_in(user, users);
    Ok(())
}

fn select(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let index = i32::try_from(args.integer()?)
        .map_err(|_| Refusal::text("ERR value is out of range, value must between -2147483648 and 2147483647"))?;
    let index = u32::try_from(index).map_err(|_| Refusal::DB_OUT_OF_RANGE)?;
    if cx.data.db(DbIndex(index)).is_none() {
        return Err(Refusal::DB_OUT_OF_RANGE);
    }
    cx.session.select(DbIndex(index));
    out.ok();
    Ok(())
}

/// Every command from now on, as a line; RESET ends it.
fn monitor(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    if cx.session.is_executing() {
        return Err(Refusal::text("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    // Asked again it answers nothing (as redis 7.0).
    if cx.session.begin_monitor(&cx.server.hub) {
        out.ok();
    }
    Ok(())
}

fn quit(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    cx.after = After::Close;
    out.ok();
    Ok(())
}

/// Back to a fresh connection; what CLIENT SETINFO said stays (as redis 7.2).
fn reset(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let session = &mut *cx.session;
    session.unsubscribe_all();
    session.end_monitor();
    session.track(None);
    session.deliver_mail(out);
    session.take_queue();
    session.unwatch();
    session.select(DbIndex(0));
    session.speak(Proto::Resp2);
    session.log_out(&cx.server.users);
    session.client().change_names(|names| names.name.clear());
    session.client().set_flags(Some(false), Some(false));
    session.set_readonly(false);
    session.set_muted(Muted::No);
    out.proto = Proto::Resp2;
    out.simple("RESET");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::Session as Harness;

    #[test]
    fn replies_are_those_of_the_servers() {
        let mut client = Harness::new(&[]);
        for (request, reply) in [
            ("PING", "+PONG\r\n"),
            ("ping hi", "$2\r\nhi\r\n"),
            ("PING a b", "-ERR wrong number of arguments for 'ping' command\r\n"),
            ("ECHO x", "$1\r\nx\r\n"),
            ("SELECT 15", "+OK\r\n"),
            ("SELECT 16", "-ERR DB index is out of range\r\n"),
            ("SELECT x", "-ERR value is not an integer or out of range\r\n"),
            ("READONLY", "+OK\r\n"),
            ("HELLO 4", "-NOPROTO unsupported protocol version\r\n"),
            ("HELLO x", "-ERR Protocol version is not an integer or out of range\r\n"),
            ("HELLO 3 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'\r\n"),
            (
                "HELLO 3 SETNAME \"a b\"",
                "-ERR Client names cannot contain spaces, newlines or special characters.\r\n",
            ),
            ("HELLO 3 AUTH a b", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"),
            ("AUTH default x", "+OK\r\n"),
            ("AUTH a b c", "-ERR syntax error\r\n"),
            ("RESET", "+RESET\r\n"),
        ] {
            assert_eq!(client.ask(request), reply, "{request}");
        }
        assert!(client.ask("AUTH x").starts_with("-ERR AUTH <password> called without any password"));
    }

    #[test]
    fn hello_switches_the_protocol_and_reset_switches_back() {
        let mut client = Harness::new(&[]);
        assert!(client.ask("hello 3 setname me").starts_with("%7\r\n$6\r\nserver\r\n"));
        assert_eq!(client.ask("CLIENT GETNAME"), "$2\r\nme\r\n");
        assert!(client.ask("HELLO").starts_with("%7\r\n"));
        assert!(client.ask("HELLO 2").starts_with("*14\r\n"));
        client.ask("HELLO 3");
        assert_eq!(client.ask("RESET"), "+RESET\r\n");
        assert_eq!(client.ask("CLIENT GETNAME"), "$-1\r\n");
    }

    #[test]
    fn a_password_is_asked_for_until_it_was_right() {
        let mut client = Harness::new(&[("requirepass", "sesame")]);
        assert!(!client.is_authenticated());
        assert!(client.ask("HELLO 3").starts_with("-NOAUTH HELLO must be called"));
        assert!(client.ask("AUTH sesam").starts_with("-WRONGPASS"));
        assert!(client.ask("AUTH other sesame").starts_with("-WRONGPASS"));
        assert!(!client.is_authenticated());
        assert!(client.ask("HELLO 3 AUTH default sesame SETNAME me").starts_with("%7"));
        assert!(client.is_authenticated());
        assert!(client.ask("AUTH wrong").starts_with("-WRONGPASS"));
        assert!(client.is_authenticated(), "a wrong password later changes nothing");
        client.ask("RESET");
        assert!(!client.is_authenticated());
    }
}
