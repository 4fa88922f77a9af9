//! CLIENT TRACKING and its kin: client-side caching, as redis 8.0.

use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::hub::{Mailbox, Tracker, TrackingOptions};
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use std::collections::BTreeSet;
use std::sync::Arc;

const SWITCHED_BCAST: &str = "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and \
                              then re-enabling it with a different mode.";
const SWITCHED_OPT: &str = "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
                            re-enabling it with a different mode.";

/// What the words behind ON say.
#[derive(Default)]
struct Asked<'a> {
    options: TrackingOptions,
    redirect: Option<Arc<Mailbox>>,
    prefixes: Vec<&'a [u8]>,
}

/// `CLIENT TRACKING ON|OFF [REDIRECT id] [PREFIX prefix ...] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]`
pub(super) fn tracking(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let switch = args.require()?;
    let asked = Asked::parse(cx, args)?;
    match switch.to_ascii_lowercase().as_slice() {
        b"on" => asked.begin(cx)?,
        b"off" => cx.session.track(None),
        _ => return Err(Refusal::SYNTAX),
    }
    out.ok();
    Ok(())
}

impl<'a> Asked<'a> {
    fn parse(cx: &SessionCx<'_>, args: &mut Args<'a>) -> Result<Self, Refusal> {
        let mut asked = Self::default();
        while !args.is_empty() {
            let more = args.remaining() > 1;
            if more && args.take("redirect") {
                asked.redirect_to(cx, args.integer()?)?;
            } else if more && args.take("prefix") {
                asked.prefixes.push(args.require()?);
            } else if args.take("bcast") {
                asked.options.bcast = true;
            } else if args.take("optin") {
                asked.options.optin = true;
            } else if args.take("optout") {
                asked.options.optout = true;
            } else if args.take("noloop") {
                asked.options.noloop = true;
            } else {
                return Err(Refusal::SYNTAX);
            }
        }
        Ok(asked)
    }

    fn redirect_to(&mut self, cx: &SessionCx<'_>, id: i64) -> Result<(), Refusal> {
        if self.redirect.is_some() {
            return Err(Refusal::text("ERR A client can only redirect to a single other client"));
        }
        let client = u64::try_from(id).ok().and_then(|id| cx.server.clients.get(id));
        let client = client.ok_or(Refusal::text("ERR The client ID you want redirect to does not exist"))?;
        self.options.redirect = client.id;
        self.redirect = Some(Arc::clone(client.mailbox()));
        Ok(())
    }

    /// The checks in the servers' order.
    fn begin(self, cx: &mut SessionCx<'_>) -> Result<(), Refusal> {
        let (options, before) = (&self.options, cx.session.tracker().map(Tracker::options));
        if !options.bcast && !self.prefixes.is_empty() {
            return Err(Refusal::text("ERR PREFIX option requires BCAST mode to be enabled"));
        }
        if before.is_some_and(|before| before.bcast != options.bcast) {
            return Err(Refusal::text(SWITCHED_BCAST));
        }
        if options.bcast && (options.optin || options.optout) {
            return Err(Refusal::text("ERR OPTIN and OPTOUT are not compatible with BCAST"));
        }
        if options.optin && options.optout {
            return Err(Refusal::text("ERR You can't specify both OPTIN mode and OPTOUT mode"));
        }
        if before.is_some_and(|before| options.optin && before.optout || options.optout && before.optin) {
            return Err(Refusal::text(SWITCHED_OPT));
        }
        let prefixes = self.prefixes(cx.session.tracker())?;
        match cx.session.tracker_mut() {
            Some(tracker) => tracker.change(self.options, self.redirect.as_ref(), prefixes),
            None => {
                let mailbox = cx.session.client().mailbox();
                let tracker =
                    Tracker::new(&cx.server.hub, mailbox, self.options, self.redirect.as_ref(), prefixes);
                cx.session.track(Some(tracker));
            }
        }
        Ok(())
    }

