//! What other threads have to say to one client: its mailbox and its kill switch.
//!
//! Comes in: whole messages, encoded, from any thread. Goes out: the same bytes, taken by the connection at a
//! boundary between replies. Bounded by `client-output-buffer-limit`: a client that does not read is cut, as the
//! servers do. It must not know what the messages mean.

use super::channels::Kind;
use super::tracking::TrackingOptions;
use crate::clock::UnixMs;
use crate::config::{OutputLimit, OutputLimits};
use crate::limits::MAILBOX_BYTES_MAX;
use crate::resp::reply::Proto;
use parking_lot::Mutex;
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use std::task::Waker;

const KILLED: u8 = 1;
const MAIL: u8 = 2;
const CHANGED: u8 = 4;
const TIMED_OUT: u8 = 8;
const UNBLOCKED: u8 = 16;
const FORCED: u8 = 32;
/// All that ends a wait or makes it look again.
const WAKES: u8 = CHANGED | TIMED_OUT | UNBLOCKED | FORCED;

/// Bits of what others see of its tracking.
const TRACKS: u8 = 1;
const BROADCAST: u8 = 2;
const BROKEN: u8 = 4;

/// One client's mailbox. Looking whether there is anything costs one load of a line that others write only when they
/// have something to say.
#[derive(Debug)]
pub struct Mailbox {
    /// The client's number.
    pub id: u64,
    signals: AtomicU8,
    resp3: AtomicBool,
    subscriptions: [AtomicU32; Kind::COUNT],
    waiting: AtomicBool,
    monitor: AtomicBool,
    tracking: AtomicU8,
    /// Where its tracking redirects to; -1 without tracking.
    redirect: AtomicI64,
    post: Mutex<Post>,
}

#[derive(Debug, Default)]
struct Post {
    waker: Option<Waker>,
    bytes: Vec<u8>,
    /// Taken by the connection and not yet by its socket.
    in_flight: usize,
    /// Since when more waits than the soft limit allows.
    over_soft: Option<UnixMs>,
}

/// Why a client that waits is to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// What it waits for has changed.
    Changed,
    /// CLIENT UNBLOCK: as if the time had passed.
    TimedOut,
    /// CLIENT UNBLOCK ... ERROR.
    Unblocked,
    /// Another master is followed from now on.
    Forced,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Posted {
    Taken,
    /// More waits than the client may leave unread: it was killed.
    Cut,
    /// The client is killed already.
    Gone,
}

impl Mailbox {
    /// The empty mailbox of client `id`.
    pub fn new(id: u64) -> Self {
        Self {
            id,
            signals: AtomicU8::new(0),
            resp3: AtomicBool::new(false),
            subscriptions: Default::default(),
            waiting: AtomicBool::new(false),
            monitor: AtomicBool::new(false),
            tracking: AtomicU8::new(0),
            redirect: AtomicI64::new(-1),
            post: Mutex::default(),
        }
    }

    /// The task to wake from now on. A task keeps its waker for life, so once is enough.
    pub fn register(&self, waker: &Waker) {
        self.post.lock().waker = Some(waker.clone());
    }

    /// Asks the connection to close, and wakes it.
    pub fn kill(&self) {
        self.signal(KILLED);
    }

    /// Was it asked to close?
    pub fn is_killed(&self) -> bool {
        self.signals.load(Acquire) & KILLED != 0
    }

    /// Has anybody said anything?
    pub fn has_mail(&self) -> bool {
        self.signals.load(Acquire) & MAIL != 0
    }

    /// Moves what came to the end of `into`; answers how many bytes. The bytes count against the limit until
    /// [`Mailbox::sent`].
    pub fn take(&self, into: &mut Vec<u8>) -> usize {
        let mut post = self.post.lock();
        self.signals.fetch_and(!MAIL, Release);
        let bytes = std::mem::take(&mut post.bytes);
        post.in_flight += bytes.len();
        if into.is_empty() {
            *into = bytes;
            into.len()
        } else {
            into.extend_from_slice(&bytes);
            bytes.len()
        }
    }

    /// The socket has taken everything.
    pub fn sent(&self) {
        let mut post = self.post.lock();
        post.in_flight = 0;
        post.over_soft = None;
    }

    fn signal(&self, bit: u8) {
        self.signals.fetch_or(bit, Release);
        if let Some(waker) = &self.post.lock().waker {
            waker.wake_by_ref();
        }
    }

