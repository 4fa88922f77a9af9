//! A request that waits for keys to change or for an offset: asked again at each change, until it is answered, its time is
//! over, or somebody ends it. Mail is delivered meanwhile, and what the client sends is kept until the answer is there.

use super::connection::{Connection, Step};
use super::worker::{READ_BYTES, Shared};
use crate::clock::{self, UnixMs};
use crate::command::args::{Args, Span};
use crate::command::context::ReadCx;
use crate::command::logged::Thresholds;
use crate::command::row::{Row, Run};
use crate::command::session::Pending;
use crate::hub::Wake;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use crate::status::Stale;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::ReadBuf;

/// What happens to a client that waits.
enum Event {
    Woken(Wake),
    /// Mail is in `output`.
    Mail,
    Closed,
}

impl Connection {
    /// Waits with the request that the session has pending; its answer is in `output` then.
    pub(super) async fn wait(&mut self) -> Step {
        let Some(pending) = self.session.take_pending() else { return Step::Again };
        // For ever is some centuries.
        let limit = pending.asked.timeout_ms.map_or(Duration::MAX, Duration::from_millis);
        let over = tokio::time::sleep(limit);
        tokio::pin!(over);
        loop {
            let event = tokio::select! {
                event = poll_fn(|cx| self.poll_event(cx)) => event,
                () = &mut over => Event::Woken(Wake::TimedOut),
            };
            let next = match event {
                Event::Closed => return Step::Close,
                Event::Mail => None,
                Event::Woken(wake) => self.answer_pending(&pending, wake),
            };
            if let Some(next) = next {
                return next;
            }
            if self.flush().await.is_err() {
                return Step::Close;
            }
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let worker = Rc::clone(&self.worker);
        let mut shared = worker.shared.borrow_mut();
        if let Some(wake) = self.mailbox.take_wake() {
            return Poll::Ready(Event::Woken(wake));
        }
        if self.mailbox.has_mail() {
            self.collect_mail(&mut shared);
            return Poll::Ready(Event::Mail);
        }
        // What is sent meanwhile is kept up to a bound; beyond it the socket is left to fill.
        while self.input.len() < READ_BYTES {
            let Shared { scratch, stats, .. } = &mut *shared;
            let mut buf = ReadBuf::new(scratch);
            match self.socket.poll_read(cx, &mut buf) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    stats.net(buf.filled().len() as u64, 0);
                    self.session.client().heard(buf.filled().len() as u64);
                    self.input.extend_from_slice(buf.filled());
                }
                Poll::Ready(_) => return Poll::Ready(Event::Closed),
            }
        }
        Poll::Pending
    }

    /// Asks again, or ends the wait; `None` if it goes on, else the answer is in `output`.
    fn answer_pending(&mut self, pending: &Pending, wake: Wake) -> Option<Step> {
        let mut reply = Reply::new(self.session.proto());
        reply.bound(self.room(&mut self.worker.shared.borrow_mut()));
        match wake {
            Wake::Changed if let Some(stale) = self.stale(pending) => reply.error(&stale.into()),
            Wake::Changed => {
                let began = clock::instant();
                if !self.ask_again(pending, &mut reply) {
                    return None;
                }
                self.sample(pending.row.row, began.elapsed());
            }
            Wake::TimedOut if pending.wait.is_for_offset() => reply.integer(0),
            Wake::TimedOut => reply.null_array(),
            Wake::Unblocked => reply.error(&Refusal::UNBLOCKED),
            Wake::Forced => reply.error(&Refusal::FORCED),
        }
        if reply.is_over() {
            self.abort(true);
            return Some(Step::Close);
        }
        let worker = Rc::clone(&self.worker);
        worker.shared.borrow().stats.net(0, reply.len() as u64);
        self.output.extend_from_slice(reply.bytes());
        // As redis 7.0.
        Some(if wake == Wake::Forced { Step::Close } else { Step::Again })
    }

    /// The limit of the lag that forbids to answer. Behind a link that is down the wait goes on, as at real replicas.
    fn stale(&self, pending: &Pending) -> Option<Stale> {
        let exceeded = self.worker.server.status.lag_exceeded();
        exceeded.filter(|stale| pending.row.row.is_refused_while(*stale))
    }

    /// The answer took so long to make: the command has run a second time (as redis 7.2).
    fn sample(&self, row: &Row, busy: Duration) {
        let mut shared = self.worker.shared.borrow_mut();
        let thresholds = Thresholds::new(shared.config.config());
        thresholds.sample(&self.worker.server.status.latency, Some(row), busy);
    }

    /// A key that is no stream any more is no answer either: the wait goes on (as redis 7.0). Another history is one.
    fn ask_again(&mut self, pending: &Pending, reply: &mut Reply) -> bool {
        let Run::Wait(read) = pending.row.row.run else { return true };
        let (words, spans) = joined(&pending.asked.request);
        let worker = Rc::clone(&self.worker);
        let mut shared = worker.shared.borrow_mut();
        let (db, no_touch) = (self.session.db(), self.session.client().is_no_touch());
        let (compat, settings) = (shared.config.config().compat, shared.config.config().uses);
        let asked = shared.reader.read(|data| {
            let now = UnixMs::now();
            let uses = data.uses(settings, now);
            let cx = ReadCx { data, db, now, may_wait: true, compat, uses, no_touch };
            reply.doubles = cx.dialect().into();
            let asked = read(&cx, &mut Args::new(&words, &spans, 1), reply);
            if !matches!(asked, Ok(None)) {
                pending.wait.again();
            }
            asked
        });
        let answered = matches!(asked, Ok(None));
        if !answered {
            reply.truncate(0);
        }
        match asked {
            Err(refusal) if pending.wait.is_for_offset() => {
                reply.error(&refusal);
                true
            }
            _ => answered,
        }
    }
}

/// Words one behind the other, and where each is.
fn joined(request: &[Vec<u8>]) -> (Vec<u8>, Vec<Span>) {
    let mut words = Vec::new();
    let spans = request.iter().map(|word| {
        let start = words.len() as u32;
        words.extend_from_slice(word);
        Span { start, end: words.len() as u32 }
    });
    let spans = spans.collect();
    (words, spans)
}
