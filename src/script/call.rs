//! redis.call: a command of a script, through the same rows that clients' commands go through.

use super::raise;
use super::to_lua;
use super::wording::Wording;
use crate::clock::{self, UnixMs};
use crate::command::acl::{Context, User, permit};
use crate::command::args::{Args, Span};
use crate::command::context::{ReadCx, SessionCx};
use crate::command::facts::Facts;
use crate::command::logged::Thresholds;
use crate::command::remember::remember;
use crate::command::row::{Row, Run};
use crate::command::session::{After, Server, Session};
use crate::command::table::{self, Indexed};
use crate::config::Compat;
use crate::dataset::{Dataset, Dialect, Uses};
use crate::hub::Memory;
use crate::number::DoubleText;
use crate::position::DbIndex;
use crate::resp::refusal::Refusal;
use crate::resp::reply::{Proto, Reply};
use crate::status::WorkerStats;
use mlua::{Lua, Value};
use std::cell::{Cell, RefCell};
use std::sync::{Arc, LazyLock};

/// Rows that scripts may not call, by their number in the table.
static NOT_FROM_SCRIPTS: LazyLock<Vec<bool>> = LazyLock::new(|| {
    table::rows().map(|row| Facts::of(row.name).is_some_and(|facts| facts.has("noscript"))).collect()
});

/// Reads that masters may replicate: writes in the eyes of a script that declares to make none (as redis 7.0).
const MAY_REPLICATE: [&str; 3] = ["publish", "spublish", "pfcount"];

/// What commands of one run of a script see.
pub(super) struct Caller<'a> {
    pub(super) data: &'a Dataset,
    pub(super) server: &'a Server,
    pub(super) stats: Option<&'a WorkerStats>,
    /// As whose server it is answered.
    pub(super) compat: Compat,
    /// From which time on a command is a spike.
    pub(super) thresholds: Thresholds,
    /// The time of the whole run.
    pub(super) now: UnixMs,
    /// How uses of keys are recorded.
    pub(super) uses: Uses,
    /// The client has said CLIENT NO-TOUCH.
    pub(super) no_touch: bool,
    /// The database that the run starts in.
    pub(super) db: DbIndex,
    /// As whom the script acts.
    pub(super) user: &'a Arc<User>,
    /// The client tracks: what is read is remembered.
    pub(super) memory: Option<&'a Memory>,
    /// The script may not even try to write.
    pub(super) read_only: bool,
    /// The data are too stale to be shown.
    pub(super) stale_refused: bool,
    /// The version in which replies are made: redis.setresp.
    pub(super) spoken: &'a Cell<Proto>,
    pub(super) wording: &'static Wording,
    /// Made when a command wants it; holds the database of a SELECT.
    pub(super) session: RefCell<Option<Session>>,
}

/// Words of a command, end to end.
#[derive(Default)]
struct Words {
    frame: Vec<u8>,
    spans: Vec<Span>,
}

