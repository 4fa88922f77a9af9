//! CLIENT LIST, INFO and KILL: all connections, seen and closed from one of them.

use super::filter::Filter;
use super::portrait::Portrait;
use crate::command::args::Args;
use crate::command::clients::Client;
use crate::command::context::SessionCx;
use crate::command::session::After;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

pub(super) fn info(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let text = line(cx, cx.session.client(), Some(running(cx, "client|info")));
    out.verbatim("txt", text);
    Ok(())
}

/// `CLIENT LIST [option value ...]`
pub(super) fn list(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let filter = Filter::of_list(cx, args)?;
    let mut text = Vec::new();
    for client in cx.server.clients.all().iter().filter(|client| filter.means(client, cx.now)) {
        let own = client.id == cx.session.id();
        if !own {
            text.extend(line(cx, client, None));
        } else if filter.skip_me != Some(true) {
            text.extend(line(cx, client, Some(running(cx, "client|list"))));
        }
    }
    out.verbatim("txt", text);
    Ok(())
}

/// The line of a client, with its end.
fn line(cx: &SessionCx<'_>, client: &Client, running: Option<&'static str>) -> Vec<u8> {
    let mut line = Portrait::of(client, running, cx.now).line(Some(cx.dialect()));
    line.push(b'\n');
    line
}

/// What the asking client itself is doing.
fn running(cx: &SessionCx<'_>, command: &'static str) -> &'static str {
    if cx.session.is_executing() { "exec" } else { command }
}

/// `CLIENT KILL addr` answers OK or an error; with filters the number of connections closed.
pub(super) fn kill(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let old_style = args.remaining() == 1;
    let filter =
        if old_style { Filter::of_address(args.optional().unwrap_or_default()) } else { Filter::parse(cx, args)? };
    let mut killed = 0;
    for client in cx.server.clients.all().iter().filter(|client| filter.means(client, cx.now)) {
        if client.id != cx.session.id() {
            client.kill();
            killed += 1;
        } else if filter.skip_me == Some(false) {
            // Its own reply is still sent.
            cx.after = After::Close;
            killed += 1;
        }
    }
    match (old_style, killed) {
        (true, 0) => return Err(Refusal::text("ERR No such client")),
        (true, _) => out.ok(),
        (false, killed) => out.integer(killed),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::clock::UnixMs;
    use crate::command::clients::Endpoint;
    use crate::command::session::After;
    use crate::command::testing::Session as Harness;
    use crate::dataset::Dialect;

    fn endpoint(addr: &str) -> Endpoint {
        Endpoint { addr: addr.into(), laddr: "127.0.0.1:6379".into(), ..Endpoint::default() }
    }

    #[test]
    fn the_list_has_a_line_per_client_with_the_fields_of_the_servers() {
        let mut client = Harness::new(&[]);
        let other = client.server().clients.join(endpoint("10.0.0.1:5"), UnixMs(0));
        let text = client.ask("CLIENT LIST");
        let lines: Vec<&str> = text.lines().skip(1).filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].starts_with("id=1 ") && lines[0].contains(" cmd=client|list "), "{text}");
        assert!(lines[1].starts_with("id=2 addr=10.0.0.1:5 laddr=127.0.0.1:6379 "), "{text}");
        assert!(lines[1].contains(" cmd=NULL user=default redir=-1 resp=2 "), "{text}");
        assert!(lines[1].contains(" flags=N db=0 ") && lines[1].ends_with(" io-thread=0"), "{text}");
        other.set_redirect(true);
        client.bench().data.limits.dialect = Dialect::Valkey(9, 1);
        let text = client.ask("CLIENT LIST ID 2");
        assert!(
            text.contains(" flags=N capa=r db=0 ") && text.contains(" tot-net-in=0 tot-net-out=0 tot-cmds=0\n")
        );
        client.bench().data.limits.dialect = Dialect::Redis(6, 0);
        let text = client.ask("CLIENT LIST ID 2");
        assert!(text.contains(" multi=-1 qbuf=0 ") && text.contains(" cmd=NULL user=default\n"), "{text}");
        client.bench().data.limits.dialect = Dialect::default();
        let count = |text: String| text.matches("id=").count();
        assert_eq!(count(client.ask("CLIENT LIST ID 2 7")), 1);
        assert_eq!(count(client.ask("CLIENT LIST TYPE normal")), 2);
        assert_eq!(count(client.ask("CLIENT LIST TYPE pubsub")), 0);
        drop(other);
        assert_eq!(count(client.ask("CLIENT LIST")), 1);
    }

    #[test]
    fn malformed_filters_are_refused_in_the_words_of_the_servers() {
        let mut client = Harness::new(&[]);
        for (request, reply) in [
            ("CLIENT LIST TYPE foo", "-ERR Unknown client type 'foo'\r\n"),
            ("CLIENT LIST ID x", "-ERR Invalid client ID\r\n"),
            ("CLIENT LIST ID", "-ERR syntax error\r\n"),
            ("CLIENT LIST USER default", "-ERR syntax error\r\n"),
            ("CLIENT KILL NOT-ID 9", "-ERR syntax error\r\n"),
            ("CLIENT KILL NAME 9", "-ERR syntax error\r\n"),
            ("CLIENT KILL 1.1.1.1:1", "-ERR No such client\r\n"),
            ("CLIENT KILL ID 999", ":0\r\n"),
            ("CLIENT KILL ID x", "-ERR client-id should be greater than 0\r\n"),
            ("CLIENT KILL TYPE foo", "-ERR Unknown client type 'foo'\r\n"),
            ("CLIENT KILL foo bar", "-ERR syntax error\r\n"),
            ("CLIENT KILL ID 1 addr", "-ERR syntax error\r\n"),
            ("CLIENT KILL USER nosuch", "-ERR No such user 'nosuch'\r\n"),
            ("CLIENT KILL SKIPME maybe", "-ERR syntax error\r\n"),
            ("CLIENT KILL MAXAGE x", "-ERR maxage is not an integer or out of range\r\n"),
            ("CLIENT KILL MAXAGE 0", "-ERR maxage should be greater than 0\r\n"),
        ] {
            assert_eq!(client.ask(request), reply, "{request}");
        }
    }

    #[test]
    fn kill_closes_others_and_spares_or_closes_oneself() {
        let mut client = Harness::new(&[]);
        let others: Vec<_> =
            (0..3).map(|n| client.server().clients.join(endpoint(&format!("10.0.0.1:{n}")), UnixMs(0))).collect();
        assert_eq!(client.ask("CLIENT KILL 10.0.0.1:0"), "+OK\r\n");
        assert_eq!(client.ask("CLIENT KILL ID 3 TYPE normal"), ":1\r\n");
        assert_eq!(others.iter().map(|other| other.is_killed()).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(client.ask("CLIENT KILL 10.0.0.1:0"), "-ERR No such client\r\n", "it is gone");
        assert!(!client.ask("CLIENT LIST").contains("addr=10.0.0.1:0"));
        assert_eq!(client.ask("CLIENT KILL LADDR 127.0.0.1:6379 USER default"), ":1\r\n");
        assert_eq!(client.after(), After::Continue);
        assert_eq!(client.ask("CLIENT KILL ID 1 SKIPME no"), ":1\r\n");
        assert_eq!(client.after(), After::Close);
    }
}
