//! One sub-replica, from its PSYNC to its end, as it is spoken.

use super::Arrival;
use super::bell::Ear;
use super::cut::Cut;
use super::feeder::Feed;
use super::talk::Talk;
use super::transfer::{Framing, Membership, Next, Start};
use super::wire::Wire;
use crate::clock::{self, UnixMs};
use crate::command::clients::Member;
use crate::command::introduction::{Asked, Introduction};
use crate::position::{Offset, Position};
use crate::repl::backlog::{Cursor, Lost};
use crate::repl::psync::{Decision, decide};
use crate::repl::receiver::{Receiver, newest, receiver};
use crate::resp::refusal::Refusal;
use crate::status::{SubReplica, SubReplicaPhase};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long a sub-replica that is ahead of us is kept waiting for us to come to where it is.
const AHEAD_PATIENCE: Duration = Duration::from_secs(3);
/// How long one that could not hold the data a moment ago waits for the same answer.
const UNFIT_PAUSE: Duration = Duration::from_secs(10);
/// Bytes of a snapshot's chunks that are taken for one socket at a time.
const SOCKET_BYTES: u64 = 256 * 1024;

/// A connection that asks to be a sub-replica, or is one.
pub(super) struct Conversation {
    feed: Rc<Feed>,
    member: Member,
    introduction: Introduction,
    wire: io::Result<Wire>,
    numbers: Arc<SubReplica>,
}

/// What its PSYNC leads to at this moment.
enum Verdict {
    Continue(Cursor, Position),
    Full,
    Ahead,
    Later,
}

impl Conversation {
    /// Takes the socket into the feeder's runtime.
    pub(super) fn new(feed: &Rc<Feed>, arrival: Arrival) -> Self {
        let Arrival { socket, member, introduction, unread } = arrival;
        let timeout = Duration::from_secs(feed.settings().repl_timeout_s);
        let wire = Wire::new(socket, unread, timeout);
        let came_from = || wire.as_ref().ok().and_then(Wire::peer_ip).unwrap_or_default();
        let ip = introduction.address.clone().unwrap_or_else(came_from);
        let numbers = Arc::new(SubReplica::new(member.id, ip, introduction.listening_port));
        Self { feed: Rc::clone(feed), member, introduction, wire, numbers }
    }

    /// Speaks until one side ends it.
    pub(super) async fn run(mut self) {
        let name = match self.numbers.port {
            0 => format!("{} (client {})", self.numbers.ip, self.member.id),
            port => format!("{}:{port}", self.numbers.ip),
        };
        let status = Arc::clone(&self.feed.status);
        status.downstream.joined(Arc::clone(&self.numbers));
        self.member.become_sub_replica();
        let cut = match self.talk(&name).await {
            Ok(never) => match never {},
            Err(cut) => cut,
        };
        status.downstream.left(self.member.id);
        status.downstream.cuts.count(cut.cause());
        status.clients.leave();
        if cut.is_fault() {
            tracing::warn!(sub_replica = name, why = %cut, "sub-replica is cut");
        } else {
            tracing::info!(sub_replica = name, why = %cut, "sub-replica is gone");
        }
    }

    async fn talk(&mut self, name: &str) -> Result<Infallible, Cut> {
        let wire = match &mut self.wire {
            Ok(wire) => wire,
            Err(error) => return Err(Cut::Io(io::Error::new(error.kind(), error.to_string()))),
        };
        let mailbox = self.member.mailbox();
        poll_fn(|cx| {
            mailbox.register(cx.waker());
            Poll::Ready(())
        })
        .await;
        let master = self.feed.read(|data| data.limits.dialect);
        let mut talk = Talk {
            feed: &self.feed,
            member: &self.member,
            introduction: &self.introduction,
            numbers: &self.numbers,
            wire,
            ear: Ear::default(),
            tick: self.feed.ticks(),
            alive: None,
            acked: false,
            newest: newest(&self.introduction, self.feed.settings().sub_replica_dialect, master),
            above_soft_since: None,
        };
        talk.through(name).await
    }
}

