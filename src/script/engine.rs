//! All that one thread runs: both machines, what they have compiled, and the tasks of clients.

use super::call::Caller;
use super::functions::Loaded;
use super::machine::{Kind, Vm};
use super::raise;
use super::run::{self, Callee};
use super::watch::Watch;
use super::wording::wording;
use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::logged::Thresholds;
use crate::command::scripting::cache::{Origin, Sha};
use crate::command::scripting::desk::Run;
use crate::command::scripting::flags::{self, Flags, stale};
use crate::command::scripting::request::{Request, Task};
use crate::command::session::Server;
use crate::dataset::{Dataset, Dialect};
use crate::limits::SCRIPT_MEMORY_BYTES_MAX;
use crate::number;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use crate::status::{Stale, WorkerStats};
use mlua::{Function, Table};
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

/// The machine for EVAL and what it has compiled.
struct Scripts {
    vm: Vm,
    /// Functions by hash, in the machine: handles outside of it are few (mlua keeps them on a Lua stack of 8000).
    compiled: Table,
    known: HashSet<Sha>,
    /// How often the cache was flushed when it was made.
    flushes: u64,
}

/// The machines of one thread. Made on first use.
pub(super) struct Engine {
    watch: Rc<Watch>,
    scripts: Option<Scripts>,
    functions: Option<Loaded>,
}

/// What a task sees of the world.
#[derive(Clone, Copy)]
pub(super) struct World<'a> {
    pub(super) data: &'a Dataset,
    pub(super) server: &'a Server,
    /// Counts the commands of scripts, where there is somebody to count.
    pub(super) stats: Option<&'a WorkerStats>,
    pub(super) now: UnixMs,
}

impl World<'_> {
    /// As which server, of which release, scripts are answered.
    pub(super) fn dialect(&self) -> Dialect {
        self.data.limits.dialect.answering(self.server.config.get().compat)
    }
}

type Outcome = Result<(), Refusal>;

impl Engine {
    /// An engine whose scripts `watch` ends.
    pub(super) fn new(watch: Rc<Watch>) -> Self {
        Self { watch, scripts: None, functions: None }
    }

    /// Does what a client asked. An `Err` is an error reply before anything ran.
    pub(super) fn serve(&mut self, world: World<'_>, request: &Request, out: &mut Reply) -> Outcome {
        out.proto = request.proto;
        out.doubles = world.dialect().into();
        // They were there when the request was taken; it may have waited.
        if !world.data.is_loaded() && !matches!(request.task, Task::Load) {
            return Err(Refusal::loading(world.dialect().is_valkey()));
        }
        let outcome = match request.task {
            Task::Eval(read_only) => self.eval(world, request, read_only, out),
            Task::EvalSha(read_only) => self.eval_sha(world, request, read_only, out),
            Task::Load => self.load(world, request, out),
            Task::Call(read_only) => self.call(world, request, read_only, out),
            Task::Libraries => self.functions(world)?.list(world.data, &mut request.args(2), out),
        };
        self.tidy_up();
        outcome
    }

    /// Makes what the libraries register known, if they have changed.
    pub(super) fn look_at_libraries(&mut self, world: World<'_>) {
        let known = self.functions.as_ref().map(Loaded::stamp);
        let stamp = world.data.functions.stamp();
        if !known.is_some_and(|known| known.is(stamp)) && (known.is_some() || !world.data.functions.is_empty()) {
            // What fails is told to whoever calls.
            let _ = self.functions(world);
            self.tidy_up();
        }
    }

    fn eval(&mut self, world: World<'_>, request: &Request, read_only: bool, out: &mut Reply) -> Outcome {
        let source = request.args(1).peek().unwrap_or_default();
        let sha = Sha::of(source);
        self.run_source(world, request, (sha, source), read_only, out)
    }

    fn eval_sha(&mut self, world: World<'_>, request: &Request, read_only: bool, out: &mut Reply) -> Outcome {
        let unknown = || Refusal::text(wording(world.dialect()).no_script);
        let sha = Sha::parse(request.args(1).peek().unwrap_or_default()).ok_or_else(unknown)?;
        let source = world.server.scripts.cache().get(&sha);
        let Some(source) = source else {
            number_of_keys(&mut request.args(2))?;
            return Err(unknown());
        };
        self.run_source(world, request, (sha, &source), read_only, out)
    }

