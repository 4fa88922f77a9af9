//! A command as a row: name, arity, where its keys are, which right its function has.

use super::args::Args;
use super::context::{ApplyCx, ReadCx, SessionCx};
use super::scripting::flags::{Declaring, Flags};
use crate::dataset::Since;
use crate::position::Offset;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use crate::status::Stale;

/// Reads: answers from `&Dataset`.
pub type ReadFn = fn(&ReadCx<'_>, &mut Args<'_>, &mut Reply) -> Result<(), Refusal>;
/// Walks the whole database in slices, each under its own entry of the gate: one slice from a cursor (0 at the
/// start) writes its array elements; answers the next cursor (0: done) and how many elements it wrote.
pub type WalkFn = fn(&ReadCx<'_>, &mut Args<'_>, u64, &mut Reply) -> Result<(u64, usize), Refusal>;
/// Applies: changes `&mut Dataset`, writes no reply. An error means that the command could not be applied.
pub type WriteFn = fn(&mut ApplyCx<'_>, &mut Args<'_>) -> Result<(), Refusal>;
/// Reads, and may ask to wait until what it has looked at changes: then nothing was written.
pub type WaitFn = fn(&ReadCx<'_>, &mut Args<'_>, &mut Reply) -> Result<Option<Await>, Refusal>;
/// Concerns the connection or the server.
pub type SessionFn = fn(&mut SessionCx<'_>, &mut Args<'_>, &mut Reply) -> Result<(), Refusal>;
/// What a request declares of itself before it runs, if it does and as far as that is known.
pub type DeclaresFn = fn(&Declaring<'_>, &Args<'_>) -> Option<Flags>;

/// What a read that found nothing waits with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Await {
    /// How long, milliseconds; `None` is for ever.
    pub timeout_ms: Option<u64>,
    /// What it waits for.
    pub until: Until,
    /// The request to be asked again, with what it meant at the beginning.
    pub request: Vec<Vec<u8>>,
}

/// What a request waits for. When the time is over, the answer is null for keys, 0 for an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// One of these keys changes.
    Changed(Vec<Vec<u8>>),
    /// The data are at this offset, or of another history.
    Reached(Offset),
}

/// What a row may do.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// A read by clients.
    Read(ReadFn),
    /// A read by clients that may wait.
    Wait(WaitFn),
    /// A read whose cost is the size of the database: in slices.
    Walk(WalkFn),
    /// A write: by the stream only; clients get READONLY.
    Write(WriteFn),
    /// A write that remora refuses also from the stream or that never appears there: clients get READONLY.
    WriteRefused,
    /// Session or server.
    Session(SessionFn),
    /// EXEC: the dispatcher runs what the session has queued.
    Exec,
    /// Has subcommands (`"object"`): a row of this kind answers only arity and unknown subcommand.
    Container,
}

/// Where the keys are among the arguments (the name is argument 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// No key.
    None,
    /// One key, at this argument.
    One(u16),
    /// `first`, `last` (negative counts from the end), `step`.
    Range(i16, i16, i16),
    /// A count of keys at this argument, the keys behind it; before it the destination, if `true` at argument 1.
    Counted(u16, bool),
    /// Follows a word (`STREAMS`): the first half of what is behind it.
    AfterStreams,
    /// First argument is a key, so are the ones behind STORE and STOREDIST (SORT, GEORADIUS).
    WithStore,
    /// MIGRATE: argument 3, or those behind KEYS.
    Migrate,
}

/// One command.
#[derive(Debug)]
pub struct Row {
    /// Lower case; a subcommand is `"container sub"`.
    pub name: &'static str,
    /// As the servers count: the name included, negative is "at least".
    pub arity: i16,
    /// Where the keys are.
    pub keys: Keys,
    /// What it does for a client, or for clients and stream.
    pub run: Run,
    /// What a container does where no subcommand is given (COMMAND).
    pub alone: Option<SessionFn>,
    /// What the stream does with it where a client may run it too (PFCOUNT, PUBLISH).
    pub applied: Option<WriteFn>,
    /// May run while nothing is loaded yet.
    pub loading: bool,
    /// May run while the data are too stale to be shown (`replica-serve-stale-data no`, `replica-max-lag-seconds`).
    pub stale: bool,
    /// May run before AUTH.
    pub no_auth: bool,
    /// May run while a RESP2 client is subscribed to something.
    pub while_subscribed: bool,
    /// Its replies are pushes, in either protocol: CLIENT REPLY does not silence them.
    pub pushes: bool,
    /// Since when servers know it as the stream has it.
    pub since: Since,
    /// Nobody may run it here; said before anything is asked of the client (as redis 7.0).
    pub forbidden: Option<fn() -> Refusal>,
    /// Runs a script, whose flags count in place of the row's.
    pub declares: Option<DeclaresFn>,
    /// May take long on big values: shown by SLOWLOG, and a candidate for slices.
    pub unbounded: bool,
    /// Its arguments may hold a password: SLOWLOG does not show them.
    pub redacted: bool,
    /// Request lines whose replies are compared with a real server.
    pub samples: &'static [&'static str],
}

/// A row that reads.
pub const fn read(name: &'static str, arity: i16, keys: Keys, f: ReadFn) -> Row {
    Row::new(name, arity, keys, Run::Read(f))
}