    /// The new ones; none may be the beginning of another or of one of before.
    fn prefixes(&self, before: Option<&Tracker>) -> Result<BTreeSet<Box<[u8]>>, Refusal> {
        let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
        let refused = |a: &[u8], which: &str, b: &[u8]| {
            let (a, b) = (String::from_utf8_lossy(a), String::from_utf8_lossy(b));
            Refusal::text(format!(
                "ERR Prefix '{a}' overlaps with {which} prefix '{b}'. Prefixes for a single client must not overlap."
            ))
        };
        for (at, prefix) in self.prefixes.iter().enumerate() {
            let kept = before.iter().flat_map(|tracker| tracker.prefixes());
            if let Some(other) = kept.into_iter().find(|other| overlap(prefix, other)) {
                return Err(refused(prefix, "an existing", other));
            }
            if let Some(other) = self.prefixes[at + 1..].iter().find(|other| overlap(prefix, other)) {
                return Err(refused(prefix, "another provided", other));
            }
        }
        let mut all: BTreeSet<Box<[u8]>> = self.prefixes.iter().map(|prefix| Box::from(*prefix)).collect();
        if self.options.bcast && self.prefixes.is_empty() {
            all.insert(Box::default());
        }
        Ok(all)
    }
}

/// `CLIENT CACHING YES|NO`: about the next command.
pub(super) fn caching(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let tracker = cx.session.tracker_mut().ok_or(Refusal::text(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
    ))?;
    let only = |answer: &str, mode: &str| {
        Refusal::text(format!(
            "ERR CLIENT CACHING {answer} is only valid when tracking is enabled in {mode} mode."
        ))
    };
    if args.take("yes") {
        if !tracker.options().optin {
            return Err(only("YES", "OPTIN"));
        }
    } else if args.take("no") {
        if !tracker.options().optout {
            return Err(only("NO", "OPTOUT"));
        }
    } else {
        return Err(Refusal::SYNTAX);
    }
    tracker.set_caching(true);
    out.ok();
    Ok(())
}

/// The client that messages go to: 0 is this one, -1 says that it does not track.
pub(super) fn getredir(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.integer(cx.session.client().mailbox().redirect());
    Ok(())
}

pub(super) fn trackinginfo(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let mailbox = cx.session.client().mailbox();
    let mut flags = Vec::new();
    match cx.session.tracker() {
        None => flags.push("off"),
        Some(tracker) => {
            let (options, caching) = (tracker.options(), tracker.is_caching());
            let all = [
                (true, "on"),
                (options.bcast, "bcast"),
                (options.optin, "optin"),
                (options.optin && caching, "caching-yes"),
                (options.optout, "optout"),
                (options.optout && caching, "caching-no"),
                (options.noloop, "noloop"),
                (mailbox.is_redirect_broken(), "broken_redirect"),
            ];
            flags.extend(all.iter().filter(|(on, _)| *on).map(|(_, flag)| *flag));
        }
    }
    out.map(3);
    out.bulk("flags");
    out.set(flags.len());
    flags.iter().for_each(|flag| out.bulk(flag));
    out.bulk("redirect");
    out.integer(mailbox.redirect());
    out.bulk("prefixes");
    let prefixes = cx.session.tracker().map(Tracker::prefixes);
    out.array(prefixes.map_or(0, BTreeSet::len));
    prefixes.into_iter().flatten().for_each(|prefix| out.bulk(prefix));
    Ok(())
}

