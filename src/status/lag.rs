//! How far the copy is behind, decided without I/O: from what masters have said of their offset, and when they were asked.
//!
//! Comes in: samples, and how far the stream is applied. Goes out: an upper bound of the age of the data. Both ends of
//! each difference are read from our own clock, so the clocks of master and replica need not agree. It knows no link.

use crate::limits::LAG_SAMPLES_MAX;
use crate::position::{Offset, ReplId};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How the age of the data is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Source {
    /// Not at all.
    #[default]
    Unknown,
    /// The master was asked: the data are so old at most.
    Probe,
    /// A replica was asked that does not say how far it is behind its own master: so old at most, by its data.
    Upstream,
    /// Nobody can be asked: the master has been silent for so long, which says nothing of what is on the way.
    LastIo,
}

impl Source {
    const ALL: [Self; 4] = [Self::Unknown, Self::Probe, Self::Upstream, Self::LastIo];

    /// The word in INFO, CLIENT STALENESS and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Probe => "probe",
            Self::Upstream => "upstream",
            Self::LastIo => "last-io",
        }
    }

    /// The source of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == word)
    }

    /// All of them.
    pub fn all() -> [Self; 4] {
        Self::ALL
    }
}

/// What whom we follow has said of its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LagSample {
    /// Whoever has its data up to `offset` has everything that was written before this moment. `None` if that cannot be
    /// told: it does not know how old its own data are.
    pub at: Option<Instant>,
    /// Whose offset it is.
    pub history: ReplId,
    /// Where it stood when it answered, which was later than it was asked.
    pub offset: Offset,
    /// What it lacks itself of its own master.
    pub behind_bytes: u64,
    /// What the bound is worth.
    pub source: Source,
}

/// The samples that still say something.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// Whose history the data are of.
    history: Option<ReplId>,
    /// Everything written before this moment is here.
    fresh: Option<(Instant, Source)>,
    /// The youngest sample.
    head: Option<LagSample>,
    /// Not reached yet, in the order in which they came.
    waiting: VecDeque<LagSample>,
}

impl Samples {
    /// The data are of this history now: the same data under the same or another id (`goes_on`), or other data. Samples of
    /// it count, however old they are. Others count no more, nor does what was known of another id or of other data.
    pub(super) fn enter(&mut self, history: ReplId, goes_on: bool) {
        if !goes_on || self.history != Some(history) {
            self.fresh = None;
        }
        self.history = Some(history);
        self.waiting.retain(|sample| sample.history == history);
    }

    /// Nothing is known any more: whoever is asked from now on is another.
    pub(super) fn clear(&mut self) {
        *self = Self { history: self.history, ..Self::default() };
    }

    /// A sample came. Those at the same offset are one, the youngest. If there are too many one is given up: what
    /// is left says less exactly, and no less truly, since when everything is here.
    pub(super) fn add(&mut self, sample: LagSample) {
        self.head = Some(sample);
        let Some(at) = sample.at else { return };
        if let Some(last) = self.waiting.back_mut()
            && (last.history, last.offset) == (sample.history, sample.offset)
        {
            *last = if last.at > Some(at) { *last } else { sample };
            return;
        }
        self.waiting.push_back(sample);
        if self.waiting.len() > LAG_SAMPLES_MAX {
            self.thin_out();
        }
    }

    /// Gives up the sample without which the gap between its neighbours is the shortest.
    fn thin_out(&mut self) {
        let gap = |at: usize| {
            let (before, behind) = (self.waiting.get(at.checked_sub(1)?)?.at?, self.waiting.get(at + 1)?.at?);
            Some(behind.saturating_duration_since(before))
        };
        let gaps = (0..self.waiting.len()).filter_map(|at| Some((gap(at)?, at)));
        if let Some((_, at)) = gaps.min() {
            self.waiting.remove(at);
        }
    }

    /// The stream is applied up to here.
    pub(super) fn settle(&mut self, applied: Offset) {
        let Some(history) = self.history else { return };
        let fresh = &mut self.fresh;
        self.waiting.retain(|sample| {
            let reached = sample.history == history && sample.offset <= applied;
            if let (true, Some(at)) = (reached, sample.at) {
                let younger = fresh.is_none_or(|(known, _)| known < at);
                *fresh = if younger { Some((at, sample.source)) } else { *fresh };
            }
            !reached
        });
    }

