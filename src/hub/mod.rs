//! Who wants to hear what, and how it reaches them: subscribers of channels, and one mailbox per client.
//!
//! Comes in: subscriptions of clients, messages from clients (PUBLISH) and from the master's stream. Goes out: encoded
//! messages into the mailboxes of those who listen. It knows neither commands nor links nor sockets. While nobody
//! listens a message costs one relaxed load.

mod channels;
mod effects;
mod mailbox;
mod monitor;
mod subscriber;
mod tracking;
mod waiting;

pub use channels::Kind;
pub use effects::Effects;
pub use mailbox::{Mailbox, Wake};
pub use monitor::Monitor;
pub use subscriber::Subscriber;
pub use tracking::{Memory, Tracker, TrackingCounts, TrackingOptions};
pub use waiting::Wait;

use crate::clock::UnixMs;
use crate::config::{Config, EventClasses, LiveConfig, OutputLimits};
use crate::resp::reply::{Proto, Reply};
use crate::status::Status;
use channels::Channels;
use effects::Wanted;
use mailbox::Posted;
use monitor::Monitors;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::Relaxed};
use tracking::Tracking;
use waiting::Waiting;

/// The hub; one per process.
#[derive(Debug)]
pub struct Hub {
    config: Arc<LiveConfig>,
    status: Arc<Status>,
    channels: Mutex<Channels>,
    /// Clients that are subscribed to anything.
    subscribers: AtomicUsize,
    /// The setting `notify-keyspace-events`.
    events: Arc<AtomicU16>,
    tracking: Tracking,
    waiting: Waiting,
    monitors: Monitors,
}

/// Counts for INFO and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Channels with a subscriber.
    pub channels: usize,
    /// Patterns with a subscriber.
    pub patterns: usize,
    /// Shard channels with a subscriber.
    pub shard_channels: usize,
    /// Clients that are subscribed to anything.
    pub subscribers: usize,
}

impl Hub {
    /// A hub where nobody listens. The settings say how much a client may leave unread; the status counts those who
    /// are cut.
    pub fn new(config: Arc<LiveConfig>, status: Arc<Status>) -> Self {
        let bits = |config: &Config| config.notify_keyspace_events.told().bits();
        let events = Arc::new(AtomicU16::new(bits(&config.get())));
        let told = Arc::clone(&events);
        config.on_change(move |config| told.store(bits(config), Relaxed));
        Self {
            config,
            status,
            channels: Mutex::default(),
            subscribers: AtomicUsize::new(0),
            events,
            tracking: Tracking::default(),
            waiting: Waiting::default(),
            monitors: Monitors::default(),
        }
    }

    /// Delivers a message to the subscribers of its channel, then to those of matching patterns (shard channels
    /// have none). Answers how many got it. All clients see all messages in one order.
    pub fn publish(&self, kind: Kind, channel: &[u8], message: &[u8], now: UnixMs) -> usize {
        if !self.is_listened_to() {
            return 0;
        }
        let mut delivery = Delivery::new(self, now);
        let channels = self.channels.lock();
        let word = if kind == Kind::Shard { "smessage" } else { "message" };
        let mut encoded = None;
        for mailbox in channels.named(kind, channel) {
            delivery.post(mailbox, encoded.get_or_insert_with(|| push(&[word.as_bytes(), channel, message])));
        }
        if kind == Kind::Channel {
            for (pattern, subscribers) in channels.matching(channel) {
                let mut encoded = push(&[b"pmessage", pattern, channel, message]);
                subscribers.for_each(|mailbox| delivery.post(mailbox, &mut encoded));
            }
        }
        delivery.receivers
    }

    /// Is anybody subscribed to anything?
    fn is_listened_to(&self) -> bool {
        self.subscribers.load(Relaxed) > 0
    }

    /// Names with a subscriber (PUBSUB CHANNELS), in order.
    pub fn names(&self, kind: Kind, pattern: Option<&[u8]>) -> impl ExactSizeIterator<Item = Box<[u8]>> {
        self.channels.lock().names(kind, pattern).into_iter()
    }

    /// How many subscribers a name has.
    pub fn subscribers_of(&self, kind: Kind, name: &[u8]) -> usize {
        self.channels.lock().subscribers(kind, name)
    }

    /// Numbers of the clients that are subscribed to a name that `chosen` chooses. Looks at every name.
    pub fn listeners_to(&self, chosen: impl Fn(Kind, &[u8]) -> bool) -> std::collections::BTreeSet<u64> {
        if !self.is_listened_to() {
            return Default::default();
        }
        self.channels.lock().listeners(chosen)
    }

