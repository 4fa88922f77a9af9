//! One client: read what came, execute it, write the replies.
//!
//! A step is one poll of the socket: read into the worker's buffer, parse all, execute under one entry of the gate, one
//! write. Only what is left over is the connection's own: requests not executed yet, and replies that the socket did
//! not take. While replies wait nothing is read, so a client that does not read its replies costs one batch of them.
//! What other threads have to say to the client is taken from its mailbox between two steps, so that it never tears a
//! reply and comes behind the replies of the batch that has caused it.

use super::batch::Parsed;
use super::dispatch::{Execution, Stop};
use super::worker::{REPLY_BYTES_KEPT, Shared, Worker};
use crate::clock::{self, UnixMs};
use crate::command::clients::Endpoint;
use crate::command::connection::Portrait;
use crate::command::context::{ReadCx, take_lookups, telling_missed};
use crate::command::logged::{Measured, Thresholds};
use crate::command::row::Run;
use crate::command::session::{After, Session};
use crate::command::table::Indexed;
use crate::dataset::Dataset;
use crate::downstream::Arrival;
use crate::hub::Mailbox;
use crate::limits::READ_BATCH_REQUESTS_MAX;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use crate::resp::request::{Parser, RequestError, RequestLimits};
use crate::socket::Socket;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::ReadBuf;

/// One client connection.
pub(super) struct Connection {
    pub(super) worker: Rc<Worker>,
    pub(super) socket: Socket,
    pub(super) session: Session,
    pub(super) mailbox: Arc<Mailbox>,
    parser: Parser,
    /// Requests, or the beginning of one, that came and are not executed.
    pub(super) input: Vec<u8>,
    /// Replies that the socket has not taken yet.
    pub(super) output: Vec<u8>,
    /// Part of `output` came from the mailbox.
    mail_in_output: bool,
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Step {
    /// Everything complete is executed: read on.
    Read,
    /// Requests wait in `input`: execute them once the replies so far are sent.
    Again,
    /// The first request in `input` walks the whole database.
    Walk,
    /// The last request wants to wait.
    Sleep(Duration),
    /// The first request in `input` has to wait for the end of CLIENT PAUSE.
    Pause,
    /// The last request's reply comes from another thread.
    Await,
    /// The last request waits for keys to change.
    Wait,
    /// The client closed, was told to, or broke the protocol.
    Close,
    /// The client is a sub-replica from here on.
    Replicate,
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Closed,
    Replicate,
}

impl Connection {
    /// A connection that was just admitted.
    pub(super) fn new(worker: Rc<Worker>, socket: Socket) -> Self {
        let config = worker.server.config.get();
        let path = config.unixsocket.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let endpoint = endpoint(&socket, &path, worker.number);
        let client = worker.server.clients.join(endpoint, UnixMs::now());
        let session = Session::new(client, &worker.server.users);
        let mailbox = Arc::clone(session.client().mailbox());
        let (parser, input, output) = (Parser::default(), Vec::new(), Vec::new());
        Self { worker, socket, session, mailbox, parser, input, output, mail_in_output: false }
    }

    /// Serves the client until one side ends it.
    pub(super) async fn run(mut self) {
        let mailbox = Arc::clone(&self.mailbox);
        poll_fn(|cx| {
            mailbox.register(cx.waker());
            Poll::Ready(())
        })
        .await;
        let ended = tokio::select! {
            biased;
            () = poll_fn(|_| if mailbox.is_killed() { Poll::Ready(()) } else { Poll::Pending }) => Ended::Closed,
            ended = self.serve() => ended,
        };
        match ended {
            Ended::Closed => {
                self.socket.say_goodbye();
                self.worker.server.status.clients.leave();
            }
            Ended::Replicate => self.hand_over(),
        }
    }

    /// Gives the connection to the feeder.
    fn hand_over(self) {
        let Self { worker, socket, session, input: unread, .. } = self;
        let (member, introduction) = session.into_sub_replica();
        match socket.release() {
            Ok(socket) => worker.downstream.hand_over(Arrival { socket, member, introduction, unread }),
            Err(error) => {
                tracing::warn!(%error, "a sub-replica's connection could not be handed over");
                worker.server.status.clients.leave();
            }
        }
    }

