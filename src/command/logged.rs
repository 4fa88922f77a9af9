//! Which commands stand out enough for SLOWLOG and COMMANDLOG.
//!
//! Comes in: what was measured of one command that ran. Goes out: entries of the logs. Whoever runs commands measures.

use super::args::Args;
use super::clients::Client;
use super::session::Server;
use crate::clock::UnixMs;
use crate::config::Config;
use std::time::Duration;

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

/// From which measure on a command is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    busy: Duration,
    request_bytes: usize,
    reply_bytes: usize,
}

impl Thresholds {
    /// As the settings say; a negative one is never reached.
    pub fn new(config: &Config) -> Self {
        let bytes = |setting: i64| usize::try_from(setting).unwrap_or(usize::MAX);
        Self {
            busy: u64::try_from(config.slowlog_log_slower_than_us).map_or(Duration::MAX, Duration::from_micros),
            request_bytes: bytes(config.commandlog_request_larger_than),
            reply_bytes: bytes(config.commandlog_reply_larger_than),
        }
    }

    /// Is there a reason to log it?
    #[inline]
    pub fn are_reached(&self, measured: Measured) -> bool {
        measured.busy >= self.busy
            || measured.request_bytes >= self.request_bytes
            || measured.reply_bytes >= self.reply_bytes
    }

    /// Puts a command into each log that it belongs into.
    #[cold]
    pub fn log(&self, server: &Server, measured: Measured, words: &[&[u8]], client: &Client) {
        let (config, status, now) = (server.config.get(), &server.status, UnixMs::now());
        let busy_us = u64::try_from(measured.busy.as_micros()).unwrap_or(u64::MAX);
        let (request, reply) = (measured.request_bytes, measured.reply_bytes);
        let logs = [
            (measured.busy >= self.busy, &status.slowlog, config.slowlog_max_len, busy_us),
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
    }
}