/// A row that reads and may wait.
pub const fn waiting_read(name: &'static str, arity: i16, keys: Keys, f: WaitFn) -> Row {
    Row::new(name, arity, keys, Run::Wait(f))
}

/// A row that reads the whole database and answers an array.
pub const fn walk(name: &'static str, arity: i16, f: WalkFn) -> Row {
    Row::new(name, arity, Keys::None, Run::Walk(f))
}

/// A row that only the stream may run.
pub const fn write(name: &'static str, arity: i16, keys: Keys, f: WriteFn) -> Row {
    Row::new(name, arity, keys, Run::Write(f))
}

/// A write that never appears in a stream, or is refused there: clients get READONLY after the arity check.
pub const fn refused_write(name: &'static str, arity: i16, keys: Keys) -> Row {
    Row::new(name, arity, keys, Run::WriteRefused)
}

/// A row about the connection or the server.
pub const fn session(name: &'static str, arity: i16, f: SessionFn) -> Row {
    Row::new(name, arity, Keys::None, Run::Session(f))
}

/// EXEC.
pub const fn exec(name: &'static str, arity: i16) -> Row {
    Row::new(name, arity, Keys::None, Run::Exec)
}

/// A name that has subcommands.
pub const fn container(name: &'static str, arity: i16) -> Row {
    Row::new(name, arity, Keys::None, Run::Container)
}

impl Row {
    const fn new(name: &'static str, arity: i16, keys: Keys, run: Run) -> Self {
        Self {
            name,
            arity,
            keys,
            run,
            alone: None,
            applied: None,
            loading: false,
            stale: false,
            no_auth: false,
            while_subscribed: false,
            pushes: false,
            since: Since::ALWAYS,
            forbidden: None,
            declares: None,
            unbounded: false,
            redacted: false,
            samples: &[],
        }
    }

    /// Its keys, for a row that is no read (shard channels are routed like keys).
    pub const fn keys(mut self, keys: Keys) -> Self {
        self.keys = keys;
        self
    }

    /// A container that also runs without a subcommand.
    pub const fn alone(mut self, f: SessionFn) -> Self {
        self.alone = Some(f);
        self
    }

    /// The stream may run it too, with this function.
    pub const fn also_applied(mut self, f: WriteFn) -> Self {
        self.applied = Some(f);
        self
    }

    /// Request lines for the comparison with a real server.
    pub const fn samples(mut self, samples: &'static [&'static str]) -> Self {
        self.samples = samples;
        self
    }

    /// Runs also while loading and while the master is down with stale data refused.
    pub const fn always(mut self) -> Self {
        self.loading = true;
        self.stale = true;
        self
    }

    /// Runs also while the master is down with stale data refused, but not while loading.
    pub const fn while_stale(mut self) -> Self {
        self.stale = true;
        self
    }

    /// Runs also before AUTH.
    pub const fn before_auth(mut self) -> Self {
        self.no_auth = true;
        self
    }

    /// Runs also while a RESP2 client is subscribed to something.
    pub const fn while_subscribed(mut self) -> Self {
        self.while_subscribed = true;
        self
    }

    /// Begins or ends subscriptions: confirmed by pushes, also while a RESP2 client is subscribed to something.
    pub const fn subscribes(mut self) -> Self {
        (self.while_subscribed, self.pushes) = (true, true);
        self
    }

    /// No server knew it before these releases of Redis and Valkey: a sub-replica that is older must not be sent it.
    pub const fn since(mut self, redis: Option<(u8, u8)>, valkey: Option<(u8, u8)>) -> Self {
        self.since = Since { redis, valkey };
        self
    }

    /// Nobody may run it here, for this reason.
    pub const fn forbidden(mut self, refusal: fn() -> Refusal) -> Self {
        self.forbidden = Some(refusal);
        self
    }

    /// Runs a script with flags of its own.
    pub const fn declares(mut self, flags: DeclaresFn) -> Self {
        self.declares = Some(flags);
        self
    }

    /// Costs more than its arguments tell.
    pub const fn unbounded(mut self) -> Self {
        self.unbounded = true;
        self
    }

    /// Its arguments may hold a password.
    pub const fn redacted(mut self) -> Self {
        self.redacted = true;
        self
    }

    /// Does a request of `count` words, the name included, fit?
    pub fn arity_fits(&self, count: usize) -> bool {
        let wanted = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { count >= wanted } else { count == wanted }
    }

    /// May it not run while the data are too stale to be shown, for this reason? What ends a script may run behind a lag
    /// all the same: the script may be what holds the stream up.
    pub fn is_refused_while(&self, stale: Stale) -> bool {
        let ends_lag = stale != Stale::LinkDown && matches!(self.name, "script kill" | "function kill");
        !self.stale && !ends_lag
    }

    /// The function with which the stream applies this command, if any.
    pub fn apply(&self) -> Option<WriteFn> {
        match self.run {
            Run::Write(f) => Some(f),
            _ => self.applied,
        }
    }

    /// A write in the servers' eyes: refused to clients of a replica.
    pub fn is_write(&self) -> bool {
        matches!(self.run, Run::Write(_) | Run::WriteRefused)
    }
}
