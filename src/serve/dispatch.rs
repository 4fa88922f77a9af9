//! The order of checks before a row runs, as real servers order them: does the command exist, does its arity fit, may
//! this client speak, is it a write, are the data too stale, is anything loaded.

use super::batch::Batch;
use crate::clock::{self, UnixMs};
use crate::command::acl::{Context, is_for_data, permit};
use crate::command::args::Args;
use crate::command::context::{ReadCx, SessionCx};
use crate::command::logged::{Measured, Thresholds};
use crate::command::pause::Paused;
use crate::command::row::{DeclaresFn, Row, Run, SessionFn};
use crate::command::scripting::flags::{Declaring, Flags};
use crate::command::session::{After, Server, Session};
use crate::command::table::Indexed;
use crate::command::transaction::exec_refused;
use crate::config::{Compat, Setting, UseSettings};
use crate::dataset::{Dataset, Dialect, Uses};
use crate::logging::Seldom;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use crate::status::{Stale, WorkerStats};
use std::time::{Duration, Instant};

/// Replies are sent before more requests are executed when this many bytes wait.
const REPLY_BYTES_SOFT_MAX: usize = 1 << 20;

/// What the checks look at besides the client, the same for a whole batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gates {
    /// The data are too stale to be shown.
    pub(super) stale: Option<Stale>,
    /// CLIENT PAUSE holds some requests up.
    pub(super) paused: Paused,
    /// Somebody wants to see all commands.
    pub(super) monitored: bool,
    /// As whose server clients are answered.
    pub(super) compat: Compat,
    /// What is remembered of the use of keys.
    pub(super) uses: UseSettings,
}

/// What executing requests needs besides the data.
pub(super) struct Execution<'a> {
    pub(super) server: &'a Server,
    pub(super) stats: &'a WorkerStats,
    pub(super) gates: Gates,
    /// As which server, of which release, clients are answered.
    pub(super) dialect: Dialect,
    /// The data of this entry of the gate are a master's.
    pub(super) loaded: bool,
    /// From which measure on commands are logged.
    pub(super) thresholds: Thresholds,
    /// The time of the batch.
    pub(super) now: UnixMs,
    /// How uses of keys are recorded at that time.
    pub(super) uses: Uses,
}

/// Why execution stopped, and at which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// All requests are answered.
    Done,
    /// Enough waits to be sent; this request is next.
    Flush(usize),
    /// The request before this one asks for something.
    After(After, usize),
    /// This request walks the whole database: it runs alone, in slices.
    Walk(usize),
    /// This request waits until CLIENT PAUSE is over.
    Pause(usize),
    /// The connection ends at once, and nothing that waits is sent.
    Abort,
}

