//! Where clients hand in scripts: the cache of sources, the way to the thread that runs them, and what is running.
//!
//! It knows no Lua: the engine is told once, at start, how it is reached. A build without it refuses.

use super::cache::Cache;
use super::flags::{Declaring, Flags};
use super::request::Request;
use crate::clock;
use crate::command::session::Server;
use crate::dataset::functions::Stamp;
use crate::dataset::{Dataset, Dialect};
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A request under way to the thread of scripts.
#[derive(Debug)]
pub struct Job {
    pub request: Request,
    /// Takes the whole reply.
    pub reply: oneshot::Sender<Vec<u8>>,
}

/// What the thread of scripts is told.
#[derive(Debug)]
pub enum Message {
    Job(Box<Job>),
    /// The program ends.
    Stop,
}

/// Runs a request on the calling thread, inside the gate entry that `data` comes from. A script that is still running
/// at `busy-reply-threshold` is ended.
pub type Inline = fn(&Dataset, &Server, &Request, &mut Reply) -> Result<(), Refusal>;

/// Loads the libraries on the calling thread, so that the desk is told what they register.
pub type Look = fn(&Dataset, &Server);

/// How the engine is reached.
#[derive(Debug)]
pub struct Engine {
    pub queue: mpsc::Sender<Message>,
    pub inline: Inline,
    pub look: Look,
}

/// What the libraries register, by names in lower case.
#[derive(Debug)]
pub struct Registry {
    /// Of which state of the libraries.
    pub stamp: Stamp,
    /// As which server, of which release, they were loaded.
    pub dialect: Dialect,
    pub flags: HashMap<Vec<u8>, Flags>,
}

/// A script or function that runs.
#[derive(Debug)]
pub struct Run {
    /// EVAL, not FCALL.
    pub is_eval: bool,
    /// The hash of a script, the name of a function.
    pub name: Vec<u8>,
    /// The request, for FUNCTION STATS.
    pub words: Vec<Vec<u8>>,
    began: Instant,
    killed: AtomicBool,
}

impl Run {
    /// One that begins now.
    pub fn new(is_eval: bool, name: Vec<u8>, request: &Request) -> Self {
        let words = request.words().map(<[u8]>::to_vec).collect();
        Self { is_eval, name, words, began: clock::instant(), killed: AtomicBool::new(false) }
    }

    /// The loading of a library, which nobody has asked for.
    pub fn loading(name: Vec<u8>) -> Self {
        Self { is_eval: false, name, words: Vec::new(), began: clock::instant(), killed: AtomicBool::new(false) }
    }

    /// It is the loading of a library.
    pub fn is_loading(&self) -> bool {
        self.words.is_empty()
    }

    /// How long it has been running.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Has it been asked to end?
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// Asks it to end; it does within some microseconds.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Release);
    }
}

/// What the engine tells of itself, for INFO.
#[derive(Debug, Default)]
pub struct Figures {
    /// Bytes of the machine for EVAL.
    pub eval_bytes: AtomicUsize,
    /// Bytes of the machine for functions.
    pub functions_bytes: AtomicUsize,
    /// Functions that the libraries register, as far as they have been looked at.
    pub functions: AtomicUsize,
}

/// One per process.
#[derive(Debug, Default)]
pub struct Scripts {
    cache: Mutex<Cache>,
    /// Mostly none or one: more only when transactions run scripts beside the thread.
    running: Mutex<Vec<Arc<Run>>>,
    ending: AtomicBool,
    engine: OnceLock<Engine>,
    registry: Mutex<Option<Arc<Registry>>>,
    pub figures: Figures,
}

impl Scripts {
    /// Tells how the engine is reached; once.
    pub fn serve_by(&self, engine: Engine) {
        assert!(self.engine.set(engine).is_ok(), "there is one engine");
    }

