//! How far the copy is behind, as others see it. The probe and the link write, everybody reads.
//!
//! Whether the limits are exceeded is one word that is written some times a second ([`Freshness::judge`]) and read once
//! in each batch of requests.

use super::LinkStatus;
use super::lag::{Lag, LagLimits, LagSample, Samples, Source, Stale};
use crate::clock::UnixMs;
use crate::position::ReplId;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What the probe does.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Probing {
    /// Nothing: `repl-lag-probe-interval-ms 0`.
    #[default]
    Off,
    /// Asks, or would if there were a link.
    Asking,
    /// It may not ask, and why.
    Refused(String),
}

/// What is known of the lag.
#[derive(Debug, Default)]
pub struct Freshness {
    known: Mutex<Known>,
    exceeded: AtomicU8,
}

#[derive(Debug, Default)]
struct Known {
    samples: Samples,
    probing: Probing,
    /// Why the last question was not answered.
    error: Option<String>,
}

impl Freshness {
    /// What the probe does from now on. What others have said counts no more unless it `goes_on` with the same master.
    pub fn set_probing(&self, probing: Probing, goes_on: bool) {
        let mut known = self.known.lock();
        if !goes_on || probing != Probing::Asking {
            known.samples.clear();
        }
        known.error = match &probing {
            Probing::Refused(why) => Some(why.clone()),
            _ => None,
        };
        known.probing = probing;
    }

    /// A question was answered.
    pub fn sampled(&self, sample: LagSample, link: &LinkStatus) {
        let mut known = self.known.lock();
        known.error = None;
        known.samples.add(sample);
        known.samples.settle(link.applied());
    }

    /// A question was not answered, or the answer says nothing.
    pub fn failed(&self, why: String) {
        self.known.lock().error = Some(why);
    }

    /// Why the last question was not answered.
    pub fn error(&self) -> Option<String> {
        self.known.lock().error.clone()
    }

    /// The data are of this history from now on; `moved` tells the status where they stand in it. Both at once for
    /// whoever reads: an offset of one history is never compared with a sample of the other.
    pub(super) fn enter(&self, history: ReplId, goes_on: bool, moved: impl FnOnce()) {
        let mut known = self.known.lock();
        known.samples.enter(history, goes_on);
        moved();
    }

    /// How far the copy is behind.
    pub(super) fn lag(&self, link: &LinkStatus, now: Instant, unix: UnixMs) -> Lag {
        let mut known = self.known.lock();
        let applied = link.applied();
        let unapplied = link.received().since(applied);
        if known.probing != Probing::Asking {
            let staleness = silence(link, unix);
            let source = if staleness.is_some() { Source::LastIo } else { Source::Unknown };
            return Lag { staleness, source, bytes: unapplied };
        }
        known.samples.settle(applied);
        let bytes = known.samples.lag_bytes(applied).unwrap_or(0).max(unapplied);
        match known.samples.staleness(now) {
            Some((staleness, source)) => Lag { staleness: Some(staleness), source, bytes },
            None => Lag { staleness: None, source: Source::Unknown, bytes },
        }
    }

    /// Compares with the limits.
    pub(super) fn judge(&self, lag: &Lag, limits: LagLimits) {
        let word = lag.exceeds(limits).map_or(0, |stale| stale as u8);
        self.exceeded.store(word, Relaxed);
    }

    /// The limit that was exceeded when last looked at.
    pub(super) fn exceeded(&self) -> Option<Stale> {
        let word = self.exceeded.load(Relaxed);
        [Stale::Seconds, Stale::Bytes].into_iter().find(|stale| *stale as u8 == word)
    }
}

/// How long the master has been silent. While the stream does not flow, since when it does not: a snapshot that is being
/// received makes the old data no younger.
fn silence(link: &LinkStatus, now: UnixMs) -> Option<Duration> {
    let heard = link.last_io()?;
    let since = if link.is_up() { heard } else { heard.min(link.down_since()?) };
    Some(Duration::from_millis(u64::try_from(now.0 - since.0).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::position::Offset;
    use crate::status::LinkPhase;

    fn link_at(received: u64, applied: u64) -> LinkStatus {
        let link = LinkStatus::default();
        link.set_received(Offset(received));
        link.set_applied(Offset(applied), 1);
        link
    }

    fn sample(at: Instant, offset: u64) -> LagSample {
        let (history, source) = (ReplId::ZERO, Source::Probe);
        LagSample { at: Some(at), history, offset: Offset(offset), behind_bytes: 0, source }
    }

    #[test]
    fn without_a_probe_only_the_masters_silence_is_known() {
        let (fresh, link, now) = (Freshness::default(), link_at(30, 20), clock::instant());
        let lag = |at: i64| {
            let lag = fresh.lag(&link, now, UnixMs(at));
            (lag.staleness_ms(), lag.source, lag.bytes)
        };
        assert_eq!(lag(5000), (-1, Source::Unknown, 10));
        link.read(1, UnixMs(4000));
        assert_eq!(lag(5000), (-1, Source::Unknown, 10), "a snapshot begins to come");
        link.set_phase(LinkPhase::Connected, UnixMs(4000));
        assert_eq!(lag(5000), (1000, Source::LastIo, 10));
        link.set_phase(LinkPhase::Connect, UnixMs(6000));
        link.read(1, UnixMs(9000));
        assert_eq!(lag(9000), (3000, Source::LastIo, 10), "another snapshot does not make the old data younger");
    }

    #[test]
    fn what_is_measured_counts_as_long_as_the_same_master_may_be_asked() {
        let (fresh, link, now) = (Freshness::default(), link_at(20, 20), clock::instant());
        link.set_phase(LinkPhase::Connected, UnixMs(1000));
        link.read(1, UnixMs(1000));
        fresh.set_probing(Probing::Asking, false);
        fresh.enter(ReplId::ZERO, false, || ());
        fresh.sampled(sample(now, 20), &link);
        fresh.sampled(sample(now + Duration::from_secs(1), 50), &link);
        let lag = |after_s| fresh.lag(&link, now + Duration::from_secs(after_s), UnixMs(7000));
        let told = |after_s| (lag(after_s).staleness_ms(), lag(after_s).source, lag(after_s).bytes);
        assert_eq!(told(3), (3000, Source::Probe, 30));
        fresh.failed("timed out".into());
        assert_eq!((told(4), fresh.error()), ((4000, Source::Probe, 30), Some("timed out".into())));
        fresh.set_probing(Probing::Asking, true);
        assert_eq!(told(4), (4000, Source::Probe, 30));
        fresh.set_probing(Probing::Refused("NOPERM".into()), true);
        assert_eq!((told(4), fresh.error()), ((6000, Source::LastIo, 0), Some("NOPERM".into())));
        fresh.set_probing(Probing::Asking, false);
        assert_eq!((told(4), fresh.error()), ((-1, Source::Unknown, 0), None));
    }

    #[test]
    fn the_verdict_is_the_last_one() {
        let fresh = Freshness::default();
        let limits = LagLimits { seconds: 5, bytes: 0 };
        let judge = |seconds| {
            let lag = Lag { staleness: Some(Duration::from_secs(seconds)), ..Lag::default() };
            fresh.judge(&lag, limits);
            fresh.exceeded()
        };
        assert_eq!((judge(5), judge(6), judge(1)), (None, Some(Stale::Seconds), None));
    }
}