impl Execution<'_> {
    /// Executes the requests of a batch.
    pub(super) fn run(
        &self,
        data: &Dataset,
        session: &mut Session,
        batch: &Batch,
        bytes: &[u8],
        reply: &mut Reply,
    ) -> Stop {
        let now = self.now;
        let mut began = clock::instant();
        for (at, frame) in batch.frames().iter().enumerate() {
            let mut args = batch.args(frame, bytes);
            let mark = reply.len();
            if frame.row.is_none() && is_http(&args) {
                warn_of_http(now, &session.client().endpoint.addr);
                return Stop::Abort;
            }
            if self.gates.paused != Paused::Nobody && self.is_held_up(data, session, frame.row, &args) {
                return Stop::Pause(at);
            }
            let admitted = if session.is_in_multi() {
                self.enqueue(data, session, frame.row, &args)
            } else {
                self.admit(data, session, frame.row, &args, false).map(Some)
            };
            let result = match admitted {
                Err(refusal) => Err(Rejected::Before(refusal)),
                Ok(None) => {
                    reply.simple("QUEUED");
                    began = clock::instant();
                    leave_out(session, mark, reply);
                    continue;
                }
                Ok(Some(Row { run: Run::Walk(_), .. })) => return Stop::Walk(at),
                Ok(Some(row)) => {
                    if self.gates.monitored
                        && let Some((found, named)) = frame.row
                    {
                        self.foresee(session, found, named, &args);
                    }
                    self.one(data, session, row, &mut args, now, reply).map_err(Rejected::Inside)
                }
            };
            let after = *result.as_ref().unwrap_or(&After::Continue);
            let is_push = result.is_ok() && frame.row.is_some_and(|(found, _)| found.row.pushes);
            let ran = !matches!(result, Err(Rejected::Before(_)));
            if let After::Sleep(time) = after {
                // To the client the command takes as long; as at the servers, it counts.
                began = began.checked_sub(time).unwrap_or(began);
            }
            // What waits for another thread is counted by whoever answers.
            if after != After::Await {
                began = self.account(frame.row, result.err(), (mark, frame.bytes), reply, began, &args, session);
                if is_push && session.is_muted() {
                    session.left_out();
                } else {
                    leave_out(session, mark, reply);
                }
            }
            if self.gates.monitored || session.is_tracking() {
                self.aftermath(data, session, frame.row, &args, ran, reply);
            }
            match after {
                After::Continue => {}
                After::Deliver => session.deliver_mail(reply),
                After::Wait => {
                    frame.row.iter().for_each(|(row, _)| session.begin_wait(&self.server.hub, *row));
                    return Stop::After(after, at + 1);
                }
                after => return Stop::After(after, at + 1),
            }
            if reply.is_over() {
                return Stop::Abort;
            }
            if reply.len() >= REPLY_BYTES_SOFT_MAX.min(reply.room() / 2) {
                return Stop::Flush(at + 1);
            }
        }
        Stop::Done
    }

    /// Runs one request that passed the checks.
    pub(super) fn one(
        &self,
        data: &Dataset,
        session: &mut Session,
        row: &Row,
        args: &mut Args<'_>,
        now: UnixMs,
        reply: &mut Reply,
    ) -> Result<After, Refusal> {
        match row.run {
            Run::Read(read) => read(&self.read_cx(data, session, now), args, reply).map(|()| After::Continue),
            Run::Wait(read) => {
                let asked = read(&self.read_cx(data, session, now), args, reply)?;
                Ok(asked.map_or(After::Continue, |asked| session.ask_to_wait(asked)))
            }
            Run::Session(run) => self.session(data, session, run, args, now, reply),
            Run::Container => match row.alone {
                Some(run) if args.words().len() == 1 => self.session(data, session, run, args, now, reply),
                _ => Err(unknown_subcommand(row, args)),
            },
            Run::Exec => self.exec(data, session, now, reply),
            Run::Write(_) | Run::WriteRefused | Run::Walk(_) => Err(Refusal::READ_ONLY),
        }
    }

    /// What a read of this session is handed.
    #[inline]
    pub(super) fn read_cx<'d>(&self, data: &'d Dataset, session: &Session, now: UnixMs) -> ReadCx<'d> {
        ReadCx {
            data,
            db: session.db(),
            now,
            may_wait: !session.is_executing(),
            compat: self.gates.compat,
            uses: self.uses,
            no_touch: session.client().is_no_touch(),
        }
    }

    fn session(
        &self,
        data: &Dataset,
        session: &mut Session,
        run: SessionFn,
        args: &mut Args<'_>,
        now: UnixMs,
        reply: &mut Reply,
    ) -> Result<After, Refusal> {
        let (server, compat) = (self.server, self.gates.compat);
        let mut cx = SessionCx { data, now, session, server, compat, after: After::Continue };
        run(&mut cx, args, reply)?;
        let after = cx.after;
        reply.proto = session.proto();
        Ok(after)
    }

    /// The checks before a row runs, or is queued. A refused EXEC says that the transaction is gone.
    pub(super) fn admit(
        &self,
        data: &Dataset,
        session: &Session,
        found: Option<(Indexed, usize)>,
        args: &Args<'_>,
        queued: bool,
    ) -> Result<&'static Row, Refusal> {
        self.check(data, session, found, args, queued).map_err(|refusal| match found {
            Some((Indexed { row: Row { run: Run::Exec, .. }, .. }, _)) => exec_refused(&refusal),
            _ => refusal,
        })
    }

    /// The checks in the servers' order.
    fn check(
        &self,
        data: &Dataset,
        session: &Session,
        found: Option<(Indexed, usize)>,
        args: &Args<'_>,
        queued: bool,
    ) -> Result<&'static Row, Refusal> {
        let needs_auth = !session.is_authenticated() && found.is_none_or(|(found, _)| !found.row.no_auth);
        if needs_auth && self.dialect.asks_for_auth_first() {
            return Err(Refusal::NO_AUTH);
        }
        let Some((found @ Indexed { row, .. }, _)) = found else { return Err(unknown_command(args)) };
        if !row.arity_fits(args.word_count()) {
            return Err(Refusal::wrong_arity(&row.name.replace(' ', "|")));
        }
        if matches!(row.run, Run::Container) && args.word_count() > 1 {
            return Err(unknown_subcommand(row, args));
        }
        if let Some(refusal) = row.forbidden {
            return Err(refusal());
        }
        if needs_auth {
            return Err(Refusal::NO_AUTH);
        }
        if !session.is_unlimited() {
            permit(self.server, session, found, args, Context::Client, UnixMs::now)?;
        }
        if session.is_redirected() && (row.is_write() || !session.is_readonly()) && is_for_data(found) {
            return Err(self.server.redirection());
        }
        if row.is_write() {
            return Err(Refusal::READ_ONLY);
        }
        let declared = row.declares.and_then(|flags| self.declared(data, flags, args, queued));
        if declared.is_some_and(|flags| !flags.no_writes()) {
            return Err(self.server.refused_write(session.client()));
        }
        if session.is_restricted() {
            restricted(session, row)?;
        }
        if let Some(stale) = self.gates.stale
            && (row.is_refused_while(stale) || declared.is_some_and(|flags| !flags.allow_stale()))
        {
            return Err(stale.into());
        }
        if !self.loaded && !row.loading {
            return Err(Refusal::loading(self.dialect.is_valkey()));
        }
        Ok(row)
    }

    /// The flags of the script that a request would run. One that is queued must tell now.
    #[cold]
    pub(super) fn declared(
        &self,
        data: &Dataset,
        flags: DeclaresFn,
        args: &Args<'_>,
        queued: bool,
    ) -> Option<Flags> {
        // Without an engine that is told of all scripts alike.
        let asked = Declaring { data, server: self.server, dialect: self.dialect, at_once: queued };
        self.server.scripts.has_engine().then(|| flags(&asked, args)).flatten()
    }

    /// Counts a request of so many bytes whose reply stands behind `mark`, finishes its error reply, and answers the time
    /// at its end.
    #[allow(clippy::too_many_arguments, reason = "everything that is known at the end of one request")]
    pub(super) fn account(
        &self,
        found: Option<(Indexed, usize)>,
        rejected: Option<Rejected>,
        (mark, request_bytes): (usize, usize),
        reply: &mut Reply,
        began: Instant,
        args: &Args<'_>,
        session: &Session,
    ) -> Instant {
        let ended = clock::instant();
        let busy = ended - began;
        let busy_ns = u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX);
        let index = found.map(|(found, _)| found.index);
        match rejected {
            None => self.stats.ran(index.unwrap_or(usize::MAX), busy_ns),
            Some(Rejected::Inside(refusal)) => {
                reply.truncate(mark);
                reply.error(&refusal);
                self.stats.failed(index.unwrap_or(usize::MAX), busy_ns, &refusal.0);
            }
            Some(Rejected::Before(refusal)) => {
                reply.error(&refusal);
                self.stats.rejected(index, &refusal.0);
                return ended;
            }
        }
        let measured = Measured { busy, request_bytes, reply_bytes: reply.len() - mark };
        if self.thresholds.are_reached(measured) {
            self.log(found, args, measured, session);
        }
        ended
    }
}