    /// The sources. Held only for a look or a change.
    pub fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock()
    }

    /// Hands a request in; the answer comes through the receiver, or never if the program ends.
    pub fn submit(&self, request: Request) -> Result<oneshot::Receiver<Vec<u8>>, Refusal> {
        let engine = self.engine.get().ok_or(NOT_BUILT)?;
        let (reply, receiver) = oneshot::channel();
        engine.queue.send(Message::Job(Box::new(Job { request, reply }))).map_err(|_| NOT_BUILT)?;
        Ok(receiver)
    }

    /// Runs a request here and now.
    pub fn run_inline(
        &self,
        data: &Dataset,
        server: &Server,
        request: &Request,
        out: &mut Reply,
    ) -> Result<(), Refusal> {
        let engine = self.engine.get().ok_or(NOT_BUILT)?;
        (engine.inline)(data, server, request, out)
    }

    /// Tells what the libraries register.
    pub fn know(&self, registry: Registry) {
        *self.registry.lock() = Some(Arc::new(registry));
    }

    /// The functions of the present libraries, as far as these have been looked at.
    pub(super) fn registered(&self, asked: &Declaring<'_>) -> Option<Arc<Registry>> {
        let (stamp, dialect) = (asked.data.functions.stamp(), asked.data.limits.dialect);
        let known =
            || self.registry.lock().clone().filter(|known| known.stamp.is(stamp) && known.dialect == dialect);
        let found = known();
        if found.is_some() || !asked.at_once || asked.data.functions.is_empty() {
            return found;
        }
        (self.engine.get()?.look)(asked.data, asked.server);
        known()
    }

    /// Does this program run scripts at all?
    pub fn has_engine(&self) -> bool {
        self.engine.get().is_some()
    }

    /// Registers what begins to run, until the answer is dropped.
    pub fn begin(&self, run: Run) -> Running<'_> {
        let run = Arc::new(run);
        let mut running = self.running.lock();
        if self.ending.load(Relaxed) {
            run.kill();
        }
        running.push(Arc::clone(&run));
        drop(running);
        Running { scripts: self, run }
    }

    /// The program ends: what runs is ended, and so is what begins from now on.
    pub fn end_all(&self) {
        let running = self.running.lock();
        self.ending.store(true, Relaxed);
        running.iter().for_each(|run| run.kill());
    }

    /// What has been running for longest.
    pub fn oldest(&self) -> Option<Arc<Run>> {
        self.running.lock().first().cloned()
    }

    /// What has been running for so many milliseconds; 0 is never.
    pub fn busy(&self, threshold_ms: u64) -> Option<Arc<Run>> {
        let limit = Duration::from_millis(threshold_ms);
        self.oldest().filter(|run| threshold_ms > 0 && run.elapsed() >= limit)
    }

    /// Adds what the engine has of these.
    pub fn note(&self, eval_bytes: usize, functions_bytes: usize, functions: usize) {
        self.figures.eval_bytes.store(eval_bytes, Relaxed);
        self.figures.functions_bytes.store(functions_bytes, Relaxed);
        self.figures.functions.store(functions, Relaxed);
    }
}

/// A registered run.
#[derive(Debug)]
pub struct Running<'a> {
    scripts: &'a Scripts,
    pub run: Arc<Run>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.scripts.running.lock().retain(|run| !Arc::ptr_eq(run, &self.run));
    }
}

const NOT_BUILT: Refusal =
    Refusal(std::borrow::Cow::Borrowed("ERR this remora runs no scripts: it was built without the feature `lua`"));

/// The refusal while a script is busy, in the words of the master's family.
pub fn busy_refusal(run: &Run, valkey: bool) -> Refusal {
    let server = if valkey { "Valkey" } else { "Redis" };
    let kind = if run.is_eval { "SCRIPT" } else { "FUNCTION" };
    Refusal::text(format!(
        "BUSY {server} is busy running a script. You can only call {kind} KILL or SHUTDOWN NOSAVE."
    ))
}