    /// So old are the data at most, and how that is known.
    pub(super) fn staleness(&self, now: Instant) -> Option<(Duration, Source)> {
        self.fresh.map(|(at, source)| (now.saturating_duration_since(at), source))
    }

    /// Bytes that were written and are not applied here, by the youngest sample of this history.
    pub(super) fn lag_bytes(&self, applied: Offset) -> Option<u64> {
        let head = self.head.filter(|head| Some(head.history) == self.history)?;
        Some(head.offset.advanced(head.behind_bytes).since(applied))
    }
}

/// How far the copy is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Lag {
    /// The age of the data, as far as `source` can tell; `None` if it cannot.
    pub staleness: Option<Duration>,
    /// What that is worth.
    pub source: Source,
    /// Bytes of the stream that the master had when last asked, or that came, and that are not applied here.
    pub bytes: u64,
}

/// `replica-max-lag-seconds` and `replica-max-lag-bytes`; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LagLimits {
    /// How old the data may be, seconds.
    pub seconds: u64,
    /// How many bytes of the stream may be missing.
    pub bytes: u64,
}

/// Why data are too stale to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stale {
    /// The link is down and `replica-serve-stale-data` is `no`.
    LinkDown = 1,
    /// `replica-max-lag-seconds` is exceeded.
    Seconds,
    /// `replica-max-lag-bytes` is exceeded.
    Bytes,
}

impl Stale {
    /// The setting that says so.
    pub fn setting(self) -> &'static str {
        match self {
            Self::LinkDown => "replica-serve-stale-data",
            Self::Seconds => "replica-max-lag-seconds",
            Self::Bytes => "replica-max-lag-bytes",
        }
    }
}

impl Lag {
    /// The limit that is exceeded. An age that is not known is beyond every limit.
    pub fn exceeds(&self, limits: LagLimits) -> Option<Stale> {
        let allowed = Duration::from_secs(limits.seconds);
        if limits.seconds > 0 && self.staleness.is_none_or(|staleness| staleness > allowed) {
            return Some(Stale::Seconds);
        }
        (limits.bytes > 0 && self.bytes > limits.bytes).then_some(Stale::Bytes)
    }

    /// The age in milliseconds, rounded up as it is a bound; -1 if it is not known.
    pub fn staleness_ms(&self) -> i64 {
        let rounded = |age: Duration| i64::try_from(age.as_micros().div_ceil(1000)).unwrap_or(i64::MAX);
        self.staleness.map_or(-1, rounded)
    }
}