    /// The client waits from now on.
    pub(super) fn begin_wait(&self) {
        self.signals.fetch_and(!WAKES, Relaxed);
        self.waiting.store(true, Release);
    }

    pub(super) fn end_wait(&self) {
        self.waiting.store(false, Release);
    }

    /// Does the client wait?
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Acquire)
    }

    /// What it waits for has come, or may have.
    pub(super) fn look_again(&self) {
        self.signal(CHANGED);
    }

    /// It is not to wait any more, and its connection ends.
    pub(super) fn force(&self) {
        self.signal(FORCED);
    }

    /// CLIENT UNBLOCK; `false` if it does not wait.
    pub fn unblock(&self, with_error: bool) -> bool {
        let waits = self.is_waiting();
        if waits {
            self.signal(if with_error { UNBLOCKED } else { TIMED_OUT });
        }
        waits
    }

    /// Why it is to look again, if it is; told once.
    pub fn take_wake(&self) -> Option<Wake> {
        let signals = self.signals.load(Acquire) & WAKES;
        if signals == 0 {
            return None;
        }
        self.signals.fetch_and(!signals, Relaxed);
        Some(match signals {
            _ if signals & FORCED != 0 => Wake::Forced,
            _ if signals & UNBLOCKED != 0 => Wake::Unblocked,
            _ if signals & TIMED_OUT != 0 => Wake::TimedOut,
            _ => Wake::Changed,
        })
    }

    pub(super) fn set_monitor(&self, yes: bool) {
        self.monitor.store(yes, Relaxed);
    }

    /// Does it see every command?
    pub fn is_monitor(&self) -> bool {
        self.monitor.load(Relaxed)
    }

    /// What others see of its tracking.
    pub(super) fn set_tracking(&self, options: Option<&TrackingOptions>) {
        let bits = options.map_or(0, |options| TRACKS | if options.bcast { BROADCAST } else { 0 });
        self.tracking.store(bits, Relaxed);
        let redirect = options.map_or(-1, |options| i64::try_from(options.redirect).unwrap_or(i64::MAX));
        self.redirect.store(redirect, Relaxed);
    }

    pub(super) fn set_redirect_broken(&self) {
        self.tracking.fetch_or(BROKEN, Relaxed);
    }

    /// Does it track keys?
    pub fn is_tracking(&self) -> bool {
        self.tracking.load(Relaxed) & TRACKS != 0
    }

    /// Does it hear of all keys with its prefixes?
    pub fn is_broadcast_to(&self) -> bool {
        self.tracking.load(Relaxed) & BROADCAST != 0
    }

    /// Is the client gone that its messages go to?
    pub fn is_redirect_broken(&self) -> bool {
        self.tracking.load(Relaxed) & BROKEN != 0
    }

    /// The client that its messages go to; 0 is itself, -1 nobody.
    pub fn redirect(&self) -> i64 {
        self.redirect.load(Relaxed)
    }

    /// Adds a message, unless too much waits already.
    pub(super) fn post(&self, bytes: &[u8], limits: &OutputLimits, now: UnixMs) -> Posted {
        if self.is_killed() {
            return Posted::Gone;
        }
        let limit = if self.is_subscriber() { limits.pubsub } else { limits.normal };
        let mut post = self.post.lock();
        if post.is_over(bytes.len(), limit, now) {
            drop(post);
            self.kill();
            return Posted::Cut;
        }
        post.bytes.extend_from_slice(bytes);
        let told = self.signals.fetch_or(MAIL, Release) & MAIL != 0;
        if let (false, Some(waker)) = (told, &post.waker) {
            waker.wake_by_ref();
        }
        Posted::Taken
    }

    /// The protocol in which messages are to be written.
    pub fn proto(&self) -> Proto {
        if self.resp3.load(Relaxed) { Proto::Resp3 } else { Proto::Resp2 }
    }

    /// The client speaks this from now on.
    pub fn set_proto(&self, proto: Proto) {
        self.resp3.store(proto == Proto::Resp3, Relaxed);
    }

    /// How many channels, patterns or shard channels it is subscribed to.
    pub fn subscriptions(&self, kind: Kind) -> usize {
        self.subscriptions[kind as usize].load(Relaxed) as usize
    }

    /// Is it subscribed to anything?
    pub fn is_subscriber(&self) -> bool {
        self.subscriptions.iter().any(|count| count.load(Relaxed) > 0)
    }

    pub(super) fn set_subscriptions(&self, kind: Kind, count: usize) {
        self.subscriptions[kind as usize].store(u32::try_from(count).unwrap_or(u32::MAX), Relaxed);
    }
}