impl Execution<'_> {
    #[cold]
    fn log(&self, found: Option<(Indexed, usize)>, args: &Args<'_>, mut measured: Measured, session: &Session) {
        self.thresholds.sample(&self.server.status.latency, found.map(|(found, _)| found.row), measured.busy);
        let words: Vec<&[u8]> = match found {
            // What it ran stands there itself (as redis 7.0).
            Some((found, _)) if matches!(found.row.run, Run::Exec) => return,
            Some((found, named)) if found.row.redacted => redacted(found.row, named, args),
            _ => args.words().collect(),
        };
        if session.is_muted() {
            measured.reply_bytes = 0;
        }
        self.thresholds.log(self.server, measured, &words, session.client());
    }
}

/// CLIENT REPLY OFF and SKIP take a reply back.
fn leave_out(session: &mut Session, mark: usize, reply: &mut Reply) {
    if session.is_muted() {
        reply.truncate(mark);
        session.left_out();
    }
}

/// The words of a request whose arguments may hold a password, without them (as redis 7.0: HELLO shows what stands beside
/// AUTH, CONFIG SET the names).
pub(super) fn redacted<'a>(row: &Row, named: usize, args: &Args<'a>) -> Vec<&'a [u8]> {
    let words: Vec<&[u8]> = args.words().collect();
    let login = words.iter().position(|word| word.eq_ignore_ascii_case(b"auth")).unwrap_or(usize::MAX - 2);
    let hidden = |at: usize| match row.name {
        "hello" => at == login + 1 || at == login + 2,
        "config set" => at % 2 == 1 && words.get(at - 1).is_some_and(|name| names_secret(name)),
        _ => true,
    };
    let shown = |(at, word)| if at >= named && hidden(at) { &b"(redacted)"[..] } else { word };
    words.iter().copied().enumerate().map(shown).collect()
}

