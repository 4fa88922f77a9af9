//! SLOWLOG: the last commands that took long.

use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::number;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

const COUNT_DEFAULT: usize = 10;

/// `SLOWLOG GET [count]`: newest first; -1 is all.
pub(super) fn get(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let count = match args.optional().map(number::parse_integer) {
        None => COUNT_DEFAULT,
        Some(Some(-1)) => usize::MAX,
        Some(count) => count
            .and_then(|count| usize::try_from(count).ok())
            .ok_or(Refusal::text("ERR count should be greater than or equal to -1"))?,
    };
    args.end()?;
    let entries = cx.server.status.slowlog.newest(count);
    out.array(entries.len());
    for entry in entries {
        out.array(6);
        out.integer(i64::try_from(entry.id).unwrap_or(i64::MAX));
        out.integer(entry.at.0 / 1000);
        out.integer(i64::try_from(entry.usec).unwrap_or(i64::MAX));
        out.array(entry.args.len());
        entry.args.iter().for_each(|word| out.bulk(word));
        out.bulk(&entry.client);
        out.bulk(&entry.name);
    }
    Ok(())
}

pub(super) fn len(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.count(cx.server.status.slowlog.len());
    Ok(())
}

pub(super) fn reset(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    cx.server.status.slowlog.clear();
    out.ok();
    Ok(())
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
}
