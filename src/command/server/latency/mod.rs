//! LATENCY: spikes above `latency-monitor-threshold` by event, and how long commands take.
//!
//! Spikes come from the status, where `command::logged` puts them. Here they are shown.

mod doctor;
mod graph;

pub(super) use doctor::doctor;

use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::command::table;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use crate::status::{CommandTotals, LatencySeries};

/// Per event its name, its last sample and the longest of all time; valkey 9.1 adds the sum and the number of spikes.
pub(super) fn latest(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let is_valkey = cx.dialect().is_valkey();
    let events = cx.server.status.latency.all();
    out.array(events.len());
    for (spike, series) in events {
        let Some(last) = series.samples.back() else { continue };
        out.array(if is_valkey { 6 } else { 4 });
        out.bulk(spike.name());
        out.integer(last.at_s);
        integer(last.ms, out);
        integer(series.max_ms, out);
        if is_valkey {
            integer(series.sum_ms, out);
            integer(series.count, out);
        }
    }
    Ok(())
}

/// `LATENCY HISTORY event`: second and milliseconds of each sample, oldest first.
pub(super) fn history(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let series = find(cx, args.require()?).map(|(_, series)| series).unwrap_or_default();
    out.array(series.samples.len());
    for sample in series.samples {
        out.array(2);
        out.integer(sample.at_s);
        integer(sample.ms, out);
    }
    Ok(())
}

/// `LATENCY RESET [event ...]`: how many events were forgotten.
pub(super) fn reset(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let named: Vec<&[u8]> = args.collect();
    let is_named = |name: &str| named.iter().any(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    out.count(cx.server.status.latency.reset(|name| named.is_empty() || is_named(name)));
    Ok(())
}

/// `LATENCY GRAPH event`
pub(super) fn graph(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let name = args.require()?;
    let (event, series) = find(cx, name).ok_or_else(|| {
        Refusal::text(format!("ERR No samples available for event '{}'", String::from_utf8_lossy(name)))
    })?;
    out.verbatim("txt", graph::drawn(event, &series, UnixMs::now().0 / 1000));
    Ok(())
}

/// An event by its name, in this case of letters only (as redis 7.0).
fn find(cx: &SessionCx<'_>, name: &[u8]) -> Option<(&'static str, LatencySeries)> {
    let named = cx.server.status.latency.all().into_iter().map(|(spike, series)| (spike.name(), series));
    named.into_iter().find(|(known, _)| known.as_bytes() == name)
}

/// `LATENCY HISTOGRAM [command ...]`: per command its calls and, cumulated, how many took at most so many
/// microseconds. A container stands for its subcommands.
pub(super) fn histogram(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let wanted: Vec<String> =
        args.map(|name| String::from_utf8_lossy(name).to_lowercase().replace('|', " ")).collect();
    let tracked = cx.server.status.tracked_times();
    let is_wanted = |name: &str| {
        wanted.is_empty()
            || wanted
                .iter()
                .any(|w| name == w || name.strip_prefix(w.as_str()).is_some_and(|t| t.starts_with(' ')))
    };
    let found: Vec<_> =
        table::rows().zip(&tracked).filter(|(row, times)| times.calls > 0 && is_wanted(row.name)).collect();
    out.map(found.len());
    for (row, times) in found {
        out.bulk(row.name.replace(' ', "|"));
        write(times, out);
    }
    Ok(())
}

fn write(times: &CommandTotals, out: &mut Reply) {
    let mut cumulated = 0;
    let filled = times.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
    let bounds: Vec<(u64, u64)> = filled
        .map(|(index, count)| {
            cumulated += count;
            (CommandTotals::bound_usec(index), cumulated)
        })
        .collect();
    out.map(2);
    out.bulk("calls");
    integer(times.calls, out);
    out.bulk("histogram_usec");
    out.map(bounds.len());
    for (usec, count) in bounds {
        integer(usec, out);
        integer(count, out);
    }
}

fn integer(number: u64, out: &mut Reply) {
    out.integer(i64::try_from(number).unwrap_or(i64::MAX));
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
