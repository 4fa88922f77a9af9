//! Which commands stand out enough for SLOWLOG, COMMANDLOG and the spikes of LATENCY.
//!
//! Comes in: what was measured of one command that ran. Goes out: entries of the logs, samples of spikes. Whoever runs
//! commands measures.

use super::args::Args;
use super::clients::Client;
use super::facts::Facts;
use super::row::Row;
use super::session::Server;
use crate::clock::{self, UnixMs};
use crate::config::Config;
use crate::status::{LatencyEvents, Spike};
use std::time::{Duration, Instant};

/// What was measured of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// How long it ran.
    pub busy: Duration,
    /// Bytes of its request on the wire.
    pub request_bytes: usize,
    /// Bytes of its reply, 0 if none is sent.
    pub reply_bytes: usize,
}

/// From which measure on a command is logged, or is a spike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// The smaller of the two that follow: a command that does not stand out costs one comparison of its time.
    busy: Duration,
    slow: Duration,
    spike: Duration,
    request_bytes: usize,
    reply_bytes: usize,
}

impl Thresholds {
    /// As the settings say; a negative one is never reached.
    pub fn new(config: &Config) -> Self {
        let bytes = |setting: i64| usize::try_from(setting).unwrap_or(usize::MAX);
        let slow = u64::try_from(config.slowlog_log_slower_than_us).map_or(Duration::MAX, Duration::from_micros);
        let spike = spikes_from(config);
        Self {
            busy: slow.min(spike),
            slow,
            spike,
            request_bytes: bytes(config.commandlog_request_larger_than),
            reply_bytes: bytes(config.commandlog_reply_larger_than),
        }
    }

    /// Is there a reason to keep it?
    #[inline]
    pub fn are_reached(&self, measured: Measured) -> bool {
        measured.busy >= self.busy
            || measured.request_bytes >= self.request_bytes
            || measured.reply_bytes >= self.reply_bytes
    }

    /// Keeps a command's time if it is a spike; `None` is a command without a row.
    #[inline]
    pub fn sample(&self, events: &LatencyEvents, row: Option<&Row>, busy: Duration) {
        if busy >= self.spike {
            add(events, spike_of(row), busy);
        }
    }

    /// Puts a command into each log that it belongs into.
    #[cold]
    pub fn log(&self, server: &Server, measured: Measured, words: &[&[u8]], client: &Client) {
        let (config, status, now) = (server.config.get(), &server.status, UnixMs::now());
        let busy_us = u64::try_from(measured.busy.as_micros()).unwrap_or(u64::MAX);
        let (request, reply) = (measured.request_bytes, measured.reply_bytes);
        let logs = [
            (measured.busy >= self.slow, &status.slowlog, config.slowlog_max_len, busy_us),
            (
                request >= self.request_bytes,
                &status.large_requests,
                config.commandlog_large_request_max_len,
                request as u64,
            ),
            (
                reply >= self.reply_bytes,
                &status.large_replies,
                config.commandlog_large_reply_max_len,
                reply as u64,
            ),
        ];
        for (_, log, max, value) in logs.into_iter().filter(|(reached, ..)| *reached) {
            log.push(max, now, value, words.iter().copied(), &client.endpoint.addr, &client.names().name);
        }
    }
}

/// Spikes of the commands of the stream, taken along until the gate is left.
#[derive(Debug, Default)]
pub struct StreamSpikes {
    /// `None`: nothing is measured.
    from: Option<Duration>,
    found: Vec<(Spike, Duration)>,
}

impl StreamSpikes {
    /// Measures as the settings say.
    pub fn new(config: &Config) -> Self {
        Self { from: Some(spikes_from(config)).filter(|from| *from < Duration::MAX), found: Vec::new() }
    }

    /// A command, or a transaction, begins.
    #[inline]
    pub fn begin(&self) -> Option<Instant> {
        self.from.map(|_| clock::instant())
    }

    /// What began then has ended; a transaction is no row.
    #[inline]
    pub fn end(&mut self, began: Option<Instant>, row: Option<&Row>) {
        let (Some(began), Some(from)) = (began, self.from) else { return };
        let busy = began.elapsed();
        if busy >= from {
            self.found.push((spike_of(row), busy));
        }
    }