impl Caller<'_> {
    fn dialect(&self) -> Dialect {
        self.data.limits.dialect.answering(self.compat)
    }

    /// `redis.call(...)`, or with `raise` off `redis.pcall(...)`.
    pub(super) fn call(&self, lua: &Lua, args: &[Value], raises: bool) -> mlua::Result<Value> {
        let outcome = match words(args, self.dialect(), self.wording) {
            Ok(words) => self.run(&words),
            Err(text) => Err((Refusal::text(text), false)),
        };
        match outcome {
            Ok(reply) if raises && reply.bytes().first() == Some(&b'-') => {
                let line = reply.bytes().strip_suffix(b"\r\n").unwrap_or(reply.bytes());
                Err(raise::Raised::Line { line: raise::with_code(line), counted: true }.into())
            }
            Ok(reply) => to_lua::value(lua, reply.bytes()),
            Err((refusal, counted)) if raises => {
                Err(raise::Raised::Line { line: refusal.as_bytes().to_vec(), counted }.into())
            }
            Err((refusal, counted)) => raise::line_table(lua, refusal.as_bytes(), counted),
        }
    }

    /// The reply of a command; refusals of its row are in it, those of the checks before are not.
    fn run(&self, words: &Words) -> Result<Reply, (Refusal, bool)> {
        let args = Args::new(&words.frame, &words.spans, 0);
        let sub = args.word(1);
        let found = table::find(args.word(0).unwrap_or_default(), sub);
        let index = found.map(|(found, _)| found.index);
        let (found @ Indexed { row, index }, named) = found
            .filter(|(found, _)| !matches!(found.row.run, Run::Container) || sub.is_none())
            .ok_or_else(|| self.unknown(&args))
            .and_then(|(found, named)| self.admit(found, &args).map(|()| (found, named)))
            .map_err(|refusal| {
                self.stats.inspect(|stats| stats.rejected(index, &refusal.0));
                (refusal, true)
            })?;
        let mut reply = Reply::new(self.spoken.get());
        reply.doubles = self.dialect().into();
        let began = clock::instant();
        let result = self.run_row(row, &mut Args::new(&words.frame, &words.spans, named), &mut reply);
        let busy = began.elapsed();
        let busy_ns = u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX);
        self.thresholds.sample(&self.server.status.latency, Some(row), busy);
        if self.server.hub.is_monitored() {
            self.show(row, &args);
        }
        if let Some(memory) = self.memory {
            remember(memory, self.data, self.db(), found, &args, self.now);
        }
        match result {
            Ok(()) => drop(self.stats.inspect(|stats| stats.ran(index, busy_ns))),
            Err(refusal) => {
                self.stats.inspect(|stats| stats.failed(index, busy_ns, &refusal.0));
                reply.truncate(0);
                reply.error(&refusal);
            }
        }
        Ok(reply)
    }

    /// Those who monitor see the command as one of a script.
    #[cold]
    fn show(&self, row: &Row, args: &Args<'_>) {
        if !Facts::of(row.name).is_some_and(|facts| facts.has("admin")) {
            self.server.hub.show_command(clock::unix_us(), self.db(), "lua", args.words());
        }
    }

    /// There is no row of this name. The real servers may know it, and not allow it here.
    fn unknown(&self, args: &Args<'_>) -> Refusal {
        let name = String::from_utf8_lossy(args.word(0).unwrap_or_default()).to_ascii_lowercase();
        let sub = args.word(1).filter(|_| table::find(name.as_bytes(), None).is_some());
        if let Some(sub) = sub.filter(|_| self.dialect().is_valkey()) {
            let sub = String::from_utf8_lossy(sub);
            return Refusal::text(format!(
                "ERR unknown subcommand '{sub}'. Try {} HELP.",
                name.to_ascii_uppercase()
            ));
        }
        match Facts::of(&name) {
            Some(facts) if sub.is_none() && facts.has("noscript") => Refusal::text(self.wording.not_allowed),
            _ => Refusal::text(self.wording.unknown),
        }
    }

    /// The checks before a row runs, in the servers' order.
    fn admit(&self, found: Indexed, args: &Args<'_>) -> Result<(), Refusal> {
        let Indexed { row, index } = found;
        if !row.arity_fits(args.word_count()) {
            return Err(Refusal::text(self.wording.arity));
        }
        if NOT_FROM_SCRIPTS.get(index).copied().unwrap_or(true) {
            return Err(Refusal::text(self.wording.not_allowed));
        }
        if self.stale_refused && !row.stale {
            return Err(Refusal::text("ERR Can not execute the command on a stale replica"));
        }
        if !self.user.is_unlimited() {
            self.in_session(|session| permit(self.server, session, found, args, Context::Script, UnixMs::now))?;
        }
        if self.read_only && (row.is_write() || MAY_REPLICATE.contains(&row.name)) {
            return Err(Refusal::text("ERR Write commands are not allowed from read-only scripts."));
        }
        if row.is_write() { Err(Refusal::READ_ONLY) } else { Ok(()) }
    }

    /// Works with the session of the script's commands, made at the first use.
    fn in_session<R>(&self, work: impl FnOnce(&mut Session) -> R) -> R {
        let mut session = self.session.borrow_mut();
        let users = &self.server.users;
        work(session.get_or_insert_with(|| Session::of_script(users, self.user, self.db, self.now)))
    }

    /// The database that its commands see now.
    fn db(&self) -> DbIndex {
        self.session.borrow().as_ref().map_or(self.db, Session::db)
    }

    fn run_row(&self, row: &'static Row, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
        let (data, db, now) = (self.data, self.db(), self.now);
        let (compat, uses, no_touch) = (self.compat, self.uses, self.no_touch);
        let cx = ReadCx { data, db, now, may_wait: false, compat, uses, no_touch };
        match row.run {
            Run::Read(read) => read(&cx, args, out),
            // Nothing waits in a script.
            Run::Wait(read) => read(&cx, args, out).map(drop),
            Run::Walk(walk) => out.deferred(Reply::array, |out| {
                let (mut cursor, mut all) = (0, 0);
                loop {
                    let (next, found) = walk(&cx, &mut args.clone(), cursor, out)?;
                    all += found;
                    cursor = next;
                    if cursor == 0 {
                        return Ok(all);
                    }
                }
            }),
            Run::Session(run) => self.run_session(run, args, out),
            Run::Container => match row.alone {
                Some(run) => self.run_session(run, args, out),
                None => Err(Refusal::wrong_arity(row.name)),
            },
            // Not allowed in scripts, so not reached.
            Run::Exec => Err(Refusal::text(self.wording.not_allowed)),
            Run::Write(_) | Run::WriteRefused => Err(Refusal::READ_ONLY),
        }
    }

    fn run_session(
        &self,
        run: crate::command::row::SessionFn,
        args: &mut Args<'_>,
        out: &mut Reply,
    ) -> Result<(), Refusal> {
        let (data, now, server, compat, after) = (self.data, self.now, self.server, self.compat, After::Continue);
        self.in_session(|session| run(&mut SessionCx { data, now, session, server, compat, after }, args, out))
    }
}

/// The arguments of a call as words; an error line if they cannot be.
fn words(args: &[Value], dialect: Dialect, wording: &'static Wording) -> Result<Words, &'static str> {
    if args.is_empty() {
        return Err(wording.no_arguments);
    }
    let mut words = Words::default();
    for value in args {
        let start = words.frame.len() as u32;
        match value {
            Value::String(text) => words.frame.extend_from_slice(&text.as_bytes()),
            Value::Integer(n) => push_number(*n as f64, dialect, &mut words.frame),
            Value::Number(n) => push_number(*n, dialect, &mut words.frame),
            _ => return Err(wording.wrong_arguments),
        }
        words.spans.push(Span { start, end: words.frame.len() as u32 });
    }
    Ok(words)
}

fn push_number(value: f64, dialect: Dialect, out: &mut Vec<u8>) {
    let text = match dialect.prints_shortest_doubles() {
        // As `double2ll`: minus zero is an integer.
        true => DoubleText::shortest_reply(value + 0.0),
        false => DoubleText::percent_17g(value),
    };
    out.extend_from_slice(text.as_bytes());
}
