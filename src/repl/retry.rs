//! How long to wait before the next try, and when a master's stream is not to be trusted for now.

use crate::limits::{DISTRUSTED_COMMANDS_MAX, DIVERGED_PAUSE};
use std::time::Duration;

/// The first wait after a fault; doubles with each further one.
const FIRST: Duration = Duration::from_millis(100);
/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(15);
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
        spread(wait, random)
    }

    /// Forgets the faults (another master).
    pub fn reset(&mut self) {
        self.faults = 0;
    }
}

/// The wait of a replica that has diverged, spread in the same way: each try is a full sync.
pub fn diverged_pause(random: f64) -> Duration {
    spread(DIVERGED_PAUSE, random)
}

fn spread(wait: Duration, random: f64) -> Duration {
    wait.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

/// What to do after a command that could not be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Ask for a full resync with the usual back-off.
    Resync,
    /// A command failed again after a full resync, or too many different ones did: stay on the data that are there,
    /// marked diverged, and retry after a long pause, or a persistent fault becomes a storm of full resyncs.
    Diverged,
}

/// Remembers which commands could not be applied of late.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Distrust {
    commands: Vec<String>,
    diverged: bool,
}

impl Distrust {
    /// `command` could not be applied.
    pub fn unapplied(&mut self, command: &str) -> Verdict {
        let again = self.commands.iter().any(|known| known.eq_ignore_ascii_case(command));
        if !again && self.commands.len() < DISTRUSTED_COMMANDS_MAX {
            self.commands.push(command.to_owned());
            if !self.diverged {
                return Verdict::Resync;
            }
        }
        self.diverged = true;
        Verdict::Diverged
    }

    /// The link has been applying for long enough after a full resync, or has another master. Answers whether there was
    /// anything to forget.
    pub fn forget(&mut self) -> bool {
        std::mem::take(self) != Self::default()
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
        assert!(!distrust.forget());
        assert_eq!(distrust.unapplied("eval"), Verdict::Resync);
        assert_eq!(distrust.unapplied("EVAL"), Verdict::Diverged);
        assert_eq!(distrust.unapplied("set"), Verdict::Diverged, "as long as it is diverged");
        assert!(distrust.forget());
        assert_eq!(distrust.unapplied("set"), Verdict::Resync);
    }

    #[test]
    fn commands_that_fail_in_turn_are_a_divergence() {
        let mut distrust = Distrust::default();
        let verdicts = ["a", "b", "a"].map(|command| distrust.unapplied(command));
        assert_eq!(verdicts, [Verdict::Resync, Verdict::Resync, Verdict::Diverged]);
        let mut distrust = Distrust::default();
        let verdicts: Vec<_> =
            (0..=DISTRUSTED_COMMANDS_MAX).map(|n| distrust.unapplied(&format!("command-{n}"))).collect();
        assert_eq!(
            verdicts.iter().position(|verdict| *verdict == Verdict::Diverged),
            Some(DISTRUSTED_COMMANDS_MAX)
        );
    }

    #[test]
    fn a_diverged_one_waits_for_minutes() {
        assert_eq!((diverged_pause(0.0), diverged_pause(1.0)), (DIVERGED_PAUSE / 2, DIVERGED_PAUSE));
        assert!(DIVERGED_PAUSE / 2 > LONGEST * 4);
    }
}
