//! What the probes answer, decided without I/O.
//!
//! | probe | yes |
//! |---|---|
//! | `/live` | always: whoever answers is alive. It never depends on the master |
//! | `/startup` | a dataset was loaded and has been at the master's offset once. Never taken back |
//! | `/ready` | as `/startup`, and reads are answered with data that were the master's: not diverged, not older than `replica-max-lag-seconds` and `-bytes` allow, and the link is up or `replica-serve-stale-data` is `yes` |
//!
//! A link that is cut does not make a replica not ready as long as stale data may be served: next to an application, a
//! replica that is not ready takes the whole pod out of service, so one restart of the master would take out all of
//! them. Who wants readiness to follow the link says `replica-serve-stale-data no`, and reads are refused at the
//! same time as the probe.

use crate::clock::UnixMs;
use crate::status::{Stale, Status};
use std::time::Instant;

/// A probe's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Yes,
    /// And why not, for people.
    No(String),
}

/// `/startup`
pub(super) fn startup(status: &Status) -> Verdict {
    if status.is_caught_up() {
        return Verdict::Yes;
    }
    let why = if status.is_loaded() {
        "the dataset has not reached the master's offset yet"
    } else {
        "nothing is loaded yet"
    };
    Verdict::No(waiting(why, status))
}

/// `/ready`, at this time.
pub(super) fn ready(status: &Status, serve_stale: bool, now: Instant, unix: UnixMs) -> Verdict {
    let started = startup(status);
    if started != Verdict::Yes {
        return started;
    }
    if !status.is_loaded() {
        return Verdict::No(waiting("the old data were dropped and the new ones are not loaded yet", status));
    }
    if let Some(why) = status.diverged() {
        return Verdict::No(format!("the data are not the master's: {why}"));
    }
    match status.stale(serve_stale) {
        None => Verdict::Yes,
        Some(Stale::LinkDown) => {
            Verdict::No(waiting("the link is down and replica-serve-stale-data is no", status))
        }
        Some(stale) => {
            let lag = status.lag(now, unix);
            let why = format!("reads are refused by {}: {lag}", stale.setting());
            Verdict::No(waiting(&why, status))
        }
    }
}

fn waiting(why: &str, status: &Status) -> String {
    let link = &status.link;
    match link.last_error() {
        Some(error) => format!("{why}; link: {}, last error: {error}", link.phase().as_str()),
        None => format!("{why}; link: {}", link.phase().as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::status::{LagLimits, LinkPhase};

    #[test]
    fn the_probes_follow_the_table() {
        let status = Status::new(UnixMs(0));
        let check = |startup_yes: bool, ready_stale: bool, ready_strict: bool, when: &str| {
            assert_eq!(startup(&status) == Verdict::Yes, startup_yes, "{when}");
            let ready = |serve_stale| ready(&status, serve_stale, clock::instant(), UnixMs(9));
            assert_eq!(ready(true) == Verdict::Yes, ready_stale, "{when}");
            assert_eq!(ready(false) == Verdict::Yes, ready_strict, "{when}");
        };
        check(false, false, false, "at start");
        status.link.set_phase(LinkPhase::Sync, UnixMs(1));
        status.set_loaded();
        check(false, false, false, "loaded, not caught up");
        status.link.set_phase(LinkPhase::Connected, UnixMs(2));
        status.set_caught_up();
        check(true, true, true, "connected");
        let judge = |seconds| status.judge_lag(LagLimits { seconds, bytes: 0 }, clock::instant(), UnixMs(9));
        judge(1);
        check(true, false, false, "nobody knows how old the data are");
        judge(0);
        check(true, true, true, "without a limit");
        status.link.set_phase(LinkPhase::Connect, UnixMs(3));
        check(true, true, false, "the link is cut");
        status.link.set_phase(LinkPhase::Sync, UnixMs(4));
        check(true, true, false, "a later full sync");
        status.link.set_phase(LinkPhase::Connected, UnixMs(5));
        status.set_diverged(Some("ZADD could not be applied".into()));
        check(true, false, false, "diverged");
        status.set_diverged(None);
        status.set_unloaded();
        check(true, false, false, "the old data were dropped");
    }

    #[test]
    fn a_limit_that_is_exceeded_is_named_with_the_lag() {
        let status = Status::new(UnixMs(0));
        status.set_loaded();
        status.set_caught_up();
        status.link.set_phase(LinkPhase::Connected, UnixMs(1));
        status.link.read(1, UnixMs(1000));
        status.judge_lag(LagLimits { seconds: 5, bytes: 0 }, clock::instant(), UnixMs(7000));
        let why = "reads are refused by replica-max-lag-seconds: the master has been silent for 6.5 s, 0 bytes behind; \
                   link: connected";
        assert_eq!(ready(&status, true, clock::instant(), UnixMs(7500)), Verdict::No(why.into()));
    }

    #[test]
    fn a_refusal_says_why() {
        let status = Status::new(UnixMs(0));
        status.link.set_last_error("connection refused");
        let why = "nothing is loaded yet; link: connect, last error: connection refused";
        assert_eq!(startup(&status), Verdict::No(why.into()));
    }
}
