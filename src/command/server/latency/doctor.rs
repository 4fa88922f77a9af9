//! LATENCY DOCTOR: what the spikes were and what to do about them, in the servers' words.
//!
//! Advice about forks, AOF, eviction and huge pages is left out: its causes do not exist here.

use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::config::Config;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use crate::status::{LatencySeries, Spike};

/// What each family says otherwise.
struct Wording {
    family: &'static str,
    cli: &'static str,
    site: &'static str,
    /// Behind "is disabled".
    disabled: &'static str,
    /// Around "latency spikes ... in this server".
    spikes: (&'static str, &'static str),
    /// Around "no latency spike was observed".
    none: (&'static str, &'static str),
    advice: &'static str,
}

static REDIS: Wording = Wording {
    family: "Redis",
    cli: "redis-cli",
    site: "https://redis.io/commands/slowlog",
    disabled: " If we weren't in a deep space mission I'd suggest to take a look at \
               https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency-monitor.",
    spikes: ("Dave, I have observed latency spikes in", " You don't mind talking about it, do you Dave?"),
    none: (
        "Dave, no",
        " I honestly think you ought to sit down calmly, take a stress pill, and think things over.",
    ),
    advice: "I have a few advices for you:",
};

static VALKEY: Wording = Wording {
    family: "Valkey",
    cli: "valkey-cli",
    site: "https://valkey.io/commands/slowlog",
    disabled: "",
    spikes: ("Latency spikes are observed in", ""),
    none: ("No", ""),
    advice: "Here is some advice for you:",
};