impl Post {
    /// Would so many bytes more be too many? 0 is no limit.
    fn is_over(&mut self, more: usize, limit: OutputLimit, now: UnixMs) -> bool {
        let waiting = (self.bytes.len() + self.in_flight + more) as u64;
        if waiting > MAILBOX_BYTES_MAX || limit.hard_bytes > 0 && waiting > limit.hard_bytes {
            return true;
        }
        if limit.soft_bytes == 0 || waiting <= limit.soft_bytes {
            self.over_soft = None;
            return false;
        }
        let since = *self.over_soft.get_or_insert(now);
        let allowed_ms = i64::try_from(limit.soft_s.saturating_mul(1000)).unwrap_or(i64::MAX);
        now.0 - since.0 > allowed_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn limits(hard_bytes: u64, soft_bytes: u64, soft_s: u64) -> OutputLimits {
        OutputLimits { normal: OutputLimit { hard_bytes, soft_bytes, soft_s }, ..OutputLimits::default() }
    }

    #[test]
    fn mail_wakes_once_and_is_taken_whole_and_in_order() {
        let (mailbox, counter) = (Mailbox::new(1), Arc::new(Counter::default()));
        mailbox.register(&Waker::from(Arc::clone(&counter)));
        assert!(!mailbox.has_mail());
        for bytes in [&b"one"[..], b"two"] {
            assert_eq!(mailbox.post(bytes, &limits(0, 0, 0), UnixMs(0)), Posted::Taken);
        }
        assert_eq!((mailbox.has_mail(), counter.0.load(Relaxed)), (true, 1));
        let mut out = b"zero".to_vec();
        assert_eq!(mailbox.take(&mut out), 6);
        assert_eq!((out.as_slice(), mailbox.has_mail()), (&b"zeroonetwo"[..], false));
    }

    #[test]
    fn a_killed_client_is_woken_and_gets_no_more_mail() {
        let (mailbox, counter) = (Mailbox::new(1), Arc::new(Counter::default()));
        mailbox.register(&Waker::from(Arc::clone(&counter)));
        mailbox.kill();
        assert_eq!((mailbox.is_killed(), counter.0.load(Relaxed)), (true, 1));
        assert_eq!(mailbox.post(b"x", &limits(0, 0, 0), UnixMs(0)), Posted::Gone);
        assert!(!mailbox.has_mail());
    }

    #[test]
    fn who_does_not_read_is_cut_at_the_hard_limit_or_after_a_while_at_the_soft_one() {
        let check = |limits: OutputLimits, posts: &[(usize, i64)], expected: Posted| {
            let mailbox = Mailbox::new(1);
            let posted = posts.iter().map(|(bytes, at)| mailbox.post(&vec![b'x'; *bytes], &limits, UnixMs(*at)));
            let last = posted.last().expect("a post");
            assert_eq!((last, mailbox.is_killed()), (expected, expected == Posted::Cut), "{posts:?}");
        };
        check(limits(10, 0, 0), &[(6, 0), (4, 0)], Posted::Taken);
        check(limits(10, 0, 0), &[(6, 0), (5, 0)], Posted::Cut);
        check(limits(0, 5, 1), &[(6, 0), (1, 1000)], Posted::Taken);
        check(limits(0, 5, 1), &[(6, 0), (1, 1001)], Posted::Cut);
        check(limits(0, 0, 0), &[(1 << 20, 0)], Posted::Taken);
    }

    #[test]
    fn what_the_socket_has_not_taken_counts_against_the_limit() {
        let (mailbox, limits) = (Mailbox::new(1), limits(10, 0, 0));
        mailbox.post(b"12345678", &limits, UnixMs(0));
        mailbox.take(&mut Vec::new());
        mailbox.sent();
        assert_eq!(mailbox.post(b"12345678", &limits, UnixMs(0)), Posted::Taken);
        mailbox.take(&mut Vec::new());
        assert_eq!(mailbox.post(b"123", &limits, UnixMs(0)), Posted::Cut);
    }
}
