//! When and how often a key was used: 24 bits per key, and the arithmetic on them.
//!
//! Comes in: the settings, what the master's snapshot carried, the time. Goes out: the stamp that a key gets when it is
//! made or used, and what a stamp says. It knows no keys and does not ask for the time.
//!
//! Stamps are those of the real servers, so that a change of `maxmemory-policy` makes of them what it does there: the
//! second of the last use (LRU), or its minute (16 bits) before a logarithmic counter (8 bits, LFU). Both clocks wrap.

use crate::clock::UnixMs;
use crate::config::{MaxmemoryPolicy, UseSettings};

/// Bits of a stamp, and the clock of seconds in it.
const STAMP_MASK: u32 = 0xff_ffff;
/// The clock of minutes.
const MINUTES_MASK: u32 = 0xffff;
/// A stamp up to so far ahead was made now: batches have their own time each, and clocks are set back at times.
const AHEAD_S_MAX: u32 = 3600;
const AHEAD_MINUTES_MAX: u32 = AHEAD_S_MAX / 60;
/// The counter of a new key, below which each use counts (as the servers).
const FREQUENCY_INITIAL: u8 = 5;

/// When or how often a key was used: 24 bits, of the statistic that was kept when it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp(u32);

/// What is kept of the use of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// When a key was last used: LRU.
    Idle,
    /// How often: LFU.
    Frequency,
}

/// How uses are recorded at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uses {
    /// What is kept.
    pub statistic: Statistic,
    /// The second and the minute of now, as wide as they are in a stamp.
    seconds: u32,
    minutes: u32,
    log_factor: u32,
    decay_minutes: u32,
}

impl Stamp {
    /// From its bits; those above 24 are left out.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits & STAMP_MASK)
    }

    /// Its 24 bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl UseSettings {
    /// The statistic that is kept, if the master's snapshot carried that one.
    pub fn statistic(self, carried: Option<Statistic>) -> Statistic {
        match self.policy {
            MaxmemoryPolicy::VolatileLfu | MaxmemoryPolicy::AllkeysLfu => Statistic::Frequency,
            MaxmemoryPolicy::NoEviction => carried.unwrap_or(Statistic::Idle),
            _ => Statistic::Idle,
        }
    }

    /// The statistic that goes into snapshots.
    pub fn passed_on(self, carried: Option<Statistic>) -> Option<Statistic> {
        match self.policy {
            MaxmemoryPolicy::NoEviction => carried,
            MaxmemoryPolicy::VolatileRandom | MaxmemoryPolicy::VolatileTtl | MaxmemoryPolicy::AllkeysRandom => {
                None
            }
            _ => Some(self.statistic(carried)),
        }
    }

    /// Whether this statistic is taken from a snapshot (as a replica of this policy).
    pub fn takes(self, statistic: Statistic) -> bool {
        self.statistic(Some(statistic)) == statistic
    }
}

impl Default for Uses {
    /// Before anybody has said what time it is.
    fn default() -> Self {
        Self::new(UseSettings::default(), None, UnixMs(0))
    }
}

impl Uses {
    /// By these settings, where the master's snapshot carried that statistic.
    #[inline]
    pub fn new(settings: UseSettings, carried: Option<Statistic>, now: UnixMs) -> Self {
        Self {
            statistic: settings.statistic(carried),
            seconds: (now.0 / 1000) as u32 & STAMP_MASK,
            minutes: (now.0 / 60_000) as u32 & MINUTES_MASK,
            log_factor: settings.lfu_log_factor,
            decay_minutes: settings.lfu_decay_minutes,
        }
    }

    /// The stamp of a key that is made now.
    pub fn fresh(&self) -> Stamp {
        match self.statistic {
            Statistic::Idle => Stamp(self.seconds),
            Statistic::Frequency => self.with_frequency(FREQUENCY_INITIAL),
        }
    }

    /// The stamp of a key that is used now, from the one that it had. Costs a comparison with `Idle`.
    #[inline]
    pub fn used(&self, before: Stamp) -> Stamp {
        match self.statistic {
            Statistic::Idle => Stamp(self.seconds),
            Statistic::Frequency => self.used_once_more(before),
        }
    }

    #[cold]
    fn used_once_more(&self, before: Stamp) -> Stamp {
        let counter = self.frequency(before);
        self.with_frequency(if self.grows(counter) { counter.saturating_add(1) } else { counter })
    }

    /// Whether this use makes a counter grow: the higher it is, the less likely.
    fn grows(&self, counter: u8) -> bool {
        let above = f64::from(counter.saturating_sub(FREQUENCY_INITIAL));
        counter < u8::MAX && fastrand::f64() * (above * f64::from(self.log_factor) + 1.0) < 1.0
    }

    /// The stamp of a key that was last used this many seconds ago. As valkey 9.1, more than the clock's 194 days wrap.
    pub fn with_idle(&self, seconds: u64) -> Stamp {
        Stamp::from_bits(self.seconds.wrapping_sub(seconds as u32))
    }

    /// The stamp of a key with this counter.
    pub fn with_frequency(&self, counter: u8) -> Stamp {
        Stamp::from_bits(self.minutes << 8 | u32::from(counter))
    }

    /// Seconds since the last use.
    pub fn idle_s(&self, stamp: Stamp) -> u32 {
        elapsed(self.seconds, stamp.0, STAMP_MASK, AHEAD_S_MAX)
    }