    async fn serve(&mut self) -> Ended {
        loop {
            let step = poll_fn(|cx| self.poll_step(cx)).await;
            let Ok(mut step) = step else { return Ended::Closed };
            while !matches!(step, Step::Read) {
                if let Step::Sleep(time) = step {
                    tokio::time::sleep(time).await;
                }
                if self.flush().await.is_err() {
                    return Ended::Closed;
                }
                step = match step {
                    Step::Await => self.awaited().await,
                    Step::Read | Step::Again | Step::Sleep(_) => self.execute_input(),
                    Step::Walk => self.walk().await,
                    Step::Pause => {
                        self.worker.server.pause.over(UnixMs::now).await;
                        self.execute_input()
                    }
                    Step::Close => return Ended::Closed,
                    Step::Replicate => return Ended::Replicate,
                    Step::Wait => self.wait().await,
                };
            }
            if self.flush().await.is_err() {
                return Ended::Closed;
            }
        }
    }

    /// One step: take the mail, read once, execute everything complete, write once.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Step>> {
        let worker = Rc::clone(&self.worker);
        let mut shared = worker.shared.borrow_mut();
        let mail = self.mailbox.has_mail();
        if mail {
            self.collect_mail(&mut shared);
        }
        let mut scratch = std::mem::take(&mut shared.scratch);
        let mut buf = ReadBuf::new(&mut scratch);
        let read = self.socket.poll_read(cx, &mut buf).map_ok(|()| buf.filled().len());
        let step = read.map_ok(|read| self.received(&mut shared, &mut scratch[..read]));
        shared.scratch = scratch;
        match step {
            Poll::Pending if mail => Poll::Ready(Ok(Step::Read)),
            step => step,
        }
    }

    /// Mail goes in front of whatever is executed next.
    #[cold]
    pub(super) fn collect_mail(&mut self, shared: &mut Shared) {
        let bytes = self.mailbox.take(&mut self.output);
        self.mail_in_output = true;
        self.session.client().told(bytes as u64);
        shared.stats.net(0, bytes as u64);
    }

    /// These bytes came.
    fn received(&mut self, shared: &mut Shared, bytes: &mut [u8]) -> Step {
        if bytes.is_empty() {
            return Step::Close;
        }
        shared.stats.net(bytes.len() as u64, 0);
        self.session.client().heard(bytes.len() as u64);
        if self.input.is_empty() {
            let (used, step) = self.execute(shared, bytes);
            self.input.extend_from_slice(&bytes[used..]);
            return step;
        }
        self.input.extend_from_slice(bytes);
        self.execute_own(shared)
    }

    /// Executes what waits in `input`.
    fn execute_input(&mut self) -> Step {
        let worker = Rc::clone(&self.worker);
        let mut shared = worker.shared.borrow_mut();
        self.execute_own(&mut shared)
    }

    fn execute_own(&mut self, shared: &mut Shared) -> Step {
        let mut input = std::mem::take(&mut self.input);
        let (used, step) = self.execute(shared, &mut input);
        if used < input.len() {
            input.drain(..used);
            self.input = input;
        }
        step
    }

