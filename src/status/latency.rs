//! Latency spikes by event, as the servers' latency monitor keeps them: per event a sample a second at most, the last
//! 160 of them, and what was seen in all. Whoever measures compares with `latency-monitor-threshold` first.

use parking_lot::Mutex;
use std::collections::VecDeque;

/// Samples that an event keeps (as redis 7.0).
const SAMPLES_MAX: usize = 160;

/// What was slow. The servers' other events are of what is not done here: fork, AOF, expiry, eviction, defragmentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spike {
    /// A command, of a client, of a script or of the master's stream.
    Command,
    /// A command that should be fast whatever it finds (flag FAST).
    FastCommand,
}

impl Spike {
    const ALL: [Self; 2] = [Self::Command, Self::FastCommand];

    /// The event's name, as the servers spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::FastCommand => "fast-command",
        }
    }
}

/// The worst of one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencySample {
    /// Which second, since 1970.
    pub at_s: i64,
    /// How long it took, milliseconds.
    pub ms: u64,
}

/// The samples of one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencySeries {
    /// Oldest first.
    pub samples: VecDeque<LatencySample>,
    /// The longest of all time, milliseconds.
    pub max_ms: u64,
    /// All spikes together, also those that were not the worst of their second, milliseconds.
    pub sum_ms: u64,
    /// How many they were.
    pub count: u64,
}

/// All events. For what is rare: each sample takes a lock.
#[derive(Debug, Default)]
pub struct LatencyEvents(Mutex<[LatencySeries; Spike::ALL.len()]>);

impl LatencyEvents {
    /// Something took so many milliseconds, in this second since 1970.
    pub fn add(&self, spike: Spike, at_s: i64, ms: u64) {
        self.0.lock()[spike as usize].add(LatencySample { at_s, ms });
    }

    /// The events that have samples.
    pub fn all(&self) -> Vec<(Spike, LatencySeries)> {
        let series = self.0.lock().clone();
        Spike::ALL.into_iter().zip(series).filter(|(_, series)| !series.samples.is_empty()).collect()
    }

    /// Forgets the events whose names `wanted` accepts; answers how many there were.
    pub fn reset(&self, wanted: impl Fn(&str) -> bool) -> usize {
        let mut all = self.0.lock();
        let found = Spike::ALL.into_iter().zip(all.iter_mut());
        let found = found.filter(|(spike, series)| !series.samples.is_empty() && wanted(spike.name()));
        found.map(|(_, series)| *series = LatencySeries::default()).count()
    }
}

impl LatencySeries {
    fn add(&mut self, sample: LatencySample) {
        self.max_ms = self.max_ms.max(sample.ms);
        self.sum_ms = self.sum_ms.saturating_add(sample.ms);
        self.count += 1;
        match self.samples.back_mut() {
            Some(last) if last.at_s == sample.at_s => last.ms = last.ms.max(sample.ms),
            _ => {
                if self.samples.len() == SAMPLES_MAX {
                    self.samples.pop_front();
                }
                self.samples.push_back(sample);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_keeps_its_worst_and_an_event_its_last_samples() {
        let events = LatencyEvents::default();
        for (at_s, ms) in [(1, 30), (1, 50), (1, 40), (2, 20)] {
            events.add(Spike::Command, at_s, ms);
        }
        events.add(Spike::FastCommand, 2, 7);
        let sample = |at_s, ms| LatencySample { at_s, ms };
        let command =
            LatencySeries { samples: [sample(1, 50), sample(2, 20)].into(), max_ms: 50, sum_ms: 140, count: 4 };
        let fast = LatencySeries { samples: [sample(2, 7)].into(), max_ms: 7, sum_ms: 7, count: 1 };
        assert_eq!(events.all(), [(Spike::Command, command), (Spike::FastCommand, fast)]);

        (3..=200).for_each(|at_s| events.add(Spike::Command, at_s, 1));
        let (_, command) = events.all().remove(0);
        assert_eq!((command.samples.len(), command.max_ms), (SAMPLES_MAX, 50));
        assert_eq!((command.samples[0], command.samples[SAMPLES_MAX - 1]), (sample(41, 1), sample(200, 1)));
    }

    #[test]
    fn a_reset_counts_the_events_that_had_samples() {
        let events = LatencyEvents::default();
        events.add(Spike::Command, 1, 1);
        events.add(Spike::FastCommand, 1, 1);
        assert_eq!(events.reset(|name| name == "command"), 1);
        assert_eq!(events.reset(|name| name == "command"), 0);
        assert_eq!(events.reset(|_| true), 1);
        assert!(events.all().is_empty());
    }
}
