//! ACL commands that change users: SETUSER, DELUSER, LOAD, SAVE. Clients that lose their user, or a right to listen,
//! are cut.

use super::check::channel_is_allowed;
use super::selector::has_spaces;
use super::user::User;
use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::command::session::After;
use crate::hub::Kind;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

/// `ACL SETUSER name [rule ...]`
pub(super) fn setuser(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let name = args.require()?;
    if has_spaces(name) {
        return Err(Refusal::text("ERR Usernames can't contain spaces or null characters"));
    }
    let rules: Vec<&[u8]> = args.collect();
    let (before, after) = cx.server.users.set(name, &rules).map_err(|why| Refusal::text(format!("ERR {why}")))?;
    if let Some(before) = before {
        cut_listeners(cx, &before, &after);
    }
    cx.session.follow_users(&cx.server.users);
    tracing::info!(user = %String::from_utf8_lossy(name), client = cx.session.id(), "a user was changed");
    out.ok();
    Ok(())
}

/// `ACL DELUSER name ...`: answers how many there were.
pub(super) fn deluser(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let names: Vec<&[u8]> = args.collect();
    if names.contains(&&b"default"[..]) {
        return Err(Refusal::text("ERR The 'default' user cannot be removed"));
    }
    let mut removed = 0;
    for name in names {
        if cx.server.users.remove(name) {
            removed += 1;
            cut_clients(cx, name);
            tracing::info!(user = %String::from_utf8_lossy(name), client = cx.session.id(), "a user was removed");
        }
    }
    out.integer(removed);
    Ok(())
}

/// `ACL LOAD`: all users of the file, or an error that says everything that is wrong with it.
pub(super) fn load(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let config = cx.server.config.get();
    let path = config.aclfile.as_ref().ok_or_else(|| no_file(cx))?;
    let before = cx.server.users.reload(path).map_err(|why| Refusal::text(format!("ERR {why}")))?;
    for user in before.values() {
        match cx.server.users.get(&user.name) {
            Some(after) => cut_listeners(cx, user, &after),
            None => cut_clients(cx, &user.name),
        }
    }
    cx.session.follow_users(&cx.server.users);
    tracing::info!(path = %path.display(), client = cx.session.id(), "users were loaded");
    out.ok();
    Ok(())
}

/// `ACL SAVE`
pub(super) fn save(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let config = cx.server.config.get();
    let path = config.aclfile.as_ref().ok_or_else(|| no_file(cx))?;
    cx.server.users.save(path, cx.dialect()).map_err(|error| {
        tracing::warn!(path = %path.display(), %error, "users could not be saved");
        Refusal::text(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
        )
    })?;
    out.ok();
    Ok(())
}

fn no_file(cx: &SessionCx<'_>) -> Refusal {
    let (this, a) = if cx.dialect().is_valkey() { ("", "") } else { (" Redis", " Redis") };
    let the = if a.is_empty() { "the configuration" } else { "the Redis configuration" };
    Refusal::text(format!(
        "ERR This{this} instance is not configured to use an ACL file. You may want to specify users via the ACL \
         SETUSER command and then issue a CONFIG REWRITE (assuming you have a{a} configuration file set) in order to \
         store users in {the}."
    ))
}

/// Closes all connections of a user.
fn cut_clients(cx: &mut SessionCx<'_>, name: &[u8]) {
    for client in cx.server.clients.all() {
        if *client.user_name() == *name {
            close(cx, client.id);
        }
    }
}

/// Closes connections of a user that are subscribed to what it may not listen to any more. A user that may listen to
/// all that it might before cuts nobody.
fn cut_listeners(cx: &mut SessionCx<'_>, before: &User, after: &User) {
    if after.selectors().any(|selector| selector.all_channels) {
        return;
    }
    let patterns: Vec<&[u8]> =
        after.selectors().flat_map(|s| s.channels.iter().map(|pattern| &**pattern)).collect();
    let had_all = before.selectors().any(|selector| selector.all_channels);
    let had_more = before.selectors().flat_map(|s| &s.channels).any(|pattern| !patterns.contains(&&**pattern));
    if !had_all && !had_more {
        return;
    }
    let forbidden = |kind: Kind, name: &[u8]| !channel_is_allowed(&patterns, name, kind == Kind::Pattern);
    let listeners = cx.server.hub.listeners_to(forbidden);
    for id in listeners {
        if cx.server.clients.get(id).is_some_and(|client| *client.user_name() == *before.name) {
            close(cx, id);
        }
    }
}

