//! LATENCY: how long commands take. There is no fork, no disk and no expiry cycle here whose spikes a latency
//! monitor would record, so LATEST and HISTORY are empty; HISTOGRAM is real.

use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::command::table;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use crate::status::CommandTotals;

pub(super) fn latest(_: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.array(0);
    Ok(())
}

pub(super) fn history(_: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.array(0);
    Ok(())
}

pub(super) fn reset(_: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.integer(0);
    Ok(())
}

/// What the servers answer while `latency-monitor-threshold` is 0: there is no such setting here.
pub(super) fn doctor(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let (name, more) = if cx.dialect().is_valkey() {
        ("Valkey", "")
    } else {
        (
            "Redis",
            " If we weren't in a deep space mission I'd suggest to take a look at \
             https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency-monitor.",
        )
    };
    out.verbatim(
        "txt",
        format!(
            "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this {name} instance. You may use \
             \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable it.{more}\n"
        ),
    );
    Ok(())
}

pub(super) fn graph(_: &mut SessionCx<'_>, args: &mut Args<'_>, _: &mut Reply) -> Result<(), Refusal> {
    let event = String::from_utf8_lossy(args.require()?).into_owned();
    Err(Refusal::text(format!("ERR No samples available for event '{event}'")))
}

/// `LATENCY HISTOGRAM [command ...]`: per command its calls and, cumulated, how many took at most so many
/// microseconds. A container stands for its subcommands.
pub(super) fn histogram(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let wanted: Vec<String> =
        args.map(|name| String::from_utf8_lossy(name).to_lowercase().replace('|', " ")).collect();
    let totals = cx.server.status.totals();
    let is_wanted = |name: &str| {
        wanted.is_empty()
            || wanted
                .iter()
                .any(|w| name == w || name.strip_prefix(w.as_str()).is_some_and(|t| t.starts_with(' ')))
    };
    let found: Vec<_> =
        table::rows().zip(&totals.commands).filter(|(row, stat)| stat.calls > 0 && is_wanted(row.name)).collect();
    out.map(found.len());
    for (row, stat) in found {
        out.bulk(row.name.replace(' ', "|"));
        write(stat, out);
    }
    Ok(())
}

fn write(stat: &CommandTotals, out: &mut Reply) {
    let mut cumulated = 0;
    let bounds: Vec<(u64, u64)> = stat
        .buckets
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .map(|(index, count)| {
            cumulated += count;
            (CommandTotals::bound_usec(index), cumulated)
        })
        .collect();
    out.map(2);
    out.bulk("calls");
    out.integer(i64::try_from(stat.calls).unwrap_or(i64::MAX));
    out.bulk("histogram_usec");
    out.map(bounds.len());
    for (usec, count) in bounds {
        out.integer(i64::try_from(usec).unwrap_or(i64::MAX));
        out.integer(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use crate::command::table;
    use crate::command::testing::Session as Harness;

    #[test]
    fn the_histogram_counts_calls_up_to_each_bound() {
        let mut client = Harness::new(&[]);
        let stats = client.server().status.add_worker(table::rows().len());
        let index = |name: &str| table::rows().position(|row| row.name == name).expect("a row");
        [900, 1_500, 30_000, 31_000].into_iter().for_each(|ns| stats.ran(index("ping"), ns));
        stats.ran(index("client id"), 500);
        let ping = "$4\r\nping\r\n*4\r\n$5\r\ncalls\r\n:4\r\n$14\r\nhistogram_usec\r\n\
                    *6\r\n:1\r\n:1\r\n:2\r\n:2\r\n:33\r\n:4\r\n";
        assert_eq!(client.ask("LATENCY HISTOGRAM ping nosuch"), format!("*2\r\n{ping}"));
        assert!(client.ask("LATENCY HISTOGRAM client").starts_with("*2\r\n$9\r\nclient|id\r\n"));
        assert!(client.ask("LATENCY HISTOGRAM").starts_with("*4\r\n"));
    }
}
