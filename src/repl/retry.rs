//! How long to wait before the next try, and when a master's stream is not to be trusted for now.

use std::time::Duration;

/// The first wait after a fault; doubles with each further one.
const FIRST: Duration = Duration::from_millis(100);
/// No wait is longer.
pub const LONGEST: Duration = Duration::from_secs(15);
/// A link that stood this long starts again with the first wait.
const STABLE: Duration = Duration::from_secs(10);

/// Exponential back-off with jitter.
#[derive(Debug, Default)]
pub struct Backoff {
    faults: u32,
}

impl Backoff {
    /// The wait after a fault of a link that had stood for `stood`. `random` in 0..1 spreads waits over the upper half
    /// of their length, so that replicas cut together do not return together.
    pub fn after_fault(&mut self, stood: Duration, random: f64) -> Duration {
        if stood >= STABLE {
            self.faults = 0;
        }
        let wait = FIRST.saturating_mul(1 << self.faults.min(16)).min(LONGEST);
        self.faults = self.faults.saturating_add(1);
        wait.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }

    /// Forgets the faults (another master).
    pub fn reset(&mut self) {
        self.faults = 0;
    }
}

/// What to do after a command that could not be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Ask for a full resync with the usual back-off.
    Resync,
    /// The same command failed again after a full resync: stay on the old data, marked diverged, and retry with the
    /// longest wait, or a persistent fault becomes a storm of full resyncs.
    Diverged,
}

/// Remembers which command could not be applied last.
#[derive(Debug, Default)]
pub struct Distrust {
    command: Option<String>,
}

impl Distrust {
    /// `command` could not be applied.
    pub fn unapplied(&mut self, command: &str) -> Verdict {
        let again = self.command.as_deref() == Some(command);
        self.command = Some(command.to_owned());
        if again { Verdict::Diverged } else { Verdict::Resync }
    }

    /// The link has been applying for long enough after a full resync, or has another master.
    pub fn forget(&mut self) {
        self.command = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_start_anew_after_a_stable_time() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..10).map(|_| backoff.after_fault(Duration::ZERO, 1.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 15000, 15000]);
        assert_eq!(backoff.after_fault(Duration::ZERO, 0.0), LONGEST / 2);
        assert_eq!(backoff.after_fault(STABLE, 1.0), FIRST);
    }

    #[test]
    fn the_second_failure_of_a_command_is_a_divergence() {
        let mut distrust = Distrust::default();
        assert_eq!(distrust.unapplied("eval"), Verdict::Resync);
        assert_eq!(distrust.unapplied("eval"), Verdict::Diverged);
        assert_eq!(distrust.unapplied("set"), Verdict::Resync);
        distrust.forget();
        assert_eq!(distrust.unapplied("set"), Verdict::Resync);
    }
}
