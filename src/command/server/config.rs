//! CONFIG: the settings of the running process.

use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::config::{RewriteRefused, SetRefused};
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

/// What the names and patterns ask for, with the values.
pub(super) fn get(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let asked: Vec<&[u8]> = args.by_ref().collect();
    let found = cx.server.config.show(&asked);
    out.map(found.len());
    for (name, value) in found {
        out.bulk(name);
        out.bulk(value);
    }
    Ok(())
}

/// All of the pairs, or none (as redis 7.0).
pub(super) fn set(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let mut pairs = Vec::with_capacity(args.remaining() / 2);
    while let Some(name) = args.optional() {
        pairs.push((name, args.require()?));
    }
    cx.server.config.set(&pairs).map_err(|why| match why {
        SetRefused::Unknown(name) => {
            Refusal::text(format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'"))
        }
        SetRefused::Failed(name, why) => {
            Refusal::text(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"))
        }
    })?;
    if pairs.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"requirepass")) {
        cx.server.users.set_default_password(cx.server.config.get().requirepass.as_ref());
        cx.session.follow_users(&cx.server.users);
    }
    let names: Vec<_> = pairs.iter().map(|(name, _)| String::from_utf8_lossy(name)).collect();
    tracing::info!(settings = names.join(" "), client = cx.session.id(), "settings changed");
    out.ok();
    Ok(())
}

/// What INFO counts starts anew, but for refusals of ACL rules (as redis 7.0).
pub(super) fn resetstat(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    cx.server.status.reset(cx.now);
    cx.server.scripts.cache().forget_evicted();
    out.ok();
    Ok(())
}

/// Sentinel sends this after SLAVEOF, and lives with a refusal.
pub(super) fn rewrite(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    cx.server.config.rewrite(&cx.server.users.rewrite()).map_err(|why| match why {
        RewriteRefused::NoFile => Refusal::text("ERR The server is running without a config file"),
        RewriteRefused::Failed(error) => {
            tracing::warn!(%error, "CONFIG REWRITE failed");
            Refusal::text(format!("ERR Rewriting config file: {}", os_text(&error)))
        }
    })?;
    cx.server.users.set_written();
    tracing::info!(client = cx.session.id(), "the configuration file was rewritten");
    out.ok();
    Ok(())
}

/// The system's words without Rust's `(os error 13)`.
fn os_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Session as Harness;

    #[test]
    fn get_and_set_answer_as_the_servers_do() {
        let mut client = Harness::new(&[]);
        for (request, reply) in [
            ("CONFIG GET maxclients", "*2\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n"),
            ("CONFIG GET MAXCLIENT? save", "*4\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n$4\r\nsave\r\n$0\r\n\r\n"),
            ("CONFIG GET nosuch", "*0\r\n"),
            ("CONFIG SET maxclients 7 timeout 3 save \"\"", "+OK\r\n"),
            ("CONFIG GET maxclients", "*2\r\n$10\r\nmaxclients\r\n$1\r\n7\r\n"),
            ("CONFIG SET nosuch 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'\r\n"),
            ("CONFIG SET timeout 1 foo", "-ERR syntax error\r\n"),
            (
                "CONFIG SET maxclients abc",
                "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument couldn't be parsed \
                 into an integer\r\n",
            ),
            (
                "CONFIG SET databases 4",
                "-ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config\r\n",
            ),
            ("CONFIG REWRITE", "-ERR The server is running without a config file\r\n"),
            ("CONFIG RESETSTAT", "+OK\r\n"),
        ] {
            assert_eq!(client.ask(request), reply, "{request}");
        }
    }
}