    /// Keeps what was found.
    pub fn keep(self, events: &LatencyEvents) {
        self.found.into_iter().for_each(|(spike, busy)| add(events, spike, busy));
    }
}

fn spikes_from(config: &Config) -> Duration {
    match config.latency_monitor_threshold_ms {
        0 => Duration::MAX,
        ms => Duration::from_millis(ms),
    }
}

fn spike_of(row: Option<&Row>) -> Spike {
    let is_fast = row.and_then(|row| Facts::of(row.name)).is_some_and(|facts| facts.has("fast"));
    if is_fast { Spike::FastCommand } else { Spike::Command }
}

#[cold]
fn add(events: &LatencyEvents, spike: Spike, busy: Duration) {
    events.add(spike, UnixMs::now().0 / 1000, u64::try_from(busy.as_millis()).unwrap_or(u64::MAX));
}

/// Bytes of a request on the wire, sent as an array. For one whose bytes are gone: it costs a walk over its words.
pub fn wire_bytes(args: &Args<'_>) -> usize {
    let header = |number: usize| 3 + number.checked_ilog10().unwrap_or(0) as usize + 1;
    header(args.word_count()) + args.words().map(|word| header(word.len()) + word.len() + 2).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::args::Span;

    #[test]
    fn the_size_on_the_wire_is_that_of_an_array_of_bulks() {
        let frame = b"*3\r\n$4\r\nECHO\r\n$0\r\n\r\n$10\r\n0123456789\r\n";
        let spans = [(8, 12), (18, 18), (25, 35)].map(|(start, end)| Span { start, end });
        assert_eq!(wire_bytes(&Args::new(frame, &spans, 1)), frame.len());
    }

    #[test]
    fn each_measure_has_its_threshold_and_none_is_no_threshold() {
        let measured = |busy, request_bytes, reply_bytes| Measured {
            busy: Duration::from_micros(busy),
            request_bytes,
            reply_bytes,
        };
        let mut config = Config { slowlog_log_slower_than_us: 5, ..Config::default() };
        config.commandlog_request_larger_than = 10;
        config.commandlog_reply_larger_than = 20;
        let thresholds = Thresholds::new(&config);
        assert!(!thresholds.are_reached(measured(4, 9, 19)));
        for reached in [measured(5, 0, 0), measured(0, 10, 0), measured(0, 0, 20)] {
            assert!(thresholds.are_reached(reached), "{reached:?}");
        }
        config.slowlog_log_slower_than_us = -1;
        config.commandlog_request_larger_than = -1;
        config.commandlog_reply_larger_than = -1;
        assert!(!Thresholds::new(&config).are_reached(measured(1 << 40, 1 << 40, 1 << 40)));
        config.latency_monitor_threshold_ms = 2;
        assert!(!Thresholds::new(&config).are_reached(measured(1999, 1 << 40, 1 << 40)));
        assert!(Thresholds::new(&config).are_reached(measured(2000, 0, 0)));
    }

    #[test]
    fn spikes_go_by_the_flag_of_the_command() {
        let events = LatencyEvents::default();
        let config = Config { latency_monitor_threshold_ms: 2, ..Config::default() };
        let thresholds = Thresholds::new(&config);
        let row = |name: &str| crate::command::table::find(name.as_bytes(), None).map(|(found, _)| found.row);
        for (name, us) in [("get", 2999), ("keys", 3000), ("hget", 1999)] {
            thresholds.sample(&events, row(name), Duration::from_micros(us));
        }
        thresholds.sample(&events, None, Duration::from_millis(9));
        let found: Vec<_> = events.all().into_iter().map(|(spike, series)| (spike, series.sum_ms)).collect();
        assert_eq!(found, [(Spike::Command, 12), (Spike::FastCommand, 2)]);

        let off = Thresholds::new(&Config::default());
        off.sample(&events, None, Duration::from_secs(1 << 40));
        assert!(StreamSpikes::new(&Config::default()).begin().is_none());
        assert_eq!(events.all()[0].1.count, 2);
    }
}