    fn run_source(
        &mut self,
        world: World<'_>,
        request: &Request,
        (sha, source): (Sha, &[u8]),
        read_only: bool,
        out: &mut Reply,
    ) -> Outcome {
        let stale = stale(world.server);
        let mut args = request.args(2);
        let keys = number_of_keys(&mut args)?;
        let (flags, text) = flags::of_script(source, world.dialect())?;
        let watch = Rc::clone(&self.watch);
        let scripts = self.scripts(world)?;
        let script = scripts.compile(sha, text)?;
        world.server.scripts.cache().insert(sha, source, Origin::Evaluated);
        admit(world, request, flags, stale)?;
        let vm = &scripts.vm;
        let (keys, argv) = tables(vm, args, keys).map_err(|error| out_of_memory(&error))?;
        let globals = &vm.machine.globals;
        globals.raw_set("KEYS", keys).map_err(|error| out_of_memory(&error))?;
        globals.raw_set("ARGV", argv).map_err(|error| out_of_memory(&error))?;
        let read_only = read_only || flags.is_some_and(Flags::no_writes);
        let run = Run::new(true, sha.as_bytes().to_vec(), request);
        watched(&watch, world, run, || {
            let caller = caller(vm, world, request, read_only, stale.is_some());
            run::run(vm, &Callee::Script(script), &caller, sha.as_bytes(), out);
        });
        Ok(())
    }

    fn load(&mut self, world: World<'_>, request: &Request, out: &mut Reply) -> Outcome {
        let source = request.args(2).peek().unwrap_or_default();
        let sha = Sha::of(source);
        let (_, text) = flags::of_script(source, world.dialect())?;
        self.scripts(world)?.compile(sha, text)?;
        if !world.server.scripts.cache().insert(sha, source, Origin::Loaded) {
            return Err(Refusal::text("ERR the cache of scripts is full: remora keeps 64 MiB of them"));
        }
        out.bulk(sha.as_bytes());
        Ok(())
    }

    fn call(&mut self, world: World<'_>, request: &Request, read_only: bool, out: &mut Reply) -> Outcome {
        let stale = stale(world.server);
        let watch = Rc::clone(&self.watch);
        let functions = self.functions(world)?;
        let name = request.args(1).peek().unwrap_or_default();
        let function = functions.find(name)?;
        admit(world, request, Some(function.flags), stale)?;
        let mut args = request.args(2);
        let keys = match number::parse_integer(args.peek().unwrap_or_default()) {
            Some(_) => number_of_keys(&mut args)?,
            None => return Err(Refusal::text("ERR Bad number of keys provided")),
        };
        let vm = functions.vm();
        let (keys, argv) = tables(vm, args, keys).map_err(|error| out_of_memory(&error))?;
        let callback = functions.callback(name).map_err(|error| out_of_memory(&error))?;
        let callee = Callee::Function(callback, keys, argv);
        let read_only = read_only || function.flags.no_writes();
        watched(&watch, world, Run::new(false, name.to_vec(), request), || {
            let caller = caller(vm, world, request, read_only, stale.is_some());
            run::run(vm, &callee, &caller, name, out);
        });
        Ok(())
    }

    /// The machine for EVAL, made anew after SCRIPT FLUSH or when the master is of another kind.
    fn scripts(&mut self, world: World<'_>) -> Result<&mut Scripts, Refusal> {
        let (dialect, flushes) = (world.dialect(), world.server.scripts.cache().flushes());
        let fits = |scripts: &Scripts| scripts.vm.dialect == dialect && scripts.flushes == flushes;
        if !self.scripts.as_ref().is_some_and(fits) {
            self.scripts = None;
            let vm = Vm::new(Kind::Eval, dialect, &self.watch).map_err(|error| out_of_memory(&error))?;
            let compiled = vm.machine.lua.create_table().map_err(|error| out_of_memory(&error))?;
            self.scripts = Some(Scripts { vm, compiled, known: HashSet::new(), flushes });
        }
        let scripts = self.scripts.as_mut().expect("made just now");
        scripts.forget_evicted(world.server);
        Ok(scripts)
    }

    /// The libraries as the dataset has them.
    fn functions(&mut self, world: World<'_>) -> Result<&Loaded, Refusal> {
        let dialect = world.data.limits.dialect;
        let stamp = world.data.functions.stamp();
        let fits = |loaded: &Loaded| loaded.stamp().is(stamp) && loaded.vm().dialect == dialect;
        if !self.functions.as_ref().is_some_and(fits) {
            self.functions = None;
            let loaded = Loaded::load(world, &self.watch).map_err(|error| out_of_memory(&error))?;
            world.server.scripts.know(loaded.registry());
            self.functions = Some(loaded);
        }
        Ok(self.functions.as_ref().expect("made just now"))
    }

    /// After each task: collects garbage when there is much, gives a machine up whose garbage stays.
    fn tidy_up(&mut self) {
        let too_big = |vm: &Vm| {
            vm.machine.lua.used_memory() > SCRIPT_MEMORY_BYTES_MAX / 4
                && (vm.machine.lua.gc_collect().is_err()
                    || vm.machine.lua.used_memory() > SCRIPT_MEMORY_BYTES_MAX / 2)
        };
        if self.scripts.as_ref().is_some_and(|scripts| too_big(&scripts.vm)) {
            self.scripts = None;
        }
        if self.functions.as_ref().is_some_and(|loaded| too_big(loaded.vm())) {
            self.functions = None;
        }
    }

