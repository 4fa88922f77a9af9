//! What a client asks of the machinery that runs scripts, away from its connection: the words, and who asks.

use crate::command::acl::User;
use crate::command::args::{Args, Span};
use crate::command::clients::Client;
use crate::command::session::Session;
use crate::hub::{Memory, Tracker};
use crate::position::DbIndex;
use crate::resp::reply::Proto;
use std::sync::Arc;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// EVAL and EVAL_RO (`true`): the source is word 1.
    Eval(bool),
    /// EVALSHA and EVALSHA_RO (`true`): its hash is word 1.
    EvalSha(bool),
    /// SCRIPT LOAD: the source is word 2.
    Load,
    /// FCALL and FCALL_RO (`true`): the function's name is word 1.
    Call(bool),
    /// FUNCTION LIST: what the libraries register is known only by running them.
    Libraries,
}

/// One request, owning its words.
#[derive(Clone, Debug)]
pub struct Request {
    pub task: Task,
    frame: Box<[u8]>,
    spans: Box<[Span]>,
    /// The client's database.
    pub db: DbIndex,
    /// The protocol in which the client wants its reply.
    pub proto: Proto,
    /// Who asks, for SLOWLOG.
    pub client: Arc<Client>,
    /// As whom: the script may do no more.
    pub user: Arc<User>,
    /// It is one of a transaction's.
    pub in_exec: bool,
    /// Of a client that tracks: what the script reads, the client has read.
    pub memory: Option<Memory>,
}

impl Request {
    /// Copies the words of `args`, and who the session is.
    pub fn new(task: Task, args: &Args<'_>, session: &Session) -> Self {
        let (client, user) = (Arc::clone(session.client()), Arc::clone(session.user()));
        let mut frame = Vec::with_capacity(args.words().map(<[u8]>::len).sum());
        let mut spans = Vec::with_capacity(args.word_count());
        for word in args.words() {
            let start = frame.len() as u32;
            frame.extend_from_slice(word);
            spans.push(Span { start, end: frame.len() as u32 });
        }
        let (db, proto) = (session.db(), session.proto());
        let memory = session.tracker().and_then(Tracker::memory);
        let in_exec = session.is_executing();
        Self { task, frame: frame.into(), spans: spans.into(), db, proto, client, user, in_exec, memory }
    }

    /// The words, the cursor on word `at`.
    pub fn args(&self, at: usize) -> Args<'_> {
        Args::new(&self.frame, &self.spans, at)
    }

    /// All words, the command's name first.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.args(0).words()
    }
}