    /// The keyspace events that somebody could hear: none if nobody is subscribed to anything.
    pub fn event_classes(&self) -> EventClasses {
        let classes = EventClasses::from_bits(self.events.load(Relaxed));
        if self.is_listened_to() { classes } else { EventClasses::default() }
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            messages: self.is_listened_to(),
            keys: self.tracking.is_any() || self.waiting.is_any(),
            classes: self.event_classes(),
            commands: self.is_monitored(),
        }
    }

    /// To be called some times a second: tells of tracked keys that have expired since.
    pub fn tick(&self, now: UnixMs) {
        self.tracking.expire(self, now);
    }

    /// Posts one push to one client.
    fn post_one(&self, mailbox: &Mailbox, encoded: &mut [u8], now: UnixMs) {
        Delivery::new(self, now).post(mailbox, encoded);
    }

    fn count_cut(&self, mailbox: &Mailbox) {
        self.status.clients.count_evicted();
        tracing::warn!(client = mailbox.id, "client cut: it leaves more unread than client-output-buffer-limit");
    }

    /// Counts of tracking, for INFO.
    pub fn tracking_counts(&self) -> TrackingCounts {
        self.tracking.counts()
    }

    /// Keys that somebody waits for, for INFO.
    pub fn awaited_keys(&self) -> usize {
        self.waiting.keys()
    }

    /// Counts for INFO and metrics.
    pub fn counts(&self) -> Counts {
        let channels = self.channels.lock();
        Counts {
            channels: channels.count(Kind::Channel),
            patterns: channels.count(Kind::Pattern),
            shard_channels: channels.count(Kind::Shard),
            subscribers: self.subscribers.load(Relaxed),
        }
    }
}

/// Messages on their way, with what is looked up once for all of them.
struct Delivery<'a> {
    hub: &'a Hub,
    limits: OutputLimits,
    now: UnixMs,
    receivers: usize,
}

impl<'a> Delivery<'a> {
    fn new(hub: &'a Hub, now: UnixMs) -> Self {
        Self { hub, limits: hub.config.get().output_limits, now, receivers: 0 }
    }

    /// Posts a push in the protocol that the client speaks: only the first byte differs.
    fn post(&mut self, mailbox: &Mailbox, encoded: &mut [u8]) {
        if let Some(kind) = encoded.first_mut() {
            *kind = if mailbox.proto() == Proto::Resp3 { b'>' } else { b'*' };
        }
        if mailbox.post(encoded, &self.limits, self.now) == Posted::Cut {
            self.hub.count_cut(mailbox);
        }
        self.receivers += 1;
    }
}

/// A push of bulk strings.
fn push(words: &[&[u8]]) -> Vec<u8> {
    let mut reply = Reply::new(Proto::Resp3);
    reply.push(words.len());
    words.iter().for_each(|word| reply.bulk(word));
    std::mem::take(reply.buffer_mut())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::Config;

    pub(crate) fn hub() -> Arc<Hub> {
        let config = Arc::new(LiveConfig::new(Config::default()));
        Arc::new(Hub::new(config, Arc::new(Status::new(UnixMs(0)))))
    }

    pub(crate) fn mail(mailbox: &Mailbox) -> String {
        let mut bytes = Vec::new();
        mailbox.take(&mut bytes);
        String::from_utf8_lossy(&bytes).replace("\r\n", " ")
    }

    #[test]
    fn a_message_reaches_channels_then_patterns_and_nobody_else() {
        let hub = hub();
        let [a, b, c] = [1, 2, 3].map(|id| Subscriber::new(Arc::clone(&hub), Arc::new(Mailbox::new(id))));
        let (mut a, mut b, mut c) = (a, b, c);
        a.subscribe(Kind::Channel, b"news").expect("room");
        a.subscribe(Kind::Pattern, b"n*").expect("room");
        b.subscribe(Kind::Channel, b"other").expect("room");
        c.subscribe(Kind::Shard, b"news").expect("room");
        a.mailbox().set_proto(Proto::Resp3);
        assert_eq!(hub.publish(Kind::Channel, b"news", b"m", UnixMs(0)), 2);
        assert_eq!(mail(a.mailbox()), ">3 $7 message $4 news $1 m >4 $8 pmessage $2 n* $4 news $1 m ".to_owned());
        assert!(!b.mailbox().has_mail() && !c.mailbox().has_mail());
        assert_eq!(hub.publish(Kind::Shard, b"news", b"s", UnixMs(0)), 1);
        assert_eq!(mail(c.mailbox()), "*3 $8 smessage $4 news $1 s ");
        let counts = Counts { channels: 2, patterns: 1, shard_channels: 1, subscribers: 3 };
        assert_eq!(hub.counts(), counts);
        drop((a, b, c));
        assert_eq!(hub.counts(), Counts::default());
        assert_eq!(hub.publish(Kind::Channel, b"news", b"m", UnixMs(0)), 0);
    }
}
