//! SLOWLOG: the last commands that took long. COMMANDLOG (as valkey 8.1): the same, and those with large requests or
//! replies.

use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::number;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use crate::status::CommandLog;

const COUNT_DEFAULT: usize = 10;
const BAD_COUNT: &str = "ERR count should be greater than or equal to -1";
const BAD_TYPE: &str = "ERR type should be one of the following: slow, large-request, large-reply";

/// `SLOWLOG GET [count]`: newest first; -1 is all.
pub(super) fn slowest(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let count = args.optional().map_or(Ok(COUNT_DEFAULT), count)?;
    args.end()?;
    show(&cx.server.status.slowlog, count, out);
    Ok(())
}

pub(super) fn slow_len(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.count(cx.server.status.slowlog.len());
    Ok(())
}

pub(super) fn slow_reset(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    cx.server.status.slowlog.clear();
    out.ok();
    Ok(())
}

/// `COMMANDLOG GET count type`: newest first; -1 is all.
pub(super) fn get(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let count = count(args.require()?)?;
    show(of_type(cx, args)?, count, out);
    Ok(())
}

/// `COMMANDLOG LEN type`
pub(super) fn len(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.count(of_type(cx, args)?.len());
    Ok(())
}

/// `COMMANDLOG RESET type`
pub(super) fn reset(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    of_type(cx, args)?.clear();
    out.ok();
    Ok(())
}

fn count(word: &[u8]) -> Result<usize, Refusal> {
    match number::parse_integer(word) {
        Some(-1) => Ok(usize::MAX),
        count => count.and_then(|count| usize::try_from(count).ok()).ok_or(Refusal::text(BAD_COUNT)),
    }
}

fn of_type<'a>(cx: &SessionCx<'a>, args: &mut Args<'_>) -> Result<&'a CommandLog, Refusal> {
    let status = &cx.server.status;
    let logs = [
        ("slow", &status.slowlog),
        ("large-request", &status.large_requests),
        ("large-reply", &status.large_replies),
    ];
    let found = logs.into_iter().find(|(name, _)| args.take(name));
    found.map(|(_, log)| log).ok_or(Refusal::text(BAD_TYPE))
}

fn show(log: &CommandLog, count: usize, out: &mut Reply) {
    let entries = log.newest(count);
    out.array(entries.len());
    for entry in entries {
        out.array(6);
        out.integer(i64::try_from(entry.id).unwrap_or(i64::MAX));
        out.integer(entry.at.0 / 1000);
        out.integer(i64::try_from(entry.value).unwrap_or(i64::MAX));
        out.array(entry.args.len());
        entry.args.iter().for_each(|word| out.bulk(word));
        out.bulk(&entry.client);
        out.bulk(&entry.name);
    }
}

#[cfg(test)]
mod tests {
    use crate::clock::UnixMs;
    use crate::command::testing::Session as Harness;

    #[test]
    fn entries_have_six_fields() {
        let mut client = Harness::new(&[]);
        assert_eq!(client.ask("SLOWLOG GET"), "*0\r\n");
        let words = [&b"KEYS"[..], b"*"];
        client.server().status.slowlog.push(9, UnixMs(5_000), 70, words.into_iter(), "1.2.3.4:5", b"me");
        let entry =
            "*1\r\n*6\r\n:0\r\n:5\r\n:70\r\n*2\r\n$4\r\nKEYS\r\n$1\r\n*\r\n$9\r\n1.2.3.4:5\r\n$2\r\nme\r\n";
        assert_eq!(client.ask("SLOWLOG GET -1"), entry);
        assert_eq!(client.ask("SLOWLOG GET 0"), "*0\r\n");
        assert_eq!(client.ask("SLOWLOG LEN"), ":1\r\n");
        for wrong in ["-2", "x"] {
            let reply = client.ask(&format!("SLOWLOG GET {wrong}"));
            assert_eq!(reply, "-ERR count should be greater than or equal to -1\r\n");
        }
        assert_eq!(client.ask("SLOWLOG RESET"), "+OK\r\n");
        assert_eq!(client.ask("SLOWLOG LEN"), ":0\r\n");
    }

    #[test]
    fn each_type_is_a_log_of_its_own() {
        let mut client = Harness::new(&[]);
        let status = &client.server().status;
        for (log, value) in [(&status.slowlog, 1), (&status.large_requests, 2), (&status.large_replies, 3)] {
            log.push(9, UnixMs(5_000), value, [&b"PING"[..]].into_iter(), "1.2.3.4:5", b"me");
        }
        for (kind, value) in [("slow", 1), ("LARGE-request", 2), ("large-reply", 3)] {
            let entry =
                format!("*1\r\n*6\r\n:0\r\n:5\r\n:{value}\r\n*1\r\n$4\r\nPING\r\n$9\r\n1.2.3.4:5\r\n$2\r\nme\r\n");
            assert_eq!(client.ask(&format!("COMMANDLOG GET -1 {kind}")), entry);
        }
        assert_eq!(client.ask("COMMANDLOG RESET slow"), "+OK\r\n");
        assert_eq!(client.ask("SLOWLOG LEN"), ":0\r\n");
        assert_eq!(client.ask("COMMANDLOG LEN large-reply"), ":1\r\n");
    }
}
