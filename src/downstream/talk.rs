//! What holds all through a conversation with a sub-replica: listening while something is waited for, signs of life,
//! limits, and the ways to end.

use super::bell::Ear;
use super::cut::Cut;
use super::feeder::Feed;
use super::wire::Wire;
use crate::clock::UnixMs;
use crate::command::clients::Member;
use crate::command::introduction::Introduction;
use crate::dataset::Dialect;
use crate::repl::backlog::Cursor;
use crate::status::{SubReplica, SubReplicaPhase};
use std::convert::Infallible;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// A sub-replica with a working socket.
pub(super) struct Talk<'a> {
    pub(super) feed: &'a Rc<Feed>,
    pub(super) member: &'a Member,
    pub(super) introduction: &'a Introduction,
    pub(super) numbers: &'a SubReplica,
    pub(super) wire: &'a mut Wire,
    pub(super) ear: Ear,
    /// The last second in which it was sent a keep-alive.
    pub(super) tick: u64,
    /// When it last gave a sign of life; `None` while none is expected.
    pub(super) alive: Option<Instant>,
    pub(super) acked: bool,
    /// The newest release that it may be of; `None`: it takes whatever comes.
    pub(super) newest: Option<Dialect>,
    pub(super) above_soft_since: Option<Instant>,
}

impl Talk<'_> {
    /// Tells it why not, and ends.
    pub(super) async fn refuse(&mut self, line: &str, cut: Cut) -> Cut {
        self.wire.send(format!("-{line}\r\n"));
        match self.until(Talk::flush).await {
            Ok(()) => cut,
            Err(cut) => cut,
        }
    }

    /// Ends the connection so that what was sent still arrives.
    pub(super) async fn part(&mut self, why: Cut) -> Cut {
        let mut said = false;
        let goodbye = self
            .until(|talk, cx| {
                if !said {
                    ready!(talk.wire.poll_end(cx))?;
                    said = true;
                }
                Poll::<Result<Infallible, Cut>>::Pending
            })
            .await;
        match goodbye {
            Ok(never) => match never {},
            Err(Cut::Closed) => why,
            Err(cut) => cut,
        }
    }

    pub(super) fn flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        let mut sent = 0;
        let flushed = self.wire.poll_flush(cx, &mut sent);
        if sent > 0 {
            self.feed.status.downstream.wrote(sent);
            if self.numbers.phase() == SubReplicaPhase::SendSnapshot {
                self.alive = Some(self.feed.now());
            }
        }
        flushed
    }

    /// A newline a second, as long as the snapshot has not begun.
    pub(super) fn keep_alive(&mut self, cx: &mut Context<'_>) -> Result<(), Cut> {
        if self.feed.ticks() != self.tick && self.wire.waiting_bytes() == 0 {
            self.tick = self.feed.ticks();
            self.wire.send("\n");
        }
        match self.flush(cx) {
            Poll::Ready(sent) => sent,
            Poll::Pending => Ok(()),
        }
    }

    /// Repeats `work` until it is ready: at news of the backlog or a snapshot, each second, and when the socket can
    /// go on. Meanwhile it listens.
    pub(super) async fn until<T>(
        &mut self,
        mut work: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<Result<T, Cut>>,
    ) -> Result<T, Cut> {
        poll_fn(|cx| {
            loop {
                self.look(cx)?;
                if let Poll::Ready(done) = work(self, cx) {
                    return Poll::Ready(done);
                }
                if self.feed.bell.poll(cx, &mut self.ear).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Is it still there, and may it stay?
    pub(super) fn look(&mut self, cx: &mut Context<'_>) -> Result<(), Cut> {
        if self.member.mailbox().is_killed() {
            return Err(Cut::Killed);
        }
        let heard = self.wire.listen(cx)?;
        if heard.anything {
            self.member.lives(UnixMs::now());
            self.alive = self.alive.map(|_| self.feed.now());
        }
        let seconds = self.feed.settings().repl_timeout_s;
        if let Some(offset) = heard.acked {
            if !std::mem::replace(&mut self.acked, true) {
                self.wire.expect_acknowledgements(Duration::from_secs(seconds));
            }
            self.numbers.set_acked(offset, UnixMs::now());
        }
        if self.feed.is_draining() && self.numbers.phase() != SubReplicaPhase::Online {
            return Err(Cut::Shutdown);
        }
        match self.alive {
            Some(alive) if self.feed.now().duration_since(alive) > Duration::from_secs(seconds) => {
                Err(Cut::Silent { seconds })
            }
            _ => Ok(()),
        }
    }

    /// `client-output-buffer-limit replica`: what it has not taken of the stream and of what waits at its socket.
    pub(super) fn check_output(&mut self, cursor: &Cursor) -> Result<(), Cut> {
        if let Some(why) = cursor.cut() {
            return Err(Cut::History(why));
        }
        let waiting_bytes = cursor.behind() + self.wire.waiting_bytes();
        self.numbers.set_sent(cursor.taken(), waiting_bytes);
        let settings = self.feed.settings();
        let limit_bytes = settings.sub_replica_hard_limit_bytes();
        if waiting_bytes > limit_bytes {
            return Err(Cut::Hard { waiting_bytes, limit_bytes });
        }
        let soft = settings.output_limits.replica;
        if soft.soft_bytes == 0 || waiting_bytes <= soft.soft_bytes {
            self.above_soft_since = None;
            return Ok(());
        }
        let since = *self.above_soft_since.get_or_insert(self.feed.now());
        if self.feed.now().duration_since(since) >= Duration::from_secs(soft.soft_s.max(1)) {
            return Err(Cut::Soft { waiting_bytes, limit_bytes: soft.soft_bytes, seconds: soft.soft_s });
        }
        Ok(())
    }

    /// The backlog gave up what it had not taken.
    pub(super) fn overrun(&self, cursor: &Cursor) -> Cut {
        let limit_bytes = self.feed.settings().sub_replica_hard_limit_bytes();
        Cut::Hard { waiting_bytes: cursor.behind() + self.wire.waiting_bytes(), limit_bytes }
    }
}
