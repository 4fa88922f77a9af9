//! Publish and subscribe. Messages come from clients, for this server's subscribers alone, and with the master's
//! stream.

use super::args::Args;
use super::context::{ApplyCx, SessionCx};
use super::help;
use super::row::{Keys, Row, container, session};
use super::session::After;
use crate::hub::Kind;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

/// The rows of this family.
pub static ROWS: &[Row] = &[
    session("publish", 3, publish)
        .samples(&["PUBLISH channel message", "PUBLISH channel"])
        .always()
        .also_applied(published),
    session("spublish", 3, spublish)
        .keys(Keys::One(1))
        .samples(&["SPUBLISH channel message"])
        .always()
        .also_applied(spublished),
    session("subscribe", -2, subscribe).always().subscribes(),
    session("psubscribe", -2, psubscribe).always().subscribes(),
    session("ssubscribe", -2, ssubscribe).keys(Keys::Range(1, -1, 1)).always().subscribes(),
    session("unsubscribe", -1, unsubscribe).always().subscribes(),
    session("punsubscribe", -1, punsubscribe).always().subscribes(),
    session("sunsubscribe", -1, sunsubscribe).keys(Keys::Range(1, -1, 1)).always().subscribes(),
    container("pubsub", -2),
    session("pubsub channels", -2, channels).samples(&["PUBSUB CHANNELS", "PUBSUB CHANNELS a*"]).always(),
    session("pubsub numsub", -2, numsub).samples(&["PUBSUB NUMSUB", "PUBSUB NUMSUB a b"]).always(),
    session("pubsub numpat", 2, numpat).samples(&["PUBSUB NUMPAT"]).always(),
    session("pubsub shardchannels", -2, shard_channels).samples(&["PUBSUB SHARDCHANNELS"]).always(),
    session("pubsub shardnumsub", -2, shard_numsub).samples(&["PUBSUB SHARDNUMSUB a"]).always(),
    session("pubsub help", 2, help::help).always(),
];

/// By a client: answers how many of this server's clients got the message. Sentinel says hello this way.
fn publish(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    publish_to(Kind::Channel, cx, args, out)
}

fn spublish(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    publish_to(Kind::Shard, cx, args, out)
}

fn publish_to(kind: Kind, cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let (channel, message) = (args.require()?, args.require()?);
    let receivers = cx.server.hub.publish(kind, channel, message, cx.now);
    if cx.session.client().mailbox().has_mail() {
        cx.after = After::Deliver;
    }
    out.count(receivers);
    Ok(())
}

/// By the master: goes to this server's subscribers, and changes no data.
fn published(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    published_to(Kind::Channel, cx, args)
}

fn spublished(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    published_to(Kind::Shard, cx, args)
}

fn published_to(kind: Kind, cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (channel, message) = (args.require()?, args.require()?);
    cx.effects.message(kind, channel, message);
    Ok(())
}

fn subscribe(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    subscribe_to(Kind::Channel, "subscribe", cx, args, out)
}

fn psubscribe(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    subscribe_to(Kind::Pattern, "psubscribe", cx, args, out)
}