/// `CLIENT UNBLOCK id [TIMEOUT|ERROR]`: ends the wait of another client; 1 if it waited.
pub(super) fn unblock(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let id = args.require()?;
    let with_error = match args.optional().map(<[u8]>::to_ascii_lowercase).as_deref() {
        None | Some(b"timeout") => false,
        Some(b"error") => true,
        Some(_) => return Err(Refusal::text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    args.end()?;
    let id = crate::number::parse_integer(id).ok_or(Refusal::NOT_AN_INTEGER)?;
    let client = u64::try_from(id).ok().and_then(|id| cx.server.clients.get(id));
    out.flag(client.is_some_and(|client| client.mailbox().unblock(with_error)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Session as Harness;

    fn check(lines: &[&str], request: &str, reply: &str) {
        let mut client = Harness::new(&[]);
        for line in lines {
            assert_eq!(client.ask(line), "+OK\r\n", "{line}");
        }
        assert_eq!(client.ask(request).replace("\r\n", " "), reply, "{lines:?} {request}");
    }

    #[test]
    fn tracking_says_what_it_does() {
        check(&[], "CLIENT TRACKINGINFO", "*6 $5 flags *1 $3 off $8 redirect :-1 $8 prefixes *0 ");
        check(&["CLIENT TRACKING ON"], "CLIENT GETREDIR", ":0 ");
        check(&["CLIENT TRACKING ON REDIRECT 1"], "CLIENT GETREDIR", ":1 ");
        check(
            &["CLIENT TRACKING ON BCAST PREFIX foo: PREFIX bar: NOLOOP", "CLIENT TRACKING ON BCAST PREFIX zed"],
            "CLIENT TRACKINGINFO",
            "*6 $5 flags *2 $2 on $5 bcast $8 redirect :0 $8 prefixes *3 $4 bar: $4 foo: $3 zed ",
        );
        check(
            &["CLIENT TRACKING ON OPTIN", "CLIENT CACHING YES"],
            "CLIENT TRACKINGINFO",
            "*6 $5 flags *3 $2 on $5 optin $11 caching-yes $8 redirect :0 $8 prefixes *0 ",
        );
        check(&["CLIENT TRACKING ON", "CLIENT TRACKING OFF"], "CLIENT GETREDIR", ":-1 ");
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let on = "CLIENT TRACKING ON";
        for (before, request, why) in [
            (None, "CLIENT TRACKING FOO", "-ERR syntax error"),
            (None, "CLIENT TRACKING ON FOO", "-ERR syntax error"),
            (None, "CLIENT TRACKING ON REDIRECT x", "-ERR value is not an integer"),
            (None, "CLIENT TRACKING ON REDIRECT 99", "-ERR The client ID you want redirect to"),
            (None, "CLIENT TRACKING ON PREFIX a", "-ERR PREFIX option requires BCAST"),
            (None, "CLIENT TRACKING ON OPTIN OPTOUT", "-ERR You can't specify both"),
            (None, "CLIENT TRACKING ON BCAST OPTIN", "-ERR OPTIN and OPTOUT are not compatible"),
            (
                None,
                "CLIENT TRACKING ON BCAST PREFIX a PREFIX ab",
                "-ERR Prefix 'a' overlaps with another provided",
            ),
            (None, "CLIENT CACHING YES", "-ERR CLIENT CACHING can be called only"),
            (Some(on), "CLIENT TRACKING ON BCAST", "-ERR You can't switch BCAST"),
            (Some("CLIENT TRACKING ON OPTIN"), "CLIENT TRACKING ON OPTOUT", "-ERR You can't switch OPTIN/OPTOUT"),
            (Some("CLIENT TRACKING ON OPTIN"), "CLIENT CACHING NO", "-ERR CLIENT CACHING NO is only valid"),
            (
                Some("CLIENT TRACKING ON BCAST PREFIX a"),
                "CLIENT TRACKING ON BCAST PREFIX ab",
                "-ERR Prefix 'ab' ov",
            ),
            (None, "CLIENT UNBLOCK x", "-ERR value is not an integer"),
            (None, "CLIENT UNBLOCK 1 FOO", "-ERR CLIENT UNBLOCK reason should be"),
            (None, "CLIENT UNBLOCK 1", ":0"),
        ] {
            let mut client = Harness::new(&[]);
            before.iter().for_each(|line| assert_eq!(client.ask(line), "+OK\r\n", "{line}"));
            let reply = client.ask(request);
            assert!(reply.starts_with(why), "{request}: {reply}");
        }
    }
}
