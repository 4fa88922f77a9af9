//! How work in the background leaves the processors to those who answer clients.
//!
//! A thread that works without a pause makes whoever wakes up beside it wait for the end of its time slice, some
//! milliseconds where there are few cores. One that rests often is asleep when others wake up. Comes in: the status,
//! which tells whether clients ask for anything. It knows no data and no sockets.

use crate::clock;
use crate::status::Status;
use std::time::{Duration, Instant};

/// How long it goes on at a stretch.
const STRETCH: Duration = Duration::from_micros(200);
/// How long it then rests. The kernel adds some 50 µs.
const REST: Duration = Duration::from_micros(250);
/// How often it looks whether clients are being served.
const LOOK: Duration = Duration::from_millis(10);

/// When one piece of work next rests; kept by the thread that does it.
#[derive(Debug)]
pub struct Breather {
    /// Since the last rest.
    began: Instant,
    looked: Instant,
    /// Bytes that clients had sent until then.
    heard: u64,
    serves: bool,
}

impl Breather {
    /// For work that begins now.
    pub fn new(status: &Status) -> Self {
        let now = clock::instant();
        Self { began: now, looked: now, heard: status.client_input_bytes(), serves: true }
    }

    /// To be called between two short steps of the work: puts the thread to sleep for a moment when it has gone on long
    /// enough while clients were served. While none are it goes on at full speed.
    pub fn take(&mut self, status: &Status) {
        if self.is_due(clock::instant(), || status.client_input_bytes()) {
            std::thread::sleep(REST);
            self.began = clock::instant();
        }
    }

    /// Whether it is time for a rest.
    fn is_due(&mut self, now: Instant, heard: impl FnOnce() -> u64) -> bool {
        if now.duration_since(self.looked) >= LOOK {
            let heard = heard();
            (self.looked, self.serves) = (now, heard != self.heard);
            self.heard = heard;
        }
        self.serves && now.duration_since(self.began) >= STRETCH
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;

    #[test]
    fn it_rests_after_a_stretch_while_clients_are_served() {
        let mut breather = Breather::new(&Status::new(UnixMs(0)));
        let began = breather.began;
        assert!(!breather.is_due(began + STRETCH / 2, || panic!("it has just looked")));
        assert!(breather.is_due(began + STRETCH, || panic!("it has just looked")));
        assert!(!breather.is_due(began + LOOK, || 0), "nobody has asked for anything");
        assert!(!breather.is_due(began + LOOK * 3 / 2, || panic!("it has just looked")));
        assert!(breather.is_due(began + LOOK * 2, || 1));
    }
}
