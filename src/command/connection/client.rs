//! CLIENT: what a client says of itself.

use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::command::pause::Paused;
use crate::command::session::Muted;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

pub(super) fn id(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.integer(i64::try_from(cx.session.id()).unwrap_or(i64::MAX));
    Ok(())
}

pub(super) fn getname(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let name = cx.session.client().names().name;
    out.bulk_or_null((!name.is_empty()).then_some(name));
    Ok(())
}

/// An empty name takes the name away.
pub(super) fn setname(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let name = printable(args.require()?, "Client names")?.to_vec();
    cx.session.client().change_names(|names| names.name = name);
    out.ok();
    Ok(())
}

pub(super) fn setinfo(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let (option, value) = (args.require()?, args.require()?);
    let client = cx.session.client();
    let named = String::from_utf8_lossy(option);
    match option.to_ascii_lowercase().as_slice() {
        b"lib-name" => {
            let value = printable(value, &named)?.to_vec();
            client.change_names(|names| names.lib_name = value);
        }
        b"lib-ver" => {
            let value = printable(value, &named)?.to_vec();
            client.change_names(|names| names.lib_ver = value);
        }
        _ => return Err(Refusal::text(format!("ERR Unrecognized option '{named}'"))),
    }
    out.ok();
    Ok(())
}

/// `!` to `~`: what can stand in a line of CLIENT LIST.
pub(super) fn printable<'a>(text: &'a [u8], what: &str) -> Result<&'a [u8], Refusal> {
    if text.iter().all(u8::is_ascii_graphic) {
        return Ok(text);
    }
    Err(Refusal::text(format!("ERR {what} cannot contain spaces, newlines or special characters.")))
}

pub(super) fn no_evict(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    cx.session.client().set_flags(Some(on_off(args)?), None);
    out.ok();
    Ok(())
}

pub(super) fn no_touch(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    cx.session.client().set_flags(None, Some(on_off(args)?));
    out.ok();
    Ok(())
}

/// `CLIENT REPLY ON|OFF|SKIP`: only ON is answered.
pub(super) fn reply(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    if args.take("on") {
        cx.session.set_muted(Muted::No);
        out.ok();
    } else if args.take("off") {
        cx.session.set_muted(Muted::Always);
    } else if args.take("skip") {
        cx.session.skip_replies();
    } else {
        return Err(Refusal::SYNTAX);
    }
    Ok(())
}

/// `CLIENT PAUSE timeout [WRITE|ALL]`
pub(super) fn pause(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    // Valkey looks at no further word.
    if args.remaining() > 2 && !cx.dialect().is_valkey() {
        let text = "ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.";
        return Err(Refusal::text(text));
    }
    let timeout = args.integer();
    let who = match args.is_empty() {
        true => Paused::All,
        false if args.take("write") => Paused::Writes,
        false if args.take("all") => Paused::All,
        false => return Err(Refusal::text("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let ms = match timeout {
        Ok(ms @ 0..) if cx.now.0.checked_add(ms).is_none() => {
            return Err(Refusal::text("ERR timeout is out of range"));
        }
        Ok(ms @ 0..) => ms,
        Ok(_) => return Err(Refusal::text("ERR timeout is negative")),
        Err(_) => return Err(Refusal::text("ERR timeout is not an integer or out of range")),
    };
    cx.server.pause.begin(who, UnixMs(cx.now.0.saturating_add(ms)), cx.now);
    out.ok();
    Ok(())
}

pub(super) fn unpause(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    cx.server.pause.end();
    out.ok();
    Ok(())
}

/// `CLIENT CAPA redirect`: reads are to be answered with the master's address. What is unknown is passed over (as
/// valkey 8.1).
pub(super) fn capa(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    if args.any(|word| word.eq_ignore_ascii_case(b"redirect")) {
        cx.session.set_redirect(true);
    }
    out.ok();
    Ok(())
}

pub(super) fn import_source(_: &mut SessionCx<'_>, _: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    Err(Refusal::text("ERR Server is not in import mode"))
}

fn on_off(args: &mut Args<'_>) -> Result<bool, Refusal> {
    let on = args.take("on");
    if on || args.take("off") { Ok(on) } else { Err(Refusal::SYNTAX) }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Session as Harness;

    #[test]
    fn a_client_can_say_who_it_is() {
        let mut client = Harness::new(&[]);
        for (request, reply) in [
            ("CLIENT GETNAME", "$-1\r\n"),
            ("CLIENT SETNAME me", "+OK\r\n"),
            ("CLIENT GETNAME", "$2\r\nme\r\n"),
            ("CLIENT SETNAME \"\"", "+OK\r\n"),
            ("CLIENT GETNAME", "$-1\r\n"),
            (
                "CLIENT SETNAME \"a b\"",
                "-ERR Client names cannot contain spaces, newlines or special characters.\r\n",
            ),
            ("CLIENT SETINFO lib-name redis-py", "+OK\r\n"),
            ("CLIENT SETINFO LIB-VER 8.1", "+OK\r\n"),
            (
                "CLIENT SETINFO lib-name \"a b\"",
                "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n",
            ),
            ("CLIENT SETINFO foo x", "-ERR Unrecognized option 'foo'\r\n"),
            ("CLIENT NO-EVICT on", "+OK\r\n"),
            ("CLIENT NO-TOUCH OFF", "+OK\r\n"),
            ("CLIENT NO-TOUCH foo", "-ERR syntax error\r\n"),
            ("CLIENT REPLY foo", "-ERR syntax error\r\n"),
            ("CLIENT REPLY on", "+OK\r\n"),
            ("CLIENT REPLY off", ""),
            ("CLIENT PAUSE x", "-ERR timeout is not an integer or out of range\r\n"),
            ("CLIENT PAUSE -1", "-ERR timeout is negative\r\n"),
            ("CLIENT PAUSE 0 foo", "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n"),
            ("CLIENT PAUSE 0 write", "+OK\r\n"),
            ("CLIENT UNPAUSE", "+OK\r\n"),
            ("CLIENT IMPORT-SOURCE on", "-ERR Server is not in import mode\r\n"),
            ("ASKING", "-ERR This instance has cluster support disabled\r\n"),
            ("CLIENT ID", ":1\r\n"),
        ] {
            assert_eq!(client.ask(request), reply, "{request}");
        }
        let line = client.ask("CLIENT INFO");
        assert!(line.contains(" flags=e ") && line.contains(" lib-name=redis-py lib-ver=8.1"), "{line}");
    }
}