/// For people: in log lines and the bodies of probes.
impl std::fmt::Display for Lag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.bytes;
        match (self.source, self.staleness.map(|staleness| staleness.as_secs_f64())) {
            (Source::LastIo, Some(age)) => {
                write!(f, "the master has been silent for {age:.1} s, {bytes} bytes behind")
            }
            (_, Some(age)) => write!(f, "the data may be {age:.1} s old, {bytes} bytes behind"),
            (_, None) => write!(f, "the age of the data is not known, {bytes} bytes behind"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const A: ReplId = ReplId::ZERO;

    fn b() -> ReplId {
        ReplId::parse(&[b'b'; 40]).expect("hex")
    }

    /// A timeline in seconds.
    struct Line(Instant, Samples);

    impl Line {
        fn new() -> Self {
            let mut line = Self(clock::instant(), Samples::default());
            line.1.enter(A, false);
            line
        }

        fn at(&self, second: u64) -> Instant {
            self.0 + Duration::from_secs(second)
        }

        fn add(&mut self, second: u64, history: ReplId, offset: u64) {
            let at = Some(self.at(second));
            let sample = LagSample { at, history, offset: Offset(offset), behind_bytes: 0, source: Source::Probe };
            self.1.add(sample);
        }

        fn staleness(&mut self, second: u64, applied: u64) -> Option<u64> {
            self.1.settle(Offset(applied));
            self.1.staleness(self.at(second)).map(|(staleness, _)| staleness.as_secs())
        }
    }

    #[test]
    fn the_age_is_the_time_since_the_youngest_sample_that_is_reached() {
        let mut line = Line::new();
        assert_eq!(line.staleness(0, 1000), None, "nobody was asked");
        line.add(10, A, 100);
        assert_eq!(line.staleness(10, 99), None);
        assert_eq!(line.staleness(10, 100), Some(0));
        assert_eq!(line.staleness(13, 100), Some(3), "it grows with the clock");
        line.add(11, A, 150);
        line.add(12, A, 200);
        line.add(13, A, 250);
        assert_eq!(line.staleness(14, 149), Some(4));
        assert_eq!(line.staleness(14, 201), Some(2), "two samples are reached at once");
        assert_eq!(line.staleness(14, 900), Some(1));
        assert_eq!(line.staleness(13, 100), Some(0), "what was reached stays reached");
    }

    #[test]
    fn an_idle_master_needs_one_sample() {
        let mut line = Line::new();
        (1..=1000).for_each(|second| line.add(second, A, 7));
        assert_eq!(line.1.waiting.len(), 1);
        assert_eq!(line.staleness(1001, 7), Some(1));
    }

    #[test]
    fn samples_of_another_history_do_not_count_until_it_is_ours() {
        let mut line = Line::new();
        line.add(1, A, 10);
        line.add(5, b(), 10);
        assert_eq!((line.staleness(6, 10), line.1.lag_bytes(Offset(4))), (Some(5), None));
        line.1.enter(b(), true);
        assert_eq!((line.staleness(6, 9), line.1.lag_bytes(Offset(4))), (None, Some(6)));
        assert_eq!(line.staleness(6, 10), Some(1), "asked before our data were of it");
        line.1.enter(b(), true);
        assert_eq!(line.staleness(7, 10), Some(2), "a partial resync");
        line.1.enter(b(), false);
        assert_eq!(line.staleness(7, 10), None, "a full one");
    }

    #[test]
    fn a_long_delay_is_told_less_exactly_and_in_bounded_memory() {
        let mut line = Line::new();
        let seconds = 50 * LAG_SAMPLES_MAX as u64;
        (1..=seconds).for_each(|second| line.add(second, A, second * 10));
        assert!(line.1.waiting.len() <= LAG_SAMPLES_MAX);
        // Applied is all that was written in the first half.
        let told = line.staleness(seconds, seconds * 5).expect("samples");
        let (least, most) = (seconds / 2, seconds / 2 + seconds * 4 / LAG_SAMPLES_MAX as u64);
        assert!((least..=most).contains(&told), "{told}, which is not between {least} and {most}");
        assert_eq!(line.1.lag_bytes(Offset(seconds * 5)), Some(seconds * 5));
    }

    #[test]
    fn who_is_behind_itself_adds_its_own() {
        let mut line = Line::new();
        let (at, source) = (Some(line.at(1)), Source::Upstream);
        line.1.add(LagSample { at, history: A, offset: Offset(50), behind_bytes: 25, source });
        line.1.settle(Offset(50));
        assert_eq!(line.1.lag_bytes(Offset(50)), Some(25));
        assert_eq!(line.1.staleness(line.at(4)), Some((Duration::from_secs(3), Source::Upstream)));
        line.1.add(LagSample { at: None, history: A, offset: Offset(60), behind_bytes: 0, source });
        assert_eq!((line.staleness(4, 60), line.1.lag_bytes(Offset(50))), (Some(3), Some(10)));
    }

    #[test]
    fn limits_are_exceeded_beyond_them_and_by_what_is_not_known() {
        let check = |staleness_ms: Option<u64>, bytes: u64, limits: (u64, u64), expected: Option<Stale>| {
            let lag = Lag { staleness: staleness_ms.map(Duration::from_millis), bytes, source: Source::Probe };
            let limits = LagLimits { seconds: limits.0, bytes: limits.1 };
            assert_eq!(lag.exceeds(limits), expected, "{lag} {limits:?}");
        };
        check(None, 1 << 40, (0, 0), None);
        check(Some(5000), 0, (5, 0), None);
        check(Some(5001), 0, (5, 0), Some(Stale::Seconds));
        check(None, 0, (5, 0), Some(Stale::Seconds));
        check(None, 10, (0, 10), None);
        check(None, 11, (0, 10), Some(Stale::Bytes));
        check(Some(6000), 11, (5, 10), Some(Stale::Seconds));
    }

    #[test]
    fn sources_are_read_as_they_are_written() {
        for source in Source::all() {
            assert_eq!(Source::parse(source.as_str()), Some(source));
        }
        assert_eq!(Source::parse("nosuch"), None);
    }
}