fn ssubscribe(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    // As redis 7.0: the other two may stand in a transaction.
    if cx.session.is_executing() {
        return Err(Refusal::text("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
    }
    subscribe_to(Kind::Shard, "ssubscribe", cx, args, out)
}

/// One reply per name, each in the form of a message. Messages may come behind them from then on.
fn subscribe_to(
    kind: Kind,
    word: &str,
    cx: &mut SessionCx<'_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Refusal> {
    let subscriber = cx.session.subscriber(&cx.server.hub);
    for name in args {
        if subscriber.subscribe(kind, name).is_err() {
            cx.session.subscriptions_changed();
            return Err(Refusal::text("ERR too many subscriptions of one client"));
        }
        confirm(word, Some(name), subscriber.shown(kind), out);
    }
    cx.session.subscriptions_changed();
    Ok(())
}

fn unsubscribe(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    unsubscribe_from(Kind::Channel, "unsubscribe", cx, args, out)
}

fn punsubscribe(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    unsubscribe_from(Kind::Pattern, "punsubscribe", cx, args, out)
}

fn sunsubscribe(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    unsubscribe_from(Kind::Shard, "sunsubscribe", cx, args, out)
}

/// One reply per name; without names, per subscription of this kind, or one with null if there is none. No message
/// of these names comes behind the replies.
fn unsubscribe_from(
    kind: Kind,
    word: &str,
    cx: &mut SessionCx<'_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Refusal> {
    let names: Vec<Box<[u8]>> =
        if args.is_empty() { cx.session.subscribed(kind) } else { args.map(Into::into).collect() };
    let subscriber = cx.session.subscriber(&cx.server.hub);
    let gone = names.iter().map(|name| {
        subscriber.unsubscribe(kind, name);
        subscriber.shown(kind)
    });
    let counts: Vec<usize> = gone.collect();
    let left = subscriber.shown(kind);
    // What was posted before it ended comes before the reply that says so.
    cx.session.deliver_mail(out);
    for (name, count) in names.iter().zip(counts) {
        confirm(word, Some(name), count, out);
    }
    if names.is_empty() {
        confirm(word, None, left, out);
    }
    cx.session.subscriptions_changed();
    Ok(())
}

fn confirm(word: &str, name: Option<&[u8]>, count: usize, out: &mut Reply) {
    out.push(3);
    out.bulk(word);
    out.bulk_or_null(name);
    out.count(count);
}

fn channels(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    names(Kind::Channel, "CHANNELS", cx, args, out)
}

fn shard_channels(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    names(Kind::Shard, "SHARDCHANNELS", cx, args, out)
}

fn names(
    kind: Kind,
    word: &str,
    cx: &mut SessionCx<'_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Refusal> {
    let pattern = args.optional();
    if !args.is_empty() {
        let word = args.word(1).map_or(word.into(), String::from_utf8_lossy);
        return Err(Refusal::text(format!(
            "ERR unknown subcommand or wrong number of arguments for '{word}'. Try PUBSUB HELP."
        )));
    }
    let names = cx.server.hub.names(kind, pattern);
    out.array(names.len());
    names.for_each(|name| out.bulk(name));
    Ok(())
}

fn numsub(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    counts(Kind::Channel, cx, args, out)
}

fn shard_numsub(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    counts(Kind::Shard, cx, args, out)
}

fn counts(kind: Kind, cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.array(args.remaining() * 2);
    for name in args {
        out.bulk(name);
        out.count(cx.server.hub.subscribers_of(kind, name));
    }
    Ok(())
}

fn numpat(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.count(cx.server.hub.counts().patterns);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::session::After;
    use crate::command::testing::{Bench, Session as Harness};

    #[test]
    fn subscribing_answers_in_the_form_of_messages() {
        let mut client = Harness::new(&[]);
        for (request, reply) in [
            ("SUBSCRIBE a b a", "*3 $9 subscribe $1 a :1 *3 $9 subscribe $1 b :2 *3 $9 subscribe $1 a :2 "),
            ("PSUBSCRIBE a*", "*3 $10 psubscribe $2 a* :3 "),
            ("SSUBSCRIBE s", "*3 $10 ssubscribe $1 s :1 "),
            ("PING", "*2 $4 pong $0  "),
            ("PING hi", "*2 $4 pong $2 hi "),
            ("UNSUBSCRIBE b nosuch", "*3 $11 unsubscribe $1 b :2 *3 $11 unsubscribe $6 nosuch :2 "),
            ("PUNSUBSCRIBE", "*3 $12 punsubscribe $2 a* :1 "),
            ("SUNSUBSCRIBE", "*3 $12 sunsubscribe $1 s :0 "),
            ("UNSUBSCRIBE", "*3 $11 unsubscribe $1 a :0 "),
            ("UNSUBSCRIBE", "*3 $11 unsubscribe $-1 :0 "),
            ("PING", "+PONG "),
        ] {
            assert_eq!(client.ask(request).replace("\r\n", " "), reply, "{request}");
        }
    }

    #[test]
    fn who_publishes_to_himself_gets_the_message_behind_the_reply() {
        let mut client = Harness::new(&[]);
        client.ask("HELLO 3");
        client.ask("SUBSCRIBE a");
        assert_eq!((client.ask("PUBLISH a m"), client.after()), (":1\r\n".into(), After::Deliver));
        assert_eq!(client.ask("PUBSUB NUMSUB a b"), "*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:0\r\n");
        let reply = client.ask("UNSUBSCRIBE a");
        assert_eq!(
            reply.replace("\r\n", " "),
            ">3 $7 message $1 a $1 m >3 $11 unsubscribe $1 a :0 ",
            "what was posted comes before the end"
        );
        assert_eq!((client.ask("PUBLISH a m"), client.after()), (":0\r\n".into(), After::Continue));
    }

    #[test]
    fn a_message_of_the_stream_needs_its_channel_and_its_text() {
        let mut bench = Bench::after(&["PUBLISH ch m", "spublish ch m"]);
        assert!(bench.apply("PUBLISH ch").is_err());
    }
}