impl Talk<'_> {
    /// The whole conversation.
    async fn through(&mut self, name: &str) -> Result<Infallible, Cut> {
        let syncs = &self.feed.status.downstream.syncs;
        let (cursor, offset) = match self.admit().await {
            Verdict::Continue(cursor, position) => {
                syncs.count("partial");
                tracing::info!(sub_replica = name, from = %cursor.taken().advanced(1), "sub-replica: partial resync");
                let id = if self.introduction.psync2 { format!(" {}", position.replid) } else { String::new() };
                self.wire.send(format!("+CONTINUE{id}\r\n"));
                let offset = cursor.taken();
                (cursor, offset)
            }
            Verdict::Later | Verdict::Ahead => {
                syncs.count("later");
                return Err(self.refuse(&Refusal::NO_MASTER_LINK.0, Cut::Later).await);
            }
            Verdict::Full => {
                syncs.count("full");
                if matches!(self.introduction.asked, Asked::Rest { .. }) {
                    let refused = &self.feed.status.downstream.partial_refused;
                    refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
                tracing::info!(sub_replica = name, asked = ?self.introduction.asked, "sub-replica: full resync");
                self.full_resync().await?
            }
        };
        self.feed_from(cursor, offset).await
    }

    /// Decides what it gets. One that is ahead of us waits a moment for us while our link is up.
    async fn admit(&mut self) -> Verdict {
        let since = clock::instant();
        loop {
            let verdict = self.verdict();
            let link_up = self.feed.status.link.is_up();
            match verdict {
                Verdict::Ahead if !link_up => return Verdict::Later,
                Verdict::Ahead if clock::instant() - since > AHEAD_PATIENCE => return Verdict::Full,
                Verdict::Ahead if !self.feed.is_draining() => {}
                verdict => return verdict,
            }
            let bell = &self.feed.bell;
            poll_fn(|cx| bell.poll(cx, &mut self.ear)).await;
        }
    }

    /// The decision as of now; the cursor is attached in the same look through the gate.
    fn verdict(&self) -> Verdict {
        let feed = self.feed;
        feed.read(|data| match decide(self.introduction.asked, &data.position, feed.backlog.first()) {
            Decision::Continue { from } => match feed.backlog.attach(from) {
                Some(cursor) if self.unknown(cursor.taken()).is_none() => Verdict::Continue(cursor, data.position),
                _ => Verdict::Full,
            },
            Decision::Full if feed.is_unsound(data) => Verdict::Later,
            Decision::Full => Verdict::Full,
            Decision::Ahead => Verdict::Ahead,
        })
    }

    /// Everything: the snapshot that it shares with others. Answers where the stream goes on.
    async fn full_resync(&mut self) -> Result<(Cursor, Offset), Cut> {
        let framing = if self.introduction.eof { Framing::EndMark } else { Framing::Length };
        let receiver = self.receiver();
        if let Some(why) = self.feed.unfit(receiver) {
            if !self.introduction.rdb_only {
                self.hold(UNFIT_PAUSE).await?;
            }
            return Err(self.unfit(why).await);
        }
        let membership = self.feed.join(self.member.id, receiver, framing);
        let start = match self.until(|talk, cx| talk.wait_for_start(&membership, cx)).await {
            Ok(start) => start,
            Err(Cut::Unfit(why)) => return Err(self.unfit(why).await),
            Err(Cut::Later) => return Err(self.refuse(&Refusal::NO_MASTER_LINK.0, Cut::Later).await),
            Err(cut) => return Err(cut),
        };
        let Start { position, cursor, mark } = start;
        if self.introduction.asked != Asked::Sync {
            self.wire.send(format!("+FULLRESYNC {} {}\r\n", position.replid, position.offset));
        }
        self.numbers.set_phase(SubReplicaPhase::SendSnapshot);
        match framing {
            Framing::EndMark => {
                self.wire.send(format!("$EOF:{mark}\r\n"));
                self.until(|talk, cx| talk.send_chunks(&membership, &cursor, cx)).await?;
                self.wire.send(mark);
            }
            Framing::Length => self.send_spooled(&membership, &cursor).await?,
        }
        self.wire.trust_signs_of_life();
        self.until(Talk::flush).await?;
        drop(membership);
        self.numbers.set_phase(SubReplicaPhase::Online);
        if self.introduction.rdb_only {
            return Err(self.part(Cut::Served).await);
        }
        if framing == Framing::EndMark {
            // A real replica looks for the mark only at the end of what one read brought: nothing may come behind it.
            self.until(|talk, _| talk.wait_for_ack(&cursor)).await?;
        }
        Ok((cursor, position.offset))
    }

    fn receiver(&self) -> Receiver {
        let master = self.feed.read(|data| data.limits.dialect);
        receiver(self.introduction, self.feed.settings().sub_replica_dialect, master)
    }

    /// A command that comes behind this offset and that it does not know.
    fn unknown(&self, behind: Offset) -> Option<&'static str> {
        self.newest.and_then(|newest| self.feed.backlog.young.unknown_to(newest, behind))
    }

    /// It is not sent what it does not know, and not taken again at once: each time costs a snapshot.
    #[cold]
    fn too_old(&self, command: &str) -> Cut {
        let why = format!("the stream has {}, which its release does not know", command.to_uppercase());
        self.feed.remember_unfit(self.receiver(), &why);
        Cut::Unfit(why)
    }

    /// Keeps it waiting: real replicas that are refused come again each second.
    async fn hold(&mut self, time: Duration) -> Result<(), Cut> {
        let end = clock::instant() + time;
        self.until(|talk, cx| {
            talk.keep_alive(cx)?;
            if talk.feed.now() < end { Poll::Pending } else { Poll::Ready(Ok(())) }
        })
        .await
    }

    async fn unfit(&mut self, why: String) -> Cut {
        let line = format!("ERR this replica cannot hold the data: {why}");
        self.refuse(&line, Cut::Unfit(why)).await
    }

    fn wait_for_start(&mut self, membership: &Membership, cx: &mut Context<'_>) -> Poll<Result<Start, Cut>> {
        if let Some(start) = membership.start()? {
            return Poll::Ready(Ok(start));
        }
        self.keep_alive(cx)?;
        Poll::Pending
    }

    fn send_chunks(
        &mut self,
        membership: &Membership,
        cursor: &Cursor,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Cut>> {
        loop {
            let flushed = self.flush(cx)?;
            self.check_output(cursor)?;
            ready!(flushed);
            while self.wire.waiting_bytes() < SOCKET_BYTES {
                match membership.next()? {
                    Next::Chunk(bytes) => self.wire.send(bytes),
                    Next::End if self.wire.waiting_bytes() == 0 => return Poll::Ready(Ok(())),
                    Next::NotYet if self.wire.waiting_bytes() == 0 => {
                        // It is not its fault that there is nothing to take.
                        self.alive = Some(self.feed.now());
                        return Poll::Pending;
                    }
                    Next::End | Next::NotYet => break,
                }
            }
        }
    }

    async fn send_spooled(&mut self, membership: &Membership, cursor: &Cursor) -> Result<(), Cut> {
        let spool = self
            .until(|talk, cx| match membership.spool()? {
                Some(spool) => Poll::Ready(Ok(spool)),
                None => {
                    talk.check_output(cursor)?;
                    talk.keep_alive(cx)?;
                    Poll::Pending
                }
            })
            .await?;
        self.wire.send(format!("${}\r\n", spool.bytes()));
        let mut at = 0;
        while at < spool.bytes() {
            let piece = spool.read(at).await.map_err(|error| Cut::Snapshot(error.to_string()))?;
            at += piece.len() as u64;
            self.wire.send(piece);
            self.until(|talk, cx| {
                talk.check_output(cursor)?;
                talk.flush(cx)
            })
            .await?;
        }
        Ok(())
    }

    fn wait_for_ack(&mut self, cursor: &Cursor) -> Poll<Result<(), Cut>> {
        self.alive.get_or_insert(self.feed.now());
        self.check_output(cursor)?;
        if self.acked { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// The steady state: what the link appends, as long as it takes it. When we stop it gets the rest.
    async fn feed_from(&mut self, mut cursor: Cursor, offset: Offset) -> Result<Infallible, Cut> {
        self.numbers.set_phase(SubReplicaPhase::Online);
        self.numbers.set_acked(offset, UnixMs::now());
        // Who only knows SYNC does not acknowledge.
        self.alive = (self.introduction.asked != Asked::Sync).then(clock::instant);
        self.until(|talk, cx| talk.pass_on(&mut cursor, cx)).await?;
        Err(self.part(Cut::Shutdown).await)
    }

    /// Sends what is there. Ready when there is nothing more and there will not be.
    fn pass_on(&mut self, cursor: &mut Cursor, cx: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        let told = self.introduction.told_above.as_ref();
        if told.is_some_and(|told| !Arc::ptr_eq(told, &self.feed.status.link.above())) {
            return Poll::Ready(Err(Cut::Chain));
        }
        loop {
            let flushed = self.flush(cx)?;
            if flushed.is_pending() {
                self.check_output(cursor)?;
                return Poll::Pending;
            }
            let before = cursor.taken();
            match cursor.take() {
                // Asked when the bytes are here: what they hold was noted before they could be taken.
                Ok(Some(bytes)) => match self.unknown(before) {
                    None => self.wire.send(bytes),
                    Some(command) => return Poll::Ready(Err(self.too_old(command))),
                },
                Ok(None) => {
                    self.above_soft_since = None;
                    self.numbers.set_sent(cursor.taken(), 0);
                    return if self.feed.is_draining() { Poll::Ready(Ok(())) } else { Poll::Pending };
                }
                Err(Lost::Cut(why)) => return Poll::Ready(Err(Cut::History(why))),
                Err(Lost::Overrun) => return Poll::Ready(Err(self.overrun(cursor))),
            }
        }
    }
}