fn names_secret(name: &[u8]) -> bool {
    std::str::from_utf8(name).ok().and_then(Setting::find).is_some_and(|setting| setting.secret)
}

/// What a session that listens or monitors may not do.
#[cold]
fn restricted(session: &Session, row: &Row) -> Result<(), Refusal> {
    if session.is_listening() && !row.while_subscribed {
        return Err(Refusal::while_subscribed(&row.name.replace(' ', "|")));
    }
    match row.run {
        Run::Read(_) | Run::Wait(_) | Run::Walk(_) if session.is_monitor() => Err(Refusal::MONITOR_READS),
        _ => Ok(()),
    }
}

/// A request that did not end well.
pub(super) enum Rejected {
    /// By the checks.
    Before(Refusal),
    /// By its row.
    Inside(Refusal),
}

/// The first line of a form that a browser was made to send, or a header of it: what follows is not meant for us, and may
/// hold lines that were meant to be commands (as redis 7.0).
#[cold]
fn is_http(args: &Args<'_>) -> bool {
    let name = args.word(0).unwrap_or_default();
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

#[cold]
fn warn_of_http(now: UnixMs, from: &str) {
    static TOLD: Seldom = Seldom::new(Duration::from_mins(1));
    if TOLD.is_due(now) {
        tracing::warn!(
            "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to remora. This \
             is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your instance. \
             Connection from {from} aborted."
        );
    }
}

/// `ERR unknown command 'x', with args beginning with: 'a' 'b' ` (as redis 7.0, the arguments up to 128 bytes).
fn unknown_command(args: &Args<'_>) -> Refusal {
    const SHOWN_BYTES: usize = 128;
    let name = args.word(0).unwrap_or_default();
    let name = name.get(..SHOWN_BYTES).unwrap_or(name);
    let mut shown = String::new();
    for word in (1..args.word_count()).filter_map(|at| args.word(at)) {
        if shown.len() >= SHOWN_BYTES {
            break;
        }
        let word = word.get(..SHOWN_BYTES - shown.len()).unwrap_or(word);
        shown.push_str(&format!("'{}' ", String::from_utf8_lossy(word)));
    }
    let name = String::from_utf8_lossy(name);
    Refusal::text(format!("ERR unknown command '{name}', with args beginning with: {shown}"))
}

/// `ERR unknown subcommand 'x'. Try CLIENT HELP.` (as redis 7.0).
fn unknown_subcommand(row: &Row, args: &Args<'_>) -> Refusal {
    let sub = args.word(1).unwrap_or_default();
    let sub = String::from_utf8_lossy(sub.get(..128).unwrap_or(sub)).into_owned();
    Refusal::text(format!("ERR unknown subcommand '{sub}'. Try {} HELP.", row.name.to_ascii_uppercase()))
}