pub(in crate::command::server) fn doctor(
    cx: &mut SessionCx<'_>,
    _: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Refusal> {
    let wording = if cx.dialect().is_valkey() { &VALKEY } else { &REDIS };
    let events = cx.server.status.latency.all();
    out.verbatim("txt", wording.report(&events, &cx.server.config.get(), UnixMs::now().0 / 1000));
    Ok(())
}

impl Wording {
    fn report(&self, events: &[(Spike, LatencySeries)], config: &Config, now_s: i64) -> String {
        let Self { family, disabled, spikes, none, .. } = self;
        if events.is_empty() && config.latency_monitor_threshold_ms == 0 {
            return format!(
                "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this {family} instance. You may \
                 use \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable it.{disabled}\n"
            );
        }
        if events.is_empty() {
            let (begin, end) = none;
            return format!(
                "{begin} latency spike was observed during the lifetime of this {family} instance, not in the \
                 slightest bit.{end}\n"
            );
        }
        let (begin, end) = spikes;
        let mut text = format!("{begin} this {family} instance.{end}\n\n");
        for (index, (spike, series)) in events.iter().enumerate() {
            let line = Figures::of(series, now_s).line(index + 1, spike.name(), series.max_ms);
            text.push_str(&line);
        }
        let advice = self.advice(events, config);
        format!("{text}\n{}\n\n{advice}", self.advice)
    }

    /// In the order of the servers.
    fn advice(&self, events: &[(Spike, LatencySeries)], config: &Config) -> String {
        let has = |wanted: Spike| events.iter().any(|(spike, _)| *spike == wanted);
        let mut text = String::new();
        if has(Spike::Command) {
            text += &self.slowlog(config);
        }
        if has(Spike::FastCommand) {
            text += &self.scheduler();
        }
        if has(Spike::Command) {
            text.push_str(
                "- Deleting, expiring or evicting (because of maxmemory policy) large objects is a blocking operation. \
                 If you have very large objects that are often deleted, expired, or evicted, try to fragment those \
                 objects into multiple smaller objects.\n",
            );
        }
        text
    }

    fn slowlog(&self, config: &Config) -> String {
        let Self { family, site, .. } = self;
        let threshold_ms = config.latency_monitor_threshold_ms;
        let threshold_us = threshold_ms.saturating_mul(1000);
        let settings = match u64::try_from(config.slowlog_log_slower_than_us) {
            Ok(slow_us) if config.slowlog_max_len > 0 && slow_us / 1000 <= threshold_ms => String::new(),
            Ok(_) if config.slowlog_max_len > 0 => format!(
                "- Your current Slow Log configuration only logs events that are slower than your configured latency \
                 monitor threshold. Please use 'CONFIG SET slowlog-log-slower-than {threshold_us}'.\n"
            ),
            _ => format!(
                "- There are latency issues with potentially slow commands you are using. Try to enable the Slow Log \
                 {family} feature using the command 'CONFIG SET slowlog-log-slower-than {threshold_us}'. If the Slow \
                 log is disabled {family} is not able to log slow commands execution for you.\n"
            ),
        };
        format!(
            "{settings}- Check your Slow Log to understand what are the commands you are running which are too slow to \
             execute. Please check {site} for more information.\n"
        )
    }

    fn scheduler(&self) -> String {
        let Self { family, cli, .. } = self;
        format!(
            "- The system is slow to execute {family} code paths not containing system calls. This usually means the \
             system does not provide {family} CPU time to run for long periods. You should try to:\n  \
             1) Lower the system load.\n  \
             2) Use a computer / VM just for {family} if you are running other software in the same system.\n  \
             3) Check if you have a \"noisy neighbour\" problem.\n  \
             4) Check with '{cli} --intrinsic-latency 100' what is the intrinsic latency in your system.\n  \
             5) Check if the problem is allocator-related by recompiling {family} with MALLOC=libc, if you are using \
             Jemalloc. However this may create fragmentation problems.\n"
        )
    }
}

/// What is reckoned from the samples of an event, in whole milliseconds as by the servers.
#[derive(Debug, PartialEq, Eq)]
struct Figures {
    samples: u64,
    average_ms: u64,
    deviation_ms: u64,
    /// Seconds since the oldest sample, 1 at least.
    period_s: u64,
}

impl Figures {
    fn of(series: &LatencySeries, now_s: i64) -> Self {
        let samples = (series.samples.len() as u64).max(1);
        let average_ms = series.samples.iter().map(|sample| sample.ms).sum::<u64>() / samples;
        let deviation_ms =
            series.samples.iter().map(|sample| sample.ms.abs_diff(average_ms)).sum::<u64>() / samples;
        let oldest_s = series.samples.front().map_or(now_s, |sample| sample.at_s);
        let period_s = u64::try_from(now_s - oldest_s).unwrap_or(0).max(1);
        Self { samples, average_ms, deviation_ms, period_s }
    }

    fn line(&self, number: usize, event: &str, max_ms: u64) -> String {
        let Self { samples, average_ms, deviation_ms, period_s } = self;
        let period = *period_s as f64 / *samples as f64;
        format!(
            "{number}. {event}: {samples} latency spikes (average {average_ms}ms, mean deviation {deviation_ms}ms, \
             period {period:.2} sec). Worst all time event {max_ms}ms.\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::LatencySample;

    fn series(samples: &[(i64, u64)]) -> LatencySeries {
        let samples = samples.iter().map(|(at_s, ms)| LatencySample { at_s: *at_s, ms: *ms }).collect();
        LatencySeries { samples, max_ms: 99, sum_ms: 0, count: 0 }
    }

    #[test]
    fn an_event_is_summed_up_in_whole_milliseconds() {
        let figures = Figures::of(&series(&[(10, 10), (11, 20), (13, 36)]), 20);
        assert_eq!(figures, Figures { samples: 3, average_ms: 22, deviation_ms: 9, period_s: 10 });
        let line = "2. command: 3 latency spikes (average 22ms, mean deviation 9ms, period 3.33 sec). Worst all time \
                    event 99ms.\n";
        assert_eq!(figures.line(2, "command", 99), line);
        assert_eq!(Figures::of(&series(&[(20, 7)]), 20).period_s, 1);
    }

    #[test]
    fn advice_follows_the_events() {
        let config = Config { latency_monitor_threshold_ms: 5, ..Config::default() };
        let report = |spikes: &[Spike]| {
            let events: Vec<_> = spikes.iter().map(|spike| (*spike, series(&[(1, 7)]))).collect();
            VALKEY.report(&events, &config, 2)
        };
        let check = |spikes: &[Spike], expected: &[&str]| {
            let report = report(spikes);
            let heads = report.lines().filter(|line| line.starts_with("- ")).map(|line| &line[..12]);
            assert_eq!(heads.collect::<Vec<_>>(), expected);
        };
        let all = ["- Your curre", "- Check your", "- The system", "- Deleting, "];
        check(&[Spike::Command, Spike::FastCommand], &all);
        check(&[Spike::FastCommand], &all[2..3]);
    }
}