    /// Parses and executes requests from the front of `bytes`; answers how many bytes are done with.
    fn execute(&mut self, shared: &mut Shared, bytes: &mut [u8]) -> (usize, Step) {
        let mut at = 0;
        loop {
            let limits = if self.session.is_authenticated() {
                &RequestLimits::CLIENT
            } else {
                &RequestLimits::UNAUTHENTICATED
            };
            // Before authentication one at a time: AUTH may lift the limits for what comes behind it.
            let most = if self.session.is_authenticated() { READ_BATCH_REQUESTS_MAX } else { 1 };
            let (end, parsed) = shared.batch.parse(&mut self.parser, bytes, at, most, limits);
            let stop = if shared.batch.frames().is_empty() { Stop::Done } else { self.run_batch(shared, bytes) };
            let next = match stop {
                Stop::Done | Stop::Abort => end,
                Stop::Flush(at) | Stop::After(_, at) | Stop::Walk(at) | Stop::Pause(at) => {
                    self.parser = Parser::default();
                    shared.batch.frames().get(at).map_or(end, |frame| frame.start)
                }
            };
            match stop {
                Stop::Done => {}
                Stop::Abort => return (end, Step::Close),
                Stop::Flush(_) => return (next, Step::Again),
                Stop::Walk(_) => return (next, Step::Walk),
                Stop::Pause(_) => return (next, Step::Pause),
                Stop::After(After::Close, _) => return (next, Step::Close),
                Stop::After(After::Replicate, _) => return (next, Step::Replicate),
                Stop::After(After::Wait, _) => return (next, Step::Wait),
                Stop::After(After::Sleep(time), _) => return (next, Step::Sleep(time)),
                Stop::After(After::Await, _) => return (next, Step::Await),
                Stop::After(After::Continue | After::Deliver, _) => return (next, Step::Again),
            }
            at = end;
            match parsed {
                Parsed::All => return (at, Step::Read),
                Parsed::Full => {}
                Parsed::Broken(error) => {
                    self.broken(shared, error);
                    return (at, Step::Close);
                }
            }
        }
    }

    /// Executes the batch under one entry of the gate and sends the replies.
    fn run_batch(&mut self, shared: &mut Shared, bytes: &[u8]) -> Stop {
        let worker = Rc::clone(&self.worker);
        let gates = shared.gates(&worker.server);
        let thresholds = Thresholds::new(shared.config.config());
        let room = self.room(shared);
        let Shared { reader, stats, batch, reply, .. } = shared;
        reply.bound(room);
        reply.proto = self.session.proto();
        self.session.follow_users(&worker.server.users);
        let session = &mut self.session;
        let run = |data: &Dataset| {
            let dialect = data.limits.dialect.answering(gates.compat);
            reply.doubles = dialect.into();
            if let Some(keyspace) = data.db(session.db()) {
                batch.prefetch(bytes, keyspace);
            }
            let loaded = data.is_loaded();
            let now = UnixMs::now();
            let uses = data.uses(gates.uses, now);
            let execution =
                Execution { server: &worker.server, stats, gates, dialect, loaded, thresholds, now, uses };
            execution.run(data, session, batch, bytes, reply)
        };
        let stop = telling_missed(&worker.server.hub, || reader.read(run));
        let (hits, misses) = take_lookups();
        stats.lookups(hits, misses);
        let last = batch.frames().iter().rev().find_map(|frame| frame.row);
        let last = last.map_or(usize::MAX, |(found, _)| found.index);
        let (requests, written) = (batch.frames().len() as u64, reply.len() as u64);
        self.session.client().ran(UnixMs::now(), requests, written, last);
        match stop {
            Stop::Abort => {
                let over = shared.reply.is_over();
                *shared.reply.buffer_mut() = Vec::new();
                self.abort(over);
            }
            // The reply comes after the sleep.
            Stop::After(After::Sleep(_), _) => self.keep(shared, 0),
            _ => self.send(shared),
        }
        stop
    }

    /// Bytes of replies that this client may still let wait.
    pub(super) fn room(&self, shared: &mut Shared) -> usize {
        let limits = &shared.config.config().output_limits;
        let limit = if self.mailbox.is_subscriber() { limits.pubsub } else { limits.normal };
        limit.reply_bytes().saturating_sub(self.output.len())
    }

    /// What waits to be sent never will be: the connection ends. `over`: because it is too much.
    #[cold]
    pub(super) fn abort(&mut self, over: bool) {
        self.output = Vec::new();
        if over {
            let line = Portrait::of(self.session.client(), None, UnixMs::now()).line(None);
            let line = String::from_utf8_lossy(&line);
            tracing::warn!("Client {line} closed for overcoming of output buffer limits.");
            self.worker.server.status.clients.count_evicted();
        }
    }