/// Closes a connection; the asking one after its reply.
fn close(cx: &mut SessionCx<'_>, id: u64) {
    if id == cx.session.id() {
        cx.after = After::Close;
    } else if let Some(client) = cx.server.clients.get(id) {
        client.kill();
    }
}

#[cfg(test)]
mod tests {
    use crate::clock::UnixMs;
    use crate::command::clients::Endpoint;
    use crate::command::session::{After, Session};
    use crate::command::testing::Session as Harness;

    #[test]
    fn replies_are_those_of_the_servers() {
        let mut client = Harness::new(&[]);
        for (request, reply) in [
            ("ACL WHOAMI", "$7\r\ndefault\r\n"),
            ("ACL USERS", "*1\r\n$7\r\ndefault\r\n"),
            ("ACL LIST", "*1\r\n$51\r\nuser default on nopass sanitize-payload ~* &* +@all\r\n"),
            ("ACL SETUSER \"a b\"", "-ERR Usernames can't contain spaces or null characters\r\n"),
            ("ACL SETUSER u on >x ~a +get", "+OK\r\n"),
            ("ACL SETUSER u foo", "-ERR Error in ACL SETUSER modifier 'foo': Syntax error\r\n"),
            ("ACL SETUSER u (~a", "-ERR Unmatched parenthesis in acl selector starting at '(~a'.\r\n"),
            ("ACL DRYRUN u get a", "+OK\r\n"),
            ("ACL DRYRUN u get b", "$47\r\nUser u has no permissions to access the 'b' key\r\n"),
            ("ACL DRYRUN u config get x", "$57\r\nUser u has no permissions to run the 'config|get' command\r\n"),
            ("ACL DRYRUN u config foo", "-ERR Command 'config' not found\r\n"),
            ("ACL DRYRUN u get", "-ERR wrong number of arguments for 'get' command\r\n"),
            ("ACL DRYRUN nobody get a", "-ERR User 'nobody' not found\r\n"),
            ("ACL DELUSER default u", "-ERR The 'default' user cannot be removed\r\n"),
            ("ACL DELUSER u nobody", ":1\r\n"),
            ("ACL GETUSER u", "$-1\r\n"),
            ("ACL LOG x", "-ERR value is not an integer or out of range\r\n"),
            ("ACL LOG -5", "*0\r\n"),
            ("ACL LOG RESET", "+OK\r\n"),
            (
                "ACL GENPASS 1 2",
                "-ERR unknown subcommand or wrong number of arguments for 'GENPASS'. Try ACL HELP.\r\n",
            ),
            ("ACL CAT foo", "-ERR Unknown category 'foo'\r\n"),
        ] {
            assert_eq!(client.ask(request), reply, "{request}");
        }
        assert!(
            client.ask("ACL LOAD").starts_with("-ERR This Redis instance is not configured to use an ACL file.")
        );
        assert!(
            client.ask("ACL CAT read").contains("\r\nget\r\n")
                && !client.ask("ACL CAT read").contains("\r\nset\r\n")
        );
    }

    #[test]
    fn clients_of_a_removed_user_are_cut() {
        let mut client = Harness::new(&[]);
        client.ask("ACL SETUSER u on nopass +@all");
        let server = client.server().clone();
        let mut other = Session::new(server.clients.join(Endpoint::default(), UnixMs(0)), &server.users);
        other.log_in(server.users.get(b"u").expect("the user"), &server.users);
        client.ask("ACL SETUSER u off");
        assert!(!other.client().is_killed(), "whoever is in stays in");
        client.ask("ACL DELUSER u");
        assert!(other.client().is_killed());
        client.ask("ACL SETUSER me on nopass +@all");
        client.ask("AUTH me x");
        client.ask("ACL DELUSER me");
        assert_eq!(client.after(), After::Close);
    }
}
