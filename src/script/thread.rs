//! The thread that runs scripts: takes what clients hand in, one after the other, each under one entry of the gate.
//!
//! Workers go on meanwhile; only the connection that asked waits. A script that runs longer than
//! `busy-reply-threshold` lets the others that wait be answered BUSY, and goes on until it ends or is killed.

use super::engine::{Engine, World};
use super::watch::Watch;
use crate::clock::{self, UnixMs};
use crate::command::context::{take_lookups, telling_missed};
use crate::command::logged::{Measured, Thresholds, wire_bytes};
use crate::command::scripting::desk::{self, Job, Message, Run, busy_refusal};
use crate::command::scripting::request::Request;
use crate::command::session::Server;
use crate::command::table;
use crate::dataset::Dataset;
use crate::dataset::gate::Reader;
use crate::limits::SCRIPT_STACK_BYTES;
use crate::panics::contain;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use crate::status::WorkerStats;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the idle thread looks whether the master's libraries have changed.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// The running thread. It ends when this is dropped, and with it the script that it runs.
pub struct ScriptThread {
    server: Arc<Server>,
    stopping: Arc<AtomicBool>,
    queue: std::sync::mpsc::Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the thread and tells the server's desk of it.
pub fn start(reader: Reader, server: Arc<Server>) -> io::Result<ScriptThread> {
    let (queue, jobs) = channel();
    let stopping = Arc::new(AtomicBool::new(false));
    let work = {
        let (server, stopping) = (Arc::clone(&server), Arc::clone(&stopping));
        move || Office::new(reader.may_stay_long(), server, jobs, stopping).run()
    };
    let thread = std::thread::Builder::new().name("script".into()).stack_size(SCRIPT_STACK_BYTES).spawn(work)?;
    server.scripts.serve_by(desk::Engine { queue: queue.clone(), inline: run_inline, look: look_inline });
    Ok(ScriptThread { server, stopping, queue, thread: Some(thread) })
}

impl ScriptThread {
    /// Ends the thread, and the script that it runs.
    pub fn stop(self) {}
}

impl Drop for ScriptThread {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = self.queue.send(Message::Stop);
        self.server.scripts.end_all();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// What the thread owns.
struct Office {
    reader: Reader,
    server: Arc<Server>,
    stats: Arc<WorkerStats>,
    jobs: Rc<Receiver<Message>>,
    stopping: Arc<AtomicBool>,
    engine: Engine,
}

impl Office {
    fn new(reader: Reader, server: Arc<Server>, jobs: Receiver<Message>, stopping: Arc<AtomicBool>) -> Self {
        let stats = server.status.add_worker(table::rows().len());
        let jobs = Rc::new(jobs);
        let engine = engine(&jobs);
        Self { reader, server, stats, jobs, stopping, engine }
    }

    fn run(mut self) {
        while !self.stopping.load(Ordering::SeqCst) {
            match self.jobs.recv_timeout(IDLE_LOOK) {
                Ok(Message::Job(job)) => self.serve(*job),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => self.look_at_libraries(),
            }
        }
    }

    /// Runs one job. A panic inside costs the machines, not the process.
    fn serve(&mut self, job: Job) {
        let Job { request, reply } = job;
        let mut out = Reply::new(request.proto);
        let began = clock::instant();
        let (engine, reader, server, stats) = (&mut self.engine, &mut self.reader, &self.server, &self.stats);
        let outcome = contain(|| {
            let run = |data: &Dataset| {
                let world = World { data, server, stats: Some(stats), now: UnixMs::now() };
                engine.serve(world, &request, &mut out)
            };
            telling_missed(&server.hub, || reader.read(run))
        });
        let outcome = outcome.unwrap_or_else(|| {
            tracing::error!("a script has brought remora's engine down; it is built anew");
            self.engine = self::engine(&self.jobs);
            Err(Refusal::text("ERR the script has brought the engine down"))
        });
        let busy = began.elapsed();
        self.engine.tell_figures(&self.server);
        self.account(&request, outcome, &mut out, busy);
        // Who asked may be gone.
        let _ = reply.send(std::mem::take(out.buffer_mut()));
    }

    fn account(&self, request: &Request, outcome: Result<(), Refusal>, out: &mut Reply, busy: Duration) {
        let mut words = request.words();
        let name = words.next().unwrap_or_default();
        let row = table::find(name, words.next()).map_or(usize::MAX, |(found, _)| found.index);
        let busy_ns = u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX);
        if let Err(refusal) = &outcome {
            out.truncate(0);
            out.error(refusal);
        }
        match out.bytes().strip_prefix(b"-") {
            Some(line) => self.stats.failed(row, busy_ns, &String::from_utf8_lossy(&line[..line.len().min(64)])),
            None => self.stats.ran(row, busy_ns),
        }
        let (hits, misses) = take_lookups();
        self.stats.lookups(hits, misses);
        let config = self.server.config.get();
        let thresholds = Thresholds::new(&config);
        let measured = Measured { busy, request_bytes: wire_bytes(&request.args(0)), reply_bytes: out.len() };
        if thresholds.are_reached(measured) {
            let row = table::row(row);
            thresholds.sample(&self.server.status.latency, row, busy);
            let words: Vec<&[u8]> = request.words().collect();
            thresholds.log(&self.server, measured, &words, &request.client);
        }
    }

    fn look_at_libraries(&mut self) {
        let (engine, reader, server) = (&mut self.engine, &mut self.reader, &self.server);
        let looked = contain(|| {
            reader.read(|data| {
                engine.look_at_libraries(World { data, server, stats: None, now: UnixMs::now() });
                engine.tell_figures(server);
            });
        });
        if looked.is_none() {
            self.engine = self::engine(&self.jobs);
        }
    }
}

/// An engine that answers BUSY to whoever waits behind a busy script.
fn engine(jobs: &Rc<Receiver<Message>>) -> Engine {
    let jobs = Rc::clone(jobs);
    Engine::new(Rc::new(Watch::new(Some(Box::new(move |run: &Run, valkey: bool| {
        while let Ok(message) = jobs.try_recv() {
            match message {
                Message::Job(job) => {
                    let mut out = Reply::new(job.request.proto);
                    out.error(&busy_refusal(run, valkey));
                    let _ = job.reply.send(std::mem::take(out.buffer_mut()));
                }
                Message::Stop => run.kill(),
            }
        }
    })))))
}

/// Runs one request for EXEC, inside the gate entry of its worker: on a thread with the stack that scripts may need,
/// and machines that live as long as the request.
fn run_inline(data: &Dataset, server: &Server, request: &Request, out: &mut Reply) -> Result<(), Refusal> {
    let ran = with_engine(data, server, |engine, world| engine.serve(world, request, out));
    ran.unwrap_or_else(|| Err(Refusal::text("ERR the script has brought the engine down")))
}

/// Loads the libraries for a worker that must know what they register. What fails is told to whoever calls.
fn look_inline(data: &Dataset, server: &Server) {
    with_engine(data, server, Engine::look_at_libraries);
}

/// Works with an engine made for it, on a thread made for it; `None` where that fails.
fn with_engine<R: Send>(
    data: &Dataset,
    server: &Server,
    work: impl FnOnce(&mut Engine, World<'_>) -> R + Send,
) -> Option<R> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("script-inline".into()).stack_size(SCRIPT_STACK_BYTES);
        let work = || {
            let mut engine = Engine::new(Rc::new(Watch::new(None)));
            work(&mut engine, World { data, server, stats: None, now: UnixMs::now() })
        };
        thread.spawn_scoped(scope, || contain(work)).ok()?.join().ok().flatten()
    })
}