    fn broken(&mut self, shared: &mut Shared, error: RequestError) {
        shared.reply.error(&Refusal::text(format!("ERR Protocol error: {error}")));
        self.send(shared);
    }

    /// Offers the worker's reply buffer to the socket; keeps what it does not take.
    fn send(&mut self, shared: &mut Shared) {
        let reply = shared.reply.buffer_mut();
        // An error shows at the next read; until then the replies have nowhere to go.
        let taken = if self.output.is_empty() { self.socket.try_write(reply).unwrap_or(reply.len()) } else { 0 };
        self.keep(shared, taken);
    }

    /// Keeps the replies from `taken` on until the next flush.
    fn keep(&mut self, shared: &mut Shared, taken: usize) {
        let reply = shared.reply.buffer_mut();
        shared.stats.net(0, reply.len() as u64);
        if self.output.is_empty() && reply.len() - taken > REPLY_BYTES_KEPT {
            // A big one is not copied.
            self.output = std::mem::take(reply);
            self.output.drain(..taken);
            return;
        }
        self.output.extend_from_slice(&reply[taken..]);
        reply.clear();
        reply.shrink_to(REPLY_BYTES_KEPT);
    }

    /// Waits until the socket has taken everything.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        let (mut sent, mut over_since) = (0, None);
        while sent < self.output.len() {
            match self.socket.try_write(&self.output[sent..])? {
                0 => {
                    let waiting = self.output.len() - sent;
                    self.session.client().set_buffers(self.input.len(), waiting);
                    self.writable(waiting, &mut over_since).await?;
                }
                taken => sent += taken,
            }
        }
        self.output = Vec::new();
        self.session.client().set_buffers(self.input.len(), 0);
        self.socket.drain().await?;
        if std::mem::take(&mut self.mail_in_output) {
            self.mailbox.sent();
        }
        Ok(())
    }

    /// Waits until the socket takes more, while so many bytes wait: above the soft limit not for ever.
    async fn writable(&mut self, waiting: usize, over_since: &mut Option<Instant>) -> io::Result<()> {
        let limits = self.worker.server.config.get().output_limits;
        let limit = if self.mailbox.is_subscriber() { limits.pubsub } else { limits.normal };
        if limit.soft_bytes == 0 || waiting as u64 <= limit.soft_bytes {
            *over_since = None;
            return self.socket.writable().await;
        }
        let allowed = Duration::from_secs(limit.soft_s);
        let left = allowed.saturating_sub(over_since.get_or_insert_with(clock::instant).elapsed());
        match tokio::time::timeout(left, self.socket.writable()).await {
            Ok(ready) if !left.is_zero() => ready,
            _ => {
                self.abort(true);
                Err(io::ErrorKind::TimedOut.into())
            }
        }
    }

    /// Waits for the reply that another thread gives, and keeps it for the next flush.
    async fn awaited(&mut self) -> Step {
        let Some(reply) = self.session.take_awaited() else { return Step::Again };
        // Without an answer the program ends, and this connection with it.
        let bytes = reply.await.unwrap_or_default();
        let worker = Rc::clone(&self.worker);
        let mut shared = worker.shared.borrow_mut();
        if bytes.len() > self.room(&mut shared) {
            self.abort(true);
            return Step::Close;
        }
        shared.stats.net(0, bytes.len() as u64);
        self.output.extend_from_slice(&bytes);
        Step::Again
    }

    /// Runs the first request of `input`, which walks the whole database: one slice per entry of the gate, so that
    /// neither the applier nor this worker's other clients wait for all of it.
    async fn walk(&mut self) -> Step {
        let (mut body, mut cursor, mut found) = (Reply::new(self.session.proto()), 0, 0);
        let mut busy = Duration::ZERO;
        body.bound(self.room(&mut self.worker.shared.borrow_mut()));
        let used = loop {
            match self.walk_slice(cursor, busy, &mut body) {
                Ok(_) if body.is_over() => {
                    self.abort(true);
                    return Step::Close;
                }
                Ok(slice) => {
                    found += slice.found;
                    cursor = slice.cursor;
                    busy = slice.busy;
                    if cursor == 0 {
                        break slice.used;
                    }
                }
                Err((refusal, used)) => {
                    body = Reply::new(self.session.proto());
                    body.error(&refusal);
                    return self.walked(&[body.bytes()], used);
                }
            }
            tokio::task::yield_now().await;
        };
        let mut header = Reply::new(self.session.proto());
        header.array(found);
        self.walked(&[header.bytes(), body.bytes()], used)
    }

    /// A walk is answered, unless CLIENT REPLY says otherwise; its request is done with.
    fn walked(&mut self, reply: &[&[u8]], used: usize) -> Step {
        if self.session.is_muted() {
            self.session.left_out();
        } else {
            reply.iter().for_each(|part| self.output.extend_from_slice(part));
        }
        self.input.drain(..used);
        Step::Again
    }

    /// `busy`: how long the slices before have taken.
    fn walk_slice(&mut self, cursor: u64, busy: Duration, body: &mut Reply) -> Result<Slice, (Refusal, usize)> {
        let worker = Rc::clone(&self.worker);
        let mut shared = worker.shared.borrow_mut();
        let config = shared.config.config();
        let (compat, settings, thresholds) = (config.compat, config.uses, Thresholds::new(config));
        let Shared { reader, stats, batch, .. } = &mut *shared;
        let limits = &RequestLimits::CLIENT;
        let (used, _) = batch.parse(&mut Parser::default(), &mut self.input, 0, 1, limits);
        let Some(frame) = batch.frames().first() else { return Ok(Slice { used, ..Slice::default() }) };
        let Some((Indexed { row, index }, _)) = frame.row else { return Ok(Slice { used, ..Slice::default() }) };
        let Run::Walk(walk) = row.run else { return Ok(Slice { used, ..Slice::default() }) };
        let (db, input) = (self.session.db(), &self.input);
        let began = clock::instant();
        let walked = reader.read(|data| {
            // The data may have gone since the slice before.
            if !data.is_loaded() {
                return Err(Refusal::loading(data.limits.dialect.answering(compat).is_valkey()));
            }
            let now = UnixMs::now();
            let uses = data.uses(settings, now);
            let cx = ReadCx { data, db, now, may_wait: true, compat, uses, no_touch: false };
            walk(&cx, &mut batch.args(frame, input), cursor, body)
        });
        let (next, found) = walked.map_err(|refusal| (refusal, used))?;
        let busy = busy + began.elapsed();
        if next == 0 {
            stats.ran(index, u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX));
            // Without the line that says how many elements there are: it is made behind the last slice.
            let reply_bytes = if self.session.is_muted() { 0 } else { body.len() };
            let measured = Measured { busy, request_bytes: frame.bytes, reply_bytes };
            if thresholds.are_reached(measured) {
                let words: Vec<&[u8]> = batch.args(frame, input).words().collect();
                thresholds.sample(&worker.server.status.latency, Some(row), busy);
                thresholds.log(&worker.server, measured, &words, self.session.client());
            }
        }
        Ok(Slice { cursor: next, found, used, busy })
    }
}

/// Who is at the other end, as CLIENT LIST says it. `path`: the unix socket we listen on.
fn endpoint(socket: &Socket, path: &str, worker: usize) -> Endpoint {
    let fd = socket.as_raw_fd();
    if socket.is_unix() {
        let addr = format!("{path}:0");
        return Endpoint { laddr: addr.clone(), addr, fd, local: true, unix: true, worker };
    }
    let text = |address: Option<SocketAddr>| address.map_or_else(|| "?:0".to_owned(), |at| at.to_string());
    let local = socket.peer().is_some_and(|address| address.ip().to_canonical().is_loopback());
    Endpoint { addr: text(socket.peer()), laddr: text(socket.local()), fd, local, unix: false, worker }
}

/// One slice of a walk: the cursor of the next one (0: it was the last), what it found, the request's bytes, how long it
/// and those before have taken.
#[derive(Default)]
struct Slice {
    cursor: u64,
    found: usize,
    used: usize,
    busy: Duration,
}