    /// Tells the figures of its machines.
    pub(super) fn tell_figures(&self, server: &Server) {
        let bytes = |vm: &Vm| vm.machine.lua.used_memory();
        server.scripts.note(
            self.scripts.as_ref().map_or(0, |scripts| bytes(&scripts.vm)),
            self.functions.as_ref().map_or(0, |loaded| bytes(loaded.vm())),
            self.functions.as_ref().map_or(0, Loaded::count),
        );
    }
}

impl Scripts {
    fn compile(&mut self, sha: Sha, text: &[u8]) -> Result<Function, Refusal> {
        let name = self.vm.machine.lua.create_string(sha.as_bytes()).map_err(|error| out_of_memory(&error))?;
        if self.known.contains(&sha)
            && let Ok(function) = self.compiled.raw_get(&name)
        {
            return Ok(function);
        }
        let function = self.vm.machine.compile(text, "@user_script").map_err(|complaint| {
            let complaint = String::from_utf8_lossy(&complaint);
            Refusal::text(format!("ERR Error compiling script (new function): {complaint}"))
        })?;
        self.compiled.raw_set(name, &function).map_err(|error| out_of_memory(&error))?;
        self.known.insert(sha);
        Ok(function)
    }

    /// Drops what is compiled of scripts that the cache has dropped.
    fn forget_evicted(&mut self, server: &Server) {
        const SLACK: usize = 64;
        let cache = server.scripts.cache();
        if self.known.len() > cache.len() + SLACK {
            let (known, gone): (Vec<Sha>, _) = self.known.drain().partition(|sha| cache.contains(sha));
            self.known.extend(known);
            for sha in gone {
                if let Ok(name) = self.vm.machine.lua.create_string(sha.as_bytes()) {
                    // Taking a field away takes no memory.
                    let _ = self.compiled.raw_set(name, mlua::Value::Nil);
                }
            }
        }
    }
}

/// May this run here, on a replica? The dispatcher has asked before, so this is about what was not known then, and what
/// has changed since: inside of EXEC it is told as by the real servers.
fn admit(world: World<'_>, request: &Request, flags: Option<Flags>, stale: Option<Stale>) -> Outcome {
    let writes = flags.is_some_and(|flags| !flags.no_writes());
    if writes && !request.in_exec {
        return Err(world.server.refused_write(&request.client));
    }
    match stale {
        Some(stale) if !flags.is_some_and(Flags::allow_stale) => Err(stale.into()),
        _ if writes => Err(Refusal::text("READONLY Can not run script with write flag on readonly replica")),
        _ => Ok(()),
    }
}

/// Runs under the watch, registered for SCRIPT KILL and BUSY.
fn watched(watch: &Watch, world: World<'_>, run: Run, work: impl FnOnce()) {
    let running = world.server.scripts.begin(run);
    let limit_ms = world.server.config.get().busy_reply_threshold_ms;
    watch.begin(running.run.clone(), limit_ms, world.dialect().is_valkey());
    work();
    watch.end();
}

fn caller<'a>(
    vm: &'a Vm,
    world: World<'a>,
    request: &'a Request,
    read_only: bool,
    stale_refused: bool,
) -> Caller<'a> {
    let config = world.server.config.get();
    let uses = world.data.uses(config.uses, world.now);
    Caller {
        data: world.data,
        server: world.server,
        stats: world.stats,
        compat: config.compat,
        thresholds: Thresholds::new(&config),
        now: world.now,
        uses,
        no_touch: request.client.is_no_touch(),
        db: request.db,
        user: &request.user,
        memory: request.memory.as_ref(),
        read_only,
        stale_refused,
        spoken: &vm.spoken,
        wording: wording(vm.dialect),
        session: RefCell::new(None),
    }
}

/// The count of keys, checked against what follows it.
fn number_of_keys(args: &mut Args<'_>) -> Result<usize, Refusal> {
    let keys = args.integer()?;
    let keys = usize::try_from(keys).map_err(|_| Refusal::text("ERR Number of keys can't be negative"))?;
    if keys > args.remaining() { Err(Refusal::NUMKEYS_TOO_MANY) } else { Ok(keys) }
}

/// KEYS and ARGV.
fn tables(vm: &Vm, mut args: Args<'_>, keys: usize) -> mlua::Result<(Table, Table)> {
    let lua = &vm.machine.lua;
    let (names, values) = (lua.create_table()?, lua.create_table()?);
    for at in 1..=keys {
        names.raw_seti(at, lua.create_string(args.optional().unwrap_or_default())?)?;
    }
    for (at, word) in (1..).zip(args) {
        values.raw_seti(at, lua.create_string(word)?)?;
    }
    Ok((names, values))
}

pub(super) fn out_of_memory(error: &mlua::Error) -> Refusal {
    Refusal::text(format!("ERR Error running script: {}", raise::foreign_text(error)))
}