    /// The counter as of now: each `lfu-decay-time` without use takes one.
    pub fn frequency(&self, stamp: Stamp) -> u8 {
        let minutes = elapsed(self.minutes, stamp.0 >> 8, MINUTES_MASK, AHEAD_MINUTES_MAX);
        let periods = minutes.checked_div(self.decay_minutes).unwrap_or(0);
        let counter = (stamp.0 & 0xff) as u8;
        counter.saturating_sub(u8::try_from(periods).unwrap_or(u8::MAX))
    }
}

/// Time from `then` to `now` by a clock that wraps.
fn elapsed(now: u32, then: u32, mask: u32, ahead_max: u32) -> u32 {
    if then.wrapping_sub(now) & mask <= ahead_max { 0 } else { now.wrapping_sub(then) & mask }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MaxmemoryPolicy::{AllkeysLfu, AllkeysLru, AllkeysRandom, NoEviction, VolatileLfu, VolatileTtl};
    use Statistic::{Frequency, Idle};

    fn settings(policy: MaxmemoryPolicy) -> UseSettings {
        UseSettings { policy, ..UseSettings::default() }
    }

    fn uses(policy: MaxmemoryPolicy, second: i64) -> Uses {
        Uses::new(settings(policy), None, UnixMs(second * 1000))
    }

    #[test]
    fn a_policy_says_what_is_kept_passed_on_and_taken() {
        let check = |policy, carried, kept, passed_on| {
            let settings = settings(policy);
            assert_eq!(
                (settings.statistic(carried), settings.passed_on(carried)),
                (kept, passed_on),
                "{policy:?}"
            );
        };
        for carried in [None, Some(Idle), Some(Frequency)] {
            check(NoEviction, carried, carried.unwrap_or(Idle), carried);
            check(AllkeysLru, carried, Idle, Some(Idle));
            check(VolatileLfu, carried, Frequency, Some(Frequency));
            check(AllkeysRandom, carried, Idle, None);
        }
        let taken = |policy| [Idle, Frequency].map(|statistic| settings(policy).takes(statistic));
        assert_eq!(taken(NoEviction), [true, true]);
        assert_eq!(taken(AllkeysLfu), [false, true]);
        assert_eq!(taken(VolatileTtl), [true, false]);
    }

    #[test]
    fn idle_times_count_from_the_last_use_across_the_end_of_the_clock() {
        const WRAP: i64 = 1 << 24;
        for second in [5, 1_000_000, WRAP - 1, WRAP + 10, 1_795_854_153] {
            let now = uses(AllkeysLru, second);
            for idle in [0, 1, 1000, 5_000_000] {
                assert_eq!(u64::from(now.idle_s(now.with_idle(idle))), idle, "{second}");
            }
            let later = uses(AllkeysLru, second + 77);
            assert_eq!((later.idle_s(now.fresh()), later.idle_s(later.used(now.fresh()))), (77, 0));
            assert_eq!(now.idle_s(later.fresh()), 0, "a stamp of a batch that began later");
        }
        assert_eq!(uses(AllkeysLru, 0).idle_s(uses(AllkeysLru, 0).with_idle(99_999_999_999_999_999)), 9_043_967);
    }

    #[test]
    fn counters_decay_by_the_minute() {
        let at = |minute: i64, decay| {
            let settings = UseSettings { lfu_decay_minutes: decay, ..settings(AllkeysLfu) };
            Uses::new(settings, None, UnixMs(minute * 60_000))
        };
        for minute in [0, 70_000, 65_530] {
            let stamp = at(minute, 1).with_frequency(99);
            assert_eq!(
                [0, 1, 98, 99, 5000].map(|later| at(minute + later, 1).frequency(stamp)),
                [99, 98, 1, 0, 0]
            );
            assert_eq!((at(minute + 40, 20).frequency(stamp), at(minute + 5000, 0).frequency(stamp)), (97, 99));
            assert_eq!(at(minute - 1, 1).frequency(stamp), 99);
        }
    }

    #[test]
    fn counters_grow_with_the_logarithm_of_the_uses() {
        fastrand::seed(7);
        let grown = |log_factor, from, times: u32| {
            let settings = UseSettings { lfu_log_factor: log_factor, ..settings(AllkeysLfu) };
            let uses = Uses::new(settings, None, UnixMs(0));
            let stamp = (0..times).fold(uses.with_frequency(from), |stamp, _| uses.used(stamp));
            uses.frequency(stamp)
        };
        assert_eq!((grown(10, 0, 5), grown(10, 255, 9), grown(0, 5, 100), grown(0, 5, 1000)), (5, 255, 105, 255));
        // redis.conf of 7.0: a hundred hits make 10, a thousand 18, with factor 10.
        let mean = |times| (0..200).map(|_| f64::from(grown(10, 5, times))).sum::<f64>() / 200.0;
        let (hundred, thousand) = (mean(100), mean(1000));
        assert!((9.0..11.0).contains(&hundred) && (17.5..20.5).contains(&thousand), "{hundred} {thousand}");
        assert_eq!(uses(AllkeysLfu, 0).frequency(uses(AllkeysLfu, 0).fresh()), 5);
    }

    #[test]
    fn what_another_policy_left_is_read_as_it_is() {
        // What valkey 9.1 makes of an LFU stamp at this second: minute 46486, counter 99.
        let stamp = Stamp::from_bits(46_486 << 8 | 99);
        assert_eq!(uses(AllkeysLru, 1_795_854_156).idle_s(stamp), 5_568_745);
    }
}
