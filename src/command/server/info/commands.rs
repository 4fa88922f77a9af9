//! Sections that count commands and errors by name.

use super::Text;
use crate::command::context::SessionCx;
use crate::command::table;
use crate::config::Percentile;
use crate::status::CommandTotals;

pub(super) fn commandstats(cx: &SessionCx<'_>, text: &mut Text) {
    let totals = cx.server.status.totals();
    let tells_of_failures = text.has("rejected_calls");
    for (row, stat) in table::rows().zip(&totals.commands) {
        if stat.calls == 0 && (stat.rejected == 0 || !tells_of_failures) {
            continue;
        }
        let per_call = if stat.calls == 0 { 0.0 } else { stat.usec() as f64 / stat.calls as f64 };
        let unsuccessful = if tells_of_failures {
            format!(",rejected_calls={},failed_calls={}", stat.rejected, stat.failed)
        } else {
            String::new()
        };
        text.field(
            &format!("cmdstat_{}", row.name.replace(' ', "|")),
            format_args!("calls={},usec={},usec_per_call={per_call:.2}{unsuccessful}", stat.calls, stat.usec()),
        );
    }
}

pub(super) fn errorstats(cx: &SessionCx<'_>, text: &mut Text) {
    for (code, count) in &cx.server.status.totals().errors {
        text.field(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

/// Times are known to a power of two: what is told is the longest time of the bucket in which the percentile falls.
/// Nothing while `latency-tracking` is off (as redis 7.0).
pub(super) fn latencystats(cx: &SessionCx<'_>, text: &mut Text) {
    let config = cx.server.config.get();
    if !config.latency_tracking {
        return;
    }
    for (row, times) in table::rows().zip(&cx.server.status.tracked_times()) {
        if times.calls == 0 {
            continue;
        }
        let percentiles = config.latency_tracking_info_percentiles.iter();
        let shown: Vec<String> =
            percentiles.map(|wanted| format!("p{wanted}={:.3}", percentile_usec(times, *wanted))).collect();
        text.field(&format!("latency_percentiles_usec_{}", row.name.replace(' ', "|")), shown.join(","));
    }
}

/// The time, microseconds, within which so many of the calls ended.
fn percentile_usec(times: &CommandTotals, percentile: Percentile) -> f64 {
    let wanted = percentile.of(times.calls);
    let mut counted = 0;
    let bucket = times.buckets.iter().position(|count| {
        counted += count;
        counted >= wanted
    });
    CommandTotals::bound_ns(bucket.unwrap_or_default()) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use crate::command::table;
    use crate::command::testing::Session as Harness;

    #[test]
    fn percentiles_are_bounds_of_buckets() {
        let mut client = Harness::new(&[]);
        let stats = client.server().status.add_worker(table::rows().len());
        let index = table::rows().position(|row| row.name == "client id").expect("a row");
        (0..99).for_each(|_| stats.ran(index, 900));
        stats.ran(index, 30_000);
        let text = client.ask("INFO latencystats");
        let line = "# Latencystats\r\nlatency_percentiles_usec_client|id:p50=1.032,p99=1.032,p99.9=33.024\r\n";
        assert!(text.contains(line), "{text}");
        assert_eq!(client.ask("CONFIG SET latency-tracking-info-percentiles 99.99"), "+OK\r\n");
        assert!(client.ask("INFO latencystats").contains("client|id:p99.99=33.024\r\n"));
        assert_eq!(client.ask("CONFIG SET latency-tracking no"), "+OK\r\n");
        assert!(client.ask("INFO latencystats").ends_with("# Latencystats\r\n\r\n"));
    }
}
